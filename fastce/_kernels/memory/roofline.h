// The memory limit, for benchmarks.
#pragma once

#include "memory/stream.h"

namespace fastce {

// Reads every byte once; returns a checksum, since what nobody uses would not be read.
inline int64_t sweep_bytes(const char* p, ptrdiff_t n) {
    typename vec<double>::bits a{}, b{};
    constexpr ptrdiff_t step = 2 * sizeof a;
    ptrdiff_t i = 0;
    for (; i + step <= n; i += step) {
        typename vec<double>::bits x, y;
        for (ptrdiff_t k = 0; k < step; k += kLine) prefetch_ahead(p + i + k);
        memcpy(&x, p + i, sizeof x);
        memcpy(&y, p + i + sizeof x, sizeof y);
        a ^= x;
        b ^= y;
    }
    int64_t total = 0;
    a ^= b;
    for (unsigned k = 0; k < sizeof a / 8; ++k) total ^= int64_t(a[k]);
    for (; i < n; ++i) total ^= p[i];
    return total;
}

// Reads every byte, and writes it past the caches.
inline void copy_bytes(const char* from, char* to, ptrdiff_t n) {
    ptrdiff_t i = 0;
    if (reinterpret_cast<uintptr_t>(to) % kLine == 0) {
        alignas(kLine) char line[kLine];
        for (; i + kLine <= n; i += kLine) {
            prefetch_ahead(from + i);
            memcpy(line, from + i, kLine);
            stream_line(to + i, line);
        }
    }
    memcpy(to + i, from + i, size_t(n - i));
    end_streams();
}

}  // namespace fastce
