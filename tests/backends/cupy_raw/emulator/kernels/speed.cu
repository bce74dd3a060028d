// Work to measure the emulator by: many switches, many accesses.
#include "device.cuh"

struct Size {};

extern "C" __global__ void barriers(int times) {
    for (int i = 0; i < times; ++i) __syncthreads();
}
EXPORT_KERNEL(barriers)

extern "C" __global__ void grid_barriers(unsigned* counter, int times) {
    for (int i = 0; i < times; ++i) grid_barrier(array(counter, 1), i + 1);
}
EXPORT_KERNEL(grid_barriers)

extern "C" __global__ void shuffles(int* out, int times) {
    int sum = threadIdx.x;
    for (int i = 0; i < times; ++i) sum += __shfl_xor_sync(0xffffffffu, sum, 1 << i % 5);
    array(out, int(blockDim.x * gridDim.x))(blockIdx.x * blockDim.x + threadIdx.x) = sum;
}
EXPORT_KERNEL(shuffles)

// Each block writes its own column and then adds up all columns: 1 write and `blocks` reads a thread and step.
extern "C" __global__ void exchanges(float* parts_data, float* out, unsigned* flags_data, int times) {
    const int n = blockDim.x, i = threadIdx.x, b = blockIdx.x, blocks = gridDim.x;
    auto parts = array(parts_data, 2, blocks, n);
    auto flags = array(flags_data, blocks);
    float sum = 1;
    for (int step = 0; step < times; ++step) {
        parts(step % 2, b, i) = sum;
        __syncthreads();
        if (i == 0) store_release(flags, b, step + 1);
        for (int j = i; j < blocks; j += n) wait_acquire(flags, j, step + 1);
        __syncthreads();
        for (int j = 0; j < blocks; ++j) sum += parts(step % 2, j, i);
    }
    array(out, blocks, n)(b, i) = sum;
}
EXPORT_KERNEL(exchanges)

// A matrix in global memory times a vector in shared memory: 2 reads a multiplication, all threads read the same vector.
extern "C" __global__ void multiply(const float* matrix_data, float* out, int columns, int times) {
    const int n = blockDim.x, i = threadIdx.x;
    auto matrix = array(matrix_data, columns, n);
    Shared shared;
    auto vector = shared.take<float>(columns);
    for (int k = i; k < columns; k += n) vector(k) = 1;
    __syncthreads();
    float sum = 0;
    for (int t = 0; t < times; ++t) {
        for (int k = 0; k < columns; ++k) sum = fma_(matrix(k, i), vector(k), sum);
        __syncthreads();
    }
    array(out, n)(i) = sum;
}
EXPORT_KERNEL(multiply)

// Each thread changes its own element of shared memory: a read and a write a time.
extern "C" __global__ void own_cells(float* out, int times) {
    const int n = blockDim.x, i = threadIdx.x;
    Shared shared;
    auto cells = shared.take<float>(n);
    cells(i) = 0;
    for (int t = 0; t < times; ++t) cells(i) += 1;
    array(out, n)(i) = cells(i);
}
EXPORT_KERNEL(own_cells)
