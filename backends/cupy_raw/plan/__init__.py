"""Which kernels to launch, with which tiles, grid and shared memory: values that are computed without a device."""
