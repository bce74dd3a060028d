// The part of CUDA that the kernels use, under one set of names with two implementations: the GPU's (gpu.cuh) and the CPU
// emulator's (emulator/device/emulated.cuh). A kernel that uses only these names runs on both. The emulator checks every access
// through a view: global arrays through array() or strided(), shared memory through Shared, flags and atomics through their
// functions. It does not check raw pointers and local arrays.
//
//     threadIdx blockIdx blockDim gridDim warpSize lane()          the thread; at_step(s) sets the step that findings name
//     SIZE SIZE_AS BOUND EXPORT_KERNEL                             compile-time constants on a GPU, variables in the emulator
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
