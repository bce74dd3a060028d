// Accesses to memory, right where Size::fault is 0. Each fault is that of one thread: 5 of block 1, at step 3.
#include "device.cuh"

struct Size {
    SIZE(fault)
};

__device__ __forceinline__ bool faulty(int fault) { return Size::fault == fault && blockIdx.x == 1 && threadIdx.x == 5; }

// to = from, [rows, columns], a thread for each element of a block's row.
extern "C" __global__ void copy_rows(const float* from_data, float* to_data, const float* absent_data, int rows, int columns) {
    auto from = array(from_data, rows, columns);
    auto to = array(to_data, rows, columns);
    Shared shared;
    auto tile = shared.take<float>(columns);
    const int row = blockIdx.x, column = threadIdx.x;
    at_step(3);
    float value = from(row, column);
    if (faulty(1)) value = from(row, columns);                                // fault 1
    if (faulty(2)) value = from(row - 2, column);                             // fault 2
    if (faulty(3)) value = from(row, column - 6);                             // fault 3
    if (faulty(4)) value = array(from_data, rows + 1, columns)(rows, 0);      // fault 4
    if (faulty(5)) value = array(absent_data, columns)(column);               // fault 5
    if (faulty(6)) to(rows, column) = value;                                  // fault 6
    if (faulty(7)) value = tile(column + 1);                                  // fault 7
    if (faulty(8)) value = to(row, column + 1);                               // fault 8
    if (faulty(9)) value = strided(from_data, rows, 2 * columns, columns, 1)(row + 1, column);  // fault 9
    if (faulty(10)) value = from(row, column - 6u);                           // fault 10
    if (faulty(11)) tile(columns) += 1;                                       // fault 11
    to(row, column) = value;
}
EXPORT_KERNEL(copy_rows)

// Writes only the even elements, then adds up all that it is asked to read.
extern "C" __global__ void every_second(float* data, float* sum_data, int count, int read_from, int read_to, int write) {
    auto values = array(data, count);
    if (write) {
        for (int i = 0; i < count; i += 2) values(i) = 1;
    }
    float sum = 0;
    for (int i = read_from; i < read_to; ++i) sum += values(i);
    array(sum_data, 1)(0) = sum;
}
EXPORT_KERNEL(every_second)

// Shared memory of a block is not what another block left there.
extern "C" __global__ void leftovers(float* sum_data, int blocks) {
    Shared shared;
    auto value = shared.take<float>(1);
    if (blockIdx.x == 0) value(0) = 1;
    array(sum_data, blocks)(blockIdx.x) = value(0);
}
EXPORT_KERNEL(leftovers)

// Two carves of the same bytes, as functions that each make their own `Shared` do.
extern "C" __global__ void carved_twice(float* out, int count) {
    const int i = threadIdx.x;
    {
        Shared shared;
        auto numbers = shared.take<float>(count);
        numbers(i) = i;
        if (Size::fault != 1) __syncthreads();
        array(out, 2, count)(0, i) = numbers(count - 1 - i);
    }
    if (Size::fault != 2) __syncthreads();
    {
        Shared shared;
        auto halves = shared.take<half>(2 * count);
        halves(2 * i) = half{(unsigned short)i};
        halves(2 * i + 1) = half{(unsigned short)i};
        __syncthreads();
        array(out, 2, count)(1, i) = half(halves(2 * (count - 1 - i))).bits;
    }
}
EXPORT_KERNEL(carved_twice)

extern "C" __global__ void carve(float* out, int count) {
    Shared shared;
    auto values = shared.take<float>(count);
    values(0) = 1;
    array(out, 1)(0) = values(0);
}
EXPORT_KERNEL(carve)

__device__ __attribute__((noinline)) int deep(int depth, float* out) {
    volatile char room[1024];
    room[depth % 1024] = char(depth);
    const int below = depth > 0 ? deep(depth - 1, out) : 0;
    __syncwarp();
    return below + room[depth % 1024];
}
extern "C" __global__ void recursion(float* out, int depth) {
    array(out, int(gridDim.x), int(blockDim.x))(blockIdx.x, threadIdx.x) = deep(depth, out);
}
EXPORT_KERNEL(recursion)
