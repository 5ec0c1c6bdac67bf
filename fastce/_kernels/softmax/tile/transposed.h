// Rows of few classes that lie one after another, transposed: lane i of a vector belongs to row i, as in class_major.h.
//
// Design. The exponentials of short rows lie one after another. Those of four classes, of as many rows as a vector has
// lanes, become four vectors by eight shuffles within 16 bytes; where the classes are no multiple of four, the last
// four overlap those before. Three classes are three vectors for each four rows. Then a row's sum, its label and its
// coefficients need no lane but their own, and its end is arithmetic of a few vectors: floats that carry along what
// rounding took, and the gradient takes one division.
#pragma once

#include "memory/label_lanes.h"
#include "memory/transpose.h"
#include "simd/log_product.h"
#include "softmax/epilogue.h"

namespace fastce {

// Rows of fewer classes are transposed. Per vector this costs more than sums by a tree and labels one by one, and
// per row less; where a vector has four lanes it hardly pays.
constexpr ptrdiff_t kFewClasses = vec<float>::lanes < 8 ? 0 : 13;

// The same for four rows of three classes one after another in three times four lanes.
template <class T> FASTCE_INLINE void part_threes(vec<T>* v) {
    const vec<T> low = pick<1, 2, 0, 1>(v[0], v[1]), high = pick<2, 3, 1, 2>(v[1], v[2]);
    const vec<T> a = pick<0, 3, 0, 2>(v[0], high), b = pick<0, 2, 1, 3>(low, high), c = pick<1, 3, 0, 3>(low, v[2]);
    v[0] = a, v[1] = b, v[2] = c;
}
template <class T> FASTCE_INLINE void join_threes(vec<T>* v) {
    const vec<T> a = pick<0, 2, 0, 2>(v[0], v[1]), b = pick<1, 3, 1, 3>(v[1], v[2]), c = pick<0, 2, 1, 3>(v[2], v[0]);
    v[0] = pick<0, 2, 0, 2>(a, c), v[1] = pick<0, 2, 1, 3>(b, a), v[2] = pick<1, 3, 1, 3>(c, b);
}

// All three classes of as many rows as a vector has lanes.
FASTCE_INLINE void load_threes(const float* rows, vec<float>* v) {
    for (int j = 0; j < 3; ++j) v[j] = load_quads(rows + 4 * j, 12);
    part_threes(v);
}

// Sums of as many rows as a vector has lanes: the label's exponentials, those of all others, and what rounding took
// from the latter.
struct row_sums_of_lanes {
    vec<float>::bits label;
    vec<float> others, lost;

    // a + b, neither of them negative.
    FASTCE_INLINE vec<float> sum(vec<float> a, vec<float> b) {
        const vec<float> total = a + b;
        lost = lost + (minimum(a, b) - (total - maximum(a, b)));
        return total;
    }
    // n vectors of classes; `labels` count from the first of them.
    template <int n> FASTCE_INLINE void add(const vec<float>* v, vec<float>::bits labels) {
        vec<float>::bits mine[4]{};
        vec<float> e[n];
        for (int j = 0; j < n; ++j) {
            mine[j] = bits<float>(v[j].v) & vec<float>::bits(labels == uint32_t(j));
            e[j] = from_bits<float>(bits<float>(v[j].v) ^ mine[j]);
        }
        label |= (mine[0] | mine[1]) | (mine[2] | mine[3]);
        vec<float> all = e[0];
        if constexpr (n >= 2) all = sum(all, e[1]);
        if constexpr (n == 3) all = sum(all, e[2]);
        if constexpr (n == 4) all = sum(all, sum(e[2], e[3]));
        others = sum(others, all);
    }
};
FASTCE_INLINE row_sums_of_lanes sum_lanes(const float* e, ptrdiff_t classes, vec<float>::bits label) {
    row_sums_of_lanes sums{vec<float>::bits{}, vec<float>(0.0), vec<float>(0.0)};
    vec<float> v[4];
    if (classes == 3) {
        load_threes(e, v);
        sums.add<3>(v, label);
        return sums;
    }
    ptrdiff_t left = classes;
    for (; left >= 4; left -= 4, e += 4, label -= 4) {
        load_fours(e, classes, v);
        sums.add<4>(v, label);
    }
    if (left == 0) return sums;
    load_fours(e + left - 4, classes, v);
    if (left == 1) sums.add<1>(v + 3, label);
    else if (left == 2) sums.add<2>(v + 2, label);
    else sums.add<3>(v + 1, label);
    return sums;
}

// The sums of whole vectors of rows whose exponentials lie one after another; labels as lanes.
template <class T>
FASTCE_APART void sum_transposed(const vec<T>* exps, const vec<T>* labels, ptrdiff_t rows, ptrdiff_t classes,
                                 row_sums_of_lanes* sums) {
    if constexpr (sizeof(lane_t<T>) == 4) {
        constexpr ptrdiff_t width = vec<float>::lanes;
        for (ptrdiff_t k = 0; k < rows / width; ++k)
            sums[k] = sum_lanes(lanes(exps) + k * width * classes, classes, bits<T>(labels[k].v));
    }
}

// The same sums in double.
inline void widen_sums(const row_sums_of_lanes* sums, ptrdiff_t rows, double* sum_others, double* exp_label) {
    for (ptrdiff_t i = 0; i < rows; i += vec<float>::lanes, ++sums) {
        double others[vec<float>::lanes], lost[vec<float>::lanes];
        store_doubles(others, sums->others), store_doubles(lost, sums->lost);
        store_doubles(exp_label + i, vec<float>(from_bits<float>(sums->label)));
        for (int k = 0; k < vec<float>::lanes; ++k) sum_others[i + k] = others[k] + lost[k];
    }
}

// The sum of the losses log((others + label) / label) of vectors of rows: the logarithm of two products of doubles,
// whose exponents are counted apart. Negative where a number is out of bounds: kLargestSum, kSmallestSum, and
// kLeastLabel, below which eight labels might leave the range of a double; or where losses are too small for a product.
constexpr float kLeastLabel = 0x1p-36f;
FASTCE_APART double sum_of_losses(const row_sums_of_lanes* sums, ptrdiff_t vectors) {
    const vec<float> limit(kLargestSum * kExpScale), smallest(kSmallestSum * kExpScale), unlikely(kLeastLabel);
    vec<double> totals[2]{1.0, 1.0}, labels[2]{1.0, 1.0};
    vec<double>::bits count{};
    vec<float> least(HUGE_VAL), least_label(HUGE_VAL);
    vec<float>::mask most{};  // as integers, finite numbers, infinity and NaN are in this order
    auto multiply = [&](const row_sums_of_lanes& s, vec<float> label, auto half) __attribute__((always_inline)) {
        const vec<double> o = widened<half>(label.v);
        totals[half] = totals[half] * ((widened<half>(s.others.v) + widened<half>(s.lost.v)) + o);
        labels[half] = labels[half] * o;
    };
    for (ptrdiff_t first = 0; first < vectors; first += 8) {
        const ptrdiff_t end = vectors - first < 8 ? vectors : first + 8;
        for (ptrdiff_t k = first; k < end; ++k) {
            const vec<float> label = from_bits<float>(sums[k].label), total = sums[k].others + label;
            const auto size = (vec<float>::mask)(size_of(total).v);
            most = size > most ? size : most;
            least = minimum(least, total);
            least_label = minimum(least_label, label);
            multiply(sums[k], label, std::integral_constant<int, 0>());
            multiply(sums[k], label, std::integral_constant<int, 1>());
        }
        for (int half = 0; half < 2; ++half) count += exponents_out_of(totals[half]) - exponents_out_of(labels[half]);
    }
    const vec<float> largest = from_bits<float>(vec<float>::bits(most));
    const auto fits = (largest.v < limit.v) & (least.v > smallest.v) & (least_label.v > unlikely.v);
    const double sum = lane_sum(log((totals[0] * totals[1]) / (labels[0] * labels[1]))) + log_of_power(count);
    return all_zero<float>(~fits) && sum > double(vectors * vec<float>::lanes) * kLeastMean ? sum : -1;
}

// The gradient's coefficients of a vector of rows, from their sums and the scale hi + lo: one text for rows with
// options and without.
template <class T>
FASTCE_INLINE void scale_by_sums(const row_sums_of_lanes& sums, vec<float> scale_hi, vec<float> scale_lo,
                                 vec<T>* prob_scale_hi, vec<T>* prob_scale_lo, vec<T>* label_grad) {
    const vec<float> zero(0.0), one(1.0);
    row_sums_of_lanes all = sums;
    const vec<float> total = all.sum(all.others, from_bits<float>(all.label));
    vec<float> low;
    const vec<float> high = quotient(scale_hi, total, &low);
    low = low + (scale_lo - high * all.lost) * (one / total);
    *prob_scale_hi = high.v, *prob_scale_lo = low.v;
    *label_grad = (zero - product_sum(sums.others, high, low, sums.lost * high)).v;
}

// Of rows that all have the same scale.
template <class T>
FASTCE_APART void put_coefficients(const row_sums_of_lanes* sums, ptrdiff_t vectors, double scale, grad_lanes<T> of) {
    const vec<float> hi(scale), lo(scale - double(float(scale)));
    for (ptrdiff_t k = 0; k < vectors; ++k)
        scale_by_sums<T>(sums[k], hi, lo, of.prob_scale_hi + k, of.prob_scale_lo + k, of.label_grad + k);
}

// Of rows with scales of their own; what is there stays where floats do not have a scale and its quotients.
template <class T>
inline void put_own_coefficients(const row_sums_of_lanes* sums, ptrdiff_t rows, const double* scale, grad_lanes<T> of) {
    if constexpr (sizeof(lane_t<T>) == 4) {
        constexpr ptrdiff_t width = vec<float>::lanes;
        const vec<float> least(kLeastScale), most(kMostScale);
        for (ptrdiff_t k = 0; k < rows / width; ++k) {
            double low[width];
            for (ptrdiff_t i = 0; i < width; ++i) low[i] = scale[k * width + i] - double(float(scale[k * width + i]));
            const vec<float> hi = narrow_lanes<float>(scale + k * width), lo = narrow_lanes<float>(low);
            vec<T> prob_scale_hi, prob_scale_lo, label_grad;
            scale_by_sums<T>(sums[k], hi, lo, &prob_scale_hi, &prob_scale_lo, &label_grad);
            const auto fits = (hi.v >= least.v) & (hi.v <= most.v);
            of.prob_scale_hi[k] = select<T>(fits, prob_scale_hi, of.prob_scale_hi[k]);
            of.prob_scale_lo[k] = select<T>(fits, prob_scale_lo, of.prob_scale_lo[k]);
            of.label_grad[k] = select<T>(fits, label_grad, of.label_grad[k]);
        }
    }
}

// All that is to be done with at most kFusedRows rows, whole vectors of them, that have a label and the same scale and
// nothing else, but the gradient's writing: the sum of their losses, their coefficients where they are asked for, and
// labels as lanes. Negative where sums or losses are too large or small for that.
template <class T>
FASTCE_APART double end_transposed(const vec<T>* exps, const int64_t* label, ptrdiff_t rows, ptrdiff_t classes,
                                   double grad_scale, vec<T>* labels, grad_lanes<T> of) {
    if constexpr (sizeof(lane_t<T>) == 8) {
        return -1;
    } else {
        row_sums_of_lanes sums[kFusedVectors];
        put_labels(label, rows, labels);
        sum_transposed(exps, labels, rows, classes, sums);
        if (of.prob_scale_hi) put_coefficients(sums, rows / vec<float>::lanes, grad_scale, of);
        return sum_of_losses(sums, rows / vec<float>::lanes);
    }
}

// The gradient of such rows of three or four classes.
template <class T>
FASTCE_APART void write_transposed(T* out, const vec<T>* exps, ptrdiff_t rows, ptrdiff_t classes, const vec<T>* labels,
                                   grad_lanes<T> of) {
    if constexpr (sizeof(lane_t<T>) == 4) {
        constexpr ptrdiff_t width = vec<float>::lanes;
        const float* e = lanes(exps);
        for (ptrdiff_t k = 0; k < rows / width; ++k, e += width * classes, out += width * classes) {
            const auto label = bits<T>(labels[k].v);
            const vec<float> hi(of.prob_scale_hi[k].v), lo(of.prob_scale_lo[k].v), at_label(of.label_grad[k].v), zero(0.0);
            vec<float> v[4];
            auto scale = [&](int j) __attribute__((always_inline)) {
                v[j] = select<float>(label == uint32_t(j), at_label, product_sum(v[j], hi, lo, zero));
            };
            if (classes == 3) {
                load_threes(e, v);
                scale(0), scale(1), scale(2);
                join_threes(v);
                for (int j = 0; j < 3; ++j) store_quads(out + 4 * j, 12, vec<T>(v[j].v));
            } else {
                load_fours(e, 4, v);
                scale(0), scale(1), scale(2), scale(3);
                transpose(v);
                for (int j = 0; j < 4; ++j) store_quads(out + 4 * j, 16, vec<T>(v[j].v));
            }
        }
    }
}

}  // namespace fastce
