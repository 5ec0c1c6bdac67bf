"""A call of the losses of independent binary problems: what it was given, and how it is carried out."""

from .arguments cimport (
    CHECKED, EXTREME, gradient_divisor, is_extreme, NONE, read_axis, Reducing, REFUSED, result_of, SCALED,
    SCATTERED, Sums, SUMS_ONLY,
)
from .elementwise.block cimport all_elements
from .elementwise.label_bits cimport hard_bytes
from .elementwise.problem cimport Elements, LOGISTIC
from .inputs cimport Factors, read_output, Weights
from .memory.memory cimport F16, F64
from .memory.views cimport (
    address_of, are_apart, MOST_AXES, new_array, new_bytes, new_like, new_losses, same_shape, View, view_of,
    view_of_number,
)
from .parallel.totals cimport empty_totals, Totals

cdef enum:
    LABELS_KEPT_FROM = 262144  # fewer are still in a cache when they are read again


cdef struct ElementsCall:
    Elements p
    View x, labels, out
    Weights weights
    Factors ratio
    Reducing how
    Sums sums
    Py_ssize_t axes
    Py_ssize_t[MOST_AXES] shape  # of the items
    bint wants_grad, wants_hess
    int threads, known


cdef inline bint read_items(object inputs, object axis, ElementsCall* c) except -1:
    """What losses are taken of: every element, or sums over an axis."""
    cdef Py_ssize_t k, i
    if not view_of(inputs, &c.x) or not F16 <= c.x.kind <= F64:
        return False
    c.p.x, c.p.kind, c.p.outer, c.p.summed, c.p.inner = c.x.data, c.x.kind, 1, 1, 1
    c.axes = c.x.ndim
    if axis is None:
        c.p.inner = c.x.size
        for i in range(c.axes):
            c.shape[i] = c.x.shape[i]
    elif read_axis(axis, c.x.ndim, &k):
        c.axes -= 1
        c.p.summed = c.x.shape[k]
        for i in range(c.axes):
            c.shape[i] = c.x.shape[i + (i >= k)]
            if i < k:
                c.p.outer *= c.shape[i]
            else:
                c.p.inner *= c.shape[i]
    else:
        return False
    c.sums.items = c.sums.valid = c.p.outer * c.p.inner
    return True


cdef inline bint read_element_labels(object labels, ElementsCall* c) except -1:
    if not view_of(labels, &c.labels) or c.labels.kind > F64:
        return False
    c.p.labels, c.p.label_kind, c.p.label_size = c.labels.data, c.labels.kind, <int> c.labels.itemsize
    return same_shape(&c.x, &c.labels)


cdef inline bint read_pos_weight(object pos_weight, ElementsCall* c) except -1:
    """A number, or one for each class along the last axis; of a block, one for each element."""
    cdef View* v = &c.ratio.view
    c.ratio.given = pos_weight is not None
    if not c.ratio.given or view_of_number(pos_weight, v):
        return True
    if not view_of(pos_weight, v):
        return False
    if v.ndim == 1 and c.x.ndim:
        return v.shape[0] == c.x.shape[c.x.ndim - 1]
    return v.ndim == 0 or c.how.by_blocks and same_shape(v, &c.x)


cdef inline bint read_element_output(object out, ElementsCall* c) except -1:
    if out is None:
        return True
    if not read_output(out, &c.x, c.known & CHECKED, &c.out):
        return False
    return c.known & CHECKED or (
        are_apart(&c.out, &c.labels)
        and (not c.weights.given or are_apart(&c.out, &c.weights.view))
        and (not c.ratio.given or are_apart(&c.out, &c.ratio.view))
    )


cdef inline object check_elements(ElementsCall* c, object numpy):
    """Whether all labels are accepted; returns memory that keeps those of many elements."""
    cdef Totals total
    kept = True
    if c.x.size >= LABELS_KEPT_FROM:
        kept = new_bytes(numpy, hard_bytes(c.x.size))
        c.p.hard = <unsigned char*> address_of(kept)
    all_elements(&c.p, NULL, True, c.threads, &total)
    return kept if total.bad_row < 0 else False


cdef inline object compute_elements(
    ElementsCall* c, object numpy, object inputs, object grad_out, Py_ssize_t streaming_bytes
):
    """The result, or why there is none; what is written of the caller's is written last."""
    cdef bint writes = c.wants_grad or c.wants_hess or grad_out is not None
    cdef Totals total = empty_totals()
    c.sums.weight, c.sums.nonzero = c.weights.total, c.weights.nonzero
    if c.known & SUMS_ONLY:
        return c.sums.weight, c.sums.valid, c.sums.nonzero
    if not c.known & SCALED and is_extreme(&c.how, c.sums.weight, 0, c.weights.given):
        return EXTREME
    if not (c.x.contiguous and c.labels.contiguous and (grad_out is None or c.out.contiguous)):
        return SCATTERED
    c.p.divisor = gradient_divisor(&c.how, &c.sums) if writes else 1
    grad, losses, hess, kept = grad_out, None, None, None
    if c.x.size and grad is not None and not (c.labels.boolean and c.p.function == LOGISTIC):
        kept = check_elements(c, numpy)
        if kept is False:
            return REFUSED
    if writes:
        if grad is None:
            grad = new_array(numpy, c.x.shape, c.x.ndim, inputs.dtype)
            c.out.data = address_of(grad)
        c.p.grad = c.out.data
        c.p.streaming = c.x.size * c.x.itemsize > streaming_bytes and c.out.data != c.x.data
    if c.wants_hess:
        hess = new_like(numpy, &c.x, grad)
        c.p.hess = address_of(hess)
    if c.how.reduction == NONE:
        losses = new_losses(numpy, c.shape, c.axes, &c.x, inputs)
        c.p.losses = address_of(losses)
    if c.x.size:
        all_elements(&c.p, &c.weights.spread if c.weights.given else NULL, False, c.threads, &total)
    elif losses is not None:
        losses.fill(0)
    if total.bad_row >= 0:
        return REFUSED
    c.sums.loss = total.loss
    if not c.wants_grad and grad_out is None:
        grad = None
    return result_of(&c.how, &c.sums, losses, grad, hess)
