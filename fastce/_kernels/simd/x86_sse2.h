// x86-64 without an extension: 16 bytes.
#pragma once

#include <immintrin.h>

#define FASTCE_VECTOR_BYTES 16
namespace fastce {
constexpr bool kHasFma = false, kHasPowerScale = false;
}

#include "simd/generic.h"

namespace fastce {

FASTCE_INLINE __m128 larger(__m128 a, __m128 b) { return _mm_max_ps(a, b); }
FASTCE_INLINE __m128d larger(__m128d a, __m128d b) { return _mm_max_pd(a, b); }
FASTCE_INLINE __m128 smaller(__m128 a, __m128 b) { return _mm_min_ps(a, b); }
FASTCE_INLINE __m128d smaller(__m128d a, __m128d b) { return _mm_min_pd(a, b); }
FASTCE_INLINE unsigned larger_lanes(__m128 v, __m128 bound) { return unsigned(_mm_movemask_ps(__m128(v > bound))); }
FASTCE_INLINE bool any_bit_of(__m128d v) {
    return _mm_movemask_epi8(_mm_cmpeq_epi8(_mm_castpd_si128(v), _mm_setzero_si128())) != 0xffff;
}

FASTCE_INLINE __m128d widen_low(__m128 v) { return _mm_cvtps_pd(v); }
FASTCE_INLINE __m128d widen_high(__m128 v) { return _mm_cvtps_pd(_mm_movehl_ps(v, v)); }
// By name: of {float(a), float(b), float(c), float(d)} GCC 12 takes c and d unrounded.
FASTCE_INLINE __m128 narrow_both(__m128d low, __m128d high) {
    return _mm_movelh_ps(_mm_cvtpd_ps(low), _mm_cvtpd_ps(high));
}
FASTCE_INLINE __m128d load_widened(const float* p) {
    return _mm_cvtps_pd(_mm_castpd_ps(_mm_load_sd((const double*)p)));
}
FASTCE_INLINE void store_narrowed(float* p, __m128d v) { _mm_store_sd((double*)p, _mm_castps_pd(_mm_cvtpd_ps(v))); }

FASTCE_INLINE void stream_line(char* to, const char* from) {
    for (int k = 0; k < 64; k += 16) _mm_stream_si128((__m128i*)(to + k), _mm_load_si128((const __m128i*)(from + k)));
}

}  // namespace fastce
