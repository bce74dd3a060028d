// One step of backpropagation in the stepwise plan, without its matrix products: one thread for each unit of each row.
//
// Steps run in the opposite order of the forward pass. The gradient of h at a step is that of y at this step plus U^T dz of the
// step after it, or plus the gradient of the final state at the row's last step.
#include "cell.cuh"
#include "sequence.cuh"

struct Size {
    SIZE(hidden)      // H
    SIZE(state)       // R
    SIZE(directions)  // D
    SIZE(peepholes)   // 0 or 1
    SIZE(projected)   // 0 or 1
};

constexpr int THREADS = 128;

// The gradient of h at time t, with projection that of the projected h.
template <class GradY, class Product, class GradH>
__device__ __forceinline__ real gradient_of_h(
    GradY grad_y, Product product, GradH grad_h, const Sequence& sequence, int d, int t, int b, int j, int length
) {
    const real later = sequence.is_last(t, length) ? to_real(grad_h(d, b, j)) : real(product(d, b, j));
    return grad_y(t, b, d, j) + later;
}

// Saves the gradient of a row's initial h after its first step: later products belong to steps past the row's length.
__device__ __forceinline__ void keep_dh0(storage* dh0_data, const real* product_data, int d, int b, int j, int batch) {
    const real product = array(product_data, Size::directions, batch, Size::state)(d, b, j);
    array(dh0_data, Size::directions, batch, Size::state)(d, b, j) = to_storage(product);
}

// Gradients of z. Without projection dm is the gradient of h; with it, W_hr^T dh, from project_backward and a matrix product.
extern "C" __global__ void __launch_bounds__(THREADS) cells_backward(
    const real* gates_data,        // [D, T, B, 4, H] activated
    const real* c_steps_data,      // [D, T, B, H]
    const storage* c0_data,        // [D, B, H]
    const storage* peephole_data,  // [D, 3, H] or null
    const real* grad_y_data,       // [T, B, D, R]
    const storage* grad_h_data,    // [D, B, R] of the final state
    const storage* grad_c_data,    // [D, B, H] of the final state
    const real* product_data,      // [D, B, R] U^T dz of the step after; unread at a row's last step
    const real* dm_data,           // [D, B, H] with projection: W_hr^T dh; else null
    real* dc_data,                 // [D, B, H] from step to step
    storage* dz_data,              // [D, T, B, 4, H] 0 past a row's length
    storage* dh0_data,             // [D, B, R] without projection: written for rows that started after this step
    const int* lengths_data,       // [B]
    int step, int steps, int batch
) {
    const int place = blockIdx.x * THREADS + threadIdx.x, d = blockIdx.y;
    if (place >= batch * Size::hidden) return;
    const int b = place / Size::hidden, u = place % Size::hidden;
    at_step(step);
    const Sequence sequence{steps, d == 1};
    const int t = sequence.time(step), length = array(lengths_data, batch)(b);
    const long long at = (((long long)d * steps + t) * batch + b) * GATES * Size::hidden;
    auto dz = array(dz_data + at, GATES, Size::hidden);
    if (t >= length) {
        for (int gate = 0; gate < GATES; ++gate) dz(gate, u) = to_storage(0);
        if (!Size::projected && sequence.waits_at(t, length)) keep_dh0(dh0_data, product_data, d, b, u, batch);
        return;
    }
    auto gates = array(gates_data + at, GATES, Size::hidden);
    auto c_steps = array(c_steps_data, Size::directions, steps, batch, Size::hidden);
    auto dc = array(dc_data, Size::directions, batch, Size::hidden);
    real dm;
    if (Size::projected) {
        dm = array(dm_data, Size::directions, batch, Size::hidden)(d, b, u);
    } else {
        dm = gradient_of_h(
            array(grad_y_data, steps, batch, Size::directions, Size::state),
            array(product_data, Size::directions, batch, Size::state),
            array(grad_h_data, Size::directions, batch, Size::state), sequence, d, t, b, u, length
        );
    }
    const real c_before = sequence.is_first(t, length) ? to_real(array(c0_data, Size::directions, batch, Size::hidden)(d, b, u))
                                                       : real(c_steps(d, sequence.before(t), b, u));
    Peepholes p{};
    if (Size::peepholes) p = peepholes_of(array(peephole_data, Size::directions, 3, Size::hidden), d, u);
    real dc_now = sequence.is_last(t, length) ? to_real(array(grad_c_data, Size::directions, batch, Size::hidden)(d, b, u))
                                              : real(dc(d, b, u));
    const Gates a{gates(0, u), gates(1, u), gates(2, u), gates(3, u)};
    const Gates found = cell_backward(a, c_before, c_steps(d, t, b, u), Size::peepholes, p, dm, dc_now);
    dz(0, u) = to_storage(found.i);
    dz(1, u) = to_storage(found.f);
    dz(2, u) = to_storage(found.g);
    dz(3, u) = to_storage(found.o);
    dc(d, b, u) = dc_now;
}
EXPORT_KERNEL(cells_backward)

// The gradient of a projected h.
extern "C" __global__ void __launch_bounds__(THREADS) project_backward(
    const real* grad_y_data,     // [T, B, D, P]
    const storage* grad_h_data,  // [D, B, P] of the final state
    const real* product_data,    // [D, B, P] U^T dz of the step after; unread at a row's last step
    storage* dh_data,            // [D, T, B, P] 0 past a row's length
    storage* dh0_data,           // [D, B, P] written for rows that started after this step
    const int* lengths_data,     // [B]
    int step, int steps, int batch
) {
    const int place = blockIdx.x * THREADS + threadIdx.x, d = blockIdx.y;
    if (place >= batch * Size::state) return;
    const int b = place / Size::state, j = place % Size::state;
    at_step(step);
    const Sequence sequence{steps, d == 1};
    const int t = sequence.time(step), length = array(lengths_data, batch)(b);
    auto dh = array(dh_data, Size::directions, steps, batch, Size::state);
    if (t >= length) {
        dh(d, t, b, j) = to_storage(0);
        if (sequence.waits_at(t, length)) keep_dh0(dh0_data, product_data, d, b, j, batch);
        return;
    }
    dh(d, t, b, j) = to_storage(gradient_of_h(
        array(grad_y_data, steps, batch, Size::directions, Size::state),
        array(product_data, Size::directions, batch, Size::state),
        array(grad_h_data, Size::directions, batch, Size::state), sequence, d, t, b, j, length
    ));
}
EXPORT_KERNEL(project_backward)

// Gradients of the initial state, after all steps: dc0, and dh0 of the rows whose first step is step 0 (keep_dh0 has saved the
// others). A row of length 0 passes the gradients of its final state on.
extern "C" __global__ void __launch_bounds__(THREADS) state_gradients(
    const real* product_data,    // [D, B, R] U^T dz of the first step
    const real* dc_data,         // [D, B, H]
    const storage* grad_h_data,  // [D, B, R] of the final state
    const storage* grad_c_data,  // [D, B, H] of the final state
    storage* dh0_data,           // [D, B, R]
    storage* dc0_data,           // [D, B, H]
    const int* lengths_data,     // [B]
    int steps, int batch
) {
    const int place = blockIdx.x * THREADS + threadIdx.x, d = blockIdx.y;
    if (place >= batch * Size::hidden) return;
    const int b = place / Size::hidden, u = place % Size::hidden;
    const int length = array(lengths_data, batch)(b);
    const bool still = length == 0;
    auto grad_c = array(grad_c_data, Size::directions, batch, Size::hidden);
    auto dc = array(dc_data, Size::directions, batch, Size::hidden);
    array(dc0_data, Size::directions, batch, Size::hidden)(d, b, u) =
        still ? storage(grad_c(d, b, u)) : to_storage(dc(d, b, u));
    if (u >= Size::state) return;
    const Sequence sequence{steps, d == 1};
    if (still) {
        auto grad_h = array(grad_h_data, Size::directions, batch, Size::state);
        array(dh0_data, Size::directions, batch, Size::state)(d, b, u) = storage(grad_h(d, b, u));
    } else if (sequence.is_first(sequence.time(0), length)) {
        keep_dh0(dh0_data, product_data, d, b, u, batch);
    }
}
EXPORT_KERNEL(state_gradients)
