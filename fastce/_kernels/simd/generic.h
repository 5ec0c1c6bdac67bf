// The primitives, in plain C++: all that the arithmetic of vectors has no word for.
//
// Design. Each is a template that serves every processor. The file of an instruction set says how long its vectors
// are and what they can do, includes this file, and overloads those primitives for which it has instructions: the
// compiler prefers an overload for the very type to a template. So an instruction set is one file, and it holds
// only what it does better. vector.h chooses the file.
#pragma once

#ifndef FASTCE_VECTOR_BYTES  // no file was chosen: vectors of 16 bytes, of which compilers know for every processor
#define FASTCE_VECTOR_BYTES 16
namespace fastce {
#ifdef __ARM_FEATURE_FMA
constexpr bool kHasFma = true;  // multiply_add, multiply_subtract
#else
constexpr bool kHasFma = false;
#endif
constexpr bool kHasPowerScale = false;  // scale_by_power, look_up
}  // namespace fastce
#endif

#include "simd/bits.h"

namespace fastce {

// ---------------------------------------------------------------- numbers

// The larger, or the smaller, of both; where one is NaN, b. Processors have one instruction for it, but compilers
// take two, for a comparison and a choice.
template <class V> FASTCE_INLINE V larger(V a, V b) { return a > b ? a : b; }
template <class V> FASTCE_INLINE V smaller(V a, V b) { return a < b ? a : b; }

// v with lane k replaced by that of the other; v itself where k is no lane of it.
template <class V> FASTCE_INLINE V replace_lane(V v, ptrdiff_t k, V other) {
    using lane = lane_in<V>;
    const int here = k >= 0 && k < lane_count<lane> ? int(k) : -1;
    return lane_numbers<lane>() == here ? other : v;
}

// Bit k is set where lane k of v is larger than that of the bound; for vectors of float.
template <class V> FASTCE_INLINE unsigned larger_lanes(V v, V bound) {
    const auto larger = v > bound;
    unsigned found = 0;
    for (int k = 0; k < lane_count<lane_in<V>>; ++k) found |= unsigned(larger[k] & 1) << k;
    return found;
}

// Whether any bit is set, of a vector seen as doubles.
template <class V> FASTCE_INLINE bool any_bit_of(V v) {
    uint64_t part[sizeof v / 8], found = 0;
    memcpy(part, &v, sizeof v);
    for (uint64_t p : part) found |= p;
    return found != 0;
}

// a b + c and a b - c, rounded once: to be used where kHasFma. By name, since compilers that may contract an
// expression do so or not from one place to the next, and the same element has the same bits wherever it is stored.
template <class V> FASTCE_INLINE V multiply_add(V a, V b, V c) {
    V r;
    for (int k = 0; k < lane_count<lane_in<V>>; ++k) {
        if constexpr (sizeof(lane_in<V>) == 4) r[k] = __builtin_fmaf(a[k], b[k], c[k]);
        else r[k] = __builtin_fma(a[k], b[k], c[k]);
    }
    return r;
}
template <class V> FASTCE_INLINE V multiply_subtract(V a, V b, V c) { return multiply_add(a, b, -c); }

// To be used where kHasPowerScale, and without a plain form: p 2^n, which saturates, and 0 where x is below the
// lowest; and the elements of a table of 16 numbers that the last four bits of each index tell.
template <class V> V scale_by_power(V p, V n, V x, lane_in<V> lowest);
template <class B> raw_double look_up(B index, const double* table);

// ---------------------------------------------------------------- memory

// A whole vector of lanes of what is stored as T.
template <class T> FASTCE_INLINE raw_t<T> load_all(const T* p) {
    raw_t<T> r;
    if constexpr (sizeof(T) == sizeof(lane_t<T>)) {
        memcpy(&r, p, sizeof r);
    } else {
        for (int k = 0; k < lane_count<T>; ++k) r[k] = widen(p[k]);
    }
    return r;
}
template <class T> FASTCE_INLINE void store_all(T* p, raw_t<T> x) {
    if constexpr (sizeof(T) == sizeof(lane_t<T>)) {
        memcpy(p, &x, sizeof x);
    } else {
        for (int k = 0; k < lane_count<T>; ++k) p[k] = narrow<T>(x[k]);
    }
}

// The first n lanes, fewer than all: no other memory is touched, and the other lanes hold `fill`.
template <class T> FASTCE_INLINE raw_t<T> load_first(const T* p, ptrdiff_t n, double fill) {
    raw_t<T> r = lane_t<T>(fill) - raw_t<T>{};
    for (int k = 0; k < n; ++k) reinterpret_cast<lane_t<T>*>(&r)[k] = widen(p[k]);
    return r;
}
template <class T> FASTCE_INLINE void store_first(T* p, raw_t<T> x, ptrdiff_t n) {
    for (int k = 0; k < n; ++k) p[k] = narrow<T>(reinterpret_cast<lane_t<T>*>(&x)[k]);
}

// A whole vector past the caches, to memory as aligned as the vector is long; a whole cache line, both sides
// aligned; and the end of such stores, after which other threads see them.
template <class T> FASTCE_INLINE void stream_all(T* p, raw_t<T> x) { store_all(p, x); }
// Two vectors one after the other, none of whose lanes is NaN: as they are stored one by one, or past the caches.
template <class T> FASTCE_INLINE void store_two(T* p, raw_t<T> a, raw_t<T> b) {
    store_all(p, a);
    store_all(p + lane_count<T>, b);
}
template <class T> FASTCE_INLINE void stream_two(T* p, raw_t<T> a, raw_t<T> b) {
    stream_all(p, a);
    stream_all(p + lane_count<T>, b);
}
template <class C> FASTCE_INLINE void stream_line(C* to, const C* from) { memcpy(to, from, 64); }
template <class = void> FASTCE_INLINE void end_streams() {
#ifdef __SSE2__
    __builtin_ia32_sfence();
#endif
}

// What was loaded, in a register from here on: compilers may load again what they use twice.
template <class V> FASTCE_INLINE V loaded_once(V v) { return v; }

// ---------------------------------------------------------------- from lane to lane

// The lower, or the upper, half of the lanes of floats as doubles.
template <class V> FASTCE_INLINE raw_double widen_low(V v) {
    raw_double r;
    for (int k = 0; k < lane_count<double>; ++k) r[k] = v[k];
    return r;
}
template <class V> FASTCE_INLINE raw_double widen_high(V v) {
    raw_double r;
    for (int k = 0; k < lane_count<double>; ++k) r[k] = v[lane_count<double> + k];
    return r;
}

// Two vectors of doubles as one of floats.
template <class V> FASTCE_INLINE raw_float narrow_both(V low, V high) {
    raw_float r;
    for (int k = 0; k < lane_count<double>; ++k) r[k] = float(low[k]), r[lane_count<double> + k] = float(high[k]);
    return r;
}

// As many floats, or doubles, of memory as a vector has doubles.
template <class T> FASTCE_INLINE raw_double load_widened(const T* p) {
    if constexpr (sizeof(T) == 8) return load_all(p);
    raw_double r;
    for (int k = 0; k < lane_count<double>; ++k) r[k] = p[k];
    return r;
}
template <class T> FASTCE_INLINE void store_narrowed(T* p, raw_double v) {
    if constexpr (sizeof(T) == 8) return store_all(p, v);
    for (int k = 0; k < lane_count<double>; ++k) p[k] = T(v[k]);
}

// v[index[0]], v[index[1]], …
template <class V, class M> FASTCE_INLINE V permute_lanes(V v, M index) {
    V r{};
    for (int k = 0; k < lane_count<lane_in<V>>; ++k) r[k] = v[index[k]];
    return r;
}

// Four floats at p, four at p + pitch, and so on.
template <class T> FASTCE_INLINE raw_float load_groups_of_four(const T* p, ptrdiff_t pitch) {
    raw_float r;
    for (int k = 0; k < lane_count<float> / 4; ++k) memcpy((char*)&r + 16 * k, p + k * pitch, 16);
    return r;
}

// The sum of all lanes, and the largest of them; there must be no NaN among the latter.
template <class V> FASTCE_INLINE double sum_of_lanes(V v) {
    constexpr int lanes = lane_count<lane_in<V>>;
    double sum[lanes];
    for (int k = 0; k < lanes; ++k) sum[k] = v[k];
    for (int step = lanes / 2; step; step /= 2)
        for (int k = 0; k < step; ++k) sum[k] += sum[k + step];
    return sum[0];
}
template <class V> FASTCE_INLINE double largest_lane(V v) {
    double largest = v[0];
    for (int k = 1; k < lane_count<lane_in<V>>; ++k) largest = v[k] > largest ? v[k] : largest;
    return largest;
}

// ---------------------------------------------------------------- the processor's state

// Sets what programs begin with, rounding to the nearest, subnormal numbers and no traps (IEEE 754's defaults), and
// returns what the thread had, status flags included. Both are barriers that no access to memory crosses.
template <class = void> inline uint64_t set_ieee_state() {
#if defined(__SSE2__)
    uint32_t caller, ieee = 0x1f80;
    asm volatile("stmxcsr %0" : "=m"(caller)::"memory");
    asm volatile("ldmxcsr %0" ::"m"(ieee) : "memory");
    return caller;
#elif defined(__aarch64__)
    uint64_t control, status;
    asm volatile("mrs %0, fpcr\n\tmrs %1, fpsr" : "=r"(control), "=r"(status)::"memory");
    if (control) asm volatile("msr fpcr, %0" ::"r"(uint64_t(0)) : "memory");
    return control << 32 | status;
#else
    return 0;
#endif
}
template <class = void> inline void restore_state([[maybe_unused]] uint64_t caller) {
#if defined(__SSE2__)
    uint32_t state = uint32_t(caller);
    asm volatile("ldmxcsr %0" ::"m"(state) : "memory");
#elif defined(__aarch64__)
    if (caller >> 32) asm volatile("msr fpcr, %0" ::"r"(caller >> 32) : "memory");
    asm volatile("msr fpsr, %0" ::"r"(caller & 0xffffffff) : "memory");
#endif
}

}  // namespace fastce
