"""simd.h and its neighbours, told to Cython.

A `vec[real]` reads like a number: `s = s + exp(x - anchor)` is one SIMD expression. Data stored in
half precision (float16, bfloat16) has float lanes; `lanes(v)` sees an array of vectors as the array of
lanes that it is.
"""

from libc.stdint cimport int64_t, uint16_t, uint64_t


cdef extern from "<exp_log.h>" namespace "fastce" nogil:
    ctypedef struct float16:
        uint16_t bits
    ctypedef struct bfloat16:
        uint16_t bits

    cdef cppclass vec[T]:
        vec()
        vec(double)
        vec operator+(vec)
        vec operator-(vec)
        vec operator*(vec)
        vec operator/(vec)

    const double kExpScale
    const double kLargestSum
    const double kSmallestSum
    const double kLeastRest

    vec[double] doubles "fastce::load"(const double*)
    void store_doubles[T](double*, vec[T])
    void put_doubles "fastce::store"(double*, vec[double])
    vec[T] load_first "fastce::load"[T](const T*, Py_ssize_t, double)
    void store[T](T*, vec[T])
    void store_first "fastce::store"[T](T*, vec[T], Py_ssize_t)
    Py_ssize_t lanes_of[T](const vec[T]*)
    double lane[T](const vec[T]*, Py_ssize_t)
    void set_lane[T](vec[T]*, Py_ssize_t, double)
    vec[T] load_lanes[T](const vec[T]*, Py_ssize_t)
    void store_lanes[T](vec[T]*, Py_ssize_t, vec[T], Py_ssize_t)
    double number[T](const T*)
    void set_number[T](T*, double)
    vec[T] put[T](vec[T], Py_ssize_t, double)
    vec[T] put_lane[T](vec[T], Py_ssize_t, vec[T])
    vec[T] first[T](vec[T], int)
    vec[T] maximum[T](vec[T], vec[T])
    vec[T] minimum[T](vec[T], vec[T])
    vec[T] exp[T](vec[T])
    vec[T] scaled_exp[T](vec[T])
    vec[T] log[T](vec[T])
    vec[T] log1p[T](vec[T])
    vec[T] log_corrected[T](vec[T], vec[T])
    vec[double] log_for[T](const T*, vec[double], vec[double])
    vec[T] where_zero[T](vec[T], vec[T], vec[T])
    vec[T] where_negative[T](vec[T], vec[T], vec[T])
    vec[T] where_below[T](vec[T], vec[T], vec[T], vec[T])
    vec[T] magnitude[T](vec[T])
    vec[T] positive[T](vec[T])
    vec[T] scaled_log[T](vec[T])
    vec[T] share_of[T](vec[T])
    bint all_within_unit[T](const vec[T]*, Py_ssize_t, bint)
    bint stored_within_unit[T](const T*, Py_ssize_t, bint)
    Py_ssize_t index_of[T](const T*, Py_ssize_t, Py_ssize_t, double)
    bint has_nan[T](const T*, Py_ssize_t, Py_ssize_t)
    Py_ssize_t kAhead
    void prefetch_run(const void*, Py_ssize_t)
    void store_numbers[T](T*, vec[double], Py_ssize_t)
    vec[T] linear[T](vec[T], double, double)
    vec[T] weighted[T](vec[T], double, double, const double*, Py_ssize_t)
    void store_narrow[T](vec[T]*, Py_ssize_t, vec[double])
    void store_narrow_first "fastce::store_narrow"[T](vec[T]*, Py_ssize_t, vec[double], Py_ssize_t)
    vec[double] load_wide[T](const vec[T]*, Py_ssize_t)
    vec[T] product_sum[T](vec[T], vec[T], vec[T], vec[T])
    vec[T] curved[T](vec[T], vec[T], vec[T], vec[T])
    double lost[T](double, const vec[T]*)
    vec[double] multiply_subtract(vec[double], vec[double], vec[double])

cdef extern from "<shuffle.h>" namespace "fastce" nogil:
    vec[double] row_sums[T](const vec[T]*, Py_ssize_t, Py_ssize_t)
    vec[double] row_tops[T](const vec[T]*, Py_ssize_t, Py_ssize_t)

cdef extern from "<tiles.h>" namespace "fastce" nogil:
    Py_ssize_t kShort, kShortOfDoubles
    vec[T] spread[T](vec[T], const vec[T]*)
    void spread_pattern[T](vec[T]*, Py_ssize_t)
    cdef cppclass short_rows[T]:
        const vec[T]* pattern
        Py_ssize_t classes
        const vec[T]* a
        const vec[T]* b
        const vec[T]* c
        const vec[T]* d
    void take_row_exps[T](const vec[T]* x, Py_ssize_t vectors, const short_rows[T]&, vec[T]* exps)
    void scale_rows[T](T*, Py_ssize_t, const vec[T]* exps, const short_rows[T]&)
    void scale_both[T](T*, Py_ssize_t, const vec[T]* exps, const vec[T]* beta, const short_rows[T]&)
    void bend_rows[T](T*, Py_ssize_t, const vec[T]* exps, const short_rows[T]&)
    void shift_rows[T](T*, Py_ssize_t, const T*, const short_rows[T]&)

cdef extern from "<crosswise.h>" namespace "fastce" nogil:
    enum:
        kFew
    double end_crosswise[T](
        const vec[T]* exps, const int64_t* label, Py_ssize_t rows, Py_ssize_t classes, double unit,
        vec[T]* labels, plain_rows[T],
    )
    void scale_crosswise[T](
        T*, const vec[T]* exps, Py_ssize_t rows, Py_ssize_t classes, const vec[T]* labels, plain_rows[T]
    )

cdef extern from "<pairs.h>" namespace "fastce" nogil:
    void part_pairs[T](const T*, const int64_t* label, Py_ssize_t rows, double* rest, double* own)
    void put_pairs[T](
        const int64_t* label, const double* at_label, const double* at_other, Py_ssize_t rows, T*
    )
    bint sum_plain_pairs[T](const T*, const int64_t* label, Py_ssize_t rows, vec[float]* e, double* sum)
    void find_plain_pairs[T](const vec[float]*, const int64_t* label, Py_ssize_t rows, double unit, T*, bint)

cdef extern from "<sums.h>" namespace "fastce" nogil:
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
    void store_products[T](double*, vec[T], vec[T], vec[T] offset)
    double lane_sum[T](vec[T])
    void add_lanes[T](const vec[T]*, Py_ssize_t, double* sums, double* lost)
    double lane_max[T](vec[T])

cdef extern from "<sweep.h>" namespace "fastce" nogil:
    void sweep_span[T](const T*, Py_ssize_t, double anchor, vec[T]* exps, wide_sum[T]*)
    void take_exps[T](const T* x, const T* ahead, Py_ssize_t, const vec[T]* anchors, vec[T]*)

cdef extern from "<columns.h>" namespace "fastce" nogil:
    cdef cppclass wide_lanes[T]:
        void clear()
        void add(vec[T])
        void add_product(vec[T], vec[T], const double*)
        void store(double*)
    cdef cppclass row_lanes[T]:
        const vec[T]* labels
        const vec[T]* at_label
        const vec[T]* live
        const vec[T]* a
        const vec[T]* b
        const vec[T]* c
    double end_plain_lanes[T](
        const wide_lanes[T]*, const vec[T]*, Py_ssize_t, double, const plain_rows[T]&
    )
    void put_labels[T](const int64_t*, Py_ssize_t, vec[T]*)
    void add_classes[T](
        const vec[T]*, Py_ssize_t pitch, Py_ssize_t vectors, int64_t c, Py_ssize_t classes,
        const vec[T]* labels, wide_lanes[T]* sums, vec[T]* own,
    )
    cdef struct run_writer:
        bint streaming
        char* stages
        bint begun, left
    Py_ssize_t kStage "fastce::run_writer::kStage"
    row_lanes[T] in_step[T](
        const row_lanes[T]&, const T*, Py_ssize_t stride, Py_ssize_t vectors, vec[T]* room
    )
    void write_gradient[T](T*, Py_ssize_t, const run_writer&, int64_t c, const vec[T]*, const row_lanes[T]&)
    void write_curvature[T](T*, Py_ssize_t, const run_writer&, int64_t c, const vec[T]*, const row_lanes[T]&)
    void write_difference[T](T*, Py_ssize_t, const run_writer&, int64_t c, const T* x, const row_lanes[T]&)

cdef extern from "<rows.h>" namespace "fastce" nogil:
    int kOutOfRange, kClearWinner, kFaded
    const double kFadedBelow
    bint all_classes(const int64_t*, Py_ssize_t, int64_t, int64_t)
    cdef struct weighed:
        wide_sum[double] sum
        Py_ssize_t nonzero, skipped
    cdef struct row_coefficients:
        vec[double] alpha, total, inverse, factor, at_label
    row_coefficients coefficients_of(vec[double], vec[double], vec[double], vec[double], vec[double])
    weighed weigh(
        const double* by_class, const double* by_sample, bint drops, Py_ssize_t n, double* weight,
        double* kappa,
    )
    void take_labels_out[T](
        const vec[T]*, const double* logit, const double* partner, const double* anchor,
        const double* rounding, double* rest, double* own, Py_ssize_t,
    )
    int judge_sums(double* rest, double* own, const double* weight, Py_ssize_t)
    double log_of_product(const double* rest, const double* own, Py_ssize_t)
    enum:
        kPlainRun
        kPlainVectors
    const double kLeastUnit
    const double kMostUnit
    cdef cppclass plain_rows[T]:
        vec[T]* high
        vec[T]* low
        vec[T]* at_label
    double end_plainly[T](const double*, const double*, Py_ssize_t, double, plain_rows[T])
    void split_doubles[T](const double*, const double*, Py_ssize_t, vec[T]*, vec[T]*)

cdef extern from "<logistic.h>" namespace "fastce" nogil:
    const double kLeastMean
    cdef cppclass logistic_doubt[T]:
        void see(vec[T] x)
        vec[T] see_label(vec[T] z)
        bint hard()
        bint none()
    cdef cppclass binary_doubt[T]:
        void see(vec[T] p, vec[T] z, vec[T] q)
        bint hard()
        bint none(double eps)
    cdef cppclass log_product[T]:
        void add(vec[T], vec[T])
        void multiply(vec[T], vec[T])
        void take_exponents()
        double value()
    const vec[T]* from_lane[T](const vec[T]*, Py_ssize_t)
    vec[T] negative_at_one[T](vec[T], vec[T])
    vec[T] flipped[T](vec[T], vec[T])
    bint all_hard(const double*, Py_ssize_t)
    vec[T] minus_size[T](vec[T])
    vec[T] quotient[T](vec[T], vec[T], vec[T]*)
    vec[T] moderate_exp[T](vec[T])
    vec[T] log1p_of_share[T](vec[T])

cdef extern from "<labels.h>" namespace "fastce" nogil:
    bint pack_labels(const float*, Py_ssize_t, unsigned char*)
    void unpack_labels[T](const unsigned char*, Py_ssize_t, Py_ssize_t, vec[T] one, vec[T]*)

cdef extern from "<soft.h>" namespace "fastce" nogil:
    cdef cppclass soft_chunk[T]:
        const vec[T]* x
        const vec[T]* near
        const vec[T]* far
        Py_ssize_t n
        const double* ratio
        const double* weight
        double keep, share, unit
        vec[T]* losses
        T* grad
        T* hess
        bint streams
    cdef cppclass soft_sum[T]:
        bint good()
        double value()
    void soft_step[T, S](const soft_chunk[T]&, const S* z, bint binary, bint logs, soft_sum[T]*)

cdef extern from "<elements.h>" namespace "fastce" nogil:
    void numbers[T](const char*, int kind, Py_ssize_t n, vec[T]* out)
    int I8, I16, I32, I64, U8, U16, U32, U64, F16, BF16, F32, F64

cdef extern from "<layout.h>" namespace "fastce" nogil:
    ctypedef struct layout:
        const char* data
        int kind
        bint swapped
        Py_ssize_t size, itemsize
    void no_axes(layout*)
    void add_axis(layout*, Py_ssize_t length, Py_ssize_t stride)
    layout in_memory_order(const layout&)
    void prefetch_elements(const layout*, Py_ssize_t first, Py_ssize_t n)
    void integers_at(const layout*, Py_ssize_t first, Py_ssize_t n, int64_t* out)
    const int64_t* find_integers(const layout*, Py_ssize_t first, Py_ssize_t n, int64_t* room)
    void doubles_at(const layout*, Py_ssize_t first, Py_ssize_t n, double* out)
    const double* find_doubles(const layout*, Py_ssize_t first, Py_ssize_t n, double* room)
    bint are_weights(const char*, int kind, Py_ssize_t n)
    bint weights_at(const layout*, Py_ssize_t first, Py_ssize_t n)

cdef extern from "<stream.h>" namespace "fastce" nogil:
    cdef struct writer:
        char* out
        bint direct
    writer write_through(char* stage, bint direct)
    void seek(writer&, char*)
    char* room(const writer&)
    Py_ssize_t line_gap(const writer&)
    void stream[T](T*, vec[T])
    void skip(writer&, Py_ssize_t)
    void advance(writer&, Py_ssize_t)
    void finish(writer&)
    int64_t sweep_bytes(const char*, Py_ssize_t)
    void copy_bytes(const char*, char*, Py_ssize_t)

cdef extern from "<thread.h>" namespace "fastce" nogil:
    const int kOpenMP
    int most_threads()
    void end_threads()
    uint64_t plain_arithmetic()
    void give_back(uint64_t)

ctypedef fused real:
    float
    double
    float16
    bfloat16
