// How numbers are stored, and the lanes that they are computed in: half precision is widened when it is loaded
// and rounded once, to the nearest, when it is stored.
#pragma once

#include <cstdint>
#include <cstring>

#define FASTCE_INLINE inline __attribute__((always_inline))
#define FASTCE_APART inline __attribute__((noinline))

namespace fastce {

struct float16 {
    uint16_t bits;
};
struct bfloat16 {
    uint16_t bits;
};

template <class T> struct lane_of {
    using type = T;
};
template <> struct lane_of<float16> {
    using type = float;
};
template <> struct lane_of<bfloat16> {
    using type = float;
};
template <class T> using lane_t = typename lane_of<T>::type;

FASTCE_INLINE float widen(float x) { return x; }
FASTCE_INLINE double widen(double x) { return x; }
FASTCE_INLINE float widen(bfloat16 x) {
    uint32_t bits = uint32_t(x.bits) << 16;
    float y;
    memcpy(&y, &bits, 4);
    return y;
}
FASTCE_INLINE float widen(float16 x) {
    // Re-bias the exponent by a multiplication, which also normalises subnormals (2^112 = 2^(127-15)).
    uint32_t magnitude = uint32_t(x.bits & 0x7fff) << 13, sign = uint32_t(x.bits & 0x8000) << 16;
    float y;
    memcpy(&y, &magnitude, 4);
    y *= 0x1p112f;
    memcpy(&magnitude, &y, 4);
    if ((x.bits & 0x7c00) == 0x7c00) magnitude = uint32_t(x.bits & 0x7fff) << 13 | 0x7f800000;
    magnitude |= sign;
    memcpy(&y, &magnitude, 4);
    return y;
}

template <class T> FASTCE_INLINE T narrow(lane_t<T> x) { return x; }
template <> FASTCE_INLINE bfloat16 narrow<bfloat16>(float x) {
    uint32_t bits;
    memcpy(&bits, &x, 4);
    if (x != x) return bfloat16{uint16_t(bits >> 16 | 0x40)};
    return bfloat16{uint16_t((bits + 0x7fff + (bits >> 16 & 1)) >> 16)};  // to nearest, ties to even
}
template <> FASTCE_INLINE float16 narrow<float16>(float x) {
    uint32_t bits;
    memcpy(&bits, &x, 4);
    uint16_t sign = uint16_t(bits >> 16 & 0x8000);
    uint32_t magnitude = bits & 0x7fffffff;
    if (magnitude > 0x7f800000) return float16{uint16_t(sign | 0x7e00)};
    if (magnitude >= 0x477ff000) return float16{uint16_t(sign | 0x7c00)};  // 65520 and above
    if (magnitude < 0x38800000) {  // subnormal in half precision: let the addition of 0.5 round
        float y;
        memcpy(&y, &magnitude, 4);
        y += 0.5f;
        memcpy(&magnitude, &y, 4);
        return float16{uint16_t(sign | (magnitude - 0x3f000000))};
    }
    magnitude += 0xc8000fff + (magnitude >> 13 & 1);  // (15 - 127) << 23, and to nearest even
    return float16{uint16_t(sign | magnitude >> 13)};
}

}  // namespace fastce
