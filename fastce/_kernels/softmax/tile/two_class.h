// Rows of two classes in closed form: nothing has to be summed.
//
// Design. Two classes are one logit, d = x_other - x_label: with e = exp(-|d|) the two terms are 1 and e, in some
// order, so no row needs a shift. The other class's probability is exp(d) / (1 + exp(d)), and so it is computed
// wherever a gradient is written, with options (two_class_gradient) or without (fused_two_class_gradient): the same bits.
#pragma once

#include "memory/label_lanes.h"
#include "memory/stream.h"
#include "simd/log_product.h"
#include "simd/shuffle.h"
#include "softmax/epilogue_steps.h"

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

FASTCE_INLINE vec<double>::bits labels_at(const int64_t* label) {
    vec<double>::bits labels;
    memcpy(&labels, label, sizeof labels);
    return labels;
}

// All bits set in the lanes of T whose label is 1.
template <class T> FASTCE_INLINE typename vec<T>::mask is_second_class(const int64_t* label) {
    vec<T> labels;
    put_labels(label, vec<T>::lanes, &labels);
    return is_class(labels, 1);
}

// Of `rows` rows (arrays hold whole vectors): d to `difference`; the two terms, times 1 / kExpScale, that of the label
// and that of the other class, the label's logit and the shift, which is the larger logit. Whether a label's term may
// have underflowed.
template <class T>
inline bool sum_two_classes(const T* x, const int64_t* label, ptrdiff_t rows, vec<T>* difference, double* sum_others,
                            double* exp_label, double* label_logit, double* shift) {
    constexpr ptrdiff_t lanes = vec<T>::lanes;
    const vec<T> scale(kExpScale), zero(0.0), infinity(HUGE_VAL), none(NAN);
    vec<T> most(0.0);
    for (ptrdiff_t i = 0; i < rows; i += lanes) {
        const ptrdiff_t n = 2 * (rows - i);
        prefetch_pair(x + 2 * i);
        const vec<T> a = load(x + 2 * i, n, 0.0);
        const vec<T> b = n > lanes ? load(x + 2 * i + lanes, n - lanes, 0.0) : zero;
        const vec<T> first = rearranged<every_second, 0>(a, b), second = rearranged<every_second, 1>(a, b);
        const auto is_second = is_second_class<T>(label + i);
        const vec<T> larger = maximum(first, second), ahead = second - first, own = select<T>(is_second, second, first);
        vec<T> d = select<T>(is_second, zero - ahead, ahead);
        d = select<T>(larger.v == infinity.v, none, d);
        const vec<T> e = scaled_exp(minus_size(d));
        difference[i / lanes] = d;
        most = maximum(d, most);
        auto put = [&](double* to, vec<T> v, double times) __attribute__((always_inline)) {
            double part[lanes];
            store_doubles(part, v);
            for (ptrdiff_t k = 0; k < lanes; k += vec<double>::lanes) store(to + i + k, load(part + k) * vec<double>(times));
        };
        put(sum_others, select<T>(d.v > zero.v, scale, e), 1 / kExpScale);
        put(exp_label, select<T>(d.v > zero.v, e, scale), 1 / kExpScale);
        put(label_logit, own, 1);
        put(shift, larger, 1);
        for (ptrdiff_t k = i; k < i + lanes; ++k) label_logit[k] -= shift[k];  // floats may not have the difference
    }
    return !(lane_max(most) < 60);
}

// The other class's probability times hi + lo.
template <class T> FASTCE_INLINE vec<T> other_gradient(vec<T> d, vec<T> hi, vec<T> lo) {
    const vec<T> one(1.0), limit(kModerate), unscale(1 / kExpScale), zero(0.0);
    vec<T> rest;
    const vec<T> e = moderate_exp(minimum(limit, maximum(zero - limit, d)));
    const vec<T> share = quotient(e, one + e, &rest);
    const vec<T> near = product_sum(share, hi, lo, rest * hi);
    const vec<T> far = product_sum(scaled_exp(d), hi * unscale, lo * unscale, zero);
    return select<T>(d.v < (zero - limit).v, far, near);
}

// Writes one number in the place of every row's label, and another in that of the other class.
template <class T>
FASTCE_INLINE void store_pairs(typename vec<T>::mask second_class, vec<T> at_label, vec<T> at_other, ptrdiff_t n, T* out) {
    constexpr ptrdiff_t lanes = vec<T>::lanes;
    const vec<T> first = select<T>(second_class, at_other, at_label);
    const vec<T> second = select<T>(second_class, at_label, at_other);
    store(out, vec<T>(rearranged<alternating, 0>(first, second).v), n);
    if (n > lanes) store(out + lanes, vec<T>(rearranged<alternating, 1>(first, second).v), n - lanes);
}

// The gradients of rows of two classes. `scale`: what the probabilities are multiplied by, of each row; `other`: the
// other class's entries in double, for scales that floats do not have; `label_grad`: the labels' entries where they are
// not the others' negatives (z_loss), or NULL; `weight`: 0 in rows that are skipped, or NULL.
template <class T>
inline void two_class_gradient(const vec<T>* difference, const int64_t* label, ptrdiff_t rows, const double* scale,
                               const double* other, const double* label_grad, const double* weight, T* out) {
    constexpr ptrdiff_t lanes = vec<T>::lanes;
    constexpr bool single = sizeof(lane_t<T>) == 4;
    alignas(64) const double none[lanes] = {};
    for (ptrdiff_t i = 0; i < rows; i += lanes) {
        const vec<T> zero(0.0);
        vec<T> hi, lo;
        split_doubles(scale + i, none, lanes, &hi, &lo);
        vec<T> at_other = other_gradient(difference[i / lanes], hi, lo);
        if constexpr (single) {
            const vec<T> least(kLeastScale), most(kMostScale);
            at_other = select<T>((hi.v >= least.v) & (hi.v <= most.v), at_other, narrow_lanes<T>(other + i));
        }
        vec<T> at_label = label_grad ? narrow_lanes<T>(label_grad + i) : zero - at_other;
        if (weight) {
            typename vec<T>::mask skipped;
            for (ptrdiff_t k = 0; k < lanes; ++k) skipped[k] = weight[i + k] == 0 ? -1 : 0;
            at_other = select<T>(skipped, zero, at_other), at_label = select<T>(skipped, zero, at_label);
        }
        store_pairs(is_second_class<T>(label + i), at_label, at_other, 2 * (rows - i), out + 2 * i);
    }
}

// Writes two numbers of each row, in double, to the places of the label and of the other class.
template <class T>
inline void put_two_classes(const int64_t* label, const double* at_label, const double* at_other, ptrdiff_t rows, T* out) {
    for (ptrdiff_t i = 0; i < rows; i += vec<T>::lanes)
        store_pairs(is_second_class<T>(label + i), narrow_lanes<T>(at_label + i), narrow_lanes<T>(at_other + i),
                    2 * (rows - i), out + 2 * i);
}

// ---------------------------------------------------------------- mean or sum without options

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
inline bool fused_two_class_loss(const T* x, const int64_t* label, ptrdiff_t rows, vec<float>* e, double* sum) {
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

// The gradient of these rows: the other class's probability times the scale, and for the label its negative;
// past the caches if it `streams`.
template <class T>
inline void fused_two_class_gradient(const vec<float>* e, const int64_t* label, ptrdiff_t rows, double grad_scale, T* out,
                             bool streams) {
    if constexpr (sizeof(lane_t<T>) == 4) {
        constexpr ptrdiff_t lanes = vec<float>::lanes;
        const vec<float> high(grad_scale), low(grad_scale - double(float(grad_scale))), one(1.0);
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
