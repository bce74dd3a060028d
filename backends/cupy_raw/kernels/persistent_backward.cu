// Backpropagation through the whole sequence of one layer in one cooperative launch, both directions side by side.
//
// A block owns `units` hidden units for `batch_slice` rows of the batch. Its columns of U stay in shared memory, as does its
// part of the gradient of c. The blocks exchange dz, the gradient of W x + U h', through the L2 cache: the gradient of h' is
// U^T dz, a sum over all four gates of all units, of which each block computes its own `outputs` elements.
//
// With projection a step has two exchanges: every block reads dh of all blocks, and computes W_hr^T dh for its units from its
// columns of W_hr.
#include "persistent.cuh"

struct Recurrent : Size {
    PRODUCT_SIZES(recurrent)  // rows: outputs, K = 4 H
};
struct Projection : Size {
    PRODUCT_SIZES(projection)  // rows: units, K = P
};

extern "C" __global__ void __launch_bounds__(SIZE_threads, 1) persistent_backward(
    const storage* u_data,         // [D, 4 H, R] the weights w_hh
    const storage* w_hr_data,      // [D, P, H] or null
    const storage* peephole_data,  // [D, 3, H] or null
    const real* gates_data,        // [D, T, B, 4, H] activated
    const real* c_steps_data,      // [D, T, B, H]
    const storage* c0_data,        // [D, B, H]
    const real* grad_y_data,       // [T, B, D, R]
    const storage* grad_h_data,    // [D, B, R] of the final state
    const storage* grad_c_data,    // [D, B, H] of the final state
    storage* dz_data,              // [D, T, B, 4 H] 0 past a row's length
    storage* dh_data,              // [D, T, B, P] with projection the gradient of h, 0 past a row's length; else null
    storage* dh0_data,             // [D, B, R]
    storage* dc0_data,             // [D, B, H]
    const int* lengths_data,       // [B]
    unsigned* flags_data,          // [D, batch slices, unit slices], all 0
    int steps, int batch
) {
    const int d = blockIdx.z, b0 = blockIdx.y * Size::batch_slice;
    const int u0 = blockIdx.x * Size::units, j0 = blockIdx.x * Size::outputs;
    const int exchanges = Size::projected ? 2 : 1, width = GATES * Size::hidden;
    const long long direction = (long long)d * steps * batch;
    const Exchange others = exchange(flags_data);
    const Sequence sequence{steps, d == 1};
    auto u = array(u_data, Size::directions, width, Size::state);
    auto w_hr = array(w_hr_data, Size::directions, Size::state, Size::hidden);
    auto gates = array(gates_data + direction * width, steps, batch, GATES, Size::hidden);
    auto c_steps = array(c_steps_data, Size::directions, steps, batch, Size::hidden);
    auto c0 = array(c0_data, Size::directions, batch, Size::hidden);
    auto grad_y = array(grad_y_data, steps, batch, Size::directions, Size::state);
    auto grad_h = array(grad_h_data, Size::directions, batch, Size::state);
    auto grad_c = array(grad_c_data, Size::directions, batch, Size::hidden);
    auto dz = array(dz_data + direction * width, steps, batch, width);
    auto dh = array(dh_data, Size::directions, steps, batch, Size::state);
    auto dh0 = array(dh0_data, Size::directions, batch, Size::state);
    auto dc0 = array(dc0_data, Size::directions, batch, Size::hidden);
    auto lengths = array(lengths_data, batch);

    Shared shared;
    auto slice = shared.take<storage>(Recurrent::rows, Recurrent::stride);
    auto projection = shared.take<storage>(Projection::rows, Projection::stride);
    auto operand = shared.take<storage>(Size::batch_slice, Size::operand_stride);
    auto partial = shared.take<real>(Recurrent::splits, Recurrent::rows, Size::batch_slice);
    auto projected = shared.take<real>(Projection::splits, Projection::rows, Size::batch_slice);
    auto dc = shared.take<real>(Size::batch_slice, Size::units);

    fill_slice<Recurrent>(slice, [&](int row, int k) {
        const bool there = row < Size::outputs && j0 + row < Size::state;
        return there ? storage(u(d, k, j0 + row)) : to_storage(0);
    });
    if (Size::projected) {
        fill_slice<Projection>(projection, [&](int row, int k) {
            const bool there = row < Size::units && u0 + row < Size::hidden;
            return there ? storage(w_hr(d, k, u0 + row)) : to_storage(0);
        });
    }
    for (int place = threadIdx.x; place < Size::batch_slice * Size::operand_stride; place += Size::threads) {
        // padding rows are never staged but multiplied: they must not be NaN
        operand(place / Size::operand_stride, place % Size::operand_stride) = to_storage(0);
    }
    for (int place = threadIdx.x; place < Size::batch_slice * Size::units; place += Size::threads) {
        const int row = place % Size::units, i = place / Size::units;
        if (u0 + row < Size::hidden && b0 + i < batch) dc(i, row) = to_real(grad_c(d, b0 + i, u0 + row));
    }  // no barrier: until the first exchange, which has barriers, a thread reads only what it wrote itself

    for (int s = steps - 1; s >= -1; --s) {  // step -1 computes the gradients of the initial state
        at_step(s);
        const int done = steps - 1 - s;  // steps that are finished
        if (done > 0) {
            others.wait<Size>(exchanges * done);
            const int t_after = sequence.time(s + 1);
            staged_product<Recurrent>(slice, operand, partial, b0, batch, [&](int row, int b, int k, int column) {
                copy_piece<Recurrent>(operand(row, k), dz(t_after, b, column));
            });
        }
        if (s < 0) break;
        const int t = sequence.time(s);
        auto gradient_of_h = [&](int row, int i, int b, int j, int length) {
            const real later = sequence.is_last(t, length) ? to_real(grad_h(d, b, j)) : whole<Recurrent>(partial, row, i);
            return grad_y(t, b, d, j) + later;
        };
        for (int place = threadIdx.x; place < Size::batch_slice * Size::outputs; place += Size::threads) {
            const int row = place % Size::outputs, j = j0 + row, i = place / Size::outputs, b = b0 + i;
            if (j >= Size::state || b >= batch) continue;
            const int length = lengths(b);
            if (sequence.waits_at(t, length)) dh0(d, b, j) = to_storage(whole<Recurrent>(partial, row, i));
            if (Size::projected) dh(d, t, b, j) = t < length ? to_storage(gradient_of_h(row, i, b, j, length)) : to_storage(0);
        }
        if (Size::projected) {
            others.publish(exchanges * done + 1);
            others.wait<Size>(exchanges * done + 1);
            staged_product<Projection>(projection, operand, projected, b0, batch, [&](int row, int b, int k, int j) {
                copy_piece<Projection>(operand(row, k), dh(d, t, b, j));
            });
        }
        for (int place = threadIdx.x; place < Size::batch_slice * Size::units; place += Size::threads) {
            const int row = place % Size::units, unit = u0 + row, i = place / Size::units, b = b0 + i;
            if (unit >= Size::hidden || b >= batch) continue;
            const int length = lengths(b);
            if (t >= length) {
                for (int gate = 0; gate < GATES; ++gate) dz(t, b, gate * Size::hidden + unit) = to_storage(0);
                continue;
            }
            const real dm = Size::projected ? whole<Projection>(projected, row, i) : gradient_of_h(row, i, b, unit, length);
            const real c_before =
                sequence.is_first(t, length) ? to_real(c0(d, b, unit)) : real(c_steps(d, sequence.before(t), b, unit));
            Peepholes p{};
            if (Size::peepholes) p = peepholes_of(array(peephole_data, Size::directions, 3, Size::hidden), d, unit);
            real dc_now = dc(i, row);
            const Gates a{gates(t, b, 0, unit), gates(t, b, 1, unit), gates(t, b, 2, unit), gates(t, b, 3, unit)};
            const Gates found = cell_backward(a, c_before, c_steps(d, t, b, unit), Size::peepholes, p, dm, dc_now);
            dz(t, b, unit) = to_storage(found.i);
            dz(t, b, Size::hidden + unit) = to_storage(found.f);
            dz(t, b, 2 * Size::hidden + unit) = to_storage(found.g);
            dz(t, b, 3 * Size::hidden + unit) = to_storage(found.o);
            dc(i, row) = dc_now;
        }
        others.publish(exchanges * (done + 1));
    }

    // a row of length 0 passes the gradients of its final state on
    for (int place = threadIdx.x; place < Size::batch_slice * Size::units; place += Size::threads) {
        const int row = place % Size::units, unit = u0 + row, i = place / Size::units, b = b0 + i;
        if (unit >= Size::hidden || b >= batch) continue;
        dc0(d, b, unit) = lengths(b) == 0 ? storage(grad_c(d, b, unit)) : to_storage(dc(i, row));
    }
    for (int place = threadIdx.x; place < Size::batch_slice * Size::outputs; place += Size::threads) {
        const int row = place % Size::outputs, j = j0 + row, i = place / Size::outputs, b = b0 + i;
        if (j >= Size::state || b >= batch) continue;
        const int length = lengths(b);
        if (length == 0) {
            dh0(d, b, j) = storage(grad_h(d, b, j));
        } else if (sequence.is_first(sequence.time(0), length)) {
            dh0(d, b, j) = to_storage(whole<Recurrent>(partial, row, i));
        }
    }
}
EXPORT_KERNEL(persistent_backward)
