"""Runs this project's CUDA kernels on a CPU, each thread a fiber, and says what is wrong with them."""
