// A writer of one long run of memory, whole cache lines at a time and past the caches.
//
// Design. A large gradient is not read again soon, so its lines should neither be fetched before they
// are written nor push the logits out of the caches. Non-temporal stores do that, but only for whole,
// aligned lines. So results are written to a small stage in the first-level cache, and every full line
// is streamed from there; what is left of a line waits for the next results. Where lines should stay in
// the caches (small outputs, outputs over their own input) the writer is direct: it reserves the memory itself.
#pragma once

#include "simd/vector.h"

namespace fastce {

constexpr ptrdiff_t kLine = 64;

struct StreamWriter {
    char* out;         // where stage[0] belongs; a line's beginning unless direct
    char* stage;       // at a line's beginning, with room for what is reserved at a time and two lines
    ptrdiff_t filled;  // bytes in the stage, `before` included
    ptrdiff_t sent;    // bytes of them, whole lines, that have been written
    ptrdiff_t before;  // bytes of the first line that lie before the run and must not be touched
    bool direct;
};

FASTCE_INLINE StreamWriter stream_writer(char* stage, bool direct) {
    return StreamWriter{nullptr, stage, 0, 0, 0, direct};
}

// Writes full lines of the stage, so many at most.
FASTCE_INLINE void send_lines(StreamWriter& w, ptrdiff_t most) {
    if (w.direct) return;
    const ptrdiff_t whole = w.filled & -kLine, end = whole - w.sent > most * kLine ? w.sent + most * kLine : whole;
    if (w.before && end > 0) {
        memcpy(w.out + w.before, w.stage + w.before, size_t(kLine - w.before));
        w.before = 0;
        w.sent = kLine;
    }
    for (; w.sent < end; w.sent += kLine) stream_line(w.out + w.sent, w.stage + w.sent);
}

// Writes all full lines; what is left of a line moves to the stage's beginning.
FASTCE_INLINE void send_all(StreamWriter& w) {
    send_lines(w, w.filled / kLine);
    if (w.sent) {
        memcpy(w.stage, w.stage + w.sent, kLine);
        w.out += w.sent;
        w.filled -= w.sent;
        w.sent = 0;
    }
}

// Ends the run: what is left in the stage is written by ordinary stores.
FASTCE_INLINE void flush(StreamWriter& w) {
    if (w.direct) return;
    send_all(w);
    if (w.filled > w.before) memcpy(w.out + w.before, w.stage + w.before, size_t(w.filled - w.before));
    w.filled = w.before = 0;
}

// Ends all runs: other threads see what was written.
inline void finish(StreamWriter& w) {
    flush(w);
    if (!w.direct) end_streams();
}

// Begins, or goes on with, a run at p.
inline void seek(StreamWriter& w, char* p) {
    if (w.direct) {
        w.out = p;
    } else if (p != w.out + w.filled) {
        flush(w);
        w.before = w.filled = ptrdiff_t(reinterpret_cast<uintptr_t>(p) % kLine);
        w.out = p - w.before;
    }
}

// Where the next bytes of the run are to be written.
FASTCE_INLINE char* reserve(const StreamWriter& w) { return w.direct ? w.out : w.stage + w.filled; }

// Says that n more bytes are where reserve() told. Full lines leave the stage; with commit_later, when they are sent.
FASTCE_INLINE void commit_later(StreamWriter& w, ptrdiff_t n) {
    if (w.direct) w.out += n;
    else w.filled += n;
}
FASTCE_INLINE void commit(StreamWriter& w, ptrdiff_t n) {
    commit_later(w, n);
    send_all(w);
}

// How many bytes are missing to the end of a line; from there on whole lines may be written by stream(). A direct writer
// needs no lines, but where a vector is as long as one, stores that cross lines take twice the time.
FASTCE_INLINE ptrdiff_t line_gap(const StreamWriter& w) {
    constexpr bool aligns = sizeof(vec<double>) == kLine;
    return -(!w.direct ? w.filled : aligns ? reinterpret_cast<intptr_t>(w.out) : 0) & (kLine - 1);
}

// One whole vector past the caches, to memory as aligned as the vector is long.
template <class T> FASTCE_INLINE void stream(T* p, vec<T> v) { stream_all(p, v.v); }

// Says that n bytes, whole lines, have been written by stream().
FASTCE_INLINE void commit_streamed(StreamWriter& w, ptrdiff_t n) { w.out += n; }

}  // namespace fastce
