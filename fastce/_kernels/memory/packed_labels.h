// Labels that are 0 or 1, kept as bits: what a check has read from memory need not be read a second time.
#pragma once

#include "simd/vector.h"

namespace fastce {

// Bit k is set where z[k] is 1, n of them; returns whether all are 0 or 1. Whole bytes are written.
inline bool pack_labels(const float* z, ptrdiff_t n, unsigned char* out) {
    constexpr int width = vec<float>::lanes;
    typename vec<float>::bits soft{};
    const vec<float> half(0.5);
    for (ptrdiff_t k = 0; k < n; k += 16) {
        unsigned word = 0;
        for (int part = 0; part < 16; part += width) {
            const vec<float> v = n - k >= part + width ? load(z + k + part)
                                                       : load(z + k + part, n - k > part ? n - k - part : 0, 0.0);
            soft |= (typename vec<float>::bits)(v.v * v.v - v.v);
            word |= larger_lanes(v.v, half.v) << part;
        }
        out[k / 8] = (unsigned char)word;
        if (n - k > 8) out[k / 8 + 1] = (unsigned char)(word >> 8);
    }
    bool hard = true;
    for (int i = 0; i < width; ++i) hard &= soft[i] == 0;
    return hard;
}

// n labels from number `at` on as lanes, 0 or `value`; the lanes after the last are 0. Memory for 32 lanes more
// is written, eight bytes more are read.
template <class T>
inline void unpack_labels(const unsigned char* kept, ptrdiff_t at, ptrdiff_t n, vec<T> value, vec<T>* out) {
    using bits = typename vec<T>::bits;
    constexpr int width = vec<T>::lanes;
    const bits mine = (bits{} + 1) << (bits)lane_numbers<T>(), one = (bits)value.v;
    for (ptrdiff_t k = 0; k < n; k += 32) {
        uint64_t word;
        memcpy(&word, kept + (at + k) / 8, sizeof word);
        const bits all = bits{} + uint32_t(word >> (at % 8));
        for (int part = 0; part < 32; part += width) {
            const bits here = mine << part;
            out[(k + part) / width].v = (typename vec<T>::raw)((bits)((all & here) == here) & one);
        }
    }
    for (ptrdiff_t k = n; k % width; ++k) lanes(out)[k] = 0;
}

}  // namespace fastce
