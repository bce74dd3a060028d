// A neighbour's shared memory: it may be used only between the neighbour's beginning and its end.
#pragma once

#include "barriers.h"

namespace emulator {

// Accesses to a resident block's shared memory by other blocks, which must all come before it ends.
struct Visit {
    unsigned warp, lanes, clock, where;
};
inline std::vector<std::vector<Visit>> visits;  // by resident block

inline std::vector<Visit>& visits_of(const Block& block) {
    return visits[static_cast<std::size_t>(&block - launch.resident.data())];
}

inline void check_remote(Region& region, const Thread& thread, Site site) {
    const Block& host = *region.block;
    const unsigned rank = host.number % launch.cluster;
    if (host.ended == launch.threads_a_block) {
        report("cluster", thread, site, text("access to the shared memory of block %u of the cluster, which has ended", rank));
    }
    bool begun = thread.phases && thread.phases->below[host.number] > host.start;
    for (unsigned i = 0; thread.exceptions && i < thread.exceptions->count; ++i) {
        const Exception& e = thread.exceptions->each[i];
        begun = begun || (e.warp / launch.warps_a_block == host.number && e.below > host.start);
    }
    if (!begun) {
        report("cluster", thread, site,
               text("access to the shared memory of block %u of the cluster, which may not have begun: cluster_barrier() first",
                    rank));
    }
    auto& list = visits_of(host);
    for (Visit& visit : list) {
        if (visit.warp != thread.warp_number) continue;
        if (visit.clock != thread.clock && !knows(thread, visit.warp, visit.lanes, visit.clock)) continue;
        visit = {visit.warp, visit.clock == thread.clock ? visit.lanes | thread.bit : thread.bit, thread.clock,
                 where(thread, site)};
        return;
    }
    list.push_back({thread.warp_number, thread.bit, thread.clock, where(thread, site)});
}

// A thread of a visited block ends: the visits that it knows of are over.
inline void check_visits(const Thread& thread) {
    const Block& host = *thread.block;
    auto& list = visits_of(host);
    const auto known = [&](const Visit& v) { return knows(thread, v.warp, v.lanes, v.clock); };
    list.erase(std::remove_if(list.begin(), list.end(), known), list.end());
    if (host.ended < launch.threads_a_block) return;
    for (const Visit& visit : list) {
        const Deed deed = deed_at(visit.warp, visit.lanes, visit.where);
        report(
            "cluster", deed, NOBODY, OtherAccess::none,
            text("access to the shared memory of block %u of the cluster, which may end before it: cluster_barrier() after it",
                 host.number % launch.cluster));
    }
    list.clear();
}

}  // namespace emulator
