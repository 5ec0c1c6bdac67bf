// Arrays of any layout and byte order, read in the order of their indices, or of memory.
#pragma once

#include <cmath>

#include "memory/dtypes.h"

namespace fastce {

constexpr int kMostAxes = 64;
constexpr int LONG_DOUBLE = F64 + 1;  // a kind that weights alone have

// Strides in bytes, of axes longer than 1; neighbouring axes that are walked like one are one.
struct layout {
    const char* data;
    int kind, axes;
    bool swapped;  // bytes are in the order that is not this machine's
    ptrdiff_t size, itemsize;
    ptrdiff_t length[kMostAxes], stride[kMostAxes];
};

inline void no_axes(layout* a) {
    a->axes = 0;
    a->size = 1;
}

// One more axis, within those that are there.
inline void add_axis(layout* a, ptrdiff_t length, ptrdiff_t stride) {
    a->size *= length;
    if (length == 1) return;
    const int last = a->axes - 1;
    if (last >= 0 && a->stride[last] == stride * length) {
        a->length[last] *= length;
        a->stride[last] = stride;
    } else {
        a->length[a->axes] = length;
        a->stride[a->axes++] = stride;
    }
}

// The same elements in another order, that of memory as far as there is one; repeated ones just once.
inline layout in_memory_order(const layout& a) {
    int order[kMostAxes], n = 0;
    layout b;
    b.data = a.data, b.kind = a.kind, b.swapped = a.swapped, b.itemsize = a.itemsize;
    auto step = [&](int axis) { return a.stride[axis] < 0 ? -a.stride[axis] : a.stride[axis]; };
    for (int i = 0; i < a.axes; ++i) {
        if (a.length[i] && a.stride[i] == 0) continue;
        if (a.length[i] && a.stride[i] < 0) b.data += (a.length[i] - 1) * a.stride[i];
        int at = n++;
        for (; at > 0 && step(order[at - 1]) < step(i); --at) order[at] = order[at - 1];
        order[at] = i;
    }
    no_axes(&b);
    for (int i = 0; i < n; ++i) add_axis(&b, a.length[order[i]], step(order[i]));
    return b;
}

template <class S> inline void gather(const char* p, ptrdiff_t stride, ptrdiff_t n, bool swapped, S* out) {
    for (ptrdiff_t i = 0; i < n; ++i) out[i] = element<S>(p + i * stride);
    if (!swapped) return;
    for (ptrdiff_t i = 0; i < n; ++i) {
        char* bytes = reinterpret_cast<char*>(out + i);
        for (size_t k = 0; k < sizeof(S) / 2; ++k) {
            const char low = bytes[k];
            bytes[k] = bytes[sizeof(S) - 1 - k];
            bytes[sizeof(S) - 1 - k] = low;
        }
    }
}

struct sixteen_bytes {
    char bytes[16];
};

// Calls f(address, count, where) for pieces of the elements first … first + n - 1, each of them native and
// contiguous, in place or gathered; `where` counts from `first`.
template <class F> inline void for_pieces(const layout& a, ptrdiff_t first, ptrdiff_t n, F f) {
    constexpr ptrdiff_t kGathered = 128;
    alignas(64) char gathered[kGathered * 16];
    const ptrdiff_t length = a.axes ? a.length[a.axes - 1] : 1, stride = a.axes ? a.stride[a.axes - 1] : 0;
    const bool contiguous = !a.swapped && (stride == a.itemsize || length == 1);
    for (ptrdiff_t done = 0; done < n;) {
        ptrdiff_t rest = (first + done) / length, within = (first + done) % length;
        const char* p = a.data + within * stride;
        for (int i = a.axes - 2; i >= 0; --i) {
            p += rest % a.length[i] * a.stride[i];
            rest /= a.length[i];
        }
        ptrdiff_t count = length - within < n - done ? length - within : n - done;
        if (!contiguous) {
            if (count > kGathered) count = kGathered;
            switch (a.itemsize) {
            case 1: gather(p, stride, count, a.swapped, reinterpret_cast<uint8_t*>(gathered)); break;
            case 2: gather(p, stride, count, a.swapped, reinterpret_cast<uint16_t*>(gathered)); break;
            case 4: gather(p, stride, count, a.swapped, reinterpret_cast<uint32_t*>(gathered)); break;
            case 8: gather(p, stride, count, a.swapped, reinterpret_cast<uint64_t*>(gathered)); break;
            default: gather(p, stride, count, a.swapped, reinterpret_cast<sixteen_bytes*>(gathered));
            }
            p = gathered;
        }
        f(p, count, done);
        done += count;
    }
}

inline double as_double(float16 x) { return double(widen(x)); }
inline double as_double(bfloat16 x) { return double(widen(x)); }
template <class S> FASTCE_INLINE double as_double(S x) { return double(x); }

template <class F> inline auto with_type_of(int kind, F f) {
    switch (kind) {
    case I8: return f(int8_t());
    case I16: return f(int16_t());
    case I32: return f(int32_t());
    case I64: return f(int64_t());
    case U8: return f(uint8_t());
    case U16: return f(uint16_t());
    case U32: return f(uint32_t());
    case U64: return f(uint64_t());
    case F16: return f(float16());
    case BF16: return f(bfloat16());
    case F32: return f(float());
    case F64: return f(double());
    default: return f((long double)(0));
    }
}

// The elements first … first + n - 1 as labels, or as weights.
inline void integers_at(const layout* a, ptrdiff_t first, ptrdiff_t n, int64_t* out) {
    if (a->axes == 1 && !a->swapped) {
        integers(a->data + first * a->stride[0], a->kind, a->stride[0], n, out);
    } else {
        for_pieces(*a, first, n, [&](const char* p, ptrdiff_t count, ptrdiff_t at) {
            integers(p, a->kind, a->itemsize, count, out + at);
        });
    }
}

// Asks for the elements first … first + n - 1 where they lie one after another.
inline void prefetch_elements(const layout* a, ptrdiff_t first, ptrdiff_t n) {
    if (a->axes == 1 && a->stride[0] == a->itemsize) prefetch_run(a->data + first * a->itemsize, n * a->itemsize);
}

// Whether numbers of this kind are contiguous, aligned and in this machine's byte order.
template <class S> inline bool is_contiguous_as(const layout& a, int kind) {
    return a.kind == kind && !a.swapped && a.axes == 1 && a.stride[0] == ptrdiff_t(sizeof(S)) &&
           reinterpret_cast<uintptr_t>(a.data) % alignof(S) == 0;
}

// Their address if they are contiguous int64, else that of the buffer, into which integers_at has read them.
inline const int64_t* find_integers(const layout* a, ptrdiff_t first, ptrdiff_t n, int64_t* buffer) {
    if (is_contiguous_as<int64_t>(*a, I64)) return reinterpret_cast<const int64_t*>(a->data) + first;
    integers_at(a, first, n, buffer);
    return buffer;
}

template <class S> inline void as_doubles(const char* p, ptrdiff_t n, double* __restrict out) {
    for (ptrdiff_t i = 0; i < n; ++i) out[i] = as_double(element<S>(p + i * ptrdiff_t(sizeof(S))));
}

inline void doubles_at(const layout* a, ptrdiff_t first, ptrdiff_t n, double* out) {
    for_pieces(*a, first, n, [&](const char* p, ptrdiff_t count, ptrdiff_t at) {
        with_type_of(a->kind, [&](auto like) { as_doubles<decltype(like)>(p, count, out + at); });
    });
}

// Their address if they are contiguous doubles, else that of the buffer, into which doubles_at has read them.
inline const double* find_doubles(const layout* a, ptrdiff_t first, ptrdiff_t n, double* buffer) {
    if (is_contiguous_as<double>(*a, F64)) return reinterpret_cast<const double*>(a->data) + first;
    doubles_at(a, first, n, buffer);
    return buffer;
}

// Whether a number can be a weight: finite and not negative. In half precision bits tell; -0 is 0.
FASTCE_INLINE bool is_weight(float16 x) { return x.bits < 0x7c00 || x.bits == 0x8000; }
FASTCE_INLINE bool is_weight(bfloat16 x) { return x.bits < 0x7f80 || x.bits == 0x8000; }
FASTCE_INLINE bool is_weight(long double x) { return x >= 0 && double(x) < HUGE_VAL; }
template <class S> FASTCE_INLINE bool is_weight(S x) {
    if constexpr (std::is_floating_point_v<S>) return (x >= 0) & (x < S(HUGE_VAL));
    else return x >= 0;
}

// The answer for all of n contiguous elements is gathered in lanes of their own width.
inline bool are_weights(const char* p, int kind, ptrdiff_t n) {
    return with_type_of(kind, [&](auto like) {
        using S = decltype(like);
        using bits = std::conditional_t<sizeof(S) == 1, uint8_t, std::conditional_t<sizeof(S) == 2, uint16_t,
                     std::conditional_t<sizeof(S) == 4, uint32_t, uint64_t>>>;
        bits bad = 0;
        for (ptrdiff_t i = 0; i < n; ++i) bad |= bits(!is_weight(element<S>(p + i * ptrdiff_t(sizeof(S)))));
        return bad == 0;
    });
}

inline bool weights_at(const layout* a, ptrdiff_t first, ptrdiff_t n) {
    bool good = true;
    for_pieces(*a, first, n, [&](const char* p, ptrdiff_t count, ptrdiff_t) {
        good = good && are_weights(p, a->kind, count);
    });
    return good;
}

}  // namespace fastce
