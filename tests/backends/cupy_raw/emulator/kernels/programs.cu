// Runs a program: for each thread a list of operations, each a code, a place and a value.
#include "device.cuh"

struct Size {};

extern "C" __global__ void run_program(
    const int* program_data,  // [blocks, threads, length, 3]
    int* cells_data, unsigned* flags_data, unsigned* counter_data, int* sink_data, int length, int cells, int flag_count
) {
    const int b = blockIdx.x, i = threadIdx.x, n = blockDim.x;
    auto program = array(program_data, int(gridDim.x), n, length * 3);
    auto global = array(cells_data, cells);
    auto flags = array(flags_data, flag_count);
    auto counter = array(counter_data, 1);
    Shared shared;
    auto local = shared.take<int>(cells);
    int sum = 0;
    for (int at = 0; at < length; ++at) {
        at_step(at);
        const int code = program(b, i, at * 3), place = program(b, i, at * 3 + 1), value = program(b, i, at * 3 + 2);
        switch (code) {
            case 1: global(place) = value; break;
            case 2: sum += global(place); break;
            case 3: local(place) = value; break;
            case 4: sum += local(place); break;
            case 5: atomic_add(global, place, value); break;
            case 6: store_release(flags, place, value); break;
            case 7: wait_acquire(flags, place, value); break;
            case 8: store_relaxed(flags, place, value); break;
            case 9: wait_relaxed(flags, place, value); break;
            case 10: __syncthreads(); break;
            case 11: __syncwarp(value); break;
            case 12: grid_barrier(counter, value); break;
            case 13: cluster_barrier(); break;
            case 14: sum += neighbour(local, unsigned(value))(place); break;
            case 15: __shfl_sync(0xffffffffu, sum, 0); break;
        }
    }
    array(sink_data, int(gridDim.x), n)(b, i) = sum;
}
EXPORT_KERNEL(run_program)
