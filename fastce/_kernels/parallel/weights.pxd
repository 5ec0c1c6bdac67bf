"""Whether numbers can be weights, and what they add up to."""

from libc.string cimport memset

from ..memory.memory cimport doubles_at, layout, weights_at
from ..parallel.cut cimport BLOCK_ELEMENTS, cut_rows
from ..parallel.run_blocks cimport run_blocks, Work
from ..parallel.totals cimport add_exactly, Totals
from ..simd.simd cimport doubles, lanes_of, vec, wide_sum

cdef enum:
    WEIGHTS = 1024  # that are converted at a time


cdef inline void check_weights_of_block(
    const void* problem, Py_ssize_t begin, Py_ssize_t end, char* scratch, Totals* totals
) noexcept nogil:
    if not weights_at(<const layout*> problem, begin, end - begin):
        totals.bad_row = begin


cdef inline void sum_weights_of_block(
    const void* problem, Py_ssize_t begin, Py_ssize_t end, char* scratch, Totals* totals
) noexcept nogil:
    cdef double* weights = <double*> scratch
    cdef wide_sum[double] sums[4]  # for each waits for itself
    cdef double sum, lost
    cdef Py_ssize_t at, k, n, width = lanes_of(<vec[double]*> NULL)
    check_weights_of_block(problem, begin, end, scratch, totals)
    for at from begin <= at < end by WEIGHTS:
        n = min(WEIGHTS, end - at)
        doubles_at(<const layout*> problem, at, n, weights)
        memset(weights + n, 0, (WEIGHTS - n) * sizeof(double))
        for k from 0 <= k < n by 4 * width:
            sums[0].add(doubles(weights + k))
            sums[1].add(doubles(weights + k + width))
            sums[2].add(doubles(weights + k + 2 * width))
            sums[3].add(doubles(weights + k + 3 * width))
        for k in range(n):
            totals.nonzero += weights[k] != 0
    for k in range(4):
        sum = sums[k].split(&lost)
        add_exactly(&totals.weight, &totals.weight_lost, sum)
        totals.weight_lost += lost


cdef inline int sum_weights(const layout* weights, bint add_up, int num_threads, Totals* total) except -1:
    """Whether all numbers can be weights; if asked for their sum, and how many are not 0."""
    cdef Work work
    memset(&work, 0, sizeof(work))
    work.problem = <void*> weights
    work.run = sum_weights_of_block if add_up else check_weights_of_block
    work.cut = cut_rows(weights.size, BLOCK_ELEMENTS)
    work.scratch_bytes = WEIGHTS * sizeof(double)
    return run_blocks(&work, num_threads, total)
