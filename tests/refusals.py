"""What is refused (section 7 of the contract): bad values of every kind of argument.

Each is (value, error, parts of the message) by name; a part is found as a whole word. A value that
depends on the shape or dtype at hand is a function of the argument's good value.
"""

import collections
import decimal
import fractions

import ml_dtypes
import numpy as np

Array = np.ndarray
Refusals = dict[str, tuple[object, type[Exception], list[str]]]

HUGE = 10**400


class Raises:
    """An array-like of another library that cannot be read, as its own error says."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def __array__(self, dtype=None, copy=None) -> Array:
        raise self.error


class OnDevice:
    """An array in the memory of a graphics card."""

    def __dlpack_device__(self) -> tuple[int, int]:
        return 2, 0

    def __dlpack__(self, **options) -> object:
        raise BufferError("the device cannot be read")


def masked_rows(good):
    return [np.ma.masked_array(row) for row in np.atleast_1d(good)]


class Masked:
    """An object whose array is a masked one."""

    def __init__(self, like: Array) -> None:
        self.like = like

    def __array__(self, dtype=None, copy=None) -> Array:
        return np.ma.masked_array(self.like, mask=True)


def changed(array: Array, where: int, value: object) -> Array:
    """Return a copy of an array with one element (in C order) changed."""
    copy = np.array(array)
    copy.flat[where] = value
    return copy


def as_type(dtype: object) -> object:
    """Return a function that casts the good value."""
    return lambda good: np.asarray(good).astype(dtype)


# No kind of array takes these.
NO_ARRAY: Refusals = {
    "None": (None, TypeError, ["object"]),
    "a dict": ({"a": 1}, TypeError, ["object"]),
    "a generator": ((i for i in range(3)), TypeError, ["object"]),
    "objects": (as_type(object), TypeError, ["object"]),
    "complex numbers": (as_type(np.complex64), TypeError, ["complex64"]),
    "text": (as_type("U5"), TypeError, ["<U5"]),
    "bytes": (as_type("S5"), TypeError, []),
    "numbers as text": ([["1", "2"], ["1", "2"]], TypeError, []),
    "texts of any length": (
        lambda good: (
            np.full(np.shape(good), "1.5", np.dtypes.StringDType())
            if hasattr(np.dtypes, "StringDType")
            else np.full(np.shape(good), "1.5")
        ),
        TypeError,
        [],
    ),
    "dates": (as_type("M8[s]"), TypeError, ["datetime64[s]"]),
    "times": (as_type("m8[s]"), TypeError, ["timedelta64[s]"]),
    "records": (lambda good: np.zeros(np.shape(good), "f4,f4"), TypeError, ["f0"]),
    "void": (lambda good: np.zeros(np.shape(good), "V4"), TypeError, ["V4"]),
    "8-bit floats": (as_type(ml_dtypes.float8_e4m3fn), TypeError, ["float8_e4m3fn"]),
    "4-bit integers": (as_type(ml_dtypes.int4), TypeError, ["int4"]),
    "rows of unequal length": ([[1.0, 2.0], [1.0]], ValueError, ["accepted are arrays"]),
    "a masked array": (lambda good: np.ma.masked_array(good, mask=True), TypeError, ["filled()"]),
    "a masked array without a mask": (
        lambda good: np.ma.masked_array(good),
        TypeError,
        ["filled()"],
    ),
    "a list of masked rows": (masked_rows, TypeError, ["filled()"]),
    "masked rows in lists": (lambda good: [masked_rows(good)], TypeError, ["filled()"]),
    "an object whose array is masked": (lambda good: Masked(good), TypeError, ["filled()"]),
    "a tensor that needs its gradient": (
        Raises(RuntimeError("use detach()")),
        TypeError,
        ["detach()"],
    ),
    "a tensor that says no": (Raises(TypeError("use get()")), TypeError, ["get()"]),
    "a tensor on another device": (OnDevice(), TypeError, ["OnDevice"]),
}

FLOATS: Refusals = NO_ARRAY | {
    "integers": (as_type(np.int64), TypeError, ["int64", "float32, float64"]),
    "unsigned bytes": (as_type(np.uint8), TypeError, ["uint8", "float32, float64"]),
    "bool": (as_type(bool), TypeError, ["bool", "float32, float64"]),
    "long double": (as_type(np.longdouble), TypeError, [str(np.dtype(np.longdouble)), "float32"]),
    "a list of bools": ([[True, False]], TypeError, ["bool", "float32"]),
    "integers past int64": ([[2**70, 1]], TypeError, ["object", "float32"]),
}


def past(good: Array) -> Array:
    """Return labels, the last of which is the number of classes (which is 4)."""
    return changed(good, -1, 4)


LABELS: Refusals = NO_ARRAY | {
    "bool": (as_type(bool), TypeError, ["bool", "integers"]),
    "long double": (
        as_type(np.longdouble),
        TypeError,
        [str(np.dtype(np.longdouble))],
    ),
    "one past the last class": (past, ValueError, ["labels[7]", "4"]),
    "far past it": (lambda y: changed(y, 3, 2**40), ValueError, ["labels[3]", str(2**40)]),
    "negative": (lambda y: changed(y, 0, -1), ValueError, ["labels[0]", "-1"]),
    "next to the ignored": (lambda y: changed(y, 5, -101), ValueError, ["labels[5]", "-101"]),
    "smallest int64": (lambda y: changed(y, 5, -(2**63)), ValueError, ["labels[5]", str(-(2**63))]),
    "largest uint64": (
        lambda y: changed(y.astype(np.uint64), 6, 2**64 - 1),
        ValueError,
        ["labels[6]", str(2**64 - 1)],
    ),
    "the bits of -100": (  # what astype(uint64) makes of the label to ignore
        lambda y: changed(y.astype(np.uint64), 6, 2**64 - 100),
        ValueError,
        ["labels[6]", str(2**64 - 100)],
    ),
    "the bits of -100, swapped": (
        lambda y: changed(y.astype(np.dtype(np.uint64).newbyteorder()), 6, 2**64 - 100),
        ValueError,
        ["labels[6]", str(2**64 - 100)],
    ),
    "int8": (lambda y: changed(y.astype(np.int8), 2, -2), ValueError, ["labels[2]", "-2"]),
    "uint8": (lambda y: changed(y.astype(np.uint8), 2, 156), ValueError, ["labels[2]", "156"]),
    "the first of two": (
        lambda y: changed(changed(y, 2, 9), 4, -9),
        ValueError,
        ["labels[2]", "9"],
    ),
}
SHAPES_OF_LABELS: Refusals = {
    "too few": (lambda y: y[:7], ValueError, ["(7,)", "(8,)"]),
    "too many axes": (lambda y: y[:, None], ValueError, ["(8, 1)", "(8,)", ".reshape((8,))"]),
    "one-hot": (lambda y: np.eye(4, dtype=int)[y], ValueError, ["(8, 4)", "(8,)", "one-hot"]),
    "one for all": (np.array(1), ValueError, ["()", "(8,)"]),
    "a number": (1, ValueError, ["()", "(8,)"]),
    "floats, one a row": (as_type(np.float32), ValueError, ["probabilities", "(8,)", "(8, 4)"]),
}

PROBABILITIES: Refusals = {
    "negative": (lambda q: changed(q, 5, -0.25), ValueError, ["labels[1, 1]", "-0.25"]),
    "NaN": (lambda q: changed(q, 31, np.nan), ValueError, ["labels[7, 3]", "nan"]),
    "infinite": (lambda q: changed(q, 0, np.inf), ValueError, ["labels[0, 0]", "inf"]),
    "negative half": (
        lambda q: changed(q.astype(ml_dtypes.bfloat16), 5, -0.25),
        ValueError,
        ["labels[1, 1]", "-0.25"],
    ),
    "transposed": (lambda q: q.T, ValueError, ["(4, 8)", "(8, 4)"]),
    "one-hot integers": (
        as_type(np.int64),
        ValueError,
        ["(8, 4)", "(8,)", "one-hot rows and probabilities have a floating dtype"],
    ),
}


def fractions_of_one(name: str) -> Refusals:
    """Refusals of numbers that must lie in [0, 1]: probabilities, or labels of binary problems."""
    return {
        "above 1": (lambda z: changed(z, 5, 1.5), ValueError, [f"{name}[1, 1]", "1.5", "[0, 1]"]),
        "just above 1": (
            lambda z: changed(z.astype(np.float64), 5, 1 + 2.0**-52),
            ValueError,
            [f"{name}[1, 1]", "[0, 1]"],
        ),
        "negative": (
            lambda z: changed(z, 31, -0.25),
            ValueError,
            [f"{name}[7, 3]", "-0.25", "[0, 1]"],
        ),
        "too few rows": (lambda z: z[:7], ValueError, ["(7, 4)", "(8, 4)"]),
        "one row for all": (lambda z: z[0], ValueError, ["(4,)", "(8, 4)"]),
    }


BINARY_LABELS: Refusals = (
    NO_ARRAY
    | fractions_of_one("labels")
    | {
        "long double": (as_type(np.longdouble), TypeError, [str(np.dtype(np.longdouble))]),
        "NaN": (lambda z: changed(z, 0, np.nan), ValueError, ["labels[0, 0]", "nan"]),
        "infinite": (lambda z: changed(z, 0, np.inf), ValueError, ["labels[0, 0]", "inf"]),
        "classes": (
            lambda z: changed(z.astype(np.int64), 9, 2),
            ValueError,
            ["labels[2, 1]", "2", "[0, 1]"],
        ),
        "-1": (
            lambda z: changed(z.astype(np.int8), 9, -1),
            ValueError,
            ["labels[2, 1]", "-1", "[0, 1]"],
        ),
        "uint64": (
            lambda z: changed(z.astype(np.uint64), 9, 2**64 - 1),
            ValueError,
            ["labels[2, 1]", str(2**64 - 1)],
        ),
    }
)


def weights(name: str, wrong_shape: object, accepted: str, row: str = "") -> Refusals:
    """Refusals of an array of weights (`row` indexes its first row), and of a wrong shape."""
    bad: Refusals = {
        what: (lambda w, v=v: changed(w, 2, v), ValueError, [f"{name}[{row}2]", str(v)])
        for what, v in {"negative": -0.5, "NaN": np.nan, "infinite": np.inf}.items()
    }
    return {
        **{key: case for key, case in NO_ARRAY.items() if key != "None"},
        **bad,
        "past float64": (
            lambda w: (
                changed(np.asarray(w, np.longdouble), 1, np.longdouble("1e4000"))
                if np.finfo(np.longdouble).maxexp > 2000
                else changed(w, 1, np.inf)
            ),
            ValueError,
            [f"{name}[{row}1]"],
        ),
        "half": (
            lambda w: changed(np.asarray(w).astype(ml_dtypes.bfloat16), 2, -1),
            ValueError,
            [f"{name}[{row}2]", "-1"],
        ),
        "of another shape": (wrong_shape, ValueError, [str(np.shape(wrong_shape)), accepted]),
    }


ONE_FOR_ALL: Refusals = {
    "negative number": (-1.0, ValueError, ["-1.0"]),
    "NaN for all": (np.nan, ValueError, ["nan"]),
}


def numbers(below: float, above: float, accepted: str) -> Refusals:
    """Refusals of a number with bounds."""
    return {
        "below": (below, ValueError, [repr(below), accepted]),
        "above": (above, ValueError, [repr(above), accepted]),
        "NaN": (np.nan, ValueError, ["nan", accepted]),
        "NumPy's NaN": (np.float32("nan"), ValueError, ["nan", accepted]),
        "infinite": (np.inf, ValueError, ["inf", accepted]),
        "negative infinite": (-np.inf, ValueError, ["-inf", accepted]),
        "past every float": (HUGE, ValueError, [accepted]),
        "far below": (-HUGE, ValueError, [accepted]),
        "a ratio past every float": (fractions.Fraction(HUGE), ValueError, [accepted]),
        "half": (ml_dtypes.bfloat16(-4), ValueError, [accepted]),
        "text": ("0.1", TypeError, ["'0.1'", accepted]),
        "NumPy's text": (np.str_("0.1"), TypeError, [accepted]),
        "complex": (0.1j, TypeError, ["0.1j", accepted]),
        "NumPy's complex": (np.complex64(0.1), TypeError, [accepted]),
        "a time": (np.timedelta64(0, "s"), TypeError, [accepted]),
        "bool": (True, TypeError, ["True", accepted]),
        "NumPy's bool": (np.True_, TypeError, [accepted]),
        "a decimal": (decimal.Decimal("0.1"), TypeError, [accepted]),
        "an array": (np.array([0.1, 0.2]), TypeError, [accepted]),
        "a list": ([0.1], TypeError, ["[0.1]", accepted]),
        "a record": (np.zeros((), "f4,f4")[()], TypeError, [accepted]),
    }


NOTHING: Refusals = {"None": (None, TypeError, ["None"])}

NORMALIZERS: Refusals = (
    numbers(-3.0, np.inf, "accepted is a number > 0")
    | NOTHING
    | {
        "unknown": ("rows", ValueError, ["'rows'", "'weight', 'valid', 'all', 'nonzero'"]),
        "text": ("3", ValueError, ["'3'", "'weight', 'valid', 'all', 'nonzero'"]),
        "NumPy's text": (np.str_("3"), ValueError, ["'weight', 'valid', 'all', 'nonzero'"]),
        "bytes": (b"weight", TypeError, ["'weight', 'valid', 'all', 'nonzero'"]),
        "nothing": (0, ValueError, ["0", "> 0"]),
        "names": (np.array(["all", "all"]), TypeError, ["> 0"]),
    }
)

REDUCTIONS: Refusals = {
    repr(value): (value, ValueError, [repr(value), "'none', 'sum', 'mean'"])
    for value in ("avg", "MEAN", "", None, 1, True, b"mean", ["mean"])
} | {"an array": (np.array(["mean", "sum"]), ValueError, ["'none', 'sum', 'mean'"])}

FLAGS: Refusals = {
    repr(value): (value, TypeError, [repr(value), "True and False"])
    for value in (None, 0, 1, "no", "", [True])
} | {"an array": (np.array([True, False]), TypeError, ["True and False"])}


def integers(accepted: str) -> Refusals:
    """Refusals of what must be an integer."""
    return {
        "float": (1.0, TypeError, ["1.0", accepted]),
        "float -1": (-1.0, TypeError, ["-1.0", accepted]),
        "NumPy's float": (np.float64(-1), TypeError, [accepted]),
        "text": ("1", TypeError, ["'1'", accepted]),
        "bool": (True, TypeError, ["True", accepted]),
        "NumPy's bool": (np.True_, TypeError, [accepted]),
        "an array of floats": (np.array(1.0), TypeError, [accepted]),
        "an array": (np.array([-1, -1]), TypeError, [accepted]),
        "a tuple": ((0,), TypeError, ["(0,)", accepted]),
        "a type": (int, TypeError, [accepted]),
        "a time": (np.timedelta64(1, "s"), TypeError, [accepted]),
        "a fraction": (fractions.Fraction(1), TypeError, [accepted]),
        "NaN": (np.nan, TypeError, ["nan", accepted]),
    }


AXES: Refusals = integers("an integer in [-2, 2)") | {
    "past the last": (2, ValueError, ["2", "[-2, 2)"]),
    "before the first": (-3, ValueError, ["-3", "[-2, 2)"]),
    "huge": (10**30, ValueError, [str(10**30), "[-2, 2)"]),
}
THREADS: Refusals = integers("None or an integer >= 1") | {
    "none": (0, ValueError, ["0", "None or an integer >= 1"]),
    "negative": (-1, ValueError, ["-1", "None or an integer >= 1"]),
    "very negative": (-(10**30), ValueError, ["None or an integer >= 1"]),
}
IGNORED: Refusals = integers("an integer") | NOTHING
IGNORED_LABELS: Refusals = IGNORED | {
    "past int64": (2**63, ValueError, [str(2**63), "[-2**63, 2**63)"]),
    "before int64": (-(2**63) - 1, ValueError, ["[-2**63, 2**63)"]),
}


def read_only(good: Array) -> Array:
    """Return a copy that cannot be written."""
    copy = good.copy()
    copy.flags.writeable = False
    return copy


def windows(good: Array) -> Array:
    """Return an array of overlapping windows, with the shape of another."""
    memory = np.full(sum(good.shape), 7, good.dtype)
    steps = [good.itemsize] * good.ndim
    return np.lib.stride_tricks.as_strided(memory, good.shape, steps)


OUTPUTS: Refusals = {
    "read-only": (read_only, ValueError, ["read-only"]),
    "transposed": (
        lambda good: (
            np.full((*good.shape[::-1], 1)[: good.ndim], 7, good.dtype)
            if good.ndim > 1
            else np.full(9, 7, good.dtype)
        ),
        ValueError,
        ["accepted"],
    ),
    "one more axis": (lambda good: good.copy()[None], ValueError, ["accepted"]),
    "double": (lambda good: good.astype(np.float64), ValueError, ["float64", "float32"]),
    "integers": (lambda good: good.astype(np.int32), ValueError, ["int32", "float32"]),
    "another byte order": (
        lambda good: good.astype(good.dtype.newbyteorder()),
        ValueError,
        [">f4", "float32"],
    ),
    "one element for all": (
        lambda good: np.lib.stride_tricks.as_strided(good.copy(), good.shape, [0] * good.ndim),
        ValueError,
        ["share memory"],
    ),
    "windows": (windows, ValueError, ["share memory"]),
    "masked": (lambda good: np.ma.masked_array(good), TypeError, ["MaskedArray"]),
    "a list": (lambda good: good.tolist(), TypeError, ["list"]),
    "a number": (1.0, TypeError, ["float"]),
    "text": ("here", TypeError, ["str"]),
    "a view of memory": (lambda good: memoryview(good.copy()), TypeError, ["memoryview"]),
    "a type": (np.ndarray, TypeError, ["type"]),
    "a named tuple": (collections.namedtuple("Pair", "a b")(1, 2), TypeError, ["Pair"]),
}
