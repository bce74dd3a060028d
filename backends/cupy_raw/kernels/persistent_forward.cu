// The whole sequence of one layer in one cooperative launch, both directions side by side.
//
// A block owns `units` hidden units, with all four gates of each, for `batch_slice` rows of the batch. Its rows of U stay in
// shared memory from the first step to the last, as does its part of c, so no partial sum crosses a block. The blocks exchange
// h through y in the L2 cache: each reads all of the step before, and writes its own units. W x is computed before the launch.
//
// With projection a step has two exchanges: of o tanh(c), then of h, of which a block computes `outputs` elements from W_hr.
#include "persistent.cuh"

struct Recurrent : Size {
    PRODUCT_SIZES(recurrent)  // rows: 4 units, K = R
};
struct Projection : Size {
    PRODUCT_SIZES(projection)  // rows: outputs, K = H
};

extern "C" __global__ void __launch_bounds__(SIZE_threads, 1) persistent_forward(
    const storage* u_data,         // [D, 4, H, R] the weights w_hh
    const storage* w_hr_data,      // [D, P, H] or null
    const real* bias_data,         // [D, 4, H] or null
    const storage* peephole_data,  // [D, 3, H] or null
    real* z_data,                  // [D, T, B, 4, H] in: W x; out, for training: the activated gates
    const storage* h0_data,        // [D, B, R]
    const storage* c0_data,        // [D, B, H]
    storage* y_data,               // [T, B, D, R]
    storage* h_n_data,             // [D, B, R]
    storage* c_n_data,             // [D, B, H]
    real* c_steps_data,            // [D, T, B, H] c of every step, for training; else null
    storage* unprojected_data,     // with projection o tanh(c): [T, D, B, H] by step for training, else [1, D, B, H]; else null
    const int* lengths_data,       // [B]
    unsigned* flags_data,          // [D, batch slices, unit slices], all 0
    int steps, int batch, int training
) {
    const int d = blockIdx.z, b0 = blockIdx.y * Size::batch_slice;
    const int u0 = blockIdx.x * Size::units, j0 = blockIdx.x * Size::outputs;
    const int exchanges = Size::projected ? 2 : 1;
    const Exchange others = exchange(flags_data);
    const Sequence sequence{steps, d == 1};
    auto u = array(u_data, Size::directions, GATES, Size::hidden, Size::state);
    auto w_hr = array(w_hr_data, Size::directions, Size::state, Size::hidden);
    auto z = array(z_data + (long long)d * steps * batch * GATES * Size::hidden, steps, batch, GATES, Size::hidden);
    auto h0 = array(h0_data, Size::directions, batch, Size::state);
    auto c0 = array(c0_data, Size::directions, batch, Size::hidden);
    auto y = array(y_data, steps, batch, Size::directions, Size::state);
    auto lengths = array(lengths_data, batch);
    auto c_steps = array(c_steps_data, Size::directions, steps, batch, Size::hidden);
    auto unprojected = array(unprojected_data, training ? steps : 1, Size::directions, batch, Size::hidden);

    Shared shared;
    auto slice = shared.take<storage>(Recurrent::rows, Recurrent::stride);
    auto projection = shared.take<storage>(Projection::rows, Projection::stride);
    auto operand = shared.take<storage>(Size::batch_slice, Size::operand_stride);
    auto partial = shared.take<real>(Recurrent::splits, Recurrent::rows, Size::batch_slice);
    auto projected = shared.take<real>(Projection::splits, Projection::rows, Size::batch_slice);
    auto c = shared.take<real>(Size::batch_slice, Size::units);
    auto h_last = shared.take<storage>(Size::batch_slice, Size::outputs);

    fill_slice<Recurrent>(slice, [&](int row, int k) {
        const int unit = u0 + row % Size::units;
        const bool there = row < GATES * Size::units && unit < Size::hidden;
        return there ? storage(u(d, row / Size::units, unit, k)) : to_storage(0);
    });
    if (Size::projected) {
        fill_slice<Projection>(projection, [&](int row, int k) {
            const bool there = row < Size::outputs && j0 + row < Size::state;
            return there ? storage(w_hr(d, j0 + row, k)) : to_storage(0);
        });
    }
    for (int place = threadIdx.x; place < Size::batch_slice * Size::operand_stride; place += Size::threads) {
        // padding rows are never staged but multiplied: they must not be NaN
        operand(place / Size::operand_stride, place % Size::operand_stride) = to_storage(0);
    }
    for (int place = threadIdx.x; place < Size::batch_slice * Size::units; place += Size::threads) {
        const int row = place % Size::units, i = place / Size::units;
        if (u0 + row < Size::hidden && b0 + i < batch) c(i, row) = to_real(c0(d, b0 + i, u0 + row));
    }
    for (int place = threadIdx.x; place < Size::batch_slice * Size::outputs; place += Size::threads) {
        const int row = place % Size::outputs, i = place / Size::outputs;
        if (j0 + row < Size::state && b0 + i < batch) h_last(i, row) = h0(d, b0 + i, j0 + row);
    }
    __syncthreads();

    for (int s = 0; s < steps; ++s) {
        at_step(s);
        const int t = sequence.time(s), kept = training ? s : 0;
        if (s > 0) others.wait<Size>(exchanges * s);
        staged_product<Recurrent>(slice, operand, partial, b0, batch, [&](int row, int b, int k, int j) {
            const int length = lengths(b);
            if (t >= length) return;  // the padding row is multiplied, but its result is never read
            if (sequence.is_first(t, length)) {
                copy_piece<Recurrent>(operand(row, k), h0(d, b, j));
            } else {
                copy_piece<Recurrent>(operand(row, k), y(sequence.before(t), b, d, j));
            }
        });
        for (int place = threadIdx.x; place < Size::batch_slice * Size::units; place += Size::threads) {
            const int row = place % Size::units, unit = u0 + row, i = place / Size::units, b = b0 + i;
            if (unit >= Size::hidden || b >= batch) continue;
            if (t >= lengths(b)) {
                if (Size::projected) {
                    unprojected(kept, d, b, unit) = to_storage(0);
                } else {
                    y(t, b, d, unit) = to_storage(0);
                }
                continue;
            }
            Gates sum;
            sum.i = z(t, b, 0, unit) + whole<Recurrent>(partial, row, i);
            sum.f = z(t, b, 1, unit) + whole<Recurrent>(partial, Size::units + row, i);
            sum.g = z(t, b, 2, unit) + whole<Recurrent>(partial, 2 * Size::units + row, i);
            sum.o = z(t, b, 3, unit) + whole<Recurrent>(partial, 3 * Size::units + row, i);
            if (bias_data != nullptr) add_bias(sum, array(bias_data, Size::directions, GATES, Size::hidden), d, unit);
            Peepholes p{};
            if (Size::peepholes) p = peepholes_of(array(peephole_data, Size::directions, 3, Size::hidden), d, unit);
            real c_new;
            const Gates gates = cell_forward(sum, c(i, row), Size::peepholes, p, c_new);
            const storage out = to_storage(gates.o * tanh_(c_new));
            c(i, row) = c_new;
            if (Size::projected) {
                unprojected(kept, d, b, unit) = out;
            } else {
                h_last(i, row) = out;
                y(t, b, d, unit) = out;
            }
            if (training) {
                z(t, b, 0, unit) = gates.i;
                z(t, b, 1, unit) = gates.f;
                z(t, b, 2, unit) = gates.g;
                z(t, b, 3, unit) = gates.o;
                c_steps(d, t, b, unit) = c_new;
            }
        }
        if (Size::projected) {
            others.publish(exchanges * s + 1);
            others.wait<Size>(exchanges * s + 1);
            staged_product<Projection>(projection, operand, projected, b0, batch, [&](int row, int b, int k, int unit) {
                copy_piece<Projection>(operand(row, k), unprojected(kept, d, b, unit));
            });
            for (int place = threadIdx.x; place < Size::batch_slice * Size::outputs; place += Size::threads) {
                const int row = place % Size::outputs, j = j0 + row, i = place / Size::outputs, b = b0 + i;
                if (j >= Size::state || b >= batch) continue;
                const bool valid = t < lengths(b);
                const storage h = valid ? to_storage(whole<Projection>(projected, row, i)) : to_storage(0);
                if (valid) h_last(i, row) = h;
                y(t, b, d, j) = h;
            }
        }
        others.publish(exchanges * (s + 1));
    }

    auto h_n = array(h_n_data, Size::directions, batch, Size::state);
    auto c_n = array(c_n_data, Size::directions, batch, Size::hidden);
    for (int place = threadIdx.x; place < Size::batch_slice * Size::units; place += Size::threads) {
        const int row = place % Size::units, i = place / Size::units;
        if (u0 + row < Size::hidden && b0 + i < batch) c_n(d, b0 + i, u0 + row) = to_storage(c(i, row));
    }
    for (int place = threadIdx.x; place < Size::batch_slice * Size::outputs; place += Size::threads) {
        const int row = place % Size::outputs, i = place / Size::outputs;
        if (j0 + row < Size::state && b0 + i < batch) h_n(d, b0 + i, j0 + row) = storage(h_last(i, row));
    }
}
EXPORT_KERNEL(persistent_forward)
