// Loops over rows that lie side by side: exponentials, sums and output of one class at a time.
//
// Design. Lane i of a run of vectors belongs to row i. Four classes at a time are read, and their exponentials added to
// the sums of their rows while they are in registers, so that sums are loaded and stored once for four classes. A
// row's label is an integer as wide as a lane, kept in a vec<T> as bits; comparing it with the class takes the label's
// own exponential out of the sum before anything is rounded.
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

// Adds exp_of(j), of class c + j in vector k, to the sums of the rows there, the label's to `exp_label` instead.
template <int classes, class T, class Exp>
FASTCE_INLINE void add_vector(ptrdiff_t k, int64_t c, const vec<T>* labels, wide_lanes<T>* sums, vec<T>* exp_label,
                              const Exp& exp_of) {
    vec<T> e[classes];
    auto mine = bits<T>(exp_label[k].v);
    for (int j = 0; j < classes; ++j) {
        const auto here = is_class(labels[k], c + j);
        e[j] = exp_of(j);
        mine |= bits<T>(where<T>(here, e[j]).v);
        e[j] = where<T>(~here, e[j]);
    }
    wide_lanes<T> sum = sums[k];
    for (int j = 0; j + 1 < classes; j += 2) sum.add(e[j], e[j + 1]);
    if constexpr (classes % 2) sum.add(e[classes - 1]);
    sums[k] = sum;
    exp_label[k] = from_bits<T>(mine);
}

// Calls f(count) with the number of classes, at most four, as a constant.
template <class F> FASTCE_INLINE void with_classes(ptrdiff_t classes, const F& f) {
    if (classes >= 4) f(std::integral_constant<int, 4>());
    else if (classes == 3) f(std::integral_constant<int, 3>());
    else if (classes == 2) f(std::integral_constant<int, 2>());
    else f(std::integral_constant<int, 1>());
}

// Sums exponentials of classes c, c + 1, … that are known (rows of `pitch` vectors).
template <class T>
inline void add_classes(const vec<T>* exps, ptrdiff_t pitch, ptrdiff_t vectors, int64_t c, ptrdiff_t classes,
                        const vec<T>* labels, wide_lanes<T>* sums, vec<T>* exp_label) {
    with_classes(classes, [=](auto count) __attribute__((always_inline)) {
        for (ptrdiff_t k = 0; k < vectors; ++k)
            add_vector<count>(k, c, labels, sums, exp_label,
                              [=](int j) __attribute__((always_inline)) { return exps[j * pitch + k]; });
    });
}

// What is known of rows side by side while their exponentials are summed: shifts, or NULL where all are 0.
template <class T> struct sums_of_rows {
    const vec<T>*labels, *shifts;
    wide_lanes<T>* sums;
    vec<T>* exp_label;
};

// Sums exp(x - shift) of n rows in `classes` classes from c on, `stride` elements apart, and keeps them in `exps` (rows
// of `pitch` vectors). As much memory is asked for meanwhile from each of `ahead` on, line by line: processors fetch
// runs of a few KB too late by themselves.
template <int classes, bool keeps, class T, class Shift>
FASTCE_APART void sum_runs(const T* x, ptrdiff_t stride, const T* const* ahead, ptrdiff_t n, int64_t c,
                           const Shift& shift, sums_of_rows<T> of, vec<T>* exps, ptrdiff_t pitch) {
    constexpr ptrdiff_t width = vec<T>::lanes, line = kLine / ptrdiff_t(sizeof(T));
    const T* next[classes];
    for (int j = 0; j < classes; ++j) {
        next[j] = ahead[j];
        __builtin_prefetch(next[j] + n - 1);  // the line in which a run ends, where it begins within one
    }
    auto take = [=](ptrdiff_t k, const auto& load_at) __attribute__((always_inline)) {
        if (k * width % line == 0)
            for (int j = 0; j < classes; ++j) __builtin_prefetch(next[j] + k * width);
        add_vector<classes>(k, c, of.labels, of.sums, of.exp_label, [=](int j) __attribute__((always_inline)) {
            const vec<T> e = scaled_exp(shift(load_at(x + j * stride + k * width), k));
            if constexpr (keeps) exps[j * pitch + k] = e;
            return e;
        });
    };
    ptrdiff_t k = 0;
    for (; (k + 1) * width <= n; ++k) take(k, [](const T* p) __attribute__((always_inline)) { return load(p); });
    if (const ptrdiff_t rest = n - k * width)
        take(k, [=](const T* p) __attribute__((always_inline)) { return load(p, rest, -HUGE_VAL); });
}
// The same of at most four classes; `exps` may be NULL.
template <class T>
inline void sum_classes(const T* x, ptrdiff_t stride, const T* const* ahead, ptrdiff_t n, int64_t c, ptrdiff_t classes,
                        const sums_of_rows<T>& of, vec<T>* exps, ptrdiff_t pitch) {
    with_classes(classes, [&](auto count) __attribute__((always_inline)) {
        const auto none = [](vec<T> v, ptrdiff_t) __attribute__((always_inline)) { return v; };
        const auto* shifts = of.shifts;
        const auto own = [=](vec<T> v, ptrdiff_t k) __attribute__((always_inline)) { return v - shifts[k]; };
        if (shifts == nullptr && exps) sum_runs<count, true>(x, stride, ahead, n, c, none, of, exps, pitch);
        else if (shifts == nullptr) sum_runs<count, false>(x, stride, ahead, n, c, none, of, exps, pitch);
        else if (exps) sum_runs<count, true>(x, stride, ahead, n, c, own, of, exps, pitch);
        else sum_runs<count, false>(x, stride, ahead, n, c, own, of, exps, pitch);
    });
}

// How a run of one class is written: past the caches or not, and if so, what becomes of the line in which
// it ends. The next tile completes that line, whose elements wait in a stage: an ordinary store to part of a line
// fetches it first, and to write two lines of each 32 so makes the gradient a third slower.
struct run_writer {
    bool streaming;
    char* stages;        // kStage bytes for each class, or NULL
    bool begun, left;    // whether the run before has left its last elements in the stage; whether this one does

    static constexpr ptrdiff_t kStage = 128;  // the vectors of a line
    template <class T> vec<T>* stage(int64_t c) const { return reinterpret_cast<vec<T>*>(stages + c * kStage); }
};

// Writes value(k), the lanes from k on, to n elements of class c: whole lines past the caches, which two vectors make
// up where a run does not begin with a line. Loads of what the value is made from keep to the lanes' own vectors.
template <class T, class Value>
FASTCE_INLINE void write_run(T* out, ptrdiff_t n, const run_writer& w, int64_t c, const Value& value) {
    constexpr ptrdiff_t width = vec<T>::lanes, line = kLine / ptrdiff_t(sizeof(T)), vectors = line / width;
    ptrdiff_t k = 0;
    if (w.streaming && kPermutes) {
        const ptrdiff_t lead = ptrdiff_t(reinterpret_cast<uintptr_t>(out) % kLine) / ptrdiff_t(sizeof(T));
        const ptrdiff_t begin = lead == 0 ? 0 : w.begun ? -lead : line - lead < n ? line - lead : n;
        const ptrdiff_t end = begin + (n - begin) / line * line;
        const vec<T>* before = w.stage<T>(c) + vectors;
        for (; k < begin; k += width) store(out + k, value(k), begin - k);
        if (begin < end) {
            const rotation<T> turn(int(lead % width));
            ptrdiff_t i = begin + lead % width;
            auto at = [=](ptrdiff_t j) __attribute__((always_inline)) { return j < 0 ? before[j / width] : value(j); };
            vec<T> last = lead % width ? turn(at(i - width)) : vec<T>(0.0);
            auto put = [&](vec<T> v) __attribute__((always_inline)) {
                const vec<T> turned = turn(v);
                stream(out + (i - lead % width), turn.joined(last, turned));
                last = turned;
            };
            for (; i < 0; i += width) put(before[i / width]);
            for (; i < end; i += width) put(value(i));
        }
        if (w.left) {
            vec<T>* stage = w.stage<T>(c);
            for (k = n - line; lead && k < n; k += width) *stage++ = value(k);
            return;
        }
        for (k = end; k < 0; k += width) store(out + k, load_lanes(before, k), -k);
        k = end < 0 ? 0 : end;
    }
    for (; k + width <= n; k += width) store(out + k, value(k));
    if (k < n) store(out + k, value(k), n - k);
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
