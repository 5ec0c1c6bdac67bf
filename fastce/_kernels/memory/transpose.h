// Rows that lie one after another as classes of rows: lane i of a vector belongs to row i.
//
// Design. Four classes of as many rows as a vector has lanes become four vectors by eight shuffles within 16 bytes;
// where the classes are no multiple of four, the last four overlap those before.
#pragma once

#include "simd/shuffle.h"

namespace fastce {

// Four lanes at p, and at every `pitch` after it, as many as fill a vector.
FASTCE_INLINE vec<float> load_quads(const float* p, ptrdiff_t pitch) { return load_groups_of_four(p, pitch); }
template <class T> FASTCE_INLINE void store_quads(T* p, ptrdiff_t pitch, vec<T> v) {
    T part[vec<T>::lanes];
    store(part, v);
    for (int k = 0; k < vec<T>::lanes / 4; ++k) memcpy(p + k * pitch, part + 4 * k, 4 * sizeof(T));
}

// Of each four lanes, two of a and two of b.
template <int i, int j, int k, int l> struct picked {
    static constexpr size_t at(size_t lane, size_t lanes, int) {
        constexpr size_t from[] = {i, j, k, l};
        return lane / 4 * 4 + from[lane % 4] + (lane % 4 < 2 ? 0 : lanes);
    }
};
template <int i, int j, int k, int l, class T> FASTCE_INLINE vec<T> pick(vec<T> a, vec<T> b) {
    return rearranged<picked<i, j, k, l>, 0>(a, b);
}

// Rows of classes to classes of rows, or back.
template <class T> FASTCE_INLINE void transpose(vec<T>* v) {
    const vec<T> a = pick<0, 1, 0, 1>(v[0], v[1]), b = pick<2, 3, 2, 3>(v[0], v[1]);
    const vec<T> c = pick<0, 1, 0, 1>(v[2], v[3]), d = pick<2, 3, 2, 3>(v[2], v[3]);
    v[0] = pick<0, 2, 0, 2>(a, c), v[1] = pick<1, 3, 1, 3>(a, c);
    v[2] = pick<0, 2, 0, 2>(b, d), v[3] = pick<1, 3, 1, 3>(b, d);
}

// Four classes of as many rows as a vector has lanes, `classes` apart.
FASTCE_INLINE void load_fours(const float* rows, ptrdiff_t classes, vec<float>* v) {
    for (int j = 0; j < 4; ++j) v[j] = load_quads(rows + j * classes, 4 * classes);
    transpose(v);
}

// All classes of as many rows as a vector has lanes, one vector a class.
template <class T> inline void transpose_rows(const lane_t<T>* rows, ptrdiff_t pitch, ptrdiff_t classes, vec<T>* out) {
    if constexpr (sizeof(lane_t<T>) == 4) {
        vec<float> v[4];
        for (ptrdiff_t c = 0; classes >= 4 && c < classes; c += 4) {
            const ptrdiff_t from = c < classes - 4 ? c : classes - 4;
            load_fours(rows + from, pitch, v);
            for (int j = 0; j < 4; ++j) out[from + j] = v[j].v;
        }
        if (classes >= 4) return;
    }
    for (ptrdiff_t c = 0; c < classes; ++c)
        for (int i = 0; i < vec<T>::lanes; ++i) lanes(out + c)[i] = rows[i * pitch + c];
}

// The same of `n` rows as they are stored, which may be fewer than lanes: the others are rows of zeros. `room` holds as
// many lanes as all these rows.
template <class T>
inline void rows_in_lanes(const T* x, ptrdiff_t pitch, ptrdiff_t n, ptrdiff_t classes, vec<T>* room, vec<T>* out) {
    constexpr ptrdiff_t width = vec<T>::lanes;
    if constexpr (std::is_same_v<T, lane_t<T>>)
        if (n == width) return transpose_rows<T>(x, pitch, classes, out);
    for (ptrdiff_t i = 0; i < width; ++i)
        for (ptrdiff_t c = 0; c < classes; c += width)
            store_lanes(room, i * classes + c, i < n ? load(x + i * pitch + c, classes - c, 0.0) : vec<T>(0.0),
                        classes - c);
    transpose_rows<T>(lanes(room), classes, classes, out);
}

}  // namespace fastce
