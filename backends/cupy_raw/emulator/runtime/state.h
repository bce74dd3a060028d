// The state of a running launch: its blocks, warps and threads, and what each thread waits for.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "device/calls.h"

namespace emulator {

constexpr unsigned LANES = 32;
constexpr unsigned ALL_LANES = 0xffffffffu;

struct Block;
struct Warp;
struct VectorClock;
struct LaneClocks;

enum class WaitState : unsigned char {
    running,
    block_barrier,
    cluster_barrier,
    grid_barrier,
    warp_operation,
    flag,
    polling,
    ended
};

struct alignas(64) Thread {
    void* stack_pointer;
    char* stack;  // null before it starts and after it has ended
    Warp* warp;
    Block* block;
    unsigned number;  // threadIdx.x
    unsigned lane, bit;
    WaitState wait_state;
    Site site;  // where it waits
    // the fields that a switch needs are above, in one cache line
    unsigned warp_number;  // of its warp in the whole grid
    unsigned clock;        // races/vector_clocks.h
    VectorClock* vector_clock;
    LaneClocks* lane_clocks;
    int step;                 // -1 before the first at_step
    int copies;               // the latest asynchronous copy that it has not waited for; -1: none
    const unsigned* awaited;  // the flag that it waits for or polls
    unsigned value;           // the least value that it waits for, or the last one that it read
    int index;                // the flag's
    int polls;                // how often it has read the same value of `awaited`
    Thread* next;             // the next one that waits for a flag
};

struct alignas(64) Warp {
    Block* block;
    Thread* first;
    unsigned existing;  // lanes that the block has
    unsigned ready, ended;
    unsigned waiting;  // lanes in a warp operation, each with its part of it
    LanePart* parts[LANES];
};

struct Block {
    Index index;          // blockIdx
    unsigned number;      // in the grid
    unsigned first_warp;  // in Launch::warps
    unsigned first_warp_number;
    unsigned ended;     // threads
    unsigned arrived;   // threads at the block's current barrier
    WaitState barrier;  // its kind
    Thread* first_arrived;
    unsigned barrier_clock;  // of its last barrier: accesses of the block with a smaller clock happen before it
    unsigned max_clock;      // of its threads
    unsigned start_clock;    // barrier_clock when it began
    bool begun;
    char* shared;
    std::vector<Region*> carved;
    std::size_t cells_used;
};

// A launch as Python requests it; library.py has the same structures.
struct Array {
    char* address;  // what is passed to the kernel
    char* first;    // of the memory that it is a part of
    unsigned long long bytes;
    unsigned itemsize;
    int is_const;
    int number;  // among the kernel's arguments, from 1
};
struct Request {
    const char* kernel;
    void (*run)(const Word*);
    const Word* words;
    const Array* arrays;
    int array_count;
    unsigned grid[3];
    unsigned threads;
    unsigned long long shared_bytes;
    unsigned cluster;
    int cooperative;
    int schedule;
    unsigned long long seed;
    int detect;
};

struct Launch {
    const Request* request;
    unsigned blocks, threads_a_block, warps_a_block;
    unsigned cluster, groups, groups_begun;
    unsigned arrived_blocks;  // at the grid's barrier
    unsigned start_clock;     // accesses of earlier launches have smaller clocks
    std::size_t shared_stride;
    std::vector<Thread> threads;  // of the resident blocks, a whole number of warps for each
    std::vector<Warp> warps;
    std::vector<Block> resident;
    std::vector<unsigned> cluster_arrived, cluster_ended;  // blocks, for each resident cluster
    Thread* current;
    unsigned long long switches;
    unsigned long long idle;  // turns of polling threads since anything else has happened
};

inline Launch launch;

inline Thread& self() { return *launch.current; }
inline Thread* threads_of(const Block& block) { return launch.warps[block.first_warp].first; }
inline unsigned thread_id(const Thread& thread) { return thread.warp_number * LANES + thread.lane; }
inline std::size_t resident_cluster(const Block& block) {
    return static_cast<std::size_t>(&block - launch.resident.data()) / launch.cluster;
}

inline Index index_of(unsigned block) {
    const unsigned* grid = launch.request->grid;
    return {block % grid[0], block / grid[0] % grid[1], block / grid[0] / grid[1]};
}

}  // namespace emulator
