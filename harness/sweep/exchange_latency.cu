// How long one exchange between all blocks of a device takes: each publishes, and waits for all others, again and again, as the
// blocks of a persistent kernel do after each step. Nothing else is done, so no step of theirs can be faster.
#include "exchange.cuh"

struct Size {
    SIZE(threads)  // of a block
};

extern "C" __global__ void __launch_bounds__(BOUND(Size::threads, 1024), 1) exchange_latency(
    unsigned* flags_data,   // [blocks], all 0
    unsigned* made_data,    // [2, blocks]
    unsigned* missed_data,  // [blocks] how often a block did not find what another had written before
    int exchanges, int checked
) {
    const Exchange others = exchange(flags_data);
    const int blocks = gridDim.x, mine = blockIdx.x;
    auto made = array(made_data, 2, blocks);
    unsigned missed = 0;
    for (int k = 1; k <= exchanges; ++k) {
        at_step(k - 1);
        // two slots in turn: who writes the first again has seen that all have published since they read it
        if (checked && threadIdx.x == 0) made(k % 2, mine) = k;
        others.publish(k);
        others.wait<Size>(k);
        if (checked && threadIdx.x == 0) {
            for (int block = 0; block < blocks; ++block) missed += made(k % 2, block) != unsigned(k);
        }
    }
    if (threadIdx.x == 0) array(missed_data, blocks)(mine) = missed;
}
EXPORT_KERNEL(exchange_latency)
