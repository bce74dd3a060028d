// What the kernels use of CUDA, by one set of names with two implementations: the GPU's (gpu.cuh) and the CPU emulator's.
// A kernel that includes this alone runs on both. On the second, what goes through a view is checked: a global array through
// array() or strided(), shared memory through Shared, flags and atomics through the functions for them. Raw pointers and local arrays are not.
//
//     threadIdx blockIdx blockDim gridDim warpSize lane()          where we are; at_step(s): which step findings name
//     SIZE SIZE_AS BOUND EXPORT_KERNEL                             sizes that a GPU's compiler knows and the emulator is told
//     storage real half bfloat16 to_real to_storage                number formats (formats.cuh)
//     exp_ tanh_ fma_ min max                                      arithmetic
//     array strided Shared::take                                   views
//     __syncthreads __syncwarp grid_barrier cluster_barrier        barriers
//     __shfl_sync __shfl_up_sync __shfl_down_sync __shfl_xor_sync __ballot_sync __any_sync __all_sync
//     store_release store_relaxed load_acquire load_relaxed wait_acquire wait_relaxed atomic_add
//     cluster_rank cluster_size neighbour                          another block's shared memory
//     copy_async copy_async_wait                                   from global to shared memory
//     HAS_MMA MMA_DEPTH FragmentA FragmentB Accumulator mma        tensor cores
#pragma once
#ifdef EMULATED
#include "emulated.cuh"
#else
#include "gpu.cuh"
#endif
