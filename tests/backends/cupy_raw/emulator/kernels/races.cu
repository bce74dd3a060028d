// Pairs of accesses that something must order. With Size::fault 0 it does; each fault takes that away.
#include "device.cuh"

struct Size {
    SIZE(fault)
};

// A warp hands a value from each lane to the next through shared memory.
extern "C" __global__ void lane_to_lane(int* out) {
    const int i = threadIdx.x, n = blockDim.x;
    Shared shared;
    auto values = shared.take<int>(n);
    values(i) = i;                                                        // left 1
    if (Size::fault == 0) __syncwarp();
    if (Size::fault == 1) __shfl_sync(0xffffffffu, i, 0);                 // a shuffle orders no memory
    const int other = i / 32 * 32 + (i + 1) % 32;
    array(out, n)(i) = values(other);                                     // right 1
}
EXPORT_KERNEL(lane_to_lane)

// Halves of a warp, each with a mask of its own; then all.
extern "C" __global__ void half_warps(int* out) {
    const int i = threadIdx.x, n = blockDim.x;
    const unsigned mine = lane() < 16 ? 0xffffu : 0xffff0000u;
    Shared shared;
    auto values = shared.take<int>(n);
    values(i) = i;                                                        // left 2
    __syncwarp(mine);
    int sum = values(i ^ 1);
    if (Size::fault == 0) __syncwarp();
    sum += values(i ^ 16);                                                // right 2
    array(out, n)(i) = sum;
}
EXPORT_KERNEL(half_warps)

// Three blocks, each of which hands on what the one before gave it: what the first wrote is seen by the last.
extern "C" __global__ void chain(int* value_data, unsigned* flags_data, int* out) {
    auto values = array(value_data, 64);
    auto flags = array(flags_data, 3);
    const int i = threadIdx.x, b = blockIdx.x;
    if (b == 0) {
        values(i) = i;                                                    // left 3
        __syncthreads();
        if (i == 0) store_release(flags, 0, 1);
    } else if (b == 1) {
        if (i == 40) {
            if (Size::fault == 1) wait_relaxed(flags, 0, 1);
            else wait_acquire(flags, 0, 1);
        }
        if (Size::fault != 2) __syncthreads();
        if (i == 3) {
            if (Size::fault == 3) store_relaxed(flags, 1, 1);
            else store_release(flags, 1, 1);
        }
        if (Size::fault == 2) __syncthreads();
    } else {
        if (i == 63) wait_acquire(flags, 1, 1);
        if (Size::fault != 4) __syncthreads();
        array(out, 64)(i) = values(63 - i);                               // right 3
    }
}
EXPORT_KERNEL(chain)

// A counter that all blocks add to, set to 0 beforehand by one thread.
extern "C" __global__ void counter(unsigned* counter_data, unsigned* flags_data, unsigned* out) {
    auto count = array(counter_data, 1);
    auto flags = array(flags_data, 1);
    const int i = threadIdx.x;
    if (blockIdx.x == 0 && i == 0) {
        count(0) = 0;                                                     // left 4
        store_release(flags, 0, 1);
    }
    if (i == 0 && Size::fault != 1) wait_acquire(flags, 0, 1);
    __syncthreads();
    atomic_add(count, 0, 1u);                                             // right 4, left 5
    if (Size::fault == 2 && i == 0) array(out, int(gridDim.x))(blockIdx.x) = count(0);  // right 5
}
EXPORT_KERNEL(counter)

// Flags are for flag accesses alone.
extern "C" __global__ void peek(unsigned* flags_data, unsigned* out) {
    auto flags = array(flags_data, 1);
    if (blockIdx.x == 0) {
        store_release(flags, 0, 1);                                       // left 6
    } else {
        if (Size::fault != 1) wait_acquire(flags, 0, 1);
        array(out, 1)(0) = flags(0);                                      // right 6
    }
}
EXPORT_KERNEL(peek)

// A block of a grid that is not cooperative writes where another reads.
extern "C" __global__ void neighbours(float* data, int count) {
    auto values = array(data, count);
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (Size::fault == 0) values(i) = values(i) + 1;
    if (Size::fault == 1) values(i) = values((i + 32) % count) + 1;       // left 7, right 7
}
EXPORT_KERNEL(neighbours)

// All read, one writes: before and after, a barrier.
extern "C" __global__ void one_writes(int* out, int steps) {
    const int i = threadIdx.x, n = blockDim.x;
    Shared shared;
    auto value = shared.take<int>(1);
    int sum = 0;
    if (i == 0) value(0) = 0;
    __syncthreads();
    for (int step = 0; step < steps; ++step) {
        at_step(step);
        sum += value(0);                                                  // left 8
        if (Size::fault != 1) __syncthreads();
        if (i == step) value(0) = step;                                   // right 8
        if (Size::fault != 2) __syncthreads();
    }
    array(out, n)(i) = sum;
}
EXPORT_KERNEL(one_writes)

// A thread waits by hand, reading a flag over and over.
extern "C" __global__ void spin(int* value_data, unsigned* flags_data, int* out) {
    auto values = array(value_data, int(blockDim.x));
    auto flags = array(flags_data, 1);
    const int i = threadIdx.x;
    if (blockIdx.x == 1) {
        values(i) = i;                                                    // left 9
        __syncthreads();
        if (i == 0 && Size::fault != 2) store_release(flags, 0, 1);
    } else {
        if (i == 0) {
            if (Size::fault == 1) {
                while (load_relaxed(flags, 0) < 1) {
                }
            } else {
                while (load_acquire(flags, 0) < 1) {                      // endless
                }
            }
        }
        __syncthreads();
        array(out, int(blockDim.x))(i) = values(i);                       // right 9
    }
}
EXPORT_KERNEL(spin)

// The same by atomics that add nothing, and a flag that is not there.
extern "C" __global__ void spin_by_atomics(unsigned* counter_data, unsigned* out) {
    auto count = array(counter_data, 1);
    if (threadIdx.x == 0) atomic_add(count, 0, 1u);
    if (Size::fault == 1) {
        while (load_acquire(count, 1) < gridDim.x) {                      // not there
        }
    }
    while (atomic_add(count, 0, 0u) < gridDim.x) {
    }
    array(out, int(gridDim.x), int(blockDim.x))(blockIdx.x, threadIdx.x) = 1;
}
EXPORT_KERNEL(spin_by_atomics)
