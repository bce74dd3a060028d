// Barriers and warp operations, right where Size::fault is 0.
#include "device.cuh"

struct Size {
    SIZE(fault)
};

extern "C" __global__ void block_barriers(int* out, unsigned* flags_data) {
    const int i = threadIdx.x, n = blockDim.x;
    auto flags = array(flags_data, 1);
    if (Size::fault == 1 && i == 7) return;
    if (Size::fault == 2 && i == 7) {
        __syncthreads();                                  // the other barrier
    } else {
        if (Size::fault == 3 && i == 7) wait_acquire(flags, 0, 1);  // never set
        if (Size::fault == 4 && lane() < 16) __shfl_sync(0xffffffffu, i, 0);  // half a warp
        __syncthreads();                                  // the barrier
    }
    if (Size::fault == 5 && i == 7) __syncthreads();      // one alone
    array(out, n)(i) = i;
}
EXPORT_KERNEL(block_barriers)

extern "C" __global__ void grid_barriers(int* out, unsigned* counter_data) {
    auto counter = array(counter_data, 1);
    const int b = blockIdx.x;
    if (Size::fault == 1 && b == 2) return;
    if (Size::fault == 2 && b == 2) {
        __syncthreads();
    } else {
        grid_barrier(counter, 1);                         // the first
    }
    grid_barrier(counter, Size::fault == 3 ? 3 : 2);      // the second
    if (threadIdx.x == 0) array(out, int(gridDim.x))(b) = b;
}
EXPORT_KERNEL(grid_barriers)

extern "C" __global__ void waiting(unsigned* flags_data) {
    auto flags = array(flags_data, 4);
    if (blockIdx.x == 0) {
        if (threadIdx.x == 0) {
            wait_acquire(flags, 2, 5);                    // waits for 2
            store_release(flags, 3, 1);
        }
    } else if (threadIdx.x == 9) {
        if (Size::fault == 1) wait_acquire(flags, 3, 1);  // waits for 3
        store_release(flags, 2, Size::fault == 2 ? 4 : 5);
        wait_acquire(flags, 3, 1);
    }
}
EXPORT_KERNEL(waiting)

extern "C" __global__ void shuffles(int* out) {
    const int i = threadIdx.x, n = blockDim.x, l = lane();
    int sum = i;
    for (int by = 16; by > 0; by /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, by);
    if (Size::fault == 1 && l == 9) return;
    if (Size::fault == 2 && l == 9) sum += __shfl_sync(0xffff0000u, i, 20);   // not in its own mask
    if (Size::fault == 3 && l < 16) sum += __shfl_sync(0x0000ffffu, i, 20);   // from outside of the mask
    if (Size::fault == 5 && l != 9) sum += __shfl_sync(0xffffffffu, i, 0);    // lane 9 never comes
    if (Size::fault == 6) {
        if (l == 9) __any_sync(0xffffffffu, 1);                               // a vote
        else __syncwarp();                                                    // and a barrier
    }
    sum += __shfl_down_sync(0xffffffffu, i, 1);                               // all lanes
    array(out, n)(i) = sum;
}
EXPORT_KERNEL(shuffles)

// The last warp has fewer than 32 lanes: a mask may name the others, but nothing comes from them.
extern "C" __global__ void partial_warp(int* out) {
    const int i = threadIdx.x, n = blockDim.x;
    __syncwarp();
    int sum = __shfl_sync(0xffffffffu, i, 3) + __any_sync(0xffffffffu, i == n - 1);
    if (Size::fault == 1) sum += __shfl_sync(0xffffffffu, i, 20);  // no such lane
    array(out, n)(i) = sum;
}
EXPORT_KERNEL(partial_warp)

// Every kind of shuffle and vote, for comparison with numpy: out[kind][thread].
extern "C" __global__ void all_kinds(float* out_data, double* wide_data, unsigned* votes_data) {
    const int i = threadIdx.x, n = blockDim.x;
    auto out = array(out_data, 8, n);
    auto votes = array(votes_data, 4, n);
    const unsigned all = 0xffffffffu, own = lane() < 8 ? 0xffu : lane() < 20 ? 0xfff00u : 0xfff00000u;
    const float value = i * 0.5f;
    out(0, i) = __shfl_sync(all, value, 5);
    out(1, i) = __shfl_sync(all, value, (lane() * 7) % 32);
    out(2, i) = __shfl_up_sync(all, value, 3);
    out(3, i) = __shfl_down_sync(all, value, 3);
    out(4, i) = __shfl_xor_sync(all, value, 13);
    out(5, i) = __shfl_sync(all, value, 3, 8);
    out(6, i) = __shfl_down_sync(all, value, 3, 8);
    out(7, i) = __shfl_up_sync(all, value, 3, 8);
    array(wide_data, n)(i) = __shfl_xor_sync(all, 1.0 / (i + 1), 1);
    votes(0, i) = __ballot_sync(own, i % 3 == 0);
    votes(1, i) = unsigned(__any_sync(own, i % 32 == 31));
    votes(2, i) = unsigned(__all_sync(own, i % 32 < 20));
    votes(3, i) = __ballot_sync(all, i % 5 == 0);
}
EXPORT_KERNEL(all_kinds)
