// The floating-point state that blocks are computed in.
//
// A new thread inherits rounding and the treatment of subnormal numbers from the thread that starts
// it, and OpenMP keeps threads for later calls: results would depend on what some caller had set once.
// So every block is computed in the state in which programs begin, and the thread gets back what it
// had, status flags included.
#pragma once

#include "simd/vector.h"

namespace fastce {

inline uint64_t enter_ieee_state() { return set_ieee_state(); }
inline void leave_ieee_state(uint64_t caller) { restore_state(caller); }

}  // namespace fastce
