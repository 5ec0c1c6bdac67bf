// What a batch of rows is judged by: its labels, its sums, its losses all at once. Numbers are double.
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

// Multiplies the rows' weights by those of samples, and kappa by those of classes, each NULL or one per row.
// Where it `drops`, a class of weight 0 has no term at all.
inline weighed weigh(const double* by_class, const double* by_sample, bool drops, ptrdiff_t n, double* weight,
                     double* kappa) {
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
        store(kappa + i, load(kappa + i) * of_class, n - i);
        all.sum.add(total);
        nonzero += total.v != 0;
        live += kept.v != 0;
    }
    all.nonzero = count(nonzero);
    all.skipped = n - count(live);
    return all;
}

// What the gradient of rows is made of: alpha e_c / total - unit beta_c, where total is the sum of all e_c, and
// at_label in the label's place. kappa is the label's own target, `beyond` what all beta_c and z_loss add to it.
struct row_coefficients {
    vec<double> alpha, total, inverse, factor, at_label;
};
FASTCE_INLINE row_coefficients coefficients_of(vec<double> rest, vec<double> own, vec<double> kappa,
                                               vec<double> beyond, vec<double> unit) {
    row_coefficients f;
    f.alpha = (kappa + beyond) * unit;
    f.total = rest + own;
    f.inverse = vec<double>(1.0) / f.total;
    f.factor = f.alpha * f.inverse;
    f.at_label = (beyond * own - kappa * rest) * (unit * f.inverse);
    return f;
}

// As many doubles as a vector has lanes, rounded to lanes.
template <class T> FASTCE_INLINE vec<T> narrow_lanes(const double* x) {
    constexpr int half = vec<double>::lanes;
    if constexpr (vec<T>::lanes == half) return narrowed<T>(load(x), load(x));
    else return narrowed<T>(load(x), load(x + half));
}

// Takes the labels' terms out of sums of exponentials, as exactly as they went in: where pairs of vectors
// were added in their own lanes, together with the partner. The terms themselves go to `own`, in double.
template <class T>
inline void take_labels_out(const vec<T>*, const double* logit, const double* partner, const double* anchor,
                            const double* rounding, double* rest, double* own, ptrdiff_t n) {
    constexpr int half = vec<double>::lanes;
    alignas(64) double ones[vec<T>::lanes], others[vec<T>::lanes];
    for (ptrdiff_t i = 0; i < n; i += vec<T>::lanes) {
        const vec<T> at = narrow_lanes<T>(anchor + i);
        const vec<T> one = scaled_exp(narrow_lanes<T>(logit + i) - at), other = scaled_exp(narrow_lanes<T>(partner + i) - at);
        store_doubles(ones, kAddsPairs ? one + other : one);
        store_doubles(others, kAddsPairs ? other : vec<T>(0.0));
        for (int k = 0; k < vec<T>::lanes; k += half) {
            const vec<double> left = load(rest + i + k) - load(ones + k);
            store(rest + i + k, (left + load(rounding + i + k)) + load(others + k));
            store(own + i + k, scaled_exp(load(logit + i + k) - load(anchor + i + k)));
        }
    }
}

enum judgement { kFine = 0, kOutOfRange = 1, kClearWinner = 2, kFaded = 4 };

// A label's exponential below this may have faded: it has lost digits, or all.
constexpr double kFadedBelow = 1e-30;

// Judges the parts of sums of exponentials, the label's own term and the rest, and takes kExpScale out of
// them. A sum that is out of range was taken from the wrong anchor; beside a clear winner's term the rest has
// no digits left. Rows of weight 0 get harmless numbers.
inline int judge_sums(double* rest, double* own, const double* weight, ptrdiff_t n) {
    const vec<double> unscale(1 / kExpScale), zero(0.0), one(1.0);
    raw_of<double>::mask within = one.v == one.v, unclear = within, vivid = within;
    for (ptrdiff_t i = 0; i < n; i += vec<double>::lanes) {
        const vec<double> r = load(rest + i) * unscale, o = load(own + i) * unscale, total = r + o;
        const auto skipped = load(weight + i).v == 0;
        within &= skipped | ((total.v > kSmallestSum) & (total.v < kLargestSum));
        unclear &= skipped | ~(r.v < (o * vec<double>(kLeastRest)).v);
        vivid &= skipped | ~(o.v < kFadedBelow);
        store(rest + i, select<double>(skipped, zero, r));
        store(own + i, select<double>(skipped, one, o));
    }
    if (!any(~(within & unclear & vivid))) return kFine;
    return (any(~within) ? kOutOfRange : 0) | (any(~unclear) ? kClearWinner : 0) | (any(~vivid) ? kFaded : 0);
}

// The sum of log(1 + rest / own) over at most 64 rows, as one logarithm of a product; negative where that is
// not precise enough: numbers so large or small that a product might leave the range, or losses so small
// that 1 hides them.
constexpr double kMostFactor = vec<double>::lanes == 2 ? 0x1p31 : 0x1p62;  // 64 / lanes factors to a lane
FASTCE_INLINE double log_of_ratio(const vec<double>* totals, const vec<double>* owns, ptrdiff_t n) {
    const double sum = lane_sum(log((totals[0] * totals[1]) / (owns[0] * owns[1])));
    return sum > 1e-7 * double(n) && sum < HUGE_VAL ? sum : -1;
}
inline double log_of_product(const double* rest, const double* own, ptrdiff_t n) {
    constexpr ptrdiff_t lanes = vec<double>::lanes;
    const vec<double> largest(kMostFactor), smallest(1 / kMostFactor), one(1.0);
    vec<double> totals[2] = {one, one}, owns[2] = {one, one};  // so that products wait less for each other
    raw_of<double>::mask fits = one.v == one.v;
    auto take = [&](ptrdiff_t i, int chain) __attribute__((always_inline)) {
        const vec<double> term = load(own + i), total = load(rest + i) + term;
        fits &= (term.v > smallest.v) & (total.v < largest.v);
        owns[chain] = owns[chain] * term;
        totals[chain] = totals[chain] * total;
    };
    ptrdiff_t i = 0;
    for (; i + 2 * lanes <= n; i += 2 * lanes) take(i, 0), take(i + lanes, 1);
    if (i < n) take(i, 0);
    return any(~fits) ? -1 : log_of_ratio(totals, owns, n);
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

// How many rows of few classes end together where they are plain; as vectors, and one.
constexpr ptrdiff_t kPlainRun = 256, kPlainVectors = kPlainRun / vec<float>::lanes + 1;

// What their gradient is multiplied by: within these, it and its quotients by sums have all their digits as floats.
constexpr double kLeastUnit = 0x1p-48, kMostUnit = 0x1p100;

// What the exponentials of rows are multiplied by, in two parts, and what is at the label; of rows that have a
// label and the weight `unit`, and nothing else. `rest` and `total` are times kExpScale, as exponentials are kept.
template <class T> struct plain_rows {
    vec<T>*high, *low, *at_label;

    FASTCE_INLINE void put(ptrdiff_t k, const vec<double>* rest, const vec<double>* total, vec<double> unit) const {
        constexpr int last = vec<T>::lanes / vec<double>::lanes - 1;
        const vec<double> zero(0.0), one(1.0);
        vec<double> factor[last + 1], label[last + 1];
        for (int j = 0; j <= last; ++j) {
            factor[j] = unit * (one / total[j]);
            label[j] = (zero - rest[j]) * factor[j];
        }
        at_label[k] = narrowed<T>(label[0], label[last]);
        high[k] = narrowed<T>(factor[0], factor[last]);
        if constexpr (last == 0) low[k] = vec<T>(0.0);
        else low[k] = narrowed<T>(factor[0] - widened<0>(high[k].v), factor[1] - widened<1>(high[k].v));
    }
};

// All that is to be done with at most 64 such rows once their exponentials are summed, in one sweep: what
// judge_sums and log_of_product do, and their coefficients where rows.high is given. Returns the sum of their losses;
// negative where anything is unusual, which those two then have to tell.
template <class T, class S>
FASTCE_APART double end_plainly(const double* rest, const S* own, ptrdiff_t n, double unit, plain_rows<T> rows) {
    constexpr ptrdiff_t width = vec<double>::lanes, parts = vec<T>::lanes / width;
    constexpr double down = width == 2 ? 1 / kExpScale : 1;  // products of two lanes have no room for kExpScale
    constexpr double most = kLargestSum * kExpScale, largest = most < kMostFactor / down ? most : kMostFactor / down;
    constexpr double smallest = kSmallestSum * kExpScale, least = 1 / (kMostFactor * down);
    const vec<double> one(1.0), all(unit), scale(down);
    vec<double> totals[2] = {one, one}, owns[2] = {one, one};
    vec<double> least_total(largest), most_total(0.0), least_own(largest), most_lost(-1.0);
    auto take = [&](ptrdiff_t k, auto whole, auto gradient) __attribute__((always_inline)) {
        vec<double> others[parts], total[parts];
        for (int j = 0; j < parts; ++j) {
            const ptrdiff_t i = (k * parts + j) * width;
            vec<double> r = load(rest + i), o = load_widened(own + i);
            [[maybe_unused]] const auto no_row = lane_numbers<double>() >= n - i;
            if constexpr (!whole) {
                r = select<double>(no_row, vec<double>(kExpScale), r);
                o = select<double>(no_row, one, o);
            }
            others[j] = r;
            total[j] = r + o;
            least_total = minimum(least_total, total[j]);
            most_total = maximum(most_total, total[j]);
            least_own = minimum(least_own, o);
            most_lost = maximum(most_lost, o * vec<double>(kLeastRest) - r);
            if constexpr (!whole) o = select<double>(no_row, total[j], o);
            owns[j] = owns[j] * (o * scale);
            totals[j] = totals[j] * (total[j] * scale);
        }
        if constexpr (gradient) rows.put(k, others, total, all);
    };
    auto take_all = [&](auto gradient) __attribute__((always_inline)) {
        ptrdiff_t k = 0;
        for (; (k + 1) * vec<T>::lanes <= n; ++k) take(k, std::true_type(), gradient);
        if (k * vec<T>::lanes < n) take(k, std::false_type(), gradient);
    };
    rows.high ? take_all(std::true_type()) : take_all(std::false_type());
    const auto fits =
        (least_total.v > smallest) & (most_total.v < largest) & (least_own.v > least) & (most_lost.v <= 0);
    return any(~fits) ? -1 : log_of_ratio(totals, owns, n);  // which is not above 0 where a total is NaN
}

}  // namespace fastce
