// Element-wise copies, one thread for each element: between the storage and the arithmetic format (widen, narrow), of x with
// zeros in its padding, of the h that each step starts from. All arrays are row-major.
#include "sequence.cuh"

struct Size {};

constexpr int THREADS = 256;

// The row and column of this thread's element; false past the end.
__device__ __forceinline__ bool element(int rows, int columns, int& row, int& column) {
    const long long place = (long long)blockIdx.x * THREADS + threadIdx.x;
    if (place >= (long long)rows * columns) return false;
    row = int(place / columns);
    column = int(place % columns);
    return true;
}

extern "C" __global__ void __launch_bounds__(THREADS) widen(
    const storage* from_data,  // [rows, columns]
    real* to_data,             // [rows, columns]
    int rows, int columns
) {
    int row, column;
    if (!element(rows, columns, row, column)) return;
    array(to_data, rows, columns)(row, column) = to_real(array(from_data, rows, columns)(row, column));
}
EXPORT_KERNEL(widen)

extern "C" __global__ void __launch_bounds__(THREADS) narrow(
    const real* from_data,  // [rows, columns]
    storage* to_data,       // [rows, columns]
    int rows, int columns
) {
    int row, column;
    if (!element(rows, columns, row, column)) return;
    array(to_data, rows, columns)(row, column) = to_storage(array(from_data, rows, columns)(row, column));
}
EXPORT_KERNEL(narrow)

// x with zeros past each row's length; what x has there, which may be NaN, is not read.
extern "C" __global__ void __launch_bounds__(THREADS) without_padding(
    const storage* from_data,  // [T, B, I]
    storage* to_data,          // [T, B, I]
    const int* lengths_data,   // [B]
    int steps, int batch, int width
) {
    int row, i;
    if (!element(steps * batch, width, row, i)) return;
    const int t = row / batch, b = row % batch;
    const bool valid = t < array(lengths_data, batch)(b);
    array(to_data, steps, batch, width)(t, b, i) =
        valid ? storage(array(from_data, steps, batch, width)(t, b, i)) : to_storage(0);
}
EXPORT_KERNEL(without_padding)

// h of the step before each step, 0 past a row's length: with dz it gives the gradient of U.
extern "C" __global__ void __launch_bounds__(THREADS) previous_h(
    const storage* y_data,    // [T, B, D, R]
    const storage* h0_data,   // [D, B, R]
    storage* to_data,         // [T, B, R]
    const int* lengths_data,  // [B]
    int steps, int batch, int directions, int direction, int width
) {
    int row, j;
    if (!element(steps * batch, width, row, j)) return;
    const int t = row / batch, b = row % batch, length = array(lengths_data, batch)(b);
    const Sequence sequence{steps, direction == 1};
    auto to = array(to_data, steps, batch, width);
    if (t >= length) {
        to(t, b, j) = to_storage(0);
    } else if (sequence.is_first(t, length)) {
        to(t, b, j) = array(h0_data, directions, batch, width)(direction, b, j);
    } else {
        to(t, b, j) = array(y_data, steps, batch, directions, width)(sequence.before(t), b, direction, j);
    }
}
EXPORT_KERNEL(previous_h)
