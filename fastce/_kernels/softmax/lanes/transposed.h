// Plain rows of few classes, crosswise: lane i of a vector belongs to row i, as in columns.h.
//
// Design. The exponentials of short rows lie one after another. Those of four classes, of as many rows as a vector has
// lanes, become four vectors by eight shuffles within 16 bytes; where the classes are no multiple of four, the last
// four overlap those before. Three classes are three vectors for each four rows. Then a row's sum, its label and its
// coefficients need no lane but their own, and its end is arithmetic of a few vectors: floats that carry along what
// rounding took, and the gradient takes one division.
#pragma once

#include "softmax/lanes/class_major.h"
#include "elementwise/logistic.h"

namespace fastce {

// Rows of fewer classes are done crosswise. Per vector this costs more than sums by a tree and labels one by one, and
// per row less; where a vector has four lanes it hardly pays.
constexpr ptrdiff_t kFew = vec<float>::lanes < 8 ? 0 : 13;

// Four lanes at p, and at every `pitch` after it, as many as fill a vector.
FASTCE_INLINE vec<float> load_quads(const float* p, ptrdiff_t pitch) { return load_groups_of_four(p, pitch); }
template <class T> FASTCE_INLINE void store_quads(T* p, ptrdiff_t pitch, vec<T> v) {
    T part[vec<T>::lanes];
    store(part, v);
    for (int k = 0; k < vec<T>::lanes / 4; ++k) memcpy(p + k * pitch, part + 4 * k, 4 * sizeof(T));
}

// Of each four lanes, two of a and two of b.
template <int i, int j, int k, int l> struct picked {
    static constexpr size_t at(size_t lane, size_t lanes, int) {
        constexpr size_t from[] = {i, j, k, l};
        return lane / 4 * 4 + from[lane % 4] + (lane % 4 < 2 ? 0 : lanes);
    }
};
template <int i, int j, int k, int l, class T> FASTCE_INLINE vec<T> pick(vec<T> a, vec<T> b) {
    return rearranged<picked<i, j, k, l>, 0>(a, b);
}

// Rows of classes to classes of rows, or back.
template <class T> FASTCE_INLINE void transpose(vec<T>* v) {
    const vec<T> a = pick<0, 1, 0, 1>(v[0], v[1]), b = pick<2, 3, 2, 3>(v[0], v[1]);
    const vec<T> c = pick<0, 1, 0, 1>(v[2], v[3]), d = pick<2, 3, 2, 3>(v[2], v[3]);
    v[0] = pick<0, 2, 0, 2>(a, c), v[1] = pick<1, 3, 1, 3>(a, c);
    v[2] = pick<0, 2, 0, 2>(b, d), v[3] = pick<1, 3, 1, 3>(b, d);
}

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

// Four, or all three, classes of as many rows as a vector has lanes.
FASTCE_INLINE void load_fours(const float* rows, ptrdiff_t classes, vec<float>* v) {
    for (int j = 0; j < 4; ++j) v[j] = load_quads(rows + j * classes, 4 * classes);
    transpose(v);
}
FASTCE_INLINE void load_threes(const float* rows, vec<float>* v) {
    for (int j = 0; j < 3; ++j) v[j] = load_quads(rows + 4 * j, 12);
    part_threes(v);
}

// Sums of as many rows as a vector has lanes: of the label's exponentials, and of all others'; and what rounding took
// from the latter.
struct row_parts {
    vec<float>::bits own;
    vec<float> rest, lost;

    // a + b, neither of them negative.
    FASTCE_INLINE vec<float> sum(vec<float> a, vec<float> b) {
        const vec<float> total = a + b;
        lost = lost + (minimum(a, b) - (total - maximum(a, b)));
        return total;
    }
    // n vectors of classes; labels count from the first of them.
    template <int n> FASTCE_INLINE void add(const vec<float>* v, vec<float>::bits label) {
        vec<float>::bits mine[4]{};
        vec<float> e[n];
        for (int j = 0; j < n; ++j) {
            mine[j] = bits<float>(v[j].v) & vec<float>::bits(label == uint32_t(j));
            e[j] = from_bits<float>(bits<float>(v[j].v) ^ mine[j]);
        }
        own |= (mine[0] | mine[1]) | (mine[2] | mine[3]);
        vec<float> all = e[0];
        if constexpr (n >= 2) all = sum(all, e[1]);
        if constexpr (n == 3) all = sum(all, e[2]);
        if constexpr (n == 4) all = sum(all, sum(e[2], e[3]));
        rest = sum(rest, all);
    }
};
FASTCE_INLINE row_parts parts_of(const float* e, ptrdiff_t classes, vec<float>::bits label) {
    row_parts parts{vec<float>::bits{}, vec<float>(0.0), vec<float>(0.0)};
    vec<float> v[4];
    if (classes == 3) {
        load_threes(e, v);
        parts.add<3>(v, label);
        return parts;
    }
    ptrdiff_t left = classes;
    for (; left >= 4; left -= 4, e += 4, label -= 4) {
        load_fours(e, classes, v);
        parts.add<4>(v, label);
    }
    if (left == 0) return parts;
    load_fours(e + left - 4, classes, v);
    if (left == 1) parts.add<1>(v + 3, label);
    else if (left == 2) parts.add<2>(v + 2, label);
    else parts.add<3>(v + 1, label);
    return parts;
}

// The sum of the losses log((rest + own) / own) of vectors of rows: the logarithm of two products of doubles, whose
// exponents are counted apart. Negative where a number is out of bounds: kLargestSum, kSmallestSum, and
// kLeastOwn, below which eight labels might leave the range of a double; or where losses are too small for a product.
constexpr float kLeastOwn = 0x1p-36f;
FASTCE_APART double sum_of_losses(const row_parts* parts, ptrdiff_t vectors) {
    const vec<float> limit(kLargestSum * kExpScale), smallest(kSmallestSum * kExpScale), unlikely(kLeastOwn);
    vec<double> totals[2]{1.0, 1.0}, owns[2]{1.0, 1.0};
    vec<double>::bits count{};
    vec<float> least(HUGE_VAL), least_own(HUGE_VAL);
    vec<float>::mask most{};  // as integers, finite numbers, infinity and NaN are in this order
    auto multiply = [&](const row_parts& p, vec<float> own, auto half) __attribute__((always_inline)) {
        const vec<double> o = widened<half>(own.v);
        totals[half] = totals[half] * ((widened<half>(p.rest.v) + widened<half>(p.lost.v)) + o);
        owns[half] = owns[half] * o;
    };
    for (ptrdiff_t first = 0; first < vectors; first += 8) {
        const ptrdiff_t end = vectors - first < 8 ? vectors : first + 8;
        for (ptrdiff_t k = first; k < end; ++k) {
            const vec<float> own = from_bits<float>(parts[k].own), total = parts[k].rest + own;
            const auto size = (vec<float>::mask)(size_of(total).v);
            most = size > most ? size : most;
            least = minimum(least, total);
            least_own = minimum(least_own, own);
            multiply(parts[k], own, std::integral_constant<int, 0>());
            multiply(parts[k], own, std::integral_constant<int, 1>());
        }
        for (int half = 0; half < 2; ++half) count += exponents_out_of(totals[half]) - exponents_out_of(owns[half]);
    }
    const vec<float> largest = from_bits<float>(vec<float>::bits(most));
    const auto fits = (largest.v < limit.v) & (least.v > smallest.v) & (least_own.v > unlikely.v);
    const double sum = lane_sum(log((totals[0] * totals[1]) / (owns[0] * owns[1]))) + log_of_power(count);
    return all_zero<float>(~fits) && sum > double(vectors * vec<float>::lanes) * kLeastMean ? sum : -1;
}

// Their gradient's coefficients.
template <class T>
FASTCE_APART void put_coefficients(const row_parts* parts, ptrdiff_t vectors, double unit, plain_rows<T> of) {
    const vec<float> zero(0.0), one(1.0), unit_high(unit), unit_low(unit - double(float(unit)));
    for (ptrdiff_t k = 0; k < vectors; ++k) {
        row_parts all = parts[k];
        const vec<float> total = all.sum(all.rest, from_bits<float>(all.own));
        vec<float> low;
        const vec<float> high = quotient(unit_high, total, &low);
        low = low + (unit_low - high * all.lost) * (one / total);
        of.high[k] = high.v, of.low[k] = low.v;
        of.at_label[k] = (zero - product_sum(parts[k].rest, high, low, parts[k].lost * high)).v;
    }
}

// All that is to be done with at most kPlainRun plain rows, whole vectors of them, but the gradient's writing: the sum
// of their losses, their coefficients where of.high is given, and labels as lanes. Negative where sums or losses are
// too large or small for that.
template <class T>
FASTCE_APART double end_crosswise(const vec<T>* exps, const int64_t* label, ptrdiff_t rows, ptrdiff_t classes,
                                  double unit, vec<T>* labels, plain_rows<T> of) {
    if constexpr (sizeof(lane_t<T>) == 8) {
        return -1;
    } else {
        constexpr ptrdiff_t width = vec<float>::lanes;
        row_parts parts[kPlainVectors];
        put_labels(label, rows, labels);
        for (ptrdiff_t k = 0; k < rows / width; ++k)
            parts[k] = parts_of(lanes(exps) + k * width * classes, classes, bits<T>(labels[k].v));
        if (of.high) put_coefficients(parts, rows / width, unit, of);
        return sum_of_losses(parts, rows / width);
    }
}

// The gradient of such rows of three or four classes.
template <class T>
FASTCE_APART void scale_crosswise(T* out, const vec<T>* exps, ptrdiff_t rows, ptrdiff_t classes, const vec<T>* labels,
                                  plain_rows<T> of) {
    if constexpr (sizeof(lane_t<T>) == 4) {
        constexpr ptrdiff_t width = vec<float>::lanes;
        const float* e = lanes(exps);
        for (ptrdiff_t k = 0; k < rows / width; ++k, e += width * classes, out += width * classes) {
            const auto label = bits<T>(labels[k].v);
            const vec<float> high(of.high[k].v), low(of.low[k].v), at_label(of.at_label[k].v), zero(0.0);
            vec<float> v[4];
            auto scale = [&](int j) __attribute__((always_inline)) {
                v[j] = select<float>(label == uint32_t(j), at_label, product_sum(v[j], high, low, zero));
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
