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

// What a thread keeps. It is found without a look at what has to be freed when the thread ends.
inline thread_local char* kept = nullptr;
inline thread_local ptrdiff_t kept_bytes = 0;

struct at_end_of_thread {
    ~at_end_of_thread() { free(kept); }
};

__attribute__((noinline)) inline void keep_more(ptrdiff_t bytes) {
    static thread_local at_end_of_thread freed;
    (void)freed;
    constexpr ptrdiff_t step = 16 << 10;
    bytes = (bytes + step - 1) / step * step;
    free(kept);
    kept = static_cast<char*>(malloc(size_t(bytes)));
    kept_bytes = kept ? bytes : 0;
}

// So many bytes, or NULL if there are none. A thread gives them back before it takes any again.
inline char* take_scratch(ptrdiff_t bytes) {
    if (bytes > kMostKept) return static_cast<char*>(malloc(size_t(bytes)));
    if (bytes > kept_bytes) keep_more(bytes);
    return kept;
}

inline void release_scratch(char* memory, ptrdiff_t bytes) {
    if (bytes > kMostKept) free(memory);
}

}  // namespace fastce
