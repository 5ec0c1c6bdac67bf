"""gradient_lines.h, told to Cython."""

from ...simd.simd cimport vec


cdef extern from "<softmax/row/gradient_lines.h>" namespace "fastce" nogil:
    cdef cppclass gradient_lines[T]:
        const vec[T]* exps
        T* out
        Py_ssize_t next, end, label
        vec[T] prob_scale_hi, prob_scale_lo, uniform_offset, label_grad
        bint direct
    void write_lines[T](gradient_lines[T]*, Py_ssize_t until)
