// Kernels that tell how they were launched.
#include "device.cuh"

struct Size {};

extern "C" __global__ void places(unsigned* out) {
    const unsigned block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
    auto told = array(out, int(gridDim.x * gridDim.y * gridDim.z), 7);
    if (threadIdx.x != 1) return;
    told(block, 0) = blockIdx.x;
    told(block, 1) = blockIdx.y;
    told(block, 2) = blockIdx.z;
    told(block, 3) = gridDim.x * 100 + gridDim.y * 10 + gridDim.z;
    told(block, 4) = cluster_rank();
    told(block, 5) = cluster_size();
    told(block, 6) = blockDim.x * blockDim.y * blockDim.z;
}
EXPORT_KERNEL(places)

// The place of each thread in the order in which they come to their first atomic.
extern "C" __global__ void order(int* out, unsigned* counter) {
    array(out, int(gridDim.x), int(blockDim.x))(blockIdx.x, threadIdx.x) = int(atomic_add(array(counter, 1), 0, 1u));
}
EXPORT_KERNEL(order)

extern "C" __global__ void add_up(const float* data, float* out, int count) {
    auto values = array(data, count);
    float sum = 0;
    for (int i = 0; i < count; ++i) sum += values(i);  // one after the other
    array(out, 1)(0) = sum;
}
EXPORT_KERNEL(add_up)

extern "C" __global__ void shift(const float* from, float* to) {
    array(to, 32)(threadIdx.x) = array(from, 32)(threadIdx.x);
}
EXPORT_KERNEL(shift)
