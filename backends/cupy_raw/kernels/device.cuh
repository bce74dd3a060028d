// What the kernels use of CUDA, by one set of names with two implementations: the GPU's and the CPU emulator's.
// A kernel that includes this alone runs on both, and on the second every access and every barrier is checked.
#pragma once
#ifdef EMULATED
#include "emulated.cuh"
#else
#include "gpu.cuh"
#endif
