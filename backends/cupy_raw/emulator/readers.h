// Who was last at an element of memory: what the detector of races keeps for each.
#pragma once

#include <algorithm>
#include <vector>

#include "knowledge.h"

namespace emulator {

// The last plain write, and the reads since then by lanes of one warp at one clock. Where that does not say it all, LISTED is
// set and all but the write is in a set. What is older than the region's floor counts for nothing, so nothing needs to be
// cleared between launches.
struct Cell {
    unsigned writer, write_clock, write_where;
    unsigned read_warp;  // or the set's number
    unsigned read_clock, readers, read_where;
    unsigned short copied_from;  // asynchronous copies that are reading it
    unsigned short flags;
};
constexpr unsigned short LISTED = 1, ATOMIC = 2, IN_FLIGHT = 4;  // ATOMIC: the set has atomic accesses

enum class Access : unsigned { read, write, atomic_read, atomic_write };

inline bool writes(Access access) { return access == Access::write || access == Access::atomic_write; }
inline bool conflict(Access a, Access b) {
    const bool both_atomic = a >= Access::atomic_read && b >= Access::atomic_read;
    return (writes(a) || writes(b)) && !both_atomic;
}
// Whether whatever conflicts with `old` also conflicts with `later`, so that a later access that comes after it may stand for
// it.
inline bool stands_for(Access later, Access old) {
    return later == old || later == Access::write || (old == Access::atomic_read && later != Access::atomic_read);
}

// What lanes of one warp did at one clock, at one place of the source.
struct Group {
    unsigned warp, lanes, clock, where;
    Access access;
};

// Sets of groups, by number; 0 is the empty one. A set is a chain: its latest group and the set without it. Equal chains are
// one, and neighbouring elements are mostly used by the same threads in the same order, so few are made.
class Sets {
public:
    template <class Visit>
    void each(unsigned set, Visit visit) const {
        for (; set; set = nodes_[set].rest) visit(nodes_[set].group);
    }

    unsigned with(unsigned set, const Group& group) { return chained(set, group, std::max(16u, nodes_[set].tidy_at)); }

    // `set` with this access. Groups that it stands for, and that the thread knows, are dropped each time a chain has doubled.
    unsigned add(unsigned set, const Thread& thread, Access access, unsigned where) {
        unsigned look = set;
        for (int i = 0; i < 4 && look; ++i, look = nodes_[look].rest) {
            const Group& group = nodes_[look].group;
            if (group.warp != thread.warp_number || group.clock != thread.clock || group.access != access) continue;
            if (group.lanes & thread.bit) return set;
            if (look != set || group.where != where) break;
            return chained(nodes_[set].rest, {group.warp, group.lanes | thread.bit, group.clock, where, access},
                           nodes_[set].tidy_at);
        }
        if (set && nodes_[set].size >= nodes_[set].tidy_at) set = tidied(set, thread, access);
        return with(set, {thread.warp_number, thread.bit, thread.clock, where, access});
    }

    void reset() {
        if (nodes_.size() > 1) clear();
        live_ = 0;
    }

    bool wants_collection() const { return nodes_.size() > MANY && nodes_.size() / 2 > live_; }
    // Keeps only the sets that are in use: `each_number` is called with a function, and calls that for each number in use.
    template <class EachNumber>
    void collect(EachNumber each_number) {
        std::vector<unsigned> renamed(nodes_.size(), 0);
        each_number([&](unsigned& set) {
            for (unsigned s = set; s && !renamed[s]; s = nodes_[s].rest) renamed[s] = 1;
        });
        std::vector<Node> old;
        old.swap(nodes_);
        clear();
        for (std::size_t s = 1; s < old.size(); ++s) {  // a chain's rest is older, and has been renamed before it
            if (renamed[s]) renamed[s] = chained(renamed[old[s].rest], old[s].group, old[s].tidy_at);
        }
        each_number([&](unsigned& set) { set = renamed[set]; });
        live_ = nodes_.size();
    }

private:
    struct Node {
        Group group;
        unsigned rest;
        unsigned size, tidy_at;
    };
    static constexpr std::size_t MANY = std::size_t(1) << 21, FEW = 1024;

    unsigned chained(unsigned rest, const Group& group, unsigned tidy_at) {
        if (nodes_.size() * 2 > table_.size()) grow();
        for (std::size_t at = hash(rest, group) & (table_.size() - 1);; at = (at + 1) & (table_.size() - 1)) {
            const unsigned number = table_[at];
            if (number == 0) {
                table_[at] = static_cast<unsigned>(nodes_.size());
                nodes_.push_back({group, rest, nodes_[rest].size + 1, tidy_at});
                return table_[at];
            }
            const Node& node = nodes_[number];
            if (node.rest == rest && std::memcmp(&node.group, &group, sizeof group) == 0 && node.tidy_at == tidy_at)
                return number;
        }
    }
    unsigned tidied(unsigned set, const Thread& thread, Access access) {
        Tidied& memory = tidied_[set % 64];
        if (memory.set == set && memory.thread == thread_id(thread) && memory.access == access &&
            memory.stamp == knowledge_stamp) {
            return memory.result;
        }
        kept_.clear();
        each(set, [&](const Group& group) {
            if (!stands_for(access, group.access) || !knows(thread, group.warp, group.lanes, group.clock))
                kept_.push_back(group);
        });
        std::sort(kept_.begin(), kept_.end(), [](const Group& a, const Group& b) {
            if (a.warp != b.warp) return a.warp < b.warp;
            return a.clock != b.clock ? a.clock < b.clock : a.where != b.where ? a.where < b.where : a.access < b.access;
        });
        std::size_t distinct = 0;
        for (const Group& group : kept_) {
            Group* last = distinct ? &kept_[distinct - 1] : nullptr;
            if (last && last->warp == group.warp && last->clock == group.clock && last->where == group.where &&
                last->access == group.access) {
                last->lanes |= group.lanes;
            } else {
                kept_[distinct++] = group;
            }
        }
        const unsigned tidy_at = static_cast<unsigned>(std::max<std::size_t>(16, 2 * distinct));
        unsigned result = 0;
        for (std::size_t i = 0; i < distinct; ++i) result = chained(result, kept_[i], tidy_at);
        memory = {set, thread_id(thread), access, knowledge_stamp, result};
        return result;
    }

    static std::size_t hash(unsigned rest, const Group& g) {
        std::uint64_t h = (std::uint64_t(rest) << 32 | g.warp) * 0x9e3779b97f4a7c15u;
        h = (h ^ (std::uint64_t(g.lanes) << 32 | g.clock)) * 0xc2b2ae3d27d4eb4fu;
        h = (h ^ h >> 29 ^ (std::uint64_t(g.where) << 2 | unsigned(g.access))) * 0x165667b19e3779f9u;
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
        std::fill(std::begin(tidied_), std::end(tidied_), Tidied{});
    }

    struct Tidied {
        unsigned set, thread;
        Access access;
        std::uint64_t stamp;
        unsigned result;
    };

    std::vector<Node> nodes_{Node{}};
    std::vector<unsigned> table_;
    std::vector<Group> kept_;
    Tidied tidied_[64] = {};
    std::size_t live_ = 0;
};

inline Sets sets;

}  // namespace emulator
