// What the losses of independent binary problems need of one vector, and of the labels and sums of many.
#pragma once

#include "simd/exp.h"
#include "simd/log.h"
#include "simd/sums.h"

namespace fastce {

// sigmoid(40) is 1, in double too, and log(1 + exp(40)) is 40. Sixteen factors 1 + exp(40), two to a step, stay
// within the range of a double (log_product).
constexpr double kModerate = 40;

// Sixteen probabilities that are no smaller stay within the range of a double, too, and so does 1 / p of floats.
constexpr double kSmallestFactor = 0x1p-60;

// The sum of losses smaller than this on the average is not taken from a product, which rounds by 2^-53.
constexpr double kLeastMean = 1e-8;

template <class T> constexpr typename vec<T>::bits sign_bit() {
    return typename vec<T>::bits{} + (sizeof(lane_t<T>) == 8 ? 0x8000000000000000u : 0x80000000u);
}

// x, or -x where z is 1; z is 0 or 1. The sign of 2^0 is 0, but two bits further right it has a 1.
template <class T> FASTCE_INLINE vec<T> negative_at_one(vec<T> x, vec<T> z) {
    return from_bits<T>(bits<T>(x.v) ^ (bits<T>(z.v) << 2 & sign_bit<T>()));
}

// x, or -x where the other, 0 or -0, has a sign.
template <class T> FASTCE_INLINE vec<T> flipped(vec<T> x, vec<T> sign) {
    return from_bits<T>(bits<T>(x.v) ^ bits<T>(sign.v));
}

// v, or -v where x has the sign bit; yes where it has it, else no.
template <class T> FASTCE_INLINE vec<T> negative_with(vec<T> v, vec<T> x) {
    return from_bits<T>(bits<T>(v.v) ^ (bits<T>(x.v) & sign_bit<T>()));
}
template <class T> FASTCE_INLINE vec<T> where_sign(vec<T> x, vec<T> yes, vec<T> no) {
    return select<T>((typename vec<T>::mask)(x.v) < 0, yes, no);
}

// |x|, -|x|
template <class T> FASTCE_INLINE vec<T> size_of(vec<T> x) { return from_bits<T>(bits<T>(x.v) & ~sign_bit<T>()); }
template <class T> FASTCE_INLINE vec<T> minus_size(vec<T> x) { return from_bits<T>(bits<T>(x.v) | sign_bit<T>()); }

// The array from lane k on.
template <class T> FASTCE_INLINE const vec<T>* from_lane(const vec<T>* v, ptrdiff_t k) {
    return reinterpret_cast<const vec<T>*>(lanes(v) + k);
}

// Whether any bit of a vector is set.
template <class V> FASTCE_INLINE bool any_bit(V v) {
    uint64_t part[sizeof v / 8], found = 0;
    memcpy(part, &v, sizeof v);
    for (uint64_t p : part) found |= p;
    return found != 0;
}
template <class T, class Lanes> FASTCE_INLINE bool all_zero(Lanes v) { return !any_bit(v); }

// Labels --------------------------------------------------------------------------------------------
// z^2 - z is 0 where z is 0 or 1, negative between them, and neither elsewhere.

// Whether all of n labels are 0 or 1.
inline bool all_hard(const double* z, ptrdiff_t n) {
    typename vec<double>::bits soft{};
    for (ptrdiff_t k = 0; k < n; k += vec<double>::lanes) {
        const auto v = load(z + k, n - k, 0.0).v;
        soft |= bits<double>(v * v - v);
    }
    return !any_bit(soft);
}

// Whether all of n labels are within [0, 1]; if asked for, whether any is 0 or 1.
template <class S> inline bool labels_within_unit(const S* z, ptrdiff_t n, int* any_hard) {
    typename vec<S>::mask hard{}, outside{};
    for (ptrdiff_t k = 0; k < n; k += vec<S>::lanes) {
        const auto v = load(z + k, n - k, 0.5).v, d = v * v - v;
        outside |= ~(d <= 0);
        if (any_hard) hard |= d == 0;
    }
    if (any_hard) *any_hard = any_bit(hard);
    return !any_bit(outside);
}

// The sign of each label, -0 where it is 1 and 0 where it is 0, and whether all of those seen were one of these.
template <class T> struct label_signs {
    typename vec<T>::bits soft{};

    FASTCE_INLINE vec<T> of(vec<T> z) {
        soft |= bits<T>(z.v * z.v - z.v);
        return negative_at_one(vec<T>(0.0), z);
    }
    FASTCE_INLINE bool all_hard() const { return !any_bit(soft); }
};

// The largest magnitude of logits.
template <class T> struct logit_range {
    typename vec<T>::mask largest{};  // as integers, finite numbers, infinity and NaN are in this order

    FASTCE_INLINE void see(vec<T> x) {
        const auto size = (typename vec<T>::mask)(size_of(x).v);
        largest = size > largest ? size : largest;
    }
    FASTCE_INLINE bool is_moderate() const { return !any_bit(largest > (typename vec<T>::mask)(vec<T>(kModerate).v)); }
};

// Probabilities p, and q, which are those of what labels say or no smaller than that.
template <class T> struct probability_range {
    typename vec<T>::bits largest{};  // -0, negative numbers and NaN are larger than 1
    vec<T> least{1.0};

    FASTCE_INLINE void see(vec<T> p, vec<T> q) {
        const auto size = bits<T>(p.v);
        largest = size > largest ? size : largest;
        least = q.v < least.v ? q.v : least.v;
    }
    // Whether one is clipped, too small for a product or for 1 / q, negative zero, NaN, or no probability.
    FASTCE_INLINE bool is_unusual(vec<T> eps) const {
        const vec<T> one(1.0), limit = maximum(eps, vec<T>(kSmallestFactor));
        return any_bit((largest > bits<T>(one.v)) | (typename vec<T>::bits)(least.v < limit.v));
    }
};

// Formulas -------------------------------------------------------------------------------------------

// a b + c, which compilers contract or not from one place to the next; here always, where the processor can.
template <class T> FASTCE_INLINE vec<T> multiply_add(vec<T> a, vec<T> b, vec<T> c) {
    if constexpr (kHasFma) return typename vec<T>::raw(multiply_add(a.v, b.v, c.v));
    else return a * b + c;
}

// exp of moderate numbers; and the same of any, where what is smaller than any normal number is 0, and what is past
// the largest moderate number is taken for it.
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
template <class T> FASTCE_INLINE vec<T> bounded_exp(vec<T> x) {
    const vec<T> lowest(double(bits_of<lane_t<T>>::lowest));
    const vec<T> e = moderate_exp(minimum(vec<T>(kModerate), maximum(lowest, x)));
    return select<T>(x.v >= lowest.v, e, select<T>(x.v < lowest.v, vec<T>(0.0), x));
}

// exp(x) for x <= 0. float: the rounder holds the exponent's bias, so that where x is at the lower end 2^n is 0.
template <class T> FASTCE_INLINE vec<T> exp_of_negative(vec<T> x) {
    using raw = typename vec<T>::raw;
    if constexpr (sizeof(lane_t<T>) == 8) {
        return exp(x);
    } else {
        constexpr float rounder = bits_of<float>::rounder + bits_of<float>::bias;
        const raw y = maximum(vec<T>(-88.02969193111305), x).v;  // -127 ln 2
        const raw z = y * 1.44269504088896341f + rounder;
        return exp_near_zero(reduced(y, z - rounder), 1.0f) * from_bits<T>(bits<T>(z) << bits_of<float>::mantissa);
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
template <class T> FASTCE_INLINE vec<T> log1p_unit(vec<T> e) {
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

// Sums -----------------------------------------------------------------------------------------------

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
