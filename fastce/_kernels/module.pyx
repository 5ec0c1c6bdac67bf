# distutils: language = c++
"""All rows of a call: checked buffers in, blocks of rows to the threads, tallies out.

This file is compiled once for every instruction set (setup.py); the Python names are the same in each
of these modules. The functions that begin with `plain` take arrays as the user gave them, see for
themselves whether they lie plainly and fit together, and return None where anything is amiss, before
anything is written: Python then takes the long way, which converts, walks other layouts, or names what
is wrong. They are what makes small calls cheap.
"""

from numpy import empty, empty_like, ndarray

from cython.parallel cimport prange
from libc.math cimport NAN
from libc.stdint cimport int64_t
from libc.string cimport memset

from .elementwise.items cimport Count
from .elementwise.problem cimport Elements, Function, hard_bytes, SIGMOID
from .memory.memory cimport copy_bytes, F16, F32, F64, in_memory_order, layout, sweep_bytes, U64
from .memory.views cimport (
    address, are_apart, can_be_written, lay_out, lies_plainly, one_after_another, Plain, same_shape,
)
from .parallel.openmp cimport end_threads, kOpenMP, most_threads
from .parallel.run_blocks cimport all_elements, count_all, softmax_rows, weigh_all
from .simd.simd cimport vec
from .simd.table cimport apply_function, VectorFunction
from .softmax.problem cimport LOGSUMEXP, Output, Problem
from .softmax.row_group cimport Tally

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
    LABELS_KEPT_FROM = 262144  # fewer are still in a cache when they are read again

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


cdef tuple told(const Tally* total):
    return total.loss, total.weight, total.valid, total.nonzero, total.bad_row


def softmax_cross_entropy(
    logits, int kind, Py_ssize_t outer, Py_ssize_t classes, Py_ssize_t inner,
    Py_ssize_t outer_stride, Py_ssize_t class_stride,
    labels, int label_kind, bint targets_given, Py_ssize_t target_outer_stride,
    Py_ssize_t target_class_stride, int64_t ignore_index,
    class_weight, sample_weight, int weight_kind, double label_smoothing, double weight_sum,
    double z_loss,
    grad, Py_ssize_t grad_outer_stride, Py_ssize_t grad_class_stride, hess, bint streaming, double divisor,
    losses, int num_threads,
):
    """The softmax losses of all rows.

    Returns (sum of weighted losses, sum of weights, valid rows, rows of non-zero weight, row at or shortly
    before the first bad label, or -1).
    """
    cdef Problem p
    cdef layout label_layout, weight_layout
    cdef Py_ssize_t itemsize = 8 if kind == F64 else 4 if kind == F32 else 2
    memset(&p, 0, sizeof(p))
    p.outer, p.classes, p.inner = outer, classes, inner
    p.logits = address(logits)
    p.outer_stride, p.class_stride = outer_stride // itemsize, class_stride // itemsize
    p.grad = address(grad)
    p.grad_outer_stride, p.grad_class_stride = grad_outer_stride // itemsize, grad_class_stride // itemsize
    p.hess = address(hess)
    p.losses = address(losses)
    p.streaming = streaming
    p.class_weight = <const double*> address(class_weight)
    p.sample_weight = lay_out(sample_weight, weight_kind, &weight_layout)
    p.hard_mass, p.uniform_mass = 1 - label_smoothing, label_smoothing / classes
    p.z_loss, p.divisor = z_loss, divisor
    p.ignore_index = ignore_index
    if targets_given:
        p.targets, p.target_kind = address(labels), label_kind
        p.target_itemsize = 8 if label_kind == F64 else 4 if label_kind == F32 else 2
        p.target_outer_stride, p.target_class_stride = target_outer_stride, target_class_stride
    else:
        p.labels = lay_out(labels, label_kind, &label_layout)
    cdef Tally total
    softmax_rows(&p, kind, num_threads, &total)
    return told(&total)


def elementwise(
    int function, x, int kind, Py_ssize_t outer, Py_ssize_t summed, Py_ssize_t inner,
    labels, int label_kind, int label_size, sample_weight, int weight_kind, pos_weight, Py_ssize_t period,
    double label_smoothing, double eps, grad, hess, bint streaming, double divisor, losses, hard,
    bint check_only, int num_threads,
):
    """Sigmoid cross-entropy (0), binary cross-entropy (1) or the sigmoid (2) of C-contiguous arrays.

    With `check_only` nothing is computed, and labels are kept in `hard` (elements.pxd) if that is given.
    Returns (sum of weighted losses, an element at or shortly before the first refused one or -1).
    """
    cdef Elements p
    cdef layout weight_layout
    memset(&p, 0, sizeof(p))
    p.function, p.kind = <Function> function, kind
    p.outer, p.summed, p.inner = outer, summed, inner
    p.x, p.labels, p.label_kind, p.label_size = address(x), address(labels), label_kind, label_size
    p.pos_weight, p.period = <const double*> address(pos_weight), period
    p.keep, p.share, p.eps = 1 - label_smoothing, label_smoothing / 2, eps
    p.grad, p.hess, p.losses = address(grad), address(hess), address(losses)
    p.hard = <unsigned char*> address(hard)
    p.streaming, p.divisor = streaming, divisor
    cdef Count total
    all_elements(
        &p, lay_out(sample_weight, weight_kind, &weight_layout), check_only, num_threads, &total
    )
    return total.loss, total.bad


def label_memory(Py_ssize_t elements):
    """Memory in which a check keeps labels; None if they are few."""
    return empty(hard_bytes(elements), "u1") if elements >= LABELS_KEPT_FROM else None


def activation(
    int output, x, int kind, Py_ssize_t outer, Py_ssize_t classes, Py_ssize_t inner,
    Py_ssize_t outer_stride, Py_ssize_t class_stride,
    out, Py_ssize_t out_outer_stride, Py_ssize_t out_class_stride, bint streaming, int num_threads,
):
    """softmax (1) or log_softmax (2) of all rows to `out`, or logsumexp (3), one number a row."""
    cdef Problem p
    cdef Py_ssize_t itemsize = 8 if kind == F64 else 4 if kind == F32 else 2
    memset(&p, 0, sizeof(p))
    p.output = <Output> output
    p.outer, p.classes, p.inner = outer, classes, inner
    p.logits = address(x)
    p.outer_stride, p.class_stride = outer_stride // itemsize, class_stride // itemsize
    if output == LOGSUMEXP:
        p.losses = address(out)
    else:
        p.grad = address(out)
        p.grad_outer_stride = out_outer_stride // itemsize
        p.grad_class_stride = out_class_stride // itemsize
    p.streaming, p.hard_mass, p.divisor = streaming, 1, 1
    cdef Tally total
    softmax_rows(&p, kind, num_threads, &total)


def count_labels(
    labels, int kind, Py_ssize_t classes, int64_t ignore_index, class_weight, sample_weight,
    int weight_kind, int num_threads,
):
    """What the labels and weights alone tell: the same tuple, its loss 0."""
    cdef Problem p
    cdef layout label_layout, weight_layout
    memset(&p, 0, sizeof(p))
    p.labels = lay_out(labels, kind, &label_layout)
    p.outer, p.classes, p.inner = label_layout.size, classes, 1
    p.ignore_index = ignore_index
    p.class_weight = <const double*> address(class_weight)
    p.sample_weight = lay_out(sample_weight, weight_kind, &weight_layout)
    p.hard_mass = 1
    cdef Tally total
    count_all(&p, num_threads, &total)
    return told(&total)


def weigh(numbers, int kind, bint add_up, int num_threads):
    """Whether all numbers are finite and not negative; their sum and how many are not 0, if asked for; and
    how many there are: of an array that was broadcast, the elements count once.
    """
    cdef layout given, a
    cdef Tally total
    memset(&given, 0, sizeof(given))
    lay_out(numbers, kind, &given)
    a = in_memory_order(given)
    weigh_all(&a, add_up, num_threads, &total)
    return total.bad_row < 0, total.weight, total.nonzero, a.size


def plain_softmax_cross_entropy(
    logits, labels, grad_out, bint return_grad, double label_smoothing, double z_loss, int64_t ignore_index,
    Py_ssize_t streaming_bytes, int num_threads,
):
    """The mean loss of rows along the last axis with a label each; with a gradient, (loss, gradient)."""
    cdef Plain x, y, g
    cdef layout label_layout
    cdef Problem p
    cdef Tally total
    if not lies_plainly(logits, ndarray, &x) or not lies_plainly(labels, ndarray, &y):
        return None
    if x.kind < F16 or y.kind >= U64 or y.ndim != x.ndim - 1 or not same_shape(&x, &y, y.ndim):
        return None
    memset(&p, 0, sizeof(p))
    p.outer, p.classes, p.inner = y.size, x.shape[x.ndim - 1], 1
    p.logits, p.outer_stride, p.class_stride = x.data, p.classes, 1
    p.labels = one_after_another(&y, &label_layout)
    p.ignore_index = ignore_index
    p.hard_mass, p.uniform_mass = 1 - label_smoothing, label_smoothing / p.classes
    p.z_loss, p.divisor = z_loss, 1
    if return_grad or grad_out is not None:
        if grad_out is not None and not (
            lies_plainly(grad_out, ndarray, &g) and can_be_written(&g, &x) and are_apart(&g, &y)
        ):
            return None
        count_all(&p, num_threads, &total)
        if total.bad_row >= 0:
            return None
        if grad_out is None:
            grad_out = empty_like(logits)
            lies_plainly(grad_out, ndarray, &g)
        p.grad, p.grad_outer_stride, p.grad_class_stride = g.data, p.classes, 1
        p.streaming = g.bytes > streaming_bytes and g.data != x.data
        p.divisor = total.weight
    softmax_rows(&p, x.kind, num_threads, &total)
    if total.bad_row >= 0:
        return None
    loss = total.loss / total.weight if total.weight != 0 else NAN
    return loss if p.grad == NULL else (loss, grad_out)


def plain_activation(int output, logits, out, Py_ssize_t streaming_bytes, int num_threads):
    """softmax (1) or log_softmax (2) along the last axis, to `out` or a new array."""
    cdef Plain x, o
    cdef Problem p
    cdef Tally total
    if not lies_plainly(logits, ndarray, &x) or x.kind < F16 or x.ndim == 0:
        return None
    if out is None:
        out = empty_like(logits)
    if not lies_plainly(out, ndarray, &o) or not can_be_written(&o, &x):
        return None
    memset(&p, 0, sizeof(p))
    p.output = <Output> output
    p.classes, p.inner = x.shape[x.ndim - 1], 1
    p.outer = x.size // p.classes
    p.logits, p.outer_stride, p.class_stride = x.data, p.classes, 1
    p.grad, p.grad_outer_stride, p.grad_class_stride = o.data, p.classes, 1
    p.streaming, p.hard_mass, p.divisor = o.bytes > streaming_bytes and o.data != x.data, 1, 1
    softmax_rows(&p, x.kind, num_threads, &total)
    return out


def plain_elementwise(
    int function, inputs, labels, out, bint return_out, double label_smoothing, double eps,
    Py_ssize_t streaming_bytes, int num_threads,
):
    """The mean loss of all elements, with a gradient (loss, gradient); of the sigmoid, its array."""
    cdef Plain x, y, g
    cdef Elements p
    cdef Count total
    if not lies_plainly(inputs, ndarray, &x) or x.kind < F16:
        return None
    memset(&p, 0, sizeof(p))
    p.function, p.kind = <Function> function, x.kind
    p.outer, p.summed, p.inner = 1, 1, x.size
    p.x, p.period = x.data, 1
    p.keep, p.share, p.eps, p.divisor = 1 - label_smoothing, label_smoothing / 2, eps, x.size
    if p.function != SIGMOID:
        if not lies_plainly(labels, ndarray, &y) or y.ndim != x.ndim or not same_shape(&x, &y, x.ndim):
            return None
        p.labels, p.label_kind, p.label_size = y.data, y.kind, <int> y.itemsize
    if out is not None:
        if not lies_plainly(out, ndarray, &g) or not can_be_written(&g, &x):
            return None
        if p.function != SIGMOID:
            if not are_apart(&g, &y):
                return None
            hard = label_memory(x.size)
            p.hard = <unsigned char*> address(hard)
            all_elements(&p, NULL, True, num_threads, &total)
            if total.bad >= 0:
                return None
    elif return_out:
        out = empty_like(inputs)
        lies_plainly(out, ndarray, &g)
    if out is not None:
        p.grad, p.streaming = g.data, g.bytes > streaming_bytes and g.data != x.data
    all_elements(&p, NULL, False, num_threads, &total)
    if total.bad >= 0:
        return None
    if p.function == SIGMOID:
        return out
    loss = total.loss / x.size
    return loss if out is None else (loss, out)


def read_sweep(const unsigned char[::1] source, int num_threads):
    """Reads every byte, as fast as this machine can: the limit of a loss. Returns a checksum."""
    cdef Py_ssize_t n = source.shape[0], part = 1 << 19, parts = (n + part - 1) // part, i
    cdef const char* p = <const char*> &source[0] if n else NULL
    cdef int64_t total = 0
    with nogil:
        for i in prange(parts, schedule="dynamic", num_threads=num_threads):
            total += sweep_bytes(p + i * part, min(part, n - i * part))
    return total


def copy_sweep(const unsigned char[::1] source, unsigned char[::1] destination, int num_threads):
    """Reads every byte of the source and writes it past the caches: the limit of a gradient."""
    cdef Py_ssize_t n = source.shape[0], part = 1 << 19, parts = (n + part - 1) // part, i
    cdef const char* p = <const char*> &source[0] if n else NULL
    cdef char* q = <char*> &destination[0] if n else NULL
    if destination.shape[0] != n:
        raise ValueError(f"destination has {destination.shape[0]} bytes, source {n}")
    with nogil:
        for i in prange(parts, schedule="dynamic", num_threads=num_threads):
            copy_bytes(p + i * part, q + i * part, min(part, n - i * part))


def vector_function(int function, x, out, int kind):
    """Applies exp, exp times 2^24, log, log1p or brief_log (0 to 4) to contiguous numbers.

    A door for tests/kernels/test_vector_functions.py, which holds these functions to their ulp.
    """
    cdef VectorFunction f = <VectorFunction> function
    if kind == F64:
        apply_function[double](f, <const double*> address(x), x.size, <double*> address(out))
    else:
        apply_function[float](f, <const float*> address(x), x.size, <float*> address(out))
