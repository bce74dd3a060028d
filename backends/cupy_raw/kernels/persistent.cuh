// What both persistent kernels are compiled for, and what they are made of.
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
    SIZE(outputs)     // elements of h of a block: its units without projection
    SIZE(peepholes)   // 0 or 1
    SIZE(projected)   // 0 or 1
    BLOCK_SIZES
};
