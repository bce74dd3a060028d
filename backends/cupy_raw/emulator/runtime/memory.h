// The memory whose accesses are checked: allocations that Python has registered, the other arrays of a launch, and the arrays
// that blocks carve from their shared memory. Each is a region of elements, with one byte that says whether an element was
// ever written and one cell of access history each.
#pragma once

#include <algorithm>
#include <map>
#include <memory>

#include "fibers.h"
#include "findings.h"
#include "races/access_history.h"

namespace emulator {

struct Region {
    char* base;
    std::size_t bytes;
    unsigned shift;          // log2 of an element's bytes
    unsigned char* written;  // for each element; null: all are
    Cell* cells;             // for each element; null: the kernel cannot write here
    unsigned min_clock;      // older accesses are ignored
    int argument;            // of the kernel, from 1; 0: shared memory
    Block* block;            // whose shared memory it is
};

inline unsigned shift_of(unsigned itemsize) { return itemsize >= 8 ? 3 : itemsize >= 4 ? 2 : itemsize >= 2 ? 1 : 0; }

// An array whose elements are zero at first; it grows by being allocated anew.
template <class T>
class Pages {
public:
    Pages() = default;
    Pages(const Pages&) = delete;
    Pages& operator=(const Pages&) = delete;
    ~Pages() { clear(); }
    T* at_least(std::size_t count) {
        if (count > count_) {
            clear();
            count_ = count;
            first_ = static_cast<T*>(bytes() < SMALL ? calloc(count, sizeof(T)) : map_pages(bytes()));
            if (!first_) abort();
        }
        return first_;
    }
    void clear() {
        if (bytes() < SMALL) {
            free(first_);
        } else {
            munmap(first_, bytes());
        }
        first_ = nullptr;
        count_ = 0;
    }
    std::size_t bytes() const { return count_ * sizeof(T); }

private:
    static constexpr std::size_t SMALL = std::size_t(1) << 18;
    T* first_ = nullptr;
    std::size_t count_ = 0;
};

struct Allocation {
    char* base;
    std::size_t bytes;
    unsigned shift;
    Pages<unsigned char> written;
    Pages<Cell> cells;
};

inline std::map<char*, std::unique_ptr<Allocation>> allocations;
inline std::vector<Region> regions;  // of this launch's arrays, by address
inline Pages<Cell> array_cells;      // of arrays that are not allocations
inline Pages<Cell> shared_cells;     // for each resident block
inline std::vector<char> shared_written;
constexpr std::size_t CELLS_A_BYTE = 2;              // of shared memory: enough to carve it a second time with other types
inline std::vector<std::unique_ptr<Region>> carved;  // regions of shared memory, used again in the next launch
inline std::size_t carved_used;

inline Allocation* allocation_at(const char* address) {
    auto after = allocations.upper_bound(const_cast<char*>(address));
    if (after == allocations.begin()) return nullptr;
    Allocation* found = std::prev(after)->second.get();
    return address < found->base + found->bytes ? found : nullptr;
}

inline std::size_t elements(std::size_t bytes, unsigned shift) { return (bytes + (std::size_t(1) << shift) - 1) >> shift; }

// The regions of the launch's arrays: arrays that overlap are one.
inline void lay_out_arrays(const Request& request) {
    regions.clear();
    std::vector<std::pair<Region, bool>> found;  // and whether the kernel may write there
    for (int i = 0; i < request.array_count; ++i) {
        const Array& array = request.arrays[i];
        if (!array.address || array.bytes == 0) continue;
        Region region{array.first,  array.bytes, shift_of(array.itemsize), nullptr, nullptr, launch.start_clock,
                      array.number, nullptr};
        if (const Allocation* allocation = allocation_at(array.address)) {
            region.base = allocation->base;
            region.bytes = allocation->bytes;
            region.shift = allocation->shift;
        }
        found.push_back({region, !array.is_const});
    }
    std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.first.base < b.first.base; });
    std::vector<bool> writable;
    for (const auto& [region, may_write] : found) {
        if (!regions.empty() && region.base < regions.back().base + regions.back().bytes) {
            Region& last = regions.back();
            last.bytes = std::max(last.bytes, static_cast<std::size_t>(region.base - last.base) + region.bytes);
            last.shift = std::min(last.shift, region.shift);
            last.argument = std::min(last.argument, region.argument);
            writable.back() = writable.back() || may_write;
        } else {
            regions.push_back(region);
            writable.push_back(may_write);
        }
    }
    std::size_t cells = 0;
    for (std::size_t i = 0; i < regions.size(); ++i) {
        if (writable[i] && !allocation_at(regions[i].base)) cells += elements(regions[i].bytes, regions[i].shift);
    }
    Cell* next = array_cells.at_least(cells);
    for (std::size_t i = 0; i < regions.size(); ++i) {
        Region& region = regions[i];
        const std::size_t count = elements(region.bytes, region.shift);
        if (Allocation* allocation = allocation_at(region.base)) {
            region.written = allocation->written.at_least(count);
            if (writable[i]) region.cells = allocation->cells.at_least(count);
        } else if (writable[i]) {
            region.cells = next;
            next += count;
        }
    }
}

inline Region* array_region(const char* address) {
    for (Region& region : regions) {
        if (address < region.base) break;
        if (address < region.base + region.bytes) return &region;
    }
    return nullptr;
}

inline void lay_out_shared() {
    carved_used = 0;
    if (!launch.request->shared_bytes) return;
    shared_cells.at_least(launch.resident.size() * launch.shared_stride * CELLS_A_BYTE);
    shared_written.resize(launch.resident.size() * launch.shared_stride * CELLS_A_BYTE);
}

inline void begin_shared(Block& block) {
    block.carved.clear();
    block.cells_used = 0;
}

// The region of `bytes` at `offset` in the block's shared memory. Arrays that overlap share one region, whose elements are as
// small as the smallest of theirs.
inline Region* carve(Block& block, std::size_t offset, std::size_t bytes, unsigned shift) {
    char* base = block.shared + offset;
    std::size_t first = offset, end = offset + bytes;
    unsigned finest = shift;
    bool overlaps = false;
    for (const Region* old : block.carved) {
        if (base >= old->base + old->bytes || base + bytes <= old->base) continue;
        if (base >= old->base && base + bytes <= old->base + old->bytes && old->shift <= shift) return const_cast<Region*>(old);
        overlaps = true;
        first = std::min(first, static_cast<std::size_t>(old->base - block.shared));
        end = std::max(end, static_cast<std::size_t>(old->base - block.shared) + old->bytes);
        finest = std::min(finest, old->shift);
    }
    const std::size_t slot = static_cast<std::size_t>(&block - launch.resident.data()) * launch.shared_stride * CELLS_A_BYTE;
    Region region{block.shared + first, end - first, finest, nullptr, nullptr, block.start_clock, 0, &block};
    const std::size_t count = elements(region.bytes, finest);
    region.cells = shared_cells.at_least(0) + slot + block.cells_used;
    region.written = reinterpret_cast<unsigned char*>(shared_written.data()) + slot + block.cells_used;
    block.cells_used += count;
    if (block.cells_used > launch.shared_stride * CELLS_A_BYTE) {
        fatal("shared memory", self(), self().site,
              "the same shared memory is carved in too many different ways: carve it once");
    }
    std::memset(region.written, 0, count);
    if (overlaps) std::fill_n(region.cells, count, Cell{});
    for (Region* old : block.carved) {
        if (old->base + old->bytes <= region.base || old->base >= region.base + region.bytes) continue;
        const unsigned finer = old->shift - finest;
        const std::size_t shifted = static_cast<std::size_t>(old->base - region.base) >> finest;
        for (std::size_t i = 0; i < elements(old->bytes, old->shift) << finer && shifted + i < count; ++i) {
            region.cells[shifted + i] = old->cells[i >> finer];
            region.written[shifted + i] = old->written[i >> finer];
        }
        *old = region;  // views of it use the common region from now on
    }
    if (carved_used == carved.size()) carved.push_back(std::make_unique<Region>());
    Region* made = carved[carved_used++].get();
    *made = region;
    block.carved.push_back(made);
    return made;
}

// Garbage collection of the sets of accesses.
inline void collect_sets() {
    sets.collect([](auto visit) {
        const auto visit_region = [&](const Region& region) {
            for (std::size_t i = 0; region.cells && i < elements(region.bytes, region.shift); ++i) {
                Cell& cell = region.cells[i];
                if (!(cell.flags & IN_SET)) continue;
                if (cell.read_clock < region.min_clock) {
                    cell.flags &= static_cast<unsigned short>(~(IN_SET | ATOMIC));
                    cell.readers = 0;
                } else {
                    visit(cell.read_warp);
                }
            }
        };
        for (const Region& region : regions) visit_region(region);
        std::vector<const Region*> seen;  // arrays carved over each other share their cells
        for (const Block& block : launch.resident) {
            for (const Region* region : block.carved) {
                const auto same = [&](const Region* r) { return r->cells == region->cells; };
                if (std::any_of(seen.begin(), seen.end(), same)) continue;
                seen.push_back(region);
                visit_region(*region);
            }
            seen.clear();
        }
    });
}

}  // namespace emulator
