// Asynchronous copies, right where Size::fault is 0.
#include "device.cuh"

struct Size {
    SIZE(fault)
};

// Tiles of 4 floats a thread, two buffers: the next tile is under way while this one is added up.
extern "C" __global__ void pipeline(const float* data, float* out, int tiles) {
    const int i = threadIdx.x, n = blockDim.x;
    auto values = array(data, tiles, 4 * n);
    Shared shared;
    auto buffers = shared.take<float>(2, 4 * n);
    copy_async<4>(&buffers(0, 4 * i), &values(0, 4 * i));
    if (Size::fault != 5) copy_async_wait();
    __syncthreads();
    float sum = 0;
    for (int tile = 0; tile < tiles; ++tile) {
        at_step(tile);
        const int here = tile % 2;
        if (tile + 1 < tiles) copy_async<4>(&buffers(1 - here, 4 * i), &values(tile + 1, 4 * i));  // copy
        if (Size::fault == 1) copy_async_wait();
        for (int k = 0; k < 4; ++k) sum += buffers(here, (4 * i + 4 + k) % (4 * n));
        if (Size::fault == 2) sum += buffers(1 - here, 4 * i + 3);  // read
        if (Size::fault == 3) buffers(1 - here, 4 * i) = 0;  // write
        if (Size::fault != 1) copy_async_wait();
        if (Size::fault != 4) __syncthreads();
    }
    array(out, n)(i) = sum;
}
EXPORT_KERNEL(pipeline)

// What is copied from must not change before it has arrived.
extern "C" __global__ void source(float* data, float* out) {
    const int i = threadIdx.x, n = blockDim.x;
    auto values = array(data, n);
    Shared shared;
    auto tile = shared.take<float>(n);
    copy_async<1>(&tile(i), &values(i));
    if (Size::fault == 1) values(i) = 7;  // overwritten
    copy_async_wait();
    if (Size::fault == 0) values(i) = 7;
    array(out, n)(i) = tile(i);
}
EXPORT_KERNEL(source)

extern "C" __global__ void places(const float* data, float* to_data, float* out) {
    Shared shared;
    auto tile = shared.take<float>(16);
    auto values = array(data, 16);
    if (Size::fault == 0) copy_async<4>(&tile(4), &values(8));
    if (Size::fault == 1) copy_async<4>(&tile(4), &values(7));   // the source is not aligned
    if (Size::fault == 2) copy_async<2>(&tile(5), &values(8));   // nor is this target
    if (Size::fault == 3) copy_async<4>(&tile(4), &values(16));  // outside
    if (Size::fault == 4) copy_async<4>(&tile(14), &values(8));  // over the edge
    if (Size::fault == 5) copy_async<4>(&array(to_data, 16)(4), &values(8));  // to global memory
    copy_async_wait();
    if (Size::fault == 0 || Size::fault == 1) array(out, 1)(0) = tile(4);
}
EXPORT_KERNEL(places)
