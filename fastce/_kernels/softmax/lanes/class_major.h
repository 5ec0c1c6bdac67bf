// Loops over rows that lie side by side: exponentials, sums and output of one class at a time.
//
// Design. Lane i of a run of vectors belongs to row i. Exponentials are taken of a few classes first and
// added up afterwards: a processor looks ahead some 250 instructions, which is a few exponentials and nothing
// else. A row's label is an integer as wide as a lane, kept in a vec<T> as bits; comparing it with the class
// takes the label's own exponential out of the sum before anything is rounded.
#pragma once

#include "memory/label_lanes.h"
#include "memory/stream.h"
#include "simd/shuffle.h"
#include "softmax/epilogue_steps.h"
#include "softmax/exp_sums.h"
#include "softmax/outputs.h"

namespace fastce {

// One running sum in double for every lane. Sums of doubles carry along what rounding lost.
template <class T> struct wide_lanes {
    static constexpr int count = int(sizeof(double) / sizeof(lane_t<T>));
    std::conditional_t<count == 1, wide_sum<double>, vec<double>> parts[count];

    FASTCE_INLINE void clear() {
        for (auto& part : parts) part = {};
        if constexpr (count == 2) parts[0] = parts[1] = vec<double>(0.0);
    }
    FASTCE_INLINE void add(vec<T> v) {
        if constexpr (count == 1) {
            parts[0].add(vec<double>(v.v));
        } else {
            parts[0] = parts[0] + widened<0>(v.v);
            parts[1] = parts[1] + widened<1>(v.v);
        }
    }
    FASTCE_INLINE void add(vec<T> a, vec<T> b) {
        if constexpr (kAddsPairs) add(a + b);
        else add(a), add(b);
    }
    // Adds a * (b - offset), computed in double; a term whose factor a is 0 is 0.
    FASTCE_INLINE void add_product(vec<T> a, vec<T> b, const double* offset) {
        const vec<double> zero(0.0);
        if constexpr (count == 1) {
            const vec<double> x(b.v), f(a.v);
            parts[0].add(select<double>(f.v == 0, zero, f * (x - load(offset))));
        } else {
            const vec<double> low = widened<0>(a.v), high = widened<1>(a.v);
            const vec<double> x = widened<0>(b.v), y = widened<1>(b.v);
            const vec<double> o = load(offset), q = load(offset + vec<double>::lanes);
            parts[0] = parts[0] + select<double>(low.v == 0, zero, low * (x - o));
            parts[1] = parts[1] + select<double>(high.v == 0, zero, high * (y - q));
        }
    }
    FASTCE_INLINE void store(double* p) const {
        if constexpr (count == 1) {
            fastce::store(p, parts[0].lanes_total());
        } else {
            fastce::store(p, parts[0]);
            fastce::store(p + vec<double>::lanes, parts[1]);
        }
    }
};

// end_fused() of rows whose sums are lanes; sums of doubles are not for it.
template <class T>
inline double end_fused_lanes(const wide_lanes<T>* sums, const vec<T>* exp_label, ptrdiff_t n, double grad_scale,
                              const grad_lanes<T>& grads) {
    if constexpr (wide_lanes<T>::count == 1) return -1;
    else return end_fused(reinterpret_cast<const double*>(sums), lanes(exp_label), n, grad_scale, grads);
}

// The value in the rows whose label is class c, elsewhere another.
template <class T> FASTCE_INLINE vec<T> where_class(vec<T> labels, int64_t c, vec<T> value, vec<T> other) {
    return select<T>(is_class(labels, c), value, other);
}

// Adds the exponentials of classes c, c + 1, … (rows of `pitch` vectors) to the sums of their rows, the
// label's to `exp_label` instead.
template <int classes, class T>
FASTCE_INLINE void add_group(const vec<T>* exps, ptrdiff_t pitch, ptrdiff_t vectors, int64_t c,
                             const vec<T>* labels, wide_lanes<T>* sums, vec<T>* exp_label) {
    for (ptrdiff_t k = 0; k < vectors; ++k) {
        vec<T> e[classes];
        auto mine = bits<T>(exp_label[k].v);
        for (int j = 0; j < classes; ++j) {
            const auto here = is_class(labels[k], c + j);
            e[j] = exps[j * pitch + k];
            mine |= bits<T>(where<T>(here, e[j]).v);
            e[j] = where<T>(~here, e[j]);
        }
        wide_lanes<T> sum = sums[k];
        for (int j = 0; j + 1 < classes; j += 2) sum.add(e[j], e[j + 1]);
        if constexpr (classes % 2) sum.add(e[classes - 1]);
        sums[k] = sum;
        exp_label[k] = from_bits<T>(mine);
    }
}
template <class T>
inline void add_classes(const vec<T>* exps, ptrdiff_t pitch, ptrdiff_t vectors, int64_t c, ptrdiff_t classes,
                        const vec<T>* labels, wide_lanes<T>* sums, vec<T>* exp_label) {
    if (classes >= 4) add_group<4>(exps, pitch, vectors, c, labels, sums, exp_label);
    else if (classes == 3) add_group<3>(exps, pitch, vectors, c, labels, sums, exp_label);
    else if (classes == 2) add_group<2>(exps, pitch, vectors, c, labels, sums, exp_label);
    else add_group<1>(exps, pitch, vectors, c, labels, sums, exp_label);
}

// How a run of one class is written: past the caches or not, and if so, what becomes of the line in which
// it ends. The next tile completes that line, which waits in a stage: an ordinary store to part of a line
// fetches it first, and to write two lines of each 32 so makes the gradient a third slower.
struct run_writer {
    bool streaming;
    char* stages;        // kStage bytes for each class, or NULL
    bool begun, left;    // whether the first line has begun in the stage; whether the last one stays there

    template <class T> T* stage(int64_t c) const { return reinterpret_cast<T*>(stages + c * kStage); }
    static constexpr ptrdiff_t kStage = 128;  // a line, and a vector that begins in it
};

// Writes value(k), the lanes from k on, to n elements of class c.
template <class T, class Value>
FASTCE_INLINE void write_run(T* out, ptrdiff_t n, const run_writer& w, int64_t c, const Value& value) {
    constexpr ptrdiff_t width = vec<T>::lanes, size = sizeof(T), line = kLine / size;
    ptrdiff_t k = 0;
    if (w.streaming) {
        const ptrdiff_t lead = ptrdiff_t(reinterpret_cast<uintptr_t>(out) % kLine) / size;
        const ptrdiff_t head = lead && n >= line - lead ? line - lead : lead ? n : 0;
        const ptrdiff_t end = head + (n - head) / line * line;
        if (lead && w.begun && lead + head == line) {
            // The stage's elements and the first of the run, in registers: a processor waits for a load from
            // what two stores have just written.
            const T* stage = w.stage<T>(c);
            for (ptrdiff_t at = 0; at < line; at += width) {
                const auto staged = lane_numbers<T>() < int(lead - at);
                stream(out - lead + at, select<T>(staged, load(stage + at), value(at - lead)));
            }
        } else {
            if (lead && w.begun) memcpy(out - lead, w.stage<T>(c), size_t(lead * size));
            for (; k < head; k += width) store(out + k, value(k), head - k);
        }
        for (k = head; k < end; k += width) stream(out + k, value(k));
        if (w.left) {
            for (T* stage = w.stage<T>(c); k < n; k += width) store(stage + (k - end), value(k));
            return;
        }
    }
    for (; k + width <= n; k += width) store(out + k, value(k));
    if (k < n) store(out + k, value(k), n - k);
}

// The gradient's numbers copied to `room`, so that vectors of whole lines of all outputs, `stride` elements apart, are
// vectors there: loads that cross lines take twice the time. Room for rows.live comes last.
template <class T>
inline row_lanes<T> in_step(const row_lanes<T>& rows, const T* out, ptrdiff_t stride, ptrdiff_t vectors, vec<T>* room) {
    constexpr ptrdiff_t width = vec<T>::lanes, bytes = width * ptrdiff_t(sizeof(T));
    const ptrdiff_t lead = ptrdiff_t(reinterpret_cast<uintptr_t>(out) % bytes) / ptrdiff_t(sizeof(T));
    if (lead == 0 || stride % width) return rows;
    auto copy = [&](const vec<T>* from) {
        vec<T>* to = room;
        room += vectors + 1;
        for (ptrdiff_t k = 0; k < vectors; ++k) store(lanes(to) + lead + k * width, vec<lane_t<T>>(from[k].v));
        return reinterpret_cast<vec<T>*>(lanes(to) + lead);
    };
    row_lanes<T> r = rows;
    r.label = copy(rows.label), r.label_grad = copy(rows.label_grad);
    r.prob_scale_hi = copy(rows.prob_scale_hi), r.prob_scale_lo = copy(rows.prob_scale_lo);
    if (rows.live) r.live = copy(rows.live);
    return r;
}

// Writes others(k), or `own` where `of` is class c, to all rows but those that are skipped.
template <class T, class Value>
FASTCE_INLINE void write_class(T* out, ptrdiff_t n, const run_writer& w, int64_t c, const vec<T>* of, const vec<T>* own,
                               const vec<T>* live, const Value& others) {
    auto value = [=](ptrdiff_t k) __attribute__((always_inline)) {
        return select<T>(is_class(load_lanes(of, k), c), load_lanes(own, k), others(k));
    };
    if (live == nullptr) return write_run(out, n, w, c, value);
    write_run(out, n, w, c, [=](ptrdiff_t k) __attribute__((always_inline)) {
        return where_zero(load_lanes(live, k), vec<T>(0.0), value(k));
    });
}

// The gradient of one class; `targets`: its targets in all rows, or NULL where they are uniform or the label's alone.
template <class T>
inline void write_class_gradient(T* out, ptrdiff_t n, const run_writer& w, int64_t c, const vec<T>* exps,
                                 const vec<T>* targets, const row_lanes<T>& rows) {
    // Copies, since a compiler has to fetch what is behind a reference again after each store.
    const vec<T>*hi = rows.prob_scale_hi, *lo = rows.prob_scale_lo, *offset = rows.uniform_offset;
    const vec<T>*target_hi = rows.target_scale_hi, *target_lo = rows.target_scale_lo;
    const vec<T> zero(0.0);
    auto write = [&](const auto& others) __attribute__((always_inline)) {
        write_class(out, n, w, c, rows.label, rows.label_grad, rows.live, others);
    };
    if (targets) {
        write([=](ptrdiff_t k) __attribute__((always_inline)) {
            return gradient_of(load_lanes(exps, k), load_lanes(hi, k), load_lanes(lo, k), load_lanes(targets, k),
                               load_lanes(target_hi, k), load_lanes(target_lo, k));
        });
    } else if (offset) {
        write([=](ptrdiff_t k) __attribute__((always_inline)) {
            return gradient_of(load_lanes(exps, k), load_lanes(hi, k), load_lanes(lo, k), load_lanes(offset, k));
        });
    } else {
        write([=](ptrdiff_t k) __attribute__((always_inline)) {
            return gradient_of(load_lanes(exps, k), load_lanes(hi, k), load_lanes(lo, k), zero);
        });
    }
}

// The diagonal of the Hessian of one class.
template <class T>
inline void write_class_hessian(T* out, ptrdiff_t n, const run_writer& w, int64_t c, const vec<T>* exps,
                                const row_lanes<T>& rows) {
    const row_lanes<T> r = rows;
    write_class(out, n, w, c, r.label, r.label_hess, r.live, [=](ptrdiff_t k) __attribute__((always_inline)) {
        const vec<T> h = hessian_of(load_lanes(exps, k), load_lanes(r.inverse_sum, k), load_lanes(r.hess_scale, k),
                                    load_lanes(r.hess_square, k));
        return select<T>(is_class(load_lanes(r.winner, k), c), load_lanes(r.winner_hess, k), h);
    });
}

template <class T>
inline void write_class_log_softmax(T* out, ptrdiff_t n, const run_writer& w, int64_t c, const T* x,
                                    const row_lanes<T>& rows) {
    const vec<T>*row_max = rows.row_max, *log_sum = rows.log_sum;
    write_run(out, n, w, c, [=](ptrdiff_t k) __attribute__((always_inline)) {
        return log_softmax_of(load(x + k, n - k, 0.0), load_lanes(row_max, k), load_lanes(log_sum, k));
    });
}

}  // namespace fastce
