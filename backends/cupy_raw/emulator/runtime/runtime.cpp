// The emulator's runtime: the functions that kernels call (device/calls.h) and those that Python calls to launch them
// (library.py). It is compiled as one translation unit.
#include "synchronisation/clusters.h"
#include "synchronisation/copies.h"
#include "synchronisation/deadlocks.h"

using namespace emulator;

extern "C" {
__attribute__((visibility("default"))) Index threadIdx, blockIdx, blockDim, gridDim;
__attribute__((visibility("default"))) int emulator_detect;
}

// ---- calls of kernels
Region* emulator_region(const void* address) { return address ? array_region(static_cast<const char*>(address)) : nullptr; }

void emulator_outside(long long index, int axis, int extent, Site site) {
    if (already_reported("out of bounds", site, NO_SITE)) return;
    report("out of bounds", self(), site,
           text("index %lld on axis %d, which has the indices 0 to %d", index, axis, extent - 1));
}
void emulator_null(Site site) { report("null array", self(), site, "access through a null array"); }

// Ends a thread that would never switch, for example one that polls a flag by a plain read.
static unsigned long long at_switch, accesses;
static void one_more_access(Site site) {
    constexpr unsigned long long most = 50'000'000;
    if (at_switch != launch.switches) at_switch = launch.switches, accesses = 0;
    if (++accesses > most) {
        fatal("endless loop", self(), site,
              "50 million accesses without a barrier, a wait or an end: wait for a flag by wait_acquire()");
    }
}

bool emulator_read(Region* region, const void* address, unsigned bytes, Site site) {
    one_more_access(site);
    return checked_read(region, address, bytes, self(), site);
}
bool emulator_write(Region* region, const void* address, unsigned bytes, Site site) {
    one_more_access(site);
    return checked_write(region, address, bytes, self(), site, true);
}

void* emulator_shared(long long offset, long long bytes, unsigned itemsize, Region** region, Site site) {
    Thread& me = self();
    if (bytes < 0 || offset + bytes > static_cast<long long>(launch.request->shared_bytes)) {
        fatal("shared memory", me, site,
              text("the kernel carves at least %lld bytes of shared memory, and the launch gives it %llu", offset + bytes,
                   launch.request->shared_bytes));
    }
    *region = nullptr;
    if (launch.request->detect) {
        me.site = site;
        *region = carve(*me.block, static_cast<std::size_t>(offset), static_cast<std::size_t>(bytes), shift_of(itemsize));
    }
    return me.block->shared + offset;
}
void* emulator_neighbour(const void* address, unsigned rank, Region** region, Site site) {
    Thread& me = self();
    const std::size_t mine = static_cast<std::size_t>(me.block - launch.resident.data());
    if (rank >= launch.cluster) {
        fatal("cluster", me, site, text("block %u of a cluster of %u is named", rank, launch.cluster));
    }
    Block& other = launch.resident[mine / launch.cluster * launch.cluster + rank];
    if (launch.request->detect && *region) {
        me.site = site;
        const Region& here = **region;
        *region = carve(other, static_cast<std::size_t>(here.base - me.block->shared), here.bytes, here.shift);
    }
    return other.shared + (static_cast<const char*>(address) - me.block->shared);
}

void emulator_at_step(int step) { self().step = step; }
void emulator_block_barrier(Site site) { arrive(WaitState::block_barrier, site); }
void emulator_cluster_barrier(Site site) { arrive(WaitState::cluster_barrier, site); }
void emulator_grid_barrier(Region* region, unsigned* counter, int generation, Site site) {
    arrive_at_grid_barrier(region, counter, generation, site);
}
unsigned emulator_cluster_rank() { return self().block->number % launch.cluster; }
unsigned emulator_cluster_size() { return launch.cluster; }
void emulator_warp(LanePart* part) { arrive(*part); }

void emulator_store(Region* region, unsigned* address, unsigned value, Order order, Site site) {
    store_flag(region, address, value, order, site);
}
unsigned emulator_load(Region* region, const unsigned* address, Order order, Site site) {
    return load_flag(region, address, order, site);
}
void emulator_wait(Region* region, const unsigned* address, int index, unsigned value, Order order, Site site) {
    wait_for_flag(region, address, index, value, order, site);
}
bool emulator_atomic(Region* region, void* address, unsigned bytes, Site site) {
    return !launch.request->detect || checked_atomic(region, address, bytes, self(), AccessKind::atomic_write, true, site);
}
void emulator_atomic_done(const void* address, bool changed, Site site) {
    end_atomic(static_cast<const unsigned*>(address), changed, site);
}

void emulator_copy(Region* to_region, void* to, Region* from_region, const void* from, unsigned bytes, Site site) {
    issue_copy(to_region, to, from_region, from, bytes, site);
}
void emulator_copy_wait(Site) { wait_for_copies(); }

// ---- the end of a thread, and of its block and cluster
namespace emulator {

static void block_ended(Block& block) {
    const std::size_t cluster = resident_cluster(block);
    if (++launch.cluster_ended[cluster] < launch.cluster) {
        open_cluster_if_complete(cluster);
    } else {
        if (launch.groups_begun < launch.groups) begin_cluster(cluster);
        scheduler.start_after(block);
    }
}

void thread_ended(Thread& thread) {
    Block& block = *thread.block;
    ++block.ended;
    if (thread.warp->waiting) lane_ended(thread);
    if (block.arrived) fatal_barrier(*block.first_arrived, thread);
    if (launch.request->detect) {
        if (launch.cluster > 1) check_remote_accesses(thread);
        drop(thread.vector_clock);
        drop(thread.lane_clocks);
    }
    if (block.ended == launch.threads_a_block) block_ended(block);
}

// ---- a launch
constexpr unsigned RESIDENT_GROUPS = 4;  // of a launch that is not cooperative
constexpr std::size_t SHARED_ALIGNMENT = 128;
constexpr std::size_t MUCH_MEMORY = std::size_t(1) << 28;

static std::vector<char> shared_memory;

static std::size_t round_up(std::size_t a, std::size_t b) { return (a + b - 1) / b * b; }

static void lay_out(const Request& request) {
    const unsigned warps = (request.threads + LANES - 1) / LANES, before = static_cast<unsigned>(launch.resident.size());
    launch.request = &request;
    launch.blocks = request.grid[0] * request.grid[1] * request.grid[2];
    launch.cluster = request.cluster;
    launch.groups = launch.blocks / launch.cluster;
    launch.groups_begun = launch.arrived_blocks = 0;
    launch.switches = launch.idle = 0;
    const unsigned groups = request.cooperative ? launch.groups : std::min(launch.groups, RESIDENT_GROUPS);
    const unsigned resident = groups * launch.cluster;
    launch.cluster_arrived.assign(groups, 0);
    launch.cluster_ended.assign(groups, 0);
    if (resident != before || warps != launch.warps_a_block) {
        launch.resident.assign(resident, Block{});
        launch.warps.assign(std::size_t(resident) * warps, Warp{});
        launch.threads.assign(launch.warps.size() * LANES, Thread{});
        for (std::size_t i = 0; i < launch.threads.size(); ++i) {
            Thread& thread = launch.threads[i];
            thread.warp = &launch.warps[i / LANES];
            thread.block = &launch.resident[i / LANES / warps];
            thread.number = static_cast<unsigned>(i % (std::size_t(warps) * LANES));
            thread.lane = thread.number % LANES;
            thread.bit = 1u << thread.lane;
        }
        for (std::size_t w = 0; w < launch.warps.size(); ++w) {
            launch.warps[w].block = &launch.resident[w / warps];
            launch.warps[w].first = &launch.threads[w * LANES];
        }
        for (std::size_t b = 0; b < resident; ++b) launch.resident[b].first_warp = static_cast<unsigned>(b * warps);
    }
    launch.threads_a_block = request.threads;
    launch.warps_a_block = warps;
    launch.shared_stride = round_up(request.shared_bytes, SHARED_ALIGNMENT);
    const std::size_t bytes = resident * launch.shared_stride;
    if (shared_memory.size() < bytes + SHARED_ALIGNMENT) shared_memory.resize(bytes + SHARED_ALIGNMENT);
    const auto address = reinterpret_cast<std::uintptr_t>(shared_memory.data());
    char* shared = shared_memory.data() + (round_up(address, SHARED_ALIGNMENT) - address);
    for (std::size_t b = 0; b < resident; ++b) {
        launch.resident[b].shared = shared + b * launch.shared_stride;
        launch.resident[b].begun = false;
    }
}

static void begin_detectors(const Request& request) {
    if (launch.start_clock > 0xf0000000u) {  // the clocks are about to overflow: start anew
        launch.start_clock = 0;
        array_cells.clear();
        shared_cells.clear();
        for (auto& allocation : allocations) allocation.second->cells.clear();
    }
    if (launch.start_clock == 0) launch.start_clock = 1;
    if (sites.empty()) sites.push_back({"an unknown line", 0});
    if (sites.size() >> SITE_BITS) sites.resize(1);
    lay_out_arrays(request);
    lay_out_shared();
    remote_accesses.assign(launch.cluster > 1 ? launch.resident.size() : 0, {});
}

static void end_detectors() {
    for (const Block& block : launch.resident) {
        if (block.begun) launch.start_clock = std::max(launch.start_clock, block.max_clock + 1);
    }
    for (Thread& thread : launch.threads) {
        drop(thread.vector_clock);
        drop(thread.lane_clocks);
    }
    clear_copies();
    sets.reset();
    ordered_set = {};
    if (array_cells.bytes() > MUCH_MEMORY) array_cells.clear();
    if (shared_cells.bytes() > MUCH_MEMORY) shared_cells.clear();
}

static void run(const Request& request) {
    scheduler.begin(launch.warps.size(), Schedule(request.schedule), request.seed);
    for (std::size_t cluster = 0; cluster < launch.cluster_arrived.size(); ++cluster) begin_cluster(cluster);
    emulator_switch(&caller, prepare(*scheduler.pick()));
}

}  // namespace emulator

EMULATOR_CALL int emulator_launch(const Request* request) {
    accesses = 0;
    findings.clear();
    lay_out(*request);
    gridDim = {request->grid[0], request->grid[1], request->grid[2]};
    blockDim = {request->threads, 1, 1};
    emulator_detect = request->detect;
    if (request->detect) begin_detectors(*request);
    run(*request);
    stacks.reset();
    clear_flags();
    if (request->detect) {
        end_detectors();
    } else {
        clear_copies();
    }
    return int(findings.size());
}
EMULATOR_CALL const Finding* emulator_finding(int i) { return &findings[std::size_t(i)]; }
EMULATOR_CALL unsigned long long emulator_switches() { return launch.switches; }

EMULATOR_CALL void emulator_register(char* address, unsigned long long bytes, unsigned itemsize) {
    auto allocation = std::make_unique<Allocation>();
    allocation->base = address;
    allocation->bytes = bytes;
    allocation->shift = shift_of(itemsize);
    allocations[address] = std::move(allocation);
}
EMULATOR_CALL void emulator_unregister(char* address) { allocations.erase(address); }
