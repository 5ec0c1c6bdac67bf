"""Elements of any type and layout as lanes, and lanes written back, told to Cython."""

from libc.stdint cimport int64_t

from ..simd.simd cimport vec


cdef extern from "<memory/packed_labels.h>" namespace "fastce" nogil:
    bint pack_labels(const float*, Py_ssize_t, unsigned char*)
    void unpack_labels[T](const unsigned char*, Py_ssize_t, Py_ssize_t, vec[T] one, vec[T]*)

cdef extern from "<memory/dtypes.h>" namespace "fastce" nogil:
    void numbers[T](const char*, int kind, Py_ssize_t n, vec[T]* out)
    int I8, I16, I32, I64, U8, U16, U32, U64, F16, BF16, F32, F64

cdef extern from "<memory/strided.h>" namespace "fastce" nogil:
    ctypedef struct layout:
        const char* data
        int kind
        bint swapped
        Py_ssize_t size, itemsize
    void no_axes(layout*)
    void add_axis(layout*, Py_ssize_t length, Py_ssize_t stride)
    int LONG_DOUBLE
    layout in_memory_order(const layout&)
    void prefetch_elements(const layout*, Py_ssize_t first, Py_ssize_t n)
    void integers_at(const layout*, Py_ssize_t first, Py_ssize_t n, int64_t* out)
    const int64_t* find_integers(const layout*, Py_ssize_t first, Py_ssize_t n, int64_t* room)
    void doubles_at(const layout*, Py_ssize_t first, Py_ssize_t n, double* out)
    const double* find_doubles(const layout*, Py_ssize_t first, Py_ssize_t n, double* room)
    bint are_weights(const char*, int kind, Py_ssize_t n)
    bint weights_at(const layout*, Py_ssize_t first, Py_ssize_t n)

cdef extern from "<memory/stream.h>" namespace "fastce" nogil:
    cdef struct writer "fastce::StreamWriter":
        char* out
        bint direct
    writer write_through "fastce::stream_writer"(char* stage, bint direct)
    void seek(writer&, char*)
    char* room "fastce::reserve"(const writer&)
    Py_ssize_t line_gap(const writer&)
    void stream[T](T*, vec[T])
    void skip "fastce::commit_streamed"(writer&, Py_ssize_t)
    void advance "fastce::commit"(writer&, Py_ssize_t)
    void finish(writer&)

cdef extern from "<memory/roofline.h>" namespace "fastce" nogil:
    int64_t sweep_bytes(const char*, Py_ssize_t)
    void copy_bytes(const char*, char*, Py_ssize_t)

cdef extern from "<memory/label_lanes.h>" namespace "fastce" nogil:
    void put_labels[T](const int64_t*, Py_ssize_t, vec[T]*)

cdef extern from "<memory/transpose.h>" namespace "fastce" nogil:
    void rows_in_lanes[T](
        const T*, Py_ssize_t pitch, Py_ssize_t n, Py_ssize_t classes, vec[T]* room, vec[T]* out
    )
