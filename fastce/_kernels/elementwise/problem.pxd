"""The elements of a call, a run of them, and the scratch that it is computed in.

Labels that are checked before anything is written would be read from memory twice. Of large arrays the
check keeps them, as bits where they are 0 or 1, and for each RUN of them whether they are.
"""

from ..elementwise.logistic cimport all_hard
from ..memory.memory cimport F32, F64, numbers, pack_labels, unpack_labels
from ..simd.simd cimport real, vec

cdef enum:
    RUN = 1024  # elements
    PARTS = 7  # of a thread's scratch
    RUN_SPARE = 8  # vectors that sums may read beyond the run
    # Vectors, an even number, that are taken through one step after another: in a chain of all steps each
    # would wait for the one before, and the processor looks ahead for no more than a few vectors.
    CHUNK = 16


cdef enum Outcome:
    DONE, TOO_SMALL, UNUSUAL, SOFT


cdef enum Function:
    LOGISTIC, BINARY, SIGMOID


cdef struct Elements:
    Function function
    Py_ssize_t outer, summed, inner
    const char* x
    const char* labels
    int kind, label_kind, label_size
    const double* sample_weight  # one per item from the first weighted one on, or NULL
    Py_ssize_t first_weighted
    const double* pos_weight  # a period of them and RUN more, or NULL
    Py_ssize_t period
    double keep, share  # 1 - label smoothing, half of it
    double eps
    char* grad  # or where a sigmoid goes; or NULL
    char* hess  # second derivatives, or NULL
    bint streaming
    double divisor
    char* losses  # one per item, or NULL
    unsigned char* hard  # what a check before the call found out (keep_labels), or NULL


cdef struct Run:
    # The elements at … at + n - 1; of a thread's scratch the parts, each of vectors.
    Py_ssize_t at, n
    const double* weight  # one for each of them, or NULL
    bint ordinary  # whether it is worth a trial (hard.pxd)
    bint apart  # whether losses are wanted one by one
    bint streams  # whether the gradient goes past the caches at once: whole lines
    bint kept  # whether the labels in scratch are kept ones
    bint good  # whether labels, and probabilities, are within [0, 1]
    double loss  # the weighted sum
    char* losses  # weighted, if they are wanted apart
    char* copy  # of inputs that will be written over
    char* x
    char* labels
    char* near
    char* far
    char* weights


cdef inline Py_ssize_t run_bytes() noexcept nogil:
    return PARTS * (RUN * sizeof(double) + RUN_SPARE * 64)


cdef inline void take_scratch(const Elements* p, char* scratch, Run* r) noexcept nogil:
    cdef Py_ssize_t part = run_bytes() // PARTS
    r.losses, r.x, r.labels, r.near = scratch, scratch + part, scratch + 2 * part, scratch + 3 * part
    r.far, r.weights, r.copy = scratch + 4 * part, scratch + 5 * part, scratch + 6 * part
    r.weight = NULL
    r.streams = False
    r.ordinary = p.sample_weight == NULL and p.pos_weight == NULL and p.share == 0 and p.hess == NULL


cdef inline Py_ssize_t hard_bytes(Py_ssize_t elements) noexcept nogil:
    return elements // 8 + 8 + elements // RUN + 1


cdef inline unsigned char* judgements(const Elements* p) noexcept nogil:
    """For each RUN of labels whether they are kept."""
    return p.hard + p.outer * p.summed * p.inner // 8 + 8


cdef inline bint keep_labels(const Elements* p, Py_ssize_t at, Py_ssize_t n, char* scratch) noexcept nogil:
    """Whether the labels of one RUN are 0 or 1; then they are kept."""
    cdef const char* labels = p.labels + at * p.label_size
    if p.label_kind == F64 and not all_hard(<const double*> labels, n):
        judgements(p)[at // RUN] = False
        return False
    if p.label_kind != F32:
        numbers(labels, p.label_kind, n, <vec[float]*> scratch)
        labels = scratch
    judgements(p)[at // RUN] = pack_labels(<const float*> labels, n, p.hard + at // 8)
    return judgements(p)[at // RUN]


cdef inline bint kept_labels(
    const Elements* p, Py_ssize_t at, Py_ssize_t n, vec[real] one, vec[real]* labels
) noexcept nogil:
    """Whether these labels were kept; then they are told, as 0 or what stands for 1."""
    cdef Py_ssize_t i
    if p.hard == NULL:
        return False
    for i in range(at // RUN, (at + n - 1) // RUN + 1):
        if not judgements(p)[i]:
            return False
    unpack_labels(p.hard, at, n, one, labels)
    return True
