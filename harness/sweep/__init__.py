"""Measures backends: the grid, the workers, the samples, the statistics."""
