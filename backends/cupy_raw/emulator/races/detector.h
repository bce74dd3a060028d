// The checks of one access: it is inside its region, of something that was written, not of a copy in flight, and ordered after
// every earlier access that it conflicts with. The order is that of vector_clocks.h, the earlier accesses those of
// access_history.h.
#pragma once

#include "runtime/memory.h"

namespace emulator {

// ---- a place: the number of a line of the source, and a step, in 32 bits
constexpr unsigned SITE_BITS = 12, STEP_BITS = 32 - SITE_BITS;
inline std::vector<Site> sites;
inline unsigned recent_sites[2048];  // numbers of sites

inline unsigned number_of(Site site) {
    const std::uint64_t mixed = (reinterpret_cast<std::uintptr_t>(site.file) * 31 + unsigned(site.line)) * 0x9e3779b97f4a7c15u;
    unsigned& recent = recent_sites[mixed >> 53];
    if (recent < sites.size() && sites[recent].line == site.line && sites[recent].file == site.file) return recent;
    for (unsigned i = 1; i < sites.size(); ++i) {
        if (sites[i].line == site.line && sites[i].file == site.file) return recent = i;
    }
    if (sites.size() >> SITE_BITS) return 0;
    sites.push_back(site);
    return recent = static_cast<unsigned>(sites.size() - 1);
}
inline unsigned place_of(const Thread& thread, Site site) {
    return number_of(site) | std::min(static_cast<unsigned>(thread.step + 1), (1u << STEP_BITS) - 1) << SITE_BITS;
}
inline Access access_at(unsigned warp, unsigned lanes, unsigned place) {
    const unsigned block = warp / launch.warps_a_block;
    const unsigned thread = warp % launch.warps_a_block * LANES + static_cast<unsigned>(__builtin_ctz(lanes));
    return {sites[place & ((1u << SITE_BITS) - 1)], index_of(block), int(thread), int(place >> SITE_BITS) - 1};
}

inline std::string name_of(const Region& region, std::size_t element) {
    if (region.argument) return text("element %zu of argument %d", element, region.argument);
    return text("byte %zu of shared memory",
                static_cast<std::size_t>(region.base - region.block->shared) + (element << region.shift));
}

[[gnu::noinline, gnu::cold]] inline void report_race(const Region& region, std::size_t element, const Thread& thread,
                                                     AccessKind mine, Site site, const Access& other, AccessKind theirs) {
    if (already_reported("race", site, other.site)) return;
    static const char* const names[] = {"read", "write", "atomic read", "atomic write"};
    static const char* const other_names[] = {"a read", "a write", "an atomic read", "an atomic write"};
    report("race", access_of(thread, site), other, writes(theirs) ? OtherKind::write : OtherKind::read,
           text("%s of %s, unordered with %s: put a barrier between them, or a release after the one and an acquire before the "
                "other",
                names[int(mine)], name_of(region, element).c_str(), other_names[int(theirs)]));
}

// Drops from a cell what is older than the region's min_clock.
inline void refresh(const Region& region, Cell& cell) {
    if (cell.read_clock < region.min_clock) {
        cell.flags &= static_cast<unsigned short>(~(IN_SET | ATOMIC));
        cell.readers = 0;
    }
    if (cell.write_clock < region.min_clock) cell.flags &= static_cast<unsigned short>(~IN_FLIGHT);
}

[[gnu::noinline, gnu::cold]] inline void report_in_flight(const Region& region, std::size_t element, const Cell& cell,
                                                          const Thread& thread, AccessKind mine, Site site) {
    const bool to = cell.flags & IN_FLIGHT;
    const Access other = to ? access_at(cell.writer / LANES, 1u << cell.writer % LANES, cell.write_place) : NO_ACCESS;
    if (already_reported("in flight", site, other.site)) return;
    report("in flight", access_of(thread, site), other, to ? OtherKind::write : OtherKind::none,
           text("%s of %s, which an asynchronous copy %s: copy_async_wait() and a barrier must come between them",
                writes(mine) ? "write" : "read", name_of(region, element).c_str(),
                to ? "is still to fill" : "may still be reading"));
}

inline bool check_last_write(const Region& region, std::size_t element, const Cell& cell, const Thread& thread, AccessKind mine,
                             Site site) {
    if (cell.write_clock < region.min_clock || cell.writer == thread_id(thread)) return true;
    const unsigned warp = cell.writer / LANES, lane = 1u << cell.writer % LANES;
    if (happens_before({warp, lane, cell.write_clock}, thread)) return true;
    report_race(region, element, thread, mine, site, access_at(warp, lane, cell.write_place), AccessKind::write);
    return false;
}

inline bool check_group(const Region& region, std::size_t element, const AccessGroup& group, const Thread& thread,
                        AccessKind mine, Site site) {
    if (!conflict(mine, group.kind)) return true;
    unsigned lanes = group.lanes;
    if (group.warp == thread.warp_number) lanes &= ~thread.bit;
    if (lanes == 0 || happens_before({group.warp, lanes, group.clock}, thread)) return true;
    report_race(region, element, thread, mine, site, access_at(group.warp, lanes, group.place), group.kind);
    return false;
}

// The set that was last found to be ordered before an access of this kind and thread.
struct OrderedSet {
    unsigned set, thread;
    AccessKind kind;
    std::uint64_t version;
};
inline OrderedSet ordered_set;

// Checks against everything in a cell but its last write.
inline void check_other_accesses(const Region& region, std::size_t element, const Cell& cell, const Thread& thread,
                                 AccessKind mine, Site site) {
    if (cell.flags & IN_SET) {
        if (cell.read_warp == ordered_set.set && thread_id(thread) == ordered_set.thread && mine == ordered_set.kind &&
            ordered_set.version == clock_version) {
            return;
        }
        bool ordered = true;
        sets.each(cell.read_warp,
                  [&](const AccessGroup& g) { ordered = check_group(region, element, g, thread, mine, site) && ordered; });
        if (ordered) ordered_set = {cell.read_warp, thread_id(thread), mine, clock_version};
    } else if (cell.readers) {
        check_group(region, element, {cell.read_warp, cell.readers, cell.read_clock, cell.read_place, AccessKind::read}, thread,
                    mine, site);
    }
}

inline void add_to_set(Cell& cell, const Thread& thread, AccessKind access, unsigned here) {
    if (!(cell.flags & IN_SET)) {
        const bool any = cell.readers != 0;
        const AccessGroup inline_group{cell.read_warp, cell.readers, cell.read_clock, cell.read_place, AccessKind::read};
        cell.flags |= IN_SET;
        cell.read_warp = any ? sets.with(0, inline_group) : 0;
        cell.readers = 0;
        if (!any) cell.read_clock = 0;
    }
    cell.read_warp = sets.add(cell.read_warp, thread, access, here);
    cell.read_clock = std::max(cell.read_clock, thread.clock);
}

// This thread has read the element before at this clock, and no thread has written it since.
inline bool read_already(const Cell& cell, const Thread& thread) {
    return cell.flags == 0 && (cell.readers & thread.bit) && cell.read_clock == thread.clock &&
           cell.read_warp == thread.warp_number;
}

inline void read_cell(const Region& region, std::size_t element, Cell& cell, const Thread& thread, Site site) {
    if (read_already(cell, thread)) return;
    if (cell.flags) {
        refresh(region, cell);
        if (cell.flags & IN_FLIGHT) report_in_flight(region, element, cell, thread, AccessKind::read, site);
    }
    check_last_write(region, element, cell, thread, AccessKind::read, site);
    const unsigned here = place_of(thread, site);
    if (cell.flags & IN_SET) {
        if (cell.flags & ATOMIC) check_other_accesses(region, element, cell, thread, AccessKind::read, site);
        add_to_set(cell, thread, AccessKind::read, here);
        return;
    }
    const bool any = cell.readers != 0 && cell.read_clock >= region.min_clock;
    if (any && cell.read_warp == thread.warp_number && cell.read_clock == thread.clock && cell.read_place == here) {
        cell.readers |= thread.bit;
    } else if (!any || happens_before({cell.read_warp, cell.readers, cell.read_clock}, thread)) {
        cell.read_warp = thread.warp_number;
        cell.read_clock = thread.clock;
        cell.readers = thread.bit;
        cell.read_place = here;
    } else {
        add_to_set(cell, thread, AccessKind::read, here);
    }
}

inline void write_cell(const Region& region, std::size_t element, Cell& cell, const Thread& thread, Site site, unsigned here) {
    const unsigned id = thread_id(thread);
    if (cell.flags || cell.copied_from) {
        refresh(region, cell);
        if ((cell.flags & IN_FLIGHT) || cell.copied_from)
            report_in_flight(region, element, cell, thread, AccessKind::write, site);
    }
    if (cell.writer != id || cell.write_clock != thread.clock)
        check_last_write(region, element, cell, thread, AccessKind::write, site);
    if ((cell.readers && cell.read_clock >= region.min_clock) || (cell.flags & IN_SET)) {
        check_other_accesses(region, element, cell, thread, AccessKind::write, site);
        cell.flags &= static_cast<unsigned short>(~(IN_SET | ATOMIC));
    }
    cell.readers = 0;
    cell.writer = id;
    cell.write_clock = thread.clock;
    cell.write_place = here;
}

inline void atomic_cell(const Region& region, std::size_t element, Cell& cell, const Thread& thread, AccessKind mine, Site site,
                        unsigned here) {
    refresh(region, cell);
    if ((cell.flags & IN_FLIGHT) || (writes(mine) && cell.copied_from))
        report_in_flight(region, element, cell, thread, mine, site);
    check_last_write(region, element, cell, thread, mine, site);
    if (writes(mine)) check_other_accesses(region, element, cell, thread, mine, site);
    cell.flags |= ATOMIC;
    add_to_set(cell, thread, mine, here);
}

// ---- an access as a whole
inline void check_remote(Region& region, const Thread& thread, Site site);  // synchronisation/clusters.h

struct Elements {
    std::size_t first, last;
};
[[gnu::noinline, gnu::cold]] inline void report_outside(const Region* region, const Thread& thread, Site site) {
    if (!region) {
        report("out of bounds", thread, site, "access outside of every array of this launch");
    } else {
        report("out of bounds", thread, site,
               text("access outside of what is allocated for %s: its view is larger than the array, or has other strides",
                    region->argument ? text("argument %d", region->argument).c_str() : "shared memory"));
    }
}
// False, and reported, if the access is not inside one region.
inline bool locate(Region* region, const void* address, unsigned bytes, const Thread& thread, Site site, Elements& elements) {
    const std::size_t offset = region ? static_cast<std::size_t>(static_cast<const char*>(address) - region->base) : 0;
    if (!address || !region || offset >= region->bytes || bytes > region->bytes - offset) {
        if (address) report_outside(region, thread, site);  // else reported when it was indexed
        return false;
    }
    elements = {offset >> region->shift, (offset + bytes - 1) >> region->shift};
    if (region->block && region->block != thread.block) check_remote(*region, thread, site);
    return true;
}

// The host may have written into an allocation, which was filled with one bits: an element that differs from them was written.
inline bool written_by_host(const Region& region, std::size_t element) {
    if (!region.argument) return false;
    const char* first = region.base + (element << region.shift);
    for (std::size_t i = 0; i < std::size_t(1) << region.shift; ++i) {
        if (first[i] != char(0xff)) return true;
    }
    return false;
}

inline void check_written(Region& region, std::size_t element, const Thread& thread, Site site) {
    if (!region.written || region.written[element]) return;
    const Cell* cell = region.cells ? &region.cells[element] : nullptr;
    if (cell && (cell->flags & IN_FLIGHT) && cell->write_clock >= region.min_clock) return;  // reported as that
    if (written_by_host(region, element)) {
        region.written[element] = 1;
        return;
    }
    if (!already_reported("never written", site, NO_SITE)) {
        report("never written", thread, site, text("read of %s, which nothing has written", name_of(region, element).c_str()));
    }
}

inline bool checked_read(Region* region, const void* address, unsigned bytes, const Thread& thread, Site site) {
    Elements elements;
    if (!locate(region, address, bytes, thread, site, elements)) return false;
    for (std::size_t i = elements.first; i <= elements.last; ++i) {
        if (region->cells && read_already(region->cells[i], thread)) continue;
        check_written(*region, i, thread, site);
        if (region->cells) read_cell(*region, i, region->cells[i], thread, site);
    }
    return true;
}

inline bool checked_write(Region* region, const void* address, unsigned bytes, const Thread& thread, Site site,
                          bool completes) {
    Elements elements;
    if (!locate(region, address, bytes, thread, site, elements)) return false;
    if (!region->cells) {
        report("out of bounds", thread, site,
               text("write to %s, which the kernel takes as const", name_of(*region, elements.first).c_str()));
        return false;
    }
    const unsigned here = place_of(thread, site);
    for (std::size_t i = elements.first; i <= elements.last; ++i) {
        write_cell(*region, i, region->cells[i], thread, site, here);
        if (completes && region->written) region->written[i] = 1;
    }
    return true;
}

inline bool checked_atomic(Region* region, const void* address, unsigned bytes, const Thread& thread, AccessKind access,
                           bool reads, Site site) {
    Elements elements;
    if (!locate(region, address, bytes, thread, site, elements)) return false;
    for (std::size_t i = elements.first; i <= elements.last; ++i) {
        if (reads) check_written(*region, i, thread, site);
        if (region->cells) atomic_cell(*region, i, region->cells[i], thread, access, site, place_of(thread, site));
        if (writes(access) && region->written) region->written[i] = 1;
    }
    return true;
}

}  // namespace emulator
