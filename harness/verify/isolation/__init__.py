"""Runs a backend in a separate process, or in this one."""
