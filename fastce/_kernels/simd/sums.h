// Sums and maxima over the lanes of vectors. Sums are kept in double, whatever the lanes are.
#pragma once

#include "simd/widen.h"

namespace fastce {

template <class T> FASTCE_INLINE double lane_sum(vec<T> v) { return sum_of_lanes(v.v); }

// The largest lane; there must be no NaN among them.
template <class T> FASTCE_INLINE double lane_max(vec<T> v) { return largest_lane(v.v); }

// With fused multiply-add two vectors are added in their own lanes before they are added to a wide sum,
// which rounds once; without, the error budget has no room for that.
constexpr bool kAddsPairs = kHasFma;

// What rounding took from sum = a + b (D. E. Knuth's two-sum).
FASTCE_INLINE vec<double> rounding_of_sum(vec<double> a, vec<double> b, vec<double> sum) {
    const vec<double> back = sum - a;
    return (a - (sum - back)) + (b - back);
}

FASTCE_INLINE vec<double> rounding_of_difference(vec<double> a, vec<double> b, vec<double> difference) {
    return rounding_of_sum(a, vec<double>(0.0) - b, difference);
}

// A running sum of vectors in double lanes. Sums of doubles carry along what rounding lost.
template <class T> struct wide_sum {
    vec<double> parts{0.0}, lost{0.0};

    FASTCE_INLINE void add(vec<T> v) {
        if constexpr (sizeof(lane_t<T>) == 8) {
            add_exactly(vec<double>(v.v));
        } else {
            parts = parts + (widened<0>(v.v) + widened<1>(v.v));
        }
    }
    // Two vectors. Their lanes are widened as they are loaded, which is less work for a processor than to
    // widen what is in a register: hence the detour over memory.
    FASTCE_INLINE void add(vec<T> a, vec<T> b) {
        if constexpr (!kAddsPairs) {
            add(a), add(b);
        } else if constexpr (sizeof(lane_t<T>) == 8) {
            add(a + b);
        } else {
            vec<T> both = a + b;
            asm volatile("" : "+m"(both));
            const float* p = lanes(&both);
            parts = parts + (vec<double>(load_widened(p)) + vec<double>(load_widened(p + vec<double>::lanes)));
        }
    }

    // Adds a * (b - offset), computed in double; a term whose factor a is 0 is 0.
    FASTCE_INLINE void add_product(vec<T> a, vec<T> b, double offset) {
        b = select<T>(a.v == 0, vec<T>(offset), b);
        const vec<double> o(offset);
        if constexpr (sizeof(lane_t<T>) == 8) {
            add_exactly(vec<double>(a.v) * (vec<double>(b.v) - o));
        } else {
            const vec<double> zero(0.0), low = widened<0>(a.v), high = widened<1>(a.v);
            parts = parts + select<double>(low.v == 0, zero, low * (widened<0>(b.v) - o));
            parts = parts + select<double>(high.v == 0, zero, high * (widened<1>(b.v) - o));
        }
    }
    // The lanes' sums, rounded once, and what that took.
    FASTCE_INLINE vec<double> lanes_total(vec<double>* rounding) const {
        const vec<double> zero(0.0), kept = select<double>(lost.v - lost.v == 0, lost, zero);  // no NaN from inf - inf
        const vec<double> total = parts + kept;
        *rounding = select<double>(total.v - total.v == 0, kept - (total - parts), zero);
        return total;
    }
    FASTCE_INLINE vec<double> lanes_total() const {
        vec<double> rounding;
        return lanes_total(&rounding);
    }
    // The sum as two numbers, of which the second is what rounding took from the first.
    FASTCE_INLINE double split(double* rounding) const {
        *rounding = 0;
        if constexpr (sizeof(lane_t<T>) == 4) return lane_sum(parts);
        double sum = parts.v[0], rest = lane_sum(lost);
        for (int k = 1; k < vec<double>::lanes; ++k) {
            double total = sum + parts.v[k], back = total - sum;
            rest += (sum - (total - back)) + (parts.v[k] - back);
            sum = total;
        }
        if (rest - rest == 0) *rounding = rest;
        return sum;
    }
    FASTCE_INLINE double value() const {
        double rounding, sum = split(&rounding);
        return sum + rounding;
    }

  private:
    FASTCE_INLINE void add_exactly(vec<double> v) {
        const vec<double> sum = parts + v;
        lost = lost + rounding_of_sum(parts, v, sum);
        parts = sum;
    }
};

// Adds n lanes to as many sums in double; of sums of doubles `lost` keeps what rounding took.
template <class T> inline void add_lanes(const vec<T>* v, ptrdiff_t n, double* sums, double* lost) {
    constexpr ptrdiff_t width = vec<double>::lanes;
    for (ptrdiff_t k = 0; k < n; k += width) {
        const vec<double> x = load_wide(v, k), old = load(sums + k), sum = old + x;
        store(sums + k, sum);
        if constexpr (sizeof(lane_t<T>) == 8) store(lost + k, load(lost + k) + rounding_of_sum(old, x, sum));
    }
}

// A running sum of doubles that is as precise as T's lanes need.
template <class T> struct sum_of_doubles {
    wide_sum<double> exact;

    FASTCE_INLINE void add(vec<double> v) {
        if constexpr (sizeof(lane_t<T>) == 8) {
            exact.add(v);
        } else {
            exact.parts = exact.parts + v;
        }
    }
    FASTCE_INLINE double value() const { return exact.value(); }
};

}  // namespace fastce
