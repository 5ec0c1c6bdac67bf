// Tiles of short rows that lie one after another: each row's numbers spread over its elements.
#pragma once

#include "memory/label_lanes.h"
#include "simd/shuffle.h"
#include "softmax/outputs.h"

namespace fastce {

// Rows of fewer classes are done in tiles. Where lanes cannot be permuted by a variable, spreading each row's
// numbers over its lanes costs more, and so do lanes of doubles.
constexpr ptrdiff_t kShortOfDoubles = 128, kShort = vec<float>::lanes < 8 ? 128 : 320;

// Up to so many classes the label's element of a gradient is chosen in vectors, beyond them written row by row.
constexpr ptrdiff_t kMostByVectors = kPermutes ? 32 : 0;

// As many rows as lanes, one after another, are `classes` whole vectors. The pattern says to which row
// each of their lanes belongs, and after that to which class; spread(v, pattern + k) is v's value for the row of
// every lane of vector k.
template <class T> inline void spread_pattern(vec<T>* pattern, ptrdiff_t classes) {
    auto* row_of = reinterpret_cast<integer_lane<T>*>(pattern);
    auto* class_of = reinterpret_cast<integer_lane<T>*>(pattern + classes);
    for (int row = 0; row < vec<T>::lanes; ++row)
        for (ptrdiff_t c = 0; c < classes; ++c) *row_of++ = integer_lane<T>(row), *class_of++ = integer_lane<T>(c);
}
template <class T> FASTCE_INLINE vec<T> spread(vec<T> v, const vec<T>* pattern) {
    typename vec<T>::mask index;
    memcpy(&index, pattern, sizeof index);
    return permute(v, index);
}

// exp(x - shift) of the logits of rows, a shift for each row.
template <class T>
FASTCE_APART void take_row_exps(const vec<T>* x, ptrdiff_t vectors, const vec<T>* pattern, ptrdiff_t classes,
                                const vec<T>* shift, vec<T>* exps) {
    for (ptrdiff_t i = 0, k = 0; i < vectors; ++i) {
        exps[i] = scaled_exp(x[i] - spread(*shift, pattern + k));
        if (++k == classes) ++shift, k = 0;
    }
}

// The rows of one vector's lanes: of(v) is v's number for the row of each, is_label() where its class is the label.
template <class T> struct rows_of_vector {
    const vec<T>*pattern, *class_pattern;
    ptrdiff_t group;

    FASTCE_INLINE vec<T> operator()(const vec<T>* v) const { return spread(v[group], pattern); }
    FASTCE_INLINE typename vec<T>::mask is_label(const vec<T>* labels) const {
        return bits<T>((*this)(labels).v) == bits<T>(class_pattern->v);
    }
};

// Writes value(i, of) of every vector i of n elements. What is used in the loops is copied, since a compiler has to
// fetch what is behind a reference again after each store.
template <class T, class Value>
FASTCE_INLINE void write_rows(T* out, ptrdiff_t n, const vec<T>* pattern, ptrdiff_t classes, const Value& value) {
    auto at = [=](ptrdiff_t i, ptrdiff_t group, ptrdiff_t k) __attribute__((always_inline)) {
        return value(i, rows_of_vector<T>{pattern + k, pattern + classes + k, group});
    };
    constexpr ptrdiff_t lanes = vec<T>::lanes;
    const ptrdiff_t whole = n / lanes;
    ptrdiff_t i = 0;
    for (ptrdiff_t group = 0; i < whole; ++group) {
        const ptrdiff_t first = i, end = whole - i < classes ? whole : i + classes;
        for (; i < end; ++i) store(out + i * lanes, at(i, group, i - first));
    }
    if (n % lanes) store(out + i * lanes, at(i, i / classes, i % classes), n % lanes);
}

// The gradient of rows whose targets vary (`targets`), are uniform (rows.uniform_offset), or are the label's alone.
template <class T>
FASTCE_APART void write_row_gradients(T* out, ptrdiff_t n, const vec<T>* exps, const vec<T>* targets,
                                      const vec<T>* pattern, ptrdiff_t classes, const row_lanes<T>& rows) {
    const row_lanes<T> r = rows;
    if (targets) {
        write_rows(out, n, pattern, classes, [=](ptrdiff_t i, const auto& of) __attribute__((always_inline)) {
            return gradient_of(exps[i], of(r.prob_scale_hi), of(r.prob_scale_lo), targets[i], of(r.target_scale_hi),
                               of(r.target_scale_lo));
        });
    } else if (r.uniform_offset) {
        write_rows(out, n, pattern, classes, [=](ptrdiff_t i, const auto& of) __attribute__((always_inline)) {
            return gradient_of(exps[i], of(r.prob_scale_hi), of(r.prob_scale_lo), of(r.uniform_offset));
        });
    } else if (r.label && classes <= kMostByVectors) {
        write_rows(out, n, pattern, classes, [=](ptrdiff_t i, const auto& of) __attribute__((always_inline)) {
            return select<T>(of.is_label(r.label), of(r.label_grad),
                             gradient_of(exps[i], of(r.prob_scale_hi), of(r.prob_scale_lo), vec<T>(0.0)));
        });
        return;
    } else {
        write_rows(out, n, pattern, classes, [=](ptrdiff_t i, const auto& of) __attribute__((always_inline)) {
            return gradient_of(exps[i], of(r.prob_scale_hi), of(r.prob_scale_lo), vec<T>(0.0));
        });
    }
    const auto* label = reinterpret_cast<const integer_lane<T>*>(r.label);
    for (ptrdiff_t row = 0; label && row * classes < n; ++row)
        set_number(out + row * classes + label[row], lane(r.label_grad, row));
}

template <class T>
FASTCE_APART void write_row_hessians(T* out, ptrdiff_t n, const vec<T>* exps, const vec<T>* pattern, ptrdiff_t classes,
                                     const row_lanes<T>& rows) {
    const row_lanes<T> r = rows;
    write_rows(out, n, pattern, classes, [=](ptrdiff_t i, const auto& of) __attribute__((always_inline)) {
        return hessian_of(exps[i], of(r.inverse_sum), of(r.hess_scale), of(r.hess_square));
    });
}

template <class T>
FASTCE_APART void write_row_log_softmaxes(T* out, ptrdiff_t n, const T* x, const vec<T>* pattern, ptrdiff_t classes,
                                          const row_lanes<T>& rows) {
    const row_lanes<T> r = rows;
    write_rows(out, n, pattern, classes, [=](ptrdiff_t i, const auto& of) __attribute__((always_inline)) {
        const ptrdiff_t at = i * vec<T>::lanes;
        return log_softmax_of(load(x + at, n - at, 0.0), of(r.row_max), of(r.log_sum));
    });
}

}  // namespace fastce
