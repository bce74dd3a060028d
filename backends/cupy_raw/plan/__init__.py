"""The launch plan: which kernels, tiles and grid; pure Python."""
