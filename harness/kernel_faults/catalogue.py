"""The faults: every barrier of the kernels taken out in turn, flags relaxed, guards off by one, reads before the write."""

from __future__ import annotations

from .fault import Fault

BARRIER = "__syncthreads();"
RACE = ("race",)
BOUNDS = ("out of bounds",)
UNWRITTEN = ("never written",)
TENSOR_CORES = {"precision": "float16", "batch": 9, "hidden": 20}
VECTORS = {"hidden": 12}
FORWARD, BACKWARD = "persistent_forward.cu", "persistent_backward.cu"

FAULTS = (
    # every barrier of the persistent kernels, in turn
    Fault("no-barrier-after-waiting", "exchange.cuh", BARRIER, "", "persistent", RACE),
    Fault("no-barrier-before-publishing", "exchange.cuh", BARRIER, "", "persistent", RACE, which=1),
    Fault("forward-no-barrier-after-set-up", FORWARD, BARRIER, "", "persistent", RACE, features=VECTORS),
    Fault("forward-no-barrier-after-staging", FORWARD, BARRIER, "", "persistent", RACE, which=1),
    Fault("forward-no-barrier-after-product", FORWARD, BARRIER, "", "persistent", RACE, which=2),
    Fault("backward-no-barrier-after-staging", BACKWARD, BARRIER, "", "persistent", RACE),
    Fault("backward-no-barrier-after-product", BACKWARD, BARRIER, "", "persistent", RACE, which=1),
    # what one block says to another
    Fault("flag-stored-relaxed", "exchange.cuh", "store_release(", "store_relaxed(", "persistent", RACE),
    Fault("flag-awaited-relaxed", "exchange.cuh", "wait_acquire(", "wait_relaxed(", "persistent", RACE),
    Fault(
        "waits-for-the-step-before", "exchange.cuh", "first + slice, steps)", "first + slice, steps - 1)", "persistent", RACE
    ),
    Fault(
        "one-producer-is-not-awaited",
        "exchange.cuh",
        "slice < int(gridDim.x)",
        "slice < int(gridDim.x) - 1",
        "persistent",
        RACE,
    ),
    Fault(
        "publishes-a-step-too-early",
        FORWARD,
        "others.publish(s + 1)",
        "others.publish(s + 2)",
        "persistent",
        (*RACE, *UNWRITTEN),
    ),
    Fault("publishes-too-little", FORWARD, "others.publish(s + 1)", "others.publish(s)", "persistent", ("deadlock",)),
    Fault("publishes-at-another-place", "exchange.cuh", "first + int(blockIdx.x)", "first", "persistent", (*RACE, "deadlock")),
    # asynchronous copies
    Fault("forward-copies-not-awaited", FORWARD, "copy_async_wait();", "", "persistent", ("in flight",), features=VECTORS),
    Fault("backward-copies-not-awaited", BACKWARD, "copy_async_wait();", "", "persistent", ("in flight",), features=VECTORS),
    Fault(
        "copies-of-rows-that-are-not-aligned",
        FORWARD,
        "k = place % pieces * Size::vector",
        "k = place % pieces * Size::vector + 1",
        "persistent",
        ("asynchronous copy", *BOUNDS),
        features=VECTORS,
    ),
    # what is read before it is written
    Fault(
        "operand-of-missing-rows-not-cleared",
        FORWARD,
        "operand(place / Size::chunk, place % Size::chunk) = to_storage(0);",
        "",
        "persistent",
        UNWRITTEN,
        features=TENSOR_CORES,
    ),
    Fault(
        "gates-without-a-product",
        BACKWARD,
        "sequence.is_last(t, length) ? to_real(grad_h(d, b, unit)) :",
        "",
        "persistent",
        UNWRITTEN,
    ),
    Fault(
        "state-not-loaded",
        FORWARD,
        "h_last(place / Size::units, place % Size::units) = h0(d, b, unit);",
        "",
        "persistent",
        UNWRITTEN,
        features={"ragged": True},
    ),
    # guards and tails of the persistent kernels
    Fault(
        "slice-of-units-past-the-end",
        FORWARD,
        "unit < Size::hidden && k < Size::hidden",
        "k < Size::hidden",
        "persistent",
        BOUNDS,
    ),
    Fault("tail-of-the-batch-unguarded", FORWARD, "if (b >= batch) continue;", "", "persistent", BOUNDS),
    Fault(
        "rows-off-by-one",
        FORWARD,
        "if (unit >= Size::hidden || b >= batch) continue;",
        "if (unit > Size::hidden || b >= batch) continue;",
        "persistent",
        BOUNDS,
        which=1,
    ),
    Fault("backward-tail-of-units-unguarded", BACKWARD, "u0 + row < Size::hidden && ", "", "persistent", BOUNDS),
    Fault(
        "reads-past-the-padding",
        FORWARD,
        "if (t >= length) continue;",
        "",
        "persistent",
        BOUNDS,
        features={"ragged": True, "bidirectional": True},
    ),
    Fault(
        "dz-of-the-padding-not-written",
        BACKWARD,
        "dz(t, b, gate * Size::hidden + unit) = to_storage(0);",
        ";",
        "persistent",
        UNWRITTEN,
        features={"ragged": True},
    ),
    # the matrix product
    Fault("gemm-no-barrier-after-staging", "gemm.cu", BARRIER, "", "stepwise", RACE),
    Fault("gemm-no-barrier-before-staging", "gemm.cu", BARRIER, "", "stepwise", RACE, which=1, features={"hidden": 40}),
    Fault(
        "gemm-half-of-the-threads-at-the-barrier",
        "gemm.cu",
        BARRIER,
        "if (threadIdx.x < 32) __syncthreads();",
        "stepwise",
        ("barrier",),
    ),
    Fault(
        "gemm-row-guard-off-by-one", "gemm.cu", "if (first_row + i < rows)", "if (first_row + i <= rows)", "stepwise", BOUNDS
    ),
    Fault("gemm-column-guard-off-by-one", "gemm.cu", "n < columns) c(i, n)", "n <= columns) c(i, n)", "stepwise", BOUNDS),
    Fault("gemm-tail-of-k-unguarded", "gemm.cu", "min(DEPTH, depth - k0)", "DEPTH", "stepwise", BOUNDS),
    # the other kernels
    Fault(
        "cells-guard-off-by-one",
        "stepwise_forward.cu",
        "place >= batch * Size::hidden",
        "place > batch * Size::hidden",
        "stepwise",
        BOUNDS,
    ),
    Fault(
        "cells-write-the-next-step",
        "stepwise_forward.cu",
        "(d, t, b, u) = c_new",
        "(d, t + 1, b, u) = c_new",
        "stepwise",
        BOUNDS,
    ),
    Fault(
        "first-step-reads-one-before", "stepwise_backward.cu", "sequence.is_first(t, length) ?", "false ?", "stepwise", BOUNDS
    ),
    Fault(
        "last-step-reads-the-product",
        "stepwise_backward.cu",
        "sequence.is_last(t, length) ? to_real(grad_h(d, b, j)) :",
        "",
        "stepwise",
        UNWRITTEN,
    ),
    Fault(
        "two-rows-write-one-place",
        "stepwise_forward.cu",
        "y(t, b, d, u) = out;",
        "y(t, 0, d, u) = out;",
        "stepwise",
        (*RACE, *UNWRITTEN),
    ),
    Fault(
        "projection-guard-off-by-one",
        "stepwise_forward.cu",
        "place >= batch * Size::state",
        "place > batch * Size::state",
        "stepwise",
        BOUNDS,
        features={"proj_size": 5},
    ),
    Fault("sums-no-barrier", "sums.cu", BARRIER, "", "stepwise", RACE),
    Fault("sums-shuffle-names-too-few-lanes", "sums.cu", "0xffffffffu", "0x00ffffffu", "stepwise", ("warp",)),
    Fault("sums-guard-off-by-one", "sums.cu", "row < rows; row", "row <= rows; row", "stepwise", BOUNDS),
    Fault("sums-tail-of-columns-unguarded", "sums.cu", " && place < columns", "", "stepwise", BOUNDS),
    Fault(
        "copy-guard-off-by-one",
        "copies.cu",
        "place >= (long long)rows * columns",
        "place > (long long)rows * columns",
        "stepwise",
        BOUNDS,
    ),
)
