// A launch while it runs: its blocks, warps and threads, and what each is doing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "calls.h"

namespace emulator {

constexpr unsigned LANES = 32;
constexpr unsigned ALL_LANES = 0xffffffffu;

struct Block;
struct Warp;
struct Phases;
struct Exceptions;

enum class Doing : unsigned char {
    computing,
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
    Doing doing;  // what it waits for, if it does
    Site site;    // where it waits
    // what a switch needs is above, in one cache line
    unsigned warp_number;  // of its warp in the whole grid
    unsigned clock;        // knowledge.h
    Phases* phases;
    Exceptions* exceptions;
    int step;                 // -1 before the first at_step
    int copies;               // the latest asynchronous copy that is not waited for; -1: none
    const unsigned* awaited;  // the flag that it waits for, or that it polls
    unsigned value;           // the least that the flag must become, or what was read of it last
    int index;                // the flag's
    int polls;                // how often the same was read of `awaited`
    Thread* next;             // who waits for a flag as well
};

struct alignas(64) Warp {
    Block* block;
    Thread* first;
    unsigned existing;  // lanes that the block has
    unsigned ready, ended;
    unsigned waiting;  // lanes in a warp operation, each with its part
    LanePart* parts[LANES];
};

struct Block {
    Index place;
    unsigned number;      // in the grid
    unsigned first_warp;  // in Launch::warps
    unsigned first_warp_number;
    unsigned ended;    // threads
    unsigned arrived;  // threads at the block's present barrier
    Doing barrier;     // which kind that is
    Thread* first_there;
    unsigned base;    // a block barrier: whatever has a smaller clock is before it
    unsigned latest;  // the largest clock of a thread
    unsigned start;   // base when it began
    bool begun;
    char* shared;
    std::vector<Region*> carved;
    std::size_t cells_used;
};

// What Python asks for.
struct Array {
    char* address;  // what the kernel gets
    char* first;    // the memory that this is a part of
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
    unsigned base;            // of the clocks: every earlier launch is before it
    std::size_t shared_stride;
    std::vector<Thread> threads;  // of the resident blocks, a whole number of warps for each
    std::vector<Warp> warps;
    std::vector<Block> resident;
    std::vector<unsigned> cluster_arrived, cluster_ended;  // blocks, for each resident cluster
    Thread* current;
    unsigned long long switches;
    unsigned long long idle;  // turns of polling threads since anything else happened
};

inline Launch launch;

inline Thread& self() { return *launch.current; }
inline Thread* threads_of(const Block& block) { return launch.warps[block.first_warp].first; }
inline unsigned thread_id(const Thread& thread) { return thread.warp_number * LANES + thread.lane; }
inline std::size_t resident_cluster(const Block& block) {
    return static_cast<std::size_t>(&block - launch.resident.data()) / launch.cluster;
}

inline Index place_of(unsigned block) {
    const unsigned* grid = launch.request->grid;
    return {block % grid[0], block / grid[0] % grid[1], block / grid[0] / grid[1]};
}

}  // namespace emulator
