// The loop in which long rows spend their time: exponentials and their sum, two vectors at a time.
#pragma once

#include "exp_log.h"
#include "sums.h"

namespace fastce {

// What is subtracted from the logits: nothing, for most rows, and then no instruction either.
struct unshifted {
    template <class T> FASTCE_INLINE vec<T> operator()(vec<T> x) const { return x; }
};
template <class T> struct shifted {
    vec<T> anchor;
    FASTCE_INLINE vec<T> operator()(vec<T> x) const { return x - anchor; }
};

template <bool kept, class T, class Shift>
FASTCE_INLINE void sweep(const T* x, ptrdiff_t vectors, const Shift& shift, vec<T>* exps, wide_sum<T>& total) {
    constexpr ptrdiff_t width = vec<T>::lanes;
    for (ptrdiff_t k = 0; k < vectors; k += 2) {
        prefetch_pair(x + k * width);
        const vec<T> one = scaled_exp(shift(load(x + k * width)));
        const vec<T> other = scaled_exp(shift(load(x + (k + 1) * width)));
        if constexpr (kept) exps[k] = one, exps[k + 1] = other;
        total.add(one, other);
    }
}

// Adds exp(x - anchor) of an even number of whole vectors to the sum, and keeps them if asked for.
template <class T>
inline void sweep_pairs(const T* x, ptrdiff_t vectors, double anchor, vec<T>* exps, wide_sum<T>* sum) {
    wide_sum<T> total = *sum;
    const unshifted as_they_are;
    const shifted<T> from_anchor{vec<T>(anchor)};
    if (anchor == 0 && exps == nullptr) sweep<false>(x, vectors, as_they_are, exps, total);
    else if (anchor == 0) sweep<true>(x, vectors, as_they_are, exps, total);
    else if (exps == nullptr) sweep<false>(x, vectors, from_anchor, exps, total);
    else sweep<true>(x, vectors, from_anchor, exps, total);
    *sum = total;
}

}  // namespace fastce
