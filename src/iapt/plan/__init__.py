"""What is to be made: the list of runs, and the parameters that notebooks take."""
