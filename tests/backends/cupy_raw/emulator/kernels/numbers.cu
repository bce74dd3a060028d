// Conversions, functions and tiles, for comparison with numpy.
#include "device.cuh"

struct Size {};

extern "C" __global__ void widen_all(const storage* from, real* to, int count) {
    for (int i = threadIdx.x; i < count; i += int(blockDim.x)) array(to, count)(i) = to_real(array(from, count)(i));
}
EXPORT_KERNEL(widen_all)

extern "C" __global__ void narrow_all(const real* from, storage* to, int count) {
    for (int i = threadIdx.x; i < count; i += int(blockDim.x)) array(to, count)(i) = to_storage(array(from, count)(i));
}
EXPORT_KERNEL(narrow_all)

extern "C" __global__ void functions(const real* from, real* to, int count) {
    auto x = array(from, count);
    auto y = array(to, 3, count);
    for (int i = threadIdx.x; i < count; i += int(blockDim.x)) {
        y(0, i) = exp_(x(i));
        y(1, i) = tanh_(x(i));
        y(2, i) = fma_(x(i), x(i), y(1, i));
    }
}
EXPORT_KERNEL(functions)

#if HAS_MMA
// C [16, 8] += A [16, depth] B^T, B [8, depth]: each warp the same.
extern "C" __global__ void tile(const storage* a_data, const storage* b_data, float* c_data, int depth) {
    auto a = array(a_data, 16, depth);
    auto b = array(b_data, 8, depth);
    auto c = array(c_data, int(blockDim.x) / 32, 16, 8);
    const int g = lane() / 4, t = lane() % 4, warp = threadIdx.x / 32;
    Accumulator sum;
    for (int i = 0; i < 4; ++i) sum.e[i] = c(warp, g + i / 2 * 8, 2 * t + i % 2);
    for (int k = 0; k < depth; k += MMA_DEPTH) {
        FragmentA fa;
        FragmentB fb;
#if defined(PRECISION_tf32)
        fa.e[0] = a(g, k + t);
        fa.e[1] = a(g + 8, k + t);
        fa.e[2] = a(g, k + t + 4);
        fa.e[3] = a(g + 8, k + t + 4);
        fb.e[0] = b(g, k + t);
        fb.e[1] = b(g, k + t + 4);
#else
        for (int i = 0; i < 2; ++i) {
            fa.e[i] = a(g, k + 2 * t + i);
            fa.e[2 + i] = a(g + 8, k + 2 * t + i);
            fa.e[4 + i] = a(g, k + 2 * t + 8 + i);
            fa.e[6 + i] = a(g + 8, k + 2 * t + 8 + i);
            fb.e[i] = b(g, k + 2 * t + i);
            fb.e[2 + i] = b(g, k + 2 * t + 8 + i);
        }
#endif
        mma(sum, fa, fb);  // all lanes
    }
    for (int i = 0; i < 4; ++i) c(warp, g + i / 2 * 8, 2 * t + i % 2) = sum.e[i];
}
EXPORT_KERNEL(tile)

extern "C" __global__ void missing_lane(float* c_data) {
    Accumulator sum{};
    if (threadIdx.x != 3) mma(sum, FragmentA{}, FragmentB{});  // without lane 3
    array(c_data, int(blockDim.x))(threadIdx.x) = sum.e[0];
}
EXPORT_KERNEL(missing_lane)

extern "C" __global__ void whole_block(float* c_data) {
    Accumulator sum{};
    mma(sum, FragmentA{}, FragmentB{});  // the whole block
    array(c_data, int(blockDim.x))(threadIdx.x) = sum.e[0];
}
EXPORT_KERNEL(whole_block)
#endif
