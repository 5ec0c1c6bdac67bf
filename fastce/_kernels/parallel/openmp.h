// The OpenMP runtime: how many threads there are, and that a forked child finds none.
#pragma once

#include <cstdlib>
#include <initializer_list>

#ifdef _OPENMP
#include <omp.h>
#include <pthread.h>
#if defined(__linux__)
#include <sched.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#endif
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

// How many threads the calling thread has gathered, itself included; and for how many calls it goes on
// with them after more could not be started.
inline thread_local int gathered = 1, calls_before_trial = 0;

struct trial_thread {
    pthread_t handle;
    pthread_mutex_t* gate;
    long id;
};

inline void* wait_at_gate(void* given) {
    trial_thread* self = static_cast<trial_thread*>(given);
#if defined(__linux__)
    self->id = syscall(SYS_gettid);
#endif
    pthread_mutex_lock(self->gate);
    pthread_mutex_unlock(self->gate);
    return nullptr;
}

// The system counts a thread for a moment after it has been joined, and would refuse another one.
inline void wait_until_gone(const trial_thread& thread) {
#if defined(__linux__)
    for (int tries = 0; tries < 300 && syscall(SYS_tgkill, getpid(), thread.id, 0) == 0; ++tries) {
        const timespec moment = {0, 50000};
        if (tries < 100) sched_yield();
        else nanosleep(&moment, nullptr);
    }
#else
    (void)thread;
#endif
}

// Starts up to `wanted` threads that wait for each other, and ends them; returns how many there were.
inline int start_on_trial(int wanted) {
    trial_thread* threads = static_cast<trial_thread*>(malloc(size_t(wanted) * sizeof(trial_thread)));
    if (!threads) return 0;
    pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
    int started = 0;
    pthread_mutex_lock(&gate);
    for (; started < wanted; ++started) {
        threads[started].gate = &gate;
        if (pthread_create(&threads[started].handle, nullptr, wait_at_gate, threads + started)) break;
    }
    pthread_mutex_unlock(&gate);
    for (int i = 0; i < started; ++i) pthread_join(threads[i].handle, nullptr);
    for (int i = 0; i < started; ++i) wait_until_gone(threads[i]);
    free(threads);
    return started;
}

// Whether the environment gives the runtimes' threads less stack than a kernel takes (their unit is kilobytes).
constexpr double kLeastStack = 64 * 1024;
inline bool threads_lack_stack() {
    static const bool lack = [] {
        for (const char* name : {"OMP_STACKSIZE", "GOMP_STACKSIZE", "KMP_STACKSIZE"}) {
            const char* given = getenv(name);
            char* unit = nullptr;
            double size = given ? strtod(given, &unit) : 0;
            if (unit == given) continue;
            while (*unit == ' ') ++unit;
            const char u = char(*unit | ' ');  // in lower case
            size *= u == 'b' ? 1 : u == 'm' ? 1048576 : u == 'g' ? 1073741824 : 1024;
            if (size < kLeastStack) return true;
        }
        return false;
    }();
    return lack;
}

// Of `wanted` threads as many as there are, the calling one included. The runtimes end the whole
// process where they cannot start a thread; so before a team that is larger than the last one, the
// threads that it takes are started on trial. GNU's runtime has ended those that the last one did not need.
inline int threads_to_be_had(int wanted) {
    if (threads_lack_stack()) return 1;
    if (wanted > omp_get_thread_limit()) wanted = omp_get_thread_limit();
    if (wanted > gathered) {
        const int missing = wanted - gathered;
        if (calls_before_trial > 0) {
            --calls_before_trial;
            wanted = gathered;
        } else {
            wanted = gathered + start_on_trial(missing);
            if (wanted < gathered + missing) calls_before_trial = 100;
        }
    }
    return gathered = wanted;
}
#else
constexpr int kOpenMP = 0;

inline int most_threads() { return 1; }
inline int threads_to_be_had(int) { return 1; }
#endif

// GNU OpenMP keeps the threads that it has started, for each thread that started some. A forked child
// has the list of them without the threads, and waits for them forever where it uses OpenMP or where
// the thread that forked ends. LLVM's looks after forks itself, except that it crashes where a thread other
// than the first has forked and ends in the child, in any program; nothing here can help that.
inline void end_threads() {
#if defined(_OPENMP)
#if defined(__GNUC__) && !defined(__clang__)
    if (omp_pause_resource_all) omp_pause_resource_all(omp_pause_soft);
#endif
    gathered = 1;
    calls_before_trial = 0;
#endif
}

}  // namespace fastce
