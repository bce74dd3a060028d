// Which thread runs next. The runnable threads are in Warp::ready, and their warps in a bitmap; a schedule is a way to choose
// among them. The same schedule and seed give the same run.
#pragma once

#include "findings.h"
#include "fibers.h"

namespace emulator {

enum class Schedule : int { in_order, reversed, random, block_ahead, warp_behind };

class Scheduler {
public:
    void begin(std::size_t warps, Schedule schedule, std::uint64_t seed) {
        warps_ = warps;
        ready_.assign((warps + 63) / 64, 0);
        schedule_ = schedule;
        state_ = seed * 0x9e3779b97f4a7c15u + 0x2545f4914f6cdd1du;
        if (state_ == 0) state_ = 1;
        slow_ = nullptr;
        favoured_ = nullptr;
        polling_.clear();
        start_after_ = nullptr;
        warp_ = schedule == Schedule::reversed ? &launch.warps[warps - 1] : launch.warps.data();
        lane_ = schedule == Schedule::reversed ? 0 : LANES - 1;
        draw(0);
        draw(1);
    }
    // A block takes the place of one that has ended; it may be the favoured block, or have the slow warp.
    void begin_block(Block& block, unsigned favoured_block, unsigned slow_warp) {
        if (favoured_ == &block) favoured_ = nullptr;
        if (slow_ && slow_->block == &block) slow_ = nullptr;
        if (schedule_ == Schedule::block_ahead && block.number == favoured_block) favoured_ = &block;
        const unsigned place = slow_warp - block.first_warp_number;
        if (schedule_ == Schedule::warp_behind && place < launch.warps_a_block) slow_ = &launch.warps[block.first_warp + place];
    }

    void wake(Warp& warp, unsigned lanes) {
        warp.ready |= lanes;
        if (&warp != slow_) ready_[index(warp) / 64] |= std::uint64_t(1) << index(warp) % 64;
    }
    void sleep(Warp& warp, unsigned lanes) {
        warp.ready &= ~lanes;
        if (warp.ready == 0) ready_[index(warp) / 64] &= ~(std::uint64_t(1) << index(warp) % 64);
    }
    // A thread that polls runs again when no other can.
    void defer(Thread& thread) {
        sleep(*thread.warp, thread.bit);
        polling_.push_back(&thread);
    }
    // The next choice starts after this block.
    void start_after(const Block& block) { start_after_ = &block; }

    // Null if no thread is runnable.
    Thread* pick() {
        Warp* warp = choose_warp();
        if (!warp) return pick_deferred();
        unsigned lane;
        if (schedule_ == Schedule::random) {
            lane = lane_from(*warp, turns_[0]);
            Thread* thread = at(warp, lane);
            look_ahead();
            return thread;
        }
        if (schedule_ == Schedule::reversed) {
            const unsigned before = warp == warp_ ? warp->ready & ((1u << lane_) - 1) : 0;
            lane = 31 - static_cast<unsigned>(__builtin_clz(before ? before : warp->ready));
        } else {
            const unsigned after = warp == warp_ ? warp->ready & ~((2u << lane_) - 1) : 0;
            lane = static_cast<unsigned>(__builtin_ctz(after ? after : warp->ready));
        }
        return at(warp, lane);
    }

    std::uint64_t random() {
        state_ ^= state_ << 13;
        state_ ^= state_ >> 7;
        state_ ^= state_ << 17;
        return state_ * 0x2545f4914f6cdd1du >> 32;
    }

private:
    static constexpr std::size_t NONE = ~std::size_t(0);
    static std::size_t index(const Warp& warp) { return static_cast<std::size_t>(&warp - launch.warps.data()); }

    Thread* at(Warp* warp, unsigned lane) {
        warp_ = warp;
        lane_ = lane;
        return warp->first + lane;
    }
    Thread* pick_deferred() {
        if (slow_ && slow_->ready) return at(slow_, static_cast<unsigned>(__builtin_ctz(slow_->ready)));
        constexpr unsigned long long MANY = 1u << 20;
        if (polling_.empty() || ++launch.idle > MANY) return nullptr;
        Thread* thread = polling_.front();
        polling_.erase(polling_.begin());
        wake(*thread->warp, thread->bit);
        return at(thread->warp, thread->lane);
    }

    bool ready(const Warp* warp) const { return warp->ready != 0 && warp != slow_; }

    Warp* choose_warp() {
        const std::size_t here = index(*warp_), first = warp_->block->first_warp, end = first + launch.warps_a_block;
        const Block* left = start_after_;
        start_after_ = nullptr;
        if (schedule_ == Schedule::random) {
            return found(up(froms_[0], warps_), up(0, froms_[0]));
        }
        if (schedule_ == Schedule::block_ahead && favoured_) {
            const std::size_t a = favoured_->first_warp, b = a + launch.warps_a_block;
            if (warp_->block == favoured_ && ready(warp_)) return warp_;
            if (Warp* warp = warp_->block == favoured_ ? found(up(here + 1, b), up(a, here)) : found(up(a, b), NONE))
                return warp;
        }
        if (schedule_ == Schedule::reversed) {
            if (left) return found(down(0, first), down(first, warps_));
            if (ready(warp_)) return warp_;
            if (Warp* warp = found(down(first, here), down(here + 1, end))) return warp;
            return found(down(0, first), down(end, warps_));
        }
        if (left) return found(up(end, warps_), up(0, end));
        if (ready(warp_)) return warp_;
        if (Warp* warp = found(up(here + 1, end), up(first, here))) return warp;
        return found(up(end, warps_), up(0, first));
    }
    // Random numbers are drawn two choices ahead, so that the likely next threads, which are no longer in the caches, can be
    // prefetched. A prediction that turns out wrong does no harm.
    void look_ahead() {
        froms_[0] = froms_[1];
        turns_[0] = turns_[1];
        draw(1);
        if (const Thread* soon = likely(1)) __builtin_prefetch(soon);
        if (const Thread* next = likely(0)) {
            __builtin_prefetch(next->stack_pointer);
            __builtin_prefetch(static_cast<const char*>(next->stack_pointer) + 64);
            if (next->stack) __builtin_prefetch(next->stack + STACK_BYTES);  // the canary
        }
    }
    void draw(int place) {
        froms_[place] = random() % warps_;
        turns_[place] = random() % LANES;
    }
    const Thread* likely(int place) const {
        const Warp* warp = found(up(froms_[place], warps_), up(0, froms_[place]));
        return warp ? warp->first + lane_from(*warp, turns_[place]) : nullptr;
    }
    static unsigned lane_from(const Warp& warp, unsigned turn) {
        const unsigned turned = warp.ready >> turn | (turn ? warp.ready << (LANES - turn) : 0);
        return (static_cast<unsigned>(__builtin_ctz(turned)) + turn) % LANES;
    }
    static Warp* found(std::size_t one, std::size_t other) {
        const std::size_t at = one != NONE ? one : other;
        return at == NONE ? nullptr : &launch.warps[at];
    }
    // The first, or the last, warp in [from, to) with a runnable thread.
    std::size_t up(std::size_t from, std::size_t to) const {
        while (from < to) {
            const std::uint64_t rest = ready_[from / 64] >> from % 64;
            if (rest) {
                from += static_cast<std::size_t>(__builtin_ctzll(rest));
                return from < to ? from : NONE;
            }
            from = (from / 64 + 1) * 64;
        }
        return NONE;
    }
    std::size_t down(std::size_t from, std::size_t to) const {
        while (to > from) {
            const std::uint64_t rest = ready_[(to - 1) / 64] << (63 - (to - 1) % 64);
            if (rest) {
                to -= static_cast<std::size_t>(__builtin_clzll(rest));
                return to > from ? to - 1 : NONE;
            }
            to = (to - 1) / 64 * 64;
        }
        return NONE;
    }

    std::vector<std::uint64_t> ready_;
    std::vector<Thread*> polling_;
    std::size_t warps_ = 0;
    Schedule schedule_ = Schedule::in_order;
    std::uint64_t state_ = 1;
    std::size_t froms_[2] = {};  // of the next random choices: the first warp, and the first lane, to try
    unsigned turns_[2] = {};
    Warp* slow_ = nullptr;
    Block* favoured_ = nullptr;
    const Block* start_after_ = nullptr;
    Warp* warp_ = nullptr;  // the last choice
    unsigned lane_ = 0;
};

inline Scheduler scheduler;

}  // namespace emulator
