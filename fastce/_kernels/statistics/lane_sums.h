// What both looks at a row find, lane by lane.
#pragma once

#include "simd/vector.h"

namespace fastce {

// Of all vectors that were seen, each as the maximum of a group of four: the largest and second largest, minus the
// number of the first group that had the largest; how many logits were above the label's; NaN if there was one.
template <class T> struct leaders {
    vec<T> top, second, place, above, nan;
};

// Which of n lanes is the first to be x, as one of them is and none of them is larger; in memory there are four vectors.
template <class T> FASTCE_INLINE ptrdiff_t first_with(const vec<T>* v, ptrdiff_t n, vec<T> x) {
    if constexpr (sizeof(lane_t<T>) == 4) {
        const vec<T> below = predecessor(x);
        uint64_t found = 0;
        for (int i = 0; i < 4; ++i) found |= uint64_t(larger_lanes(v[i].v, below.v)) << (i * vec<T>::lanes);
        return found ? __builtin_ctzll(found) : 0;
    } else {
        return index_of(lanes(v), n, 1, double(x.v[0]));
    }
}

// Sums over a run of vectors, with d = x - second and e = exp(d): of e^2, e d and e d^2. Squares begin with what is
// lost in any sum of them: a sum of theirs that is subnormal would be slow.
template <class T> struct run_sums {
    vec<T> squares{1e-30}, products{0.0}, moments{0.0};
};
template <class T> FASTCE_INLINE run_sums<T> no_sums(const vec<T>*) { return {}; }

}  // namespace fastce
