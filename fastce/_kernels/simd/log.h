// log and log1p of one vector.
//
//   function       lanes     largest error      range in which it holds
//   log            float     0.9 ulp            normal numbers; 0 -> -inf, inf -> inf, NaN -> NaN
//   log            double    1.0 ulp            likewise
//   brief_log      double    1e-9 relative      likewise
//   log1p          float     1.0 ulp            x >= 0
//   log1p          double    1.2 ulp            likewise
//
// tests/kernels/test_vector_functions.py holds each instruction set to these numbers.
#pragma once

#include "simd/vector.h"

namespace fastce {

// log(u) + c for u > 0 and a small correction c; u = 2^e m with m in [sqrt(1/2), sqrt(2)), f = m - 1.
template <class T> FASTCE_INLINE vec<T> log_corrected(vec<T> u, vec<T> c);

template <class T> FASTCE_INLINE vec<T> log_float(vec<T> u, vec<T> c) {
    using raw = typename vec<T>::raw;
    typename vec<T>::bits biased = (bits<T>(u.v) + (0x3f800000u - 0x3f3504f3u)) >> 23;
    raw e = from_bits<T>(biased | 0x4b000000u) - (8388608.0f + 127.0f);
    raw f = from_bits<T>(bits<T>(u.v) - ((biased - 127u) << 23)) - 1.0f;
    raw p = 0.05266882851719856f * f - 0.10880830138921738f;
    p = p * f + 0.12120252102613449f;
    p = p * f - 0.12556733191013336f;
    p = p * f + 0.14209085702896118f;
    p = p * f - 0.16658908128738403f;
    p = p * f + 0.20002229511737823f;
    p = p * f - 0.2500017583370209f;
    p = p * f + 0.3333331346511841f;
    raw q = f * f;
    raw small = (p * f) * q + (e * 1.42860682030941723e-6f + c.v);
    small = small - 0.5f * q;
    return e * 0.693145751953125f + (f + small);
}

// double: with s = f / (2 + f), log(1 + f) = f - f^2/2 + s (f^2/2 + R(s^2)), R as in FreeBSD's e_log.c.
template <class T> FASTCE_INLINE vec<T> log_double(vec<T> u, vec<T> c) {
    using raw = typename vec<T>::raw;
    typename vec<T>::bits biased =
        (bits<T>(u.v) + (0x3ff0000000000000u - 0x3fe6a09e667f3bcdu)) >> 52;
    raw e = from_bits<T>(biased | 0x4330000000000000u) - (4503599627370496.0 + 1023.0);
    raw f = from_bits<T>(bits<T>(u.v) - ((biased - 1023u) << 52)) - 1.0;
    raw s = f / (f + 2.0);
    raw z = s * s;
    raw R = 1.479819860511658591e-01 * z + 1.531383769920937332e-01;
    R = R * z + 1.818357216161805012e-01;
    R = R * z + 2.222219843214978396e-01;
    R = R * z + 2.857142874366239149e-01;
    R = R * z + 3.999999999940941908e-01;
    R = R * z + 6.666666666666735130e-01;
    raw half = 0.5 * f * f;
    raw small = s * (half + R * z) + (e * 2.8235290563031577e-13 + c.v);
    return e * 0.693147180559663 - ((half - small) - f);
}

// Without a division, and precise enough for what becomes a float: the polynomial is log_float's, fitted anew.
FASTCE_INLINE vec<double> brief_log(vec<double> u, vec<double> c) {
    using raw = vec<double>::raw;
    vec<double>::bits biased =
        (bits<double>(u.v) + (0x3ff0000000000000u - 0x3fe6a09e667f3bcdu)) >> 52;
    raw e = from_bits<double>(biased | 0x4330000000000000u) - (4503599627370496.0 + 1023.0);
    raw f = from_bits<double>(bits<double>(u.v) - ((biased - 1023u) << 52)) - 1.0;
    raw q = f * f, r = q * q;
    raw low = (0.2500000960467467 * f - 0.333333126024978) + (0.1666799562229932 * f - 0.2000211874995024) * q;
    raw high = (0.1240559201505302 * f - 0.1421955055758328) +
               (0.1167563878814208 * f - 0.1188817756875867) * q - 0.0674659190955025 * r;
    raw p = (low + high * r) * f + 0.5;
    return e * 0.693147180559945309 + (f + (c.v - p * q));
}

template <class T> FASTCE_INLINE vec<T> with_limits(vec<T> u, vec<T> log) {
    constexpr lane_t<T> infinity = std::numeric_limits<lane_t<T>>::infinity();
    const auto y = u.v < infinity ? log.v : u.v;  // inf and NaN are their own logarithms
    return u.v == 0 ? -infinity - typename vec<T>::raw{} : y;
}
template <class T> FASTCE_INLINE vec<T> log_corrected(vec<T> u, vec<T> c) {
    if constexpr (sizeof(lane_t<T>) == 4) return with_limits(u, log_float(u, c));
    else return with_limits(u, log_double(u, c));
}
// The same in double, to the digits that T's lanes have.
template <class T> FASTCE_INLINE vec<double> log_for(const T*, vec<double> u, vec<double> c) {
    if constexpr (sizeof(lane_t<T>) == 4) return with_limits(u, brief_log(u, c));
    else return log_corrected(u, c);
}

template <class T> FASTCE_INLINE vec<T> log(vec<T> x) { return log_corrected(x, vec<T>(0.0)); }

// log(1 + q), q >= 0: what rounding 1 + q lost comes back as a correction of first order.
template <class T> FASTCE_INLINE vec<T> log1p(vec<T> q) {
    vec<T> u = q + vec<T>(1.0);
    return log_corrected(u, vec<T>((q.v - (u.v - 1)) / u.v));
}

// log of numbers that may be subnormal.
template <class T> FASTCE_INLINE vec<T> scaled_log(vec<T> x) {
    using lane = lane_t<T>;
    const vec<T> smallest(1.0 * std::numeric_limits<lane>::min()), zero(0.0), up(0x1p60);
    vec<T> normal = where_below(x, smallest, x * up, x);
    return log(normal) - where_below(x, smallest, vec<T>(41.58883083359671856), zero);  // 60 ln 2
}

}  // namespace fastce
