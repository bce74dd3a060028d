// Operations of all 32 lanes of a warp: shuffles, votes, and one tile of matrix multiply-accumulate.
#pragma once

namespace emulator {

template <class T>
inline T shuffle(unsigned mask, T value, int source, Site site) {
    static_assert(sizeof(T) <= sizeof(Word), "a shuffle moves at most 8 bytes");
    LanePart part{WarpOperation::shuffle, mask, 0, source, nullptr, site, 0};
    __builtin_memcpy(&part.value, &value, sizeof value);
    emulator_warp(&part);
    __builtin_memcpy(&value, &part.result, sizeof value);
    return value;
}

// The lane `to` if it is in the caller's segment of `width` lanes, else the caller's own lane.
inline int within(int to, int width) {
    const int first = lane() / width * width;
    return to >= first && to < first + width ? to : lane();
}

inline unsigned vote(unsigned mask, bool predicate, Site site) {
    LanePart part{WarpOperation::vote, mask, predicate, 0, nullptr, site, 0};
    emulator_warp(&part);
    return unsigned(part.result);
}

}  // namespace emulator

inline void __syncwarp(unsigned mask = 0xffffffffu, EMULATOR_HERE) {
    emulator::LanePart part{emulator::WarpOperation::synchronise, mask, 0, 0, nullptr, site_, 0};
    emulator_warp(&part);
}

template <class T, class V = typename emulator::Plain<T>::Type>
inline V __shfl_sync(unsigned mask, T value, int source, int width = 32, EMULATOR_HERE) {
    const int from = lane() / width * width + (source & (width - 1));
    return emulator::shuffle<V>(mask, static_cast<T&&>(value), from, site_);
}
template <class T, class V = typename emulator::Plain<T>::Type>
inline V __shfl_down_sync(unsigned mask, T value, unsigned by, int width = 32, EMULATOR_HERE) {
    return emulator::shuffle<V>(mask, static_cast<T&&>(value), emulator::within(lane() + int(by), width), site_);
}
template <class T, class V = typename emulator::Plain<T>::Type>
inline V __shfl_up_sync(unsigned mask, T value, unsigned by, int width = 32, EMULATOR_HERE) {
    return emulator::shuffle<V>(mask, static_cast<T&&>(value), emulator::within(lane() - int(by), width), site_);
}
template <class T, class V = typename emulator::Plain<T>::Type>
inline V __shfl_xor_sync(unsigned mask, T value, int with, int width = 32, EMULATOR_HERE) {
    return emulator::shuffle<V>(mask, static_cast<T&&>(value), emulator::within(lane() ^ with, width), site_);
}

inline unsigned __ballot_sync(unsigned mask, bool predicate, EMULATOR_HERE) { return emulator::vote(mask, predicate, site_); }
inline int __any_sync(unsigned mask, bool predicate, EMULATOR_HERE) { return emulator::vote(mask, predicate, site_) != 0; }
inline int __all_sync(unsigned mask, bool predicate, EMULATOR_HERE) { return emulator::vote(mask, !predicate, site_) == 0; }

#if HAS_MMA
namespace emulator {

struct Fragments {
    Accumulator* c;
    const FragmentA* a;
    const FragmentB* b;
};

#if defined(PRECISION_tf32)
inline float multiplicand(float value) { return same_bits<float>(same_bits<unsigned>(value) & 0xffffe000u); }
#else
inline float multiplicand(storage value) { return widen(value); }
#endif

// Which lane has which element: PTX ISA, "Matrix fragments for mma.m16n8k16" and "... mma.m16n8k8". Sums are exact to a double.
inline void multiply(const Word* of_lanes) {
    float a[16][MMA_DEPTH], b[MMA_DEPTH][8];
    double c[16][8];
    for (int lane = 0; lane < 32; ++lane) {
        const Fragments& mine = *reinterpret_cast<const Fragments*>(of_lanes[lane]);
        const int g = lane / 4, t = lane % 4;
#if defined(PRECISION_tf32)
        for (int i = 0; i < 4; ++i) a[g + i % 2 * 8][t + i / 2 * 4] = multiplicand(mine.a->e[i]);
        for (int i = 0; i < 2; ++i) b[t + i * 4][g] = multiplicand(mine.b->e[i]);
#else
        for (int i = 0; i < 8; ++i) a[g + i / 2 % 2 * 8][2 * t + i % 2 + i / 4 * 8] = multiplicand(mine.a->e[i]);
        for (int i = 0; i < 4; ++i) b[2 * t + i % 2 + i / 2 * 8][g] = multiplicand(mine.b->e[i]);
#endif
        for (int i = 0; i < 4; ++i) c[g + i / 2 * 8][2 * t + i % 2] = mine.c->e[i];
    }
    for (int row = 0; row < 16; ++row) {
        for (int k = 0; k < MMA_DEPTH; ++k) {
            for (int column = 0; column < 8; ++column) c[row][column] += double(a[row][k]) * b[k][column];
        }
    }
    for (int lane = 0; lane < 32; ++lane) {
        const int g = lane / 4, t = lane % 4;
        Accumulator& mine = *reinterpret_cast<const Fragments*>(of_lanes[lane])->c;
        for (int i = 0; i < 4; ++i) mine.e[i] = float(c[g + i / 2 * 8][2 * t + i % 2]);
    }
}

}  // namespace emulator

inline void mma(Accumulator& c, const FragmentA& a, const FragmentB& b, EMULATOR_HERE) {
    const emulator::Fragments mine{&c, &a, &b};
    emulator::LanePart part{emulator::WarpOperation::multiply,
                            0xffffffffu,
                            reinterpret_cast<emulator::Word>(&mine),
                            0,
                            emulator::multiply,
                            site_,
                            0};
    emulator_warp(&part);
}
#endif
