"""Arrays as a kernel needs them: their address, or all there is to know of those that lie plainly."""

from cpython.buffer cimport (
    PyBUF_FORMAT, PyBUF_STRIDES, PyBuffer_IsContiguous, PyBuffer_Release, PyObject_GetBuffer,
)
from libc.stdint cimport uintptr_t
from libc.string cimport memcmp

from ..memory.memory cimport add_axis, F16, F32, F64, I16, I32, I64, I8, layout, no_axes, U16, U32, U64, U8

cdef enum:
    MOST_AXES = 64
    SWAPPED = 32  # added to the number of a type whose bytes are in the order that is not this machine's


cdef inline char* address(object array) except? NULL:
    """Where an array's first element lies. The caller holds the array for as long as it is used."""
    cdef Py_buffer view
    if array is None:
        return NULL
    PyObject_GetBuffer(array, &view, PyBUF_STRIDES)
    cdef char* p = <char*> view.buf
    PyBuffer_Release(&view)
    return p


cdef inline const layout* lay_out(object array, int kind, layout* a) except? NULL:
    """Tells how an array lies; NULL for None. The caller holds the array for as long as it is used."""
    cdef Py_buffer view
    cdef int i
    if array is None:
        return NULL
    PyObject_GetBuffer(array, &view, PyBUF_STRIDES)
    a.data, a.itemsize = <const char*> view.buf, view.itemsize
    a.kind, a.swapped = kind % SWAPPED, kind >= SWAPPED
    no_axes(a)
    for i in range(view.ndim):
        add_axis(a, view.shape[i], view.strides[i])
    PyBuffer_Release(&view)
    return a


cdef inline const layout* one_after_another(const Plain* x, layout* a) noexcept:
    a.data, a.itemsize, a.kind, a.swapped = x.data, x.itemsize, x.kind, False
    no_axes(a)
    add_axis(a, x.size, x.itemsize)
    return a


cdef struct Plain:
    # An array whose elements, native and aligned, lie one after another in C order.
    char* data
    Py_ssize_t bytes, itemsize, size, ndim
    Py_ssize_t[MOST_AXES] shape
    int kind
    bint readonly


cdef inline int kind_of(const char* format, Py_ssize_t itemsize) noexcept:
    """The number of an element's type (elements.h); -1 for others, as for any in foreign byte order."""
    cdef char letter = format[0]
    if letter == 0 or format[1] != 0:
        return -1
    if letter == b"f" or letter == b"d" or letter == b"e":
        return F64 if itemsize == 8 else F32 if itemsize == 4 else F16
    if letter == b"b" or letter == b"h" or letter == b"i" or letter == b"l" or letter == b"q":
        return I64 if itemsize == 8 else I32 if itemsize == 4 else I16 if itemsize == 2 else I8
    if letter == b"B" or letter == b"H" or letter == b"I" or letter == b"L" or letter == b"Q":
        return U64 if itemsize == 8 else U32 if itemsize == 4 else U16 if itemsize == 2 else U8
    return -1


cdef inline bint lies_plainly(object array, object ndarray, Plain* a) except -1:
    """Whether this is an ndarray and nothing more, as a kernel can read it; tells of what it is."""
    cdef Py_buffer view
    cdef int i
    if type(array) is not ndarray:
        return False
    try:
        PyObject_GetBuffer(array, &view, PyBUF_STRIDES | PyBUF_FORMAT)
    except (ValueError, BufferError):  # a type that buffers do not have: bfloat16
        return False
    a.kind = kind_of(view.format, view.itemsize)
    a.data, a.bytes, a.itemsize = <char*> view.buf, view.len, view.itemsize
    a.readonly, a.ndim = view.readonly, view.ndim
    cdef bint plain = (
        a.kind >= 0 and view.ndim <= MOST_AXES and view.len > 0
        and <uintptr_t> a.data % <uintptr_t> a.itemsize == 0 and PyBuffer_IsContiguous(&view, b"C")
    )
    if plain:
        a.size = view.len // view.itemsize
        for i in range(view.ndim):
            a.shape[i] = view.shape[i]
    PyBuffer_Release(&view)
    return plain


cdef inline bint same_shape(const Plain* a, const Plain* b, Py_ssize_t axes) noexcept:
    """Whether the first axes of two arrays are as long."""
    return memcmp(a.shape, b.shape, axes * sizeof(Py_ssize_t)) == 0


cdef inline bint are_apart(const Plain* a, const Plain* b) noexcept:
    return a.data + a.bytes <= b.data or b.data + b.bytes <= a.data


cdef inline bint can_be_written(const Plain* out, const Plain* like) noexcept:
    """Whether an output suits its input: of its shape and type, over all of it or none."""
    return (
        not out.readonly and out.kind == like.kind and out.ndim == like.ndim
        and same_shape(out, like, like.ndim) and (out.data == like.data or are_apart(out, like))
    )
