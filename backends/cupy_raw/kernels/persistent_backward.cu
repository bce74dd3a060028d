// Backpropagation through the whole sequence of one layer in one cooperative launch, both directions side by side.
//
// A block owns `units` hidden units for `batch_slice` rows of the batch. Its columns of U stay in shared memory, and so does its
// part of the gradient of c. What crosses blocks is dz, the gradient of W x + U h', through the L2 cache: the gradient of h' is
// U^T dz, a sum over all four gates of all units, which each block makes for its own.
#include "cell.cuh"
#include "exchange.cuh"
#include "sequence.cuh"
#include "slice.cuh"

struct Size {
    SIZE(hidden)      // H, which is R: there is no projection here
    SIZE(directions)  // D
    SIZE(units)       // hidden units of a block
    SIZE(peepholes)   // 0 or 1
    SLICE_SIZES       // rows: units; depth: 4 H
};

// Columns k_first .. k_first + k_count - 1 of dz at time t, for the block's rows of the batch.
template <class Operand, class Dz>
__device__ __forceinline__ void stage_dz(Operand operand, Dz dz, int t, int b0, int batch, int k_first, int k_count) {
    const int pieces = k_count / Size::vector;  // k_count is a multiple of it
    for (int place = threadIdx.x; place < Size::batch_slice * pieces; place += Size::threads) {
        const int row = place / pieces, k = place % pieces * Size::vector, b = b0 + row;
        if (b >= batch) continue;
        if (Size::vector > 1) {
            copy_async<16 / sizeof(storage)>(&operand(row, k), &dz(t, b, k_first + k));
        } else {
            operand(row, k) = storage(dz(t, b, k_first + k));
        }
    }
    copy_async_wait();
}

extern "C" __global__ void __launch_bounds__(SIZE_threads, 1) persistent_backward(
    const storage* u_data,         // [D, 4 H, H] the weights w_hh
    const storage* peephole_data,  // [D, 3, H] or null
    const real* gates_data,        // [D, T, B, 4, H] activated
    const real* c_steps_data,      // [D, T, B, H]
    const storage* c0_data,        // [D, B, H]
    const real* grad_y_data,       // [T, B, D, H]
    const storage* grad_h_data,    // [D, B, H] of the final state
    const storage* grad_c_data,    // [D, B, H] of the final state
    storage* dz_data,              // [D, T, B, 4 H] 0 past a row's length
    storage* dh0_data,             // [D, B, H]
    storage* dc0_data,             // [D, B, H]
    const int* lengths_data,       // [B]
    unsigned* flags_data,          // [D, batch slices, unit slices], all 0
    int steps, int batch
) {
    const int d = blockIdx.z, u0 = blockIdx.x * Size::units, b0 = blockIdx.y * Size::batch_slice;
    const int width = GATES * Size::hidden;
    const long long direction = (long long)d * steps * batch;
    const Exchange others = exchange(flags_data);
    const Sequence sequence{steps, d == 1};
    auto u = array(u_data, Size::directions, width, Size::hidden);
    auto gates = array(gates_data + direction * width, steps, batch, GATES, Size::hidden);
    auto c_steps = array(c_steps_data, Size::directions, steps, batch, Size::hidden);
    auto c0 = array(c0_data, Size::directions, batch, Size::hidden);
    auto grad_y = array(grad_y_data, steps, batch, Size::directions, Size::hidden);
    auto grad_h = array(grad_h_data, Size::directions, batch, Size::hidden);
    auto grad_c = array(grad_c_data, Size::directions, batch, Size::hidden);
    auto dz = array(dz_data + direction * width, steps, batch, width);
    auto lengths = array(lengths_data, batch);
    auto dh0 = array(dh0_data, Size::directions, batch, Size::hidden);

    Shared shared;
    auto slice = shared.take<storage>(Size::rows, Size::slice_stride);
    auto operand = shared.take<storage>(Size::batch_slice, Size::chunk_stride);
    auto partial = shared.take<real>(Size::splits, Size::rows, Size::batch_slice);
    auto dc = shared.take<real>(Size::batch_slice, Size::units);

    for (int place = threadIdx.x; place < Size::rows * Size::depth; place += Size::threads) {
        const int k = place / Size::rows, row = place % Size::rows;  // neighbouring threads read neighbouring units
        const bool there = row < Size::units && u0 + row < Size::hidden && k < width;
        slice(row, k) = there ? storage(u(d, k, u0 + row)) : to_storage(0);
    }
    for (int place = threadIdx.x; place < Size::batch_slice * Size::chunk; place += Size::threads) {
        operand(place / Size::chunk, place % Size::chunk) = to_storage(0);  // what is never staged must not be NaN
    }
    for (int place = threadIdx.x; place < Size::batch_slice * Size::units; place += Size::threads) {
        const int unit = u0 + place % Size::units, b = b0 + place / Size::units;
        if (unit < Size::hidden && b < batch) dc(place / Size::units, place % Size::units) = to_real(grad_c(d, b, unit));
    }  // each of these threads goes on with what it wrote itself; the first product comes after a barrier

    for (int s = steps - 1; s >= -1; --s) {  // step -1 makes the gradients of the initial state
        at_step(s);
        if (s < steps - 1) {
            others.wait<Size>(steps - 1 - s);
            for (int k0 = 0; k0 < width; k0 += Size::chunk) {
                stage_dz(operand, dz, sequence.time(s + 1), b0, batch, k0, min(Size::chunk, width - k0));
                __syncthreads();
                multiply_slice<Size>(slice, operand, partial, k0, min(Size::chunk, Size::depth - k0), k0 == 0);
                __syncthreads();
            }
        }
        if (s < 0) break;
        const int t = sequence.time(s);
        for (int place = threadIdx.x; place < Size::batch_slice * Size::units; place += Size::threads) {
            const int row = place % Size::units, unit = u0 + row, i = place / Size::units, b = b0 + i;
            if (unit >= Size::hidden || b >= batch) continue;
            const int length = lengths(b);
            if (t >= length) {
                for (int gate = 0; gate < GATES; ++gate) dz(t, b, gate * Size::hidden + unit) = to_storage(0);
                if (sequence.waits_at(t, length)) dh0(d, b, unit) = to_storage(whole<Size>(partial, row, i));
                continue;
            }
            const real later = sequence.is_last(t, length) ? to_real(grad_h(d, b, unit)) : whole<Size>(partial, row, i);
            const real c_before = sequence.is_first(t, length) ? to_real(c0(d, b, unit)) : real(c_steps(d, sequence.before(t), b, unit));
            Peepholes p{};
            if (Size::peepholes) p = peepholes_of(array(peephole_data, Size::directions, 3, Size::hidden), d, unit);
            real dc_now = dc(i, row);
            const Gates a{gates(t, b, 0, unit), gates(t, b, 1, unit), gates(t, b, 2, unit), gates(t, b, 3, unit)};
            const real dm = grad_y(t, b, d, unit) + later;
            const Gates found = cell_backward(a, c_before, c_steps(d, t, b, unit), Size::peepholes, p, dm, dc_now);
            dz(t, b, unit) = to_storage(found.i);
            dz(t, b, Size::hidden + unit) = to_storage(found.f);
            dz(t, b, 2 * Size::hidden + unit) = to_storage(found.g);
            dz(t, b, 3 * Size::hidden + unit) = to_storage(found.o);
            dc(i, row) = dc_now;
        }
        others.publish(steps - s);
    }

    auto dc0 = array(dc0_data, Size::directions, batch, Size::hidden);
    for (int place = threadIdx.x; place < Size::batch_slice * Size::units; place += Size::threads) {
        const int row = place % Size::units, unit = u0 + row, i = place / Size::units, b = b0 + i;
        if (unit >= Size::hidden || b >= batch) continue;
        const int length = lengths(b);
        if (length == 0) {  // such a row hands on the gradients of its final state
            dh0(d, b, unit) = storage(grad_h(d, b, unit));
            dc0(d, b, unit) = storage(grad_c(d, b, unit));
            continue;
        }
        if (sequence.is_first(sequence.time(0), length)) dh0(d, b, unit) = to_storage(whole<Size>(partial, row, i));
        dc0(d, b, unit) = to_storage(dc(i, row));
    }
}
EXPORT_KERNEL(persistent_backward)
