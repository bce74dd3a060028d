// A plain tiled matrix product, C = A B^T or C += A B^T, which the emulator runs in place of cuBLAS.
//
// A block computes one TILE x TILE tile of C [M, N]: it stages DEPTH columns of A [M, K] and B [N, K] in shared memory, then
// each thread adds to COLUMNS neighbouring elements of one row. A and B may have any strides, so either may be transposed.
#include "device.cuh"

constexpr int TILE = 16;
constexpr int COLUMNS = 4;
constexpr int DEPTH = 32;
constexpr int THREADS = TILE * TILE / COLUMNS;

struct Size {};

extern "C" __global__ void __launch_bounds__(THREADS) gemm(
    const storage* a_data,  // [M, K], strides a_row, a_column
    const storage* b_data,  // [N, K], strides b_row, b_column
    real* c_data,           // [M, N], rows c_row apart
    int rows, int columns, int depth,  // M, N, K
    int a_row, int a_column, int b_row, int b_column, int c_row,
    int accumulate          // 0: C = A B^T; 1: C += A B^T
) {
    auto a = strided(a_data, rows, a_row, depth, a_column);
    auto b = strided(b_data, columns, b_row, depth, b_column);
    auto c = strided(c_data, rows, c_row, columns, 1);
    Shared shared;
    auto a_tile = shared.take<real>(TILE, DEPTH + 1);
    auto b_tile = shared.take<real>(TILE, DEPTH + 1);

    const int first_row = blockIdx.x * TILE, first_column = blockIdx.y * TILE;
    const int row = threadIdx.x / (TILE / COLUMNS), column = threadIdx.x % (TILE / COLUMNS) * COLUMNS;
    real sum[COLUMNS] = {};
    for (int k0 = 0; k0 < depth; k0 += DEPTH) {
        const int deep = min(DEPTH, depth - k0);
        for (int place = threadIdx.x; place < TILE * deep; place += THREADS) {
            const int i = place / deep, k = place % deep;
            if (first_row + i < rows) a_tile(i, k) = to_real(a(first_row + i, k0 + k));
            if (first_column + i < columns) b_tile(i, k) = to_real(b(first_column + i, k0 + k));
        }
        __syncthreads();
        if (first_row + row < rows) {
#pragma unroll
            for (int j = 0; j < COLUMNS; ++j) {
                if (first_column + column + j < columns) {
                    for (int k = 0; k < deep; ++k) sum[j] = fma_(a_tile(row, k), b_tile(column + j, k), sum[j]);
                }
            }
        }
        __syncthreads();
    }
#pragma unroll
    for (int j = 0; j < COLUMNS; ++j) {
        const int i = first_row + row, n = first_column + column + j;
        if (i < rows && n < columns) c(i, n) = accumulate ? c(i, n) + sum[j] : sum[j];
    }
}
EXPORT_KERNEL(gemm)
