// Sums and maxima over the lanes of vectors. Sums are kept in double, whatever the lanes are.
#pragma once

#include "simd.h"

namespace fastce {

// The lower (part 0) or upper (part 1) half of the float lanes, as double lanes.
template <int part> FASTCE_INLINE vec<double> widened(raw_of<float>::raw v) {
    using raw = raw_of<double>::raw;
#if defined(__AVX512F__)
    return raw(_mm512_maskz_cvtps_pd(0xff, _mm512_maskz_extractf32x8_ps(0xff, __m512(v), part)));
#elif defined(__AVX2__)
    return raw(_mm256_cvtps_pd(_mm256_extractf128_ps(__m256(v), part)));
#else
    return raw{v[2 * part], v[2 * part + 1]};
#endif
}

template <class T> FASTCE_INLINE void store_doubles(double* p, vec<T> v) {
    if constexpr (sizeof(lane_t<T>) == 8) {
        store(p, vec<double>(v.v));
    } else {
        store(p, widened<0>(v.v));
        store(p + vec<double>::lanes, widened<1>(v.v));
    }
}

template <class T> FASTCE_INLINE double lane_sum(vec<T> v) {
#if defined(__AVX512F__)
    if constexpr (vec<T>::lanes == 8) return _mm512_mask_reduce_add_pd(0xff, __m512d(v.v));
#endif
    double sum[vec<T>::lanes];
    for (int k = 0; k < vec<T>::lanes; ++k) sum[k] = v.v[k];
    for (int step = vec<T>::lanes / 2; step; step /= 2)
        for (int k = 0; k < step; ++k) sum[k] += sum[k + step];
    return sum[0];
}

// The largest lane; there must be no NaN among them.
template <class T> FASTCE_INLINE double lane_max(vec<T> v) {
#if defined(__AVX512F__)
    if constexpr (vec<T>::lanes == 16) return _mm512_mask_reduce_max_ps(0xffff, __m512(v.v));
    else return _mm512_mask_reduce_max_pd(0xff, __m512d(v.v));
#else
    double top = v.v[0];
    for (int k = 1; k < vec<T>::lanes; ++k) top = v.v[k] > top ? v.v[k] : top;
    return top;
#endif
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

// p[0], p[1], … += v
template <class T> FASTCE_INLINE void add_doubles(double* p, vec<T> v) {
    double sum[vec<T>::lanes];
    store_doubles(sum, v);
    for (int k = 0; k < vec<T>::lanes; ++k) p[k] += sum[k];
}

// What x loses when it becomes a lane.
template <class T> FASTCE_INLINE double lost(double x, const vec<T>*) { return x - double(lane_t<T>(x)); }

// n doubles as lanes and what the lanes lost: high + low is x to twice the lanes' precision.
template <class T> inline void split_doubles(const double* x, ptrdiff_t n, vec<T>* high, vec<T>* low) {
    for (ptrdiff_t k = 0; k < n; ++k) {
        lane_t<T> near = lane_t<T>(x[k]);
        lanes(high)[k] = near;
        lanes(low)[k] = lane_t<T>(x[k] - double(near));
    }
}

// One running sum in double for every lane.
template <class T> struct wide_lanes {
    static constexpr int count = int(sizeof(double) / sizeof(lane_t<T>));
    vec<double> parts[count];

    FASTCE_INLINE void clear() {
        for (auto& part : parts) part = vec<double>(0.0);
    }
    // Adds a * b, multiplied in double; a term whose factor a is 0 is 0.
    FASTCE_INLINE void add_product(vec<T> a, vec<T> b) {
        b = select<T>(a.v == 0, vec<T>(0.0), b);
        if constexpr (count == 1) {
            parts[0] = parts[0] + vec<double>(a.v) * vec<double>(b.v);
        } else {
            parts[0] = parts[0] + widened<0>(a.v) * widened<0>(b.v);
            parts[1] = parts[1] + widened<1>(a.v) * widened<1>(b.v);
        }
    }
    FASTCE_INLINE void store(double* p) const {
        for (int k = 0; k < count; ++k) fastce::store(p + k * vec<double>::lanes, parts[k]);
    }
};

}  // namespace fastce
