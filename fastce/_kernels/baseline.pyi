"""module.pyx as it is seen from Python; avx2 and avx512 have the same names.

A function returns its result, or a whole number that tells why there is none (_dispatch/loss.py).
`given` are the arguments of a loss in the order of their named tuple, as the user gave them.
"""

from collections.abc import Callable
from typing import Any, SupportsIndex

from numpy.typing import NDArray

_Array = NDArray[Any]
_ThreadsFor = Callable[[int, SupportsIndex | None], int]

isa: str

def vector_bytes() -> int: ...
def openmp() -> int: ...
def max_threads() -> int: ...
def release_threads() -> None: ...
def compiler() -> str: ...
def softmax_cross_entropy(
    given: tuple[Any, ...],
    threads_for: _ThreadsFor,
    streaming_bytes: int,
    known: int = 0,
    divisor: float | None = None,
) -> Any: ...
def binary_losses(
    given: tuple[Any, ...],
    threads_for: _ThreadsFor,
    streaming_bytes: int,
    known: int = 0,
    divisor: float | None = None,
) -> Any: ...
def activation(
    output: int,
    logits: Any,
    axis: Any,
    out: Any,
    num_threads: Any,
    threads_for: _ThreadsFor,
    streaming_bytes: int,
    known: int = 0,
) -> Any: ...
def sigmoid(
    logits: Any,
    out: Any,
    num_threads: Any,
    threads_for: _ThreadsFor,
    streaming_bytes: int,
    known: int = 0,
) -> Any: ...
def row_statistics(
    given: tuple[Any, ...], names: tuple[str, ...], threads_for: _ThreadsFor, known: int = 0
) -> Any: ...
def divergence(
    function: int,
    logits: _Array,
    reference: _Array,
    sample_weight: _Array | None,
    temperature: float,
    divisor: float,
    grad: _Array | None,
    losses: _Array | None,
    num_threads: int,
) -> float: ...
def read_sweep(source: _Array, num_threads: int) -> int: ...
def copy_sweep(source: _Array, destination: _Array, num_threads: int) -> None: ...
def vector_function(function: int, x: _Array, out: _Array, kind: int) -> None: ...
