// Moving lanes about: permutations, and the sums of many short rows that lie one after another.
#pragma once

#include "simd/sums.h"

namespace fastce {

// v[index[0]], v[index[1]], …
template <class T> FASTCE_INLINE vec<T> permute(vec<T> v, typename vec<T>::mask index) {
    return permute_lanes(v.v, index);
}

// Whether lanes can be permuted by a variable in one instruction.
constexpr bool kPermutes = vec<float>::lanes >= 8;

// Moves lanes up by a variable number; those that leave the vector come in again at its beginning.
template <class T> struct rotation {
    vec<float>::mask source;
    typename vec<T>::mask wrapped;  // the lanes that come in again

    explicit rotation(int by)
        : source((lane_numbers<float>() - by * (vec<float>::lanes / vec<T>::lanes)) & (vec<float>::lanes - 1)),
          wrapped(lane_numbers<T>() < by) {}
    FASTCE_INLINE vec<T> operator()(vec<T> v) const {
        return (typename vec<T>::raw)permute_lanes((raw_float)v.v, source);
    }
    // The vector between two neighbours, both moved: what left the first, then what stayed in the second.
    FASTCE_INLINE vec<T> joined(vec<T> a, vec<T> b) const { return select<T>(wrapped, a, b); }
};

// Lanes of a and b, which count as one array, in the order that Order::at(lane, lanes, part) tells.
template <class Order, int part, class T, size_t... l>
FASTCE_INLINE vec<T> rearranged(vec<T> a, vec<T> b, std::index_sequence<l...>) {
    constexpr size_t lanes = sizeof...(l);
#if defined(__clang__) || __GNUC__ >= 12
    return __builtin_shufflevector(a.v, b.v, int(Order::at(l, lanes, part))...);
#else
    using index = typename vec<T>::mask;
    using number = std::remove_reference_t<decltype(index{}[0])>;
    return __builtin_shuffle(a.v, b.v, index{number(Order::at(l, lanes, part))...});
#endif
}
template <class Order, int part, class T> FASTCE_INLINE vec<T> rearranged(vec<T> a, vec<T> b) {
    return rearranged<Order, part>(a, b, std::make_index_sequence<vec<T>::lanes>{});
}

// One step of a transposing sum, or of another operation: lane l holds a[l] + a[l ^ 2^bit] where that bit of
// l is clear, the same of b where it is set.
template <int bit> struct own_lane {
    static constexpr size_t at(size_t l, size_t lanes, int) { return l >> bit & 1 ? lanes + l : l; }
};
template <int bit> struct partner_lane {
    static constexpr size_t at(size_t l, size_t lanes, int) { return own_lane<bit>::at(l, lanes, 0) ^ 1 << bit; }
};
template <class Op, class T, int bit> FASTCE_INLINE vec<T> fold(vec<T> a, vec<T> b) {
    return Op::of(rearranged<own_lane<bit>, 0>(a, b), rearranged<partner_lane<bit>, 0>(a, b));
}

// Lane l of the result is what row(l & (2^levels - 1)) holds, in all, in the lanes that agree with l above
// the lowest `levels` bits.
template <class Op, class T, int levels, class Row> FASTCE_INLINE vec<T> folded(const Row& row, int i) {
    if constexpr (levels == 0) {
        return row(i);
    } else {
        return fold<Op, T, levels - 1>(folded<Op, T, levels - 1>(row, i),
                                       folded<Op, T, levels - 1>(row, i + (1 << (levels - 1))));
    }
}

// What rows are folded by: their sum, or their maximum, which passes over NaN.
struct sum_of {
    static vec<double> none() { return 0.0; }
    static FASTCE_INLINE vec<double> of(vec<double> a, vec<double> b) { return a + b; }
};
struct maximum_of {
    static vec<double> none() { return -std::numeric_limits<double>::infinity(); }
    static FASTCE_INLINE vec<double> of(vec<double> a, vec<double> b) { return maximum(a, b); }
};

// Sums of doubles, and what rounding took from them.
struct split_sum {
    vec<double> sum, rounding;
};
template <int bit> FASTCE_INLINE split_sum fold(split_sum a, split_sum b) {
    const vec<double> own = rearranged<own_lane<bit>, 0>(a.sum, b.sum);
    const vec<double> partner = rearranged<partner_lane<bit>, 0>(a.sum, b.sum), sum = own + partner;
    return {sum, fold<sum_of, double, bit>(a.rounding, b.rounding) + rounding_of_sum(own, partner, sum)};
}
// folded() of which the last level, or none, keeps what rounding takes.
template <int levels, int exact, class Row> FASTCE_INLINE split_sum split_folded(const Row& row, int i) {
    if constexpr (exact == 0) {
        return {folded<sum_of, double, levels>(row, i), vec<double>(0.0)};
    } else {
        return fold<levels - 1>(split_folded<levels - 1, exact - 1>(row, i),
                                split_folded<levels - 1, exact - 1>(row, i + (1 << (levels - 1))));
    }
}

// Folds rows of lanes that were widened to double. Sums of doubles have no digits to spare; floats' are exact enough.
template <class Op, class lane> constexpr bool kSplits = sizeof(lane) == 8 && std::is_same_v<Op, sum_of>;
template <class Op, class lane, int levels, class Row> FASTCE_INLINE auto fold_all(const Row& row) {
    if constexpr (kSplits<Op, lane>) return split_folded<levels, (levels > 2)>(row, 0);
    else return folded<Op, double, levels>(row, 0);
}
FASTCE_INLINE split_sum permute(split_sum s, vec<double>::mask index) {
    return {permute(s.sum, index), permute(s.rounding, index)};
}

// Rows of at most 2^levels classes, several to a vector: each is moved to a slot of 2^levels lanes.
template <class Op, int levels, class lane>
FASTCE_INLINE auto fold_narrow(const lane* e, int classes) {
    using mask = vec<double>::mask;
    constexpr int lanes = vec<double>::lanes, slot = 1 << levels, rows = lanes / slot;
    const mask number = lane_numbers<double>(), place = number % slot, in_row = place < classes;
    const mask source = in_row ? (number / slot) * classes + place : 0;
    auto row = [&](int i) __attribute__((always_inline)) {
        vec<double> v = load_widened(e + i * rows * classes);
        return Op::of(select<double>(in_row, permute(v, source), Op::none()), Op::none());
    };
    return permute(fold_all<Op, lane, levels>(row), (number % rows) * slot + number / rows);
}

// Rows of more classes than half a vector. What is folded goes to all rows in turn, since in one row each
// step waits for the one before; sums of doubles carry along what rounding lost.
template <class Op, class lane> FASTCE_INLINE auto fold_wide(const lane* e, int classes) {
    constexpr int lanes = vec<double>::lanes;
    constexpr int levels = lanes == 8 ? 3 : lanes == 4 ? 2 : 1;
    const int whole = (classes - 1) / lanes * lanes;
    const auto in_row = lane_numbers<double>() < classes - whole;
    vec<double> totals[lanes];
    for (int i = 0; i < lanes; ++i)
        totals[i] = Op::of(select<double>(in_row, load_widened(e + i * classes + whole), Op::none()), Op::none());
    const auto total = [&](int i) __attribute__((always_inline)) { return totals[i]; };
    if constexpr (kSplits<Op, lane>) {
        if (whole == 0) return fold_all<Op, lane, levels>(total);
        vec<double> losts[lanes];
        for (int i = 0; i < lanes; ++i) {
            wide_sum<double> sum{totals[i]};
            for (int c = 0; c < whole; c += lanes) sum.add(load(e + i * classes + c));
            totals[i] = sum.parts, losts[i] = sum.lost;
        }
        split_sum all = fold_all<Op, lane, levels>(total);
        const auto lost = [&](int i) __attribute__((always_inline)) { return losts[i]; };
        all.rounding = all.rounding + folded<Op, double, levels>(lost, 0);
        return all;
    }
    for (int c = 0; c < whole; c += lanes)
        for (int i = 0; i < lanes; ++i) totals[i] = Op::of(load_widened(e + i * classes + c), totals[i]);
    return fold_all<Op, lane, levels>(total);
}

// As many rows as vec<double> has lanes, each folded to one number, in double; the rows lie one after
// another from lane `first` on, and memory is readable for one vector beyond their end.
template <class Op, class T> inline auto fold_rows(const vec<T>* v, ptrdiff_t first, ptrdiff_t count) {
    const lane_t<T>* e = lanes(v) + first;
    const int classes = int(count);
    if constexpr (vec<double>::lanes >= 4)
        if (classes <= 2) return fold_narrow<Op, 1>(e, classes);
    if constexpr (vec<double>::lanes >= 8)
        if (classes <= 4) return fold_narrow<Op, 2>(e, classes);
    return fold_wide<Op>(e, classes);
}
// The sums of rows, and what rounding took from them: 0 where lanes are float.
template <class T>
inline vec<double> split_row_sums(const vec<T>* v, ptrdiff_t first, ptrdiff_t count, vec<double>* rounding) {
    if constexpr (kSplits<sum_of, lane_t<T>>) {
        const split_sum s = fold_rows<sum_of>(v, first, count);
        return wide_sum<double>{s.sum, s.rounding}.lanes_total(rounding);
    } else {
        *rounding = vec<double>(0.0);
        return fold_rows<sum_of>(v, first, count);
    }
}
template <class T> inline vec<double> row_sums(const vec<T>* v, ptrdiff_t first, ptrdiff_t count) {
    vec<double> rounding;
    return split_row_sums(v, first, count, &rounding);
}
template <class T> inline vec<double> row_maxima(const vec<T>* v, ptrdiff_t first, ptrdiff_t count) {
    return fold_rows<maximum_of>(v, first, count);
}

}  // namespace fastce
