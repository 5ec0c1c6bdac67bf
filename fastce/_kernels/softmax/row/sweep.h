// The sum of a long row's exponentials.
//
// Design. An exponential is a long chain of instructions, and a sum behind it makes the chain longer than what a
// processor looks ahead. So exponentials are added up some vectors late, when they are known. The loops are never
// inlined: within a longer function GCC keeps their sum and constants in memory.
#pragma once

#include "simd/exp.h"
#include "simd/sums.h"
#include "softmax/row/gradient_lines.h"

#include <cmath>

namespace fastce {

constexpr ptrdiff_t kLate = 16;     // vectors, an even number; as many lie between two pieces of what is written
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
// Before exponentials take the places of those that `before` is made of, that is written; with_before says whether
// there is any.
template <bool sums_logits, bool with_before, class T, class Shift>
FASTCE_INLINE void sweep(const T* x, ptrdiff_t vectors, const Shift& shift, vec<T>* exps, wide_sum<T>* sum,
                         wide_sum<T>* logits, gradient_lines<T>* before) {
    constexpr ptrdiff_t width = vec<T>::lanes;
    wide_sum<T> total = *sum, of_logits = *logits;
    for (ptrdiff_t k = 0; k < vectors;) {
        const ptrdiff_t end = with_before && vectors - k > kLate ? k + kLate : vectors;
        if constexpr (with_before) write_lines(before, end * width);
        for (; k < end; k += 2) {
            prefetch_pair(x + k * width);
            const vec<T> a = load_once(x + k * width), b = load_once(x + (k + 1) * width);
            const vec<T> one = scaled_exp(shift(a)), other = scaled_exp(shift(b));
            exps[k] = one, exps[k + 1] = other;
            if constexpr (sums_logits) of_logits.add(a), of_logits.add(b);
            if (k >= kLate) total.add(exps[k - kLate], exps[k + 1 - kLate]);
        }
    }
    for (ptrdiff_t k = vectors < kLate ? 0 : vectors - kLate; k < vectors; k += 2) total.add(exps[k], exps[k + 1]);
    *sum = total, *logits = of_logits;
}
template <bool sums_logits, class T, class Shift>
FASTCE_INLINE void sweep(const T* x, ptrdiff_t vectors, const Shift& shift, vec<T>* exps, wide_sum<T>* sum,
                         wide_sum<T>* logits, gradient_lines<T>* before) {
    if (before) sweep<sums_logits, true>(x, vectors, shift, exps, sum, logits, before);
    else sweep<sums_logits, false>(x, vectors, shift, exps, sum, logits, before);
}

// Adds exp(x - shift) of n logits to the sum, and keeps them if asked for: vectors in pairs, then what is left.
template <bool sums_logits, class T>
FASTCE_APART void sweep_all(const T* x, ptrdiff_t n, double shift, vec<T>* exps, wide_sum<T>* sum, wide_sum<T>* logits,
                            gradient_lines<T>* before) {
    constexpr ptrdiff_t width = vec<T>::lanes;
    vec<T> unkept[kUnkept];
    wide_sum<T> total = *sum, of_logits = sums_logits ? *logits : wide_sum<T>();
    const shifted<T> by_shift{vec<T>(shift)};
    for (ptrdiff_t left = n / (2 * width) * 2; left > 0;) {
        const ptrdiff_t vectors = exps || left < kUnkept ? left : kUnkept;
        vec<T>* kept = exps ? exps : unkept;
        if (shift == 0) sweep<sums_logits>(x, vectors, unshifted(), kept, &total, &of_logits, before);
        else sweep<sums_logits>(x, vectors, by_shift, kept, &total, &of_logits, before);
        x += vectors * width;
        n -= vectors * width;
        left -= vectors;
        if (exps) exps += vectors;
    }
    if (before) write_lines(before, before->end);
    for (ptrdiff_t k = 0; k < n; k += width) {
        const vec<T> e = scaled_exp(by_shift(load(x + k, n - k, -HUGE_VAL)));
        if (exps) exps[k / width] = e;
        total.add(e);
        if constexpr (sums_logits) of_logits.add(load(x + k, n - k, 0.0));
    }
    *sum = total;
    if constexpr (sums_logits) *logits = of_logits;
}

// The same. `logits`, the sum of the logits themselves, may be NULL, and so may `before`: what is written of the row
// whose exponentials are still where those of this one go.
template <class T>
inline void sweep_span(const T* x, ptrdiff_t n, double shift, vec<T>* exps, wide_sum<T>* sum, wide_sum<T>* logits,
                       gradient_lines<T>* before) {
    logits ? sweep_all<true>(x, n, shift, exps, sum, logits, before)
           : sweep_all<false>(x, n, shift, exps, sum, logits, before);
}

}  // namespace fastce
