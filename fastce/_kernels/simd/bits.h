// What a vector is for the compiler: its lanes as numbers, as bits and as a mask.
//
// The file of an instruction set has said how long a vector is (FASTCE_VECTOR_BYTES) before it comes here.
#pragma once

#include "simd/half.h"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

namespace fastce {

// Of vectors of float or double lanes: the numbers, their bits, and what a comparison of two vectors gives,
// -1 in every lane where it holds and 0 elsewhere. These are the types that intrinsics take and return.
template <class lane> struct raw_of;
template <> struct raw_of<float> {
    typedef float raw __attribute__((vector_size(FASTCE_VECTOR_BYTES)));
    typedef uint32_t bits __attribute__((vector_size(FASTCE_VECTOR_BYTES)));
    typedef int32_t mask __attribute__((vector_size(FASTCE_VECTOR_BYTES)));
};
template <> struct raw_of<double> {
    typedef double raw __attribute__((vector_size(FASTCE_VECTOR_BYTES)));
    typedef uint64_t bits __attribute__((vector_size(FASTCE_VECTOR_BYTES)));
    typedef int64_t mask __attribute__((vector_size(FASTCE_VECTOR_BYTES)));
};
using raw_float = raw_of<float>::raw;
using raw_double = raw_of<double>::raw;

// The same for data stored as T, and how many lanes a vector of them has.
template <class T> using raw_t = typename raw_of<lane_t<T>>::raw;
template <class T> using bits_t = typename raw_of<lane_t<T>>::bits;
template <class T> using mask_t = typename raw_of<lane_t<T>>::mask;
template <class T> constexpr int lane_count = FASTCE_VECTOR_BYTES / int(sizeof(lane_t<T>));

// What the lanes of a vector of numbers are.
template <class V> using lane_in = std::remove_reference_t<decltype(V{}[0])>;

// The bits of numbers, and the numbers of bits.
template <class T> FASTCE_INLINE bits_t<T> bits(raw_t<T> x) { return (bits_t<T>)x; }
template <class T> FASTCE_INLINE raw_t<T> from_bits(bits_t<T> x) { return (raw_t<T>)x; }

// 0, 1, 2, …: the number of each lane.
template <class T, size_t... lane> FASTCE_INLINE mask_t<T> lane_numbers(std::index_sequence<lane...>) {
    return mask_t<T>{int(lane)...};
}
template <class T> FASTCE_INLINE mask_t<T> lane_numbers() {
    return lane_numbers<T>(std::make_index_sequence<lane_count<T>>{});
}

// How a lane's bits are made up. `rounder` is 1.5 times 2 to the bits of the mantissa: the last bits of
// x + rounder are the integer nearest to x, and subtracting it again gives that integer as a number. exp(x) is
// a normal number from `lowest` on.
template <class lane> struct bits_of;
template <> struct bits_of<float> {
    static constexpr float rounder = 12582912.0f;
    static constexpr float lowest = -87.336544f;
    static constexpr int mantissa = 23, bias = 127;
};
template <> struct bits_of<double> {
    static constexpr double rounder = 6755399441055744.0;
    static constexpr double lowest = -708.39641853226;
    static constexpr int mantissa = 52, bias = 1023;
};

}  // namespace fastce
