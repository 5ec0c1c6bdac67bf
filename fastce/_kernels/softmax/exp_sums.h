// Exponentials, two vectors at a time, in a function that is never inlined: within a longer one GCC keeps their
// constants in memory.
#pragma once

#include "simd/exp.h"

#include <cmath>

namespace fastce {

// exp(x - shift) of n logits, shifts by lanes or NULL, and zeros in what lanes the last vector has beyond them;
// `ahead`, memory that is wanted soon, is asked for meanwhile.
template <class T, class Shift>
FASTCE_INLINE void exps_of_run(const T* x, const T* ahead, ptrdiff_t n, const Shift& shift, vec<T>* exps) {
    constexpr ptrdiff_t width = vec<T>::lanes;
    const ptrdiff_t paired = n / (2 * width) * 2;
    for (ptrdiff_t k = 0; k < paired; k += 2) {
        prefetch_run(ahead + k * width, 2 * width * ptrdiff_t(sizeof(T)));
        const vec<T> one = scaled_exp(shift(load_once(x + k * width), k));
        const vec<T> other = scaled_exp(shift(load_once(x + (k + 1) * width), k + 1));
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
