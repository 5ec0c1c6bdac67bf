"""One vector of any instruction set, told to Cython, header by header.

A `vec[real]` reads like a number: `s = s + exp(x - shift)` is one SIMD expression. Data stored in half
precision (float16, bfloat16) has float lanes; `lanes(v)` sees an array of vectors as the array of lanes
that it is.
"""

from libc.stdint cimport uint16_t


cdef extern from "<simd/half.h>" namespace "fastce" nogil:
    ctypedef struct float16:
        uint16_t bits
    ctypedef struct bfloat16:
        uint16_t bits

cdef extern from "<simd/vector.h>" namespace "fastce" nogil:
    cdef cppclass vec[T]:
        vec()
        vec(double)
        vec operator+(vec)
        vec operator-(vec)
        vec operator*(vec)
        vec operator/(vec)

    Py_ssize_t lanes_of[T](const vec[T]*)
    vec[T] maximum[T](vec[T], vec[T])
    vec[T] minimum[T](vec[T], vec[T])
    vec[T] magnitude[T](vec[T])
    vec[T] positive[T](vec[T])
    vec[T] where_zero[T](vec[T], vec[T], vec[T])
    vec[T] where_negative[T](vec[T], vec[T], vec[T])
    vec[T] where_below[T](vec[T], vec[T], vec[T], vec[T])
    vec[T] where_equal[T](vec[T], vec[T], vec[T], vec[T])
    vec[T] where_nan[T](vec[T], vec[T], vec[T])
    vec[T] lanes_before[T](Py_ssize_t, vec[T], vec[T])
    vec[T] count_above[T](vec[T], vec[T], vec[T])
    vec[T] predecessor[T](vec[T])
    vec[T] put[T](vec[T], Py_ssize_t, double)
    vec[T] put_lane[T](vec[T], Py_ssize_t, vec[T])
    vec[T] first[T](vec[T], int)

    vec[double] doubles "fastce::load"(const double*)
    void put_doubles "fastce::store"(double*, vec[double])
    vec[T] load[T](const T*)
    vec[T] load_first "fastce::load"[T](const T*, Py_ssize_t, double)
    void store[T](T*, vec[T])
    void store_first "fastce::store"[T](T*, vec[T], Py_ssize_t)
    double lane[T](const vec[T]*, Py_ssize_t)
    void set_lane[T](vec[T]*, Py_ssize_t, double)
    vec[T] load_lanes[T](const vec[T]*, Py_ssize_t)
    void store_lanes[T](vec[T]*, Py_ssize_t, vec[T], Py_ssize_t)
    double number[T](const T*)
    void set_number[T](T*, double)

    bint all_within_unit[T](const vec[T]*, Py_ssize_t, bint)
    bint stored_within_unit[T](const T*, Py_ssize_t, bint)
    Py_ssize_t index_of[T](const T*, Py_ssize_t, Py_ssize_t, double)
    bint has_nan[T](const T*, Py_ssize_t, Py_ssize_t)
    Py_ssize_t kAhead
    void prefetch_run(const void*, Py_ssize_t)

cdef extern from "<simd/exp.h>" namespace "fastce" nogil:
    const double kExpScale
    const double kLargestSum
    const double kSmallestSum
    const double kLeastRest
    vec[T] exp[T](vec[T])
    vec[T] scaled_exp[T](vec[T])
    vec[T] share_of[T](vec[T])

cdef extern from "<simd/log.h>" namespace "fastce" nogil:
    vec[T] log[T](vec[T])
    vec[T] log1p[T](vec[T])
    vec[T] log_corrected[T](vec[T], vec[T])
    vec[double] brief_log(vec[double], vec[double])
    vec[double] log_for[T](const T*, vec[double], vec[double])
    vec[T] scaled_log[T](vec[T])

cdef extern from "<simd/widen.h>" namespace "fastce" nogil:
    void store_doubles[T](double*, vec[T])
    void store_products[T](double*, vec[T], vec[T], vec[T] offset)
    void store_numbers[T](T*, vec[double], Py_ssize_t)
    void store_narrow[T](vec[T]*, Py_ssize_t, vec[double])
    void store_narrow_first "fastce::store_narrow"[T](vec[T]*, Py_ssize_t, vec[double], Py_ssize_t)
    vec[double] load_wide[T](const vec[T]*, Py_ssize_t)
    vec[T] linear[T](vec[T], double, double)
    vec[T] weighted[T](vec[T], double, double, const double*, Py_ssize_t)
    vec[T] product_sum[T](vec[T], vec[T], vec[T], vec[T])
    vec[T] curved[T](vec[T], vec[T], vec[T], vec[T])
    double lost[T](double, const vec[T]*)
    vec[double] multiply_subtract(vec[double], vec[double], vec[double])

cdef extern from "<simd/sums.h>" namespace "fastce" nogil:
    cdef cppclass wide_sum[T]:
        wide_sum()
        void add(vec[T])
        void add2 "add"(vec[T], vec[T])
        void add_product(vec[T], vec[T], double)
        double split(double*)
        double value()
    cdef cppclass sum_of_doubles[T]:
        void add(vec[double])
        double value()
    double lane_sum[T](vec[T])
    double lane_max[T](vec[T])
    void add_lanes[T](const vec[T]*, Py_ssize_t, double* sums, double* lost)

cdef extern from "<simd/shuffle.h>" namespace "fastce" nogil:
    vec[double] row_sums[T](const vec[T]*, Py_ssize_t, Py_ssize_t)
    vec[double] row_tops "fastce::row_maxima"[T](const vec[T]*, Py_ssize_t, Py_ssize_t)

ctypedef fused real:
    float
    double
    float16
    bfloat16
