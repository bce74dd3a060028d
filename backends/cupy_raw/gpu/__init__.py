"""The kernels on a GPU, through CuPy; and their registers, stack and spills as NVIDIA's compiler reports them."""
