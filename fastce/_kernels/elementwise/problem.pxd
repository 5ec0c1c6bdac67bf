"""The elements of a call, a chunk of them, and the scratch that it is computed in."""

from ..simd.simd cimport real

cdef enum:
    CHUNK = 1024  # elements, which fit the first cache
    PARTS = 4  # of a thread's scratch
    SPARE = 8  # vectors that sums may read beyond the chunk
    # Vectors, an even number, that are taken through one formula after another: in a chain of all formulas
    # each would wait for the one before, and the processor looks ahead for no more than a few vectors.
    STEP = 16  # as in soft_labels.h


cdef enum Function:
    LOGISTIC, BINARY, SIGMOID, FOCAL


cdef struct Elements:
    Function function
    Py_ssize_t outer, summed, inner
    const char* x
    const char* labels
    int kind, label_kind, label_size
    const double* sample_weight  # one per item from the first weighted one on, or NULL
    Py_ssize_t first_weighted
    const double* pos_weight  # a period of them and CHUNK more, or NULL
    Py_ssize_t period
    double hard_mass  # 1 - label smoothing
    double uniform_mass  # half the label smoothing
    double eps
    double gamma, alpha  # of the focal loss; alpha below 0: none
    char* grad  # or where a sigmoid goes; or NULL
    char* hess  # second derivatives, or NULL
    bint streaming
    double divisor
    char* losses  # one per item, or NULL
    unsigned char* hard  # the labels that a check before the call kept (label_bits.pxd), or NULL


cdef struct Chunk:
    # The elements at … at + n - 1; of a thread's scratch the parts, each of vectors.
    Py_ssize_t at, n
    const double* sample_weight  # one for each of them, or NULL
    bint by_product  # whether a product may sum up losses, which are not wanted one by one
    bint streams  # whether the gradient goes past the caches at once: whole lines
    bint valid  # whether labels, and probabilities, are within [0, 1]
    double loss  # the weighted sum
    char* losses  # weighted, unless a product sums them up
    char* copy  # of inputs that will be written over
    char* labels
    char* weights


cdef inline Py_ssize_t chunk_bytes() noexcept nogil:
    return PARTS * (CHUNK * sizeof(double) + SPARE * 64)


cdef inline void take_scratch(const Elements* p, char* scratch, Chunk* c, real* like) noexcept nogil:
    cdef Py_ssize_t part = chunk_bytes() // PARTS
    c.losses, c.copy, c.labels, c.weights = scratch, scratch + part, scratch + 2 * part, scratch + 3 * part
    c.streams = False
    c.by_product = (
        real is not double and p.sample_weight == NULL and p.pos_weight == NULL and p.hess == NULL
        and (p.losses == NULL or (p.inner == 1 and p.summed > CHUNK))
    )
