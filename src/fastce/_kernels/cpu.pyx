# distutils: language = c++
"""Which instruction sets this processor, and its operating system, can run."""

cdef extern from *:
    """
    #if defined(__x86_64__)
    // Feature by feature: g++ 11 and clang++ 14 do not know the levels by name. Every processor with
    // these also has the smaller parts of its level (F16C, LZCNT, MOVBE).
    #define HAS(feature) (__builtin_cpu_supports(feature) != 0)
    static int has_v3(void) {
        __builtin_cpu_init();
        return HAS("avx2") && HAS("fma") && HAS("bmi") && HAS("bmi2");
    }
    static int has_v4(void) {
        return has_v3() && HAS("avx512f") && HAS("avx512bw") && HAS("avx512cd") && HAS("avx512dq")
            && HAS("avx512vl");
    }
    #else
    static int has_v3(void) { return 0; }
    static int has_v4(void) { return 0; }
    #endif
    """
    int has_v3()
    int has_v4()


def supported():
    """Names of the instruction sets, the plainest first."""
    names = ["baseline"]
    if has_v3():
        names.append("avx2")
    if has_v4():
        names.append("avx512")
    return tuple(names)
