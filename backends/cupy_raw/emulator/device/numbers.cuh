// Conversions between the number formats, and the functions that are computed in them.
#pragma once
#include "formats.cuh"

namespace emulator {
template <class To, class From>
inline To same_bits(From from) {
    static_assert(sizeof(To) == sizeof(From), "the same bits");
    To to;
    __builtin_memcpy(&to, &from, sizeof to);
    return to;
}

inline float widen(half value) {
    const unsigned sign = (value.bits & 0x8000u) << 16, rest = value.bits & 0x7fffu;
    if (rest >= 0x7c00u) return same_bits<float>(sign | 0x7f800000u | (rest & 0x3ffu) << 13);
    if (rest >= 0x400u) return same_bits<float>(sign | ((rest << 13) + (112u << 23)));
    return same_bits<float>(sign | same_bits<unsigned>(float(rest) * 0x1p-24f));  // subnormal or zero
}
inline float widen(bfloat16 value) { return same_bits<float>(unsigned(value.bits) << 16); }

// To nearest, ties to even.
inline half narrow_to_half(float value) {
    const unsigned bits = same_bits<unsigned>(value), sign = bits >> 16 & 0x8000u, rest = bits & 0x7fffffffu;
    unsigned narrow;
    if (rest > 0x7f800000u) {
        narrow = 0x7e00u | (rest >> 13 & 0x3ffu);  // NaN, made quiet
    } else if (rest >= 0x477ff000u) {
        narrow = 0x7c00u;  // at or above the middle between the largest half and the next power of two
    } else if (rest >= 0x38800000u) {
        narrow = (rest - (112u << 23) + 0xfffu + (rest >> 13 & 1u)) >> 13;
    } else {
        // the last place of a float between 0.5 and 1 is the smallest half: the addition rounds
        narrow = same_bits<unsigned>(same_bits<float>(rest) + 0.5f) - same_bits<unsigned>(0.5f);
    }
    return {static_cast<unsigned short>(sign | narrow)};
}
inline bfloat16 narrow_to_bfloat16(float value) {
    const unsigned bits = same_bits<unsigned>(value);
    if ((bits & 0x7fffffffu) > 0x7f800000u) return {static_cast<unsigned short>(bits >> 16 | 0x40u)};  // NaN, made quiet
    return {static_cast<unsigned short>((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16)};
}
}  // namespace emulator

inline float to_real(half value) { return emulator::widen(value); }
inline float to_real(bfloat16 value) { return emulator::widen(value); }
inline float to_real(float value) { return value; }
inline double to_real(double value) { return value; }

inline storage to_storage(real value) {
#if defined(PRECISION_float16)
    return emulator::narrow_to_half(value);
#elif defined(PRECISION_bfloat16)
    return emulator::narrow_to_bfloat16(value);
#else
    return value;
#endif
}

inline float exp_(float x) { return __builtin_expf(x); }
inline double exp_(double x) { return __builtin_exp(x); }
inline float tanh_(float x) { return __builtin_tanhf(x); }
inline double tanh_(double x) { return __builtin_tanh(x); }
inline float fma_(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
inline double fma_(double a, double b, double c) { return __builtin_fma(a, b, c); }

inline int min(int a, int b) { return a < b ? a : b; }
inline int max(int a, int b) { return a > b ? a : b; }
inline unsigned min(unsigned a, unsigned b) { return a < b ? a : b; }
inline unsigned max(unsigned a, unsigned b) { return a > b ? a : b; }
inline long long min(long long a, long long b) { return a < b ? a : b; }
inline long long max(long long a, long long b) { return a > b ? a : b; }
inline float min(float a, float b) { return __builtin_fminf(a, b); }
inline float max(float a, float b) { return __builtin_fmaxf(a, b); }
inline double min(double a, double b) { return __builtin_fmin(a, b); }
inline double max(double a, double b) { return __builtin_fmax(a, b); }
