"""The dtypes that are accepted, in either byte order."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Dtype = np.dtype[Any]

INTEGERS = frozenset(map(np.dtype, ("i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8")))
FLOATS = frozenset(map(np.dtype, ("f2", "f4", "f8")))
LOGIT_DTYPES = "float32, float64, float16 or bfloat16"
INTEGER_DTYPES = "integers of 8 to 64 bits"


def native(dtype: Dtype) -> Dtype:
    """Return a dtype in native byte order, or as it is where it has none."""
    return dtype if dtype.isnative else dtype.newbyteorder("=")


def is_bfloat16(dtype: Dtype) -> bool:
    """Whether this is the bfloat16 of ml_dtypes, which NumPy itself does not have."""
    return dtype.itemsize == 2 and dtype.name == "bfloat16"


def is_float(dtype: Dtype) -> bool:
    """Whether logits may have this dtype."""
    return native(dtype) in FLOATS or is_bfloat16(dtype)


def is_integer(dtype: Dtype) -> bool:
    """Whether labels of classes may have this dtype."""
    return native(dtype) in INTEGERS


def losses_dtype(dtype: Dtype) -> Dtype:
    """Return the dtype of single losses: that of the logits, float32 for half precision."""
    return np.dtype(np.float64 if dtype.itemsize == 8 else np.float32)
