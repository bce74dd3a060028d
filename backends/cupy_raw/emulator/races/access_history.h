// Access history (shadow memory): for each element the accesses that a later one may be in a race with.
#pragma once

#include <algorithm>
#include <vector>

#include "vector_clocks.h"

namespace emulator {

// The shadow of one element: the last plain write, and the reads since then by lanes of one warp at one clock. Where these
// fields do not suffice, IN_SET is set, and all accesses but the write are in a set. Accesses older than the region's min_clock
// are ignored, so nothing needs to be cleared between launches.
struct Cell {
    unsigned writer, write_clock, write_place;
    unsigned read_warp;  // or, with IN_SET, the set's number
    unsigned read_clock, readers, read_place;
    unsigned short copied_from;  // asynchronous copies that are reading it
    unsigned short flags;
};
constexpr unsigned short IN_SET = 1, ATOMIC = 2, IN_FLIGHT = 4;  // ATOMIC: the set has atomic accesses

enum class AccessKind : unsigned { read, write, atomic_read, atomic_write };

inline bool writes(AccessKind access) { return access == AccessKind::write || access == AccessKind::atomic_write; }
inline bool conflict(AccessKind a, AccessKind b) {
    const bool both_atomic = a >= AccessKind::atomic_read && b >= AccessKind::atomic_read;
    return (writes(a) || writes(b)) && !both_atomic;
}
// Whether everything that conflicts with `old` also conflicts with `later`: then `later`, ordered after it, may replace it.
inline bool subsumes(AccessKind later, AccessKind old) {
    return later == old || later == AccessKind::write || (old == AccessKind::atomic_read && later != AccessKind::atomic_read);
}

// Accesses of one kind by lanes of one warp at one clock, at one place of the source.
struct AccessGroup {
    unsigned warp, lanes, clock, place;
    AccessKind kind;
    Epoch epoch() const { return {warp, lanes, clock}; }
};

// Sets of groups, by number; 0 is the empty one. A set is a linked list: its latest group, and the set of the others. Equal
// sets are stored once (hash consing): neighbouring elements are mostly used by the same threads in the same order.
class AccessSets {
public:
    template <class Visit>
    void each(unsigned set, Visit visit) const {
        for (; set; set = nodes_[set].rest) visit(nodes_[set].group);
    }

    unsigned with(unsigned set, const AccessGroup& group) {
        return interned(set, group, std::max(16u, nodes_[set].compact_at));
    }

    // `set` with this access. Whenever a set has doubled, groups that the access subsumes and is ordered after are dropped.
    unsigned add(unsigned set, const Thread& thread, AccessKind kind, unsigned place) {
        unsigned look = set;
        for (int i = 0; i < 4 && look; ++i, look = nodes_[look].rest) {
            const AccessGroup& group = nodes_[look].group;
            if (group.warp != thread.warp_number || group.clock != thread.clock || group.kind != kind) continue;
            if (group.lanes & thread.bit) return set;
            if (look != set || group.place != place) break;
            return interned(nodes_[set].rest, {group.warp, group.lanes | thread.bit, group.clock, place, kind},
                            nodes_[set].compact_at);
        }
        if (set && nodes_[set].size >= nodes_[set].compact_at) set = compacted(set, thread, kind);
        return with(set, {thread.warp_number, thread.bit, thread.clock, place, kind});
    }

    void reset() {
        if (nodes_.size() > 1) clear();
        live_ = 0;
    }

    bool needs_collection() const { return nodes_.size() > MANY && nodes_.size() / 2 > live_; }
    // Keeps only the sets that are in use: `each_number(f)` calls f for each set's number that is in use.
    template <class EachNumber>
    void collect(EachNumber each_number) {
        std::vector<unsigned> renamed(nodes_.size(), 0);
        each_number([&](unsigned& set) {
            for (unsigned s = set; s && !renamed[s]; s = nodes_[s].rest) renamed[s] = 1;
        });
        std::vector<Node> old;
        old.swap(nodes_);
        clear();
        for (std::size_t s = 1; s < old.size(); ++s) {  // `rest` is older than its set, and has been renamed before it
            if (renamed[s]) renamed[s] = interned(renamed[old[s].rest], old[s].group, old[s].compact_at);
        }
        each_number([&](unsigned& set) { set = renamed[set]; });
        live_ = nodes_.size();
    }

private:
    struct Node {
        AccessGroup group;
        unsigned rest;
        unsigned size, compact_at;
    };
    static constexpr std::size_t MANY = std::size_t(1) << 21, FEW = 1024;

    unsigned interned(unsigned rest, const AccessGroup& group, unsigned compact_at) {
        if (nodes_.size() * 2 > table_.size()) grow();
        for (std::size_t at = hash(rest, group) & (table_.size() - 1);; at = (at + 1) & (table_.size() - 1)) {
            const unsigned number = table_[at];
            if (number == 0) {
                table_[at] = static_cast<unsigned>(nodes_.size());
                nodes_.push_back({group, rest, nodes_[rest].size + 1, compact_at});
                return table_[at];
            }
            const Node& node = nodes_[number];
            if (node.rest == rest && std::memcmp(&node.group, &group, sizeof group) == 0 && node.compact_at == compact_at)
                return number;
        }
    }
    unsigned compacted(unsigned set, const Thread& thread, AccessKind kind) {
        Compacted& memory = compacted_[set % 64];
        if (memory.set == set && memory.thread == thread_id(thread) && memory.kind == kind && memory.version == clock_version) {
            return memory.result;
        }
        kept_.clear();
        each(set, [&](const AccessGroup& group) {
            if (!subsumes(kind, group.kind) || !happens_before(group.epoch(), thread)) kept_.push_back(group);
        });
        std::sort(kept_.begin(), kept_.end(), [](const AccessGroup& a, const AccessGroup& b) {
            if (a.warp != b.warp) return a.warp < b.warp;
            return a.clock != b.clock ? a.clock < b.clock : a.place != b.place ? a.place < b.place : a.kind < b.kind;
        });
        std::size_t distinct = 0;
        for (const AccessGroup& group : kept_) {
            AccessGroup* last = distinct ? &kept_[distinct - 1] : nullptr;
            if (last && last->warp == group.warp && last->clock == group.clock && last->place == group.place &&
                last->kind == group.kind) {
                last->lanes |= group.lanes;
            } else {
                kept_[distinct++] = group;
            }
        }
        const unsigned compact_at = static_cast<unsigned>(std::max<std::size_t>(16, 2 * distinct));
        unsigned result = 0;
        for (std::size_t i = 0; i < distinct; ++i) result = interned(result, kept_[i], compact_at);
        memory = {set, thread_id(thread), kind, clock_version, result};
        return result;
    }

    static std::size_t hash(unsigned rest, const AccessGroup& g) {
        std::uint64_t h = (std::uint64_t(rest) << 32 | g.warp) * 0x9e3779b97f4a7c15u;
        h = (h ^ (std::uint64_t(g.lanes) << 32 | g.clock)) * 0xc2b2ae3d27d4eb4fu;
        h = (h ^ h >> 29 ^ (std::uint64_t(g.place) << 2 | unsigned(g.kind))) * 0x165667b19e3779f9u;
        return static_cast<std::size_t>(h >> 32 ^ h);
    }
    void grow() {
        table_.assign(std::max(FEW, table_.size() * 2), 0);
        for (std::size_t s = 1; s < nodes_.size(); ++s) {
            std::size_t at = hash(nodes_[s].rest, nodes_[s].group) & (table_.size() - 1);
            while (table_[at]) at = (at + 1) & (table_.size() - 1);
            table_[at] = static_cast<unsigned>(s);
        }
    }
    void clear() {
        if (table_.size() > 64 * FEW) {
            std::vector<unsigned>(FEW, 0).swap(table_);
            std::vector<Node>().swap(nodes_);
        } else {
            std::fill(table_.begin(), table_.end(), 0);
        }
        nodes_.assign(1, Node{});
        std::fill(std::begin(compacted_), std::end(compacted_), Compacted{});
    }

    struct Compacted {
        unsigned set, thread;
        AccessKind kind;
        std::uint64_t version;
        unsigned result;
    };

    std::vector<Node> nodes_{Node{}};
    std::vector<unsigned> table_;
    std::vector<AccessGroup> kept_;
    Compacted compacted_[64] = {};
    std::size_t live_ = 0;
};

inline AccessSets sets;

}  // namespace emulator
