// What is found wrong in a launch. The same at the same lines is counted, not repeated.
#pragma once

#include <cstdarg>
#include <cstdio>

#include "state.h"

namespace emulator {

enum class OtherAccess : int { none, read, write };

// Who did something, where and when.
struct Deed {
    Site site;
    Index block;
    int thread;
    int step;
};

struct Finding {
    char kind[24];
    char message[640];
    Deed deed;
    Deed other;
    OtherAccess access;
    unsigned long long count;
};

constexpr std::size_t MOST_FINDINGS = 20;
inline std::vector<Finding> findings;

inline Deed deed_of(const Thread& thread, Site site) { return {site, thread.block->place, int(thread.number), thread.step}; }

inline bool same_place(const Site& a, const Site& b) {
    return a.line == b.line && (a.file == b.file || (a.file && b.file && std::strcmp(a.file, b.file) == 0));
}

// Whether the same was found before, which is then counted, or nothing more is to be told: spares the caller the words.
inline bool counted(const char* kind, Site site, Site other) {
    for (Finding& old : findings) {
        if (std::strcmp(old.kind, kind) == 0 && same_place(old.deed.site, site) && same_place(old.other.site, other)) {
            ++old.count;
            return true;
        }
    }
    return findings.size() >= MOST_FINDINGS;
}

inline void report(const char* kind, const Deed& deed, const Deed& other, OtherAccess access, const std::string& message) {
    if (counted(kind, deed.site, other.site)) return;
    Finding finding{};
    std::snprintf(finding.kind, sizeof finding.kind, "%s", kind);
    std::snprintf(finding.message, sizeof finding.message, "%s", message.c_str());
    finding.deed = deed;
    finding.other = other;
    finding.access = access;
    finding.count = 1;
    findings.push_back(finding);
}
constexpr Site NOWHERE{nullptr, 0};
constexpr Deed NOBODY{NOWHERE, {0, 0, 0}, -1, -1};

inline void report(const char* kind, const Thread& thread, Site site, const std::string& message) {
    report(kind, deed_of(thread, site), NOBODY, OtherAccess::none, message);
}

__attribute__((format(printf, 1, 2))) inline std::string text(const char* format, ...) {
    char words[512];
    va_list arguments;
    va_start(arguments, format);
    std::vsnprintf(words, sizeof words, format, arguments);
    va_end(arguments);
    return words;
}

inline const char* base_name(const char* path) {
    const char* slash = path ? std::strrchr(path, '/') : nullptr;
    return slash ? slash + 1 : path ? path : "?";
}
inline std::string name_of(const Thread& thread) {
    const Index& b = thread.block->place;
    return text("thread %u of block (%u, %u, %u)", thread.number, b.x, b.y, b.z);
}
inline std::string name_of(Site site) { return text("%s:%d", base_name(site.file), site.line); }

// Leaves the launch for good. Fibers are simply forgotten; what their stacks own, which is the words of a finding, is lost.
[[noreturn]] void abandon();

[[noreturn]] inline void fatal(const char* kind, const Thread& thread, Site site, const std::string& message) {
    report(kind, thread, site, message);
    abandon();
}

}  // namespace emulator
