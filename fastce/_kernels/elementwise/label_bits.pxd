"""Labels that a check keeps for the computation that follows.

Labels that are checked before anything is written would be read from memory twice. Of large arrays the
check keeps them, as bits where they are 0 or 1, and for each chunk whether they are.
"""

from ..elementwise.logistic cimport all_hard
from ..elementwise.problem cimport CHUNK, Elements
from ..memory.memory cimport F32, F64, numbers, pack_labels, unpack_labels
from ..simd.simd cimport real, vec


cdef inline Py_ssize_t hard_bytes(Py_ssize_t elements) noexcept nogil:
    return elements // 8 + 8 + elements // CHUNK + 1


cdef inline unsigned char* are_kept(const Elements* p) noexcept nogil:
    """For each chunk whether its labels are kept."""
    return p.hard + p.outer * p.summed * p.inner // 8 + 8


cdef inline bint keep_labels(const Elements* p, Py_ssize_t at, Py_ssize_t n, char* scratch) noexcept nogil:
    """Whether the labels of one chunk are 0 or 1; then they are kept."""
    cdef const char* labels = p.labels + at * p.label_size
    if p.label_kind == F64 and not all_hard(<const double*> labels, n):
        are_kept(p)[at // CHUNK] = False
        return False
    if p.label_kind != F32:
        numbers(labels, p.label_kind, n, <vec[float]*> scratch)
        labels = scratch
    are_kept(p)[at // CHUNK] = pack_labels(<const float*> labels, n, p.hard + at // 8)
    return are_kept(p)[at // CHUNK]


cdef inline bint packed_labels(
    const Elements* p, Py_ssize_t at, Py_ssize_t n, vec[real] one, vec[real]* labels
) noexcept nogil:
    """Whether these labels were kept; then they are told, as 0 or what stands for 1."""
    cdef Py_ssize_t i
    if p.hard == NULL:
        return False
    for i in range(at // CHUNK, (at + n - 1) // CHUNK + 1):
        if not are_kept(p)[i]:
            return False
    unpack_labels(p.hard, at, n, one, labels)
    return True
