// The order of the steps of a direction. The reverse direction goes through the same arrays from the last step to the first. A
// row is updated at the times t < length; at the others its state stays as it is.
#pragma once
#include "device.cuh"

struct Sequence {
    int steps;      // T
    bool reverse;

    // The time of the s-th step of this direction.
    __device__ __forceinline__ int time(int s) const { return reverse ? steps - 1 - s : s; }
    // The time of the step before the one at t.
    __device__ __forceinline__ int before(int t) const { return reverse ? t + 1 : t - 1; }
    // Whether t is the time of the first, or the last, step of a row of this length.
    __device__ __forceinline__ bool is_first(int t, int length) const { return t == (reverse ? length - 1 : 0); }
    __device__ __forceinline__ bool is_last(int t, int length) const { return t == (reverse ? 0 : length - 1); }
    // Whether the row's first step comes right after the one at t: only in the reverse direction, where short rows start late.
    __device__ __forceinline__ bool waits_at(int t, int length) const { return reverse && length > 0 && t == length; }
};
