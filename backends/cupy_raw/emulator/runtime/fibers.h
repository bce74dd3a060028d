// Fibers: stacks from one pool, and the switch from one to another.
//
// A launch may have tens of thousands of fibers, more than a process may have mappings, so there is no guard page for each
// stack. Instead a canary word is placed between a stack and the one above it, and checked before a fiber is resumed and when
// it ends. A stack pointer that is too low is found at the next switch.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <vector>

namespace emulator {

constexpr std::size_t CACHE_LINE = 64;
// An odd number of cache lines, so that the tops of the stacks do not all fall into one set of the cache.
constexpr std::size_t STACK_BYTES = 717 * CACHE_LINE;
constexpr std::size_t STACK_RESERVE = 4096;  // for the runtime itself
constexpr std::size_t STACKS_AT_ONCE = 256;
constexpr std::size_t STACKS_KEPT = 8192;
constexpr std::uint64_t CANARY = 0x5ca1ab1e0ddba115u;

inline std::uint64_t& canary_below(char* stack) { return *reinterpret_cast<std::uint64_t*>(stack); }
inline std::uint64_t& canary_above(char* stack) { return *reinterpret_cast<std::uint64_t*>(stack + STACK_BYTES); }

inline void* map_pages(std::size_t bytes) {
    void* pages = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (pages == MAP_FAILED) abort();
    return pages;
}

class StackPool {
public:
    char* acquire() {
        if (free_.empty()) grow();
        char* stack = free_.back();
        free_.pop_back();
        return stack;
    }
    void release(char* stack) { free_.push_back(stack); }

    // Frees every stack, also those of a launch that was aborted; unmaps those above STACKS_KEPT.
    void reset() {
        const std::size_t keep = STACKS_KEPT / STACKS_AT_ONCE;
        if (free_.size() == chunks_.size() * STACKS_AT_ONCE && chunks_.size() <= keep) return;
        while (chunks_.size() > keep) {
            munmap(chunks_.back(), chunk_bytes());
            chunks_.pop_back();
        }
        free_.clear();
        for (std::size_t i = chunks_.size(); i-- > 0;) add(chunks_[i]);
    }

private:
    static std::size_t page() { return static_cast<std::size_t>(sysconf(_SC_PAGESIZE)); }
    // The lowest stack is never used, so that an overflow of the one above it is found like any other, not by the guard page.
    static std::size_t chunk_bytes() {
        return (page() + (STACKS_AT_ONCE + 1) * STACK_BYTES + CACHE_LINE + page() - 1) / page() * page();
    }

    void grow() {
        char* chunk = static_cast<char*>(map_pages(chunk_bytes()));
#ifdef MADV_NOHUGEPAGE
        madvise(chunk, chunk_bytes(), MADV_NOHUGEPAGE);  // a fiber touches a page or two of its stack
#endif
        mprotect(chunk, page(), PROT_NONE);
        chunks_.push_back(chunk);
        add(chunk);
    }
    void add(char* chunk) {
        char* first = chunk + page() + STACK_BYTES;
        for (std::size_t i = STACKS_AT_ONCE; i-- > 0;) {
            char* stack = first + i * STACK_BYTES;
            canary_below(stack) = canary_above(stack) = CANARY;
            free_.push_back(stack);
        }
    }

    std::vector<char*> chunks_, free_;
};

}  // namespace emulator

#if defined(__APPLE__)
#define EMULATOR_SYMBOL(name) "_" name
#define EMULATOR_HIDDEN(name) ".private_extern _" name "\n"
#else
#define EMULATOR_SYMBOL(name) name
#define EMULATOR_HIDDEN(name) ".hidden " name "\n"
#endif

#if defined(__x86_64__) || defined(__aarch64__)
// Saves the callee-saved registers (System V AMD64; AAPCS64), stores the stack pointer in *from, continues on the stack `to`.
extern "C" __attribute__((visibility("hidden"))) void emulator_switch(void** from, void* to);
#if defined(__x86_64__)
__asm__(".text\n.globl " EMULATOR_SYMBOL("emulator_switch") "\n" EMULATOR_HIDDEN("emulator_switch")
        EMULATOR_SYMBOL("emulator_switch") ":\n"
        "    pushq %rbp\n"
        "    pushq %rbx\n"
        "    pushq %r12\n"
        "    pushq %r13\n"
        "    pushq %r14\n"
        "    pushq %r15\n"
        "    movq %rsp, (%rdi)\n"
        "    movq %rsi, %rsp\n"
        "    popq %r15\n"
        "    popq %r14\n"
        "    popq %r13\n"
        "    popq %r12\n"
        "    popq %rbx\n"
        "    popq %rbp\n"
        "    popq %rcx\n"
        "    jmpq *%rcx\n");
constexpr int SAVED_WORDS = 6;        // below the return address
constexpr int ALIGNED = SAVED_WORDS;  // the word that must be 16-byte aligned, as at the start of a called function
#else
__asm__(".text\n.globl " EMULATOR_SYMBOL("emulator_switch") "\n" EMULATOR_HIDDEN("emulator_switch")
        EMULATOR_SYMBOL("emulator_switch") ":\n"
        "    sub sp, sp, #160\n"
        "    stp d8, d9, [sp, #0]\n"
        "    stp d10, d11, [sp, #16]\n"
        "    stp d12, d13, [sp, #32]\n"
        "    stp d14, d15, [sp, #48]\n"
        "    stp x19, x20, [sp, #64]\n"
        "    stp x21, x22, [sp, #80]\n"
        "    stp x23, x24, [sp, #96]\n"
        "    stp x25, x26, [sp, #112]\n"
        "    stp x27, x28, [sp, #128]\n"
        "    stp x29, x30, [sp, #144]\n"
        "    mov x9, sp\n"
        "    str x9, [x0]\n"
        "    mov sp, x1\n"
        "    ldp d8, d9, [sp, #0]\n"
        "    ldp d10, d11, [sp, #16]\n"
        "    ldp d12, d13, [sp, #32]\n"
        "    ldp d14, d15, [sp, #48]\n"
        "    ldp x19, x20, [sp, #64]\n"
        "    ldp x21, x22, [sp, #80]\n"
        "    ldp x23, x24, [sp, #96]\n"
        "    ldp x25, x26, [sp, #112]\n"
        "    ldp x27, x28, [sp, #128]\n"
        "    ldp x29, x30, [sp, #144]\n"
        "    add sp, sp, #160\n"
        "    ret\n");
constexpr int SAVED_WORDS = 19;
constexpr int ALIGNED = 0;
#endif

namespace emulator {
// A stack pointer from which emulator_switch begins `entry`.
inline void* fresh_stack_pointer(char* stack, void (*entry)()) {
    const auto top = reinterpret_cast<std::uintptr_t>(stack + STACK_BYTES) / 16 * 16;
    auto* words = reinterpret_cast<std::uintptr_t*>(top) - 4 - SAVED_WORDS;
    if (reinterpret_cast<std::uintptr_t>(words + ALIGNED) % 16 != 0) --words;
    for (int i = 0; i < SAVED_WORDS; ++i) words[i] = 0;
    words[SAVED_WORDS] = reinterpret_cast<std::uintptr_t>(entry);
    words[SAVED_WORDS + 1] = 0;
    return words;
}
}  // namespace emulator
#else
// Any other processor: ucontext, which is slower. A "stack pointer" is then a context, stored at the top of the stack.
#include <ucontext.h>

inline void emulator_switch(void** from, void* to) {
    ucontext_t here;
    *from = &here;
    swapcontext(&here, static_cast<ucontext_t*>(to));
}
namespace emulator {
inline void* fresh_stack_pointer(char* stack, void (*entry)()) {
    const std::size_t room = (sizeof(ucontext_t) + 2 * CACHE_LINE) / CACHE_LINE * CACHE_LINE;
    auto* context = reinterpret_cast<ucontext_t*>(reinterpret_cast<std::uintptr_t>(stack + STACK_BYTES - room) / 16 * 16);
    getcontext(context);
    context->uc_stack.ss_sp = stack + CACHE_LINE;
    context->uc_stack.ss_size = static_cast<std::size_t>(reinterpret_cast<char*>(context) - stack) - CACHE_LINE;
    context->uc_link = nullptr;
    makecontext(context, entry, 0);
    return context;
}
}  // namespace emulator
#endif
