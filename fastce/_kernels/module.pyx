# distutils: language = c++
"""All rows of a call: the arguments in, blocks of rows to the threads, the result out.

This file is compiled once for every instruction set (setup.py); the Python names are the same in each
of these modules. A function takes the arguments as the user gave them and sees for itself whether it can
use them. If not it returns a whole number that tells why, before anything is written: Python then converts
the arguments, copies them block by block or scales the weights, and calls again, or says what is wrong.
"""

import numpy

from libc.float cimport DBL_MAX
from libc.stdlib cimport free
from libc.string cimport memset

from .arguments cimport (
    CHECKED, kBelowHalf, read_flag, read_integer, read_number, read_reducing, read_threads, REFUSED,
    SCATTERED, UNREADABLE,
)
from .elements_call cimport (
    compute_elements, ElementsCall, read_element_labels, read_element_output, read_items, read_pos_weight,
)
from .elementwise.block cimport all_elements
from .elementwise.problem cimport CHUNK, Elements, Function, SIGMOID
from .inputs cimport add_weights, read_output, read_rows, read_weights, Rows, take_factors, view_rows
from .memory.memory cimport F16, F64
from .memory.views cimport address_of, are_apart, new_array, new_like, new_losses, View, view_of
from .parallel.openmp cimport end_threads, kOpenMP, most_threads
from .parallel.sweep cimport sweep_memory
from .parallel.totals cimport Totals
from .simd.simd cimport vec
from .simd.table cimport apply_function, VectorFunction
from .softmax.block cimport softmax_rows
from .softmax.problem cimport LOGSUMEXP, Output, Problem
from .softmax_call cimport (
    compute_softmax, place_gradient, place_new_gradient, place_rows, read_class_weight, read_grad_out,
    read_labels, SoftmaxCall,
)
from .statistics_call cimport (
    compute_statistics, read_fields, read_row_labels, read_temperature, StatisticsCall,
)

cdef extern from *:
    """
    #if defined(__clang__)
    static const char* const kCompiler = "clang " __clang_version__;
    #else
    static const char* const kCompiler = "gcc " __VERSION__;
    #endif
    """
    const char* const kCompiler

cdef enum:
    SPARE = 16  # kernels read whole vectors of factors

isa = __name__.rpartition(".")[2]


def vector_bytes():
    """Bytes of one vector."""
    return sizeof(vec[float])


def openmp():
    """The version of OpenMP that the compiler has, as its macro tells it; 0 without."""
    return kOpenMP


def max_threads():
    """The threads that OpenMP would take: OMP_NUM_THREADS, or what threadpoolctl says."""
    return most_threads()


def release_threads():
    """Ends the threads that OpenMP keeps for the calling thread, before a fork; calls start new ones."""
    end_threads()


def compiler():
    """The compiler that built this module."""
    return kCompiler.decode()


def softmax_cross_entropy(given, threads_for, Py_ssize_t streaming_bytes, int known=0, divisor=None):
    """The softmax losses of all rows and what else is asked for, or why not."""
    cdef SoftmaxCall c
    cdef double smoothing
    (
        logits, labels, class_weight, sample_weight, label_smoothing, z_loss, ignore_index, axis, reduction,
        normalizer, return_grad, grad_out, return_hess, num_threads,
    ) = given
    memset(&c.p, 0, sizeof(Problem))
    c.known = known
    if not (
        read_reducing(reduction, normalizer, divisor, &c.how)
        and read_number(label_smoothing, 0, 1, &smoothing)
        and read_number(z_loss, 0, DBL_MAX, &c.p.z_loss)
        and read_integer(ignore_index, &c.p.ignore_index)
        and read_flag(return_grad, &c.wants_grad) and read_flag(return_hess, &c.wants_hess)
        and read_rows(logits, axis, &c.rows) and read_labels(labels, &c)
        and read_class_weight(class_weight, &c)
        and read_weights(sample_weight, c.rows.shape, c.rows.x.ndim - 1, &c.weights)
        and read_grad_out(grad_out, &c)
    ):
        return UNREADABLE
    c.threads = read_threads(num_threads, c.rows.x.size, threads_for)
    place_rows(&c.rows, &c.p)
    c.sums.items = c.rows.count
    c.by_class.memory = NULL
    c.p.hard_mass, c.p.uniform_mass = 1 - smoothing, smoothing / c.p.classes
    try:
        if c.by_class.given:
            if not take_factors(&c.by_class, 0):
                return REFUSED
            c.p.class_weight = c.by_class.data
        if not add_weights(&c.weights, c.rows.count, c.p.targets != NULL, c.threads):
            return REFUSED
        c.p.sample_weight = &c.weights.spread if c.weights.given else NULL
        return compute_softmax(&c, numpy, logits, grad_out, streaming_bytes)
    finally:
        free(c.by_class.memory)


def binary_losses(given, threads_for, Py_ssize_t streaming_bytes, int known=0, divisor=None):
    """Sigmoid cross-entropy (0) or binary cross-entropy (1) and what else is asked for, or why not."""
    cdef ElementsCall c
    cdef double smoothing
    cdef int function
    (
        function, inputs, labels, pos_weight, sample_weight, label_smoothing, eps, axis, reduction,
        normalizer, return_grad, grad_out, return_hess, num_threads,
    ) = given
    memset(&c.p, 0, sizeof(Elements))
    c.known, c.p.function = known, <Function> function
    if not (
        read_reducing(reduction, normalizer, divisor, &c.how)
        and read_number(label_smoothing, 0, 1, &smoothing) and read_number(eps, 0, kBelowHalf, &c.p.eps)
        and read_flag(return_grad, &c.wants_grad) and read_flag(return_hess, &c.wants_hess)
        and read_items(inputs, axis, &c) and read_element_labels(labels, &c)
        and read_pos_weight(pos_weight, &c) and read_weights(sample_weight, c.shape, c.axes, &c.weights)
        and read_element_output(grad_out, &c)
    ):
        return UNREADABLE
    c.threads = read_threads(num_threads, c.x.size, threads_for)
    c.p.keep, c.p.share, c.p.period = 1 - smoothing, smoothing / 2, 1
    c.ratio.memory = NULL
    try:
        if c.ratio.given:
            if not take_factors(&c.ratio, min(CHUNK, c.x.size + SPARE)):
                return REFUSED
            c.p.pos_weight, c.p.period = c.ratio.data, max(c.ratio.view.size, 1)
        if not add_weights(&c.weights, c.sums.items, True, c.threads):
            return REFUSED
        return compute_elements(&c, numpy, inputs, grad_out, streaming_bytes)
    finally:
        free(c.ratio.memory)


def activation(
    int output, logits, axis, out, num_threads, threads_for, Py_ssize_t streaming_bytes, int known=0
):
    """softmax (1), log_softmax (2) or logsumexp (3) of all rows, or why not."""
    cdef Rows r
    cdef View like, o
    cdef Problem p
    cdef Totals total
    if not read_rows(logits, axis, &r):
        return UNREADABLE
    if output == LOGSUMEXP:
        view_rows(&r, &like)
    else:
        like = r.x
    if out is not None:
        if not read_output(out, &like, known & CHECKED, &o):
            return UNREADABLE
        if output == LOGSUMEXP and not known & CHECKED and not are_apart(&o, &r.x):
            return UNREADABLE
    cdef int threads = read_threads(num_threads, r.x.size, threads_for)
    if not r.can_walk:
        return SCATTERED
    memset(&p, 0, sizeof(p))
    place_rows(&r, &p)
    if out is None:
        if output == LOGSUMEXP:
            out = new_losses(numpy, r.shape, like.ndim, &r.x, logits)
            p.losses = address_of(out)
        else:
            out = new_like(numpy, &r.x, logits)
            if not place_new_gradient(out, &r, streaming_bytes, &p):
                return SCATTERED
    elif output == LOGSUMEXP:
        if not o.contiguous:
            return SCATTERED
        p.losses = o.data
    elif not place_gradient(&o, &r, streaming_bytes, &p):
        return SCATTERED
    p.output, p.hard_mass, p.divisor = <Output> output, 1, 1
    if r.x.size:
        softmax_rows(&p, r.x.kind, threads, &total)
    return out


def sigmoid(logits, out, num_threads, threads_for, Py_ssize_t streaming_bytes, int known=0):
    """The sigmoid of all elements, or why not."""
    cdef View x, o
    cdef Elements p
    cdef Totals total
    if not view_of(logits, &x) or not F16 <= x.kind <= F64:
        return UNREADABLE
    if out is not None and not read_output(out, &x, known & CHECKED, &o):
        return UNREADABLE
    cdef int threads = read_threads(num_threads, x.size, threads_for)
    if not x.contiguous:
        return SCATTERED
    if out is None:
        out = new_array(numpy, x.shape, x.ndim, logits.dtype)
        o.data = address_of(out)
    elif not o.contiguous:
        return SCATTERED
    memset(&p, 0, sizeof(p))
    p.function, p.kind, p.x, p.grad = SIGMOID, x.kind, x.data, o.data
    p.outer, p.summed, p.inner, p.period, p.divisor = 1, 1, x.size, 1, 1
    p.streaming = x.size * x.itemsize > streaming_bytes and o.data != x.data
    if x.size:
        all_elements(&p, NULL, False, threads, &total)
    return out


def row_statistics(given, names, threads_for, int known=0):
    """The numbers of each row that are asked for by name, in a list with None for the rest, or why not."""
    cdef StatisticsCall c
    logits, labels, fields, axis, ignore_index, temperature, num_threads = given
    if not (
        read_fields(fields, names, &c) and read_integer(ignore_index, &c.p.ignore_index)
        and read_temperature(temperature, &c) and read_rows(logits, axis, &c.rows)
        and read_row_labels(labels, known & CHECKED, &c)
    ):
        return UNREADABLE
    c.threads = read_threads(num_threads, c.rows.x.size, threads_for)
    return compute_statistics(&c, numpy)


def read_sweep(const unsigned char[::1] source, int num_threads):
    """Reads every byte, as fast as this machine can: the limit of a loss. Returns a checksum."""
    cdef Py_ssize_t n = source.shape[0]
    cdef Totals total
    sweep_memory(<const char*> &source[0] if n else NULL, NULL, n, num_threads, &total)
    return total.valid


def copy_sweep(const unsigned char[::1] source, unsigned char[::1] destination, int num_threads):
    """Reads every byte of the source and writes it past the caches: the limit of a gradient."""
    cdef Py_ssize_t n = source.shape[0]
    cdef Totals total
    if destination.shape[0] != n:
        raise ValueError(f"destination has {destination.shape[0]} bytes, source {n}")
    if n:
        sweep_memory(<const char*> &source[0], <char*> &destination[0], n, num_threads, &total)


def vector_function(int function, x, out, int kind):
    """Applies exp, exp times 2^24, log, log1p or brief_log (0 to 4) to contiguous numbers.

    A door for tests/kernels/test_vector_functions.py, which holds these functions to their ulp.
    """
    cdef VectorFunction f = <VectorFunction> function
    if kind == F64:
        apply_function[double](f, <const double*> address_of(x), x.size, <double*> address_of(out))
    else:
        apply_function[float](f, <const float*> address_of(x), x.size, <float*> address_of(out))
