// The life of a launch's threads: blocks begin, their threads run as fibers until all have ended.
#pragma once

#include "races.h"
#include "scheduler.h"

namespace emulator {

inline StackPool stacks;
inline void* caller;  // the stack pointer of who launched
inline char* overflown;

void thread_ended(Thread& thread);
[[noreturn]] void nothing_can_go_on();

[[noreturn]] inline void abandon() {
    void* unused;
    emulator_switch(&unused, caller);
    __builtin_unreachable();
}

[[noreturn]] void run_thread();

// What `thread` sees of itself.
inline void become(Thread& thread) {
    launch.current = &thread;
    thread.doing = Doing::computing;
    threadIdx.x = thread.number;
    blockIdx = thread.block->place;
}

[[noreturn]] inline void report_overflow(const Thread& thread) {
    fatal("stack", thread, thread.site,
          text("%s needs more than %zu bytes of stack: make its local arrays smaller", name_of(thread).c_str(),
               STACK_BYTES - STACK_RESERVE));
}

// Gets `thread` ready to be switched to.
inline void* prepare(Thread& thread) {
    ++launch.switches;
    if (!thread.stack) {
        thread.stack = stacks.acquire();
        thread.stack_pointer = fresh_stack_pointer(thread.stack, run_thread);
    } else if (canary_above(thread.stack) != CANARY) {
        for (Thread& other : launch.threads) {
            if (other.stack == thread.stack + STACK_BYTES) report_overflow(other);
        }
    }
    become(thread);
    return thread.stack_pointer;
}

inline void switch_to(Thread* next) {
    if (sets.wants_collection()) collect_sets();
    Thread& me = self();
    if (static_cast<char*>(__builtin_frame_address(0)) < me.stack + STACK_RESERVE) report_overflow(me);
    if (!next) nothing_can_go_on();
    if (next == &me) {
        ++launch.switches;
        me.doing = Doing::computing;
        return;
    }
    void* to = prepare(*next);
    emulator_switch(&me.stack_pointer, to);  // a tail call: the processor would not foresee a return
}

// Another thread may go on; this one can, too.
inline void yield() { switch_to(scheduler.pick()); }

// This thread cannot go on until it is woken.
inline void wait(Doing doing, Site site) {
    Thread& me = self();
    me.doing = doing;
    me.site = site;
    scheduler.sleep(*me.warp, me.bit);
    switch_to(scheduler.pick());
}
inline void wake(Thread& thread) {
    launch.idle = 0;
    scheduler.wake(*thread.warp, thread.bit);
}
inline void wake_all(Block& block) {
    launch.idle = 0;
    Warp* warps = &launch.warps[block.first_warp];
    for (unsigned w = 0; w < launch.warps_a_block; ++w) {
        scheduler.wake(warps[w], warps[w].existing);
    }
}

inline void begin_block(Block& block, unsigned number) {
    const unsigned floor = block.begun ? block.latest + 1 : launch.base;
    block.number = number;
    block.place = place_of(number);
    block.first_warp_number = number * launch.warps_a_block;
    block.ended = block.arrived = 0;
    block.first_there = nullptr;
    block.base = block.latest = block.start = floor;
    block.begun = true;
    const std::uint64_t seed = launch.request->seed;
    scheduler.begin_block(block, unsigned(seed % launch.blocks),
                          unsigned(seed % (std::uint64_t(launch.blocks) * launch.warps_a_block)));
    std::memset(block.shared, 0xff, launch.request->shared_bytes);
    if (launch.request->detect) begin_shared(block);
    for (unsigned w = 0; w < launch.warps_a_block; ++w) {
        Warp& warp = launch.warps[block.first_warp + w];
        const unsigned left = launch.threads_a_block - w * LANES;
        warp.existing = left >= LANES ? ALL_LANES : (1u << left) - 1;
        warp.ready = warp.ended = warp.waiting = 0;
        for (unsigned lane = 0; lane < std::min(left, LANES); ++lane) {
            Thread& thread = warp.first[lane];
            thread.stack = nullptr;
            thread.warp_number = block.first_warp_number + w;
            thread.clock = floor;
            thread.step = thread.copies = -1;
            thread.doing = Doing::computing;
            thread.site = {nullptr, 0};
            thread.awaited = nullptr;
        }
        scheduler.wake(warp, warp.existing);
    }
}

// Which cluster of the grid is the next to begin: a schedule that favours a block, or a warp, begins with it.
inline unsigned next_group(unsigned begun) {
    const Request& request = *launch.request;
    const auto schedule = Schedule(request.schedule);
    const auto resident = static_cast<unsigned>(launch.cluster_arrived.size());
    if (schedule == Schedule::in_order || resident == launch.groups) return begun;
    if (schedule == Schedule::reversed) return begun < resident ? launch.groups - resident + begun : launch.groups - 1 - begun;
    const unsigned warps = schedule == Schedule::warp_behind ? launch.warps_a_block : 1;
    const std::uint64_t block = request.seed % (std::uint64_t(launch.blocks) * warps) / warps;
    return (unsigned(block / launch.cluster) + begun) % launch.groups;
}
// They take the place of those of a resident cluster.
inline void begin_cluster(std::size_t resident) {
    const unsigned group = next_group(launch.groups_begun++);
    launch.cluster_arrived[resident] = launch.cluster_ended[resident] = 0;
    for (unsigned rank = 0; rank < launch.cluster; ++rank) {
        begin_block(launch.resident[resident * launch.cluster + rank], group * launch.cluster + rank);
    }
}

inline void end_thread(Thread& thread) {
    if (canary_below(thread.stack) != CANARY) report_overflow(thread);
    thread.doing = Doing::ended;
    thread.warp->ended |= thread.bit;
    scheduler.sleep(*thread.warp, thread.bit);
    launch.idle = 0;
    thread_ended(thread);
}

// The body of every fiber: a thread, and then those that begin where one ends, on the same stack.
[[noreturn]] inline void run_thread() {
    for (;;) {
        launch.request->run(launch.request->words);
        Thread& me = self();
        char* stack = me.stack;
        end_thread(me);
        me.stack = nullptr;
        Thread* next = scheduler.pick();
        if (next && !next->stack) {
            ++launch.switches;
            next->stack = stack;
            become(*next);
            continue;
        }
        stacks.release(stack);  // nothing else runs before it is left
        if (!next) {
            for (Block& block : launch.resident) {
                if (block.ended != launch.threads_a_block) nothing_can_go_on();
            }
            abandon();
        }
        void* unused;
        emulator_switch(&unused, prepare(*next));
    }
}

}  // namespace emulator
