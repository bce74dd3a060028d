// Headers and compile-time sizes that both persistent kernels share. plan/slices.py computes the sizes.
#pragma once
#include "cell.cuh"
#include "exchange.cuh"
#include "sequence.cuh"
#include "slice.cuh"

struct Size {
    SIZE(hidden)      // H
    SIZE(state)       // R: P with projection, else H
    SIZE(directions)  // D
    SIZE(units)       // hidden units of a block
    SIZE(outputs)     // elements of h that a block makes: its units without projection
    SIZE(peepholes)   // 0 or 1
    SIZE(projected)   // 0 or 1
    BLOCK_SIZES
};
