"""A call of the softmax losses: what it was given, and how it is carried out."""

from libc.stdint cimport int64_t, INT64_MAX

from .arguments cimport (
    EXTREME, gradient_divisor, is_extreme, CHECKED, needs_sums, NONE, Reducing, REFUSED, result_of, SCALED,
    SCATTERED, Sums, SUMS_ONLY,
)
from .inputs cimport Factors, FEW, read_output, Rows, Weights
from .memory.memory cimport F64, find_integers, in_memory_order, layout, U64
from .memory.views cimport (
    address_of, are_apart, lay_out, new_like, new_losses, same_shape, View, view_of, Walk, walk_like,
    without_axis,
)
from .parallel.totals cimport empty_totals, Totals
from .parallel.weights cimport sum_weights
from .softmax.block cimport count_all, softmax_rows
from .softmax.epilogue_steps cimport all_classes
from .softmax.problem cimport Problem
from .softmax.row_loss cimport CROSS_ENTROPY


cdef struct SoftmaxCall:
    Problem p
    Rows rows
    View labels, out
    layout label_layout
    Weights weights
    Factors by_class
    Reducing how
    Sums sums
    bint wants_grad, wants_hess
    int threads, known


cdef inline bint read_labels(object labels, SoftmaxCall* c) except -1:
    """One class for each row, or one probability for each class of each row."""
    if not view_of(labels, &c.labels) or c.labels.boolean or c.labels.kind > F64:
        return False
    if c.labels.kind > U64:
        if c.p.row_loss != CROSS_ENTROPY:
            return False
        c.p.targets, c.p.target_kind, c.p.target_itemsize = c.labels.data, c.labels.kind, c.labels.itemsize
        return same_shape(&c.rows.x, &c.labels)
    if c.labels.kind == U64 and c.p.ignore_index == INT64_MAX and not c.known & CHECKED:
        return False  # kernels take all that are larger for the one to ignore
    c.p.labels = lay_out(&c.labels, &c.label_layout)
    return without_axis(&c.rows.x, c.rows.axis, &c.labels)


cdef inline bint read_class_weight(object class_weight, SoftmaxCall* c) except -1:
    c.by_class.given = class_weight is not None
    if not c.by_class.given:
        return True
    return (
        view_of(class_weight, &c.by_class.view) and c.by_class.view.ndim == 1
        and c.by_class.view.size == c.rows.x.shape[c.rows.axis]
    )


cdef inline bint read_grad_out(object grad_out, SoftmaxCall* c) except -1:
    if grad_out is None:
        return True
    if not read_output(grad_out, &c.rows.x, c.known & CHECKED, &c.out):
        return False
    return c.known & CHECKED or (
        are_apart(&c.out, &c.labels)
        and (not c.weights.given or are_apart(&c.out, &c.weights.view))
        and (not c.by_class.given or are_apart(&c.out, &c.by_class.view))
    )


cdef inline void place_rows(const Rows* r, Problem* p) noexcept:
    """Logits as a kernel walks them; of those that it cannot walk their number alone."""
    p.logits, p.classes = r.x.data, r.x.shape[r.axis]
    p.outer, p.inner = r.count, 1
    if r.can_walk:
        p.outer, p.inner = r.walk.outer, r.walk.inner
        p.outer_stride = r.walk.outer_stride // r.x.itemsize
        p.class_stride = r.walk.class_stride // r.x.itemsize


cdef inline bint place_gradient(
    const View* out, const Rows* r, Py_ssize_t streaming_bytes, Problem* p
) noexcept:
    """An output of the logits' shape; whether it can be walked like them."""
    cdef Walk w
    if not walk_like(out, r.axis, &r.walk, &w):
        return False
    p.grad = out.data
    p.grad_outer_stride, p.grad_class_stride = w.outer_stride // out.itemsize, w.class_stride // out.itemsize
    p.streaming = out.size * out.itemsize > streaming_bytes and out.data != r.x.data
    return True


cdef inline bint place_new_gradient(
    object grad, const Rows* r, Py_ssize_t streaming_bytes, Problem* p
) except -1:
    cdef View v
    if not r.x.contiguous:
        return view_of(grad, &v) and place_gradient(&v, r, streaming_bytes, p)
    p.grad = address_of(grad)
    p.grad_outer_stride, p.grad_class_stride = p.outer_stride, p.class_stride
    p.streaming = r.x.size * r.x.itemsize > streaming_bytes
    return True


cdef inline bint place_hessian(object hess, SoftmaxCall* c) except -1:
    """An output like the gradient; whether it lies like that."""
    cdef View v
    cdef Walk w
    if not view_of(hess, &v):
        return False
    c.p.hess = v.data
    return walk_like(&v, c.rows.axis, &c.rows.walk, &w) and (
        w.outer_stride == c.p.grad_outer_stride * v.itemsize
        and w.class_stride == c.p.grad_class_stride * v.itemsize
    )


cdef inline bint place_targets(SoftmaxCall* c) noexcept:
    """Probabilities; whether they can be walked like the logits."""
    cdef Walk w
    if not walk_like(&c.labels, c.rows.axis, &c.rows.walk, &w):
        return False
    c.p.target_outer_stride, c.p.target_class_stride = w.outer_stride, w.class_stride
    return True


cdef inline void take_sums(const Totals* total, Sums* sums) noexcept:
    sums.loss, sums.weight, sums.valid, sums.nonzero = total.loss, total.weight, total.valid, total.nonzero


cdef inline bint count_few(const Problem* p, Py_ssize_t rows, Sums* sums) noexcept:
    """Whether a few rows have a class each and no weights; their sums, for which a team costs too much."""
    cdef int64_t[FEW] read
    if rows > FEW or p.class_weight != NULL or p.sample_weight != NULL:
        return False
    if not all_classes(find_integers(p.labels, 0, rows, read), rows, p.classes, p.ignore_index):
        return False
    sums.weight, sums.valid, sums.nonzero = rows, rows, rows
    return True


cdef inline bint count_labels(SoftmaxCall* c) except -1:
    """What labels and weights alone tell: whether all labels are accepted, and the sums but for the loss."""
    cdef layout all_of_it, once
    cdef Totals total
    if c.p.targets == NULL:
        if count_few(&c.p, c.rows.count, &c.sums):
            return True
        count_all(&c.p, c.threads, &total)
        take_sums(&total, &c.sums)
    else:
        lay_out(&c.labels, &all_of_it)
        once = in_memory_order(all_of_it)
        sum_weights(&once, False, c.threads, &total)
        c.sums.weight, c.sums.valid, c.sums.nonzero = c.weights.total, c.rows.count, c.weights.nonzero
    return total.bad_row < 0


cdef inline bint needs_scale(const SoftmaxCall* c) noexcept:
    """Whether the mean's weights are too large or too small as they are."""
    cdef int factors = c.weights.given + (c.by_class.given and c.p.targets == NULL)
    if c.known & SCALED:
        return False
    return is_extreme(&c.how, c.sums.weight, c.by_class.largest if c.by_class.given else 0, factors)


cdef inline object compute_softmax(
    SoftmaxCall* c, object numpy, object logits, object grad_out, Py_ssize_t streaming_bytes
):
    """The result, or why there is none; what is written of the caller's is written last."""
    cdef bint writes = c.wants_grad or c.wants_hess or grad_out is not None
    cdef Totals total = empty_totals()
    cdef bint scattered = not c.rows.can_walk or c.p.targets != NULL and not place_targets(c)
    if grad_out is not None and not scattered:
        scattered = not place_gradient(&c.out, &c.rows, streaming_bytes, &c.p)
    if c.known & SUMS_ONLY or grad_out is not None or writes and needs_sums(&c.how) or scattered:
        if not count_labels(c):
            return REFUSED
        if c.known & SUMS_ONLY:
            return c.sums.weight, c.sums.valid, c.sums.nonzero
        if needs_scale(c):
            return EXTREME
    if scattered:
        return SCATTERED
    c.p.divisor = gradient_divisor(&c.how, &c.sums) if writes else 1
    grad, losses, hess = grad_out, None, None
    if writes and grad is None:
        grad = new_like(numpy, &c.rows.x, logits)
        if not place_new_gradient(grad, &c.rows, streaming_bytes, &c.p):
            return SCATTERED
    if c.wants_hess:
        hess = new_like(numpy, &c.rows.x, grad)
        if not place_hessian(hess, c):
            return SCATTERED
    if c.how.reduction == NONE:
        losses = new_losses(numpy, c.rows.shape, c.rows.x.ndim - 1, &c.rows.x, logits)
        c.p.losses = address_of(losses)
    if c.rows.x.size:
        softmax_rows(&c.p, c.rows.x.kind, c.threads, &total)
    if total.bad_row >= 0:
        return REFUSED
    take_sums(&total, &c.sums)
    if needs_scale(c):
        return EXTREME
    if not c.wants_grad and grad_out is None:
        grad = None
    return result_of(&c.how, &c.sums, losses, grad, hess)
