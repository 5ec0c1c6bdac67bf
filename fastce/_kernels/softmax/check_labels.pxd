"""Labels and weights of a group of rows: read, checked, and what they make of the rows' targets."""

from ..memory.memory cimport are_weights, find_doubles, integers_at
from ..parallel.totals cimport add_exactly, Totals
from ..softmax.problem cimport GRADIENT, is_smoothed, Problem, targets_vary
from ..softmax.row_group cimport GROUP, RowGroup
from ..softmax.epilogue_steps cimport all_classes, weigh, weighed
from ..softmax.row_loss cimport CROSS_ENTROPY


cdef inline void check_labels(const Problem* p, RowGroup* g, Totals* totals) noexcept nogil:
    """Weight 1 for rows with a class, 0 for ignored ones; remembers the first that is neither."""
    cdef Py_ssize_t i, bad = 0, valid = 0
    cdef bint ignored, known
    if all_classes(g.label, g.rows, p.classes, p.ignore_index):
        totals.valid += g.rows
        g.skipped = 0
        for i in range(g.unweighted, g.rows):
            g.weight[i] = 1
            g.label_target[i] = p.hard_mass
        g.unweighted = max(g.unweighted, g.rows)
        return
    g.unweighted = 0
    for i in range(g.rows):
        known = (g.label[i] >= 0) & (g.label[i] < p.classes)
        ignored = g.label[i] == p.ignore_index
        bad += not (known or ignored)
        known = known & (not ignored)
        valid += known
        g.weight[i] = known
        g.label_target[i] = p.hard_mass if known else 0
        g.label[i] = g.label[i] if known else 0
    totals.valid += valid
    g.skipped = g.rows - valid
    if bad and totals.bad_row < 0:
        totals.bad_row = g.first


cdef inline void weigh_rows(const Problem* p, RowGroup* g, Totals* totals) noexcept nogil:
    """Multiplies by class weights and sample weights, where rows have a class."""
    cdef double[GROUP] class_weights, sample_weights
    cdef const double* by_class = NULL
    cdef const double* by_sample = NULL
    cdef bint drops = p.uniform_mass == 0 and p.z_loss == 0  # all terms of a row may be 0
    cdef double rounding
    cdef weighed all
    cdef Py_ssize_t i
    g.unweighted = 0
    if p.class_weight != NULL and p.targets == NULL:
        for i in range(g.rows):
            class_weights[i] = p.class_weight[g.label[i]]
        by_class = class_weights
    if p.sample_weight != NULL:
        by_sample = find_doubles(p.sample_weight, g.first, g.rows, sample_weights)
    all = weigh(by_class, by_sample, drops, g.rows, g.weight, g.label_target)
    add_exactly(&totals.weight, &totals.weight_lost, all.sum.split(&rounding))
    totals.weight_lost += rounding
    totals.nonzero += all.nonzero
    g.skipped = all.skipped


cdef inline void check_targets(const Problem* p, RowGroup* g, Totals* totals) noexcept nogil:
    """Remembers the first row that may have a target that is negative or not finite."""
    cdef Py_ssize_t outer = g.first // p.inner, inner = g.first % p.inner, n = p.classes, i
    cdef const char* targets = p.targets + outer * p.target_outer_stride + inner * p.target_itemsize
    cdef Py_ssize_t runs = g.rows, step = p.target_outer_stride
    if p.inner > 1:  # a group is within one of outer
        runs, step, n = p.classes, p.target_class_stride, g.rows
    for i in range(runs):
        if totals.bad_row < 0 and not are_weights(targets + i * step, p.target_kind, n):
            totals.bad_row = g.first


cdef inline void set_targets(const Problem* p, RowGroup* g) noexcept nogil:
    """The targets of the label and of all others, where they do not vary."""
    cdef Py_ssize_t i
    cdef double others = p.uniform_mass * (p.classes - 1)
    if is_smoothed(p) or p.row_loss != CROSS_ENTROPY:  # the targets are not what the next group begins with
        g.unweighted = 0
    if targets_vary(p):
        for i in range(g.rows):
            g.given_label[i] = g.label[i]
            g.given_target[i] = g.label_target[i] + p.uniform_mass * (
                p.class_weight[g.label[i]] if p.class_weight != NULL and g.label[i] >= 0 else 1
            )
    elif p.uniform_mass != 0:
        for i in range(g.rows):
            g.label_target[i] += p.uniform_mass
            g.other_targets[i] = others


cdef inline void read_rows(const Problem* p, RowGroup* g, Totals* totals) noexcept nogil:
    """Begins a group: reads `rows` labels and weights from row `first` on; empties the places left over."""
    cdef Py_ssize_t i
    if p.output == GRADIENT and p.targets == NULL:
        integers_at(p.labels, g.first, g.rows, g.label)
        check_labels(p, g, totals)
    else:
        if p.targets != NULL:
            check_targets(p, g, totals)
        totals.valid += g.rows
        g.skipped = 0
        for i in range(g.rows):
            g.label[i] = -1
            g.weight[i] = 1
            g.label_target[i] = 0
            g.other_targets[i] = 1  # softmax is the gradient of logsumexp: scale 1, no target
    if p.class_weight != NULL or p.sample_weight != NULL:
        weigh_rows(p, g, totals)
    if p.output == GRADIENT:
        set_targets(p, g)
    for i in range(g.rows, g.padded):
        g.label[i] = 0 if p.labels != NULL else -1
        g.weight[i] = g.label_target[i] = 0
    g.padded = g.rows
    g.unweighted = min(g.unweighted, g.rows)
