// How the blocks of a persistent kernel hand on what they have made: each says by a flag of its own how far it has come, and
// waits for the flags of those whose work it reads. No block waits for one that it does not need.
//
// blockIdx.x is the slice of hidden units, .y the slice of the batch, .z the direction. Only blocks of one batch slice and one
// direction need each other. All blocks must be resident, so the launch is cooperative.
#pragma once
#include "device.cuh"

struct Exchange {
    Array1<unsigned> flags;  // [D, batch slices, unit slices], 0 at launch: how often a block has published
    int first;               // the flag of the first block of this group

    // Waits until every block of the group has published `count` times; then the whole block sees what they wrote before.
    template <class Size>
    __device__ __forceinline__ void wait(int count) const {
        for (int slice = threadIdx.x; slice < int(gridDim.x); slice += Size::threads) wait_acquire(flags, first + slice, count);
        __syncthreads();
    }

    // Publishes, for the `count`-th time, what all threads of this block have written.
    __device__ __forceinline__ void publish(int count) const {
        __syncthreads();
        if (threadIdx.x == 0) store_release(flags, first + int(blockIdx.x), count);
    }
};

__device__ __forceinline__ Exchange exchange(unsigned* flags) {
    return {array(flags, int(gridDim.z * gridDim.y * gridDim.x)), int((blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x)};
}
