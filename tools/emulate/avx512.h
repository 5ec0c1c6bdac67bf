// AVX-512 for processors without it: the intrinsics that the kernels use, in plain C++, lane by lane.
//
// Design. tools/emulate/avx512.py puts this file in front of the source of the avx512 module and of the
// detection, and compiles for x86-64-v3. The kernels then take their AVX-512 branches, and the compiler
// splits the 64-byte vectors. Written from Intel's descriptions, for correctness alone: lanes that an
// instruction leaves undefined hold garbage here, memory that a mask excludes is not touched, and an
// address that must be aligned is checked. An intrinsic that is missing here does not compile ("target
// specific option mismatch"): write it below, and add its name to the list at the end.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <immintrin.h>

#define EMULATED static inline __attribute__((always_inline))

namespace emulated {

typedef float f32x16 __attribute__((vector_size(64)));
typedef double f64x8 __attribute__((vector_size(64)));
typedef uint32_t u32x16 __attribute__((vector_size(64)));
typedef uint64_t u64x8 __attribute__((vector_size(64)));
typedef float f32x8 __attribute__((vector_size(32)));
typedef double f64x4 __attribute__((vector_size(32)));
typedef uint16_t u16x16 __attribute__((vector_size(32)));

template <class V> constexpr int lanes_of = int(sizeof(V) / sizeof(V{}[0]));

// For each lane in turn: where its bit of the mask is set, what the function gives, else what was there.
template <class V, class Lane> EMULATED V each(V otherwise, unsigned mask, const Lane& lane) {
    for (int k = 0; k < lanes_of<V>; ++k)
        if (mask >> k & 1) otherwise[k] = lane(k);
    return otherwise;
}
template <class V, class Lane> EMULATED V each(const Lane& lane) { return each(V{}, ~0u, lane); }

// What nobody may rely on.
template <class V> EMULATED V garbage() {
    V v;
    memset(&v, 0xa5, sizeof v);
    return v;
}

template <class V> EMULATED V load(V otherwise, unsigned mask, const void* p) {
    constexpr size_t size = sizeof(V) / lanes_of<V>;
    for (int k = 0; k < lanes_of<V>; ++k)
        if (mask >> k & 1) memcpy((char*)&otherwise + k * size, (const char*)p + k * size, size);
    return otherwise;
}
template <class V> EMULATED void store(void* p, unsigned mask, V v) {
    constexpr size_t size = sizeof(V) / lanes_of<V>;
    for (int k = 0; k < lanes_of<V>; ++k)
        if (mask >> k & 1) memcpy((char*)p + k * size, (const char*)&v + k * size, size);
}

// The general protection fault of an access that must be aligned.
EMULATED void aligned(const void* p) {
    if (uintptr_t(p) % 64) __builtin_trap();
}

// Predicates come in pairs that differ in what they signal, which nobody asks for.
template <class V> EMULATED unsigned compare(V a, V b, int predicate) {
    unsigned mask = 0;
    for (int k = 0; k < lanes_of<V>; ++k) {
        const bool less = a[k] < b[k], equal = a[k] == b[k], more = a[k] > b[k];
        const bool unordered = !less && !equal && !more;
        const bool holds[8] = {equal, less, less || equal, unordered, !equal, !less, !less && !equal, !unordered};
        const bool others[8] = {equal || unordered, !equal && !more, !more, false,
                                less || more, equal || more, more, true};
        mask |= unsigned((predicate & 8 ? others : holds)[predicate & 7]) << k;
    }
    return mask;
}

// a 2^floor(b), rounded once. An infinite b wins over a quiet NaN.
template <class T> T scale(T a, T b) {
    if (a != a && b == INFINITY) return INFINITY;
    if (a != a && b == -INFINITY) return 0;
    if (a != a || b != b) return a + b;
    if (b == INFINITY) return a * INFINITY;
    if (b == -INFINITY) return a * T(0);
    const T n = std::floor(b);
    return std::ldexp(a, n < -5000 ? -5000 : n > 5000 ? 5000 : int(n));
}

// ---------------------------------------------------------------- choices and arithmetic

EMULATED __m512 max_ps(__m512 old, unsigned m, __m512 a, __m512 b) {
    return each(old, m, [&](int k) { return a[k] > b[k] ? a[k] : b[k]; });
}
EMULATED __m512d max_pd(__m512d old, unsigned m, __m512d a, __m512d b) {
    return each(old, m, [&](int k) { return a[k] > b[k] ? a[k] : b[k]; });
}
EMULATED __m512 min_ps(__m512 old, unsigned m, __m512 a, __m512 b) {
    return each(old, m, [&](int k) { return a[k] < b[k] ? a[k] : b[k]; });
}
EMULATED __m512d min_pd(__m512d old, unsigned m, __m512d a, __m512d b) {
    return each(old, m, [&](int k) { return a[k] < b[k] ? a[k] : b[k]; });
}
EMULATED __m512 mov_ps(__m512 old, unsigned m, __m512 a) {
    return each(old, m, [&](int k) { return a[k]; });
}
EMULATED __m512d mov_pd(__m512d old, unsigned m, __m512d a) {
    return each(old, m, [&](int k) { return a[k]; });
}
EMULATED __m512 scalef_ps(unsigned m, __m512 a, __m512 b) {
    return each(__m512{}, m, [&](int k) { return scale<float>(a[k], b[k]); });
}
EMULATED __m512d scalef_pd(unsigned m, __m512d a, __m512d b) {
    return each(__m512d{}, m, [&](int k) { return scale<double>(a[k], b[k]); });
}
EMULATED __m512d fmsub_pd(__m512d a, __m512d b, __m512d c) {
    return each<__m512d>([&](int k) { return __builtin_fma(a[k], b[k], -c[k]); });
}
EMULATED __m512d fmadd_pd(__m512d a, __m512d b, __m512d c) {
    return each<__m512d>([&](int k) { return __builtin_fma(a[k], b[k], c[k]); });
}
EMULATED __m512 fmadd_ps(__m512 a, __m512 b, __m512 c) {
    return each<__m512>([&](int k) { return __builtin_fmaf(a[k], b[k], c[k]); });
}
EMULATED __m512i add_epi32(__m512i a, __m512i b) { return __m512i(u32x16(a) + u32x16(b)); }
EMULATED __m512i or_epi32(__m512i old, unsigned m, __m512i a, __m512i b) {
    const u32x16 both = u32x16(a) | u32x16(b);
    return __m512i(each(u32x16(old), m, [&](int k) { return both[k]; }));
}
EMULATED __m512i slli_epi32(unsigned m, __m512i a, unsigned by) {
    return __m512i(each(u32x16{}, m, [&](int k) { return by > 31 ? 0 : u32x16(a)[k] << by; }));
}
EMULATED __m512i srli_epi32(unsigned m, __m512i a, unsigned by) {
    return __m512i(each(u32x16{}, m, [&](int k) { return by > 31 ? 0 : u32x16(a)[k] >> by; }));
}

// ---------------------------------------------------------------- widths and places

EMULATED __m512d cvtps_pd(unsigned m, __m256 a) {
    return each(__m512d{}, m, [&](int k) { return double(a[k]); });
}
EMULATED __m256 cvtpd_ps(unsigned m, __m512d a) {
    return each(__m256{}, m, [&](int k) { return float(a[k]); });
}
EMULATED __m512 cvtph_ps(unsigned m, __m256i a) {
    const __m256 low = _mm256_cvtph_ps(_mm256_castsi256_si128(a));
    const __m256 high = _mm256_cvtph_ps(_mm256_extracti128_si256(a, 1));
    return each(__m512{}, m, [&](int k) { return k < 8 ? low[k] : high[k - 8]; });
}
template <int rounding> EMULATED __m256i cvtps_ph(unsigned m, __m512 a) {
    const __m256 low = each<__m256>([&](int k) { return a[k]; });
    const __m256 high = each<__m256>([&](int k) { return a[k + 8]; });
    const u16x16 r = u16x16(_mm256_set_m128i(_mm256_cvtps_ph(high, rounding), _mm256_cvtps_ph(low, rounding)));
    return __m256i(each(u16x16{}, m, [&](int k) { return r[k]; }));
}
EMULATED __m512i cvtepu16_epi32(unsigned m, __m256i a) {
    return __m512i(each(u32x16{}, m, [&](int k) { return uint32_t(u16x16(a)[k]); }));
}
EMULATED __m256i cvtepi32_epi16(unsigned m, __m512i a) {
    return __m256i(each(u16x16{}, m, [&](int k) { return uint16_t(u32x16(a)[k]); }));
}
EMULATED __m512 castps256_ps512(__m256 a) {
    return each(garbage<__m512>(), 0xff, [&](int k) { return a[k & 7]; });
}
EMULATED __m256 extractf32x8_ps(unsigned m, __m512 a, int part) {
    return each(__m256{}, m, [&](int k) { return a[8 * (part & 1) + k]; });
}
EMULATED __m256d extractf64x4_pd(unsigned m, __m512d a, int part) {
    return each(__m256d{}, m, [&](int k) { return a[4 * (part & 1) + k]; });
}
EMULATED __m512 insertf32x8(__m512 old, unsigned m, __m512 a, __m256 b, int part) {
    return each(old, m, [&](int k) { return k / 8 == (part & 1) ? b[k & 7] : a[k]; });
}
EMULATED __m512 permutexvar_ps(unsigned m, __m512i index, __m512 a) {
    return each(__m512{}, m, [&](int k) { return a[u32x16(index)[k] & 15]; });
}
EMULATED __m512d permutexvar_pd(unsigned m, __m512i index, __m512d a) {
    return each(__m512d{}, m, [&](int k) { return a[u64x8(index)[k] & 7]; });
}
EMULATED __m512d permutex2var_pd(__m512d a, __m512i index, __m512d b) {
    return each<__m512d>([&](int k) { return (u64x8(index)[k] & 8 ? b : a)[u64x8(index)[k] & 7]; });
}

// ---------------------------------------------------------------- memory

EMULATED __m512 loadu_ps(__m512 old, unsigned m, const void* p) { return load(old, m, p); }
EMULATED __m512d loadu_pd(__m512d old, unsigned m, const void* p) { return load(old, m, p); }
EMULATED __m256i loadu_epi16(unsigned m, const void* p) { return __m256i(load(u16x16{}, m, p)); }
EMULATED void storeu_ps(void* p, unsigned m, __m512 a) { store(p, m, a); }
EMULATED void storeu_pd(void* p, unsigned m, __m512d a) { store(p, m, a); }
template <class V> EMULATED V load_aligned(const void* p) {
    aligned(p);
    return load(V{}, ~0u, p);
}
template <class V> EMULATED void store_aligned(void* p, V a) {
    aligned(p);
    memcpy(p, &a, sizeof a);
}

}  // namespace emulated

#define _mm512_set1_ps(x) (emulated::f32x16{} + float(x))
#define _mm512_set1_pd(x) (emulated::f64x8{} + double(x))
#define _mm512_set1_epi32(x) __m512i(emulated::u32x16{} + uint32_t(x))
#define _mm512_castps_si512(a) __m512i(a)
#define _mm512_castsi512_ps(a) __m512(a)
#define _mm512_castps256_ps512 emulated::castps256_ps512
#define _mm512_and_si512(a, b) __m512i((a) & (b))
#define _mm512_add_epi32 emulated::add_epi32
#define _mm512_mask_or_epi32 emulated::or_epi32
#define _mm512_maskz_slli_epi32 emulated::slli_epi32
#define _mm512_maskz_srli_epi32 emulated::srli_epi32
#define _mm512_cmp_ps_mask(a, b, predicate) __mmask16(emulated::compare(emulated::f32x16(a), emulated::f32x16(b), predicate))
#define _mm512_cmp_pd_mask(a, b, predicate) __mmask8(emulated::compare(emulated::f64x8(a), emulated::f64x8(b), predicate))
#define _mm512_mask_max_ps emulated::max_ps
#define _mm512_mask_max_pd emulated::max_pd
#define _mm512_mask_min_ps emulated::min_ps
#define _mm512_mask_min_pd emulated::min_pd
#define _mm512_mask_mov_ps emulated::mov_ps
#define _mm512_mask_mov_pd emulated::mov_pd
#define _mm512_maskz_scalef_ps emulated::scalef_ps
#define _mm512_maskz_scalef_pd emulated::scalef_pd
#define _mm512_fmsub_pd emulated::fmsub_pd
#define _mm512_fmadd_pd emulated::fmadd_pd
#define _mm512_fmadd_ps emulated::fmadd_ps
#define _mm512_maskz_cvtps_pd emulated::cvtps_pd
#define _mm512_maskz_cvtpd_ps emulated::cvtpd_ps
#define _mm512_maskz_cvtph_ps emulated::cvtph_ps
#define _mm512_maskz_cvtps_ph(m, a, rounding) emulated::cvtps_ph<rounding>(m, a)
#define _mm512_maskz_cvtepu16_epi32 emulated::cvtepu16_epi32
#define _mm512_maskz_cvtepi32_epi16 emulated::cvtepi32_epi16
#define _mm512_maskz_extractf32x8_ps emulated::extractf32x8_ps
#define _mm512_maskz_extractf64x4_pd emulated::extractf64x4_pd
#define _mm512_mask_insertf32x8 emulated::insertf32x8
#define _mm512_maskz_permutexvar_ps emulated::permutexvar_ps
#define _mm512_maskz_permutexvar_pd emulated::permutexvar_pd
#define _mm512_permutex2var_pd emulated::permutex2var_pd
#define _mm512_mask_loadu_ps emulated::loadu_ps
#define _mm512_mask_loadu_pd emulated::loadu_pd
#define _mm256_maskz_loadu_epi16 emulated::loadu_epi16
#define _mm512_mask_storeu_ps emulated::storeu_ps
#define _mm512_mask_storeu_pd emulated::storeu_pd
#define _mm512_load_si512 emulated::load_aligned<__m512i>
#define _mm512_stream_si512 emulated::store_aligned<__m512i>
#define _mm512_stream_ps emulated::store_aligned<__m512>
#define _mm512_stream_pd emulated::store_aligned<__m512d>

// What the kernels and the detection ask for.
#define __AVX512F__ 1
#define __builtin_cpu_supports(feature) 1
