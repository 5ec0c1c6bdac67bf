// What is written of an element, in one text for rows, tiles and lanes, and what of its row that needs.
#pragma once

#include "simd/sums.h"

namespace fastce {

// e (prob_scale_hi + prob_scale_lo) + offset, where the offset is minus the class's target times the row's scale.
template <class T> FASTCE_INLINE vec<T> gradient_of(vec<T> e, vec<T> prob_scale_hi, vec<T> prob_scale_lo, vec<T> offset) {
    return product_sum(e, prob_scale_hi, prob_scale_lo, offset);
}
template <class T> FASTCE_INLINE vec<T> offset_of(vec<T> target, vec<T> target_scale_hi, vec<T> target_scale_lo) {
    return product_sum(target, target_scale_hi, target_scale_lo, vec<T>(0.0));
}
// p (hess_scale (1 - p) + hess_square p) with p = e inverse_sum.
template <class T> FASTCE_INLINE vec<T> hessian_of(vec<T> e, vec<T> inverse_sum, vec<T> hess_scale, vec<T> hess_square) {
    return curved(e, inverse_sum, hess_scale, hess_square);
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
