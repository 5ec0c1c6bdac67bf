// Scratch of a call: memory that the calling thread keeps for its next call.
//
// Stacks may be small (threads of servers, musl), and what the heap gives beyond a few kilobytes it may
// have to ask the system for again and again. So a thread keeps one small block until it ends; calls
// that need more get it from the heap, and are long enough not to notice.
#pragma once

#include <cstddef>
#include <cstdlib>

namespace fastce {

constexpr ptrdiff_t kMostKept = 128 << 10;  // bytes

struct kept_scratch {
    char* memory = nullptr;
    ptrdiff_t bytes = 0;
    ~kept_scratch() { free(memory); }
};

inline thread_local kept_scratch kept;

// So many bytes, or NULL if there are none. A thread gives them back before it takes any again.
inline char* take_scratch(ptrdiff_t bytes) {
    if (bytes > kMostKept) return static_cast<char*>(malloc(size_t(bytes)));
    if (bytes > kept.bytes) {
        constexpr ptrdiff_t step = 16 << 10;
        const ptrdiff_t enough = (bytes + step - 1) / step * step;
        free(kept.memory);
        kept.memory = static_cast<char*>(malloc(size_t(enough)));
        kept.bytes = kept.memory ? enough : 0;
    }
    return kept.memory;
}

inline void release_scratch(char* memory) {
    if (memory != kept.memory) free(memory);
}

}  // namespace fastce
