// What is made of a tile of short rows that lie one after another: each row by numbers of its own.
#pragma once

#include "simd/shuffle.h"

namespace fastce {

// Rows of fewer classes are done in tiles. Where lanes cannot be permuted by a variable, spreading each row's
// numbers over its lanes costs more, and so do lanes of doubles.
constexpr ptrdiff_t kShortOfDoubles = 128, kShort = vec<float>::lanes < 8 ? 128 : 320;

// As many rows as lanes, one after another, are `classes` whole vectors. The pattern says to which row
// each of their lanes belongs; spread(v, pattern + k) is v's value for the row of every lane of vector k.
template <class T> inline void spread_pattern(vec<T>* pattern, ptrdiff_t classes) {
    using index = typename vec<T>::mask;
    auto* lane = reinterpret_cast<std::remove_reference_t<decltype(index{}[0])>*>(pattern);
    for (int row = 0; row < vec<T>::lanes; ++row)
        for (ptrdiff_t c = 0; c < classes; ++c) *lane++ = row;
}
template <class T> FASTCE_INLINE vec<T> spread(vec<T> v, const vec<T>* pattern) {
    typename vec<T>::mask index;
    memcpy(&index, pattern, sizeof index);
    return permute(v, index);
}

// The rows of a tile, and what their output is made with: a number of each row; NULL what is not needed.
template <class T> struct short_rows {
    const vec<T>* pattern;
    ptrdiff_t classes;
    const vec<T>*a, *b, *c, *d;
};

// exp(x - a) of the logits of rows.
template <class T>
FASTCE_APART void take_row_exps(const vec<T>* x, ptrdiff_t vectors, const short_rows<T>& rows, vec<T>* exps) {
    const vec<T>*anchor = rows.a, *pattern = rows.pattern;
    for (ptrdiff_t i = 0, k = 0; i < vectors; ++i) {
        exps[i] = scaled_exp(x[i] - spread(*anchor, pattern + k));
        if (++k == rows.classes) ++anchor, k = 0;
    }
}

// Writes value(i, of) of every vector i of n elements; of(v) is v's number for the row of every lane of it.
template <class T, class Value>
FASTCE_INLINE void write_rows(T* out, ptrdiff_t n, const vec<T>* pattern, ptrdiff_t classes, const Value& value) {
    auto at = [=](ptrdiff_t i, ptrdiff_t group, ptrdiff_t k) __attribute__((always_inline)) {
        return value(i, [=](const vec<T>* v) __attribute__((always_inline)) { return spread(v[group], pattern + k); });
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

// e (a + b) + c: a gradient; c may be NULL. Here and below what is used in the loop is copied, since a compiler has to
// fetch what is behind a reference again after each store.
template <class T> FASTCE_APART void scale_rows(T* out, ptrdiff_t n, const vec<T>* exps, const short_rows<T>& rows) {
    const vec<T>*a = rows.a, *b = rows.b, *c = rows.c;
    if (c == nullptr) {
        write_rows(out, n, rows.pattern, rows.classes, [=](ptrdiff_t i, const auto& of) __attribute__((always_inline)) {
            return product_sum(exps[i], of(a), of(b), vec<T>(0.0));
        });
    } else {
        write_rows(out, n, rows.pattern, rows.classes, [=](ptrdiff_t i, const auto& of) __attribute__((always_inline)) {
            return product_sum(exps[i], of(a), of(b), of(c));
        });
    }
}

// e (a + b) + beta (c + d): a gradient where beta differs from class to class.
template <class T>
FASTCE_APART void scale_both(T* out, ptrdiff_t n, const vec<T>* exps, const vec<T>* beta, const short_rows<T>& rows) {
    const vec<T>*a = rows.a, *b = rows.b, *c = rows.c, *d = rows.d;
    write_rows(out, n, rows.pattern, rows.classes, [=](ptrdiff_t i, const auto& of) __attribute__((always_inline)) {
        const vec<T> rest = product_sum(beta[i], of(c), of(d), vec<T>(0.0));
        return product_sum(exps[i], of(a), of(b), rest);
    });
}

// curved(e, a, b, c): the diagonal of the Hessian.
template <class T> FASTCE_APART void bend_rows(T* out, ptrdiff_t n, const vec<T>* exps, const short_rows<T>& rows) {
    const vec<T>*a = rows.a, *b = rows.b, *c = rows.c;
    write_rows(out, n, rows.pattern, rows.classes, [=](ptrdiff_t i, const auto& of) __attribute__((always_inline)) {
        return curved(exps[i], of(a), of(b), of(c));
    });
}

// x - a - b: log_softmax.
template <class T> FASTCE_APART void shift_rows(T* out, ptrdiff_t n, const T* x, const short_rows<T>& rows) {
    const vec<T>*a = rows.a, *b = rows.b;
    write_rows(out, n, rows.pattern, rows.classes, [=](ptrdiff_t i, const auto& of) __attribute__((always_inline)) {
        const ptrdiff_t at = i * vec<T>::lanes;
        return load(x + at, n - at, 0.0) - of(a) - of(b);
    });
}

}  // namespace fastce
