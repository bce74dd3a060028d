"""The planted kernel faults: each barrier removed in turn, flags relaxed, guards off by one, reads before the write."""

from __future__ import annotations

from .fault import KernelFault

BARRIER = "__syncthreads();"
RACE = ("race",)
BOUNDS = ("out of bounds",)
UNWRITTEN = ("never written",)
TENSOR_CORES = {"precision": "float16", "batch": 9, "hidden": 20}
VECTORS = {"hidden": 12}
PROJECTED = {"proj_size": 5}
RAGGED = {"ragged": True}
FORWARD, BACKWARD = "persistent_forward.cu", "persistent_backward.cu"
WAIT_FORWARD = "others.wait<Size>(exchanges * s + 1);"
WAIT_BACKWARD = "others.wait<Size>(exchanges * done + 1);"

FAULTS = (
    # every barrier of the persistent kernels, in turn
    KernelFault("no-barrier-after-waiting", "exchange.cuh", BARRIER, "", "persistent", RACE),
    KernelFault("no-barrier-before-publishing", "exchange.cuh", BARRIER, "", "persistent", RACE, which=1),
    KernelFault("no-barrier-after-staging", "slice.cuh", BARRIER, "", "persistent", RACE),
    KernelFault("no-barrier-after-product", "slice.cuh", BARRIER, "", "persistent", RACE, which=1),
    KernelFault("forward-no-barrier-after-set-up", FORWARD, BARRIER, "", "persistent", RACE, features=VECTORS),
    # synchronization between blocks
    KernelFault("flag-stored-relaxed", "exchange.cuh", "store_release(", "store_relaxed(", "persistent", RACE),
    KernelFault("flag-awaited-relaxed", "exchange.cuh", "wait_acquire(", "wait_relaxed(", "persistent", RACE),
    KernelFault("waits-for-the-exchange-before", "exchange.cuh", "slice, count)", "slice, count - 1)", "persistent", RACE),
    KernelFault(
        "one-producer-is-not-awaited",
        "exchange.cuh",
        "slice < int(gridDim.x)",
        "slice < int(gridDim.x) - 1",
        "persistent",
        RACE,
    ),
    KernelFault(
        "publishes-too-early",
        FORWARD,
        "others.publish(exchanges * (s + 1))",
        "others.publish(exchanges * (s + 2))",
        "persistent",
        (*RACE, *UNWRITTEN),
    ),
    KernelFault(
        "publishes-too-little",
        FORWARD,
        "others.publish(exchanges * (s + 1))",
        "others.publish(exchanges * s)",
        "persistent",
        ("deadlock",),
    ),
    KernelFault(
        "publishes-at-another-place", "exchange.cuh", "first + int(blockIdx.x)", "first", "persistent", (*RACE, "deadlock")
    ),
    KernelFault("forward-projects-without-waiting", FORWARD, WAIT_FORWARD, "", "persistent", RACE, features=PROJECTED),
    KernelFault("backward-projects-without-waiting", BACKWARD, WAIT_BACKWARD, "", "persistent", RACE, features=PROJECTED),
    KernelFault(
        "one-buffer-for-all-steps",
        FORWARD,
        "kept = training ? s : 0",
        "kept = 0",
        "persistent",
        UNWRITTEN,
        features=PROJECTED,
    ),
    # asynchronous copies
    KernelFault("copies-not-awaited", "slice.cuh", "copy_async_wait();", "", "persistent", ("in flight",), features=VECTORS),
    KernelFault(
        "copies-of-pieces-that-are-not-aligned",
        "slice.cuh",
        "k = place % pieces * Size::vector",
        "k = place % pieces * Size::vector + 1",
        "persistent",
        ("asynchronous copy", *BOUNDS),
        features=VECTORS,
    ),
    # what is read before it is written
    KernelFault(
        "operand-of-missing-rows-not-cleared",
        FORWARD,
        "operand(place / Size::operand_stride, place % Size::operand_stride) = to_storage(0);",
        "",
        "persistent",
        UNWRITTEN,
        features=TENSOR_CORES,
    ),
    KernelFault(
        "last-step-without-the-final-state",
        BACKWARD,
        "sequence.is_last(t, length) ? to_real(grad_h(d, b, j)) :",
        "",
        "persistent",
        UNWRITTEN,
    ),
    KernelFault(
        "state-not-loaded", FORWARD, "h_last(i, row) = h0(d, b0 + i, j0 + row);", ";", "persistent", UNWRITTEN, features=RAGGED
    ),
    KernelFault(
        "dz-of-the-padding-not-written",
        BACKWARD,
        "dz(t, b, gate * Size::hidden + unit) = to_storage(0);",
        ";",
        "persistent",
        UNWRITTEN,
        features=RAGGED,
    ),
    # guards and tails of the persistent kernels
    KernelFault("units-of-u-unguarded", FORWARD, " && unit < Size::hidden;", ";", "persistent", BOUNDS),
    KernelFault("outputs-of-u-unguarded", BACKWARD, " && j0 + row < Size::state;", ";", "persistent", BOUNDS),
    KernelFault("tail-of-the-batch-unguarded", "slice.cuh", "if (b0 + row < batch) copy", "copy", "persistent", BOUNDS),
    KernelFault("units-off-by-one", FORWARD, "if (unit >= Size::hidden ||", "if (unit > Size::hidden ||", "persistent", BOUNDS),
    KernelFault(
        "outputs-off-by-one",
        BACKWARD,
        "if (j >= Size::state ||",
        "if (j > Size::state ||",
        "persistent",
        BOUNDS,
        features=PROJECTED,
    ),
    KernelFault(
        "reads-past-the-padding",
        FORWARD,
        "if (t >= length) return;",
        "",
        "persistent",
        BOUNDS,
        features={"ragged": True, "bidirectional": True},
    ),
    KernelFault(
        "tail-of-k-unguarded",
        "slice.cuh",
        "k < Size::width ? weight(row, k) : to_storage(0)",
        "weight(row, k)",
        "persistent",
        BOUNDS,
        features=TENSOR_CORES,
    ),
    # the matrix product
    KernelFault("gemm-no-barrier-after-staging", "gemm.cu", BARRIER, "", "stepwise", RACE),
    KernelFault("gemm-no-barrier-before-staging", "gemm.cu", BARRIER, "", "stepwise", RACE, which=1, features={"hidden": 40}),
    KernelFault(
        "gemm-half-of-the-threads-at-the-barrier",
        "gemm.cu",
        BARRIER,
        "if (threadIdx.x < 32) __syncthreads();",
        "stepwise",
        ("barrier",),
    ),
    KernelFault(
        "gemm-row-guard-off-by-one", "gemm.cu", "if (first_row + i < rows)", "if (first_row + i <= rows)", "stepwise", BOUNDS
    ),
    KernelFault("gemm-column-guard-off-by-one", "gemm.cu", "n < columns) c(i, n)", "n <= columns) c(i, n)", "stepwise", BOUNDS),
    KernelFault("gemm-tail-of-k-unguarded", "gemm.cu", "min(DEPTH, depth - k0)", "DEPTH", "stepwise", BOUNDS),
    # the other kernels
    KernelFault(
        "cells-guard-off-by-one",
        "stepwise_forward.cu",
        "place >= batch * Size::hidden",
        "place > batch * Size::hidden",
        "stepwise",
        BOUNDS,
    ),
    KernelFault(
        "cells-write-the-next-step",
        "stepwise_forward.cu",
        "(d, t, b, u) = c_new",
        "(d, t + 1, b, u) = c_new",
        "stepwise",
        BOUNDS,
    ),
    KernelFault(
        "first-step-reads-one-before", "stepwise_backward.cu", "sequence.is_first(t, length) ?", "false ?", "stepwise", BOUNDS
    ),
    KernelFault(
        "last-step-reads-the-product",
        "stepwise_backward.cu",
        "sequence.is_last(t, length) ? to_real(grad_h(d, b, j)) :",
        "",
        "stepwise",
        UNWRITTEN,
    ),
    KernelFault(
        "two-rows-write-one-place",
        "stepwise_forward.cu",
        "y(t, b, d, u) = out;",
        "y(t, 0, d, u) = out;",
        "stepwise",
        (*RACE, *UNWRITTEN),
    ),
    KernelFault(
        "projection-guard-off-by-one",
        "stepwise_forward.cu",
        "place >= batch * Size::state",
        "place > batch * Size::state",
        "stepwise",
        BOUNDS,
        features={"proj_size": 5},
    ),
    KernelFault("sums-no-barrier", "sums.cu", BARRIER, "", "stepwise", RACE),
    KernelFault("sums-shuffle-names-too-few-lanes", "sums.cu", "0xffffffffu", "0x00ffffffu", "stepwise", ("warp",)),
    KernelFault("sums-guard-off-by-one", "sums.cu", "row < rows; row", "row <= rows; row", "stepwise", BOUNDS),
    KernelFault("sums-tail-of-columns-unguarded", "sums.cu", " && place < columns", "", "stepwise", BOUNDS),
    KernelFault(
        "copy-guard-off-by-one",
        "copies.cu",
        "place >= (long long)rows * columns",
        "place > (long long)rows * columns",
        "stepwise",
        BOUNDS,
    ),
)
