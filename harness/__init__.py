"""Asks and measures: verification, sweeps, the store and the command line."""
