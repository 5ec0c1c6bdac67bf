"""Arguments that are no arrays, and what a call makes of its sums: in the form that is met most often.

A number that is no float or int, or out of its bounds, is not read: Python converts it or says what is wrong.
"""

from cpython.exc cimport PyErr_Clear
from cpython.object cimport PyObject
from libc.math cimport NAN
from libc.stdint cimport int64_t

cdef extern from *:
    bint PyLong_CheckExact(object)
    double as_double "PyLong_AsDouble"(object) noexcept
    long long PyLong_AsLongLongAndOverflow(object, int*) noexcept
    PyObject* PyErr_Occurred() noexcept

cdef enum:
    ONE_THREAD_BELOW = 32768  # elements (_dispatch/threads.py)

# Sums of weights between these have an inverse, and room is left for what they are multiplied by.
cdef extern from *:
    """
    static const double kLeastSum = 0x1p-500, kLargestSum = 0x1p500;
    static const double kBelowHalf = 0x1.fffffffffffffp-2;
    """
    const double kLeastSum, kLargestSum
    const double kBelowHalf  # the largest number below 0.5


# Why a call returns no result but one of these numbers (_dispatch/loss.py has them too): an argument is not
# in the form that is read here; a label or a weight is refused; weights have to be scaled; an array lies in
# a way that no kernel walks.
cdef enum:
    UNREADABLE, REFUSED, EXTREME, SCATTERED

# What another call is told: Python has looked at the outputs; weights are as good as they get; nothing but
# the sums of the items is asked for.
cdef enum:
    CHECKED = 1
    SCALED = 2
    SUMS_ONLY = 4


cdef enum Reduction:
    NONE, SUM, MEAN


cdef enum Normalizer:
    WEIGHT, VALID, ALL, NONZERO, NUMBER


cdef struct Reducing:
    Reduction reduction
    Normalizer normalizer
    double number  # what a mean divides by, if that is given
    bint by_blocks  # the call is a block of another one, which tells what gradients are divided by


cdef struct Sums:
    # What the items of a call add up to; those that are not ignored, and those whose weight is not 0.
    double loss, weight
    Py_ssize_t items, valid, nonzero


# Reading --------------------------------------------------------------------------------------------


cdef inline bint read_number(object value, double low, double high, double* x) noexcept:
    """Whether this is a float or an int of Python, within its bounds."""
    if type(value) is float:
        x[0] = value
    elif PyLong_CheckExact(value):
        x[0] = as_double(value)
        if x[0] == -1 and PyErr_Occurred() != NULL:
            PyErr_Clear()
            return False
    else:
        return False
    return low <= x[0] <= high


cdef inline bint read_integer(object value, int64_t* x) noexcept:
    """Whether this is an int of Python that 64 bits hold."""
    cdef int overflow = 0
    if not PyLong_CheckExact(value):
        return False
    x[0] = PyLong_AsLongLongAndOverflow(value, &overflow)
    return overflow == 0


cdef inline bint read_axis(object value, Py_ssize_t ndim, Py_ssize_t* axis) noexcept:
    cdef int64_t k
    if not read_integer(value, &k) or not -ndim <= k < ndim:
        return False
    axis[0] = k if k >= 0 else k + ndim
    return True


cdef inline bint read_flag(object value, bint* flag) noexcept:
    flag[0] = value is True
    return flag[0] or value is False


cdef inline bint read_normalizer(object normalizer, Reducing* how) noexcept:
    how.number = 0
    if type(normalizer) is not str:
        how.normalizer = NUMBER
        return read_number(normalizer, 0, 1.7976931348623157e308, &how.number) and how.number > 0
    if normalizer == "weight":
        how.normalizer = WEIGHT
    elif normalizer == "valid":
        how.normalizer = VALID
    elif normalizer == "all":
        how.normalizer = ALL
    else:
        how.normalizer = NONZERO
        return normalizer == "nonzero"
    return True


cdef inline bint read_reducing(object reduction, object normalizer, object divisor, Reducing* how) except -1:
    """Reads what is made of losses, and what gradients are divided by if that is known already."""
    if type(reduction) is not str or not read_normalizer(normalizer, how):
        return False
    how.by_blocks = divisor is not None
    if how.by_blocks:
        how.number = divisor
    if reduction == "mean":
        how.reduction = MEAN
    elif reduction == "sum":
        how.reduction = SUM
    else:
        how.reduction = NONE
        return reduction == "none"
    return True


cdef inline int read_threads(object num_threads, Py_ssize_t elements, object threads_for) except -1:
    """The threads for so many elements. `threads_for` tells what the machine allows, or what is wrong."""
    if num_threads is None and elements < ONE_THREAD_BELOW:
        return 1
    if PyLong_CheckExact(num_threads) and num_threads == 1:
        return 1
    return threads_for(elements, num_threads)


# Reducing -------------------------------------------------------------------------------------------


cdef inline bint needs_sums(const Reducing* how) noexcept:
    """Whether what a mean divides by is known only after labels and weights have been read."""
    return how.reduction == MEAN and how.normalizer != ALL and how.normalizer != NUMBER


cdef inline double divisor_of(const Reducing* how, const Sums* sums) noexcept:
    """What a mean divides by."""
    if how.normalizer == WEIGHT:
        return sums.weight
    if how.normalizer == VALID:
        return sums.valid
    if how.normalizer == ALL:
        return sums.items
    return sums.nonzero if how.normalizer == NONZERO else how.number


cdef inline double gradient_divisor(const Reducing* how, const Sums* sums) noexcept:
    """What gradients are divided by; those of an empty mean are those of the sum."""
    cdef double d
    if how.by_blocks:
        return how.number
    d = divisor_of(how, sums) if how.reduction == MEAN else 1
    return d if d != 0 else 1


cdef inline bint is_extreme(const Reducing* how, double weight, double largest, int factors) noexcept:
    """Whether a mean is to be taken with other weights, a power of two smaller or larger than these.

    `weight` is the sum of weights that are products of so many factors, `largest` the largest class weight.
    """
    if how.reduction != MEAN:
        return False
    if how.normalizer == NUMBER and not kLeastSum <= how.number <= kLargestSum:
        return True
    if largest > kLargestSum:
        return True
    if weight == 0:
        return factors > 1  # products may have underflowed
    return factors > 0 and not kLeastSum <= weight <= kLargestSum


cdef inline object result_of(
    const Reducing* how, const Sums* sums, object losses, object grad, object hess
):
    """The loss, followed by what else was asked for."""
    cdef double d
    if how.reduction == NONE:
        loss = losses
    elif how.reduction == SUM:
        loss = sums.loss
    else:
        d = divisor_of(how, sums)
        loss = sums.loss / d if d != 0 else NAN
    if grad is None:
        return loss if hess is None else (loss, hess)
    return (loss, grad) if hess is None else (loss, grad, hess)
