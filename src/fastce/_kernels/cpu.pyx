# distutils: language = c++
"""Which instruction sets this processor, and its operating system, can run."""

cdef extern from *:
    """
    #if defined(__x86_64__)
    static int has_v3(void) { __builtin_cpu_init(); return __builtin_cpu_supports("x86-64-v3") != 0; }
    static int has_v4(void) { __builtin_cpu_init(); return __builtin_cpu_supports("x86-64-v4") != 0; }
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
