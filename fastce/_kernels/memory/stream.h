// A writer of one long run of memory, whole cache lines at a time and past the caches.
//
// Design. A large gradient is not read again soon, so its lines should neither be fetched before they
// are written nor push the logits out of the caches. Non-temporal stores do that, but only for whole,
// aligned lines. So results are written to a small stage in the first-level cache, and every full line
// goes out from there; what is left of a line waits for the next results. Where lines should stay in
// the caches (small outputs, outputs over their own input) the writer hands out the memory itself.
#pragma once

#include "simd/vector.h"

namespace fastce {

constexpr ptrdiff_t kLine = 64;

struct writer {
    char* out;         // where stage[0] belongs; a line's beginning unless direct
    char* stage;       // at a line's beginning, with room for what is asked for at a time and two lines
    ptrdiff_t filled;  // bytes in the stage, `before` included
    ptrdiff_t before;  // bytes of the first line that lie before the run and must not be touched
    bool direct;
};

FASTCE_INLINE writer write_through(char* stage, bool direct) {
    return writer{nullptr, stage, 0, 0, direct};
}

// Ends the run: what is left in the stage goes out by ordinary stores.
FASTCE_INLINE void flush(writer& w) {
    if (!w.direct && w.filled > w.before) {
        memcpy(w.out + w.before, w.stage + w.before, size_t(w.filled - w.before));
        w.filled = w.before = 0;
    }
}

// Ends all runs: what was written is there for other threads to see.
inline void finish(writer& w) {
    flush(w);
#if defined(__SSE2__)
    if (!w.direct) _mm_sfence();
#endif
}

// Begins, or goes on with, a run at p.
inline void seek(writer& w, char* p) {
    if (w.direct) {
        w.out = p;
    } else if (p != w.out + w.filled) {
        flush(w);
        w.before = w.filled = ptrdiff_t(reinterpret_cast<uintptr_t>(p) % kLine);
        w.out = p - w.before;
    }
}

// Where the next bytes of the run are to be written.
FASTCE_INLINE char* room(const writer& w) { return w.direct ? w.out : w.stage + w.filled; }

FASTCE_INLINE void write_line(char* out, const char* stage) {
#if defined(__AVX512F__)
    _mm512_stream_si512((__m512i*)out, _mm512_load_si512(stage));
#elif defined(__AVX2__)
    for (int k = 0; k < kLine; k += 32)
        _mm256_stream_si256((__m256i*)(out + k), _mm256_load_si256((const __m256i*)(stage + k)));
#elif defined(__SSE2__)
    for (int k = 0; k < kLine; k += 16)
        _mm_stream_si128((__m128i*)(out + k), _mm_load_si128((const __m128i*)(stage + k)));
#else
    memcpy(out, stage, kLine);
#endif
}

// How many bytes are missing to the end of a line; from there on whole lines may go out without the stage.
FASTCE_INLINE ptrdiff_t line_gap(const writer& w) { return w.direct ? 0 : -w.filled & (kLine - 1); }

// One whole vector past the caches, to memory as aligned as the vector is long.
template <class T> FASTCE_INLINE void stream(T* p, vec<T> v) {
#if defined(__AVX512F__)
    if constexpr (sizeof(T) == 4) return _mm512_stream_ps((float*)p, __m512(v.v));
    if constexpr (sizeof(T) == 8) return _mm512_stream_pd((double*)p, __m512d(v.v));
    if constexpr (sizeof(T) == 2) {
        T part[vec<T>::lanes];
        store(part, v);
        return _mm256_stream_si256((__m256i*)p, _mm256_loadu_si256((const __m256i*)part));
    }
#elif defined(__AVX2__)
    if constexpr (sizeof(T) == 4) return _mm256_stream_ps((float*)p, __m256(v.v));
    if constexpr (sizeof(T) == 8) return _mm256_stream_pd((double*)p, __m256d(v.v));
    if constexpr (sizeof(T) == 2) {
        T part[vec<T>::lanes];
        store(part, v);
        return _mm_stream_si128((__m128i*)p, _mm_loadu_si128((const __m128i*)part));
    }
#endif
    store(p, v);
}

// Says that n bytes, whole lines, have gone out by stream().
FASTCE_INLINE void skip(writer& w, ptrdiff_t n) { w.out += n; }

// Says that n more bytes are in room(); full lines leave the stage.
FASTCE_INLINE void advance(writer& w, ptrdiff_t n) {
    if (w.direct) {
        w.out += n;
        return;
    }
    w.filled += n;
    ptrdiff_t done = 0;
    if (w.before && w.filled >= kLine) {
        memcpy(w.out + w.before, w.stage + w.before, size_t(kLine - w.before));
        w.before = 0;
        done = kLine;
    }
    for (; done + kLine <= w.filled; done += kLine) write_line(w.out + done, w.stage + done);
    if (done) {
        memcpy(w.stage, w.stage + done, kLine);
        w.out += done;
        w.filled -= done;
    }
}

}  // namespace fastce
