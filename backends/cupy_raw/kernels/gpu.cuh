// The device header on a GPU: intrinsics and a few lines of PTX. It includes no header of CUDA, so NVRTC alone compiles it.
//
// PRECISION_<name>=1, and SIZE_<name>=n for every SIZE of the kernel's file, are defined on the compiler's command line. Views
// are pointers with strides; only the emulator's implementation checks indices.
#pragma once
#include "formats.cuh"

// ---- sizes that are fixed when a kernel is compiled
#define SIZE(name) static constexpr int name = SIZE_##name;
#define SIZE_AS(member, name) static constexpr int member = SIZE_##name;
#define BOUND(size, most) (size)
#define EXPORT_KERNEL(name)

// ---- number formats
__device__ __forceinline__ float to_real(half value) {
    float wide;
    asm("cvt.f32.f16 %0, %1;" : "=f"(wide) : "h"(value.bits));
    return wide;
}
__device__ __forceinline__ float to_real(bfloat16 value) { return __uint_as_float(unsigned(value.bits) << 16); }
__device__ __forceinline__ float to_real(float value) { return value; }
__device__ __forceinline__ double to_real(double value) { return value; }

__device__ __forceinline__ storage to_storage(real value) {
#if defined(PRECISION_float16)
    half narrow;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(narrow.bits) : "f"(value));
    return narrow;
#elif defined(PRECISION_bfloat16)
    bfloat16 narrow;
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(narrow.bits) : "f"(value));
    return narrow;
#else
    return value;
#endif
}

__device__ __forceinline__ float exp_(float x) { return expf(x); }
__device__ __forceinline__ double exp_(double x) { return exp(x); }
__device__ __forceinline__ float tanh_(float x) { return tanhf(x); }
__device__ __forceinline__ double tanh_(double x) { return tanh(x); }
__device__ __forceinline__ float fma_(float a, float b, float c) { return fmaf(a, b, c); }
__device__ __forceinline__ double fma_(double a, double b, double c) { return fma(a, b, c); }

// ---- the thread
__device__ __forceinline__ int lane() { return threadIdx.x % 32; }
__device__ __forceinline__ void at_step(int) {}  // the emulator's findings name the step

// ---- views of arrays: one to four axes, strides in elements
template <class T>
struct Array1 {
    T* first;
    long long s0;
    __device__ __forceinline__ T& operator()(int i) const { return first[i * s0]; }
};
template <class T>
struct Array2 {
    T* first;
    long long s0, s1;
    __device__ __forceinline__ T& operator()(int i, int j) const { return first[i * s0 + j * s1]; }
};
template <class T>
struct Array3 {
    T* first;
    long long s0, s1, s2;
    __device__ __forceinline__ T& operator()(int i, int j, int k) const { return first[i * s0 + j * s1 + k * s2]; }
};
template <class T>
struct Array4 {
    T* first;
    long long s0, s1, s2, s3;
    __device__ __forceinline__ T& operator()(int i, int j, int k, int l) const {
        return first[i * s0 + j * s1 + k * s2 + l * s3];
    }
};

template <class T>
__device__ __forceinline__ Array1<T> array(T* first, int) {
    return {first, 1};
}
template <class T>
__device__ __forceinline__ Array2<T> array(T* first, int, int n1) {
    return {first, n1, 1};
}
template <class T>
__device__ __forceinline__ Array3<T> array(T* first, int, int n1, int n2) {
    return {first, (long long)n1 * n2, n2, 1};
}
template <class T>
__device__ __forceinline__ Array4<T> array(T* first, int, int n1, int n2, int n3) {
    return {first, (long long)n1 * n2 * n3, (long long)n2 * n3, n3, 1};
}
template <class T>
__device__ __forceinline__ Array2<T> strided(T* first, int, long long s0, int, long long s1) {
    return {first, s0, s1};
}
template <class T>
__device__ __forceinline__ Array3<T> strided(T* first, int, long long s0, int, long long s1, int, long long s2) {
    return {first, s0, s1, s2};
}

// ---- shared memory: strides of int, which keeps addresses in 32 bits
template <class T>
struct SharedArray1 {
    T* first;
    __device__ __forceinline__ T& operator()(int i) const { return first[i]; }
};
template <class T>
struct SharedArray2 {
    T* first;
    int s0;
    __device__ __forceinline__ T& operator()(int i, int j) const { return first[i * s0 + j]; }
};
template <class T>
struct SharedArray3 {
    T* first;
    int s0, s1;
    __device__ __forceinline__ T& operator()(int i, int j, int k) const { return first[i * s0 + j * s1 + k]; }
};

extern __shared__ __align__(16) unsigned char shared_bytes[];

// Carves the launch's dynamic shared memory; each array begins at a multiple of 16 bytes.
struct Shared {
    int used = 0;
    template <class T>
    __device__ __forceinline__ T* carve(int count) {
        T* first = reinterpret_cast<T*>(shared_bytes + used);
        used += (count * int(sizeof(T)) + 15) / 16 * 16;
        return first;
    }
    template <class T>
    __device__ __forceinline__ SharedArray1<T> take(int n0) {
        return {carve<T>(n0)};
    }
    template <class T>
    __device__ __forceinline__ SharedArray2<T> take(int n0, int n1) {
        return {carve<T>(n0 * n1), n1};
    }
    template <class T>
    __device__ __forceinline__ SharedArray3<T> take(int n0, int n1, int n2) {
        return {carve<T>(n0 * n1 * n2), n1 * n2, n2};
    }
};

// ---- flags in global memory: a thread that acquires a flag sees everything written before the release of its value (PTX ISA,
// memory consistency model). Release and acquire are cumulative: after a block barrier one thread may release for its block.
__device__ __forceinline__ void store_release(Array1<unsigned> flags, int i, unsigned value) {
    asm volatile("st.release.gpu.global.u32 [%0], %1;" ::"l"(&flags(i)), "r"(value) : "memory");
}
__device__ __forceinline__ void store_relaxed(Array1<unsigned> flags, int i, unsigned value) {
    asm volatile("st.relaxed.gpu.global.u32 [%0], %1;" ::"l"(&flags(i)), "r"(value) : "memory");
}
__device__ __forceinline__ unsigned load_acquire(Array1<unsigned> flags, int i) {
    unsigned value;
    asm volatile("ld.acquire.gpu.global.u32 %0, [%1];" : "=r"(value) : "l"(&flags(i)) : "memory");
    return value;
}
__device__ __forceinline__ unsigned load_relaxed(Array1<unsigned> flags, int i) {
    unsigned value;
    asm volatile("ld.relaxed.gpu.global.u32 %0, [%1];" : "=r"(value) : "l"(&flags(i)) : "memory");
    return value;
}
__device__ __forceinline__ void wait_acquire(Array1<unsigned> flags, int i, unsigned value) {
    while (load_acquire(flags, i) < value) {
    }
}
__device__ __forceinline__ void wait_relaxed(Array1<unsigned> flags, int i, unsigned value) {
    while (load_relaxed(flags, i) < value) {
    }
}

template <class T>
__device__ __forceinline__ T atomic_add(Array1<T> a, int i, T value) {
    return atomicAdd(&a(i), value);
}

// All blocks of a cooperative launch wait for each other. counter(0) is 0 at launch; generation counts the barriers from 1.
__device__ __forceinline__ void grid_barrier(Array1<unsigned> counter, int generation) {
    __syncthreads();
    if (threadIdx.x == 0) {
        const unsigned blocks = gridDim.x * gridDim.y * gridDim.z;
        asm volatile("red.release.gpu.global.add.u32 [%0], %1;" ::"l"(&counter(0)), "r"(1u) : "memory");
        wait_acquire(counter, 0, blocks * unsigned(generation));
    }
    __syncthreads();
}

// ---- thread-block clusters, compute capability 9.0 and later
#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 900
__device__ __forceinline__ void cluster_barrier() {
    asm volatile("barrier.cluster.arrive.release.aligned;\n\tbarrier.cluster.wait.acquire.aligned;" ::: "memory");
}
__device__ __forceinline__ unsigned cluster_rank() {
    unsigned rank;
    asm("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
    return rank;
}
__device__ __forceinline__ unsigned cluster_size() {
    unsigned size;
    asm("mov.u32 %0, %%cluster_nctarank;" : "=r"(size));
    return size;
}
template <class T>
__device__ __forceinline__ T* neighbours_(T* mine, unsigned rank) {
    T* theirs;
    asm("mapa.u64 %0, %1, %2;" : "=l"(theirs) : "l"(mine), "r"(rank));
    return theirs;
}
template <class T>
__device__ __forceinline__ SharedArray1<T> neighbour(SharedArray1<T> a, unsigned rank) {
    return {neighbours_(a.first, rank)};
}
template <class T>
__device__ __forceinline__ SharedArray2<T> neighbour(SharedArray2<T> a, unsigned rank) {
    return {neighbours_(a.first, rank), a.s0};
}
template <class T>
__device__ __forceinline__ SharedArray3<T> neighbour(SharedArray3<T> a, unsigned rank) {
    return {neighbours_(a.first, rank), a.s0, a.s1};
}
#endif

// ---- asynchronous copy of N elements from global to shared memory: 4, 8 or 16 bytes, both ends aligned to that
template <int N, class T>
__device__ __forceinline__ void copy_async(T* to, const T* from) {
    constexpr int bytes = N * int(sizeof(T));
    static_assert(bytes == 4 || bytes == 8 || bytes == 16, "an asynchronous copy moves 4, 8 or 16 bytes");
    const unsigned target = static_cast<unsigned>(__cvta_generic_to_shared(to));
    if constexpr (bytes == 16) {
        asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(target), "l"(from) : "memory");
    } else {
        asm volatile("cp.async.ca.shared.global [%0], [%1], %2;" ::"r"(target), "l"(from), "n"(bytes) : "memory");
    }
}
__device__ __forceinline__ void copy_async_wait() { asm volatile("cp.async.wait_all;" ::: "memory"); }

// ---- one tile of matrix multiply-accumulate, by a whole warp
// With g = lane / 4, t = lane % 4: accumulator e0 e1 at (g, 2t) (g, 2t + 1), e2 e3 in row g + 8; the operands: see slice.cuh.
#if HAS_MMA
#if defined(PRECISION_tf32)
__device__ __forceinline__ void mma(Accumulator& c, const FragmentA& a, const FragmentB& b) {
    asm("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(c.e[0]), "+f"(c.e[1]), "+f"(c.e[2]), "+f"(c.e[3])
        : "r"(__float_as_uint(a.e[0])), "r"(__float_as_uint(a.e[1])), "r"(__float_as_uint(a.e[2])),
          "r"(__float_as_uint(a.e[3])), "r"(__float_as_uint(b.e[0])), "r"(__float_as_uint(b.e[1])));
}
#else
__device__ __forceinline__ unsigned pair_(storage low, storage high) { return unsigned(low.bits) | unsigned(high.bits) << 16; }

__device__ __forceinline__ void mma(Accumulator& c, const FragmentA& a, const FragmentB& b) {
#if defined(PRECISION_float16)
#define MMA_FORMATS_ "f32.f16.f16.f32"
#else
#define MMA_FORMATS_ "f32.bf16.bf16.f32"
#endif
    asm("mma.sync.aligned.m16n8k16.row.col." MMA_FORMATS_ " {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(c.e[0]), "+f"(c.e[1]), "+f"(c.e[2]), "+f"(c.e[3])
        : "r"(pair_(a.e[0], a.e[1])), "r"(pair_(a.e[2], a.e[3])), "r"(pair_(a.e[4], a.e[5])), "r"(pair_(a.e[6], a.e[7])),
          "r"(pair_(b.e[0], b.e[1])), "r"(pair_(b.e[2], b.e[3])));
}
#endif
#endif
