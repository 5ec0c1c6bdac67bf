// A row's gradient, from its exponentials, written piece by piece while another row takes their places.
//
// Design. Reading and writing memory overlap only where they alternate within what a processor looks ahead. So rows are
// swept 16 vectors at a time (sweep.h), and before each piece goes as much of the gradient of the row before.
#pragma once

#include "memory/stream.h"
#include "softmax/outputs.h"

namespace fastce {

// Whole lines of a row, or whole vectors where the writer is direct; what comes before and after them is staged.
template <class T> struct gradient_lines {
    const vec<T>* exps;
    T* out;                // of class 0
    ptrdiff_t next, end;   // the classes that are still to be written
    ptrdiff_t label;       // the class whose value is label_grad
    vec<T> prob_scale_hi{0.0}, prob_scale_lo{0.0}, uniform_offset{0.0}, label_grad{0.0};
    bool direct;
};

// Writes vectors, two at a time in half precision, until no class before `until` is missing. Where the scale is a
// finite number, no product is NaN.
template <class T> FASTCE_APART void write_lines(gradient_lines<T>* g, ptrdiff_t until) {
    constexpr ptrdiff_t width = vec<T>::lanes, step = sizeof(T) == 2 ? 2 * width : width;
    const gradient_lines<T> of = *g;
    const ptrdiff_t stop = until < of.end ? until : of.end;
    const bool has_label = of.label >= of.next && of.label < stop + step;
    const bool finite = of.prob_scale_hi.v[0] - of.prob_scale_hi.v[0] == 0;
    auto gradient_at = [&](ptrdiff_t k) __attribute__((always_inline)) {
        return gradient_of(load_lanes(of.exps, k), of.prob_scale_hi, of.prob_scale_lo, of.uniform_offset);
    };
    ptrdiff_t k = of.next;
    if (step > width && finite && !has_label) {
        for (; k < stop; k += step) {
            const vec<T> a = gradient_at(k), b = gradient_at(k + width);
            if (of.direct) store_two(of.out + k, a.v, b.v);
            else stream_two(of.out + k, a.v, b.v);
        }
    } else {
        for (const ptrdiff_t all = (stop - k + step - 1) / step * step, end = k + all; k < end; k += width) {
            vec<T> v = gradient_at(k);
            if (has_label) v = put_lane(v, of.label - k, of.label_grad);
            if (of.direct) store(of.out + k, v);
            else stream(of.out + k, v);
        }
    }
    g->next = k;
}

}  // namespace fastce
