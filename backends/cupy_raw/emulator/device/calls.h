// The interface between a compiled kernel file and the emulator's runtime. The runtime is one shared library, compiled once;
// every kernel file is another one, which imports these names. Keep it small: it is compiled with each kernel file.
#pragma once

#define EMULATOR_CALL extern "C" __attribute__((visibility("default")))

namespace emulator {

using Word = unsigned long long;  // an operand of a warp operation, or a kernel argument

struct Index {
    unsigned x, y, z;
};

// A line of a kernel's source.
struct Site {
    const char* file;
    int line;
};

// A range of memory whose accesses are checked: an allocation, or an array carved from a block's shared memory.
struct Region;

enum class WarpOperation { synchronise, shuffle, vote, multiply };
enum class Order { relaxed, ordered };  // ordered: a release if it stores, an acquire if it loads

// One lane's part in a warp operation. It is on the lane's stack until all lanes of the mask have arrived.
struct LanePart {
    WarpOperation operation;
    unsigned mask;
    Word value;  // the lane's operand; in a multiplication, the address of its fragments
    int source;  // the lane that a shuffle reads
    void (*multiply)(const Word* of_lanes);
    Site site;
    Word result;  // a shuffle's value, a vote's ballot
};

// A SIZE of a kernel file, which is set before a launch.
struct SizeEntry {
    const char* name;
    int* value;
    const SizeEntry* next;
};

}  // namespace emulator

// Of the running thread, set at every switch.
EMULATOR_CALL emulator::Index threadIdx, blockIdx, blockDim, gridDim;
// 1: accesses are checked; 0: they are plain loads and stores.
EMULATOR_CALL int emulator_detect;

EMULATOR_CALL emulator::Region* emulator_region(const void* address);
EMULATOR_CALL void emulator_outside(long long index, int axis, int extent, emulator::Site site);
EMULATOR_CALL void emulator_null(emulator::Site site);
// Each returns whether the access may be carried out.
EMULATOR_CALL bool emulator_read(emulator::Region* region, const void* address, unsigned bytes, emulator::Site site);
EMULATOR_CALL bool emulator_write(emulator::Region* region, const void* address, unsigned bytes, emulator::Site site);

EMULATOR_CALL void* emulator_shared(long long offset, long long bytes, unsigned itemsize, emulator::Region** region,
                                    emulator::Site site);
EMULATOR_CALL void* emulator_neighbour(const void* address, unsigned rank, emulator::Region** region, emulator::Site site);

EMULATOR_CALL void emulator_at_step(int step);
EMULATOR_CALL void emulator_block_barrier(emulator::Site site);
EMULATOR_CALL void emulator_cluster_barrier(emulator::Site site);
EMULATOR_CALL void emulator_grid_barrier(emulator::Region* region, unsigned* counter, int generation, emulator::Site site);
EMULATOR_CALL unsigned emulator_cluster_rank();
EMULATOR_CALL unsigned emulator_cluster_size();
EMULATOR_CALL void emulator_warp(emulator::LanePart* part);

// Flags and atomics: `address` is null where the index is outside the array.
EMULATOR_CALL void emulator_store(emulator::Region* region, unsigned* address, unsigned value, emulator::Order order,
                                  emulator::Site site);
EMULATOR_CALL unsigned emulator_load(emulator::Region* region, const unsigned* address, emulator::Order order,
                                     emulator::Site site);
EMULATOR_CALL void emulator_wait(emulator::Region* region, const unsigned* address, int index, unsigned value,
                                 emulator::Order order, emulator::Site site);
EMULATOR_CALL bool emulator_atomic(emulator::Region* region, void* address, unsigned bytes, emulator::Site site);
EMULATOR_CALL void emulator_atomic_done(const void* address, bool changed, emulator::Site site);

EMULATOR_CALL void emulator_copy(emulator::Region* to_region, void* to, emulator::Region* from_region, const void* from,
                                 unsigned bytes, emulator::Site site);
EMULATOR_CALL void emulator_copy_wait(emulator::Site site);
