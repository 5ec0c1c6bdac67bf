"""One call of the softmax losses and activations: what it was given.

Design. Every option is a coefficient of one formula. Row i has a vector of targets t (never built for integer
labels without class weights and smoothing), and

    loss_i = sum_c t_c (lse - x_c) + z_loss lse^2
    grad_c = (sum_k t_k + 2 z_loss lse) p_c - t_c

times the row's weight. Integer labels: t_c = hard_mass w_y [c = y] + uniform_mass w_c, where hard_mass is 1 -
smoothing and uniform_mass is smoothing / C. Probability labels q: t_c = w_c (hard_mass q_c + uniform_mass).
Each row has a reference class r, whose exponential is kept out of the sum of the others (row_group.pxd)."""

from libc.stdint cimport int64_t

from ..memory.memory cimport layout
from ..softmax.row_loss cimport CROSS_ENTROPY


cdef enum Output:
    GRADIENT, SOFTMAX, LOG_SOFTMAX, LOGSUMEXP


cdef struct Problem:
    Output output  # what goes to `grad`; of logsumexp, what goes to `losses`
    # Logits [outer, classes, inner], strides in elements; the stride of inner is 1.
    Py_ssize_t outer, classes, inner
    const char* logits
    Py_ssize_t outer_stride, class_stride
    char* grad  # or NULL
    Py_ssize_t grad_outer_stride, grad_class_stride
    char* hess  # the diagonal of the Hessian, laid out like grad; or NULL
    bint streaming  # write the gradient past the caches
    char* losses  # one per row, or NULL
    const layout* labels  # integers, one per row …
    int64_t ignore_index
    # … or probability labels, strides in bytes.
    const char* targets
    int target_kind
    Py_ssize_t target_itemsize
    Py_ssize_t target_outer_stride, target_class_stride
    const double* class_weight  # one per class, or NULL
    const layout* sample_weight  # one per row, or NULL
    double hard_mass  # 1 - label smoothing
    double uniform_mass  # label smoothing / classes
    double z_loss
    int row_loss  # which function of the label's log-probability (row_loss.pxd), and its number
    double loss_parameter
    double divisor  # of the gradient
    double grad_scale  # 1 / divisor
    Py_ssize_t itemsize  # of logits, gradient and Hessian
    bint double_lanes  # lanes are double: what is rounded to double first shows
    const char* pattern  # to which row each lane of a tile belongs (tile/spread.h)


cdef inline bint targets_vary(const Problem* p) noexcept nogil:
    """Whether the targets of classes other than the label differ, or are summed as if they did.

    With double lanes, uniform smoothing needs the distances from the row's maximum for its digits.
    """
    return p.targets != NULL or (p.uniform_mass != 0 and (p.class_weight != NULL or p.double_lanes))


cdef inline bint is_smoothed(const Problem* p) noexcept nogil:
    """Whether classes other than the label have targets."""
    return p.uniform_mass != 0 or p.targets != NULL


cdef inline bint needs_maximum(const Problem* p) noexcept nogil:
    """Whether the class of the row's largest logit is the reference, not the label."""
    return p.output == LOG_SOFTMAX or p.output == LOGSUMEXP or targets_vary(p)


cdef inline bint has_label_alone(const Problem* p) noexcept nogil:
    """Whether a row's loss depends on nothing but its label and weights."""
    return p.output == GRADIENT and not is_smoothed(p)


cdef inline bint has_default_options(const Problem* p) noexcept nogil:
    """Whether a row's loss is lse - x_y and nothing else, and only their sum is asked for."""
    return (
        has_label_alone(p) and p.row_loss == CROSS_ENTROPY and p.z_loss == 0 and p.class_weight == NULL
        and p.sample_weight == NULL and p.losses == NULL and p.hess == NULL and not p.double_lanes
    )
