"""A failure as a script that its author can run."""
