// Operations of a warp: they complete when all lanes of the mask have arrived.
#pragma once

#include "barriers.h"

namespace emulator {

inline const char* name_of(WarpOperation operation) {
    switch (operation) {
        case WarpOperation::synchronise:
            return "__syncwarp()";
        case WarpOperation::shuffle:
            return "a shuffle";
        case WarpOperation::vote:
            return "a vote";
        default:
            return "mma()";
    }
}

inline unsigned lowest(unsigned lanes) { return static_cast<unsigned>(__builtin_ctz(lanes)); }
inline unsigned needed(const Warp& warp, const LanePart& part) { return part.mask & warp.existing & ~warp.ended; }

// The result for each lane. Lanes of the mask that have ended contribute zeros.
inline void finish(Warp& warp, unsigned lanes, WarpOperation operation) {
    if (operation == WarpOperation::synchronise) {
        if (launch.request->detect) join_lanes(warp, lanes);
    } else if (operation == WarpOperation::vote) {
        Word ballot = 0;
        for (unsigned rest = lanes; rest; rest &= rest - 1)
            ballot |= Word(warp.parts[lowest(rest)]->value != 0) << lowest(rest);
        for (unsigned rest = lanes; rest; rest &= rest - 1) warp.parts[lowest(rest)]->result = ballot;
    } else if (operation == WarpOperation::multiply) {
        Word fragments[LANES];
        for (unsigned lane = 0; lane < LANES; ++lane) fragments[lane] = warp.parts[lane]->value;
        warp.parts[0]->multiply(fragments);
    } else {
        for (unsigned rest = lanes; rest; rest &= rest - 1) {
            LanePart& part = *warp.parts[lowest(rest)];
            const int source = part.source;
            if (source < 0 || source >= int(LANES) || !(lanes >> source & 1)) {
                const Thread& thread = warp.first[lowest(rest)];
                const bool there = source >= 0 && source < int(LANES) && (warp.existing >> source & 1);
                report("warp", thread, part.site,
                       text("lane %u shuffles from lane %d, which %s", thread.lane, source,
                            !there                     ? "the warp does not have"
                            : warp.ended >> source & 1 ? "has ended"
                                                       : "is not in the mask"));
                continue;
            }
            part.result = warp.parts[source]->value;
        }
    }
}

inline void report_ended(const Thread& thread, const LanePart& part, unsigned ended) {
    report("warp", thread, part.site,
           text("the mask 0x%08x of %s names lane %u, which has ended", part.mask, name_of(part.operation), lowest(ended)));
}

// Completes the operation that `part` belongs to, if all its lanes have arrived.
inline bool finish_if_complete(Warp& warp, const LanePart& part) {
    const unsigned lanes = needed(warp, part);
    if (lanes & ~warp.waiting) return false;
    for (unsigned rest = lanes; rest; rest &= rest - 1) {
        const LanePart& other = *warp.parts[lowest(rest)];
        const bool same_line = part.operation != WarpOperation::multiply || same_site(other.site, part.site);
        if (other.operation == part.operation && other.mask == part.mask && same_line) continue;
        const Thread& thread = warp.first[lowest(rest)];
        fatal("warp", thread, other.site,
              text("lane %u is at %s with mask 0x%08x, but other lanes of that mask are at %s in %s with mask 0x%08x: lanes "
                   "must do the "
                   "same with the same mask",
                   thread.lane, name_of(other.operation), other.mask, name_of(part.operation), name_of(part.site).c_str(),
                   part.mask));
    }
    const WarpOperation operation = part.operation;
    if (operation == WarpOperation::multiply && lanes != ALL_LANES) {
        fatal("warp", warp.first[lowest(lanes)], part.site, "mma() needs all 32 lanes of a warp, and this one has fewer");
    }
    finish(warp, lanes, operation);
    warp.waiting &= ~lanes;
    launch.idle = 0;
    scheduler.wake(warp, lanes);
    return true;
}

inline void arrive(LanePart& part) {
    Thread& me = self();
    Warp& warp = *me.warp;
    if (!(part.mask & me.bit)) {
        fatal("warp", me, part.site,
              text("lane %u is not in the mask 0x%08x that it gives to %s", me.lane, part.mask, name_of(part.operation)));
    }
    if (part.mask & warp.ended) report_ended(me, part, part.mask & warp.ended);
    part.result = part.operation == WarpOperation::shuffle ? 0 : part.value;
    warp.parts[me.lane] = &part;
    warp.waiting |= me.bit;
    me.wait_state = WaitState::warp_operation;
    me.site = part.site;
    scheduler.sleep(warp, me.bit);
    finish_if_complete(warp, part);
    switch_to(scheduler.pick());
}

// A lane has ended: others of its warp may be waiting for it.
inline void lane_ended(const Thread& ended) {
    Warp& warp = *ended.warp;
    for (unsigned rest = warp.waiting; rest; rest &= rest - 1) {
        const unsigned lane = lowest(rest);
        if (!(warp.waiting >> lane & 1)) continue;  // completed together with another lane
        const LanePart& part = *warp.parts[lane];
        if (!(part.mask & ended.bit)) continue;
        report_ended(warp.first[lane], part, ended.bit);
        finish_if_complete(warp, part);
    }
}

}  // namespace emulator
