// What the first look at a row finds, lane by lane.
#pragma once

#include "simd/vector.h"

namespace fastce {

// Of all vectors that were seen, each as the maximum of a group of four: the largest and second largest, minus the
// number of the first group that had the largest, and how many logits were above the label's.
template <class T> struct leaders {
    vec<T> top, second, place, above, nan;
};

}  // namespace fastce
