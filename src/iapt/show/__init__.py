"""What notebooks show: sentences, tables and charts in one style."""
