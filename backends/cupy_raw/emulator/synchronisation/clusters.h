// Shared memory of another block of the cluster: accessible only after that block has begun and before it ends.
#pragma once

#include "barriers.h"

namespace emulator {

// An access to a resident block's shared memory by another block; it must happen before that block ends.
struct RemoteAccess {
    unsigned warp, lanes, clock, place;
    Epoch epoch() const { return {warp, lanes, clock}; }
};
inline std::vector<std::vector<RemoteAccess>> remote_accesses;  // by resident block

inline std::vector<RemoteAccess>& remote_accesses_of(const Block& block) {
    return remote_accesses[static_cast<std::size_t>(&block - launch.resident.data())];
}

inline void check_remote(Region& region, const Thread& thread, Site site) {
    const Block& host = *region.block;
    const unsigned rank = host.number % launch.cluster;
    if (host.ended == launch.threads_a_block) {
        report("cluster", thread, site, text("access to the shared memory of block %u of the cluster, which has ended", rank));
    }
    bool begun = thread.vector_clock && thread.vector_clock->below[host.number] > host.start_clock;
    for (unsigned i = 0; thread.lane_clocks && i < thread.lane_clocks->count; ++i) {
        const LaneClock& e = thread.lane_clocks->each[i];
        begun = begun || (e.warp / launch.warps_a_block == host.number && e.below > host.start_clock);
    }
    if (!begun) {
        report("cluster", thread, site,
               text("access to the shared memory of block %u of the cluster, which may not have begun: cluster_barrier() first",
                    rank));
    }
    auto& list = remote_accesses_of(host);
    for (RemoteAccess& remote : list) {
        if (remote.warp != thread.warp_number) continue;
        if (remote.clock != thread.clock && !happens_before(remote.epoch(), thread)) continue;
        remote = {remote.warp, remote.clock == thread.clock ? remote.lanes | thread.bit : thread.bit, thread.clock,
                  place_of(thread, site)};
        return;
    }
    list.push_back({thread.warp_number, thread.bit, thread.clock, place_of(thread, site)});
}

// A thread ends: remote accesses to its block that happen before its end are in order; the block's last thread reports others.
inline void check_remote_accesses(const Thread& thread) {
    const Block& host = *thread.block;
    auto& list = remote_accesses_of(host);
    const auto ordered = [&](const RemoteAccess& access) { return happens_before(access.epoch(), thread); };
    list.erase(std::remove_if(list.begin(), list.end(), ordered), list.end());
    if (host.ended < launch.threads_a_block) return;
    for (const RemoteAccess& remote : list) {
        const Access access = access_at(remote.warp, remote.lanes, remote.place);
        report(
            "cluster", access, NO_ACCESS, OtherKind::none,
            text("access to the shared memory of block %u of the cluster, which may end before it: cluster_barrier() after it",
                 host.number % launch.cluster));
    }
    list.clear();
}

}  // namespace emulator
