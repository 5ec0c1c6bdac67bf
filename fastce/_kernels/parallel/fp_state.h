// What a call finds in the threads it runs in, and must leave as it was.
#pragma once

#include "simd/vector.h"

#include <cstdint>

#ifdef _OPENMP
#include <omp.h>
#if defined(__GNUC__) && !defined(__clang__)
// Weak: the runtime of a g++ older than 9 does not have it.
extern "C" int omp_pause_resource_all(omp_pause_resource_t) noexcept __attribute__((weak));
#endif
#endif

namespace fastce {

#ifdef _OPENMP
constexpr int kOpenMP = _OPENMP;

inline int most_threads() {
    const int threads = omp_get_max_threads(), limit = omp_get_thread_limit();
    return threads < limit ? threads : limit;
}
#else
constexpr int kOpenMP = 0;

inline int most_threads() { return 1; }
#endif

// GNU OpenMP keeps the threads that it has started, for each thread that started some. A forked child
// has the list of them without the threads, and waits for them forever where it uses OpenMP or where
// the thread that forked ends. LLVM's looks after forks itself, except that it crashes where a thread other
// than the first has forked and ends in the child, in any program; nothing here can help that.
inline void end_threads() {
#if defined(_OPENMP) && defined(__GNUC__) && !defined(__clang__)
    if (omp_pause_resource_all) omp_pause_resource_all(omp_pause_soft);
#endif
}

// A new thread inherits rounding and the treatment of subnormal numbers from the thread that starts
// it, and OpenMP keeps threads for later calls: results would depend on what some caller had set once.
// So every block is computed in the state in which programs begin, and the thread gets back what it
// had, status flags included.
inline uint64_t plain_arithmetic() { return set_ieee_state(); }
inline void give_back(uint64_t caller) { restore_state(caller); }

}  // namespace fastce
