// Sums and maxima over the lanes of vectors. Sums are kept in double, whatever the lanes are.
#pragma once

#include "simd/vector.h"

namespace fastce {

// The lower (part 0) or upper (part 1) half of the float lanes, as double lanes.
template <int part> FASTCE_INLINE vec<double> widened(raw_of<float>::raw v) {
    using raw = raw_of<double>::raw;
#if defined(__AVX512F__)
    return raw(_mm512_maskz_cvtps_pd(0xff, _mm512_maskz_extractf32x8_ps(0xff, __m512(v), part)));
#elif defined(__AVX2__)
    return raw(_mm256_cvtps_pd(_mm256_extractf128_ps(__m256(v), part)));
#elif defined(__SSE2__)
    return raw(_mm_cvtps_pd(part ? _mm_movehl_ps(__m128(v), __m128(v)) : __m128(v)));
#else
    return raw{v[2 * part], v[2 * part + 1]};
#endif
}

// As many numbers as vec<double> has lanes, from memory, as doubles.
FASTCE_INLINE vec<double> load_widened(const double* p) { return load(p); }
FASTCE_INLINE vec<double> load_widened(const float* p) {
#if defined(__AVX512F__)
    return raw_of<double>::raw(_mm512_maskz_cvtps_pd(0xff, _mm256_loadu_ps(p)));
#elif defined(__AVX2__)
    return raw_of<double>::raw(_mm256_cvtps_pd(_mm_loadu_ps(p)));
#else
    return raw_of<double>::raw{p[0], p[1]};
#endif
}

// Two vectors of doubles as one of T's lanes; for double, the first.
template <class T> FASTCE_INLINE vec<T> narrowed(vec<double> low, vec<double> high) {
    if constexpr (sizeof(lane_t<T>) == 8) {
        return low.v;
    } else {
#if defined(__AVX512F__)
        __m512 r = _mm512_castps256_ps512(_mm512_maskz_cvtpd_ps(0xff, __m512d(low.v)));
        return typename vec<T>::raw(
            _mm512_mask_insertf32x8(r, 0xffff, r, _mm512_maskz_cvtpd_ps(0xff, __m512d(high.v)), 1));
#elif defined(__AVX2__)
        return typename vec<T>::raw(
            _mm256_set_m128(_mm256_cvtpd_ps(__m256d(high.v)), _mm256_cvtpd_ps(__m256d(low.v))));
#elif defined(__SSE2__)  // by name: from {float(a), float(b), float(c), float(d)} GCC 12 takes c and d unrounded
        return typename vec<T>::raw(_mm_movelh_ps(_mm_cvtpd_ps(__m128d(low.v)), _mm_cvtpd_ps(__m128d(high.v))));
#else
        return typename vec<T>::raw{float(low.v[0]), float(low.v[1]), float(high.v[0]), float(high.v[1])};
#endif
    }
}

// vec<double> lanes of an array of vectors, from lane k on.
template <class T> FASTCE_INLINE vec<double> load_wide(const vec<T>* v, ptrdiff_t k) {
    return load_widened(lanes(v) + k);
}
FASTCE_INLINE void store_narrow(double* p, vec<double> v) { store(p, v); }
FASTCE_INLINE void store_narrow(float* p, vec<double> v) {
#if defined(__AVX512F__)
    _mm256_storeu_ps(p, _mm512_maskz_cvtpd_ps(0xff, __m512d(v.v)));
#elif defined(__AVX2__)
    _mm_storeu_ps(p, _mm256_cvtpd_ps(__m256d(v.v)));
#else
    for (int k = 0; k < vec<double>::lanes; ++k) p[k] = float(v.v[k]);
#endif
}
template <class T> FASTCE_INLINE void store_narrow(vec<T>* to, ptrdiff_t k, vec<double> v) {
    store_narrow(lanes(to) + k, v);
}

// The first n lanes of v, stored as T.
template <class T> FASTCE_INLINE void store_numbers(T* p, vec<double> v, ptrdiff_t n) {
    lane_t<T> part[vec<double>::lanes];
    if constexpr (sizeof(T) == sizeof(lane_t<T>)) {
        if (n >= vec<double>::lanes) return store_narrow(p, v);
    }
    store_narrow(part, v);
    for (int k = 0; k < vec<double>::lanes && k < n; ++k) p[k] = narrow<T>(part[k]);
}

template <class T> FASTCE_INLINE void store_narrow(vec<T>* to, ptrdiff_t k, vec<double> v, ptrdiff_t n) {
    store_numbers(lanes(to) + k, v, n);
}

// x * slope + offset, rounded once from double.
template <class T> FASTCE_INLINE vec<T> linear(vec<T> x, double slope, double offset) {
    const vec<double> a(slope), b(offset);
    if constexpr (sizeof(lane_t<T>) == 8) {
        return (vec<double>(x.v) * a + b).v;
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
        return ((vec<double>(x.v) * a + b) * low).v;
    } else {
        const vec<double> high = load(weights + (n > half ? half : 0), n > half ? n - half : 0, 0.0);
        return narrowed<T>((widened<0>(x.v) * a + b) * low, (widened<1>(x.v) * a + b) * high);
    }
}

template <class T> FASTCE_INLINE void store_doubles(double* p, vec<T> v) {
    if constexpr (sizeof(lane_t<T>) == 8) {
        store(p, vec<double>(v.v));
    } else {
        store(p, widened<0>(v.v));
        store(p + vec<double>::lanes, widened<1>(v.v));
    }
}

#if defined(__AVX512F__)
// Four lanes that hold op of the eight.
template <class Op> FASTCE_INLINE __m256d halved(__m512d v, Op op) {
    return op(_mm512_maskz_extractf64x4_pd(0xf, v, 0), _mm512_maskz_extractf64x4_pd(0xf, v, 1));
}
template <class Op> FASTCE_INLINE double reduced(__m256d v, Op op) {
    v = op(v, _mm256_permute4x64_pd(v, 0x4e));
    return _mm256_cvtsd_f64(op(v, _mm256_permute_pd(v, 5)));
}
#endif

template <class T> FASTCE_INLINE double lane_sum(vec<T> v) {
#if defined(__AVX512F__)
    auto add = [](__m256d a, __m256d b) __attribute__((always_inline)) { return a + b; };
    if constexpr (vec<T>::lanes == 8) return reduced(halved(__m512d(v.v), add), add);
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
    auto larger_one = [](__m256d a, __m256d b) __attribute__((always_inline)) { return _mm256_max_pd(a, b); };
    if constexpr (vec<T>::lanes == 8) {
        return reduced(halved(__m512d(v.v), larger_one), larger_one);
    } else {
        vec<double> top = maximum(widened<0>(v.v), widened<1>(v.v));
        return reduced(halved(__m512d(top.v), larger_one), larger_one);
    }
#elif defined(__AVX2__)
    if constexpr (vec<T>::lanes == 4) {
        __m256d x = larger(__m256d(v.v), _mm256_permute4x64_pd(__m256d(v.v), 0x4e));
        return _mm256_cvtsd_f64(larger(x, _mm256_permute_pd(x, 5)));
    } else {
        __m256 x = larger(__m256(v.v), _mm256_permute2f128_ps(__m256(v.v), __m256(v.v), 1));
        x = larger(x, _mm256_permute_ps(x, 0x4e));
        return _mm256_cvtss_f32(larger(x, _mm256_permute_ps(x, 0xb1)));
    }
#else
    double top = v.v[0];
    for (int k = 1; k < vec<T>::lanes; ++k) top = v.v[k] > top ? v.v[k] : top;
    return top;
#endif
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

// With fused multiply-add two vectors are added in their own lanes before they are added to a wide sum,
// which rounds once; without, the error budget has no room for that.
#if defined(__FMA__) || defined(__ARM_FEATURE_FMA)
constexpr bool kAddsPairs = true;
#else
constexpr bool kAddsPairs = false;
#endif

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
            parts = parts + (load_widened(p) + load_widened(p + vec<double>::lanes));
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
    FASTCE_INLINE vec<double> lanes_total() const {
        return select<double>(lost.v - lost.v == 0, parts + lost, parts);  // no NaN from inf - inf
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
        vec<double> sum = parts + v, back = sum - parts;
        lost = lost + ((parts - (sum - back)) + (v - back));
        parts = sum;
    }
};

// Adds n lanes to as many sums in double; of sums of doubles `lost` keeps what rounding took.
template <class T> inline void add_lanes(const vec<T>* v, ptrdiff_t n, double* sums, double* lost) {
    constexpr ptrdiff_t width = vec<double>::lanes;
    for (ptrdiff_t k = 0; k < n; k += width) {
        const vec<double> x = load_wide(v, k), old = load(sums + k), sum = old + x, back = sum - old;
        store(sums + k, sum);
        if constexpr (sizeof(lane_t<T>) == 8)
            store(lost + k, load(lost + k) + ((old - (sum - back)) + (x - back)));
    }
}

#if defined(__FMA__) || defined(__ARM_FEATURE_FMA)
// a b + c rounded once. By intrinsics, since compilers that may contract an expression do so or not from
// one place to the next, and the same element has the same bits wherever it is stored.
template <class T> FASTCE_INLINE vec<T> fused(vec<T> a, vec<T> b, vec<T> c) {
    constexpr bool single = sizeof(lane_t<T>) == 4;
    using raw = typename vec<T>::raw;
#if defined(__AVX512F__)
    if constexpr (single) return raw(_mm512_fmadd_ps(__m512(a.v), __m512(b.v), __m512(c.v)));
    else return raw(_mm512_fmadd_pd(__m512d(a.v), __m512d(b.v), __m512d(c.v)));
#elif defined(__FMA__)
    if constexpr (single) return raw(_mm256_fmadd_ps(__m256(a.v), __m256(b.v), __m256(c.v)));
    else return raw(_mm256_fmadd_pd(__m256d(a.v), __m256d(b.v), __m256d(c.v)));
#else
    raw r;
    for (int k = 0; k < vec<T>::lanes; ++k)
        r[k] = single ? __builtin_fmaf(a.v[k], b.v[k], c.v[k]) : __builtin_fma(a.v[k], b.v[k], c.v[k]);
    return r;
#endif
}
#endif

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

// e * (high + low) + rest, rounded about once: without fused multiply-add, floats take the way over double.
template <class T> FASTCE_INLINE vec<T> product_sum(vec<T> e, vec<T> high, vec<T> low, vec<T> rest) {
#if defined(__FMA__) || defined(__ARM_FEATURE_FMA)
    return fused(e, high, fused(e, low, rest));
#else
    if constexpr (sizeof(lane_t<T>) == 4) {
        vec<T> r;
        for (int k = 0; k < vec<T>::lanes; ++k) {
            double factor = double(high.v[k]) + double(low.v[k]);
            r.v[k] = float(double(e.v[k]) * factor + double(rest.v[k]));
        }
        return r;
    } else {
        return e * high + (e * low + rest);
    }
#endif
}

// p (curvature (1 - p) + bend p) with p = e inverse: an element of the diagonal of the Hessian.
template <class T> FASTCE_INLINE vec<T> curved(vec<T> e, vec<T> inverse, vec<T> curvature, vec<T> bend) {
    const vec<T> p = e * inverse;
    return p * (curvature * (vec<T>(1.0) - p) + bend * p);
}

// What x loses when it becomes a lane.
template <class T> FASTCE_INLINE double lost(double x, const vec<T>*) { return x - double(lane_t<T>(x)); }

// a b - c rounded once (where nothing is fused: T. J. Dekker's product, 1971). Written with intrinsics,
// since a compiler that may contract expressions may also contract the wrong ones.
FASTCE_INLINE vec<double> multiply_subtract(vec<double> a, vec<double> b, vec<double> c) {
#if defined(__AVX512F__)
    return vec<double>::raw(_mm512_fmsub_pd(__m512d(a.v), __m512d(b.v), __m512d(c.v)));
#elif defined(__FMA__)
    return vec<double>::raw(_mm256_fmsub_pd(__m256d(a.v), __m256d(b.v), __m256d(c.v)));
#elif defined(__ARM_FEATURE_FMA)
    vec<double> r;
    for (int k = 0; k < vec<double>::lanes; ++k) r.v[k] = __builtin_fma(a.v[k], b.v[k], -c.v[k]);
    return r;
#else
    const vec<double> splitter(134217729.0);
    vec<double> x = splitter * a, y = splitter * b, product = a * b;
    vec<double> ah = x - (x - a), bh = y - (y - b), al = a - ah, bl = b - bh;
    vec<double> error = ((ah * bh - product) + ah * bl + al * bh) + al * bl;
    error = select<double>(error.v - error.v == 0, error, vec<double>(0.0));
    return (product - c) + error;
#endif
}

}  // namespace fastce
