"""matrix.pyx as it is seen from Python; avx2 and avx512 have the same names.

An array is passed as its buffer, with what the buffer does not tell beside it: `kind` is the number
of its dtype, strides are in bytes, and None stands for an argument that was not given. Outputs come
after inputs. Functions that begin with `plain` see for themselves what arrays they were given, and
return None for all but the plainest.
"""

from typing import Any

from numpy.typing import NDArray

_Array = NDArray[Any]

isa: str

def vector_bytes() -> int: ...
def openmp() -> int: ...
def max_threads() -> int: ...
def release_threads() -> None: ...
def compiler() -> str: ...
def softmax_cross_entropy(
    logits: _Array,
    kind: int,
    outer: int,
    classes: int,
    inner: int,
    outer_stride: int,
    class_stride: int,
    labels: _Array,
    label_kind: int,
    targets_given: bool,
    target_outer_stride: int,
    target_class_stride: int,
    ignore_index: int,
    class_weight: _Array | None,
    sample_weight: _Array | None,
    weight_kind: int,
    label_smoothing: float,
    weight_sum: float,
    z_loss: float,
    grad: _Array | None,
    grad_outer_stride: int,
    grad_class_stride: int,
    hess: _Array | None,
    streaming: bool,
    divisor: float,
    losses: _Array | None,
    num_threads: int,
) -> tuple[float, float, int, int, int]: ...
def elementwise(
    function: int,
    x: _Array,
    kind: int,
    outer: int,
    summed: int,
    inner: int,
    labels: _Array | None,
    label_kind: int,
    label_size: int,
    sample_weight: _Array | None,
    weight_kind: int,
    pos_weight: _Array | None,
    period: int,
    label_smoothing: float,
    eps: float,
    grad: _Array | None,
    hess: _Array | None,
    streaming: bool,
    divisor: float,
    losses: _Array | None,
    hard: _Array | None,
    check_only: bool,
    num_threads: int,
) -> tuple[float, int]: ...
def label_memory(elements: int) -> _Array | None: ...
def activation(
    output: int,
    x: _Array,
    kind: int,
    outer: int,
    classes: int,
    inner: int,
    outer_stride: int,
    class_stride: int,
    out: _Array,
    out_outer_stride: int,
    out_class_stride: int,
    streaming: bool,
    num_threads: int,
) -> None: ...
def count_labels(
    labels: _Array,
    kind: int,
    classes: int,
    ignore_index: int,
    class_weight: _Array | None,
    sample_weight: _Array | None,
    weight_kind: int,
    num_threads: int,
) -> tuple[float, float, int, int, int]: ...
def weigh(
    numbers: _Array, kind: int, add_up: bool, num_threads: int
) -> tuple[bool, float, int, int]: ...
def plain_softmax_cross_entropy(
    logits: object,
    labels: object,
    grad_out: object,
    return_grad: bool,
    label_smoothing: float,
    z_loss: float,
    ignore_index: int,
    streaming_bytes: int,
    num_threads: int,
) -> float | tuple[float, _Array] | None: ...
def plain_activation(
    output: int, logits: object, out: _Array | None, streaming_bytes: int, num_threads: int
) -> _Array | None: ...
def plain_elementwise(
    function: int,
    inputs: object,
    labels: object,
    out: _Array | None,
    return_out: bool,
    label_smoothing: float,
    eps: float,
    streaming_bytes: int,
    num_threads: int,
) -> Any: ...
def read_sweep(source: _Array, num_threads: int) -> int: ...
def copy_sweep(source: _Array, destination: _Array, num_threads: int) -> None: ...
def vector_function(function: int, x: _Array, out: _Array, kind: int) -> None: ...
