// Between lanes of floats and of doubles, and arithmetic of floats that is rounded once from double.
#pragma once

#include "simd/vector.h"

namespace fastce {

// The lower (part 0) or upper (part 1) half of the float lanes, as double lanes.
template <int part> FASTCE_INLINE vec<double> widened(raw_float v) {
    if constexpr (part == 0) return widen_low(v);
    else return widen_high(v);
}

// Two vectors of doubles as one of T's lanes; for double, the first.
template <class T> FASTCE_INLINE vec<T> narrowed(vec<double> low, vec<double> high) {
    if constexpr (sizeof(lane_t<T>) == 8) return low.v;
    else return narrow_both(low.v, high.v);
}

// vec<double> lanes of an array of vectors, from lane k on.
template <class T> FASTCE_INLINE vec<double> load_wide(const vec<T>* v, ptrdiff_t k) {
    return load_widened(lanes(v) + k);
}
template <class T> FASTCE_INLINE void store_narrow(vec<T>* to, ptrdiff_t k, vec<double> v) {
    store_narrowed(lanes(to) + k, v.v);
}

// The first n lanes of v, stored as T.
template <class T> FASTCE_INLINE void store_numbers(T* p, vec<double> v, ptrdiff_t n) {
    lane_t<T> part[vec<double>::lanes];
    if constexpr (sizeof(T) == sizeof(lane_t<T>)) {
        if (n >= vec<double>::lanes) return store_narrowed(p, v.v);
    }
    store_narrowed(part, v.v);
    for (int k = 0; k < vec<double>::lanes && k < n; ++k) p[k] = narrow<T>(part[k]);
}

template <class T> FASTCE_INLINE void store_narrow(vec<T>* to, ptrdiff_t k, vec<double> v, ptrdiff_t n) {
    store_numbers(lanes(to) + k, v, n);
}

// a b - c rounded once; where nothing is fused, T. J. Dekker's product, 1971.
FASTCE_INLINE vec<double> multiply_subtract(vec<double> a, vec<double> b, vec<double> c) {
    if constexpr (kHasFma) {
        return multiply_subtract(a.v, b.v, c.v);
    } else {
        const vec<double> splitter(134217729.0);
        vec<double> x = splitter * a, y = splitter * b, product = a * b;
        vec<double> ah = x - (x - a), bh = y - (y - b), al = a - ah, bl = b - bh;
        vec<double> error = ((ah * bh - product) + ah * bl + al * bh) + al * bl;
        const vec<double> difference = product - c, back = difference - product;
        error = error + ((product - (difference - back)) - (c + back));
        error = select<double>(error.v - error.v == 0, error, vec<double>(0.0));
        return difference + error;
    }
}

// x * slope + offset, rounded once from double.
template <class T> FASTCE_INLINE vec<T> linear(vec<T> x, double slope, double offset) {
    const vec<double> a(slope), b(offset);
    if constexpr (sizeof(lane_t<T>) == 8) {
        return multiply_subtract(vec<double>(x.v), a, vec<double>(-offset)).v;
    } else {
        return narrowed<T>(widened<0>(x.v) * a + b, widened<1>(x.v) * a + b);
    }
}

// (x * slope + offset) * weights[k], n of them, rounded once from double.
template <class T>
FASTCE_INLINE vec<T> weighted(vec<T> x, double slope, double offset, const double* weights, ptrdiff_t n) {
    const vec<double> a(slope), b(offset), low = load(weights, n, 0.0);
    constexpr int half = vec<double>::lanes;
    if constexpr (sizeof(lane_t<T>) == 8) {
        return (multiply_subtract(vec<double>(x.v), a, vec<double>(-offset)) * low).v;
    } else {
        const vec<double> high = load(weights + (n > half ? half : 0), n > half ? n - half : 0, 0.0);
        return narrowed<T>((widened<0>(x.v) * a + b) * low, (widened<1>(x.v) * a + b) * high);
    }
}

// The same of n numbers that are still double; weights may be NULL.
template <class T>
FASTCE_INLINE void weigh_doubles(const double* x, double slope, double offset, const double* weights, ptrdiff_t n,
                                 vec<T>* out) {
    constexpr ptrdiff_t half = vec<double>::lanes;
    const ptrdiff_t next = n > half ? half : 0, left = n > half ? n - half : 0;
    const vec<double> a(slope), b(offset);
    vec<double> low = load(x, n, 0.0) * a + b, high = load(x + next, left, 0.0) * a + b;
    if (weights) low = low * load(weights, n, 0.0), high = high * load(weights + next, left, 0.0);
    *out = narrowed<T>(low, high);
}

template <class T> FASTCE_INLINE void store_doubles(double* p, vec<T> v) {
    if constexpr (sizeof(lane_t<T>) == 8) {
        store(p, vec<double>(v.v));
    } else {
        store(p, widened<0>(v.v));
        store(p + vec<double>::lanes, widened<1>(v.v));
    }
}

// a (b - offset) in double, one number for each lane; a term whose factor a is 0 is 0.
template <class T> FASTCE_INLINE void store_products(double* to, vec<T> a, vec<T> b, vec<T> offset) {
    const vec<double> zero(0.0);
    if constexpr (sizeof(lane_t<T>) == 8) {
        store(to, select<double>(a.v == 0, zero, vec<double>((a * (b - offset)).v)));
    } else {
        const vec<double> low = widened<0>(a.v), high = widened<1>(a.v);
        const vec<double> x = widened<0>(b.v) - widened<0>(offset.v), y = widened<1>(b.v) - widened<1>(offset.v);
        store(to, select<double>(low.v == 0, zero, low * x));
        store(to + vec<double>::lanes, select<double>(high.v == 0, zero, high * y));
    }
}

// e * (high + low) + rest, rounded about once: without fused multiply-add, floats take the way over double.
template <class T> FASTCE_INLINE vec<T> product_sum(vec<T> e, vec<T> high, vec<T> low, vec<T> rest) {
    if constexpr (kHasFma) {
        return multiply_add(e.v, high.v, multiply_add(e.v, low.v, rest.v));
    } else if constexpr (sizeof(lane_t<T>) == 4) {
        vec<T> r;
        for (int k = 0; k < vec<T>::lanes; ++k) {
            double factor = double(high.v[k]) + double(low.v[k]);
            r.v[k] = float(double(e.v[k]) * factor + double(rest.v[k]));
        }
        return r;
    } else {
        return e * high + (e * low + rest);
    }
}

// What x loses when it becomes a lane.
template <class T> FASTCE_INLINE double lost(double x, const vec<T>*) { return x - double(lane_t<T>(x)); }

}  // namespace fastce
