// Barriers of a block, of a cluster and of the grid. All threads of a block must reach the same one.
#pragma once

#include "runtime/threads.h"

namespace emulator {

inline const char* name_of(WaitState barrier) {
    switch (barrier) {
        case WaitState::block_barrier:
            return "__syncthreads()";
        case WaitState::cluster_barrier:
            return "cluster_barrier()";
        case WaitState::grid_barrier:
            return "grid_barrier()";
        case WaitState::warp_operation:
            return "a warp operation";
        case WaitState::flag:
            return "a flag";
        case WaitState::polling:
            return "a polled flag";
        case WaitState::running:
            return "a switch";
        default:
            return "its end";
    }
}
// Where a thread is that did not reach a barrier.
inline std::string describe_state(const Thread& thread) {
    if (thread.wait_state == WaitState::ended) return "has ended";
    return text("is at %s in %s", name_of(thread.wait_state), name_of(thread.site).c_str());
}

[[noreturn]] inline void fatal_barrier(const Thread& arrived, const Thread& missing) {
    fatal("barrier", arrived, arrived.site,
          text("%s waits at %s, but %s of the same block %s: all threads of a block must come to the same barrier",
               name_of(arrived).c_str(), name_of(arrived.wait_state), text("thread %u", missing.number).c_str(),
               describe_state(missing).c_str()));
}

inline void open_cluster(std::size_t cluster) {
    Block* first = &launch.resident[cluster * launch.cluster];
    std::vector<Block*> arrived;
    for (Block* block = first; block < first + launch.cluster; ++block) {
        if (block->arrived == launch.threads_a_block && block->barrier == WaitState::cluster_barrier) arrived.push_back(block);
    }
    launch.cluster_arrived[cluster] = 0;
    if (launch.request->detect && !arrived.empty()) join_blocks(arrived.data(), arrived.size());
    for (Block* block : arrived) {
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
        join_blocks(all.data(), all.size());
    }
    for (Block& block : launch.resident) {
        block.arrived = 0;
        wake_all(block);
    }
}

inline void arrive(WaitState barrier, Site site) {
    Thread& me = self();
    Block& block = *me.block;
    me.wait_state = barrier;
    me.site = site;
    if (block.arrived == 0) {
        block.barrier = barrier;
        block.first_arrived = &me;
    } else if (block.barrier != barrier || !same_site(block.first_arrived->site, site)) {
        fatal_barrier(*block.first_arrived, me);
    }
    if (block.ended) {
        const Thread* threads = threads_of(block);
        while (threads->wait_state != WaitState::ended) ++threads;
        fatal_barrier(me, *threads);
    }
    scheduler.sleep(*me.warp, me.bit);
    if (++block.arrived == launch.threads_a_block) {
        if (barrier == WaitState::block_barrier) {
            Block* one = &block;
            if (launch.request->detect) join_blocks(&one, 1);
            block.arrived = 0;
            wake_all(block);
        } else if (barrier == WaitState::cluster_barrier) {
            ++launch.cluster_arrived[resident_cluster(block)];
            open_cluster_if_complete(resident_cluster(block));
        } else if (++launch.arrived_blocks == launch.blocks) {
            open_grid();
        }
    }
    switch_to(scheduler.pick());
}

inline void arrive_at_grid_barrier(Region* region, unsigned* counter, int generation, Site site) {
    Thread& me = self();
    if (!launch.request->cooperative) {
        fatal("grid barrier", me, site,
              "grid_barrier() in a launch that is not cooperative: its blocks need not all be resident");
    }
    if (!counter) fatal("grid barrier", me, site, "the counter of grid_barrier() is not there");
    if (me.number == 0) {
        if (launch.request->detect &&
            !checked_atomic(region, counter, sizeof *counter, me, AccessKind::atomic_write, true, site)) {
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
    arrive(WaitState::grid_barrier, site);
}

}  // namespace emulator
