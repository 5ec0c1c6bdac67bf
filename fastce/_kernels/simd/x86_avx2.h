// x86-64-v3, which is AVX2, FMA and F16C: 32 bytes.
#pragma once

#include <immintrin.h>

#define FASTCE_VECTOR_BYTES 32
namespace fastce {
constexpr bool kHasFma = true, kHasPowerScale = false;
}

#include "simd/generic.h"

namespace fastce {

FASTCE_INLINE __m256 larger(__m256 a, __m256 b) { return _mm256_max_ps(a, b); }
FASTCE_INLINE __m256d larger(__m256d a, __m256d b) { return _mm256_max_pd(a, b); }
FASTCE_INLINE __m256 smaller(__m256 a, __m256 b) { return _mm256_min_ps(a, b); }
FASTCE_INLINE __m256d smaller(__m256d a, __m256d b) { return _mm256_min_pd(a, b); }
FASTCE_INLINE unsigned larger_lanes(__m256 v, __m256 bound) { return unsigned(_mm256_movemask_ps(__m256(v > bound))); }
FASTCE_INLINE bool any_bit_of(__m256d v) {
    const __m256i bits = _mm256_castpd_si256(v);
    return !_mm256_testz_si256(bits, bits);
}

FASTCE_INLINE __m256 multiply_add(__m256 a, __m256 b, __m256 c) { return _mm256_fmadd_ps(a, b, c); }
FASTCE_INLINE __m256d multiply_add(__m256d a, __m256d b, __m256d c) { return _mm256_fmadd_pd(a, b, c); }
FASTCE_INLINE __m256d multiply_subtract(__m256d a, __m256d b, __m256d c) { return _mm256_fmsub_pd(a, b, c); }

// Eight lanes of ones, then eight of zeros: a mask of the first n lanes begins 8 - n before the middle.
alignas(32) static const int32_t kFirst[16] = {-1, -1, -1, -1, -1, -1, -1, -1};
FASTCE_INLINE __m256i first_floats(ptrdiff_t n) { return _mm256_loadu_si256((const __m256i*)(kFirst + 8 - n)); }
FASTCE_INLINE __m256i first_doubles(ptrdiff_t n) { return _mm256_loadu_si256((const __m256i*)(kFirst + 8 - 2 * n)); }
FASTCE_INLINE __m256 load_first(const float* p, ptrdiff_t n, double fill) {
    const __m256i take = first_floats(n);
    return _mm256_blendv_ps(_mm256_set1_ps(float(fill)), _mm256_maskload_ps(p, take), _mm256_castsi256_ps(take));
}
FASTCE_INLINE __m256d load_first(const double* p, ptrdiff_t n, double fill) {
    const __m256i take = first_doubles(n);
    return _mm256_blendv_pd(_mm256_set1_pd(fill), _mm256_maskload_pd(p, take), _mm256_castsi256_pd(take));
}
FASTCE_INLINE void store_first(float* p, __m256 x, ptrdiff_t n) { _mm256_maskstore_ps(p, first_floats(n), x); }
FASTCE_INLINE void store_first(double* p, __m256d x, ptrdiff_t n) { _mm256_maskstore_pd(p, first_doubles(n), x); }

FASTCE_INLINE __m256 load_all(const float16* p) { return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i*)p)); }
FASTCE_INLINE __m256 load_all(const bfloat16* p) {
    const __m256i wide = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i*)p));
    return _mm256_castsi256_ps(_mm256_slli_epi32(wide, 16));
}
FASTCE_INLINE void store_all(float16* p, __m256 x) {
    _mm_storeu_si128((__m128i*)p, _mm256_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT));
}
// To the nearest, ties to even, as narrow() does it; NaN stays one.
FASTCE_INLINE void store_all(bfloat16* p, __m256 x) {
    const __m256i b = _mm256_castps_si256(x);
    const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(b, 16), _mm256_set1_epi32(1));
    const __m256i near = _mm256_add_epi32(b, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff)));
    const __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(x, x, _CMP_UNORD_Q));
    const __m256i quiet = _mm256_or_si256(b, _mm256_set1_epi32(0x400000));
    const __m256i half = _mm256_srli_epi32(_mm256_blendv_epi8(near, quiet, nan), 16);
    const __m256i packed = _mm256_permute4x64_epi64(_mm256_packus_epi32(half, half), 0x08);
    _mm_storeu_si128((__m128i*)p, _mm256_castsi256_si128(packed));
}

FASTCE_INLINE void stream_all(float* p, __m256 x) { _mm256_stream_ps(p, x); }
FASTCE_INLINE void stream_all(double* p, __m256d x) { _mm256_stream_pd(p, x); }
template <class T> FASTCE_INLINE void stream_halves(T* p, __m256 x) {
    T part[8];
    store_all(part, x);
    _mm_stream_si128((__m128i*)p, _mm_loadu_si128((const __m128i*)part));
}
FASTCE_INLINE void stream_all(float16* p, __m256 x) { stream_halves(p, x); }
FASTCE_INLINE void stream_all(bfloat16* p, __m256 x) { stream_halves(p, x); }
// Where there is no NaN, the bits round by themselves.
FASTCE_INLINE __m256i rounded_to_bfloat16(__m256 x) {
    const __m256i b = _mm256_castps_si256(x), odd = _mm256_and_si256(_mm256_srli_epi32(b, 16), _mm256_set1_epi32(1));
    return _mm256_srli_epi32(_mm256_add_epi32(_mm256_add_epi32(b, _mm256_set1_epi32(0x7fff)), odd), 16);
}
FASTCE_INLINE __m256i two_as_bfloat16(__m256 a, __m256 b) {
    return _mm256_permute4x64_epi64(_mm256_packus_epi32(rounded_to_bfloat16(a), rounded_to_bfloat16(b)), 0xd8);
}
FASTCE_INLINE void store_two(bfloat16* p, __m256 a, __m256 b) {
    _mm256_storeu_si256((__m256i*)p, two_as_bfloat16(a, b));
}
FASTCE_INLINE void stream_two(bfloat16* p, __m256 a, __m256 b) {
    _mm256_stream_si256((__m256i*)p, two_as_bfloat16(a, b));
}
FASTCE_INLINE void stream_line(char* to, const char* from) {
    for (int k = 0; k < 64; k += 32)
        _mm256_stream_si256((__m256i*)(to + k), _mm256_load_si256((const __m256i*)(from + k)));
}

FASTCE_INLINE __m256d widen_low(__m256 v) { return _mm256_cvtps_pd(_mm256_extractf128_ps(v, 0)); }
FASTCE_INLINE __m256d widen_high(__m256 v) { return _mm256_cvtps_pd(_mm256_extractf128_ps(v, 1)); }
FASTCE_INLINE __m256 narrow_both(__m256d low, __m256d high) {
    return _mm256_set_m128(_mm256_cvtpd_ps(high), _mm256_cvtpd_ps(low));
}
FASTCE_INLINE __m256d load_widened(const float* p) { return _mm256_cvtps_pd(_mm_loadu_ps(p)); }
FASTCE_INLINE void store_narrowed(float* p, __m256d v) { _mm_storeu_ps(p, _mm256_cvtpd_ps(v)); }

FASTCE_INLINE __m256 permute_lanes(__m256 v, mask_t<float> index) {
    return _mm256_permutevar8x32_ps(v, __m256i(index));
}
FASTCE_INLINE __m256 load_groups_of_four(const float* p, ptrdiff_t pitch) {
    return _mm256_set_m128(_mm_loadu_ps(p + pitch), _mm_loadu_ps(p));
}

FASTCE_INLINE double largest_lane(__m256d v) {
    v = larger(v, _mm256_permute4x64_pd(v, 0x4e));
    return _mm256_cvtsd_f64(larger(v, _mm256_permute_pd(v, 5)));
}
FASTCE_INLINE double largest_lane(__m256 v) {
    v = larger(v, _mm256_permute2f128_ps(v, v, 1));
    v = larger(v, _mm256_permute_ps(v, 0x4e));
    return _mm256_cvtss_f32(larger(v, _mm256_permute_ps(v, 0xb1)));
}

}  // namespace fastce
