// exp, log and log1p of one vector.
//
//   function       lanes     largest error      range in which it holds
//   exp            float     0.9 ulp            normal results; smaller ones are 0
//   exp            double    1.2 ulp            likewise
//   log            float     0.9 ulp            normal numbers; 0 -> -inf, inf -> inf, NaN -> NaN
//   log            double    1.0 ulp            likewise
//   brief_log      double    1e-9 relative      likewise
//   log1p          both      1.0 / 1.2 ulp      x >= 0
//
// Far above the range exp returns a number beyond `kLargestSum` or NaN, never a small one: whoever
// sums exponentials sees from the sum alone that the anchor was too low.
#pragma once

#include "simd/vector.h"

namespace fastce {

// Kernels keep exponentials times 2^24 (power of two: nothing rounds), so that what fades to 0 is below
// the smallest normal number even after the division by a sum within the bounds.
constexpr double kExpScale = 0x1p24;

// A sum of exponentials outside these bounds was taken from an anchor too far from the maximum.
constexpr double kLargestSum = 0x1p50, kSmallestSum = 0x1p-24;

// Where all other terms together are less than this part of the label's, they are summed without it.
constexpr double kLeastRest = 0x1p-24;

template <class lane> struct bits_of;
template <> struct bits_of<float> {
    static constexpr float rounder = 12582912.0f;  // 1.5 * 2^23: x + rounder has x's nearest integer in its last bits
    static constexpr float lowest = -87.336544f;
    static constexpr int mantissa = 23, bias = 127;
};
template <> struct bits_of<double> {
    static constexpr double rounder = 6755399441055744.0;  // 1.5 * 2^52
    static constexpr double lowest = -708.39641853226;
    static constexpr int mantissa = 52, bias = 1023;
};

template <class T> FASTCE_INLINE typename vec<T>::bits bits(typename vec<T>::raw x) {
    return (typename vec<T>::bits)x;
}
template <class T> FASTCE_INLINE typename vec<T>::raw from_bits(typename vec<T>::bits x) {
    return (typename vec<T>::raw)x;
}

// scale * exp(r) for |r| <= ln(2)/2 and scale a power of two, for which all coefficients are multiplied by
// it: minimax polynomials of degree 6 and 11. Without fused multiply-add the last steps are written so
// that only the last one rounds.
FASTCE_INLINE raw_of<float>::raw exp_near_zero(raw_of<float>::raw r, const float scale) {
    raw_of<float>::raw p = (0.0013838002923876047f * scale) * r + 0.00836916547268629f * scale;
    p = p * r + 0.04166810214519501f * scale;
    p = p * r + 0.16666516661643982f * scale;
    p = p * r + 0.4999999403953552f * scale;
#if defined(__FMA__) || defined(__ARM_FEATURE_FMA)
    p = p * r + scale;
    return p * r + scale;
#else
    raw_of<float>::raw sum = r + 1.0f, lost = r - (sum - 1.0f);
    return sum * scale + (p * (r * r) + lost * scale);
#endif
}
FASTCE_INLINE raw_of<double>::raw exp_near_zero(raw_of<double>::raw r) {
    raw_of<double>::raw p = r * 2.5000072281462545e-08 + 2.7630233929422184e-07;
    p = p * r + 2.7557586266515903e-06;
    p = p * r + 2.4801493136159967e-05;
    p = p * r + 0.00019841269506779463;
    p = p * r + 0.0013888888943597722;
    p = p * r + 0.008333333333494333;
    p = p * r + 0.041666666666530267;
    p = p * r + 0.16666666666666413;
    p = p * r + 0.5000000000000011;
#if defined(__FMA__) || defined(__ARM_FEATURE_FMA)
    p = p * r + 1.0;
    return p * r + 1.0;
#else
    raw_of<double>::raw sum = r + 1.0, lost = r - (sum - 1.0);  // exact: |r| < 1
    return sum + (p * (r * r) + lost);
#endif
}
FASTCE_INLINE raw_of<float>::raw exp_near_zero(raw_of<float>::raw r) { return exp_near_zero(r, 1.0f); }

// x - n ln 2 in two steps: the first constant has few enough bits for an exact product even where the
// processor has no fused multiply-add.
FASTCE_INLINE raw_of<float>::raw reduced(raw_of<float>::raw x, raw_of<float>::raw n) {
    return (x - n * 0.693145751953125f) - n * 1.42860682030941723e-6f;
}
FASTCE_INLINE raw_of<double>::raw reduced(raw_of<double>::raw x, raw_of<double>::raw n) {
    return (x - n * 0.693147180559663) - n * 2.8235290563031577e-13;
}

#if defined(__AVX512F__)

// Below it scale * exp(x) is no normal number.
template <class lane> constexpr lane lowest_exponent(double scale) {
    return bits_of<lane>::lowest - lane(scale == 1 ? 0 : 16.635532);  // 24 ln 2, all of it normal
}

// 2^n p by the processor's own exponent arithmetic, which saturates; 0 where x is below the range. The
// mask must keep those lanes from being computed at all: a subnormal result costs 150 cycles.
FASTCE_INLINE __m512 scaled(__m512 p, __m512 n, __m512 x, const double scale) {
    const float lowest = lowest_exponent<float>(scale);
    __mmask16 in_range = _mm512_cmp_ps_mask(x, _mm512_set1_ps(lowest), _CMP_NLT_UQ);
    return _mm512_maskz_scalef_ps(in_range, p, n);
}
FASTCE_INLINE __m512d scaled(__m512d p, __m512d n, __m512d x, const double scale) {
    const double lowest = lowest_exponent<double>(scale);
    __mmask8 in_range = _mm512_cmp_pd_mask(x, _mm512_set1_pd(lowest), _CMP_NLT_UQ);
    return _mm512_maskz_scalef_pd(in_range, p, n);
}

template <class T> FASTCE_INLINE vec<T> times_exp(const double scale, vec<T> x) {
    using raw = typename vec<T>::raw;
    constexpr float rounder = bits_of<float>::rounder;
    raw n = (x.v * 1.44269504088896341f + rounder) - rounder;
    return raw(scaled(__m512(exp_near_zero(reduced(x.v, n), float(scale))), __m512(n), __m512(x.v), scale));
}

// double: 2^(k/16) from a table that fits two registers leaves |r| <= ln(2)/32 to a polynomial of degree 6.
template <> FASTCE_INLINE vec<double> times_exp(const double scale, vec<double> x) {
    using raw = vec<double>::raw;
    constexpr double rounder = bits_of<double>::rounder;
    const raw low = {1.0, 1.0442737824274138, 1.0905077326652577, 1.1387886347566916,
                     1.189207115002721, 1.241857812073484, 1.2968395546510096, 1.3542555469368927};
    const raw high = {1.4142135623730951, 1.4768261459394993, 1.5422108254079407, 1.6104903319492543,
                      1.681792830507429, 1.7562521603732995, 1.8340080864093424, 1.9152065613971474};
    raw z = x.v * 23.083120654223414 + rounder;
    raw n = z - rounder;
    raw r = (x.v - n * 0.04332169878489367) - n * 1.0291218489310676e-13;
    raw p = 0.0013888584435859765 * r + 0.008333474709715336;
    p = p * r + 0.04166666669451923;
    p = p * r + 0.16666666664326554;
    p = p * r + 0.4999999999999958;
    p = (p * r) * r + r;
    raw power = raw(_mm512_permutex2var_pd(__m512d(low), __m512i(z), __m512d(high)));
    power = power * scale;
    return raw(scaled(__m512d(power * p + power), __m512d(n * 0.0625), __m512d(x.v), scale));
}

#else

// x is kept within what the exponent's bits can say: at the lower end 2^n is 0, at the upper inf. The
// rounder holds the exponent's bias, so the last bits of x log2(e) + rounder, shifted, are 2^n.
template <class T> FASTCE_INLINE vec<T> times_exp(const double scale, vec<T> x) {
    using raw = typename vec<T>::raw;
    using lane = lane_t<T>;
    using constant = bits_of<lane>;
    constexpr double ln2 = 0.693147180559945309;
    const int bias = constant::bias + (scale == 1 ? 0 : 24);
    const lane rounder = constant::rounder + lane(bias);
    const vec<T> lowest(-bias * ln2), highest((2 * constant::bias + 1 - bias) * ln2);
    const raw y = minimum(highest, maximum(lowest, x)).v;
    const raw z = y * lane(1.44269504088896341) + rounder;
    const raw p = exp_near_zero(reduced(y, z - rounder));
    return p * from_bits<T>(bits<T>(z) << constant::mantissa);
}

#endif

template <class T> FASTCE_INLINE vec<T> exp(vec<T> x) { return times_exp(1, x); }
template <class T> FASTCE_INLINE vec<T> scaled_exp(vec<T> x) { return times_exp(kExpScale, x); }

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

// e / (1 + e) for 0 <= e <= 1; what rounding took from the sum comes back to first order.
template <class T> FASTCE_INLINE vec<T> share_of(vec<T> e) {
    const vec<T> one(1.0), sum = one + e, lost = e - (sum - one), share = e / sum;
    return share - (share * lost) * (one - share);
}

}  // namespace fastce
