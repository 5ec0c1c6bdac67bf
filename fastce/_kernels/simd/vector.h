// One vector of lanes, as wide as the instruction set this file is compiled for.
//
// Design. vec<T> holds the elements of one register for data *stored* as T: its lanes are T itself for
// float and double, and float for the two half-precision formats, which are widened when loaded and
// rounded when stored. GCC's and Clang's vector types carry the arithmetic, so one text serves every
// instruction set. What these types have no word for (masked and streaming memory access, exponent
// scaling, permutations by a variable) are the primitives of generic.h, for which each instruction set
// has instructions in a file of its own. This is the one place that chooses between them.
#pragma once

#if defined(__AVX512F__)
#include "simd/x86_avx512.h"
#elif defined(__AVX2__)
#include "simd/x86_avx2.h"
#elif defined(__SSE2__)
#include "simd/x86_sse2.h"
#else
#include "simd/generic.h"
#endif

#include <limits>

namespace fastce {

template <class T> struct vec {
    using lane = lane_t<T>;
    using raw = raw_t<T>;
    using bits = bits_t<T>;
    using mask = mask_t<T>;
    static constexpr int lanes = lane_count<T>;

    raw v;

    vec() = default;
    FASTCE_INLINE vec(raw value) : v(value) {}
    FASTCE_INLINE vec(double value) : v(lane(value) - raw{}) {}
};

template <class T> FASTCE_INLINE vec<T> operator+(vec<T> a, vec<T> b) { return a.v + b.v; }
template <class T> FASTCE_INLINE vec<T> operator-(vec<T> a, vec<T> b) { return a.v - b.v; }
template <class T> FASTCE_INLINE vec<T> operator*(vec<T> a, vec<T> b) { return a.v * b.v; }
template <class T> FASTCE_INLINE vec<T> operator/(vec<T> a, vec<T> b) { return a.v / b.v; }

// Lane-wise choice. The condition is what a comparison of two raw vectors gives.
template <class T>
FASTCE_INLINE vec<T> select(typename vec<T>::mask condition, vec<T> yes, vec<T> no) {
    return condition ? yes.v : no.v;
}

// The larger, or the smaller, of both; where one is NaN, b.
template <class T> FASTCE_INLINE vec<T> maximum(vec<T> a, vec<T> b) { return larger(a.v, b.v); }
template <class T> FASTCE_INLINE vec<T> minimum(vec<T> a, vec<T> b) { return smaller(a.v, b.v); }

// v with lane k replaced by that of the other, or by a number; v itself where k is no lane of it.
template <class T> FASTCE_INLINE vec<T> put_lane(vec<T> v, ptrdiff_t k, vec<T> other) {
    return replace_lane(v.v, k, other.v);
}
template <class T> FASTCE_INLINE vec<T> put(vec<T> v, ptrdiff_t k, double value) {
    return put_lane(v, k, vec<T>(value));
}

// The first k lanes of v, zeros after them.
template <class T> FASTCE_INLINE vec<T> first(vec<T> v, int k) {
    return select<T>(lane_numbers<T>() < k, v, vec<T>(0.0));
}

// ---------------------------------------------------------------- memory

// A lane of an array of vectors, seen as the plain array that it is.
template <class T> FASTCE_INLINE lane_t<T>* lanes(vec<T>* v) { return reinterpret_cast<lane_t<T>*>(v); }
template <class T> FASTCE_INLINE const lane_t<T>* lanes(const vec<T>* v) {
    return reinterpret_cast<const lane_t<T>*>(v);
}

// How many lanes a vector has.
template <class T> constexpr ptrdiff_t lanes_of(const vec<T>*) { return vec<T>::lanes; }

// Lane k of an array of vectors; the vector that begins, or the first n lanes that lie, there.
template <class T> FASTCE_INLINE double lane(const vec<T>* v, ptrdiff_t k) { return lanes(v)[k]; }
template <class T> FASTCE_INLINE void set_lane(vec<T>* v, ptrdiff_t k, double value) {
    lanes(v)[k] = lane_t<T>(value);
}
template <class T> FASTCE_INLINE vec<T> load_lanes(const vec<T>* v, ptrdiff_t k) {
    vec<T> r;
    memcpy(&r, lanes(v) + k, sizeof r);
    return r;
}

template <class T> FASTCE_INLINE vec<T> load(const T* p) { return load_all(p); }
template <class T> FASTCE_INLINE void store(T* p, vec<T> x) { store_all(p, x.v); }

// Partial vectors: only the first n elements of memory are touched, the other lanes hold `fill`.
template <class T> FASTCE_INLINE vec<T> load(const T* p, ptrdiff_t n, double fill) {
    if (n >= vec<T>::lanes) return load(p);
    return load_first(p, n, fill);
}
template <class T> FASTCE_INLINE void store(T* p, vec<T> x, ptrdiff_t n) {
    if (n >= vec<T>::lanes) return store(p, x);
    store_first(p, x.v, n);
}

template <class T> FASTCE_INLINE void store_lanes(vec<T>* v, ptrdiff_t k, vec<T> x, ptrdiff_t n) {
    store(lanes(v) + k, vec<lane_t<T>>(x.v), n);
}

// One stored element.
template <class T> FASTCE_INLINE double number(const T* p) { return widen(*p); }
template <class T> FASTCE_INLINE void set_number(T* p, double x) { *p = narrow<T>(lane_t<T>(x)); }

// Choices by a number: where x is zero, negative, or below a bound, the second, else the third.
template <class T> FASTCE_INLINE vec<T> where_zero(vec<T> x, vec<T> yes, vec<T> no) {
    return select<T>(x.v == 0, yes, no);
}
template <class T> FASTCE_INLINE vec<T> where_negative(vec<T> x, vec<T> yes, vec<T> no) {
    return select<T>(x.v < 0, yes, no);
}
template <class T> FASTCE_INLINE vec<T> where_below(vec<T> x, vec<T> bound, vec<T> yes, vec<T> no) {
    return select<T>(x.v < bound.v, yes, no);
}

// max(x, 0); NaN stays NaN.
template <class T> FASTCE_INLINE vec<T> positive(vec<T> x) {
    return x.v < 0 ? typename vec<T>::raw{} : x.v;
}

// Whether n numbers are within [0, 1]; NaN is not, unless it is allowed.
template <class T, class Load> FASTCE_INLINE bool all_within(ptrdiff_t n, bool allow_nan, const Load& at) {
    typename vec<T>::mask bad{};
    for (ptrdiff_t k = 0; k < n; k += vec<T>::lanes) {
        const auto x = at(k).v;
        bad |= (x < 0) | (x > 1);
        if (!allow_nan) bad |= x != x;
    }
    for (int k = 0; k < vec<T>::lanes; ++k)
        if (bad[k]) return false;
    return true;
}
template <class T> inline bool all_within_unit(const vec<T>* v, ptrdiff_t n, bool allow_nan) {
    return all_within<T>(n, allow_nan, [&](ptrdiff_t k) {
        const vec<T> x = v[k / vec<T>::lanes];
        return n - k < vec<T>::lanes ? first(x, int(n - k)) : x;
    });
}
template <class T> inline bool stored_within_unit(const T* p, ptrdiff_t n, bool allow_nan) {
    return all_within<T>(n, allow_nan, [&](ptrdiff_t k) { return load(p + k, n - k, 0.0); });
}

// The first of n elements, `stride` apart, that equals x; 0 if none does. Whether one of them is NaN.
template <class T> inline ptrdiff_t index_of(const T* p, ptrdiff_t n, ptrdiff_t stride, double x) {
    if (n <= 32) {  // without a branch that nobody foresees
        ptrdiff_t at = 0;
        for (ptrdiff_t k = n - 1; k >= 0; --k) at = widen(p[k * stride]) == lane_t<T>(x) ? k : at;
        return at;
    }
    for (ptrdiff_t k = 0; k < n; ++k)
        if (widen(p[k * stride]) == x) return k;
    return 0;
}
template <class T> inline bool has_nan(const T* p, ptrdiff_t n, ptrdiff_t stride) {
    for (ptrdiff_t k = 0; k < n; ++k)
        if (widen(p[k * stride]) != widen(p[k * stride])) return true;
    return false;
}

constexpr ptrdiff_t kAhead = 8192;  // bytes (docs/performance.md has what was tried)

// Asks for the line kAhead after p, into the second-level cache.
FASTCE_INLINE void prefetch_ahead(const void* p) {
    __builtin_prefetch(static_cast<const char*>(p) + kAhead, 0, 2);
}

// The same for the lines of two vectors.
template <class T> FASTCE_INLINE void prefetch_pair(const T* p) {
    constexpr int bytes = 2 * vec<T>::lanes * int(sizeof(T));
    for (int k = 0; k < bytes; k += 64) prefetch_ahead(reinterpret_cast<const char*>(p) + k);
}

// Asks for every line of a run of n bytes.
FASTCE_INLINE void prefetch_run(const void* p, ptrdiff_t n) {
    for (ptrdiff_t k = 0; k < n; k += 64) __builtin_prefetch(static_cast<const char*>(p) + k, 0, 2);
}

}  // namespace fastce
