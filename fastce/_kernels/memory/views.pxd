"""Arrays as their buffers tell of them: where elements lie, of what type they are, how they are walked.

Nothing here says what is wrong with an array: a function returns False, and Python finds out.
"""

from cpython.buffer cimport PyBUF_FORMAT, PyBUF_STRIDES, PyBuffer_Release, PyObject_GetBuffer
from cpython.exc cimport PyErr_Clear
from libc.stdint cimport uintptr_t
from libc.string cimport memcmp

from ..memory.memory cimport (
    add_axis, BF16, F16, F32, F64, I16, I32, I64, I8, layout, LONG_DOUBLE, no_axes, U16, U32, U64, U8,
)

cdef extern from *:
    """
    #include <cstring>

    // A class of Python has no dot in its name, so that no subclass is taken for what it is not.
    static inline bool is_ndarray(PyObject* x) { return !strcmp(Py_TYPE(x)->tp_name, "numpy.ndarray"); }
    """
    bint is_ndarray(object)
    int PY_BIG_ENDIAN
    int get_buffer "PyObject_GetBuffer"(object, Py_buffer*, int) noexcept  # its result tells, no exception

cdef enum:
    MOST_AXES = 64


cdef struct View:
    char* data
    Py_ssize_t itemsize, size, ndim
    Py_ssize_t[MOST_AXES] shape
    Py_ssize_t[MOST_AXES] strides  # in bytes
    int kind  # the number of the elements' type
    bint boolean  # kept as U8
    bint swapped  # bytes are in the order that is not this machine's
    bint native  # elements can be read where they lie: not swapped, aligned
    bint contiguous  # native, one after another in C order
    bint readonly
    double number  # what `data` points to where a number stands for an array


cdef struct Walk:
    # An array as [outer, classes, inner], strides in bytes. That of inner is the size of an element.
    Py_ssize_t outer, classes, inner
    Py_ssize_t outer_stride, class_stride


# What an array is -----------------------------------------------------------------------------------


cdef inline int kind_of(char letter, Py_ssize_t itemsize) noexcept:
    """The number of an element's type; -1 if kernels read no such elements."""
    if letter == b"f" or letter == b"d" or letter == b"e" or letter == b"g":
        return F64 if itemsize == 8 else F32 if itemsize == 4 else F16 if itemsize == 2 else LONG_DOUBLE
    if letter == b"b" or letter == b"h" or letter == b"i" or letter == b"l" or letter == b"q":
        return I64 if itemsize == 8 else I32 if itemsize == 4 else I16 if itemsize == 2 else I8
    if letter == b"B" or letter == b"H" or letter == b"I" or letter == b"L" or letter == b"Q":
        return U64 if itemsize == 8 else U32 if itemsize == 4 else U16 if itemsize == 2 else U8
    return U8 if letter == b"?" else -1


cdef inline bint read_format(const char* format, Py_ssize_t itemsize, View* v) noexcept:
    """Takes the type and the byte order from a buffer's format."""
    cdef char order = format[0]
    v.swapped = False
    if order == b"@" or order == b"=" or order == b"^" or order == b"<" or order == b">":
        v.swapped = order == b"<" if PY_BIG_ENDIAN else order == b">"
        format += 1
    v.kind = kind_of(format[0], itemsize)
    v.boolean = format[0] == b"?"
    return v.kind >= 0 and format[1] == 0


cdef inline void read_buffer(const Py_buffer* b, View* v) noexcept:
    """Takes all but the type from a buffer."""
    cdef Py_ssize_t places = <Py_ssize_t> <uintptr_t> b.buf, step = b.itemsize, i
    v.data, v.itemsize, v.ndim, v.readonly = <char*> b.buf, b.itemsize, b.ndim, b.readonly
    v.size, v.contiguous = 1, True
    for i in range(b.ndim - 1, -1, -1):
        v.shape[i], v.strides[i] = b.shape[i], b.strides[i]
        v.size *= v.shape[i]
        if v.shape[i] != 1:
            v.contiguous = v.contiguous and v.strides[i] == step
            places |= v.strides[i]
            step *= v.shape[i]
    v.native = not v.swapped and (v.size == 0 or places & (v.itemsize - 1) == 0)
    v.contiguous = v.native and (v.contiguous or v.size == 0)


cdef inline bint view_bits(object array, View* v) except -1:
    """The same of bfloat16, whose buffers have no format."""
    cdef Py_buffer b
    dtype = array.dtype
    if dtype.type.__name__ != "bfloat16" or dtype.itemsize != 2 or not dtype.isnative:
        return False
    PyObject_GetBuffer(array, &b, PyBUF_STRIDES)
    v.kind, v.boolean, v.swapped = BF16, False, False
    read_buffer(&b, v)
    PyBuffer_Release(&b)
    return True


cdef inline bint view_of(object array, View* v) except -1:
    """Whether this is an ndarray, and nothing more, whose elements kernels read; tells how it lies.

    The caller holds the array for as long as the view is used.
    """
    cdef Py_buffer b
    cdef bint known
    if not is_ndarray(array):
        return False
    if get_buffer(array, &b, PyBUF_STRIDES | PyBUF_FORMAT) < 0:
        PyErr_Clear()
        return view_bits(array, v)
    known = b.ndim <= MOST_AXES and read_format(b.format, b.itemsize, v)
    if known:
        read_buffer(&b, v)
    PyBuffer_Release(&b)
    return known


cdef inline bint view_of_number(object number, View* v) except -1:
    """The same of a number of Python, which stands for an array without axes."""
    if type(number) is not float:
        return False
    v.number, v.data, v.itemsize, v.size, v.ndim = number, <char*> &v.number, sizeof(double), 1, 0
    v.kind, v.readonly, v.native, v.contiguous = F64, True, True, True
    v.boolean = v.swapped = False
    return True


# Two arrays -----------------------------------------------------------------------------------------


cdef inline bint same_shape(const View* a, const View* b) noexcept:
    return a.ndim == b.ndim and memcmp(a.shape, b.shape, a.ndim * sizeof(Py_ssize_t)) == 0


cdef inline bint same_strides(const View* a, const View* b) noexcept:
    """Whether two arrays of one shape lie alike; an axis of one element may have any stride."""
    cdef Py_ssize_t i
    for i in range(a.ndim):
        if a.shape[i] > 1 and a.strides[i] != b.strides[i]:
            return False
    return True


cdef inline bint without_axis(const View* a, Py_ssize_t axis, const View* b) noexcept:
    """Whether b has the shape of a without one of its axes."""
    return (
        b.ndim == a.ndim - 1 and memcmp(a.shape, b.shape, axis * sizeof(Py_ssize_t)) == 0
        and memcmp(a.shape + axis + 1, b.shape + axis, (b.ndim - axis) * sizeof(Py_ssize_t)) == 0
    )


cdef inline void find_bounds(const View* a, uintptr_t* low, uintptr_t* high) noexcept:
    """The first byte of an array that has elements, and the first one past it."""
    cdef Py_ssize_t i
    low[0] = <uintptr_t> a.data
    high[0] = low[0] + a.itemsize
    for i in range(a.ndim):
        if a.strides[i] < 0:
            low[0] += (a.shape[i] - 1) * a.strides[i]
        else:
            high[0] += (a.shape[i] - 1) * a.strides[i]


cdef inline bint are_apart(const View* a, const View* b) noexcept:
    """Whether the memory of one array ends before that of the other begins."""
    cdef uintptr_t low, high, other_low, other_high
    if a.size == 0 or b.size == 0:
        return True
    find_bounds(a, &low, &high)
    find_bounds(b, &other_low, &other_high)
    return high <= other_low or other_high <= low


cdef inline bint is_output(const View* out, const View* like, bint checked) noexcept:
    """Whether an output suits its input: of its shape and type, and all over it or apart from it.

    Of outputs that are not contiguous Python tells whether their elements share memory, and where it has
    `checked` that, it has also seen whether they lie between those of the input.
    """
    if out.readonly or out.swapped or out.kind != like.kind or out.boolean or not same_shape(out, like):
        return False
    if checked:
        return True
    return out.contiguous and (
        out.data == like.data and same_strides(out, like) or are_apart(out, like)
    )


# How elements are reached ---------------------------------------------------------------------------


cdef inline const layout* begin_layout(const View* v, layout* a) noexcept:
    a.data, a.itemsize, a.kind, a.swapped = v.data, v.itemsize, v.kind, v.swapped
    no_axes(a)
    return a


cdef inline const layout* lay_out(const View* v, layout* a) noexcept:
    """The elements of an array in C order."""
    cdef Py_ssize_t i
    begin_layout(v, a)
    for i in range(v.ndim):
        add_axis(a, v.shape[i], v.strides[i])
    return a


cdef inline bint broadcast(const View* v, const Py_ssize_t* shape, Py_ssize_t ndim, layout* a) noexcept:
    """The same, spread over a shape; whether that can be done."""
    cdef Py_ssize_t i, k, missing = ndim - v.ndim
    if missing < 0:
        return False
    begin_layout(v, a)
    for i in range(ndim):
        k = i - missing
        if k < 0 or v.shape[k] == 1:
            add_axis(a, shape[i], 0)
        elif v.shape[k] == shape[i]:
            add_axis(a, shape[i], v.strides[k])
        else:
            return False
    return True


cdef inline bint merge_axes(
    const Py_ssize_t* shape, const Py_ssize_t* strides, Py_ssize_t axes, Py_ssize_t* length,
    Py_ssize_t* stride,
) noexcept:
    """Takes several axes as one; whether a single stride does."""
    cdef Py_ssize_t i
    length[0], stride[0] = 1, 0
    for i in range(axes - 1, -1, -1):
        if shape[i] == 1:
            continue
        if length[0] == 1:
            length[0], stride[0] = shape[i], strides[i]
        elif strides[i] == stride[0] * length[0]:
            length[0] *= shape[i]
        else:
            return False
    return True


cdef inline void walk_contiguous(const View* v, Py_ssize_t axis, Walk* w) noexcept:
    cdef Py_ssize_t i
    w.outer, w.inner, w.classes = 1, 1, v.shape[axis]
    for i in range(axis):
        w.outer *= v.shape[i]
    for i in range(axis + 1, v.ndim):
        w.inner *= v.shape[i]
    w.class_stride = w.inner * v.itemsize
    w.outer_stride = w.classes * w.class_stride


cdef inline bint walk_strided(const View* v, Py_ssize_t axis, Walk* w) noexcept:
    cdef Py_ssize_t[MOST_AXES] shape
    cdef Py_ssize_t[MOST_AXES] strides
    cdef Py_ssize_t split, i, axes = v.ndim - 1, inner_stride
    for i in range(axes):
        shape[i], strides[i] = v.shape[i + (i >= axis)], v.strides[i + (i >= axis)]
    w.classes, w.class_stride = v.shape[axis], v.strides[axis]
    if w.class_stride == v.itemsize or w.classes == 1:
        w.inner, w.class_stride = 1, v.itemsize
        if merge_axes(shape, strides, axes, &w.outer, &w.outer_stride):
            return True
        w.class_stride = v.strides[axis]
    for split in range(axes):
        if (
            merge_axes(shape, strides, split, &w.outer, &w.outer_stride)
            and merge_axes(shape + split, strides + split, axes - split, &w.inner, &inner_stride)
            and w.inner > 1 and inner_stride == v.itemsize
        ):
            return True
    return False


cdef inline bint walk_of(const View* v, Py_ssize_t axis, Walk* w) noexcept:
    """How kernels step through an array as it lies; whether they can.

    Either the classes of a row lie one after another (inner is 1), or rows lie side by side.
    """
    if v.contiguous:
        walk_contiguous(v, axis, w)
        return True
    return v.native and walk_strided(v, axis, w)


cdef inline bint walk_like(const View* v, Py_ssize_t axis, const Walk* like, Walk* w) noexcept:
    """The same, in the order in which another array is walked."""
    return (
        walk_of(v, axis, w)
        and w.outer == like.outer and w.classes == like.classes and w.inner == like.inner
    )


# New arrays -----------------------------------------------------------------------------------------


cdef inline object new_array(object numpy, const Py_ssize_t* shape, Py_ssize_t ndim, object dtype):
    """Of a type in native byte order, in C order."""
    cdef Py_ssize_t i
    if ndim == 1:
        return numpy.empty(shape[0], dtype)
    if ndim == 2:
        return numpy.empty((shape[0], shape[1]), dtype)
    return numpy.empty(tuple([shape[i] for i in range(ndim)]), dtype)


cdef inline object new_losses(
    object numpy, const Py_ssize_t* shape, Py_ssize_t ndim, const View* x, object array
):
    """Of the type of the logits, single precision for half."""
    return new_array(numpy, shape, ndim, array.dtype if x.itemsize > 2 else numpy.float32)


cdef inline object new_like(object numpy, const View* x, object array):
    """Of the shape and type of an array, its axes in the same order."""
    if x.contiguous:
        return new_array(numpy, x.shape, x.ndim, array.dtype)
    return numpy.empty_like(array)


cdef inline object new_bytes(object numpy, Py_ssize_t n):
    return numpy.empty(n, "u1")


cdef inline char* address_of(object array) except? NULL:
    """Where a new array lies."""
    cdef Py_buffer b
    PyObject_GetBuffer(array, &b, PyBUF_STRIDES)
    PyBuffer_Release(&b)
    return <char*> b.buf
