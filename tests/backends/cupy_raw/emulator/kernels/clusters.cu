// Blocks of a cluster use each other's shared memory, right where Size::fault is 0.
#include "device.cuh"

struct Size {
    SIZE(fault)
};

extern "C" __global__ void around(int* out, int steps) {
    const int i = threadIdx.x, n = blockDim.x;
    const unsigned rank = cluster_rank(), size = cluster_size();
    Shared shared;
    auto padding = shared.take<int>(3);
    auto mine = shared.take<int>(2, n);
    auto left = neighbour(mine, Size::fault == 6 ? size : (rank + 1) % size);  // the neighbour
    mine(0, i) = int(blockIdx.x);
    if (i == 0) padding(0) = 0;
    if (Size::fault == 1) __syncthreads();
    else cluster_barrier();
    for (int step = 0; step < steps; ++step) {
        at_step(step);
        const int value = left(step % 2, (i + 1) % n) + (rank == 0);           // visit
        if (Size::fault == 4) left((step + 1) % 2, i) = value;
        mine((step + 1) % 2, i) = value;                                       // step
        if (Size::fault != 2) cluster_barrier();
    }
    array(out, int(gridDim.x), n)(blockIdx.x, i) = mine(steps % 2, i);
    if (Size::fault == 3 || Size::fault == 7) array(out, int(gridDim.x), n)(blockIdx.x, i) = left(steps % 2, i);  // late
    if ((Size::fault == 5 && rank == 0) || Size::fault == 7) return;
    cluster_barrier();
}
EXPORT_KERNEL(around)
