// How the blocks of a persistent kernel hand on what they have made: each says by a flag of its own which step it has
// finished, and waits for the flags of those whose work it reads. No block waits for one that it does not need.
//
// blockIdx.x is the slice of hidden units, .y the slice of the batch, .z the direction. Only blocks of one batch slice and one
// direction need each other. All blocks must be resident, so the launch is cooperative.
#pragma once
#include "device.cuh"

struct Exchange {
    Array1<unsigned> flags;  // [D, batch slices, unit slices], 0 at launch: the number of steps that a block has published
    int first;               // the flag of the first block of this group

    // Waits until every block of the group has published `steps` steps; then what they wrote is seen by the whole block.
    template <class Size>
    __device__ __forceinline__ void wait(int steps) const {
        for (int slice = threadIdx.x; slice < int(gridDim.x); slice += Size::threads) wait_acquire(flags, first + slice, steps);
        __syncthreads();
    }

    // Publishes what all threads of this block have written.
    __device__ __forceinline__ void publish(int steps) const {
        __syncthreads();
        if (threadIdx.x == 0) store_release(flags, first + int(blockIdx.x), steps);
    }
};

__device__ __forceinline__ Exchange exchange(unsigned* flags) {
    return {array(flags, int(gridDim.z * gridDim.y * gridDim.x)), int((blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x)};
}
