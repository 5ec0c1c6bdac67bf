"""One call for the softmax losses: what it was given, and the state of the rows at hand.

Design. Every option is a coefficient of one formula. Row i has a target vector t (never built for
integer labels): `kappa` at its label and `beta_c` at every class, and

    loss_i = kappa (lse - x_y) + sum_c beta_c (lse - x_c) + z_loss lse^2
    grad_c = alpha p_c - kappa [c = y] - beta_c,      alpha = kappa + sum_c beta_c + 2 z_loss lse

times the row's weight. Integer labels: kappa = (1 - smoothing) w_y, beta = smoothing / C w.
Probability labels q: kappa = 0, beta_c = w_c ((1 - smoothing) q_c + smoothing / C).
The kernels fill a Batch with each row's sums; ends.pxd turns these into losses and coefficients.
"""

from libc.stdint cimport int64_t

from .vector cimport integers

cdef enum:
    BATCH = 64  # rows that are finished together


cdef struct Problem:
    # Logits [outer, classes, inner], strides in elements; the stride of inner is 1.
    Py_ssize_t outer, classes, inner
    const char* logits
    Py_ssize_t outer_stride, class_stride
    char* grad  # or NULL
    Py_ssize_t grad_outer_stride, grad_class_stride
    bint streaming  # write the gradient past the caches
    char* losses  # one per row, or NULL
    # Integer labels, one per row, `label_stride` bytes apart …
    const char* labels
    int label_kind
    Py_ssize_t label_stride
    int64_t ignore_index
    # … or probability labels, strides in bytes.
    const char* targets
    int target_kind
    Py_ssize_t target_itemsize
    Py_ssize_t target_outer_stride, target_class_stride
    const double* class_weight  # one per class, or NULL
    const double* sample_weight  # one per row, or NULL
    double keep  # 1 - label smoothing
    double share  # label smoothing / classes
    double weight_sum  # the sum of class_weight, or classes
    double z_loss
    double scale  # what the gradient is multiplied by
    const char* pattern  # to which row each lane of a tile belongs (shuffle.h)


cdef struct Tally:
    # What a block of rows adds up to.
    double loss, weight
    Py_ssize_t valid, nonzero
    Py_ssize_t bad_row  # the first row whose label is no class, or -1


cdef struct Batch:
    Py_ssize_t first, rows
    int64_t[BATCH] label  # -1 with probability labels
    double[BATCH] weight  # 0: the row is skipped
    double[BATCH] kappa
    double[BATCH] beta_sum
    double[BATCH] dot  # sum_c beta_c x_c
    double[BATCH] anchor  # what was subtracted from the logits before exp
    double[BATCH] rest  # sum of exp(x_c - anchor) over the classes but the label
    double[BATCH] own  # exp(x_y - anchor)
    double[BATCH] own_logit  # x_y - anchor
    double[BATCH] factor  # grad_c = factor exp(x_c - anchor) - weight scale beta_c …
    double[BATCH] at_label  # … and at the label
    double[BATCH] loss


cdef inline bint is_smoothed(const Problem* p) noexcept nogil:
    """Whether beta is anything but zero."""
    return p.share != 0 or p.targets != NULL


cdef inline void no_row(Batch* b, Py_ssize_t i) noexcept nogil:
    """A place of the batch that counts for nothing."""
    b.label[i] = 0 if b.label[i] >= 0 else b.label[i]
    b.weight[i] = 0
    b.kappa[i] = 0


cdef inline void count_row(const Problem* p, Batch* b, Py_ssize_t i, Tally* tally) noexcept nogil:
    """Reads one row's label into its coefficients."""
    cdef int64_t y = b.label[i]
    cdef double class_weight = 1, sample_weight = 1
    if p.targets == NULL:
        if y == p.ignore_index or not 0 <= y < p.classes:
            if y != p.ignore_index and tally.bad_row < 0:
                tally.bad_row = b.first + i
            b.label[i] = 0
            no_row(b, i)
            return
        if p.class_weight != NULL:
            class_weight = p.class_weight[y]
    if p.sample_weight != NULL:
        sample_weight = p.sample_weight[b.first + i]
    tally.valid += 1
    tally.weight += sample_weight * class_weight
    tally.nonzero += sample_weight * class_weight != 0
    b.weight[i] = sample_weight
    b.kappa[i] = p.keep * class_weight if p.targets == NULL else 0
    b.beta_sum[i] = p.share * p.weight_sum if p.targets == NULL else 0
    if p.targets == NULL and b.kappa[i] == 0 and b.beta_sum[i] == 0 and p.z_loss == 0:
        b.weight[i] = 0


cdef inline void count_rows(const Problem* p, Batch* b, Tally* tally) noexcept nogil:
    """Begins a batch: reads `rows` labels from row `first` on; fills the places left over."""
    cdef Py_ssize_t i
    if p.targets == NULL:
        integers(p.labels + b.first * p.label_stride, p.label_kind, p.label_stride, b.rows, b.label)
    else:
        for i in range(b.rows):
            b.label[i] = -1
    for i in range(b.rows):
        count_row(p, b, i, tally)
    for i in range(b.rows, BATCH):
        b.label[i] = -1
        no_row(b, i)
