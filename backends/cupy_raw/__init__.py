"""The project's own CUDA kernels: on a GPU through CuPy, on any machine in an emulator that checks every access."""
