// Correct kernels, each of which needs its synchronisation. `without` takes one of the barriers, or the ordering, out.
#include "device.cuh"

struct Size {
    SIZE(without)  // 0: nothing is missing
};

// Each thread adds up what all others of its block wrote, step after step, in two buffers that take turns.
extern "C" __global__ void turns(unsigned* out, int steps) {
    const int n = blockDim.x, i = threadIdx.x;
    auto sums = array(out, int(gridDim.x), n);
    Shared shared;
    auto buffer = shared.take<unsigned>(2, n);
    buffer(0, i) = i;
    __syncthreads();
    for (int step = 0; step < steps; ++step) {
        at_step(step);
        unsigned sum = 0;
        for (int j = 0; j < n; ++j) sum += buffer(step % 2, j);
        buffer((step + 1) % 2, i) = sum % 1000 + i;
        if (Size::without != 1) __syncthreads();
    }
    sums(blockIdx.x, i) = buffer(steps % 2, i);
}
EXPORT_KERNEL(turns)

// Blocks hand on what they made by flags: each writes its part, publishes it, waits for all others' and adds them up.
extern "C" __global__ void exchange(unsigned* parts_data, unsigned* out, unsigned* flags_data, int steps) {
    const int n = blockDim.x, i = threadIdx.x, blocks = gridDim.x, b = blockIdx.x;
    auto parts = array(parts_data, 2, blocks, n);
    auto flags = array(flags_data, blocks);
    unsigned sum = b * n + i;
    for (int step = 0; step < steps; ++step) {
        at_step(step);
        parts(step % 2, b, i) = sum % 1000;
        if (Size::without != 1) __syncthreads();
        if (i == 0) {
            if (Size::without == 2) store_relaxed(flags, b, step + 1);
            else store_release(flags, b, step + 1);
        }
        for (int j = i; j < blocks; j += n) {
            if (Size::without == 3) wait_relaxed(flags, j, step + 1);
            else wait_acquire(flags, j, step + 1);
        }
        if (Size::without != 4) __syncthreads();
        for (int j = 0; j < blocks; ++j) sum += parts(step % 2, j, (i + 1) % n);
    }
    array(out, blocks, n)(b, i) = sum;
}
EXPORT_KERNEL(exchange)

// The same with a barrier of the grid.
extern "C" __global__ void across_grid(unsigned* parts_data, unsigned* out, unsigned* counter_data, int steps) {
    const int n = blockDim.x, i = threadIdx.x, blocks = gridDim.x, b = blockIdx.x;
    auto parts = array(parts_data, 2, blocks, n);
    auto counter = array(counter_data, 1);
    unsigned sum = b * n + i;
    for (int step = 0; step < steps; ++step) {
        at_step(step);
        parts(step % 2, b, i) = sum % 1000;
        if (Size::without != 1) grid_barrier(counter, step + 1);
        for (int j = 0; j < blocks; ++j) sum += parts(step % 2, j, (i + 1) % n);
    }
    array(out, blocks, n)(b, i) = sum;
}
EXPORT_KERNEL(across_grid)
