"""The OpenMP runtime, the scratch and the floating-point state of a thread, declared for Cython."""

from libc.stdint cimport uint64_t


cdef extern from "<parallel/openmp.h>" namespace "fastce" nogil:
    const int kOpenMP
    int most_threads()
    int threads_to_be_had(int wanted)
    void end_threads()

cdef extern from "<parallel/scratch.h>" namespace "fastce" nogil:
    char* take_scratch(Py_ssize_t bytes)
    void release_scratch(char*, Py_ssize_t bytes)

cdef extern from "<parallel/ieee_state.h>" namespace "fastce" nogil:
    uint64_t enter_ieee_state()
    void leave_ieee_state(uint64_t)
