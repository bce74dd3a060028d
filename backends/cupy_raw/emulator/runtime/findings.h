// The findings of a launch. The same kind at the same lines is counted, not repeated.
#pragma once

#include <cstdarg>
#include <cstdio>

#include "state.h"

namespace emulator {

enum class OtherKind : int { none, read, write };

// One operation of a thread: an access to memory, or whatever else a finding is about.
struct Access {
    Site site;
    Index block;
    int thread;
    int step;
};

struct Finding {
    char kind[24];
    char message[640];
    Access access;
    Access other;  // the earlier access, for a race and for a copy in flight
    OtherKind other_kind;
    unsigned long long count;
};

constexpr std::size_t MAX_FINDINGS = 20;
inline std::vector<Finding> findings;

inline Access access_of(const Thread& thread, Site site) {
    return {site, thread.block->index, int(thread.number), thread.step};
}

inline bool same_site(const Site& a, const Site& b) {
    return a.line == b.line && (a.file == b.file || (a.file && b.file && std::strcmp(a.file, b.file) == 0));
}

// Whether the same was found before, and is then counted, or the list is full: the caller need not make a message.
inline bool already_reported(const char* kind, Site site, Site other) {
    for (Finding& old : findings) {
        if (std::strcmp(old.kind, kind) == 0 && same_site(old.access.site, site) && same_site(old.other.site, other)) {
            ++old.count;
            return true;
        }
    }
    return findings.size() >= MAX_FINDINGS;
}

inline void report(const char* kind, const Access& access, const Access& other, OtherKind other_kind,
                   const std::string& message) {
    if (already_reported(kind, access.site, other.site)) return;
    Finding finding{};
    std::snprintf(finding.kind, sizeof finding.kind, "%s", kind);
    std::snprintf(finding.message, sizeof finding.message, "%s", message.c_str());
    finding.access = access;
    finding.other = other;
    finding.other_kind = other_kind;
    finding.count = 1;
    findings.push_back(finding);
}
constexpr Site NO_SITE{nullptr, 0};
constexpr Access NO_ACCESS{NO_SITE, {0, 0, 0}, -1, -1};

inline void report(const char* kind, const Thread& thread, Site site, const std::string& message) {
    report(kind, access_of(thread, site), NO_ACCESS, OtherKind::none, message);
}

__attribute__((format(printf, 1, 2))) inline std::string text(const char* format, ...) {
    char buffer[512];
    va_list arguments;
    va_start(arguments, format);
    std::vsnprintf(buffer, sizeof buffer, format, arguments);
    va_end(arguments);
    return buffer;
}

inline const char* base_name(const char* path) {
    const char* slash = path ? std::strrchr(path, '/') : nullptr;
    return slash ? slash + 1 : path ? path : "?";
}
inline std::string name_of(const Thread& thread) {
    const Index& b = thread.block->index;
    return text("thread %u of block (%u, %u, %u)", thread.number, b.x, b.y, b.z);
}
inline std::string name_of(Site site) { return text("%s:%d", base_name(site.file), site.line); }

// Ends the launch. Its fibers are never resumed, so what their stacks own, the strings of a message, is leaked.
[[noreturn]] void abort_launch();

[[noreturn]] inline void fatal(const char* kind, const Thread& thread, Site site, const std::string& message) {
    report(kind, thread, site, message);
    abort_launch();
}

}  // namespace emulator
