// How a launch's threads run: blocks begin, and their threads run as fibers until all have ended.
#pragma once

#include "races/detector.h"
#include "scheduler.h"

namespace emulator {

inline StackPool stacks;
inline void* caller;  // the stack pointer of emulator_launch

void thread_ended(Thread& thread);
[[noreturn]] void report_deadlock();

[[noreturn]] inline void abort_launch() {
    void* unused;
    emulator_switch(&unused, caller);
    __builtin_unreachable();
}

[[noreturn]] void run_thread();

// `thread` is the one that runs: sets threadIdx and blockIdx.
inline void set_current(Thread& thread) {
    launch.current = &thread;
    thread.wait_state = WaitState::running;
    threadIdx.x = thread.number;
    blockIdx = thread.block->index;
}

[[noreturn]] inline void report_overflow(const Thread& thread) {
    fatal("stack", thread, thread.site,
          text("%s needs more than %zu bytes of stack: make its local arrays smaller", name_of(thread).c_str(),
               STACK_BYTES - STACK_RESERVE));
}

// Prepares the switch to `thread`; its stack pointer.
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
    set_current(thread);
    return thread.stack_pointer;
}

inline void switch_to(Thread* next) {
    if (sets.needs_collection()) collect_sets();
    Thread& me = self();
    if (static_cast<char*>(__builtin_frame_address(0)) < me.stack + STACK_RESERVE) report_overflow(me);
    if (!next) report_deadlock();
    if (next == &me) {
        ++launch.switches;
        me.wait_state = WaitState::running;
        return;
    }
    void* to = prepare(*next);
    emulator_switch(&me.stack_pointer, to);  // a tail call: the return address predictor would mispredict a return
}

// Lets the schedule choose another thread; this one stays runnable.
inline void yield() { switch_to(scheduler.pick()); }

// This thread is not runnable until it is woken.
inline void wait(WaitState wait_state, Site site) {
    Thread& me = self();
    me.wait_state = wait_state;
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
    const unsigned min_clock = block.begun ? block.max_clock + 1 : launch.start_clock;
    block.number = number;
    block.index = index_of(number);
    block.first_warp_number = number * launch.warps_a_block;
    block.ended = block.arrived = 0;
    block.first_arrived = nullptr;
    block.barrier_clock = block.max_clock = block.start_clock = min_clock;
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
            thread.clock = min_clock;
            thread.step = thread.copies = -1;
            thread.wait_state = WaitState::running;
            thread.site = {nullptr, 0};
            thread.awaited = nullptr;
        }
        scheduler.wake(warp, warp.existing);
    }
}

// The next cluster of the grid to begin: a schedule that favours a block, or has a slow warp, begins with it.
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
// Its blocks take the places of those of a resident cluster that has ended.
inline void begin_cluster(std::size_t resident) {
    const unsigned group = next_group(launch.groups_begun++);
    launch.cluster_arrived[resident] = launch.cluster_ended[resident] = 0;
    for (unsigned rank = 0; rank < launch.cluster; ++rank) {
        begin_block(launch.resident[resident * launch.cluster + rank], group * launch.cluster + rank);
    }
}

inline void end_thread(Thread& thread) {
    if (canary_below(thread.stack) != CANARY) report_overflow(thread);
    thread.wait_state = WaitState::ended;
    thread.warp->ended |= thread.bit;
    scheduler.sleep(*thread.warp, thread.bit);
    launch.idle = 0;
    thread_ended(thread);
}

// The body of every fiber: a thread, then others that start on the same stack when it has ended.
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
            set_current(*next);
            continue;
        }
        stacks.release(stack);  // it is not used again before the switch below
        if (!next) {
            for (Block& block : launch.resident) {
                if (block.ended != launch.threads_a_block) report_deadlock();
            }
            abort_launch();
        }
        void* unused;
        emulator_switch(&unused, prepare(*next));
    }
}

}  // namespace emulator
