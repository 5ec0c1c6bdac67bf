// What is written of an element, in one text for rows, tiles and lanes, and what of its row that needs.
#pragma once

#include "simd/sums.h"
#include "simd/widen.h"

namespace fastce {

// e (prob_scale_hi + prob_scale_lo) + offset, where the offset is minus the classes' common target times the scale.
template <class T> FASTCE_INLINE vec<T> gradient_of(vec<T> e, vec<T> prob_scale_hi, vec<T> prob_scale_lo, vec<T> offset) {
    return product_sum(e, prob_scale_hi, prob_scale_lo, offset);
}
// e (prob_scale_hi + prob_scale_lo) + target (target_scale_hi + target_scale_lo), where the scale is minus the row's.
template <class T>
FASTCE_INLINE vec<T> gradient_of(vec<T> e, vec<T> prob_scale_hi, vec<T> prob_scale_lo, vec<T> target,
                                 vec<T> target_scale_hi, vec<T> target_scale_lo) {
    if constexpr (kHasFma) {
        // The product of the target is exact as offset + lost, which counts where the difference is smaller than it.
        using raw = typename vec<T>::raw;
        const raw offset = target.v * target_scale_hi.v;
        const raw lost = multiply_add(target.v, target_scale_hi.v, raw(-offset));
        const raw small = multiply_add(target.v, target_scale_lo.v, multiply_add(e.v, prob_scale_lo.v, lost));
        return raw(multiply_add(e.v, prob_scale_hi.v, offset)) + small;
    } else if constexpr (sizeof(lane_t<T>) == 4) {
        vec<T> r;
        for (int k = 0; k < vec<T>::lanes; ++k) {
            const double scale = double(prob_scale_hi.v[k]) + double(prob_scale_lo.v[k]);
            const double of_target = double(target_scale_hi.v[k]) + double(target_scale_lo.v[k]);
            r.v[k] = float(double(e.v[k]) * scale + double(target.v[k]) * of_target);
        }
        return r;
    } else {
        return e * prob_scale_hi + (target * target_scale_hi + (e * prob_scale_lo + target * target_scale_lo));
    }
}
// p (hess_scale (1 - p) + hess_square p) with p = e inverse_sum.
template <class T> FASTCE_INLINE vec<T> hessian_of(vec<T> e, vec<T> inverse_sum, vec<T> hess_scale, vec<T> hess_square) {
    const vec<T> p = e * inverse_sum;
    return p * (hess_scale * (vec<T>(1.0) - p) + hess_square * p);
}
template <class T> FASTCE_INLINE vec<T> log_softmax_of(vec<T> x, vec<T> row_max, vec<T> log_sum) {
    return x - row_max - log_sum;
}

// The numbers of one row, each in all lanes.
template <class T> struct row_terms {
    vec<T> shift{0.0}, row_max{0.0}, log_sum{0.0};
    vec<T> prob_scale_hi{0.0}, prob_scale_lo{0.0}, uniform_offset{0.0}, target_scale_hi{0.0}, target_scale_lo{0.0};
    vec<T> inverse_sum{0.0}, hess_scale{0.0}, hess_square{0.0};
};

// The numbers of many rows, one row a lane. What a call does not need is NULL.
template <class T> struct row_lanes {
    vec<T>*label, *winner;  // classes as integers: the reference, and the clear winner that is not the reference
    vec<T>* live;           // 0 in rows that are skipped; NULL where none is
    vec<T>*shift, *row_max, *log_sum;
    vec<T>*prob_scale_hi, *prob_scale_lo, *uniform_offset, *target_scale_hi, *target_scale_lo, *label_grad;
    vec<T>*inverse_sum, *hess_scale, *hess_square, *label_hess, *winner_hess;
};

}  // namespace fastce
