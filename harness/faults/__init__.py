"""Faults: wrong LSTMs and planted kernel faults, and how many of them are found."""
