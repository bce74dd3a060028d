// The product of both persistent kernels: a block's slice of weights, which stays in shared memory for the whole sequence,
// times an operand that the other blocks have just written.
//
//     slice    [rows, K]                      shared memory, row stride `stride`
//     operand  [batch_slice, K]               staged in chunks of `chunk` columns, row stride `operand_stride`
//     partial  [splits, rows, batch_slice]    the result; K is split over `splits` groups of threads
//
// Each group of threads leaves its own partial sum, and whole() adds them up where the result is read: nothing is reduced over
// threads, and the order of the sum is always the same.
//
// With tensor cores a warp computes tiles of 16 rows by 8 rows of the batch; the slice's rows and K are then padded with zeros.
// Without, a thread computes one row for batch_tile rows of the batch at a time.
#pragma once
#include "device.cuh"

constexpr int MAX_BATCH_TILE = 8;

// The sizes of a block, and those of one of its products. plan/slices.py computes them.
#define BLOCK_SIZES                                                                              \
    SIZE(threads)         /* of a block */                                                       \
    SIZE(batch_slice)     /* rows of the batch of a block */                                     \
    SIZE(batch_tile)      /* rows of the batch that a thread accumulates at once, without tensor cores */ \
    SIZE(tensor_cores)    /* 0 or 1 */                                                           \
    SIZE(operand_stride)  /* elements from a row of the operand to the next */
#define PRODUCT_SIZES(product)                                                                   \
    SIZE_AS(rows, product##_rows)      /* of the slice, padded */                                \
    SIZE_AS(width, product##_width)    /* K */                                                   \
    SIZE_AS(depth, product##_depth)    /* K, padded */                                           \
    SIZE_AS(stride, product##_stride)  /* elements from a row of the slice to the next */        \
    SIZE_AS(chunk, product##_chunk)    /* columns of the operand in shared memory */             \
    SIZE_AS(splits, product##_splits)  /* of K */                                                \
    SIZE_AS(vector, product##_vector)  /* elements of an asynchronous copy; 1: none */

#if HAS_MMA
// The chunk's product by tensor cores. Which lane has which element of a fragment: gpu.cuh and the PTX ISA.
template <class Size, class Slice, class Operand, class Partial>
__device__ __forceinline__ void multiply_tiles(
    Slice slice, Operand operand, Partial partial, int k_first, int k_count, bool first
) {
    const int g = lane() / 4, t = lane() % 4, warps = Size::threads / 32;
    const int row_tiles = Size::rows / 16, batch_tiles = Size::batch_slice / 8;
    for (int item = threadIdx.x / 32; item < row_tiles * batch_tiles * Size::splits; item += warps) {
        const int split = item / (row_tiles * batch_tiles);
        const int row = item % row_tiles * 16 + g, b0 = item / row_tiles % batch_tiles * 8;
        Accumulator sum{};
        for (int k = split * MMA_DEPTH; k < k_count; k += Size::splits * MMA_DEPTH) {
            FragmentA a;
            FragmentB b;
#if defined(PRECISION_tf32)
            a.e[0] = slice(row, k_first + k + t);
            a.e[1] = slice(row + 8, k_first + k + t);
            a.e[2] = slice(row, k_first + k + t + 4);
            a.e[3] = slice(row + 8, k_first + k + t + 4);
            b.e[0] = operand(b0 + g, k + t);
            b.e[1] = operand(b0 + g, k + t + 4);
#else
#pragma unroll
            for (int i = 0; i < 2; ++i) {
                a.e[i] = slice(row, k_first + k + 2 * t + i);
                a.e[2 + i] = slice(row + 8, k_first + k + 2 * t + i);
                a.e[4 + i] = slice(row, k_first + k + 2 * t + 8 + i);
                a.e[6 + i] = slice(row + 8, k_first + k + 2 * t + 8 + i);
                b.e[i] = operand(b0 + g, k + 2 * t + i);
                b.e[2 + i] = operand(b0 + g, k + 2 * t + 8 + i);
            }
#endif
            mma(sum, a, b);
        }
#pragma unroll
        for (int i = 0; i < 4; ++i) {
            const int r = row + i / 2 * 8, b = b0 + 2 * t + i % 2;
            partial(split, r, b) = first ? sum.e[i] : partial(split, r, b) + sum.e[i];
        }
    }
}
#endif

// The chunk's product without tensor cores: a thread for each row of the slice and each split of K.
template <class Size, class Slice, class Operand, class Partial>
__device__ __forceinline__ void multiply_rows(
    Slice slice, Operand operand, Partial partial, int k_first, int k_count, bool first
) {
    for (int item = threadIdx.x; item < Size::rows * Size::splits; item += Size::threads) {
        const int row = item % Size::rows, split = item / Size::rows;
        for (int b0 = 0; b0 < Size::batch_slice; b0 += Size::batch_tile) {
            real sum[BOUND(Size::batch_tile, MAX_BATCH_TILE)] = {};
            for (int k = split; k < k_count; k += Size::splits) {
                const real weight = to_real(slice(row, k_first + k));
#pragma unroll
                for (int b = 0; b < Size::batch_tile; ++b) sum[b] = fma_(weight, to_real(operand(b0 + b, k)), sum[b]);
            }
#pragma unroll
            for (int b = 0; b < Size::batch_tile; ++b) {
                partial(split, row, b0 + b) = first ? sum[b] : partial(split, row, b0 + b) + sum[b];
            }
        }
    }
}

// partial(split, row, b) = or += the sum over this split's k of slice(row, k_first + k) operand(b, k), 0 <= k < k_count.
template <class Size, class Slice, class Operand, class Partial>
__device__ __forceinline__ void multiply_slice(
    Slice slice, Operand operand, Partial partial, int k_first, int k_count, bool first
) {
#if HAS_MMA
    if (Size::tensor_cores) {
        multiply_tiles<Size>(slice, operand, partial, k_first, k_count, first);
        return;
    }
#endif
    multiply_rows<Size>(slice, operand, partial, k_first, k_count, first);
}

// An element of the result: the sum over all splits.
template <class Size, class Partial>
__device__ __forceinline__ real whole(Partial partial, int row, int b) {
    real sum = 0;
    for (int split = 0; split < Size::splits; ++split) sum += partial(split, row, b);
    return sum;
}

// slice(row, k) = weight(row, k), and zeros where K is padded; weight() returns 0 for padding rows.
template <class Size, class Slice, class Weight>
__device__ __forceinline__ void fill_slice(Slice slice, Weight weight) {
    for (int place = threadIdx.x; place < Size::rows * Size::depth; place += Size::threads) {
        const int row = place / Size::depth, k = place % Size::depth;
        slice(row, k) = k < Size::width ? weight(row, k) : to_storage(0);
    }
}

// Copies one piece of the operand from global memory.
template <class Size, class To, class From>
__device__ __forceinline__ void copy_piece(To&& to, From&& from) {
    if (Size::vector > 1) {
        copy_async<16 / sizeof(storage)>(&to, &from);
    } else {
        static_cast<To&&>(to) = storage(static_cast<From&&>(from));
    }
}

// The whole product, chunk by chunk, for the rows of the batch from b0 on. copy(row, b, k, whole_k) copies one piece of the
// operand, row b of the batch and column whole_k, to operand(row, k). Ends with a barrier: all partial sums are complete.
template <class Size, class Slice, class Operand, class Partial, class Copy>
__device__ __forceinline__ void staged_product(Slice slice, Operand operand, Partial partial, int b0, int batch, Copy copy) {
    for (int k_first = 0; k_first < Size::width; k_first += Size::chunk) {
        const int k_count = min(Size::chunk, Size::width - k_first), pieces = k_count / Size::vector;  // a multiple of it
        const int padding = min(Size::chunk, Size::depth - k_first) - k_count;
        for (int place = threadIdx.x; place < Size::batch_slice * pieces; place += Size::threads) {
            const int row = place / pieces, k = place % pieces * Size::vector;
            if (b0 + row < batch) copy(row, b0 + row, k, k_first + k);
        }
        for (int place = threadIdx.x; place < Size::batch_slice * padding; place += Size::threads) {
            operand(place / padding, k_count + place % padding) = to_storage(0);  // the last chunk may have left an infinity
        }
        copy_async_wait();
        __syncthreads();
        multiply_slice<Size>(slice, operand, partial, k_first, k_count + padding, k_first == 0);
        __syncthreads();
    }
}
