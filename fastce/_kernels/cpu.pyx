# distutils: language = c++
"""Which instruction sets this processor, and its operating system, can run."""

cdef extern from *:
    """
    #if defined(__x86_64__)
    #include <cpuid.h>
    // Feature by feature: g++ 11 and clang++ 14 do not know the levels by name, and clang++ 14 not all of
    // their parts. Every processor with the others has F16C, MOVBE and LZCNT, but not every virtual machine.
    #define HAS(feature) (__builtin_cpu_supports(feature) != 0)
    static int has_v3(void) {
        unsigned eax, ebx, ecx, edx;
        __builtin_cpu_init();
        if (!(HAS("avx2") && HAS("fma") && HAS("bmi") && HAS("bmi2"))) return 0;
        if (!__get_cpuid(1, &eax, &ebx, &ecx, &edx) || !(ecx & bit_F16C) || !(ecx & bit_MOVBE)) return 0;
        return __get_cpuid(0x80000001, &eax, &ebx, &ecx, &edx) && (ecx & bit_LZCNT);
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
