"""The OpenMP runtime and the floating-point state of a thread, told to Cython."""

from libc.stdint cimport uint64_t


cdef extern from "<parallel/fp_state.h>" namespace "fastce" nogil:
    const int kOpenMP
    int most_threads()
    void end_threads()
    uint64_t plain_arithmetic()
    void give_back(uint64_t)
