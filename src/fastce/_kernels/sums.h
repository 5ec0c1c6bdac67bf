// Sums and maxima over the lanes of vectors. Sums are kept in double, whatever the lanes are.
#pragma once

#include "simd.h"

namespace fastce {

// The float lanes of v, from `part` times half a vector on, as double lanes.
template <int part> FASTCE_INLINE vec<double> widened(raw_of<float>::raw v) {
    typedef float half __attribute__((vector_size(FASTCE_VECTOR_BYTES / 2)));
    half h;
    memcpy(&h, reinterpret_cast<const char*>(&v) + part * sizeof h, sizeof h);
    return __builtin_convertvector(h, raw_of<double>::raw);
}

template <class T> FASTCE_INLINE double lane_sum(vec<T> v) {
    double sum[vec<T>::lanes];
    for (int k = 0; k < vec<T>::lanes; ++k) sum[k] = lanes(&v)[k];
    for (int step = vec<T>::lanes / 2; step; step /= 2)
        for (int k = 0; k < step; ++k) sum[k] += sum[k + step];
    return sum[0];
}

// NaN lanes do not count.
template <class T> FASTCE_INLINE double lane_max(vec<T> v) {
    double top = -std::numeric_limits<double>::infinity();
    for (int k = 0; k < vec<T>::lanes; ++k) top = lanes(&v)[k] > top ? lanes(&v)[k] : top;
    return top;
}

// A running sum of vectors in double lanes.
template <class T> struct wide_sum {
    vec<double> parts{0.0};

    FASTCE_INLINE void add(vec<T> v) {
        if constexpr (sizeof(lane_t<T>) == 8) {
            parts = parts + vec<double>(v.v);
        } else {
            parts = parts + (widened<0>(v.v) + widened<1>(v.v));
        }
    }
    // Adds a * b, multiplied in double; a term whose factor a is 0 is 0.
    FASTCE_INLINE void add_product(vec<T> a, vec<T> b) {
        b = select<T>(a.v == 0, vec<T>(0.0), b);
        if constexpr (sizeof(lane_t<T>) == 8) {
            parts = parts + vec<double>(a.v) * vec<double>(b.v);
        } else {
            parts = parts + widened<0>(a.v) * widened<0>(b.v);
            parts = parts + widened<1>(a.v) * widened<1>(b.v);
        }
    }
    FASTCE_INLINE double value() const { return lane_sum(parts); }
};

}  // namespace fastce
