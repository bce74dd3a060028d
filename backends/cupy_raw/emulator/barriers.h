// Barriers of a block, of a cluster and of the grid. All threads of a block must come to the same one.
#pragma once

#include "threads.h"

namespace emulator {

inline const char* name_of(Doing barrier) {
    switch (barrier) {
        case Doing::block_barrier: return "__syncthreads()";
        case Doing::cluster_barrier: return "cluster_barrier()";
        case Doing::grid_barrier: return "grid_barrier()";
        case Doing::warp_operation: return "a warp operation";
        case Doing::flag: return "a flag";
        case Doing::polling: return "a polled flag";
        case Doing::computing: return "a switch";
        default: return "its end";
    }
}
// What a thread that is not where it should be does instead.
inline std::string whereabouts(const Thread& thread) {
    if (thread.doing == Doing::ended) return "has ended";
    return text("is at %s in %s", name_of(thread.doing), name_of(thread.site).c_str());
}

[[noreturn]] inline void fatal_barrier(const Thread& there, const Thread& missing) {
    fatal("barrier", there, there.site,
          text("%s waits at %s, but %s of the same block %s: all threads of a block must come to the same barrier",
               name_of(there).c_str(), name_of(there.doing), text("thread %u", missing.number).c_str(),
               whereabouts(missing).c_str()));
}

inline void open_cluster(std::size_t cluster) {
    Block* first = &launch.resident[cluster * launch.cluster];
    std::vector<Block*> there;
    for (Block* block = first; block < first + launch.cluster; ++block) {
        if (block->arrived == launch.threads_a_block && block->barrier == Doing::cluster_barrier) there.push_back(block);
    }
    launch.cluster_arrived[cluster] = 0;
    if (launch.request->detect && !there.empty()) meet_blocks(there.data(), there.size());
    for (Block* block : there) {
        block->arrived = 0;
        wake_all(*block);
    }
}
inline void open_cluster_if_complete(std::size_t cluster) {
    const unsigned arrived = launch.cluster_arrived[cluster];
    if (arrived > 0 && arrived + launch.cluster_ended[cluster] == launch.cluster) open_cluster(cluster);
}
inline void open_grid() {
    launch.arrived_blocks = 0;
    if (launch.request->detect) {
        std::vector<Block*> all;
        for (Block& block : launch.resident) all.push_back(&block);
        meet_blocks(all.data(), all.size());
    }
    for (Block& block : launch.resident) {
        block.arrived = 0;
        wake_all(block);
    }
}

inline void come_to(Doing barrier, Site site) {
    Thread& me = self();
    Block& block = *me.block;
    me.doing = barrier;
    me.site = site;
    if (block.arrived == 0) {
        block.barrier = barrier;
        block.first_there = &me;
    } else if (block.barrier != barrier || !same_place(block.first_there->site, site)) {
        fatal_barrier(*block.first_there, me);
    }
    if (block.ended) {
        const Thread* threads = threads_of(block);
        while (threads->doing != Doing::ended) ++threads;
        fatal_barrier(me, *threads);
    }
    scheduler.sleep(*me.warp, me.bit);
    if (++block.arrived == launch.threads_a_block) {
        if (barrier == Doing::block_barrier) {
            Block* one = &block;
            if (launch.request->detect) meet_blocks(&one, 1);
            block.arrived = 0;
            wake_all(block);
        } else if (barrier == Doing::cluster_barrier) {
            ++launch.cluster_arrived[resident_cluster(block)];
            open_cluster_if_complete(resident_cluster(block));
        } else if (++launch.arrived_blocks == launch.blocks) {
            open_grid();
        }
    }
    switch_to(scheduler.pick());
}

inline void come_to_grid_barrier(Region* region, unsigned* counter, int generation, Site site) {
    Thread& me = self();
    if (!launch.request->cooperative) {
        fatal("grid barrier", me, site,
              "grid_barrier() in a launch that is not cooperative: its blocks need not all be resident");
    }
    if (!counter) fatal("grid barrier", me, site, "the counter of grid_barrier() is not there");
    if (me.number == 0) {
        if (launch.request->detect && !checked_atomic(region, counter, sizeof *counter, me, Access::atomic_write, true, site)) {
            fatal("grid barrier", me, site, "the counter of grid_barrier() is not there");
        }
        const unsigned before = launch.blocks * static_cast<unsigned>(generation - 1);
        if (*counter - before >= launch.blocks) {
            fatal("grid barrier", me, site,
                  text("the counter of grid_barrier() is %u where generation %d of %u blocks finds %u to %u: it must be 0 at "
                       "launch, and the generations must be 1, 2, 3 and so on",
                       *counter, generation, launch.blocks, before, before + launch.blocks - 1));
        }
        ++*counter;
    }
    come_to(Doing::grid_barrier, site);
}

}  // namespace emulator
