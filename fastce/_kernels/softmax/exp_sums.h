// The loops in which most of the time is spent: exponentials, two vectors at a time, and the sum of a long row's.
//
// Design. An exponential is a long chain of instructions, and a sum behind it makes the chain longer than what a
// processor looks ahead. So exponentials are added up some vectors late, when they are known. The loops are never
// inlined: within a longer function GCC keeps their sum and constants in memory.
#pragma once

#include "simd/exp.h"
#include "simd/sums.h"

#include <cmath>

namespace fastce {

constexpr ptrdiff_t kLate = 16;     // vectors, an even number
constexpr ptrdiff_t kUnkept = 128;  // vectors at a time whose exponentials nobody asked for

// What is subtracted from the logits: nothing, for most rows, and then no instruction either.
struct unshifted {
    template <class T> FASTCE_INLINE vec<T> operator()(vec<T> x) const { return x; }
};
template <class T> struct shifted {
    vec<T> anchor;
    FASTCE_INLINE vec<T> operator()(vec<T> x) const { return x - anchor; }
};

// Adds exponentials of an even number of whole vectors to the sum, kLate of them late.
template <class T, class Shift>
FASTCE_INLINE wide_sum<T> sweep(const T* x, ptrdiff_t vectors, const Shift& shift, vec<T>* exps, wide_sum<T> total) {
    constexpr ptrdiff_t width = vec<T>::lanes;
    for (ptrdiff_t k = 0; k < vectors; k += 2) {
        prefetch_pair(x + k * width);
        const vec<T> one = scaled_exp(shift(load(x + k * width)));
        const vec<T> other = scaled_exp(shift(load(x + (k + 1) * width)));
        exps[k] = one, exps[k + 1] = other;
        if (k >= kLate) total.add(exps[k - kLate], exps[k + 1 - kLate]);
    }
    for (ptrdiff_t k = vectors < kLate ? 0 : vectors - kLate; k < vectors; k += 2) total.add(exps[k], exps[k + 1]);
    return total;
}

// Adds exp(x - anchor) of n logits to the sum, and keeps them if asked for: vectors in pairs, then what is left.
template <class T> FASTCE_APART void sweep_span(const T* x, ptrdiff_t n, double anchor, vec<T>* exps, wide_sum<T>* sum) {
    constexpr ptrdiff_t width = vec<T>::lanes;
    vec<T> unkept[kUnkept];
    wide_sum<T> total = *sum;
    const shifted<T> from_anchor{vec<T>(anchor)};
    for (ptrdiff_t left = n / (2 * width) * 2; left > 0;) {
        const ptrdiff_t vectors = exps || left < kUnkept ? left : kUnkept;
        vec<T>* kept = exps ? exps : unkept;
        total = anchor == 0 ? sweep(x, vectors, unshifted(), kept, total) : sweep(x, vectors, from_anchor, kept, total);
        x += vectors * width;
        n -= vectors * width;
        left -= vectors;
        if (exps) exps += vectors;
    }
    for (ptrdiff_t k = 0; k < n; k += width) {
        const vec<T> e = scaled_exp(from_anchor(load(x + k, n - k, -HUGE_VAL)));
        if (exps) exps[k / width] = e;
        total.add(e);
    }
    *sum = total;
}

// exp(x - anchor) of n logits, anchors by lanes or NULL, and zeros in what lanes the last vector has beyond them;
// `ahead`, memory that is wanted soon, is asked for meanwhile.
template <class T, class Shift>
FASTCE_INLINE void exps_of_run(const T* x, const T* ahead, ptrdiff_t n, const Shift& shift, vec<T>* exps) {
    constexpr ptrdiff_t width = vec<T>::lanes;
    const ptrdiff_t paired = n / (2 * width) * 2;
    for (ptrdiff_t k = 0; k < paired; k += 2) {
        prefetch_run(ahead + k * width, 2 * width * ptrdiff_t(sizeof(T)));
        const vec<T> one = scaled_exp(shift(load(x + k * width), k));
        const vec<T> other = scaled_exp(shift(load(x + (k + 1) * width), k + 1));
        exps[k] = one, exps[k + 1] = other;
    }
    for (ptrdiff_t k = paired; k * width < n; ++k)
        exps[k] = scaled_exp(shift(load(x + k * width, n - k * width, -HUGE_VAL), k));
}
template <class T>
FASTCE_APART void take_exps(const T* x, const T* ahead, ptrdiff_t n, const vec<T>* anchors, vec<T>* exps) {
    if (anchors == nullptr) {
        exps_of_run(x, ahead, n, [](vec<T> v, ptrdiff_t) __attribute__((always_inline)) { return v; }, exps);
    } else {
        auto shift = [=](vec<T> v, ptrdiff_t k) __attribute__((always_inline)) { return v - anchors[k]; };
        exps_of_run(x, ahead, n, shift, exps);
    }
}

}  // namespace fastce
