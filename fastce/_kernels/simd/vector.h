// One vector of lanes, as wide as the instruction set this file is compiled for.
//
// Design. vec<T> holds the elements of one native register for data *stored* as T: its lanes are T
// itself for float and double, and float for the two half-precision formats, which are widened when
// loaded and rounded when stored. GCC/Clang vector types carry the arithmetic, so one text serves
// every instruction set; intrinsics appear only for what the vector language has no word for (masked
// and streaming memory access, exponent scaling, permutations by a variable).
#pragma once

#include "simd/half.h"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>
#include <utility>

#if defined(__AVX512F__) || defined(__AVX2__) || defined(__SSE2__)
#include <immintrin.h>
#endif

#if defined(__AVX512F__)
#define FASTCE_VECTOR_BYTES 64
#elif defined(__AVX2__)
#define FASTCE_VECTOR_BYTES 32
#else
#define FASTCE_VECTOR_BYTES 16
#endif

namespace fastce {

#if defined(__AVX512F__)
using native_float = __m512;
using native_double = __m512d;
#elif defined(__AVX2__)
using native_float = __m256;
using native_double = __m256d;
#elif defined(__SSE2__)
using native_float = __m128;
using native_double = __m128d;
#else
typedef float native_float __attribute__((vector_size(FASTCE_VECTOR_BYTES)));
typedef double native_double __attribute__((vector_size(FASTCE_VECTOR_BYTES)));
#endif

template <class lane> struct raw_of;
template <> struct raw_of<float> {
    using native = native_float;
    typedef float raw __attribute__((vector_size(FASTCE_VECTOR_BYTES)));
    typedef uint32_t bits __attribute__((vector_size(FASTCE_VECTOR_BYTES)));
    typedef int32_t mask __attribute__((vector_size(FASTCE_VECTOR_BYTES)));
};
template <> struct raw_of<double> {
    using native = native_double;
    typedef double raw __attribute__((vector_size(FASTCE_VECTOR_BYTES)));
    typedef uint64_t bits __attribute__((vector_size(FASTCE_VECTOR_BYTES)));
    typedef int64_t mask __attribute__((vector_size(FASTCE_VECTOR_BYTES)));
};

template <class T> struct vec {
    using lane = lane_t<T>;
    using raw = typename raw_of<lane>::raw;
    using native = typename raw_of<lane>::native;  // as intrinsics call it
    using bits = typename raw_of<lane>::bits;
    using mask = typename raw_of<lane>::mask;
    static constexpr int lanes = FASTCE_VECTOR_BYTES / int(sizeof(lane));

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

// The larger, or the smaller, of both; where one is NaN, b. What processors have one instruction for is
// asked for by name: compilers take two for a comparison and a choice.
#if defined(__AVX512F__)
FASTCE_INLINE __m512 larger(__m512 a, __m512 b) { return _mm512_mask_max_ps(a, 0xffff, a, b); }
FASTCE_INLINE __m512d larger(__m512d a, __m512d b) { return _mm512_mask_max_pd(a, 0xff, a, b); }
FASTCE_INLINE __m512 smaller(__m512 a, __m512 b) { return _mm512_mask_min_ps(a, 0xffff, a, b); }
FASTCE_INLINE __m512d smaller(__m512d a, __m512d b) { return _mm512_mask_min_pd(a, 0xff, a, b); }
#elif defined(__AVX2__)
FASTCE_INLINE __m256 larger(__m256 a, __m256 b) { return _mm256_max_ps(a, b); }
FASTCE_INLINE __m256d larger(__m256d a, __m256d b) { return _mm256_max_pd(a, b); }
FASTCE_INLINE __m256 smaller(__m256 a, __m256 b) { return _mm256_min_ps(a, b); }
FASTCE_INLINE __m256d smaller(__m256d a, __m256d b) { return _mm256_min_pd(a, b); }
#elif defined(__SSE2__)
FASTCE_INLINE __m128 larger(__m128 a, __m128 b) { return _mm_max_ps(a, b); }
FASTCE_INLINE __m128d larger(__m128d a, __m128d b) { return _mm_max_pd(a, b); }
FASTCE_INLINE __m128 smaller(__m128 a, __m128 b) { return _mm_min_ps(a, b); }
FASTCE_INLINE __m128d smaller(__m128d a, __m128d b) { return _mm_min_pd(a, b); }
#else
template <class raw> FASTCE_INLINE raw larger(raw a, raw b) { return a > b ? a : b; }
template <class raw> FASTCE_INLINE raw smaller(raw a, raw b) { return a < b ? a : b; }
#endif
template <class T> FASTCE_INLINE vec<T> maximum(vec<T> a, vec<T> b) {
    return typename vec<T>::raw(larger(typename vec<T>::native(a.v), typename vec<T>::native(b.v)));
}
template <class T> FASTCE_INLINE vec<T> minimum(vec<T> a, vec<T> b) {
    return typename vec<T>::raw(smaller(typename vec<T>::native(a.v), typename vec<T>::native(b.v)));
}

// 0, 1, 2, …: the number of each lane.
template <class T, size_t... lane>
FASTCE_INLINE typename vec<T>::mask lane_numbers(std::index_sequence<lane...>) {
    return typename vec<T>::mask{int(lane)...};
}
template <class T> FASTCE_INLINE typename vec<T>::mask lane_numbers() {
    return lane_numbers<T>(std::make_index_sequence<vec<T>::lanes>{});
}

// v with lane k replaced by that of the other; v itself where k is no lane of it.
template <class T> FASTCE_INLINE vec<T> put_lane(vec<T> v, ptrdiff_t k, vec<T> other) {
#if defined(__AVX512F__)
    const unsigned here = k >= 0 && k < vec<T>::lanes ? 1u << k : 0;
    using raw = typename vec<T>::raw;
    if constexpr (vec<T>::lanes == 16) {
        return raw(_mm512_mask_mov_ps(__m512(v.v), __mmask16(here), __m512(other.v)));
    } else {
        return raw(_mm512_mask_mov_pd(__m512d(v.v), __mmask8(here), __m512d(other.v)));
    }
#else
    int near = k >= 0 && k < vec<T>::lanes ? int(k) : -1;
    return select<T>(lane_numbers<T>() == near, other, v);
#endif
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

template <class T> FASTCE_INLINE vec<T> load(const T* p) {
    vec<T> r;
    if constexpr (sizeof(T) == sizeof(lane_t<T>)) {
        memcpy(&r, p, sizeof r);
    } else {
        for (int k = 0; k < vec<T>::lanes; ++k) r.v[k] = widen(p[k]);
    }
    return r;
}
template <class T> FASTCE_INLINE void store(T* p, vec<T> x) {
    if constexpr (sizeof(T) == sizeof(lane_t<T>)) {
        memcpy(p, &x, sizeof x);
    } else {
        for (int k = 0; k < vec<T>::lanes; ++k) p[k] = narrow<T>(x.v[k]);
    }
}

// Partial vectors: only the first n elements of memory are touched, the other lanes hold `fill`.
template <class T> FASTCE_INLINE vec<T> load(const T* p, ptrdiff_t n, double fill) {
    if (n >= vec<T>::lanes) return load(p);
    vec<T> r(fill);
    for (int k = 0; k < n; ++k) lanes(&r)[k] = widen(p[k]);
    return r;
}
template <class T> FASTCE_INLINE void store(T* p, vec<T> x, ptrdiff_t n) {
    if (n >= vec<T>::lanes) return store(p, x);
    for (int k = 0; k < n; ++k) p[k] = narrow<T>(lanes(&x)[k]);
}

#if defined(__AVX512F__)
#define FASTCE_FIRST16(n) __mmask16((1u << (n)) - 1)
#define FASTCE_FIRST8(n) __mmask8((1u << (n)) - 1)
template <> FASTCE_INLINE vec<float> load(const float* p, ptrdiff_t n, double fill) {
    if (n >= 16) return load(p);
    return vec<float>::raw(_mm512_mask_loadu_ps(_mm512_set1_ps(float(fill)), FASTCE_FIRST16(n), p));
}
template <> FASTCE_INLINE vec<double> load(const double* p, ptrdiff_t n, double fill) {
    if (n >= 8) return load(p);
    return vec<double>::raw(_mm512_mask_loadu_pd(_mm512_set1_pd(fill), FASTCE_FIRST8(n), p));
}
template <> FASTCE_INLINE void store(float* p, vec<float> x, ptrdiff_t n) {
    if (n >= 16) return store(p, x);
    _mm512_mask_storeu_ps(p, FASTCE_FIRST16(n), __m512(x.v));
}
template <> FASTCE_INLINE void store(double* p, vec<double> x, ptrdiff_t n) {
    if (n >= 8) return store(p, x);
    _mm512_mask_storeu_pd(p, FASTCE_FIRST8(n), __m512d(x.v));
}
template <> FASTCE_INLINE vec<float16> load(const float16* p) {
    return vec<float>::raw(_mm512_maskz_cvtph_ps(0xffff, _mm256_loadu_si256((const __m256i*)p)));
}
template <> FASTCE_INLINE void store(float16* p, vec<float16> x) {
    _mm256_storeu_si256((__m256i*)p, _mm512_maskz_cvtps_ph(0xffff, __m512(x.v), _MM_FROUND_TO_NEAREST_INT));
}
template <> FASTCE_INLINE vec<bfloat16> load(const bfloat16* p) {
    __m512i wide = _mm512_maskz_cvtepu16_epi32(0xffff, _mm256_loadu_si256((const __m256i*)p));
    return vec<float>::raw(_mm512_castsi512_ps(_mm512_maskz_slli_epi32(0xffff, wide, 16)));
}
template <> FASTCE_INLINE void store(bfloat16* p, vec<bfloat16> x) {
    __m512i b = _mm512_castps_si512(__m512(x.v));
    __m512i odd = _mm512_and_si512(_mm512_maskz_srli_epi32(0xffff, b, 16), _mm512_set1_epi32(1));
    __m512i near = _mm512_add_epi32(b, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
    __mmask16 nan = _mm512_cmp_ps_mask(__m512(x.v), __m512(x.v), _CMP_UNORD_Q);
    near = _mm512_mask_or_epi32(near, nan, b, _mm512_set1_epi32(0x400000));
    _mm256_storeu_si256((__m256i*)p, _mm512_maskz_cvtepi32_epi16(0xffff, _mm512_maskz_srli_epi32(0xffff, near, 16)));
}
template <> FASTCE_INLINE vec<float16> load(const float16* p, ptrdiff_t n, double fill) {
    if (n >= 16) return load(p);
    __m512 x = _mm512_maskz_cvtph_ps(0xffff, _mm256_maskz_loadu_epi16(FASTCE_FIRST16(n), p));
    return vec<float>::raw(_mm512_mask_mov_ps(_mm512_set1_ps(float(fill)), FASTCE_FIRST16(n), x));
}
template <> FASTCE_INLINE vec<bfloat16> load(const bfloat16* p, ptrdiff_t n, double fill) {
    if (n >= 16) return load(p);
    __m512i wide = _mm512_maskz_cvtepu16_epi32(0xffff, _mm256_maskz_loadu_epi16(FASTCE_FIRST16(n), p));
    __m512 x = _mm512_castsi512_ps(_mm512_maskz_slli_epi32(0xffff, wide, 16));
    return vec<float>::raw(_mm512_mask_mov_ps(_mm512_set1_ps(float(fill)), FASTCE_FIRST16(n), x));
}
#elif defined(__AVX2__)
alignas(32) static const int32_t kFirst[16] = {-1, -1, -1, -1, -1, -1, -1, -1};
template <> FASTCE_INLINE vec<float> load(const float* p, ptrdiff_t n, double fill) {
    if (n >= 8) return load(p);
    __m256i take = _mm256_loadu_si256((const __m256i*)(kFirst + 8 - n));
    return vec<float>::raw(
        _mm256_blendv_ps(_mm256_set1_ps(float(fill)), _mm256_maskload_ps(p, take), _mm256_castsi256_ps(take)));
}
template <> FASTCE_INLINE vec<double> load(const double* p, ptrdiff_t n, double fill) {
    if (n >= 4) return load(p);
    __m256i take = _mm256_loadu_si256((const __m256i*)(kFirst + 8 - 2 * n));
    return vec<double>::raw(
        _mm256_blendv_pd(_mm256_set1_pd(fill), _mm256_maskload_pd(p, take), _mm256_castsi256_pd(take)));
}
template <> FASTCE_INLINE void store(float* p, vec<float> x, ptrdiff_t n) {
    if (n >= 8) return store(p, x);
    _mm256_maskstore_ps(p, _mm256_loadu_si256((const __m256i*)(kFirst + 8 - n)), __m256(x.v));
}
template <> FASTCE_INLINE void store(double* p, vec<double> x, ptrdiff_t n) {
    if (n >= 4) return store(p, x);
    _mm256_maskstore_pd(p, _mm256_loadu_si256((const __m256i*)(kFirst + 8 - 2 * n)), __m256d(x.v));
}
template <> FASTCE_INLINE vec<float16> load(const float16* p) {
    return vec<float>::raw(_mm256_cvtph_ps(_mm_loadu_si128((const __m128i*)p)));
}
template <> FASTCE_INLINE void store(float16* p, vec<float16> x) {
    _mm_storeu_si128((__m128i*)p, _mm256_cvtps_ph(__m256(x.v), _MM_FROUND_TO_NEAREST_INT));
}
template <> FASTCE_INLINE vec<bfloat16> load(const bfloat16* p) {
    __m256i wide = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i*)p));
    return vec<float>::raw(_mm256_castsi256_ps(_mm256_slli_epi32(wide, 16)));
}
template <> FASTCE_INLINE void store(bfloat16* p, vec<bfloat16> x) {
    const __m256i b = _mm256_castps_si256(__m256(x.v));
    const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(b, 16), _mm256_set1_epi32(1));
    const __m256i near = _mm256_add_epi32(b, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff)));
    const __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(__m256(x.v), __m256(x.v), _CMP_UNORD_Q));
    const __m256i quiet = _mm256_or_si256(b, _mm256_set1_epi32(0x400000));
    const __m256i half = _mm256_srli_epi32(_mm256_blendv_epi8(near, quiet, nan), 16);
    const __m256i packed = _mm256_permute4x64_epi64(_mm256_packus_epi32(half, half), 0x08);
    _mm_storeu_si128((__m128i*)p, _mm256_castsi256_si128(packed));
}
#endif

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

// |x|, and max(x, 0); NaN stays NaN.
template <class T> FASTCE_INLINE vec<T> magnitude(vec<T> x) { return x.v < 0 ? -x.v : x.v; }
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
    return all_within<T>(n, allow_nan, [&](ptrdiff_t k) { return n - k < vec<T>::lanes ? first(v[k / vec<T>::lanes], int(n - k)) : v[k / vec<T>::lanes]; });
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
