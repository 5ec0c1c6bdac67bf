// Rows of two classes: closed forms, nothing to be summed.
//
// Design. Two classes are one logit, d = x_other - x_label: the loss is log(1 + exp(d)), as in logistic.h,
// and so it is computed where nothing else is asked for (plain pairs). Where weights and the like are, the
// two exponentials are taken apart, and go the way of all rows.
#pragma once

#include "elementwise/logistic.h"
#include "simd/shuffle.h"
#include "memory/stream.h"

namespace fastce {

// The lanes of two vectors as one array: from lane `part` on every second one; or its halves alternately,
// the first or the second part of that.
struct every_second {
    static constexpr size_t at(size_t l, size_t, int part) { return 2 * l + size_t(part); }
};
struct alternating {
    static constexpr size_t at(size_t l, size_t lanes, int part) {
        return l % 2 * lanes + size_t(part) * (lanes / 2) + l / 2;
    }
};

// The exponentials of pairs of logits, of the first and of the second of each; n logits are there.
template <class T>
FASTCE_INLINE void pair_exps(const T* x, ptrdiff_t n, vec<double>& first, vec<double>& second) {
    if constexpr (sizeof(lane_t<T>) == 8) {
        constexpr ptrdiff_t lanes = vec<double>::lanes;
        const vec<double> a = scaled_exp(load(x, n, 0.0));
        const vec<double> b = scaled_exp(n > lanes ? load(x + lanes, n - lanes, 0.0) : vec<double>(0.0));
        first = rearranged<every_second, 0>(a, b);
        second = rearranged<every_second, 1>(a, b);
    } else {
        // Two floats in 64 bits. A float's bits, moved to where a double has them, are the number times
        // 2^-896: 0 and infinity, too, and there are no subnormal ones among exponentials.
        const auto pair = (vec<double>::bits)scaled_exp(load(x, n, 0.0)).v;
        const vec<double> up(0x1p896);
        first = vec<double>(from_bits<double>((pair << 32) >> 3)) * up;
        second = vec<double>(from_bits<double>((pair >> 32) << 29)) * up;
    }
}

FASTCE_INLINE vec<double>::bits labels_at(const int64_t* label) {
    vec<double>::bits labels;
    memcpy(&labels, label, sizeof labels);
    return labels;
}

// The exponential of every row's label, and that of the other class.
template <class T>
inline void part_pairs(const T* x, const int64_t* label, ptrdiff_t rows, double* rest, double* own) {
    for (ptrdiff_t i = 0; i < rows; i += vec<double>::lanes) {
        vec<double> first, second;
        prefetch_ahead(x + 2 * i);
        pair_exps(x + 2 * i, 2 * (rows - i), first, second);
        const auto is_second = labels_at(label + i) == 1;
        store(own + i, select<double>(is_second, second, first));
        store(rest + i, select<double>(is_second, first, second));
    }
}

// Writes one number in the place of every row's label, and another in that of the other class.
template <class T>
inline void put_pairs(const int64_t* label, const double* at_label, const double* at_other, ptrdiff_t rows,
                      T* out) {
    constexpr ptrdiff_t lanes = vec<double>::lanes;
    for (ptrdiff_t i = 0; i < rows; i += lanes, out += 2 * lanes) {
        const auto is_second = labels_at(label + i) == 1;
        const vec<double> own = load(at_label + i), other = load(at_other + i);
        const vec<double> first = select<double>(is_second, other, own);
        const vec<double> second = select<double>(is_second, own, other);
        const ptrdiff_t n = 2 * (rows - i);
        const vec<double> a = rearranged<alternating, 0>(first, second);
        const vec<double> b = rearranged<alternating, 1>(first, second);
        if constexpr (sizeof(lane_t<T>) == 8) {
            store(out, a, n);
            if (n > lanes) store(out + lanes, b, n - lanes);
        } else {
            store(out, narrowed<T>(a, b), n);
        }
    }
}

// ---------------------------------------------------------------- plain pairs

// From two vectors of pairs the first, or the second, numbers of all pairs, in an order that stays within
// 16 bytes; and from two such vectors the first, or the second, vector of pairs again.
struct apart {
    static constexpr size_t at(size_t l, size_t lanes, int part) {
        return l % 4 / 2 * lanes + l / 4 * 4 + l % 2 * 2 + size_t(part);
    }
};
struct together {
    static constexpr size_t at(size_t l, size_t lanes, int part) {
        return l % 2 * lanes + l / 4 * 4 + size_t(part) * 2 + l % 4 / 2;
    }
};

// As many labels as float lanes, in the order of `apart`.
FASTCE_INLINE vec<float>::bits labels_apart(const int64_t* label) {
    const vec<float> a(raw_of<float>::raw(labels_at(label)));
    const vec<float> b(raw_of<float>::raw(labels_at(label + vec<double>::lanes)));
    return bits<float>(rearranged<apart, 0>(a, b).v);
}

// The sum of the losses of `rows` rows, whole vectors of them, and to `e` exp(d) of each. False where labels
// or logits are such that it has to be found otherwise.
template <class T>
inline bool sum_plain_pairs(const T* x, const int64_t* label, ptrdiff_t rows, vec<float>* e, double* sum) {
    if constexpr (sizeof(lane_t<T>) == 8) {
        return false;
    } else {
        constexpr ptrdiff_t lanes = vec<float>::lanes;
        vec<double>::bits labels{};
        vec<float>::mask largest{};  // as integers, finite numbers, infinity and NaN are in this order
        log_product<float> product;
        for (ptrdiff_t i = 0; i < rows; i += lanes) {
            prefetch_pair(x + 2 * i);
            prefetch_ahead(label + i);
            const vec<float> a(load(x + 2 * i).v), b(load(x + 2 * i + lanes).v);
            const vec<float> difference = rearranged<apart, 1>(a, b) - rearranged<apart, 0>(a, b);
            labels |= labels_at(label + i) | labels_at(label + i + vec<double>::lanes);
            const auto size = (vec<float>::mask)(bits<float>(difference.v) & ~sign_bit<float>());
            largest = size > largest ? size : largest;
            const auto d = bits<float>(difference.v) ^ labels_apart(label + i) << 31;
            e[i / lanes] = moderate_exp(vec<float>(from_bits<float>(d)));
        }
        e[rows / lanes] = vec<float>(0.0);
        for (ptrdiff_t i = 0; i < rows / lanes; i += 2) {
            product.add(e[i], e[i + 1]);
            if (i % 16 == 14) product.take_exponents();
        }
        product.take_exponents();
        *sum = product.value();
        const vec<float> most = from_bits<float>((vec<float>::bits)largest), limit(kModerate);
        return all_zero<double>(labels & ~uint64_t(1)) && all_zero<float>(!(most.v <= limit.v)) &&
               *sum > double(rows) * kLeastMean;
    }
}

// The gradient of these rows: the other class's probability times the unit, and for the label its negative;
// past the caches if it `streams`.
template <class T>
inline void find_plain_pairs(const vec<float>* e, const int64_t* label, ptrdiff_t rows, double unit, T* out,
                             bool streams) {
    if constexpr (sizeof(lane_t<T>) == 4) {
        constexpr ptrdiff_t lanes = vec<float>::lanes;
        const vec<float> high(unit), low(unit - double(float(unit))), one(1.0);
        for (ptrdiff_t i = 0; i < rows; i += lanes) {
            vec<float> rest;
            const vec<float> share = quotient(e[i / lanes], one + e[i / lanes], &rest);
            const auto other = bits<float>(product_sum(share, high, low, rest * high).v);
            const auto first = other ^ (labels_apart(label + i) << 31 ^ sign_bit<float>());
            const vec<float> a = from_bits<float>(first), b = from_bits<float>(first ^ sign_bit<float>());
            const vec<T> one_half = rearranged<together, 0>(a, b).v, other_half = rearranged<together, 1>(a, b).v;
            if (streams) stream(out + 2 * i, one_half), stream(out + 2 * i + lanes, other_half);
            else store(out + 2 * i, one_half), store(out + 2 * i + lanes, other_half);
        }
    }
}

}  // namespace fastce
