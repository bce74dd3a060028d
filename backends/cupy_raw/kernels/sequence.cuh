// Which steps a direction goes through, and where a row's state comes from. The reverse direction reads the same arrays from
// their last step to their first; a row takes part in the steps below its length and stands still in the others.
#pragma once
#include "device.cuh"

struct Sequence {
    int steps;      // T
    bool reverse;

    // The time of the s-th step that this direction makes.
    __device__ __forceinline__ int time(int s) const { return reverse ? steps - 1 - s : s; }
    // The time of the step before the one at t.
    __device__ __forceinline__ int before(int t) const { return reverse ? t + 1 : t - 1; }
    // Where a row of this length makes its first and its last step.
    __device__ __forceinline__ bool is_first(int t, int length) const { return t == (reverse ? length - 1 : 0); }
    __device__ __forceinline__ bool is_last(int t, int length) const { return t == (reverse ? 0 : length - 1); }
    // Whether a row that stands still at t makes its first step right after: in the reverse direction, where rows start late.
    __device__ __forceinline__ bool waits_at(int t, int length) const { return reverse && length > 0 && t == length; }
};
