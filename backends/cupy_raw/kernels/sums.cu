// Gradients that are sums over all steps and rows of the batch: those of the biases and of the peepholes.
//
// A block sums 32 columns: each warp takes every WARPS-th row, one lane for each column. The sums of the warps are exchanged in
// shared memory and added by shuffles.
#include "cell.cuh"
#include "sequence.cuh"

struct Size {};

constexpr int WARPS = 8;
constexpr int COLUMNS = 32;
constexpr int THREADS = WARPS * COLUMNS;

// The sum of `mine` over the warps, for each column. The lanes with lane % WARPS == 0 get that of column
// warp * (32 / WARPS) + lane / WARPS.
__device__ __forceinline__ real across_warps(real mine) {
    Shared shared;
    auto sums = shared.take<real>(COLUMNS, WARPS);
    const int warp = threadIdx.x / 32;
    sums(lane(), warp) = mine;
    __syncthreads();
    real sum = sums(warp * (32 / WARPS) + lane() / WARPS, lane() % WARPS);
#pragma unroll
    for (int apart = WARPS / 2; apart > 0; apart /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, apart);
    return sum;
}

extern "C" __global__ void __launch_bounds__(THREADS, 4) bias_gradient(
    const storage* dz_data,  // [rows = T B, columns = 4 H]
    storage* first_data,     // [4 H] the gradient of b_ih
    storage* second_data,    // [4 H] that of b_hh, which is the same
    int rows, int columns
) {
    auto dz = array(dz_data, rows, columns);
    const int column = blockIdx.x * COLUMNS + lane();
    real mine = 0;
    if (column < columns) {
        for (int row = threadIdx.x / 32; row < rows; row += WARPS) mine += to_real(dz(row, column));
    }
    const real sum = across_warps(mine);
    const int place = blockIdx.x * COLUMNS + threadIdx.x / WARPS;
    if (lane() % WARPS == 0 && place < columns) {
        array(first_data, columns)(place) = to_storage(sum);
        array(second_data, columns)(place) = to_storage(sum);
    }
}
EXPORT_KERNEL(bias_gradient)

// The sums of dz_i c', dz_f c' and dz_o c: blockIdx.y is the gate in the order i, f, o.
extern "C" __global__ void __launch_bounds__(THREADS, 4) peephole_gradient(
    const storage* dz_data,   // [T, B, 4, H] of one direction
    const real* c_steps_data,  // [T, B, H]
    const storage* c0_data,   // [B, H]
    storage* gradient_data,   // [3, H]
    const int* lengths_data,  // [B]
    int steps, int batch, int hidden, int reverse
) {
    auto dz = array(dz_data, steps * batch, GATES, hidden);
    auto c_steps = array(c_steps_data, steps, batch, hidden);
    auto c0 = array(c0_data, batch, hidden);
    auto lengths = array(lengths_data, batch);
    const Sequence sequence{steps, reverse != 0};
    const int which = blockIdx.y, gate = which == 2 ? 3 : which;
    const int u = blockIdx.x * COLUMNS + lane();
    real mine = 0;
    if (u < hidden) {
        for (int row = threadIdx.x / 32; row < steps * batch; row += WARPS) {
            const int t = row / batch, b = row % batch, length = lengths(b);
            if (t >= length) continue;
            at_step(t);
            real seen;
            if (which == 2) {
                seen = c_steps(t, b, u);
            } else {
                seen = sequence.is_first(t, length) ? to_real(c0(b, u)) : real(c_steps(sequence.before(t), b, u));
            }
            mine = fma_(to_real(dz(row, gate, u)), seen, mine);
        }
    }
    const real sum = across_warps(mine);
    const int place = blockIdx.x * COLUMNS + threadIdx.x / WARPS;
    if (lane() % WARPS == 0 && place < hidden) array(gradient_data, 3, hidden)(which, place) = to_storage(sum);
}
EXPORT_KERNEL(peephole_gradient)
