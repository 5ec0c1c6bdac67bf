// Labels as lanes: integers as wide as a lane, kept in a vec<T> as bits, to be compared with a class.
#pragma once

#include "simd/bits.h"
#include "simd/shuffle.h"

namespace fastce {

// Labels of n rows as lanes. Lanes of 32 bits tell classes apart modulo 2^32.
template <class T> using integer_lane = std::conditional_t<sizeof(lane_t<T>) == 8, uint64_t, uint32_t>;
struct low_half {
    static constexpr size_t at(size_t l, size_t, int) { return 2 * l + (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__); }
};
template <class T> inline void put_labels(const int64_t* labels, ptrdiff_t n, vec<T>* out) {
    for (ptrdiff_t i = 0; i < n; i += vec<T>::lanes, ++out) {
        vec<T> low, high;
        memcpy(&low, labels + i, sizeof low);
        if constexpr (sizeof(lane_t<T>) == 8) {
            *out = low;
        } else {
            memcpy(&high, labels + i + vec<double>::lanes, sizeof high);
            *out = rearranged<low_half, 0>(low, high);
        }
    }
}
// v where the condition holds, 0 elsewhere: bits, since compilers take a choice, of which there are fewer at a time.
template <class T> FASTCE_INLINE vec<T> where(typename vec<T>::mask condition, vec<T> v) {
    return from_bits<T>(bits<T>(v.v) & typename vec<T>::bits(condition));
}
template <class T> FASTCE_INLINE typename vec<T>::mask is_class(vec<T> labels, int64_t c) {
    using integers = typename vec<T>::bits;
    return integers(labels.v) == integers{} + integer_lane<T>(c);
}

}  // namespace fastce
