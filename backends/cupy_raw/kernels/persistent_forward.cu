// The whole sequence of one layer in one cooperative launch, both directions side by side.
//
// A block owns `units` hidden units, with all four gates of each, for `batch_slice` rows of the batch. Its rows of U stay in
// shared memory from the first step to the last, and so does its part of c: no partial sum crosses a block. What crosses is h,
// through y in the L2 cache: each block reads the whole of the step before, and writes its own units. W x is there already.
#include "cell.cuh"
#include "exchange.cuh"
#include "sequence.cuh"
#include "slice.cuh"

struct Size {
    SIZE(hidden)      // H, which is R: there is no projection here
    SIZE(directions)  // D
    SIZE(units)       // hidden units of a block
    SIZE(peepholes)   // 0 or 1
    SLICE_SIZES       // rows: 4 * units; depth: H
};

// Columns k_first .. k_first + k_count - 1 of h as step t finds it, for the block's rows of the batch.
template <class Operand, class Y, class H0, class Lengths>
__device__ __forceinline__ void stage_h(
    Operand operand, Y y, H0 h0, Lengths lengths, const Sequence& sequence, int t, int d, int b0, int batch, int k_first, int k_count
) {
    const int pieces = k_count / Size::vector;  // k_count is a multiple of it
    for (int place = threadIdx.x; place < Size::batch_slice * pieces; place += Size::threads) {
        const int row = place / pieces, k = place % pieces * Size::vector, b = b0 + row;
        if (b >= batch) continue;
        const int length = lengths(b);
        if (t >= length) continue;  // this row makes no step: whatever stands there meets nobody
        const bool first = sequence.is_first(t, length);
        if (Size::vector > 1) {
            constexpr int N = 16 / sizeof(storage);
            if (first) {
                copy_async<N>(&operand(row, k), &h0(d, b, k_first + k));
            } else {
                copy_async<N>(&operand(row, k), &y(sequence.before(t), b, d, k_first + k));
            }
        } else {
            operand(row, k) = first ? storage(h0(d, b, k_first + k)) : storage(y(sequence.before(t), b, d, k_first + k));
        }
    }
    copy_async_wait();
}

extern "C" __global__ void __launch_bounds__(SIZE_threads, 1) persistent_forward(
    const storage* u_data,         // [D, 4, H, H] the weights w_hh
    const real* bias_data,         // [D, 4, H] or null
    const storage* peephole_data,  // [D, 3, H] or null
    real* z_data,                  // [D, T, B, 4, H] in: W x; out, for training: the activated gates
    const storage* h0_data,        // [D, B, H]
    const storage* c0_data,        // [D, B, H]
    storage* y_data,               // [T, B, D, H]
    storage* h_n_data,             // [D, B, H]
    storage* c_n_data,             // [D, B, H]
    real* c_steps_data,            // [D, T, B, H] c of every step, for training; else null
    const int* lengths_data,       // [B]
    unsigned* flags_data,          // [D, batch slices, unit slices], all 0
    int steps, int batch, int training
) {
    const int d = blockIdx.z, u0 = blockIdx.x * Size::units, b0 = blockIdx.y * Size::batch_slice;
    const Exchange others = exchange(flags_data);
    const Sequence sequence{steps, d == 1};
    auto u = array(u_data, Size::directions, GATES, Size::hidden, Size::hidden);
    auto z = array(z_data + (long long)d * steps * batch * GATES * Size::hidden, steps, batch, GATES, Size::hidden);
    auto h0 = array(h0_data, Size::directions, batch, Size::hidden);
    auto c0 = array(c0_data, Size::directions, batch, Size::hidden);
    auto y = array(y_data, steps, batch, Size::directions, Size::hidden);
    auto lengths = array(lengths_data, batch);
    auto c_steps = array(c_steps_data, Size::directions, steps, batch, Size::hidden);

    Shared shared;
    auto slice = shared.take<storage>(Size::rows, Size::slice_stride);
    auto operand = shared.take<storage>(Size::batch_slice, Size::chunk_stride);
    auto partial = shared.take<real>(Size::splits, Size::rows, Size::batch_slice);
    auto c = shared.take<real>(Size::batch_slice, Size::units);
    auto h_last = shared.take<storage>(Size::batch_slice, Size::units);

    for (int place = threadIdx.x; place < Size::rows * Size::depth; place += Size::threads) {
        const int row = place / Size::depth, k = place % Size::depth, unit = u0 + row % Size::units;
        const bool there = row < GATES * Size::units && unit < Size::hidden && k < Size::hidden;
        slice(row, k) = there ? storage(u(d, row / Size::units, unit, k)) : to_storage(0);
    }
    for (int place = threadIdx.x; place < Size::batch_slice * Size::chunk; place += Size::threads) {
        operand(place / Size::chunk, place % Size::chunk) = to_storage(0);  // what is never staged must not be NaN
    }
    for (int place = threadIdx.x; place < Size::batch_slice * Size::units; place += Size::threads) {
        const int unit = u0 + place % Size::units, b = b0 + place / Size::units;
        if (unit >= Size::hidden || b >= batch) continue;
        c(place / Size::units, place % Size::units) = to_real(c0(d, b, unit));
        h_last(place / Size::units, place % Size::units) = h0(d, b, unit);
    }
    __syncthreads();

    for (int s = 0; s < steps; ++s) {
        at_step(s);
        const int t = sequence.time(s);
        if (s > 0) others.wait<Size>(s);
        for (int k0 = 0; k0 < Size::hidden; k0 += Size::chunk) {
            const int k_count = min(Size::chunk, Size::hidden - k0);
            stage_h(operand, y, h0, lengths, sequence, t, d, b0, batch, k0, k_count);
            __syncthreads();
            multiply_slice<Size>(slice, operand, partial, k0, min(Size::chunk, Size::depth - k0), k0 == 0);
            __syncthreads();
        }
        for (int place = threadIdx.x; place < Size::batch_slice * Size::units; place += Size::threads) {
            const int row = place % Size::units, unit = u0 + row, i = place / Size::units, b = b0 + i;
            if (unit >= Size::hidden || b >= batch) continue;
            if (t >= lengths(b)) {
                y(t, b, d, unit) = to_storage(0);
                continue;
            }
            Gates sum;
            sum.i = z(t, b, 0, unit) + whole<Size>(partial, row, i);
            sum.f = z(t, b, 1, unit) + whole<Size>(partial, Size::units + row, i);
            sum.g = z(t, b, 2, unit) + whole<Size>(partial, 2 * Size::units + row, i);
            sum.o = z(t, b, 3, unit) + whole<Size>(partial, 3 * Size::units + row, i);
            if (bias_data != nullptr) add_bias(sum, array(bias_data, Size::directions, GATES, Size::hidden), d, unit);
            Peepholes p{};
            if (Size::peepholes) p = peepholes_of(array(peephole_data, Size::directions, 3, Size::hidden), d, unit);
            real c_new;
            const Gates gates = cell_forward(sum, c(i, row), Size::peepholes, p, c_new);
            const storage h = to_storage(gates.o * tanh_(c_new));
            c(i, row) = c_new;
            h_last(i, row) = h;
            y(t, b, d, unit) = h;
            if (training) {
                z(t, b, 0, unit) = gates.i;
                z(t, b, 1, unit) = gates.f;
                z(t, b, 2, unit) = gates.g;
                z(t, b, 3, unit) = gates.o;
                c_steps(d, t, b, unit) = c_new;
            }
        }
        others.publish(s + 1);
    }

    auto h_n = array(h_n_data, Size::directions, batch, Size::hidden);
    auto c_n = array(c_n_data, Size::directions, batch, Size::hidden);
    for (int place = threadIdx.x; place < Size::batch_slice * Size::units; place += Size::threads) {
        const int row = place % Size::units, i = place / Size::units;
        if (u0 + row >= Size::hidden || b0 + i >= batch) continue;
        h_n(d, b0 + i, u0 + row) = h_last(i, row);
        c_n(d, b0 + i, u0 + row) = to_storage(c(i, row));
    }
}
EXPORT_KERNEL(persistent_forward)
