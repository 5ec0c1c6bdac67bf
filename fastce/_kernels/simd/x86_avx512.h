// x86-64-v4, which is AVX-512 with its parts F, BW, CD, DQ and VL: 64 bytes.
//
// Conversions and the like are asked for in their masked forms, with all lanes in the mask: without one, GCC's own
// header passes a vector that was never set, and warns of it.
#pragma once

#include <immintrin.h>

#define FASTCE_VECTOR_BYTES 64
namespace fastce {
constexpr bool kHasFma = true, kHasPowerScale = true;
}

#include "simd/generic.h"

namespace fastce {

FASTCE_INLINE __m512 larger(__m512 a, __m512 b) { return _mm512_mask_max_ps(a, 0xffff, a, b); }
FASTCE_INLINE __m512d larger(__m512d a, __m512d b) { return _mm512_mask_max_pd(a, 0xff, a, b); }
FASTCE_INLINE __m512 smaller(__m512 a, __m512 b) { return _mm512_mask_min_ps(a, 0xffff, a, b); }
FASTCE_INLINE __m512d smaller(__m512d a, __m512d b) { return _mm512_mask_min_pd(a, 0xff, a, b); }
FASTCE_INLINE __m512 replace_lane(__m512 v, ptrdiff_t k, __m512 other) {
    return _mm512_mask_mov_ps(v, __mmask16(k >= 0 && k < 16 ? 1u << k : 0), other);
}
FASTCE_INLINE __m512d replace_lane(__m512d v, ptrdiff_t k, __m512d other) {
    return _mm512_mask_mov_pd(v, __mmask8(k >= 0 && k < 8 ? 1u << k : 0), other);
}
FASTCE_INLINE unsigned larger_lanes(__m512 v, __m512 bound) { return _mm512_cmp_ps_mask(v, bound, _CMP_GT_OQ); }
FASTCE_INLINE bool any_bit_of(__m512d v) {
    const __m512i bits = _mm512_castpd_si512(v);
    return _mm512_test_epi64_mask(bits, bits) != 0;
}

FASTCE_INLINE __m512 multiply_add(__m512 a, __m512 b, __m512 c) { return _mm512_fmadd_ps(a, b, c); }
FASTCE_INLINE __m512d multiply_add(__m512d a, __m512d b, __m512d c) { return _mm512_fmadd_pd(a, b, c); }
FASTCE_INLINE __m512d multiply_subtract(__m512d a, __m512d b, __m512d c) { return _mm512_fmsub_pd(a, b, c); }

// The mask must keep lanes below the lowest from being computed at all: a subnormal result costs 150 cycles.
FASTCE_INLINE __m512 scale_by_power(__m512 p, __m512 n, __m512 x, float lowest) {
    return _mm512_maskz_scalef_ps(_mm512_cmp_ps_mask(x, _mm512_set1_ps(lowest), _CMP_NLT_UQ), p, n);
}
FASTCE_INLINE __m512d scale_by_power(__m512d p, __m512d n, __m512d x, double lowest) {
    return _mm512_maskz_scalef_pd(_mm512_cmp_pd_mask(x, _mm512_set1_pd(lowest), _CMP_NLT_UQ), p, n);
}
FASTCE_INLINE __m512d look_up(bits_t<double> index, const double* table) {
    return _mm512_permutex2var_pd(load_all(table), __m512i(index), load_all(table + 8));
}

FASTCE_INLINE __mmask16 first_floats(ptrdiff_t n) { return __mmask16((1u << n) - 1); }
FASTCE_INLINE __mmask8 first_doubles(ptrdiff_t n) { return __mmask8((1u << n) - 1); }
FASTCE_INLINE __m512 load_first(const float* p, ptrdiff_t n, double fill) {
    return _mm512_mask_loadu_ps(_mm512_set1_ps(float(fill)), first_floats(n), p);
}
FASTCE_INLINE __m512d load_first(const double* p, ptrdiff_t n, double fill) {
    return _mm512_mask_loadu_pd(_mm512_set1_pd(fill), first_doubles(n), p);
}
FASTCE_INLINE void store_first(float* p, __m512 x, ptrdiff_t n) { _mm512_mask_storeu_ps(p, first_floats(n), x); }
FASTCE_INLINE void store_first(double* p, __m512d x, ptrdiff_t n) { _mm512_mask_storeu_pd(p, first_doubles(n), x); }

FASTCE_INLINE __m512 from_float16(__m256i halves) { return _mm512_maskz_cvtph_ps(0xffff, halves); }
FASTCE_INLINE __m512 from_bfloat16(__m256i halves) {
    const __m512i wide = _mm512_maskz_cvtepu16_epi32(0xffff, halves);
    return _mm512_castsi512_ps(_mm512_maskz_slli_epi32(0xffff, wide, 16));
}
FASTCE_INLINE __m512 load_all(const float16* p) { return from_float16(_mm256_loadu_si256((const __m256i*)p)); }
FASTCE_INLINE __m512 load_all(const bfloat16* p) { return from_bfloat16(_mm256_loadu_si256((const __m256i*)p)); }
FASTCE_INLINE __m512 load_first(const float16* p, ptrdiff_t n, double fill) {
    const __m512 x = from_float16(_mm256_maskz_loadu_epi16(first_floats(n), p));
    return _mm512_mask_mov_ps(_mm512_set1_ps(float(fill)), first_floats(n), x);
}
FASTCE_INLINE __m512 load_first(const bfloat16* p, ptrdiff_t n, double fill) {
    const __m512 x = from_bfloat16(_mm256_maskz_loadu_epi16(first_floats(n), p));
    return _mm512_mask_mov_ps(_mm512_set1_ps(float(fill)), first_floats(n), x);
}
FASTCE_INLINE void store_all(float16* p, __m512 x) {
    _mm256_storeu_si256((__m256i*)p, _mm512_maskz_cvtps_ph(0xffff, x, _MM_FROUND_TO_NEAREST_INT));
}
// To the nearest, ties to even, as narrow() does it; NaN stays one.
FASTCE_INLINE void store_all(bfloat16* p, __m512 x) {
    const __m512i b = _mm512_castps_si512(x);
    const __m512i odd = _mm512_and_si512(_mm512_maskz_srli_epi32(0xffff, b, 16), _mm512_set1_epi32(1));
    const __m512i near = _mm512_add_epi32(b, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
    const __mmask16 nan = _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q);
    const __m512i bits = _mm512_mask_or_epi32(near, nan, b, _mm512_set1_epi32(0x400000));
    _mm256_storeu_si256((__m256i*)p, _mm512_maskz_cvtepi32_epi16(0xffff, _mm512_maskz_srli_epi32(0xffff, bits, 16)));
}

FASTCE_INLINE void stream_all(float* p, __m512 x) { _mm512_stream_ps(p, x); }
FASTCE_INLINE void stream_all(double* p, __m512d x) { _mm512_stream_pd(p, x); }
template <class T> FASTCE_INLINE void stream_halves(T* p, __m512 x) {
    T part[16];
    store_all(part, x);
    _mm256_stream_si256((__m256i*)p, _mm256_loadu_si256((const __m256i*)part));
}
// Where there is no NaN, the bits round by themselves, and the upper halves of both are one vector.
FASTCE_INLINE __m512i rounded_to_bfloat16(__m512 x) {
    const __m512i b = _mm512_castps_si512(x);
    const __m512i odd = _mm512_and_si512(_mm512_maskz_srli_epi32(0xffff, b, 16), _mm512_set1_epi32(1));
    return _mm512_add_epi32(_mm512_add_epi32(b, _mm512_set1_epi32(0x7fff)), odd);
}
alignas(64) static constexpr uint16_t kUpperHalves[32] = {1,  3,  5,  7,  9,  11, 13, 15, 17, 19, 21,
                                                          23, 25, 27, 29, 31, 33, 35, 37, 39, 41, 43,
                                                          45, 47, 49, 51, 53, 55, 57, 59, 61, 63};
FASTCE_INLINE __m512i two_as_bfloat16(__m512 a, __m512 b) {
    return _mm512_permutex2var_epi16(rounded_to_bfloat16(a), _mm512_load_si512(kUpperHalves), rounded_to_bfloat16(b));
}
FASTCE_INLINE void store_two(bfloat16* p, __m512 a, __m512 b) { _mm512_storeu_si512(p, two_as_bfloat16(a, b)); }
FASTCE_INLINE void stream_two(bfloat16* p, __m512 a, __m512 b) {
    _mm512_stream_si512((__m512i*)p, two_as_bfloat16(a, b));
}
FASTCE_INLINE void stream_all(float16* p, __m512 x) { stream_halves(p, x); }
FASTCE_INLINE void stream_all(bfloat16* p, __m512 x) { stream_halves(p, x); }
FASTCE_INLINE void stream_line(char* to, const char* from) {
    _mm512_stream_si512((__m512i*)to, _mm512_load_si512(from));
}

// A second load may cross another cache line: 8 to 10 % of an exponential and its sum (docs/decisions/0022).
FASTCE_INLINE __m512 loaded_once(__m512 v) {
    asm("" : "+v"(v));
    return v;
}
FASTCE_INLINE __m512d loaded_once(__m512d v) {
    asm("" : "+v"(v));
    return v;
}

FASTCE_INLINE __m512d widen_low(__m512 v) {
    return _mm512_maskz_cvtps_pd(0xff, _mm512_maskz_extractf32x8_ps(0xff, v, 0));
}
FASTCE_INLINE __m512d widen_high(__m512 v) {
    return _mm512_maskz_cvtps_pd(0xff, _mm512_maskz_extractf32x8_ps(0xff, v, 1));
}
FASTCE_INLINE __m512 narrow_both(__m512d low, __m512d high) {
    const __m512 r = _mm512_castps256_ps512(_mm512_maskz_cvtpd_ps(0xff, low));
    return _mm512_mask_insertf32x8(r, 0xffff, r, _mm512_maskz_cvtpd_ps(0xff, high), 1);
}
FASTCE_INLINE __m512d load_widened(const float* p) { return _mm512_maskz_cvtps_pd(0xff, _mm256_loadu_ps(p)); }
FASTCE_INLINE void store_narrowed(float* p, __m512d v) { _mm256_storeu_ps(p, _mm512_maskz_cvtpd_ps(0xff, v)); }

FASTCE_INLINE __m512 permute_lanes(__m512 v, mask_t<float> index) {
    return _mm512_maskz_permutexvar_ps(0xffff, __m512i(index), v);
}
FASTCE_INLINE __m512d permute_lanes(__m512d v, mask_t<double> index) {
    return _mm512_maskz_permutexvar_pd(0xff, __m512i(index), v);
}
FASTCE_INLINE __m512 load_groups_of_four(const float* p, ptrdiff_t pitch) {
    const __m256 low = _mm256_set_m128(_mm_loadu_ps(p + pitch), _mm_loadu_ps(p));
    const __m256 high = _mm256_set_m128(_mm_loadu_ps(p + 3 * pitch), _mm_loadu_ps(p + 2 * pitch));
    const __m512 r = _mm512_castps256_ps512(low);
    return _mm512_mask_insertf32x8(r, 0xffff, r, high, 1);
}

// Of lanes in halves, in quarters and so on.
template <class Op> FASTCE_INLINE double fold_lanes(__m512d v, Op op) {
    __m256d half = op(_mm512_maskz_extractf64x4_pd(0xf, v, 0), _mm512_maskz_extractf64x4_pd(0xf, v, 1));
    half = op(half, _mm256_permute4x64_pd(half, 0x4e));
    return _mm256_cvtsd_f64(op(half, _mm256_permute_pd(half, 5)));
}
FASTCE_INLINE double sum_of_lanes(__m512d v) {
    return fold_lanes(v, [](__m256d a, __m256d b) __attribute__((always_inline)) { return a + b; });
}
FASTCE_INLINE double largest_lane(__m512d v) {
    return fold_lanes(v, [](__m256d a, __m256d b) __attribute__((always_inline)) { return _mm256_max_pd(a, b); });
}
FASTCE_INLINE double largest_lane(__m512 v) { return largest_lane(larger(widen_low(v), widen_high(v))); }

}  // namespace fastce
