# distutils: language = c++
"""All rows of a call: checked buffers in, blocks of rows to the threads, tallies out.

This file is compiled once for every instruction set (setup.py); the Python names are the same in each
of these modules. Blocks are fixed by the shape alone and their tallies are added in block order: the
same bits for every number of threads.
"""

from cpython.buffer cimport PyBUF_STRIDES, PyBuffer_Release, PyObject_GetBuffer
from cython.parallel cimport prange, threadid
from libc.stdint cimport int64_t, uint64_t, uintptr_t
from libc.stdlib cimport free, malloc
from libc.string cimport memset

from .column cimport column_bytes, columns_of_block
from .items cimport Count, Elements, Function, elements_of_block, labels_are_good, run_bytes
from .problem cimport BATCH, LOGSUMEXP, Batch, Output, Problem, Tally, add_exactly, count_rows
from .row cimport kept_rows, rows_of_block
from .tile cimport SHORT, tile_bytes, tiles_of_block
from .vector cimport (
    BF16, F16, F32, F64, bfloat16, float16, copy_bytes, end_threads, give_back, kOpenMP, lanes_of,
    most_threads, plain_arithmetic, real, spread_pattern, sweep_bytes, vec, write_through, writer,
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
    BLOCK_ELEMENTS = 131072  # logits of a block: large enough that handing it out costs nothing
    SMALLEST_BLOCK = 4096
    STAGE = 32768  # bytes of the stage in which the gradient waits for whole lines
    LONGEST_KEPT = 8388608  # bytes of exponentials that are kept rather than computed twice

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


cdef char* address(object array) except? NULL:
    """Where an array's first element lies. The caller holds the array for as long as it is used."""
    cdef Py_buffer view
    if array is None:
        return NULL
    PyObject_GetBuffer(array, &view, PyBUF_STRIDES)
    cdef char* p = <char*> view.buf
    PyBuffer_Release(&view)
    return p


cdef inline Py_ssize_t rows_per_block(const Problem* p) noexcept nogil:
    """Fixed by the shape: a sixteenth of the call, within limits; in few long rows, several all the same."""
    cdef Py_ssize_t rows = p.outer * p.inner
    cdef Py_ssize_t elements = min(BLOCK_ELEMENTS, max(SMALLEST_BLOCK, rows * p.classes // 16))
    cdef Py_ssize_t block = max(elements // p.classes, min(8, (rows + 15) // 16), 1)
    if block > BATCH:
        block = block // BATCH * BATCH
    return block


cdef tuple report(const Problem* p, const Tally* tallies, Py_ssize_t blocks):
    """The sum of all blocks, in their order."""
    cdef Tally total
    cdef Py_ssize_t i
    cdef uint64_t caller = plain_arithmetic()
    memset(&total, 0, sizeof(total))
    total.bad_row = -1
    for i in range(blocks):
        add_exactly(&total.loss, &total.loss_lost, tallies[i].loss)
        add_exactly(&total.weight, &total.weight_lost, tallies[i].weight)
        total.loss_lost += tallies[i].loss_lost
        total.weight_lost += tallies[i].weight_lost
        total.valid += tallies[i].valid
        total.nonzero += tallies[i].nonzero
        if total.bad_row < 0:
            total.bad_row = tallies[i].bad_row
    if p.class_weight == NULL and p.sample_weight == NULL:
        total.weight, total.nonzero = total.valid, total.valid
    total.loss += total.loss_lost
    total.weight += total.weight_lost
    give_back(caller)
    return total.loss, total.weight, total.valid, total.nonzero, total.bad_row


cdef void count_block(const Problem* p, Py_ssize_t begin, Py_ssize_t end, Tally* tally) noexcept nogil:
    cdef Batch b
    cdef uint64_t caller = plain_arithmetic()
    memset(&b, 0, sizeof(b))
    b.first = begin
    while b.first < end:
        b.rows = min(BATCH, end - b.first)
        count_rows(p, &b, tally)
        b.first += b.rows
    give_back(caller)


cdef void softmax_block(
    const Problem* p, Py_ssize_t begin, Py_ssize_t end, char* scratch, Py_ssize_t kept, Tally* tally,
    real* like,
) noexcept nogil:
    """One block of rows by the kernel that suits the shape."""
    cdef uint64_t caller = plain_arithmetic()
    cdef writer[2] w
    w[0] = write_through(scratch, not p.streaming)
    w[1] = write_through(scratch + STAGE, not p.streaming)
    scratch += 2 * STAGE
    if p.inner > 1:
        columns_of_block(p, begin, end, scratch, w, tally, like)
    elif p.classes < SHORT:
        tiles_of_block(p, begin, end, scratch, w, tally, like)
    else:
        rows_of_block(p, begin, end, scratch, kept, w, tally, like)
    give_back(caller)


cdef Py_ssize_t kept_bytes(const Problem* p, real* like) noexcept nogil:
    """Bytes of one scratch row; 0 if rows are not to be kept."""
    cdef vec[real] v
    cdef Py_ssize_t width = lanes_of(<vec[real]*> NULL), vectors = (p.classes + width - 1) // width
    cdef Py_ssize_t size = (vectors + 1) * <Py_ssize_t> sizeof(v)  # one more: reads go across the end
    size = (size + 63) // 64 * 64
    return size if p.grad != NULL and size <= LONGEST_KEPT else 0


cdef tuple softmax_blocks(Problem* p, int num_threads, real* like):
    cdef Py_ssize_t rows = p.outer * p.inner, block = rows_per_block(p)
    cdef Py_ssize_t blocks = (rows + block - 1) // block, i
    cdef Py_ssize_t kept = kept_bytes(p, like), pattern = 0, share = 2 * STAGE
    share += column_bytes() if p.inner > 1 else max(kept * kept_rows(kept), tile_bytes())
    if p.grad != NULL and p.inner == 1 and p.classes < SHORT:
        pattern = p.classes * sizeof(vec[real])
    cdef Tally* tallies
    num_threads = <int> max(<Py_ssize_t> 1, min(<Py_ssize_t> num_threads, blocks))
    cdef char* memory = <char*> malloc(64 + num_threads * share + pattern + blocks * sizeof(Tally))
    if memory == NULL:
        raise MemoryError()
    cdef char* scratch = memory + (64 - <uintptr_t> memory % 64)
    p.pattern = scratch + num_threads * share
    tallies = <Tally*> (p.pattern + pattern)
    try:
        with nogil:
            if pattern:
                spread_pattern(<vec[real]*> p.pattern, p.classes)
            memset(tallies, 0, blocks * sizeof(Tally))
            for i in prange(
                blocks, schedule="dynamic", num_threads=num_threads, use_threads_if=num_threads > 1
            ):
                tallies[i].bad_row = -1
                softmax_block(
                    p, i * block, min(rows, (i + 1) * block), scratch + threadid() * share, kept,
                    tallies + i, like,
                )
        return report(p, tallies, blocks)
    finally:
        free(memory)


def softmax_cross_entropy(
    logits, int kind, Py_ssize_t outer, Py_ssize_t classes, Py_ssize_t inner,
    Py_ssize_t outer_stride, Py_ssize_t class_stride,
    labels, int label_kind, Py_ssize_t label_stride, Py_ssize_t class_label_stride, int64_t ignore_index,
    class_weight, smoothing, sample_weight, double label_smoothing, double weight_sum, double z_loss,
    grad, Py_ssize_t grad_outer_stride, Py_ssize_t grad_class_stride, hess, bint streaming, double divisor,
    losses, int num_threads,
):
    """The softmax losses of all rows.

    Returns (sum of weighted losses, sum of weights, valid rows, rows of non-zero weight, row at or shortly
    before the first bad label, or -1).
    """
    cdef Problem p
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
    p.smoothing = <const double*> address(smoothing)
    p.sample_weight = <const double*> address(sample_weight)
    p.keep, p.share, p.weight_sum = 1 - label_smoothing, label_smoothing / classes, weight_sum
    p.z_loss, p.divisor = z_loss, divisor
    p.ignore_index = ignore_index
    if label_kind < F16:
        p.labels, p.label_kind, p.label_stride = address(labels), label_kind, label_stride
    else:
        p.targets, p.target_kind = address(labels), label_kind
        p.target_itemsize = 8 if label_kind == F64 else 4 if label_kind == F32 else 2
        p.target_outer_stride, p.target_class_stride = label_stride, class_label_stride
    p.exact, p.itemsize = kind == F64, itemsize
    if kind == F64:
        return softmax_blocks(&p, num_threads, <double*> NULL)
    if kind == F32:
        return softmax_blocks(&p, num_threads, <float*> NULL)
    if kind == BF16:
        return softmax_blocks(&p, num_threads, <bfloat16*> NULL)
    return softmax_blocks(&p, num_threads, <float16*> NULL)


cdef tuple elements_blocks(Elements* p, bint check_only, int num_threads, real* like):
    """Runs all items; returns (sum of weighted losses, an element near the first refused one or -1)."""
    cdef Py_ssize_t items = p.outer * p.inner, per_item = p.summed
    cdef Py_ssize_t total = items * per_item
    cdef Py_ssize_t elements = min(BLOCK_ELEMENTS, max(SMALLEST_BLOCK, total // 16))
    cdef Py_ssize_t block = total if check_only else max(elements // per_item, 1)
    cdef Py_ssize_t blocks, i, share = 2 * STAGE + run_bytes(), bad = -1
    cdef double loss = 0, loss_lost = 0
    cdef uint64_t caller
    if check_only:
        items, block = total, elements
    blocks = (items + block - 1) // block
    num_threads = <int> max(<Py_ssize_t> 1, min(<Py_ssize_t> num_threads, blocks))
    cdef char* memory = <char*> malloc(64 + num_threads * share + blocks * sizeof(Count))
    if memory == NULL:
        raise MemoryError()
    cdef char* scratch = memory + (64 - <uintptr_t> memory % 64)
    cdef Count* counts = <Count*> (scratch + num_threads * share)
    try:
        with nogil:
            memset(counts, 0, blocks * sizeof(Count))
            for i in prange(
                blocks, schedule="dynamic", num_threads=num_threads, use_threads_if=num_threads > 1
            ):
                elements_block(
                    p, i * block, min(items, (i + 1) * block), scratch + threadid() * share, check_only,
                    counts + i, like,
                )
        caller = plain_arithmetic()
        for i in range(blocks):
            add_exactly(&loss, &loss_lost, counts[i].loss)
            loss_lost += counts[i].loss_lost
            if bad < 0:
                bad = counts[i].bad
        loss += loss_lost
        give_back(caller)
        return loss, bad
    finally:
        free(memory)


cdef void elements_block(
    const Elements* p, Py_ssize_t begin, Py_ssize_t end, char* scratch, bint check_only, Count* count,
    real* like,
) noexcept nogil:
    cdef uint64_t caller = plain_arithmetic()
    cdef writer[2] w
    w[0] = write_through(scratch, not p.streaming)
    w[1] = write_through(scratch + STAGE, not p.streaming)
    scratch += 2 * STAGE
    count.bad = -1
    if not check_only:
        elements_of_block(p, begin, end, scratch, w, count, like)
    elif not labels_are_good(p, begin, end, scratch, like):
        count.bad = begin
    give_back(caller)


def elementwise(
    int function, x, int kind, Py_ssize_t outer, Py_ssize_t summed, Py_ssize_t inner,
    labels, int label_kind, int label_size, sample_weight, pos_weight, Py_ssize_t period,
    double label_smoothing, double eps, grad, hess, bint streaming, double divisor, losses, bint check_only,
    int num_threads,
):
    """Sigmoid cross-entropy (0), binary cross-entropy (1) or the sigmoid (2) of C-contiguous arrays.

    Returns (sum of weighted losses, an element at or shortly before the first refused one or -1).
    """
    cdef Elements p
    memset(&p, 0, sizeof(p))
    p.function, p.kind = <Function> function, kind
    p.outer, p.summed, p.inner = outer, summed, inner
    p.x, p.labels, p.label_kind, p.label_size = address(x), address(labels), label_kind, label_size
    p.sample_weight = <const double*> address(sample_weight)
    p.pos_weight, p.period = <const double*> address(pos_weight), period
    p.keep, p.share, p.eps = 1 - label_smoothing, label_smoothing / 2, eps
    p.grad, p.hess, p.losses = address(grad), address(hess), address(losses)
    p.streaming, p.divisor = streaming, divisor
    if kind == F64:
        return elements_blocks(&p, check_only, num_threads, <double*> NULL)
    if kind == F32:
        return elements_blocks(&p, check_only, num_threads, <float*> NULL)
    if kind == BF16:
        return elements_blocks(&p, check_only, num_threads, <bfloat16*> NULL)
    return elements_blocks(&p, check_only, num_threads, <float16*> NULL)


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
    p.streaming, p.keep, p.divisor, p.exact = streaming, 1, 1, kind == F64
    p.itemsize = itemsize
    if kind == F64:
        softmax_blocks(&p, num_threads, <double*> NULL)
    elif kind == F32:
        softmax_blocks(&p, num_threads, <float*> NULL)
    elif kind == BF16:
        softmax_blocks(&p, num_threads, <bfloat16*> NULL)
    else:
        softmax_blocks(&p, num_threads, <float16*> NULL)


def count_labels(
    labels, int kind, Py_ssize_t stride, Py_ssize_t rows, Py_ssize_t classes, int64_t ignore_index,
    class_weight, sample_weight, int num_threads,
):
    """What the labels and weights alone tell: the same tuple, its loss 0."""
    cdef Problem p
    memset(&p, 0, sizeof(p))
    p.outer, p.classes, p.inner = rows, classes, 1
    p.labels, p.label_kind, p.label_stride = address(labels), kind, stride
    p.ignore_index = ignore_index
    p.class_weight = <const double*> address(class_weight)
    p.sample_weight = <const double*> address(sample_weight)
    p.keep = 1
    cdef Py_ssize_t block = BLOCK_ELEMENTS, blocks = (rows + block - 1) // block, i
    cdef Tally* tallies = <Tally*> malloc(max(blocks, 1) * sizeof(Tally))
    if tallies == NULL:
        raise MemoryError()
    try:
        with nogil:
            memset(tallies, 0, blocks * sizeof(Tally))
            for i in prange(
                blocks, schedule="dynamic", num_threads=num_threads, use_threads_if=num_threads > 1
            ):
                tallies[i].bad_row = -1
                count_block(&p, i * block, min(rows, (i + 1) * block), tallies + i)
        return report(&p, tallies, blocks)
    finally:
        free(tallies)


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
