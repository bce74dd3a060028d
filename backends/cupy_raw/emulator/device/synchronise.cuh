// Barriers, flags, atomics, clusters and asynchronous copies: each calls the runtime, which may switch to another thread.
#pragma once

inline void at_step(int step) { emulator_at_step(step); }

inline void __syncthreads(EMULATOR_HERE) { emulator_block_barrier(site_); }
// All threads of all blocks of a cooperative launch call it. counter(0) is 0 at launch; generation counts the barriers from 1.
inline void grid_barrier(Array1<unsigned> counter, int generation, EMULATOR_HERE) {
    emulator_grid_barrier(counter.region, counter.at({0}, site_), generation, site_);
}

inline void store_release(Array1<unsigned> flags, int i, unsigned value, EMULATOR_HERE) {
    emulator_store(flags.region, flags.at({i}, site_), value, emulator::Order::ordered, site_);
}
inline void store_relaxed(Array1<unsigned> flags, int i, unsigned value, EMULATOR_HERE) {
    emulator_store(flags.region, flags.at({i}, site_), value, emulator::Order::relaxed, site_);
}
inline unsigned load_acquire(Array1<unsigned> flags, int i, EMULATOR_HERE) {
    return emulator_load(flags.region, flags.at({i}, site_), emulator::Order::ordered, site_);
}
inline unsigned load_relaxed(Array1<unsigned> flags, int i, EMULATOR_HERE) {
    return emulator_load(flags.region, flags.at({i}, site_), emulator::Order::relaxed, site_);
}
inline void wait_acquire(Array1<unsigned> flags, int i, unsigned value, EMULATOR_HERE) {
    emulator_wait(flags.region, flags.at({i}, site_), i, value, emulator::Order::ordered, site_);
}
inline void wait_relaxed(Array1<unsigned> flags, int i, unsigned value, EMULATOR_HERE) {
    emulator_wait(flags.region, flags.at({i}, site_), i, value, emulator::Order::relaxed, site_);
}

template <class T>
inline T atomic_add(Array1<T> a, int i, T value, EMULATOR_HERE) {
    T* address = a.at({i}, site_);
    if (!emulator_atomic(a.region, address, sizeof(T), site_)) return T{};
    const T before = *address;
    *address = T(before + value);
    emulator_atomic_done(address, value != T{}, site_);
    return before;
}

inline void cluster_barrier(EMULATOR_HERE) { emulator_cluster_barrier(site_); }
inline unsigned cluster_rank() { return emulator_cluster_rank(); }
inline unsigned cluster_size() { return emulator_cluster_size(); }
// The same array in the shared memory of another block of the cluster.
template <class T, int Axes>
inline emulator::View<T, Axes, true> neighbour(emulator::View<T, Axes, true> mine, unsigned rank, EMULATOR_HERE) {
    mine.first = static_cast<T*>(emulator_neighbour(mine.first, rank, &mine.region, site_));
    return mine;
}

// Copies N elements from global to shared memory; they have arrived once this thread has waited.
template <int N, class To, class From>
inline void copy_async(emulator::Pointer<To> to, emulator::Pointer<From> from, EMULATOR_HERE) {
    constexpr unsigned bytes = N * sizeof(To);
    static_assert(bytes == 4 || bytes == 8 || bytes == 16, "an asynchronous copy moves 4, 8 or 16 bytes");
    static_cast<void>(static_cast<const To*>(from.address));  // both ends have elements of one type
    emulator_copy(to.region, to.address, from.region, from.address, bytes, site_);
}
inline void copy_async_wait(EMULATOR_HERE) { emulator_copy_wait(site_); }
