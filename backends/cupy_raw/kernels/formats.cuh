// Number formats, the same for both implementations of device.cuh: `storage` is the format of arrays, `real` that of the
// arithmetic. PRECISION_<name> is the precision that a kernel is compiled for.
#pragma once

struct half {
    unsigned short bits;
};
struct bfloat16 {
    unsigned short bits;
};

#if defined(PRECISION_float64)
using storage = double;
using real = double;
#elif defined(PRECISION_float16)
using storage = half;
using real = float;
#elif defined(PRECISION_bfloat16)
using storage = bfloat16;
using real = float;
#else
using storage = float;
using real = float;
#endif

// A lane's elements of one tile of matrix multiply-accumulate: C [16, 8] += A [16, MMA_DEPTH] B [MMA_DEPTH, 8]. Which elements
// these are: PTX ISA, "Matrix fragments for mma.m16n8k16" and "... mma.m16n8k8".
#if defined(PRECISION_float16) || defined(PRECISION_bfloat16)
#define HAS_MMA 1
constexpr int MMA_DEPTH = 16;
struct FragmentA {
    storage e[8];
};
struct FragmentB {
    storage e[4];
};
#elif defined(PRECISION_tf32)
#define HAS_MMA 1
constexpr int MMA_DEPTH = 8;
struct FragmentA {
    float e[4];
};
struct FragmentB {
    float e[2];
};
#else
#define HAS_MMA 0
#endif

#if HAS_MMA
struct Accumulator {
    float e[4];
};
#endif
