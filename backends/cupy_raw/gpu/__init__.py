"""The kernels on a GPU, through CuPy, and what their compiler says of them."""
