// No thread can go on: who waits for what.
#pragma once

#include "flags.h"

namespace emulator {

inline bool alive(const Thread& thread) {
    return (thread.warp->existing & thread.bit) && thread.block->begun && thread.doing != Doing::ended;
}

inline std::string unbegun() {
    const unsigned left = launch.groups - launch.groups_begun;
    if (left == 0) return "";
    return text("; %u blocks have not begun: only in a cooperative launch are all blocks resident", left * launch.cluster);
}

inline void report_flags() {
    const Thread* first = nullptr;
    std::vector<const Thread*> shown;
    unsigned others = 0;
    for (const Thread& thread : launch.threads) {
        if (!alive(thread) || (thread.doing != Doing::flag && thread.doing != Doing::polling)) continue;
        if (!first) first = &thread;
        const auto same = [&](const Thread* t) { return t->awaited == thread.awaited && same_place(t->site, thread.site); };
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
        if (thread->doing == Doing::flag) {
            message += text(" at %s for flag %d to become %u, which is %u", name_of(thread->site).c_str(), thread->index,
                            thread->value, *thread->awaited);
        } else {
            message += text(" at %s polls a flag that stays %u", name_of(thread->site).c_str(), *thread->awaited);
        }
    }
    if (others) message += text("; %u more for these or others", others);
    fatal("deadlock", *first, first->site, message + unbegun());
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
                    name_of(part.operation), part.mask, other.lane, whereabouts(other).c_str()));
    }
}

inline void report_barriers() {
    for (const Block& block : launch.resident) {
        if (!block.begun || block.arrived == 0 || block.arrived == launch.threads_a_block) continue;
        const Thread* threads = threads_of(block);
        while (threads->doing == block.barrier) ++threads;
        fatal_barrier(*block.first_there, *threads);
    }
    const Block *there = nullptr, *missing = nullptr;
    for (const Block& block : launch.resident) {
        if (!block.begun) continue;
        if (block.arrived == launch.threads_a_block) {
            if (!there) there = &block;
        } else if (!missing) {
            missing = &block;
        }
    }
    if (!there) return;
    const Thread& thread = *there->first_there;
    for (const Block& block : launch.resident) {  // two barriers that wait for each other
        if (!missing && block.barrier != there->barrier) missing = &block;
    }
    const std::string other = missing ? text("block (%u, %u, %u): its thread 0 %s", missing->place.x, missing->place.y,
                                             missing->place.z, whereabouts(*threads_of(*missing)).c_str())
                                      : "others";
    fatal("barrier", thread, thread.site,
          text("block (%u, %u, %u) waits at %s for %s", there->place.x, there->place.y, there->place.z, name_of(there->barrier),
               other.c_str()) +
              unbegun());
}

[[noreturn]] inline void nothing_can_go_on() {
    report_flags();
    report_warps();
    report_barriers();
    abandon();
}

}  // namespace emulator
