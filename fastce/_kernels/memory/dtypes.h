// Elements of any type, read as they are stored: labels as integers, probabilities as lanes.
#pragma once

#include "simd/vector.h"

namespace fastce {

enum kind { I8, I16, I32, I64, U8, U16, U32, U64, F16, BF16, F32, F64 };

template <class S> FASTCE_INLINE S element(const char* p) {
    S value;
    memcpy(&value, p, sizeof value);
    return value;
}

template <class S>
FASTCE_INLINE void read_integers(const char* p, ptrdiff_t stride, ptrdiff_t n, int64_t* out) {
    constexpr ptrdiff_t size = sizeof(S);
    if (stride == size) {  // a loop that compilers vectorise
        for (ptrdiff_t i = 0; i < n; ++i) out[i] = int64_t(element<S>(p + i * size));
    } else {
        for (ptrdiff_t i = 0; i < n; ++i) out[i] = int64_t(element<S>(p + i * stride));
    }
}

// n integers, `stride` bytes apart. A uint64 beyond int64 is no class: it becomes the largest int64.
inline void integers(const char* p, int kind, ptrdiff_t stride, ptrdiff_t n, int64_t* out) {
    switch (kind) {
    case I8: return read_integers<int8_t>(p, stride, n, out);
    case I16: return read_integers<int16_t>(p, stride, n, out);
    case I32: return read_integers<int32_t>(p, stride, n, out);
    case I64: return read_integers<int64_t>(p, stride, n, out);
    case U8: return read_integers<uint8_t>(p, stride, n, out);
    case U16: return read_integers<uint16_t>(p, stride, n, out);
    case U32: return read_integers<uint32_t>(p, stride, n, out);
    default:
        for (ptrdiff_t i = 0; i < n; ++i) {
            uint64_t value = element<uint64_t>(p + i * stride);
            out[i] = value > uint64_t(INT64_MAX) ? INT64_MAX : int64_t(value);
        }
    }
}

// One number as a lane. Labels of 64 bits are 0, 1 or wrong: what is beyond becomes 2, so that the rest is
// a conversion of 32 bits, which every instruction set has.
template <class lane> FASTCE_INLINE lane as_lane(float16 x) { return widen(x); }
template <class lane> FASTCE_INLINE lane as_lane(bfloat16 x) { return widen(x); }
template <class lane, class S> FASTCE_INLINE lane as_lane(S x) {
    if constexpr (std::is_integral_v<S> && sizeof(S) == 8) return lane(int32_t((x | 1) == 1 ? x : 2));
    return lane(x);
}

template <class T, class S> FASTCE_INLINE void read_lanes(const char* p, ptrdiff_t n, vec<T>* out) {
    lane_t<T>* to = lanes(out);
    if constexpr (std::is_same_v<lane_t<T>, lane_t<S>>) {
        for (ptrdiff_t i = 0; i < n; i += vec<T>::lanes)
            out[i / vec<T>::lanes] = load(reinterpret_cast<const S*>(p) + i, n - i, 0.0).v;
    } else {
        for (ptrdiff_t i = 0; i < n; ++i) to[i] = as_lane<lane_t<T>>(element<S>(p + i * ptrdiff_t(sizeof(S))));
        for (ptrdiff_t i = n; i % vec<T>::lanes; ++i) to[i] = 0;
    }
}

// n contiguous elements as vectors; the lanes after the last are 0.
template <class T> inline void numbers(const char* p, int kind, ptrdiff_t n, vec<T>* out) {
    switch (kind) {
    case I8: return read_lanes<T, int8_t>(p, n, out);
    case I16: return read_lanes<T, int16_t>(p, n, out);
    case I32: return read_lanes<T, int32_t>(p, n, out);
    case I64: return read_lanes<T, int64_t>(p, n, out);
    case U8: return read_lanes<T, uint8_t>(p, n, out);
    case U16: return read_lanes<T, uint16_t>(p, n, out);
    case U32: return read_lanes<T, uint32_t>(p, n, out);
    case U64: return read_lanes<T, uint64_t>(p, n, out);
    case F16: return read_lanes<T, float16>(p, n, out);
    case BF16: return read_lanes<T, bfloat16>(p, n, out);
    case F32: return read_lanes<T, float>(p, n, out);
    default: return read_lanes<T, double>(p, n, out);
    }
}

}  // namespace fastce
