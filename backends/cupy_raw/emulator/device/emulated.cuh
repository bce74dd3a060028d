// The device header on a CPU: the names of kernels/gpu.cuh, emulated and, if the launch asks for it, checked.
//
// A kernel file is compiled as C++17. Each CUDA thread is a fiber of the runtime (runtime/runtime.cpp), so a barrier is a
// switch to another one. Sizes are plain variables here, set before a launch: one compilation serves all sizes.
#pragma once

#include "calls.h"

#define __global__
#define __device__ inline
#define __host__
#define __forceinline__
#define __restrict__
#define __launch_bounds__(...)

constexpr int warpSize = 32;
inline int lane() { return int(threadIdx.x % 32); }

// The line that a finding names: a default argument is evaluated at the call in the kernel.
#define EMULATOR_HERE emulator::Site site_ = {__builtin_FILE(), __builtin_LINE()}

#include "numbers.cuh"
#include "views.cuh"

#include "synchronise.cuh"

#include "warps.cuh"

// ---- sizes, and the functions by which Python sets them and calls a kernel
namespace emulator {
inline const SizeEntry* sizes = nullptr;
struct SizeName : SizeEntry {
    SizeName(const char* name, int* value) : SizeEntry{name, value, sizes} { sizes = this; }
};

template <class T>
struct Argument;
template <class T>
struct Argument<T*> {
    static constexpr char kind = 'p', bytes = '0' + sizeof(T);
    static T* of(Word word) { return reinterpret_cast<T*>(word); }
};
template <class T>
struct Argument<const T*> {
    static constexpr char kind = 'c', bytes = '0' + sizeof(T);
    static const T* of(Word word) { return reinterpret_cast<const T*>(word); }
};
template <>
struct Argument<int> {
    static constexpr char kind = 'i', bytes = '4';
    static int of(Word word) { return int(word); }
};

template <int... I>
struct Indices {};
template <int N, int... I>
struct Count : Count<N - 1, N - 1, I...> {};
template <int... I>
struct Count<0, I...> {
    using Type = Indices<I...>;
};

template <class... A, int... I>
void call(void (*kernel)(A...), [[maybe_unused]] const Word* words, Indices<I...>) {
    kernel(Argument<A>::of(words[I])...);
}
template <class... A>
void call(void (*kernel)(A...), const Word* words) {
    call(kernel, words, typename Count<sizeof...(A)>::Type{});
}
template <class... A>
const char* signature(void (*)(A...)) {
    struct Pair {
        char kind, bytes;
    };
    static const Pair pairs[] = {Pair{Argument<A>::kind, Argument<A>::bytes}..., Pair{0, 0}};
    return &pairs[0].kind;
}
}  // namespace emulator

#define SIZE(name_) SIZE_AS(name_, name_)
#define SIZE_AS(member_, name_)    \
    static inline int member_ = 0; \
    static inline const emulator::SizeName member_##_entry{#name_, &member_};
#define BOUND(size, most) (most)
#define EXPORT_KERNEL(name)                                                                              \
    EMULATOR_CALL void emulator_run_##name(const emulator::Word* words) { emulator::call(name, words); } \
    EMULATOR_CALL const char* emulator_signature_##name() { return emulator::signature(name); }

EMULATOR_CALL inline __attribute__((used)) const emulator::SizeEntry* emulator_sizes() { return emulator::sizes; }
