// Flags and atomics: the clock that a release leaves at a flag, and the threads that wait for it.
#pragma once

#include <unordered_map>

#include "warps.h"

namespace emulator {

inline std::unordered_map<const void*, ReleaseClock> release_clocks;  // by the flag's address, with detectors on
constexpr std::size_t BUCKETS = 1024;
inline Thread* waiting[BUCKETS];  // by the flag's address
inline unsigned waiting_count;

inline Thread*& bucket(const void* address) { return waiting[reinterpret_cast<std::uintptr_t>(address) / 4 % BUCKETS]; }

inline void clear_flags() {
    for (auto& entry : release_clocks) clear(entry.second);
    release_clocks.clear();
    if (waiting_count) std::memset(waiting, 0, sizeof waiting);
    waiting_count = 0;
}

inline void wake_waiting(const void* address) {
    launch.idle = 0;
    if (waiting_count == 0) return;
    for (Thread** link = &bucket(address); *link;) {
        Thread& thread = **link;
        if (thread.awaited == address && *thread.awaited >= thread.value) {
            *link = thread.next;
            --waiting_count;
            wake(thread);
        } else {
            link = &thread.next;
        }
    }
}

inline void acquire_flag(const void* address) {
    const auto found = release_clocks.find(address);
    if (found != release_clocks.end()) acquire(self(), found->second);
}

inline void store_flag(Region* region, unsigned* address, unsigned value, Order order, Site site) {
    Thread& me = self();
    if (launch.request->detect) {
        if (!checked_atomic(region, address, sizeof value, me, AccessKind::atomic_write, false, site)) return;
        if (order == Order::ordered) {
            release(me, release_clocks[address]);
        } else if (const auto old = release_clocks.find(address); old != release_clocks.end()) {
            clear(old->second);
        }
    }
    *address = value;
    wake_waiting(address);
    yield();
}

// Lets another thread run. A thread that has read `value` at the same address many times in a row waits until no other can.
inline void yield_polling(const unsigned* address, unsigned value, Site site) {
    Thread& me = self();
    constexpr int MAX_POLLS = 16;
    const bool again = me.awaited == address && me.value == value;
    me.polls = again ? me.polls + 1 : 0;
    me.awaited = address;
    me.value = value;
    if (me.polls < MAX_POLLS) {
        yield();
        return;
    }
    me.wait_state = WaitState::polling;
    me.site = site;
    scheduler.defer(me);
    switch_to(scheduler.pick());
}

inline unsigned load_flag(Region* region, const unsigned* address, Order order, Site site) {
    Thread& me = self();
    if (launch.request->detect && !checked_atomic(region, address, sizeof *address, me, AccessKind::atomic_read, true, site)) {
        abort_launch();  // a thread that polls an element outside its array would poll for ever
    }
    yield_polling(address, *address, site);
    if (launch.request->detect && order == Order::ordered) acquire_flag(address);
    return *address;
}

// An atomic that changes nothing may be a poll.
inline void end_atomic(const unsigned* address, bool changed, Site site) {
    if (changed) {
        wake_waiting(address);
        yield();
    } else {
        yield_polling(address, *address, site);
    }
}

inline void wait_for_flag(Region* region, const unsigned* address, int index, unsigned value, Order order, Site site) {
    Thread& me = self();
    if (launch.request->detect && !checked_atomic(region, address, sizeof value, me, AccessKind::atomic_read, true, site))
        return;
    yield();
    while (*address < value) {
        me.awaited = address;
        me.value = value;
        me.index = index;
        me.next = bucket(address);
        bucket(address) = &me;
        ++waiting_count;
        wait(WaitState::flag, site);
    }
    me.awaited = nullptr;
    if (launch.request->detect && order == Order::ordered) acquire_flag(address);
}

}  // namespace emulator
