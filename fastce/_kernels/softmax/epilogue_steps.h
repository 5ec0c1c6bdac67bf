// The ends of a group of rows: labels, weights, sums of exponentials, losses. Numbers are double.
#pragma once

#include "simd/exp.h"
#include "simd/log.h"
#include "simd/sums.h"

#include <cmath>

namespace fastce {

// Whether n labels are classes, none of them the one that is ignored.
inline bool all_classes(const int64_t* labels, ptrdiff_t n, int64_t classes, int64_t ignored) {
    uint64_t other = 0;
    for (ptrdiff_t i = 0; i < n; ++i)
        other |= uint64_t(uint64_t(labels[i]) >= uint64_t(classes)) | uint64_t(labels[i] == ignored);
    return other == 0;
}

// How often a condition held, given the sum of what comparisons gave, -1 for yes; whether ever.
FASTCE_INLINE ptrdiff_t count(raw_of<double>::mask m) {
    ptrdiff_t sum = 0;
    for (int k = 0; k < vec<double>::lanes; ++k) sum += m[k];
    return -sum;
}
FASTCE_INLINE bool any(raw_of<double>::mask m) { return count(m) != 0; }

// What the weights of n rows add up to, how many rows are weighted and how many are not.
struct weighed {
    wide_sum<double> sum;
    ptrdiff_t nonzero, skipped;
};

// Multiplies the rows' weights by those of samples, and the labels' targets by those of classes, each NULL or one a
// row. With `drops`, a row whose class has weight 0 has no term at all, and its weight becomes 0.
inline weighed weigh(const double* by_class, const double* by_sample, bool drops, ptrdiff_t n, double* weight,
                     double* label_target) {
    using mask = raw_of<double>::mask;
    weighed all;
    mask nonzero{}, live{};
    const vec<double> zero(0.0), one(1.0);
    for (ptrdiff_t i = 0; i < n; i += vec<double>::lanes) {
        const vec<double> sample = by_sample ? load(by_sample + i, n - i, 0.0) : one;
        const vec<double> of_class = by_class ? load(by_class + i, n - i, 0.0) : one;
        const vec<double> own = load(weight + i, n - i, 0.0) * sample, total = own * of_class;
        const vec<double> kept = drops ? where_zero(of_class, zero, own) : own;
        store(weight + i, kept, n - i);
        store(label_target + i, load(label_target + i) * of_class, n - i);
        all.sum.add(total);
        nonzero += total.v != 0;
        live += kept.v != 0;
    }
    all.nonzero = count(nonzero);
    all.skipped = n - count(live);
    return all;
}

// The gradient of rows is alpha e_c / total - grad_scale t_c, where total is the sum of all e_c, and label_grad at the
// reference class. `others` is what all other classes' targets and z_loss add to that of the reference.
struct row_coefficients {
    vec<double> alpha, inverse, prob_scale, prob_scale_lo, label_grad;
};
FASTCE_INLINE row_coefficients coefficients_of(vec<double> sum_others, vec<double> exp_label, vec<double> label_target,
                                               vec<double> others, vec<double> grad_scale) {
    row_coefficients f;
    f.alpha = (label_target + others) * grad_scale;
    f.inverse = vec<double>(1.0) / (sum_others + exp_label);
    f.prob_scale = f.alpha * f.inverse;
    f.prob_scale_lo = vec<double>(0.0);
    f.label_grad = (others * exp_label - label_target * sum_others) * (grad_scale * f.inverse);
    return f;
}
// The same to some digits more, for lanes of doubles: grad_scale / total is kept in two parts. `others_rounding` and
// `scale_rounding` are what rounding took from sum_others and grad_scale.
FASTCE_INLINE row_coefficients exact_coefficients_of(vec<double> sum_others, vec<double> others_rounding,
                                                     vec<double> exp_label, vec<double> label_target,
                                                     vec<double> others, vec<double> grad_scale,
                                                     vec<double> scale_rounding) {
    row_coefficients f = coefficients_of(sum_others, exp_label, label_target, others, grad_scale);
    const vec<double> zero(0.0), targets = label_target + others, total = sum_others + exp_label;
    const vec<double> total_rounding = rounding_of_sum(sum_others, exp_label, total) + others_rounding;
    const vec<double> scale = grad_scale * f.inverse, product = label_target * sum_others;
    vec<double> scale_lo = scale_rounding - multiply_subtract(scale, total, grad_scale) - scale * total_rounding;
    scale_lo = scale_lo * f.inverse;
    f.prob_scale = targets * scale;
    f.prob_scale_lo = multiply_subtract(targets, scale, f.prob_scale) +
                      (rounding_of_sum(label_target, others, targets) * scale + targets * scale_lo);
    f.prob_scale_lo = select<double>(f.prob_scale_lo.v - f.prob_scale_lo.v == 0, f.prob_scale_lo, zero);
    const vec<double> difference = multiply_subtract(others, exp_label, product) -
                                   (multiply_subtract(label_target, sum_others, product) + label_target * others_rounding);
    const vec<double> low = difference * scale_lo;
    f.label_grad = multiply_subtract(difference, scale, zero - select<double>(low.v - low.v == 0, low, zero));
    return f;
}

// As many doubles as a vector has lanes, rounded to lanes.
template <class T> FASTCE_INLINE vec<T> narrow_lanes(const double* x) {
    constexpr int half = vec<double>::lanes;
    if constexpr (vec<T>::lanes == half) return narrowed<T>(load(x), load(x));
    else return narrowed<T>(load(x), load(x + half));
}

// Takes the labels' terms out of sums of exponentials, as exactly as they went in: where pairs of vectors were added
// in their own lanes, together with the partner. `rounding` is what the sums lost,
// `others_rounding` what the others' sums of doubles do. The terms themselves go to `exp_label`, in double. All arrays
// hold whole vectors.
template <class T>
inline void separate_labels(const vec<T>*, const double* total, const double* rounding, const double* logit,
                            const double* partner, const double* shift, double* sum_others, double* others_rounding,
                            double* exp_label, ptrdiff_t n) {
    constexpr int half = vec<double>::lanes;
    alignas(64) double terms[vec<T>::lanes], partners[vec<T>::lanes];
    for (ptrdiff_t i = 0; i < n; i += vec<T>::lanes) {
        const vec<T> at = narrow_lanes<T>(shift + i);
        const vec<T> own = scaled_exp(narrow_lanes<T>(logit + i) - at);
        const vec<T> other = scaled_exp(narrow_lanes<T>(partner + i) - at);
        store_doubles(terms, kAddsPairs ? own + other : own);
        store_doubles(partners, kAddsPairs ? other : vec<T>(0.0));
        for (int k = 0; k < vec<T>::lanes; k += half) {
            const vec<double> all = load(total + i + k), term = load(terms + k), left = all - term;
            const vec<double> lost = load(rounding + i + k), beside = load(partners + k);
            if constexpr (sizeof(lane_t<T>) == 8) {
                const vec<double> sum = left + beside;
                const wide_sum<double> others{sum, (lost + rounding_of_difference(all, term, left)) +
                                                       rounding_of_sum(left, beside, sum)};
                vec<double> rest;
                store(sum_others + i + k, others.lanes_total(&rest));
                store(others_rounding + i + k, rest * vec<double>(1 / kExpScale));
            } else {
                store(sum_others + i + k, (left + lost) + beside);
            }
            store(exp_label + i + k, scaled_exp(load(logit + i + k) - load(shift + i + k)));
        }
    }
}

enum domain { kInRange = 0, kOutOfRange = 1, kClearWinner = 2, kLabelUnderflow = 4 };

// A label's exponential below this may have lost digits, or all.
constexpr double kUnderflowBelow = 1e-30;

// Takes kExpScale out of sums of exponentials and of the labels' terms, and tells what holds for some row: the sum is
// out of the range in which its shift is kept; beside the label's term the others have no digits left; the label's
// term may have underflown. Rows of weight 0 get 0 and 1.
inline int check_range(double* sum_others, double* exp_label, const double* weight, ptrdiff_t n) {
    const vec<double> unscale(1 / kExpScale), zero(0.0), one(1.0);
    raw_of<double>::mask within = one.v == one.v, unclear = within, normal = within;
    for (ptrdiff_t i = 0; i < n; i += vec<double>::lanes) {
        const vec<double> r = load(sum_others + i) * unscale, o = load(exp_label + i) * unscale, total = r + o;
        const auto skipped = load(weight + i).v == 0;
        within &= skipped | ((total.v > kSmallestSum) & (total.v < kLargestSum));
        unclear &= skipped | ~(r.v < (o * vec<double>(kLeastRest)).v);
        normal &= skipped | ~(o.v < kUnderflowBelow);
        store(sum_others + i, select<double>(skipped, zero, r));
        store(exp_label + i, select<double>(skipped, one, o));
    }
    if (!any(~(within & unclear & normal))) return kInRange;
    return (any(~within) ? kOutOfRange : 0) | (any(~unclear) ? kClearWinner : 0) | (any(~normal) ? kLabelUnderflow : 0);
}

// n numbers x + rest as lanes, in two parts that together are more precise than one.
template <class T>
inline void split_doubles(const double* x, const double* rest, ptrdiff_t n, vec<T>* high, vec<T>* low) {
    constexpr int half = vec<double>::lanes;
    for (ptrdiff_t k = 0; k < n; k += vec<T>::lanes) {
        const ptrdiff_t at = k / vec<T>::lanes;
        if constexpr (sizeof(lane_t<T>) == 8) {
            high[at] = load(x + k).v;
            low[at] = load(rest + k).v;
        } else {
            const vec<double> a = load(x + k), b = load(x + k + half);
            high[at] = narrowed<T>(a, b);
            low[at] = narrowed<T>(a - widened<0>(high[at].v) + load(rest + k),
                                  b - widened<1>(high[at].v) + load(rest + k + half));
        }
    }
}

// ---------------------------------------------------------------- fused ends

// How many rows of few classes end together; as vectors, and one more.
constexpr ptrdiff_t kFusedRows = 256, kFusedVectors = kFusedRows / vec<float>::lanes + 1;

// The scale of a gradient within which its quotients by sums have all their digits as floats.
constexpr double kLeastScale = 0x1p-48, kMostScale = 0x1p100;

// What the exponentials of rows are multiplied by, in two parts, and the gradient at the label.
template <class T> struct grad_lanes {
    vec<T>*prob_scale_hi, *prob_scale_lo, *label_grad;

    // Of rows that have a label and the same scale and nothing else; sums are times kExpScale, as exponentials are.
    FASTCE_INLINE void put(ptrdiff_t k, const vec<double>* sum_others, const vec<double>* total,
                           vec<double> grad_scale) const {
        constexpr int last = vec<T>::lanes / vec<double>::lanes - 1;
        const vec<double> zero(0.0), one(1.0);
        vec<double> scale[last + 1], label[last + 1];
        for (int j = 0; j <= last; ++j) {
            scale[j] = grad_scale * (one / total[j]);
            label[j] = (zero - sum_others[j]) * scale[j];
        }
        label_grad[k] = narrowed<T>(label[0], label[last]);
        prob_scale_hi[k] = narrowed<T>(scale[0], scale[last]);
        if constexpr (last == 0) prob_scale_lo[k] = vec<T>(0.0);
        else prob_scale_lo[k] = narrowed<T>(scale[0] - widened<0>(prob_scale_hi[k].v),
                                            scale[1] - widened<1>(prob_scale_hi[k].v));
    }
};

// The sum of the logarithms of totals over exp_labels, each the product of many; negative where that is not precise
// enough: losses so small that 1 hides them, or a product that left the range.
FASTCE_INLINE double log_of_ratio(const vec<double>* totals, const vec<double>* exp_labels, ptrdiff_t n) {
    const double sum = lane_sum(log((totals[0] * totals[1]) / (exp_labels[0] * exp_labels[1])));
    return sum > 1e-7 * double(n) && sum < HUGE_VAL ? sum : -1;
}

// All that is to be done with at most 64 rows that have a label and the same scale and nothing else, once their
// exponentials are summed, in one sweep: what check_range and one logarithm of a product do, and their coefficients
// where grads.prob_scale_hi is given. Returns the sum of their losses; negative where a row is out of the range of
// that, which check_range then has to tell.
constexpr double kMostFactor = vec<double>::lanes == 2 ? 0x1p31 : 0x1p62;  // 64 / lanes factors to a lane
template <class T, class S>
FASTCE_APART double end_fused(const double* sum_others, const S* exp_label, ptrdiff_t n, double grad_scale,
                              grad_lanes<T> grads) {
    constexpr ptrdiff_t width = vec<double>::lanes, parts = vec<T>::lanes / width;
    constexpr double down = width == 2 ? 1 / kExpScale : 1;  // products of two lanes have no room for kExpScale
    constexpr double most = kLargestSum * kExpScale, largest = most < kMostFactor / down ? most : kMostFactor / down;
    constexpr double smallest = kSmallestSum * kExpScale, least = 1 / (kMostFactor * down);
    const vec<double> one(1.0), all(grad_scale), scale(down);
    vec<double> totals[2] = {one, one}, labels[2] = {one, one};
    vec<double> least_total(largest), most_total(0.0), least_label(largest), most_lost(-1.0);
    auto take = [&](ptrdiff_t k, auto whole, auto gradient) __attribute__((always_inline)) {
        vec<double> others[parts], total[parts];
        for (int j = 0; j < parts; ++j) {
            const ptrdiff_t i = (k * parts + j) * width;
            vec<double> r = load(sum_others + i), o = load_widened(exp_label + i);
            [[maybe_unused]] const auto no_row = lane_numbers<double>() >= n - i;
            if constexpr (!whole) {
                r = select<double>(no_row, vec<double>(kExpScale), r);
                o = select<double>(no_row, one, o);
            }
            others[j] = r;
            total[j] = r + o;
            least_total = minimum(least_total, total[j]);
            most_total = maximum(most_total, total[j]);
            least_label = minimum(least_label, o);
            most_lost = maximum(most_lost, o * vec<double>(kLeastRest) - r);
            if constexpr (!whole) o = select<double>(no_row, total[j], o);
            labels[j] = labels[j] * (o * scale);
            totals[j] = totals[j] * (total[j] * scale);
        }
        if constexpr (gradient) grads.put(k, others, total, all);
    };
    auto take_all = [&](auto gradient) __attribute__((always_inline)) {
        ptrdiff_t k = 0;
        for (; (k + 1) * vec<T>::lanes <= n; ++k) take(k, std::true_type(), gradient);
        if (k * vec<T>::lanes < n) take(k, std::false_type(), gradient);
    };
    grads.prob_scale_hi ? take_all(std::true_type()) : take_all(std::false_type());
    const auto fits =
        (least_total.v > smallest) & (most_total.v < largest) & (least_label.v > least) & (most_lost.v <= 0);
    return any(~fits) ? -1 : log_of_ratio(totals, labels, n);  // which is not above 0 where a total is NaN
}

}  // namespace fastce
