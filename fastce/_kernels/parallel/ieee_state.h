// The floating-point state that blocks are computed in.
//
// A new thread inherits rounding and the treatment of subnormal numbers from the thread that starts
// it, and OpenMP keeps threads for later calls: results would depend on what some caller had set once.
// So every block is computed in the state in which programs begin, and the thread gets back what it
// had, status flags included. Both functions are barriers that no access to memory crosses.
#pragma once

#include <cstdint>

namespace fastce {

#if defined(__SSE2__)
inline uint64_t enter_ieee_state() {
    uint32_t caller, ieee = 0x1f80;  // round to nearest, subnormals are numbers, no traps
    asm volatile("stmxcsr %0" : "=m"(caller)::"memory");
    asm volatile("ldmxcsr %0" ::"m"(ieee) : "memory");
    return caller;
}

inline void leave_ieee_state(uint64_t caller) {
    uint32_t state = uint32_t(caller);
    asm volatile("ldmxcsr %0" ::"m"(state) : "memory");
}
#elif defined(__aarch64__)
inline uint64_t enter_ieee_state() {
    uint64_t control, status;
    asm volatile("mrs %0, fpcr\n\tmrs %1, fpsr" : "=r"(control), "=r"(status)::"memory");
    if (control) asm volatile("msr fpcr, %0" ::"r"(uint64_t(0)) : "memory");
    return control << 32 | status;
}

inline void leave_ieee_state(uint64_t caller) {
    if (caller >> 32) asm volatile("msr fpcr, %0" ::"r"(caller >> 32) : "memory");
    asm volatile("msr fpsr, %0" ::"r"(caller & 0xffffffff) : "memory");
}
#else
inline uint64_t enter_ieee_state() { return 0; }
inline void leave_ieee_state(uint64_t) {}
#endif

}  // namespace fastce
