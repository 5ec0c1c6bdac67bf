// What labels and weights make of exponentials and logarithms: losses and derivatives of one step, in double.
//
// Design. One text for every option: weights that were not given, a gradient or logarithms that are not wanted,
// are left out by the compiler, which makes a loop of its own for each combination. It holds for all inputs:
// infinities, NaN, probabilities of 0 and 1. Without weights both factors of a logistic loss are 1 together, and
// with weights of 1 every product below is the same number.
#pragma once

#include "elementwise/logistic.h"

#include <cmath>

namespace fastce {

// Elements that lie one after another, and what was computed of each in lanes.
template <class T> struct element_span {
    const T* inputs;  // as they are stored
    const vec<T>* x;  // in lanes
    const vec<T>* labels;       // likewise, anywhere in memory
    bool labels_are_signs;      // or their signs, of hard ones
    const double* wide_labels;  // where lanes would round them; or null
    const vec<T>* log1p_exp_neg_abs = nullptr;  // of logits; or null, where a product sums it up
    const vec<T>* sigmoid_neg_abs = nullptr;
    const vec<T>* log_p = nullptr;  // of probabilities
    const vec<T>* log_1mp = nullptr;
    const vec<T>* hard_gradient = nullptr;  // where labels are 0 or 1; or null
    ptrdiff_t n;
    const double* pos_weight = nullptr;     // one for each, or null
    const double* sample_weight = nullptr;  // likewise
    double one_minus_smoothing, half_smoothing;
    double eps, eps_log;  // what probabilities are clipped to
    vec<T> eps_in_lanes;  // the least lane that is not below it
    double unit;         // of the gradient
    vec<T> unit_high, unit_low;  // the same in lanes
    vec<T>* losses;          // or null
    T* grad = nullptr;       // or null
    T* hess = nullptr;       // second derivatives, or null
    bool streams;            // past the caches
    bool is_unusual = false; // whether some probabilities are clipped, or next to 0 or 1

    // Goes on to the elements from number k on.
    void skip(ptrdiff_t k) {
        n -= k;
        inputs += k;
        labels = from_lane(labels, k);
        losses += k / vec<T>::lanes;
        if (wide_labels) wide_labels += k;
        if (pos_weight) pos_weight += k;
        if (sample_weight) sample_weight += k;
        if (grad) grad += k;
        if (hess) hess += k;
    }
    // Whether all labels are within [0, 1]; if asked for, whether any is 0 or 1.
    bool labels_within_unit(int* any_hard) const {
        if (wide_labels) return fastce::labels_within_unit(wide_labels, n, any_hard);
        return fastce::labels_within_unit(lanes(labels), n, any_hard);
    }
};

// What one step is computed in.
template <class T> struct step_scratch {
    static constexpr int vectors = 16;  // STEP of problem.pxd
    vec<T> x[vectors], first[vectors + 1], second[vectors], slopes[vectors];
};

// The least number of T's lanes that is not below x.
template <class T> FASTCE_INLINE vec<T> at_least(double x, const vec<T>*) {
    const auto lane = lane_t<T>(x);
    return vec<T>(double(lane) < x ? std::nextafter(lane, lane_t<T>(2)) : lane);
}

// The sum of the losses of a chunk, in three parts.
template <class T> struct element_sum {
    log_product<T> product;
    wide_sum<T> in_lanes;
    sum_of_doubles<T> in_double;
};

// Of logits without weights: sigmoid(x) sigmoid(-x) times the unit.
template <class T> inline void write_hessian(T* hess, const vec<T>* sigmoid_neg_abs, ptrdiff_t n, double unit) {
    const vec<double> one(1.0), weight(unit);
    for (ptrdiff_t k = 0; k < n; k += vec<double>::lanes) {
        const vec<double> smaller = load_wide(sigmoid_neg_abs, k);
        store_numbers(hess + k, smaller * (one - smaller) * weight, n - k);
    }
}

// As many doubles as a vector has, or the first n.
FASTCE_INLINE vec<double> some(const double* p, ptrdiff_t n) {
    return n >= vec<double>::lanes ? load(p) : load(p, n < 0 ? 0 : n, 0.0);
}

// -(yes log(p) + no log(1 - p)) and (p - yes) / (p (1 - p)); a term is 0 where its factor is, and its
// derivative where it is clipped.
template <bool graded, class T>
FASTCE_INLINE vec<double> binary_terms(
    const element_span<T>& s, ptrdiff_t k, vec<double> p, vec<double> yes, vec<double> no, vec<double>* slope
) {
    const vec<double> zero(0.0), one(1.0), q = one - p;
    vec<double> log_p = load_wide(s.log_p, k), log_q = load_wide(s.log_1mp, k);
    if constexpr (graded) *slope = (p - yes) / (p * q);
    if (s.is_unusual) {
        const vec<double> eps(s.eps), eps_log(s.eps_log);
        log_p = where_zero(yes, zero, where_below(p, eps, eps_log, log_p));
        log_q = where_zero(no, zero, where_below(q, eps, eps_log, log_q));
        if constexpr (graded) {
            const vec<double> by_term = where_zero(no, zero, where_below(q, eps, zero, no / q)) -
                                        where_zero(yes, zero, where_below(p, eps, zero, yes / size_of(p)));
            *slope = where_zero(p * q, by_term, where_below(minimum(p, q), eps, by_term, *slope));
        }
    }
    return zero - multiply_add(yes, log_p, no * log_q);
}

// no softplus(x) + yes softplus(-x) and no sigmoid(x) - yes sigmoid(-x). Of infinity times 0, which is NaN, the
// maximum is its other number.
template <bool weighted, bool logs, bool graded, class T>
FASTCE_INLINE vec<double> logistic_terms(
    const element_span<T>& s, ptrdiff_t k, vec<double> x, vec<double> yes, vec<double> no, vec<double>* both,
    vec<double>* slope
) {
    const vec<double> most(s.one_minus_smoothing), rest(s.half_smoothing);
    vec<double> factor, least(0.0), smaller(0.0);
    if constexpr (logs) least = load_wide(s.log1p_exp_neg_abs, k);
    if constexpr (graded) smaller = load_wide(s.sigmoid_neg_abs, k);
    if constexpr (weighted) {
        yes = yes * most + rest;
        no = no * most + rest;
        if (s.pos_weight) yes = yes * load(s.pos_weight + k);
        *both = no + yes;
        factor = where_sign(x, yes, no);
        least = *both * least;
        smaller = *both * smaller;
    } else {
        factor = where_sign(x, yes, no) * most + rest;
    }
    if constexpr (graded) *slope = negative_with(factor - smaller, x);
    return maximum(multiply_add(factor, size_of(x), least), least);
}

// Loss and gradient of vec<double> lanes from lane k on.
template <bool binary, bool weighted, bool logs, bool graded, class T, class S>
FASTCE_INLINE vec<double> soft_terms(const element_span<T>& s, const S* z, ptrdiff_t k, sum_of_doubles<T>& sum) {
    const vec<double> x = load_wide(s.x, k), yes = load_widened(z + k), zero(0.0), one(1.0), no = one - yes;
    vec<double> loss, slope, both, weight(s.unit), sample_weight = one;
    if constexpr (binary) loss = binary_terms<graded>(s, k, x, yes, no, &slope);
    else loss = logistic_terms<weighted, logs, graded>(s, k, x, yes, no, &both, &slope);
    if (weighted && s.sample_weight) {
        sample_weight = some(s.sample_weight + k, s.n - k);
        loss = where_zero(sample_weight, zero, loss * sample_weight);
        weight = weight * sample_weight;
    }
    sum.add(loss);
    if constexpr (logs) store_narrow(s.losses, k, loss);
    if constexpr (weighted && !binary) {
        if (s.hess) {
            const vec<double> smaller = load_wide(s.sigmoid_neg_abs, k);
            const vec<double> second = both * smaller * (one - smaller) * weight;
            store_numbers(s.hess + k, where_zero(sample_weight, zero, second), s.n - k);
        }
    }
    if constexpr (!graded) return loss;
    slope = slope * weight;
    if (weighted && s.sample_weight) slope = where_zero(sample_weight, zero, slope);
    if (s.hard_gradient) slope = where_zero(yes * no, load_wide(s.hard_gradient, k), slope);
    return slope;
}

template <bool binary, bool weighted, bool logs, bool graded, class T, class S>
inline void soft_loop(const element_span<T>& step, const S* z, element_sum<T>* total) {
    constexpr ptrdiff_t width = vec<T>::lanes, wide = vec<double>::lanes;
    const element_span<T> s = step;
    sum_of_doubles<T> sum = total->in_double;
    for (ptrdiff_t k = 0; k < s.n; k += width) {
        vec<double> low = soft_terms<binary, weighted, logs, graded>(s, z, k, sum), high = low;
        if constexpr (width > wide) high = soft_terms<binary, weighted, logs, graded>(s, z, k + wide, sum);
        if constexpr (graded) {
            const vec<T> slopes = narrowed<T>(low, high);
            if (s.streams) stream(s.grad + k, slopes);
            else store(s.grad + k, slopes, s.n - k);
        }
    }
    total->in_double = sum;
}

template <class T, class S>
inline void soft_terms(const element_span<T>& s, const S* z, bool binary, element_sum<T>* sum) {
    const bool weighted = s.pos_weight || s.sample_weight || s.hess, logs = s.log1p_exp_neg_abs;
    if (binary && weighted) s.grad ? soft_loop<1, 1, 1, 1>(s, z, sum) : soft_loop<1, 1, 1, 0>(s, z, sum);
    else if (binary) s.grad ? soft_loop<1, 0, 1, 1>(s, z, sum) : soft_loop<1, 0, 1, 0>(s, z, sum);
    else if (weighted) s.grad ? soft_loop<0, 1, 1, 1>(s, z, sum) : soft_loop<0, 1, 1, 0>(s, z, sum);
    else if (logs) s.grad ? soft_loop<0, 0, 1, 1>(s, z, sum) : soft_loop<0, 0, 1, 0>(s, z, sum);
    else s.grad ? soft_loop<0, 0, 0, 1>(s, z, sum) : soft_loop<0, 0, 0, 0>(s, z, sum);
}

}  // namespace fastce
