// What labels and weights make of exponentials and logarithms: losses and gradient of a chunk, in double.
//
// Design. One text for every option: weights that were not given, a gradient or logarithms that are not wanted,
// are left out by the compiler, which makes a loop of its own for each combination.
#pragma once

#include "elementwise/logistic.h"

namespace fastce {

// A chunk of moderate inputs. Of x: softplus(-|x|) and sigmoid(-|x|); of probabilities: log(x) and log(1 - x).
template <class T> struct soft_chunk {
    const vec<T>* x;
    const vec<T>* near;
    const vec<T>* far;
    ptrdiff_t n;
    const double* ratio = nullptr;   // pos_weight of each, or null
    const double* weight = nullptr;  // sample weight of each, or null
    double keep, share;    // of label smoothing
    double unit;           // of the gradient
    vec<T>* losses = nullptr;        // or null
    T* grad = nullptr;               // or null
    T* hess = nullptr;               // second derivatives, or null
    bool streams;          // past the caches
};

// The sum of weighted losses, and whether all labels were within [0, 1]: neither z nor 1 - z has a sign.
template <class T> struct soft_sum {
    sum_of_doubles<T> loss;
    typename vec<double>::bits signs{};

    FASTCE_INLINE void see(vec<double> yes, vec<double> no) { signs |= bits<double>(yes.v) | bits<double>(no.v); }
    FASTCE_INLINE bool good() const { return all_zero<double>(signs & sign_bit<double>()); }
    FASTCE_INLINE double value() const { return loss.value(); }
};

// As many doubles as a vector has, or the first n.
FASTCE_INLINE vec<double> some(const double* p, ptrdiff_t n) {
    return n >= vec<double>::lanes ? load(p) : load(p, n < 0 ? 0 : n, 0.0);
}

// Loss and slope of vec<double> lanes from lane k on.
//     sigmoid   no softplus(x) + yes softplus(-x)    no sigmoid(x) - yes sigmoid(-x)
//     binary    -(yes log(p) + no log(1 - p))        (p - z) / (p (1 - p))
template <bool binary, bool weighted, bool logs, bool graded, class T, class S>
FASTCE_INLINE vec<double> soft_terms(const soft_chunk<T>& c, const S* z, ptrdiff_t k, soft_sum<T>& sum) {
    const vec<double> x = load_wide(c.x, k), one(1.0), keep(c.keep), share(c.share);
    vec<double> yes = load_widened(z + k), no = one - yes, loss, slope, weight(c.unit);
    sum.see(yes, no);
    if constexpr (binary) {
        loss = vec<double>(0.0) - (yes * load_wide(c.near, k) + no * load_wide(c.far, k));
        if constexpr (graded) slope = (x - yes) / (x * (one - x));
    } else if constexpr (weighted) {
        no = no * keep + share;
        yes = yes * keep + share;
        if (c.ratio) yes = yes * load(c.ratio + k);
        const vec<double> factor = where_sign(x, yes, no), both = no + yes;
        loss = factor * size_of(x) + both * load_wide(c.near, k);
        if constexpr (graded) slope = negative_with(factor - both * load_wide(c.far, k), x);
    } else {  // both factors are 1 together
        const vec<double> factor = where_sign(x, yes, no) * keep + share;
        loss = factor * size_of(x);
        if constexpr (logs) loss = loss + load_wide(c.near, k);
        if constexpr (graded) slope = negative_with(factor - load_wide(c.far, k), x);
    }
    if (weighted && c.weight) {
        const vec<double> w = some(c.weight + k, c.n - k);
        loss = loss * w;
        weight = weight * w;
    }
    sum.loss.add(loss);
    if constexpr (logs)
        if (c.losses) store_narrow(c.losses, k, loss);
    if constexpr (weighted && graded && !binary) {
        if (c.hess) {
            const vec<double> far = load_wide(c.far, k);
            store_numbers(c.hess + k, (no + yes) * far * (one - far) * weight, c.n - k);
        }
    }
    if constexpr (graded) return slope * weight;
    return loss;
}

template <bool binary, bool weighted, bool logs, bool graded, class T, class S>
inline void soft_loop(const soft_chunk<T>& chunk, const S* z, soft_sum<T>* total) {
    constexpr ptrdiff_t width = vec<T>::lanes, wide = vec<double>::lanes;
    const soft_chunk<T> c = chunk;
    soft_sum<T> sum = *total;
    for (ptrdiff_t k = 0; k < c.n; k += width) {
        vec<double> low = soft_terms<binary, weighted, logs, graded>(c, z, k, sum), high = low;
        if constexpr (width > wide) high = soft_terms<binary, weighted, logs, graded>(c, z, k + wide, sum);
        if constexpr (graded) {
            const vec<T> slopes = narrowed<T>(low, high);
            if (c.streams) stream(c.grad + k, slopes);
            else store(c.grad + k, slopes, c.n - k);
        }
    }
    *total = sum;
}

template <class T, class S>
inline void soft_step(const soft_chunk<T>& c, const S* z, bool binary, bool logs, soft_sum<T>* sum) {
    const bool weighted = c.ratio || c.weight || c.hess;
    if (binary && weighted) c.grad ? soft_loop<1, 1, 1, 1>(c, z, sum) : soft_loop<1, 1, 1, 0>(c, z, sum);
    else if (binary) c.grad ? soft_loop<1, 0, 1, 1>(c, z, sum) : soft_loop<1, 0, 1, 0>(c, z, sum);
    else if (weighted) c.grad ? soft_loop<0, 1, 1, 1>(c, z, sum) : soft_loop<0, 1, 1, 0>(c, z, sum);
    else if (logs) c.grad ? soft_loop<0, 0, 1, 1>(c, z, sum) : soft_loop<0, 0, 1, 0>(c, z, sum);
    else c.grad ? soft_loop<0, 0, 0, 1>(c, z, sum) : soft_loop<0, 0, 0, 0>(c, z, sum);
}

}  // namespace fastce
