"""outputs.h, told to Cython."""

from ..simd.simd cimport vec


cdef extern from "<softmax/outputs.h>" namespace "fastce" nogil:
    vec[T] gradient_of[T](vec[T] e, vec[T] prob_scale_hi, vec[T] prob_scale_lo, vec[T] offset)
    vec[T] gradient_of_target "fastce::gradient_of"[T](
        vec[T] e, vec[T] prob_scale_hi, vec[T] prob_scale_lo, vec[T] target, vec[T] target_scale_hi,
        vec[T] target_scale_lo,
    )
    vec[T] hessian_of[T](vec[T] e, vec[T] inverse_sum, vec[T] hess_scale, vec[T] hess_square)
    vec[T] log_softmax_of[T](vec[T] x, vec[T] row_max, vec[T] log_sum)
    cdef cppclass row_terms[T]:
        row_terms()
        vec[T] shift, row_max, log_sum
        vec[T] prob_scale_hi, prob_scale_lo, uniform_offset, target_scale_hi, target_scale_lo
        vec[T] inverse_sum, hess_scale, hess_square
    cdef cppclass row_lanes[T]:
        vec[T]* label
        vec[T]* winner
        vec[T]* live
        vec[T]* shift
        vec[T]* row_max
        vec[T]* log_sum
        vec[T]* prob_scale_hi
        vec[T]* prob_scale_lo
        vec[T]* uniform_offset
        vec[T]* target_scale_hi
        vec[T]* target_scale_lo
        vec[T]* label_grad
        vec[T]* inverse_sum
        vec[T]* hess_scale
        vec[T]* hess_square
        vec[T]* label_hess
        vec[T]* winner_hess
