// Who knows what: vector clocks, compressed by what CUDA's barriers make of them.
//
// Each thread has a clock, which goes up when it may be heard of (a release, a barrier). An access is (thread, clock). A
// thread knows an access of another if
//   - it is of the thread's own block and before the block's last barrier: its clock is below Block::base;
//   - it is of another block, and below that block's entry in Phases: all that the block did before one of its barriers;
//   - an Exception says so: of these lanes of this warp, all below a clock.
// A block barrier sets the clocks of all its threads to one more than the largest, so what one knows is mostly Phases, which
// threads share; exceptions come from releases and __syncwarp, and are dropped when a phase covers them.
//
// Cormac Flanagan, Stephen N. Freund, "FastTrack", PLDI 2009, for clocks and epochs. Both kinds here are never changed while
// more than one thread has them.
#pragma once

#include <algorithm>

#include "state.h"

namespace emulator {

struct Phases {
    int users;
    unsigned below[1];  // for each block of the grid
};
struct Exception {
    unsigned warp, lanes, below;
};
struct Exceptions {
    int users;
    unsigned count;
    Exception each[1];  // by warp, and for one warp the latest clock first
};

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

inline Phases* copy_of(const Phases* phases) {
    const std::size_t bytes = sizeof(Phases) + launch.blocks * sizeof(unsigned);
    auto* copy = static_cast<Phases*>(malloc(bytes));
    if (phases) {
        std::memcpy(copy, phases, bytes);
    } else {
        std::fill_n(copy->below, launch.blocks, launch.base);
    }
    copy->users = 1;
    return copy;
}
inline void join(Phases*& mine, Phases* other) {
    if (!other || other == mine) return;
    if (!mine) {
        mine = share(other);
        return;
    }
    if (mine->users > 1) replace(mine, copy_of(mine));
    for (unsigned b = 0; b < launch.blocks; ++b) mine->below[b] = std::max(mine->below[b], other->below[b]);
}
inline void learn_phase(Phases*& mine, unsigned block, unsigned below) {
    if (mine && mine->below[block] >= below) return;
    if (!mine || mine->users > 1) replace(mine, copy_of(mine));
    mine->below[block] = below;
}

inline bool excepted(const Exceptions& exceptions, unsigned warp, unsigned lanes, unsigned clock) {
    const Exception* end = exceptions.each + exceptions.count;
    const Exception* e =
        std::lower_bound(exceptions.each, end, warp, [](const Exception& a, unsigned w) { return a.warp < w; });
    for (; e != end && e->warp == warp; ++e) {
        if (clock < e->below) lanes &= ~e->lanes;
    }
    return lanes == 0;
}

// Goes up whenever a thread learns something: what was found out of its knowledge before may no longer hold.
inline std::uint64_t knowledge_stamp;

// Whether the thread knows what these lanes of that warp of the grid did at that clock.
inline bool knows(const Thread& thread, unsigned warp, unsigned lanes, unsigned clock) {
    const Block& block = *thread.block;
    if (warp - block.first_warp_number < launch.warps_a_block) {
        if (clock < block.base) return true;
        if (warp == thread.warp_number) lanes &= ~thread.bit;
        if (lanes == 0) return true;
    } else if (thread.phases && clock < thread.phases->below[warp / launch.warps_a_block]) {
        return true;
    }
    return thread.exceptions && excepted(*thread.exceptions, warp, lanes, clock);
}

// A list of exceptions in the making.
class Gathering {
public:
    void clear() { list_.clear(); }
    void add(const Exceptions* exceptions) {
        if (exceptions) merge(exceptions->each, exceptions->count);
    }
    void add(Exception exception) { merge(&exception, 1); }

    // What is left of the list where `phases` and, for the block itself, its base are known; null if nothing.
    Exceptions* made(const Phases* phases, const Block& block) {
        const auto covered = [&](const Exception& e) {
            if (e.warp - block.first_warp_number < launch.warps_a_block) return e.below <= block.base;
            return phases && e.below <= phases->below[e.warp / launch.warps_a_block];
        };
        list_.erase(std::remove_if(list_.begin(), list_.end(), covered), list_.end());
        if (list_.empty()) return nullptr;
        made_.clear();
        unsigned seen = 0;  // lanes of this warp that a later clock is known of
        for (std::size_t i = 0; i < list_.size(); ++i) {
            const Exception& e = list_[i];
            if (i == 0 || e.warp != list_[i - 1].warp) seen = 0;
            const unsigned lanes = e.lanes & ~seen;
            seen |= e.lanes;
            if (lanes == 0) continue;
            if (!made_.empty() && made_.back().warp == e.warp && made_.back().below == e.below) {
                made_.back().lanes |= lanes;
            } else {
                made_.push_back({e.warp, lanes, e.below});
            }
        }
        auto* exceptions = static_cast<Exceptions*>(malloc(sizeof(Exceptions) + made_.size() * sizeof(Exception)));
        exceptions->users = 1;
        exceptions->count = static_cast<unsigned>(made_.size());
        std::copy(made_.begin(), made_.end(), exceptions->each);
        return exceptions;
    }

private:
    // Both by warp, and for one warp the latest clock first.
    void merge(const Exception* each, unsigned count) {
        made_.clear();
        const Exception *a = list_.data(), *a_end = a + list_.size(), *b = each, *b_end = each + count;
        while (a != a_end || b != b_end) {
            const bool take_a = b == b_end || (a != a_end && (a->warp != b->warp ? a->warp < b->warp : a->below >= b->below));
            const Exception& e = take_a ? *a++ : *b++;
            const Exception* last = made_.empty() ? nullptr : &made_.back();
            if (!last || last->warp != e.warp || (e.lanes & ~last->lanes) != 0) made_.push_back(e);
        }
        list_.swap(made_);
    }

    std::vector<Exception> list_, made_;
};

inline Gathering gathering;

// What a release leaves behind for who acquires it.
struct Released {
    Phases* phases;
    Exceptions* exceptions;
    unsigned block, base;  // the releasing thread's block
    Exception thread;      // the releasing thread up to its release; lanes 0: nothing was released
};

inline void advance(Thread& thread) {
    ++knowledge_stamp;
    ++thread.clock;
    thread.block->latest = std::max(thread.block->latest, thread.clock);
}

inline void forget(Released& released) {
    drop(released.phases);
    drop(released.exceptions);
    released.thread.lanes = 0;
}
inline void release(Thread& thread, Released& released) {
    replace(released.phases, share(thread.phases));
    replace(released.exceptions, share(thread.exceptions));
    released.block = thread.block->number;
    released.base = thread.block->base;
    released.thread = {thread.warp_number, thread.bit, thread.clock + 1};
    advance(thread);
}
inline void acquire(Thread& thread, const Released& released) {
    const Exception& from = released.thread;
    ++knowledge_stamp;
    // who knows a thread up to a clock knows all that it knew then
    if (from.lanes == 0 || knows(thread, from.warp, from.lanes, from.below - 1)) return;
    join(thread.phases, released.phases);
    if (released.block != thread.block->number) learn_phase(thread.phases, released.block, released.base);
    gathering.clear();
    gathering.add(thread.exceptions);
    if (released.exceptions != thread.exceptions) gathering.add(released.exceptions);
    gathering.add(from);
    replace(thread.exceptions, gathering.made(thread.phases, *thread.block));
}

// The lanes of one warp learn of each other.
inline void meet_lanes(Warp& warp, unsigned lanes) {
    ++knowledge_stamp;
    Thread* first = nullptr;
    unsigned clock = 0;
    Phases* phases = nullptr;
    gathering.clear();
    const Exceptions* previous = nullptr;
    for (unsigned rest = lanes; rest; rest &= rest - 1) {
        Thread& thread = warp.first[__builtin_ctz(rest)];
        if (!first) first = &thread;
        clock = std::max(clock, thread.clock);
        join(phases, thread.phases);
        if (thread.exceptions != previous) gathering.add(thread.exceptions);
        previous = thread.exceptions;
    }
    if (!first) return;
    ++clock;
    warp.block->latest = std::max(warp.block->latest, clock);
    gathering.add({first->warp_number, lanes, clock});
    Exceptions* exceptions = gathering.made(phases, *warp.block);
    for (unsigned rest = lanes; rest; rest &= rest - 1) {
        Thread& thread = warp.first[__builtin_ctz(rest)];
        thread.clock = clock;
        replace(thread.phases, share(phases));
        replace(thread.exceptions, share(exceptions));
    }
    drop(phases);
    drop(exceptions);
}

// All threads of these blocks learn of each other: a barrier of a block, of a cluster, of the grid.
inline void meet_blocks(Block* const* blocks, std::size_t count) {
    ++knowledge_stamp;
    Phases* phases = nullptr;
    const Phases* previous_phases = nullptr;
    const Exceptions* previous = nullptr;
    gathering.clear();
    for (std::size_t i = 0; i < count; ++i) {
        Block& block = *blocks[i];
        block.base = ++block.latest;
        Thread* threads = threads_of(block);
        for (unsigned t = 0; t < launch.threads_a_block; ++t) {
            if (threads[t].phases != previous_phases) join(phases, threads[t].phases);
            if (threads[t].exceptions != previous) gathering.add(threads[t].exceptions);
            previous_phases = threads[t].phases;
            previous = threads[t].exceptions;
        }
    }
    if (count > 1) {
        for (std::size_t i = 0; i < count; ++i) learn_phase(phases, blocks[i]->number, blocks[i]->base);
    }
    Exceptions* exceptions = gathering.made(phases, *blocks[0]);
    for (std::size_t i = 0; i < count; ++i) {
        Thread* threads = threads_of(*blocks[i]);
        for (unsigned t = 0; t < launch.threads_a_block; ++t) {
            threads[t].clock = blocks[i]->base;
            if (threads[t].phases != phases) replace(threads[t].phases, share(phases));
            if (threads[t].exceptions != exceptions) replace(threads[t].exceptions, share(exceptions));
        }
    }
    drop(phases);
    drop(exceptions);
}

}  // namespace emulator
