"""What Python code calls in place of the command line; the commands call the same functions."""
