// Asynchronous copies: from the issue of one until its thread waits, no thread may access the target or write the source. At
// the wait it counts as a write by that thread.
#pragma once

#include "runtime/threads.h"

namespace emulator {

struct Copy {
    Region *to_region, *from_region;
    char* to;
    const char* from;
    unsigned bytes;
    bool pending;
    int before;  // the thread's copy that was issued before it; of a free one, the next free one
    Site site;
};
inline std::vector<Copy> copies;
inline int free_copies = -1;

inline void mark(const Copy& copy, bool in_flight) {
    const auto cells = [&](Region* region, const void* address, auto change) {
        if (!region || !region->cells) return;
        const std::size_t offset = static_cast<std::size_t>(static_cast<const char*>(address) - region->base);
        for (std::size_t i = offset >> region->shift; i <= (offset + copy.bytes - 1) >> region->shift; ++i)
            change(region->cells[i]);
    };
    cells(copy.to_region, copy.to, [&](Cell& cell) {
        cell.flags = static_cast<unsigned short>(in_flight ? cell.flags | IN_FLIGHT : cell.flags & ~IN_FLIGHT);
    });
    cells(copy.from_region, copy.from,
          [&](Cell& cell) { cell.copied_from = static_cast<unsigned short>(cell.copied_from + (in_flight ? 1 : -1)); });
}

inline void issue_copy(Region* to_region, void* to, Region* from_region, const void* from, unsigned bytes, Site site) {
    Thread& me = self();
    if (launch.request->detect) {
        const bool may_read = checked_read(from_region, from, bytes, me, site);
        if (!checked_write(to_region, to, bytes, me, site, false) || !may_read) return;
        if (!to_region->block || from_region->block) {
            report("asynchronous copy", me, site, "an asynchronous copy goes from global to shared memory");
            return;
        }
        const auto misplaced = [&](const Region& region, const void* address) {
            const char* first = region.block ? region.block->shared : region.base;
            return (static_cast<const char*>(address) - first) % bytes != 0;
        };
        if (misplaced(*to_region, to) || misplaced(*from_region, from)) {
            report(
                "asynchronous copy", me, site,
                text("both ends of an asynchronous copy of %u bytes must be a multiple of that from the start of their memory",
                     bytes));
        }
    }
    int number = free_copies;
    if (number < 0) {
        number = int(copies.size());
        copies.emplace_back();
    } else {
        free_copies = copies[std::size_t(number)].before;
    }
    copies[std::size_t(number)] = {to_region, from_region, static_cast<char*>(to), static_cast<const char*>(from), bytes, true,
                                   me.copies, site};
    me.copies = number;
    if (launch.request->detect) mark(copies[std::size_t(number)], true);
}

inline void wait_for_copies() {
    Thread& me = self();
    while (me.copies >= 0) {
        Copy& copy = copies[std::size_t(me.copies)];
        if (launch.request->detect) {
            mark(copy, false);
            checked_read(copy.from_region, copy.from, copy.bytes, me, copy.site);
            checked_write(copy.to_region, copy.to, copy.bytes, me, copy.site, true);
        }
        std::memcpy(copy.to, copy.from, copy.bytes);
        copy.pending = false;
        const int number = me.copies;
        me.copies = copy.before;
        copy.before = free_copies;
        free_copies = number;
    }
}

// Copies that no thread waited for: their marks must not outlive the launch.
inline void clear_copies() {
    for (const Copy& copy : copies) {
        if (copy.pending && launch.request->detect) mark(copy, false);
    }
    copies.clear();
    free_copies = -1;
}

}  // namespace emulator
