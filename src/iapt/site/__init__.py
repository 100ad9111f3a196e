"""The pages around and in the reports."""
