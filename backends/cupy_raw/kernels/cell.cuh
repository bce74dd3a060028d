// The equations of one hidden unit at one step, forward and backward. Every kernel that computes gates calls cell_forward or
// cell_backward.
//
//     i = sigmoid(z_i [+ p_i c'])    f = sigmoid(z_f [+ p_f c'])    g = tanh(z_g)
//     c = f c' + i g                 o = sigmoid(z_o [+ p_o c ])    h = o tanh(c)
//
// z = W x + U h' + b; h', c' are the state of the step before; p are the peepholes. Gers, Schmidhuber, Cummins: "Learning to
// Forget", 2000; Gers, Schmidhuber: "Recurrent Nets that Time and Count", 2000 (peepholes).
#pragma once
#include "device.cuh"

constexpr int GATES = 4;  // in every packed array in the order i, f, g, o

struct Gates {
    real i, f, g, o;
};

struct Peepholes {
    real i, f, o;
};

// z += the biases [D, 4, H] of a unit.
template <class Bias>
__device__ __forceinline__ void add_bias(Gates& z, Bias bias, int d, int unit) {
    z.i += bias(d, 0, unit);
    z.f += bias(d, 1, unit);
    z.g += bias(d, 2, unit);
    z.o += bias(d, 3, unit);
}

// The peepholes of a unit, from [D, 3, H] in the order i, f, o.
template <class Weights>
__device__ __forceinline__ Peepholes peepholes_of(Weights peephole, int d, int unit) {
    return {to_real(peephole(d, 0, unit)), to_real(peephole(d, 1, unit)), to_real(peephole(d, 2, unit))};
}

// Exactly 0 or 1 where it saturates: exp_(-z) overflows to infinity, or is below the roundoff of 1.
__device__ __forceinline__ real sigmoid(real z) { return real(1) / (real(1) + exp_(-z)); }

// The activated gates from their z, and the new cell state c from c_before.
__device__ __forceinline__ Gates cell_forward(Gates z, real c_before, bool has_peepholes, Peepholes p, real& c) {
    if (has_peepholes) {
        z.i = fma_(p.i, c_before, z.i);
        z.f = fma_(p.f, c_before, z.f);
    }
    Gates a;
    a.i = sigmoid(z.i);
    a.f = sigmoid(z.f);
    a.g = tanh_(z.g);
    c = fma_(a.f, c_before, a.i * a.g);
    if (has_peepholes) z.o = fma_(p.o, c, z.o);
    a.o = sigmoid(z.o);
    return a;
}

// The gradients of z. a: the activated gates; dm: the gradient of o tanh(c); dc: in, the gradient of c from the step after;
// out, that of c_before.
__device__ __forceinline__ Gates cell_backward(
    Gates a, real c_before, real c, bool has_peepholes, Peepholes p, real dm, real& dc
) {
    const real tanh_c = tanh_(c);
    Gates dz;
    dz.o = dm * tanh_c * a.o * (1 - a.o);
    dc = fma_(dm * a.o, 1 - tanh_c * tanh_c, dc);
    if (has_peepholes) dc = fma_(p.o, dz.o, dc);
    dz.i = dc * a.g * a.i * (1 - a.i);
    dz.f = dc * c_before * a.f * (1 - a.f);
    dz.g = dc * a.i * (1 - a.g * a.g);
    dc = dc * a.f;
    if (has_peepholes) dc = fma_(p.i, dz.i, fma_(p.f, dz.f, dc));
    return dz;
}
