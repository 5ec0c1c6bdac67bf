// What both looks at a row find, lane by lane.
#pragma once

#include "simd/vector.h"

namespace fastce {

// Of all vectors that were seen, each as the maximum of a group of four: the largest and second largest, minus the
// number of the first group that had the largest; how many logits were above the label's; NaN if there was one.
template <class T> struct leaders {
    vec<T> top, second, place, above, nan;
};

// Sums over a run of vectors, with d = x - second and e = exp(d): of e^2, e d and e d^2. Squares begin with what is
// lost in any sum of them: a sum of theirs that is subnormal would be slow.
template <class T> struct run_sums {
    vec<T> squares{1e-30}, products{0.0}, moments{0.0};
};
template <class T> FASTCE_INLINE run_sums<T> no_sums(const vec<T>*) { return {}; }

}  // namespace fastce
