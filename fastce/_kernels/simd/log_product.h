// Sums of logarithms as the logarithm of a product, and the quotients that belong to them.
#pragma once

#include "simd/exp.h"
#include "simd/log.h"
#include "simd/sums.h"

namespace fastce {

// sigmoid(40) is 1, in double too, and log(1 + exp(40)) is 40. Sixteen factors 1 + exp(40), two to a step, stay
// within the range of a double (log_product).
constexpr double kModerate = 40;

// The sum of losses smaller than this on the average is not taken from a product, which rounds by 2^-53.
constexpr double kLeastMean = 1e-8;

template <class T> constexpr typename vec<T>::bits sign_bit() {
    return typename vec<T>::bits{} + (sizeof(lane_t<T>) == 8 ? 0x8000000000000000u : 0x80000000u);
}

// |x|, -|x|
template <class T> FASTCE_INLINE vec<T> size_of(vec<T> x) { return from_bits<T>(bits<T>(x.v) & ~sign_bit<T>()); }
template <class T> FASTCE_INLINE vec<T> minus_size(vec<T> x) { return from_bits<T>(bits<T>(x.v) | sign_bit<T>()); }

// Whether any bit of a vector is set.
template <class V> FASTCE_INLINE bool any_bit(V v) { return any_bit_of((raw_double)v); }
template <class T, class Lanes> FASTCE_INLINE bool all_zero(Lanes v) { return !any_bit(v); }

// exp of moderate numbers.
template <class T> FASTCE_INLINE vec<T> moderate_exp(vec<T> x) {
    using raw = typename vec<T>::raw;
    if constexpr (sizeof(lane_t<T>) == 8) {
        return exp(x);
    } else {
        raw z = x.v * 1.44269504088896341f + bits_of<float>::rounder;
        raw p = exp_near_zero(reduced(x.v, z - bits_of<float>::rounder), 1.0f);
        return from_bits<T>(bits<T>(p) + (bits<T>(z) << bits_of<float>::mantissa));
    }
}

// x / divisor, and what that misses of the true quotient: by way of double where the processor has no
// fused multiply-add, for double itself nothing then.
template <class T> FASTCE_INLINE vec<T> quotient(vec<T> x, vec<T> divisor, vec<T>* rest) {
    if constexpr (kHasFma) {
        const vec<T> r = vec<T>(1.0) / divisor, q = x * r;
        *rest = (x - q * divisor) * r;
        return q;
    } else {
        const vec<T> q = x / divisor;
        for (int k = 0; k < vec<T>::lanes; ++k)
            rest->v[k] = lane_t<T>(double(x.v[k]) / double(divisor.v[k]) - double(q.v[k]));
        return q;
    }
}

// The exponents of positive numbers, of which 1 to 2 is left; and the logarithm of 2 to the sum of such.
FASTCE_INLINE vec<double>::bits exponents_out_of(vec<double>& x) {
    const vec<double>::bits b = bits<double>(x.v);
    x = from_bits<double>((b & 0x000fffffffffffffu) | 0x3ff0000000000000u);
    return (b >> 52) - 1023;
}
FASTCE_INLINE double log_of_power(vec<double>::bits exponents) {
    int64_t n = 0;
    for (int k = 0; k < vec<double>::lanes; ++k) n += int64_t(exponents[k]);
    return double(n) * 0.693147180559945309;
}

// A sum of logarithms over float lanes: the logarithm of a product of doubles, whose exponents are counted
// apart. A factor 1 + e rounds by 2^-53 at most, whatever the size of e. For double lanes it is of no use.
template <class T> struct log_product {
    vec<double> low{1.0}, high{1.0}, rests{0.0};
    vec<T> rest{0.0};
    vec<double>::bits count{};

    // Factors 1 + a and 1 + b. Their product less 1, a + b + a b, rounds by 2^-24 of what it is added to.
    FASTCE_INLINE void add(vec<T> a, vec<T> b) {
        if constexpr (sizeof(lane_t<T>) == 4) {
            const vec<T> both = a * b + (a + b);
            low = low * widened<0>(both.v) + low;
            high = high * widened<1>(both.v) + high;
        }
    }
    // A factor q, and what to add to its logarithm.
    FASTCE_INLINE void multiply(vec<T> q, vec<T> small) {
        if constexpr (sizeof(lane_t<T>) == 4) {
            low = low * widened<0>(q.v);
            high = high * widened<1>(q.v);
            rest = rest + small;
        }
    }
    // To be called before the next, where there may be NaN, which would lose its exponent.
    FASTCE_INLINE void keep_nan() { rests = rests + ((low - low) + (high - high)); }
    // To be called after at most sixteen factors.
    FASTCE_INLINE void take_exponents() {
        count += exponents_out_of(low) + exponents_out_of(high);
        if constexpr (sizeof(lane_t<T>) == 4) rests = rests + (widened<0>(rest.v) + widened<1>(rest.v));
        rest = vec<T>(0.0);
    }
    FASTCE_INLINE double value() const { return lane_sum(log(low * high) + rests) + log_of_power(count); }
};

}  // namespace fastce
