// One forward step of the stepwise plan, without its matrix products: one thread for each unit of each row.
//
// Both directions run in one launch; blockIdx.y is the direction. At step s the forward one is at time s, the reverse one at
// T - 1 - s.
#include "cell.cuh"
#include "sequence.cuh"

struct Size {
    SIZE(hidden)      // H
    SIZE(state)       // R: P with projection, else H
    SIZE(directions)  // D
    SIZE(peepholes)   // 0 or 1
    SIZE(projected)   // 0 or 1
};

constexpr int THREADS = 128;

// The gates and c of all units. Without projection it writes h; with it, o tanh(c), which is to be projected.
extern "C" __global__ void __launch_bounds__(THREADS) cells_forward(
    real* z_data,                // [D, T, B, 4, H] in: W x + U h'; out, for training: the activated gates
    const real* bias_data,       // [D, 4, H] or null
    const storage* peephole_data,  // [D, 3, H] or null
    real* c_data,                // [D, B, H] in: c', out: c; unchanged past a row's length
    storage* h_data,             // [D, B, H] without projection: the state, as c_data. With it: o tanh(c), 0 past the length
    storage* y_data,             // [T, B, D, R], written without projection
    real* c_steps_data,          // [D, T, B, H] c of every step, for training; else null
    const int* lengths_data,     // [B]
    int step, int steps, int batch, int training
) {
    const int place = blockIdx.x * THREADS + threadIdx.x, d = blockIdx.y;
    if (place >= batch * Size::hidden) return;
    const int b = place / Size::hidden, u = place % Size::hidden;
    at_step(step);
    const Sequence sequence{steps, d == 1};
    const int t = sequence.time(step);
    auto h = array(h_data, Size::directions, batch, Size::hidden);
    auto y = array(y_data, steps, batch, Size::directions, Size::state);
    auto lengths = array(lengths_data, batch);
    if (t >= lengths(b)) {
        if (Size::projected) {
            h(d, b, u) = to_storage(0);
        } else {
            y(t, b, d, u) = to_storage(0);
        }
        return;
    }
    const long long at = (((long long)d * steps + t) * batch + b) * GATES * Size::hidden;
    auto z = strided(z_data + at, GATES, Size::hidden, Size::hidden, 1);
    auto c = array(c_data, Size::directions, batch, Size::hidden);
    Gates sum{z(0, u), z(1, u), z(2, u), z(3, u)};
    if (bias_data != nullptr) add_bias(sum, array(bias_data, Size::directions, GATES, Size::hidden), d, u);
    Peepholes p{};
    if (Size::peepholes) p = peepholes_of(array(peephole_data, Size::directions, 3, Size::hidden), d, u);
    real c_new;
    const Gates gates = cell_forward(sum, c(d, b, u), Size::peepholes, p, c_new);
    c(d, b, u) = c_new;
    const storage out = to_storage(gates.o * tanh_(c_new));
    h(d, b, u) = out;
    if (!Size::projected) y(t, b, d, u) = out;
    if (training) {
        z(0, u) = gates.i;
        z(1, u) = gates.f;
        z(2, u) = gates.g;
        z(3, u) = gates.o;
        array(c_steps_data, Size::directions, steps, batch, Size::hidden)(d, t, b, u) = c_new;
    }
}
EXPORT_KERNEL(cells_forward)

// h from W_hr (o tanh(c)); unchanged past a row's length.
extern "C" __global__ void __launch_bounds__(THREADS) project_forward(
    const real* projected_data,  // [D, B, P] W_hr (o tanh(c))
    storage* h_data,             // [D, B, P] the state
    storage* y_data,             // [T, B, D, P]
    const int* lengths_data,     // [B]
    int step, int steps, int batch
) {
    const int place = blockIdx.x * THREADS + threadIdx.x, d = blockIdx.y;
    if (place >= batch * Size::state) return;
    const int b = place / Size::state, j = place % Size::state;
    at_step(step);
    const int t = Sequence{steps, d == 1}.time(step);
    auto y = array(y_data, steps, batch, Size::directions, Size::state);
    auto lengths = array(lengths_data, batch);
    if (t >= lengths(b)) {
        y(t, b, d, j) = to_storage(0);
        return;
    }
    const storage out = to_storage(array(projected_data, Size::directions, batch, Size::state)(d, b, j));
    array(h_data, Size::directions, batch, Size::state)(d, b, j) = out;
    y(t, b, d, j) = out;
}
EXPORT_KERNEL(project_forward)
