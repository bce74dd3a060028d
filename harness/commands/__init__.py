"""What each sub-command of the command line does."""
