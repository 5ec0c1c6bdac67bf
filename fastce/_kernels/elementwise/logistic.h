// What sigmoid cross-entropy needs of one vector where labels are 0 or 1 and logits are moderate.
//
// Design. With s = -x where the label is 1 and s = x where it is 0, the loss is log(1 + exp(s)) and the
// gradient exp(s) / (1 + exp(s)) with the sign of s / x. Within |x| <= kModerate the exponential needs no
// care for its range, and the losses of a run can be summed without a logarithm each: as that of a product.
// Whether labels and logits were such is found out beside the computation, and known at the end of the run.
#pragma once

#include "simd/exp.h"
#include "simd/log.h"
#include "simd/sums.h"

namespace fastce {

// Sixteen factors 1 + exp(40), two to a step, stay within the range of a double (log_product).
constexpr double kModerate = 40;

// The sum of losses smaller than this on the average is not taken from a product, which rounds by 2^-53.
constexpr double kLeastMean = 1e-8;

template <class T> constexpr typename vec<T>::bits sign_bit() {
    return typename vec<T>::bits{} + (sizeof(lane_t<T>) == 8 ? 0x8000000000000000u : 0x80000000u);
}

// x, or -x where z is 1; z is 0 or 1. The sign of 2^0 is 0, but two bits further right it has a 1.
template <class T> FASTCE_INLINE vec<T> negative_at_one(vec<T> x, vec<T> z) {
    return from_bits<T>(bits<T>(x.v) ^ (bits<T>(z.v) << 2 & sign_bit<T>()));
}

// The array from lane k on.
template <class T> FASTCE_INLINE const vec<T>* from_lane(const vec<T>* v, ptrdiff_t k) {
    return reinterpret_cast<const vec<T>*>(lanes(v) + k);
}

// x, or -x where the other, 0 or -0, has a sign.
template <class T> FASTCE_INLINE vec<T> flipped(vec<T> x, vec<T> flip) {
    return from_bits<T>(bits<T>(x.v) ^ bits<T>(flip.v));
}

// v, or -v where x has the sign bit; yes where it has it, else no.
template <class T> FASTCE_INLINE vec<T> negative_with(vec<T> v, vec<T> x) {
    return from_bits<T>(bits<T>(v.v) ^ (bits<T>(x.v) & sign_bit<T>()));
}
template <class T> FASTCE_INLINE vec<T> where_sign(vec<T> x, vec<T> yes, vec<T> no) {
    return select<T>((typename vec<T>::mask)(x.v) < 0, yes, no);
}

// |x|, -|x|
template <class T> FASTCE_INLINE vec<T> size_of(vec<T> x) {
    return from_bits<T>(bits<T>(x.v) & ~sign_bit<T>());
}
template <class T> FASTCE_INLINE vec<T> minus_size(vec<T> x) {
    return from_bits<T>(bits<T>(x.v) | sign_bit<T>());
}

template <class T, class Lanes> FASTCE_INLINE bool all_zero(Lanes v) {
    bool zero = true;
    for (int k = 0; k < vec<T>::lanes; ++k) zero &= v[k] == 0;
    return zero;
}

// Whether all of n labels are 0 or 1.
inline bool all_hard(const double* z, ptrdiff_t n) {
    typename vec<double>::bits soft{};
    for (ptrdiff_t k = 0; k < n; k += vec<double>::lanes) {
        const auto v = load(z + k, n - k, 0.0).v;
        soft |= bits<double>(v * v - v);
    }
    return all_zero<double>(soft);
}

// Whether all logits seen were moderate, and all labels 0 or 1.
template <class T> struct logistic_doubt {
    typename vec<T>::bits labels{};
    typename vec<T>::mask largest{};  // as integers, finite numbers, infinity and NaN are in this order

    FASTCE_INLINE void see(vec<T> x) {
        const auto size = (typename vec<T>::mask)(size_of(x).v);
        largest = size > largest ? size : largest;
    }
    // -0 where a label is 1, 0 where it is 0.
    FASTCE_INLINE vec<T> see_label(vec<T> z) {
        labels |= bits<T>(z.v * z.v - z.v);
        return negative_at_one(vec<T>(0.0), z);
    }
    FASTCE_INLINE bool hard() const { return all_zero<T>(labels); }
    FASTCE_INLINE bool none() const {
        const vec<T> size = from_bits<T>((typename vec<T>::bits)largest), limit(kModerate);
        return hard() && all_zero<T>(!(size.v <= limit.v));
    }
};

// Whether all probabilities seen were within [0, 1], all labels 0 or 1, and no q, the probability of what
// a label says, so small that it was clipped or sixteen of them leave the range of a double.
template <class T> struct binary_doubt {
    typename vec<T>::bits labels{}, largest{};  // -0, negative numbers and NaN are larger than 1
    vec<T> least{1.0};

    FASTCE_INLINE void see(vec<T> p, vec<T> z, vec<T> q) {
        const auto size = bits<T>(p.v);
        largest = size > largest ? size : largest;
        least = q.v < least.v ? q.v : least.v;
        labels |= bits<T>(z.v * z.v - z.v);
    }
    FASTCE_INLINE bool hard() const { return all_zero<T>(labels); }
    FASTCE_INLINE bool none(double eps) const {
        const vec<T> size = from_bits<T>(largest);
        bool good = hard();
        for (int k = 0; k < vec<T>::lanes; ++k)
            good &= size.v[k] >= 0 && size.v[k] <= 1 && least.v[k] >= 0x1p-60 && double(least.v[k]) >= eps;
        return good;
    }
};

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

// log(1 + e) for 0 <= e <= 1. float: e - e^2 Q(e) with a minimax polynomial Q: 0.9 ulp, 1.4 without fused
// multiply-add.
template <class T> FASTCE_INLINE vec<T> log1p_of_share(vec<T> e) {
    if constexpr (sizeof(lane_t<T>) == 8) {
        return log1p(e);
    } else {
        typename vec<T>::raw x = e.v, q = 0.00341377951451f * x - 0.0206303519589f;
        q = q * x + 0.0584553687881f;
        q = q * x - 0.107595518529f;
        q = q * x + 0.154011670931f;
        q = q * x - 0.197108562722f;
        q = q * x + 0.249614753055f;
        q = q * x - 0.333307723659f;
        if constexpr (kHasFma) {
            q = q * x + 0.499999408346f;
            return x - (x * x) * q;
        } else {  // what rounds is small: x - x^2 / 2 is kept in two numbers
            typename vec<T>::raw square = x * x, half = 0.5f * square, most = x - half, lost = (x - most) - half;
            return most + (lost - square * (q * x - 5.91654e-7f));
        }
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
    // To be called after at most sixteen factors.
    FASTCE_INLINE void take_exponents() {
        count += exponents_out_of(low) + exponents_out_of(high);
        if constexpr (sizeof(lane_t<T>) == 4) rests = rests + (widened<0>(rest.v) + widened<1>(rest.v));
        rest = vec<T>(0.0);
    }
    FASTCE_INLINE double value() const { return lane_sum(log(low * high) + rests) + log_of_power(count); }
};

}  // namespace fastce
