// What the losses of independent binary problems need of one vector, and of the labels of many.
#pragma once

#include "simd/log_product.h"

namespace fastce {

// Sixteen probabilities that are no smaller stay within the range of a double, too, and so does 1 / p of floats.
constexpr double kSmallestFactor = 0x1p-60;

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

// The array from lane k on.
template <class T> FASTCE_INLINE const vec<T>* from_lane(const vec<T>* v, ptrdiff_t k) {
    return reinterpret_cast<const vec<T>*>(lanes(v) + k);
}

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

// moderate_exp of any numbers: 0 where the result is no normal number, and that of the largest moderate number above.
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

}  // namespace fastce
