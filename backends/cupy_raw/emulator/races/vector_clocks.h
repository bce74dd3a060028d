// Vector clocks, and the happens-before relation that they decide.
//
// Each thread has a scalar clock, which is incremented whenever others may synchronise with it (a release, a barrier). The
// epoch of an access is (thread, clock). A full vector clock has an entry for every thread of the grid; CUDA's barriers allow
// a shorter form. An access of another thread happens before whatever `thread` does next if
//   - it is of the same block and precedes the block's last barrier: its clock is below Block::barrier_clock;
//   - it is of another block and below that block's entry in VectorClock, which has one entry a block: everything that the
//     block did before one of its barriers;
//   - a LaneClock covers it: everything that these lanes of one warp did below a clock.
// A block barrier sets the clocks of all its threads to one more than their maximum, so most of what a thread is ordered after
// is in its VectorClock, which threads share. Lane clocks come from releases and __syncwarp, and are dropped once an entry of
// the VectorClock, or barrier_clock, covers them.
//
// Cormac Flanagan, Stephen N. Freund, "FastTrack: Efficient and Precise Dynamic Race Detection", PLDI 2009. VectorClock and
// LaneClocks are reference-counted, and copied before they change if more than one thread uses them.
#pragma once

#include <algorithm>

#include "runtime/state.h"

namespace emulator {

// When `lanes` of a warp of the grid accessed something.
struct Epoch {
    unsigned warp, lanes, clock;
};

struct VectorClock {
    int users;
    unsigned below[1];  // for each block of the grid: its accesses with a smaller clock happen before
};
struct LaneClock {
    unsigned warp, lanes, below;  // accesses of these lanes with a smaller clock happen before
};
struct LaneClocks {
    int users;
    unsigned count;
    LaneClock each[1];  // by warp, and for one warp the greatest clock first
};

// ---- reference counting
template <class Shared>
inline Shared* share(Shared* what) {
    if (what) ++what->users;
    return what;
}
template <class Shared>
inline void drop(Shared*& what) {
    if (what && --what->users == 0) free(what);
    what = nullptr;
}
template <class Shared>
inline void replace(Shared*& what, Shared* by) {  // takes over the caller's use of `by`
    Shared* old = what;
    what = by;
    drop(old);
}

// ---- one entry a block
inline VectorClock* copy_of(const VectorClock* vector_clock) {
    const std::size_t bytes = sizeof(VectorClock) + launch.blocks * sizeof(unsigned);
    auto* copy = static_cast<VectorClock*>(malloc(bytes));
    if (vector_clock) {
        std::memcpy(copy, vector_clock, bytes);
    } else {
        std::fill_n(copy->below, launch.blocks, launch.start_clock);
    }
    copy->users = 1;
    return copy;
}
inline void join(VectorClock*& mine, VectorClock* other) {
    if (!other || other == mine) return;
    if (!mine) {
        mine = share(other);
        return;
    }
    if (mine->users > 1) replace(mine, copy_of(mine));
    for (unsigned b = 0; b < launch.blocks; ++b) mine->below[b] = std::max(mine->below[b], other->below[b]);
}
inline void raise_entry(VectorClock*& mine, unsigned block, unsigned below) {
    if (mine && mine->below[block] >= below) return;
    if (!mine || mine->users > 1) replace(mine, copy_of(mine));
    mine->below[block] = below;
}

// ---- happens-before
inline bool covers(const LaneClocks& lane_clocks, Epoch epoch) {
    const LaneClock* end = lane_clocks.each + lane_clocks.count;
    const LaneClock* e =
        std::lower_bound(lane_clocks.each, end, epoch.warp, [](const LaneClock& a, unsigned w) { return a.warp < w; });
    for (; e != end && e->warp == epoch.warp; ++e) {
        if (epoch.clock < e->below) epoch.lanes &= ~e->lanes;
    }
    return epoch.lanes == 0;
}

// Incremented whenever a thread's clocks change: an order that was established before may have to be established anew.
inline std::uint64_t clock_version;

// Whether everything that the epoch's lanes did happens before what `thread` does next.
inline bool happens_before(Epoch epoch, const Thread& thread) {
    const Block& block = *thread.block;
    if (epoch.warp - block.first_warp_number < launch.warps_a_block) {
        if (epoch.clock < block.barrier_clock) return true;
        if (epoch.warp == thread.warp_number) epoch.lanes &= ~thread.bit;
        if (epoch.lanes == 0) return true;
    } else if (thread.vector_clock && epoch.clock < thread.vector_clock->below[epoch.warp / launch.warps_a_block]) {
        return true;
    }
    return thread.lane_clocks && covers(*thread.lane_clocks, epoch);
}

// ---- entries for lanes: the join of several lists
class LaneClockJoin {
public:
    void clear() { joined_.clear(); }
    void add(const LaneClocks* lane_clocks) {
        if (lane_clocks) merge(lane_clocks->each, lane_clocks->count);
    }
    void add(LaneClock lane_clock) { merge(&lane_clock, 1); }

    // The join without what `vector_clock` and, for the block itself, its barrier_clock cover; null if nothing is left.
    LaneClocks* result(const VectorClock* vector_clock, const Block& block) {
        const auto covered = [&](const LaneClock& e) {
            if (e.warp - block.first_warp_number < launch.warps_a_block) return e.below <= block.barrier_clock;
            return vector_clock && e.below <= vector_clock->below[e.warp / launch.warps_a_block];
        };
        joined_.erase(std::remove_if(joined_.begin(), joined_.end(), covered), joined_.end());
        if (joined_.empty()) return nullptr;
        merged_.clear();
        unsigned seen = 0;  // lanes of this warp that have a greater clock in the list
        for (std::size_t i = 0; i < joined_.size(); ++i) {
            const LaneClock& e = joined_[i];
            if (i == 0 || e.warp != joined_[i - 1].warp) seen = 0;
            const unsigned lanes = e.lanes & ~seen;
            seen |= e.lanes;
            if (lanes == 0) continue;
            if (!merged_.empty() && merged_.back().warp == e.warp && merged_.back().below == e.below) {
                merged_.back().lanes |= lanes;
            } else {
                merged_.push_back({e.warp, lanes, e.below});
            }
        }
        auto* lane_clocks = static_cast<LaneClocks*>(malloc(sizeof(LaneClocks) + merged_.size() * sizeof(LaneClock)));
        lane_clocks->users = 1;
        lane_clocks->count = static_cast<unsigned>(merged_.size());
        std::copy(merged_.begin(), merged_.end(), lane_clocks->each);
        return lane_clocks;
    }

private:
    // Both by warp, and for one warp the greatest clock first.
    void merge(const LaneClock* each, unsigned count) {
        merged_.clear();
        const LaneClock *a = joined_.data(), *a_end = a + joined_.size(), *b = each, *b_end = each + count;
        while (a != a_end || b != b_end) {
            const bool take_a = b == b_end || (a != a_end && (a->warp != b->warp ? a->warp < b->warp : a->below >= b->below));
            const LaneClock& e = take_a ? *a++ : *b++;
            const LaneClock* last = merged_.empty() ? nullptr : &merged_.back();
            if (!last || last->warp != e.warp || (e.lanes & ~last->lanes) != 0) merged_.push_back(e);
        }
        joined_.swap(merged_);
    }

    std::vector<LaneClock> joined_, merged_;
};

inline LaneClockJoin lane_clock_join;

// ---- release and acquire: the clock of a synchronisation object
struct ReleaseClock {
    VectorClock* vector_clock;
    LaneClocks* lane_clocks;
    unsigned block, barrier_clock;  // of the releasing thread
    LaneClock thread;               // the releasing thread up to its release; lanes 0: nothing was released
};

inline void increment_clock(Thread& thread) {
    ++clock_version;
    ++thread.clock;
    thread.block->max_clock = std::max(thread.block->max_clock, thread.clock);
}

inline void clear(ReleaseClock& released) {
    drop(released.vector_clock);
    drop(released.lane_clocks);
    released.thread.lanes = 0;
}
inline void release(Thread& thread, ReleaseClock& released) {
    replace(released.vector_clock, share(thread.vector_clock));
    replace(released.lane_clocks, share(thread.lane_clocks));
    released.block = thread.block->number;
    released.barrier_clock = thread.block->barrier_clock;
    released.thread = {thread.warp_number, thread.bit, thread.clock + 1};
    increment_clock(thread);
}
inline void acquire(Thread& thread, const ReleaseClock& released) {
    const LaneClock& from = released.thread;
    ++clock_version;
    // the relation is transitive: after the release, and so after everything that it is after
    if (from.lanes == 0 || happens_before({from.warp, from.lanes, from.below - 1}, thread)) return;
    join(thread.vector_clock, released.vector_clock);
    if (released.block != thread.block->number) raise_entry(thread.vector_clock, released.block, released.barrier_clock);
    lane_clock_join.clear();
    lane_clock_join.add(thread.lane_clocks);
    if (released.lane_clocks != thread.lane_clocks) lane_clock_join.add(released.lane_clocks);
    lane_clock_join.add(from);
    replace(thread.lane_clocks, lane_clock_join.result(thread.vector_clock, *thread.block));
}

// ---- barriers
// __syncwarp of these lanes.
inline void join_lanes(Warp& warp, unsigned lanes) {
    ++clock_version;
    Thread* first = nullptr;
    unsigned clock = 0;
    VectorClock* vector_clock = nullptr;
    lane_clock_join.clear();
    const LaneClocks* previous = nullptr;
    for (unsigned rest = lanes; rest; rest &= rest - 1) {
        Thread& thread = warp.first[__builtin_ctz(rest)];
        if (!first) first = &thread;
        clock = std::max(clock, thread.clock);
        join(vector_clock, thread.vector_clock);
        if (thread.lane_clocks != previous) lane_clock_join.add(thread.lane_clocks);
        previous = thread.lane_clocks;
    }
    if (!first) return;
    ++clock;
    warp.block->max_clock = std::max(warp.block->max_clock, clock);
    lane_clock_join.add({first->warp_number, lanes, clock});
    LaneClocks* lane_clocks = lane_clock_join.result(vector_clock, *warp.block);
    for (unsigned rest = lanes; rest; rest &= rest - 1) {
        Thread& thread = warp.first[__builtin_ctz(rest)];
        thread.clock = clock;
        replace(thread.vector_clock, share(vector_clock));
        replace(thread.lane_clocks, share(lane_clocks));
    }
    drop(vector_clock);
    drop(lane_clocks);
}

// A barrier of all threads of these blocks: of a block, of a cluster, of the grid.
inline void join_blocks(Block* const* blocks, std::size_t count) {
    ++clock_version;
    VectorClock* vector_clock = nullptr;
    const VectorClock* previous_vector_clock = nullptr;
    const LaneClocks* previous = nullptr;
    lane_clock_join.clear();
    for (std::size_t i = 0; i < count; ++i) {
        Block& block = *blocks[i];
        block.barrier_clock = ++block.max_clock;
        Thread* threads = threads_of(block);
        for (unsigned t = 0; t < launch.threads_a_block; ++t) {
            if (threads[t].vector_clock != previous_vector_clock) join(vector_clock, threads[t].vector_clock);
            if (threads[t].lane_clocks != previous) lane_clock_join.add(threads[t].lane_clocks);
            previous_vector_clock = threads[t].vector_clock;
            previous = threads[t].lane_clocks;
        }
    }
    if (count > 1) {
        for (std::size_t i = 0; i < count; ++i) raise_entry(vector_clock, blocks[i]->number, blocks[i]->barrier_clock);
    }
    LaneClocks* lane_clocks = lane_clock_join.result(vector_clock, *blocks[0]);
    for (std::size_t i = 0; i < count; ++i) {
        Thread* threads = threads_of(*blocks[i]);
        for (unsigned t = 0; t < launch.threads_a_block; ++t) {
            threads[t].clock = blocks[i]->barrier_clock;
            if (threads[t].vector_clock != vector_clock) replace(threads[t].vector_clock, share(vector_clock));
            if (threads[t].lane_clocks != lane_clocks) replace(threads[t].lane_clocks, share(lane_clocks));
        }
    }
    drop(vector_clock);
    drop(lane_clocks);
}

}  // namespace emulator
