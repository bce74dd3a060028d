// No thread is runnable: reports what each waits for.
#pragma once

#include "flags.h"

namespace emulator {

inline bool alive(const Thread& thread) {
    return (thread.warp->existing & thread.bit) && thread.block->begun && thread.wait_state != WaitState::ended;
}

inline std::string blocks_not_begun() {
    const unsigned left = launch.groups - launch.groups_begun;
    if (left == 0) return "";
    return text("; %u blocks have not begun: only in a cooperative launch are all blocks resident", left * launch.cluster);
}

inline void report_flags() {
    const Thread* first = nullptr;
    std::vector<const Thread*> shown;
    unsigned others = 0;
    for (const Thread& thread : launch.threads) {
        if (!alive(thread) || (thread.wait_state != WaitState::flag && thread.wait_state != WaitState::polling)) continue;
        if (!first) first = &thread;
        const auto same = [&](const Thread* t) { return t->awaited == thread.awaited && same_site(t->site, thread.site); };
        if (std::any_of(shown.begin(), shown.end(), same) || shown.size() == 4) {
            ++others;
        } else {
            shown.push_back(&thread);
        }
    }
    if (!first) return;
    std::string message = "every thread waits: ";
    for (const Thread* thread : shown) {
        if (thread != first) message += "; ";
        message += name_of(*thread);
        if (thread->wait_state == WaitState::flag) {
            message += text(" at %s for flag %d to become %u, which is %u", name_of(thread->site).c_str(), thread->index,
                            thread->value, *thread->awaited);
        } else {
            message += text(" at %s polls a flag that stays %u", name_of(thread->site).c_str(), *thread->awaited);
        }
    }
    if (others) message += text("; %u more for these or others", others);
    fatal("deadlock", *first, first->site, message + blocks_not_begun());
}

inline void report_warps() {
    for (const Warp& warp : launch.warps) {
        if (!warp.block->begun || !warp.waiting) continue;
        const Thread& thread = warp.first[lowest(warp.waiting)];
        const LanePart& part = *warp.parts[thread.lane];
        const unsigned missing = needed(warp, part) & ~warp.waiting;
        const unsigned elsewhere = missing ? missing : needed(warp, part) & ~thread.bit;
        if (!elsewhere) continue;
        const Thread& other = warp.first[lowest(elsewhere)];
        report("warp", thread, part.site,
               text("lane %u waits at %s with mask 0x%08x for lane %u, which never comes: it %s", thread.lane,
                    name_of(part.operation), part.mask, other.lane, describe_state(other).c_str()));
    }
}

inline void report_barriers() {
    for (const Block& block : launch.resident) {
        if (!block.begun || block.arrived == 0 || block.arrived == launch.threads_a_block) continue;
        const Thread* threads = threads_of(block);
        while (threads->wait_state == block.barrier) ++threads;
        fatal_barrier(*block.first_arrived, *threads);
    }
    const Block *waiting_block = nullptr, *missing = nullptr;
    for (const Block& block : launch.resident) {
        if (!block.begun) continue;
        if (block.arrived == launch.threads_a_block) {
            if (!waiting_block) waiting_block = &block;
        } else if (!missing) {
            missing = &block;
        }
    }
    if (!waiting_block) return;
    const Thread& thread = *waiting_block->first_arrived;
    for (const Block& block : launch.resident) {  // two barriers that wait for each other
        if (!missing && block.barrier != waiting_block->barrier) missing = &block;
    }
    const std::string other = missing ? text("block (%u, %u, %u): its thread 0 %s", missing->index.x, missing->index.y,
                                             missing->index.z, describe_state(*threads_of(*missing)).c_str())
                                      : "others";
    fatal("barrier", thread, thread.site,
          text("block (%u, %u, %u) waits at %s for %s", waiting_block->index.x, waiting_block->index.y, waiting_block->index.z,
               name_of(waiting_block->barrier), other.c_str()) +
              blocks_not_begun());
}

[[noreturn]] inline void report_deadlock() {
    report_flags();
    report_warps();
    report_barriers();
    abort_launch();
}

}  // namespace emulator
