// exp of one vector.
//
//   function       lanes     largest error      range in which it holds
//   exp            float     0.9 ulp            normal results but for the largest half binade; smaller ones are 0
//   exp            double    1.2 ulp            likewise
//   scaled_exp     float     0.9 ulp            exp times 2^24, likewise
//   scaled_exp     double    1.2 ulp            likewise
//
// tests/kernels/test_vector_functions.py holds each instruction set to these numbers. Far above the range exp returns
// a number beyond `kLargestSum` or NaN, never a small one: whoever sums exponentials sees from the sum alone that the
// shift was too low.
#pragma once

#include "simd/vector.h"

namespace fastce {

// Kernels keep exponentials times 2^24 (power of two: nothing rounds), so that what fades to 0 is below
// the smallest normal number even after the division by a sum within the bounds.
constexpr double kExpScale = 0x1p24;

// A sum of exponentials outside these bounds was taken with a shift too far from the maximum.
constexpr double kLargestSum = 0x1p50, kSmallestSum = 0x1p-24;

// Where the exponentials of all other classes add up to less than this part of the label's, they are summed
// without it.
constexpr double kLeastRest = 0x1p-24;

// scale * exp(r) for |r| <= ln(2)/2 and scale a power of two, for which all coefficients are multiplied by
// it: minimax polynomials of degree 6 and 11. Without fused multiply-add the last steps are written so
// that only the last one rounds.
FASTCE_INLINE raw_float exp_near_zero(raw_float r, const float scale) {
    raw_float p = (0.0013838002923876047f * scale) * r + 0.00836916547268629f * scale;
    p = p * r + 0.04166810214519501f * scale;
    p = p * r + 0.16666516661643982f * scale;
    p = p * r + 0.4999999403953552f * scale;
    if constexpr (kHasFma) {
        p = p * r + scale;
        return p * r + scale;
    } else {
        const raw_float sum = r + 1.0f, lost = r - (sum - 1.0f);
        return sum * scale + (p * (r * r) + lost * scale);
    }
}
FASTCE_INLINE raw_double exp_near_zero(raw_double r) {
    raw_double p = r * 2.5000072281462545e-08 + 2.7630233929422184e-07;
    p = p * r + 2.7557586266515903e-06;
    p = p * r + 2.4801493136159967e-05;
    p = p * r + 0.00019841269506779463;
    p = p * r + 0.0013888888943597722;
    p = p * r + 0.008333333333494333;
    p = p * r + 0.041666666666530267;
    p = p * r + 0.16666666666666413;
    p = p * r + 0.5000000000000011;
    if constexpr (kHasFma) {
        p = p * r + 1.0;
        return p * r + 1.0;
    } else {
        const raw_double sum = r + 1.0, lost = r - (sum - 1.0);  // exact: |r| < 1
        return sum + (p * (r * r) + lost);
    }
}
FASTCE_INLINE raw_float exp_near_zero(raw_float r) { return exp_near_zero(r, 1.0f); }

// x - n ln 2 in two steps: the first constant has few enough bits for an exact product even where the
// processor has no fused multiply-add.
FASTCE_INLINE raw_float reduced(raw_float x, raw_float n) {
    return (x - n * 0.693145751953125f) - n * 1.42860682030941723e-6f;
}
FASTCE_INLINE raw_double reduced(raw_double x, raw_double n) {
    return (x - n * 0.693147180559663) - n * 2.8235290563031577e-13;
}

// Where the processor scales by a power of two: it does so with its own exponent arithmetic, which saturates. Below
// `lowest`, where scale * exp(x) is no normal number, the result is 0.
template <class lane> constexpr lane lowest_exponent(double scale) {
    return bits_of<lane>::lowest - lane(scale == 1 ? 0 : 16.635532);  // 24 ln 2, all of it normal
}
FASTCE_INLINE raw_float exp_by_scaling(const double scale, raw_float x) {
    constexpr float rounder = bits_of<float>::rounder;
    const raw_float n = (x * 1.44269504088896341f + rounder) - rounder;
    return scale_by_power(exp_near_zero(reduced(x, n), float(scale)), n, x, lowest_exponent<float>(scale));
}

// 2^(k/16)
alignas(64) static constexpr double kPowers[16] = {
    1.0, 1.0442737824274138, 1.0905077326652577, 1.1387886347566916,
    1.189207115002721, 1.241857812073484, 1.2968395546510096, 1.3542555469368927,
    1.4142135623730951, 1.4768261459394993, 1.5422108254079407, 1.6104903319492543,
    1.681792830507429, 1.7562521603732995, 1.8340080864093424, 1.9152065613971474,
};

// double: 2^(k/16) from a table that fits two registers leaves |r| <= ln(2)/32 to a polynomial of degree 6.
FASTCE_INLINE raw_double exp_by_scaling(const double scale, raw_double x) {
    constexpr double rounder = bits_of<double>::rounder;
    const raw_double z = x * 23.083120654223414 + rounder, n = z - rounder;
    const raw_double r = (x - n * 0.04332169878489367) - n * 1.0291218489310676e-13;
    raw_double p = 0.0013888584435859765 * r + 0.008333474709715336;
    p = p * r + 0.04166666669451923;
    p = p * r + 0.16666666664326554;
    p = p * r + 0.4999999999999958;
    p = (p * r) * r + r;
    const raw_double power = look_up(bits<double>(z), kPowers) * scale;
    return scale_by_power(power * p + power, n * 0.0625, x, lowest_exponent<double>(scale));
}

// Where it does not, x is kept within what the exponent's bits can say: at the lower end 2^n is 0, at the upper inf.
// The rounder holds the exponent's bias, so the last bits of x log2(e) + rounder, shifted, are 2^n.
template <class T> FASTCE_INLINE vec<T> exp_by_bits(const double scale, vec<T> x) {
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

template <class T> FASTCE_INLINE vec<T> times_exp(const double scale, vec<T> x) {
    if constexpr (kHasPowerScale) return exp_by_scaling(scale, x.v);
    else return exp_by_bits(scale, x);
}
template <class T> FASTCE_INLINE vec<T> exp(vec<T> x) { return times_exp(1, x); }
template <class T> FASTCE_INLINE vec<T> scaled_exp(vec<T> x) { return times_exp(kExpScale, x); }

// e / (1 + e) for 0 <= e <= 1; what rounding took from the sum comes back to first order.
template <class T> FASTCE_INLINE vec<T> share_of(vec<T> e) {
    const vec<T> one(1.0), sum = one + e, lost = e - (sum - one), share = e / sum;
    return share - (share * lost) * (one - share);
}

}  // namespace fastce
