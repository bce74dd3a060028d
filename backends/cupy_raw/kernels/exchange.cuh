// The exchange between the blocks of a persistent kernel: each block has a flag that counts how often it has published results,
// and waits for the flags of the blocks whose results it reads.
//
// blockIdx.x is the slice of hidden units, .y the slice of the batch, .z the direction. Only blocks of the same batch slice and
// direction read each other's results. All blocks must be resident, so the launch is cooperative.
#pragma once
#include "device.cuh"

struct Exchange {
    Array1<unsigned> flags;  // [D, batch slices, unit slices], 0 at launch: the number of times a block has published
    int first;               // the flag of the first block of this group

    // Waits until every block of the group has published `count` times; all threads of this block then see what those wrote.
    template <class Size>
    __device__ __forceinline__ void wait(int count) const {
        for (int slice = threadIdx.x; slice < int(gridDim.x); slice += Size::threads) wait_acquire(flags, first + slice, count);
        __syncthreads();
    }

    // Publishes everything that the threads of this block have written, for the `count`-th time.
    __device__ __forceinline__ void publish(int count) const {
        __syncthreads();
        if (threadIdx.x == 0) store_release(flags, first + int(blockIdx.x), count);
    }
};

__device__ __forceinline__ Exchange exchange(unsigned* flags) {
    return {array(flags, int(gridDim.z * gridDim.y * gridDim.x)), int((blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x)};
}
