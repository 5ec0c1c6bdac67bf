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
    vec<T> shift;
    FASTCE_INLINE vec<T> operator()(vec<T> x) const { return x - shift; }
};

// Adds exponentials of an even number of whole vectors to the sum, kLate of them late; and the logits to theirs.
template <bool sums_logits, class T, class Shift>
FASTCE_INLINE void sweep(const T* x, ptrdiff_t vectors, const Shift& shift, vec<T>* exps, wide_sum<T>* sum,
                         wide_sum<T>* logits) {
    constexpr ptrdiff_t width = vec<T>::lanes;
    wide_sum<T> total = *sum, of_logits = *logits;
    for (ptrdiff_t k = 0; k < vectors; k += 2) {
        prefetch_pair(x + k * width);
        const vec<T> a = load(x + k * width), b = load(x + (k + 1) * width);
        const vec<T> one = scaled_exp(shift(a)), other = scaled_exp(shift(b));
        exps[k] = one, exps[k + 1] = other;
        if constexpr (sums_logits) of_logits.add(a), of_logits.add(b);
        if (k >= kLate) total.add(exps[k - kLate], exps[k + 1 - kLate]);
    }
    for (ptrdiff_t k = vectors < kLate ? 0 : vectors - kLate; k < vectors; k += 2) total.add(exps[k], exps[k + 1]);
    *sum = total, *logits = of_logits;
}

// Adds exp(x - shift) of n logits to the sum, and keeps them if asked for: vectors in pairs, then what is left.
template <bool sums_logits, class T>
FASTCE_APART void sweep_all(const T* x, ptrdiff_t n, double shift, vec<T>* exps, wide_sum<T>* sum, wide_sum<T>* logits) {
    constexpr ptrdiff_t width = vec<T>::lanes;
    vec<T> unkept[kUnkept];
    wide_sum<T> total = *sum, of_logits = sums_logits ? *logits : wide_sum<T>();
    const shifted<T> by_shift{vec<T>(shift)};
    for (ptrdiff_t left = n / (2 * width) * 2; left > 0;) {
        const ptrdiff_t vectors = exps || left < kUnkept ? left : kUnkept;
        vec<T>* kept = exps ? exps : unkept;
        if (shift == 0) sweep<sums_logits>(x, vectors, unshifted(), kept, &total, &of_logits);
        else sweep<sums_logits>(x, vectors, by_shift, kept, &total, &of_logits);
        x += vectors * width;
        n -= vectors * width;
        left -= vectors;
        if (exps) exps += vectors;
    }
    for (ptrdiff_t k = 0; k < n; k += width) {
        const vec<T> e = scaled_exp(by_shift(load(x + k, n - k, -HUGE_VAL)));
        if (exps) exps[k / width] = e;
        total.add(e);
        if constexpr (sums_logits) of_logits.add(load(x + k, n - k, 0.0));
    }
    *sum = total;
    if constexpr (sums_logits) *logits = of_logits;
}
// The same; `logits`, the sum of the logits themselves, may be NULL.
template <class T>
inline void sweep_span(const T* x, ptrdiff_t n, double shift, vec<T>* exps, wide_sum<T>* sum, wide_sum<T>* logits) {
    logits ? sweep_all<true>(x, n, shift, exps, sum, logits) : sweep_all<false>(x, n, shift, exps, sum, logits);
}

// exp(x - shift) of n logits, shifts by lanes or NULL, and zeros in what lanes the last vector has beyond them;
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
FASTCE_APART void take_exps(const T* x, const T* ahead, ptrdiff_t n, const vec<T>* shifts, vec<T>* exps) {
    if (shifts == nullptr) {
        exps_of_run(x, ahead, n, [](vec<T> v, ptrdiff_t) __attribute__((always_inline)) { return v; }, exps);
    } else {
        auto shift = [=](vec<T> v, ptrdiff_t k) __attribute__((always_inline)) { return v - shifts[k]; };
        exps_of_run(x, ahead, n, shift, exps);
    }
}

}  // namespace fastce
