"""The implementations that are measured: fastce and those it is compared with.

Each takes the same two arrays. `place` brings them into the library's own kind of array, outside
the clock and without a copy where the library allows; `loss` and `loss_and_gradient` are timed.
Every opponent is written as its own documentation advises, and given what makes it fast: the
threads under test, memory to write to where it takes one, inputs already on the device.
"""

# ruff: noqa: D102 - the methods of `Candidate` are explained there, once

from __future__ import annotations

import shutil
from abc import ABC, abstractmethod
from importlib import metadata, util
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from bench.shapes import HOT_BYTES, Cell, parse

Array = npt.NDArray[Any]


class Candidate(ABC):
    """One implementation of one function, prepared for one cell."""

    name: ClassVar[str]
    module: ClassVar[str]
    distribution: ClassVar[str]

    def __init__(self, cell: Cell) -> None:
        self.cell = cell
        self.shape = parse(cell.shape)
        self.axis = self.shape.axis
        self.threads = cell.threads
        self.reduction = cell.reduction

    @classmethod
    def version(cls) -> str:
        """Return the version of the installed library."""
        return metadata.version(cls.distribution)

    @classmethod
    def available(cls) -> bool:
        """Say whether the library can run here; do not import it."""
        return util.find_spec(cls.module) is not None

    @classmethod
    def supports(cls, cell: Cell) -> bool:
        """Say whether the library has this function for this dtype and this class axis."""
        return True

    def place(self, logits: Array, labels: Array) -> tuple[Any, Any]:
        """Bring the arrays into the library's own kind, outside the clock."""
        return logits, labels

    @abstractmethod
    def loss(self, logits: Any, labels: Any) -> Any:
        """Return the mean loss, or one loss per row."""

    @abstractmethod
    def loss_and_gradient(self, logits: Any, labels: Any, grad_out: Array | None) -> Any:
        """Return the mean loss and its gradient, in `grad_out` where the library takes it."""

    def reduced(self, losses: Any) -> Any:
        """Take the mean where the cell wants it."""
        return losses.mean() if self.reduction == "mean" else losses


class Fastce(Candidate):
    """What all this is about; `supports` asks it, as functions and dtypes arrive one by one."""

    name = module = distribution = "fastce"

    def __init__(self, cell: Cell) -> None:
        super().__init__(cell)
        import fastce

        self.function = getattr(fastce, cell.function)
        # A small call is left to choose, up to OMP_NUM_THREADS, as it is when nobody says anything.
        threads = None if is_hot(cell) else cell.threads
        self.options: dict[str, Any] = {"num_threads": threads, "reduction": cell.reduction}
        if cell.is_softmax:
            self.options["axis"] = self.axis

    @classmethod
    def supports(cls, cell: Cell) -> bool:
        import fastce

        function = getattr(fastce, cell.function, None)
        if function is None or not cell.is_half:  # any other TypeError is an error
            return function is not None
        logits = np.zeros((1, 2), dtype_of(cell.dtype))
        try:
            function(logits, np.zeros(1, np.int64) if cell.is_softmax else logits)
        except TypeError:  # what fastce answers to a dtype that it does not compute in
            return False
        return True

    def loss(self, logits: Any, labels: Any) -> Any:
        return self.function(logits, labels, **self.options)

    def loss_and_gradient(self, logits: Any, labels: Any, grad_out: Array | None) -> Any:
        return self.function(logits, labels, return_grad=True, grad_out=grad_out, **self.options)


class NumPySoftmax(Candidate):
    """Shift by the maximum, exponentials, sum, logarithm; temporaries used again where possible."""

    name = "NumPy"
    module = distribution = "numpy"

    def loss(self, logits: Any, labels: Any) -> Any:
        shifted = logits - logits.max(axis=self.axis, keepdims=True)
        picked = np.take_along_axis(shifted, np.expand_dims(labels, self.axis), axis=self.axis)
        np.exp(shifted, out=shifted)
        log_sum = np.log(shifted.sum(axis=self.axis, keepdims=True))
        return self.reduced((log_sum - picked).squeeze(self.axis))

    def loss_and_gradient(self, logits: Any, labels: Any, grad_out: Array | None) -> Any:
        labels = np.expand_dims(labels, self.axis)
        top = logits.max(axis=self.axis, keepdims=True)
        grad = np.subtract(logits, top, out=grad_out)
        picked = np.take_along_axis(grad, labels, axis=self.axis)
        np.exp(grad, out=grad)
        total = grad.sum(axis=self.axis, keepdims=True)
        loss = self.reduced((np.log(total) - picked).squeeze(self.axis))
        grad /= total * labels.size
        at_label = np.take_along_axis(grad, labels, axis=self.axis) - 1 / labels.size
        np.put_along_axis(grad, labels, at_label, axis=self.axis)
        return loss, grad


class NumPySigmoid(Candidate):
    """Both signs through exp(-abs(x)), which cannot overflow."""

    name = "NumPy"
    module = distribution = "numpy"

    def loss(self, logits: Any, labels: Any) -> Any:
        softplus = np.log1p(np.exp(-np.abs(logits)))
        return self.reduced(np.maximum(logits, 0) - logits * labels + softplus)

    def loss_and_gradient(self, logits: Any, labels: Any, grad_out: Array | None) -> Any:
        small = np.exp(-np.abs(logits))
        loss = self.reduced(np.maximum(logits, 0) - logits * labels + np.log1p(small))
        grad = np.divide(np.where(logits >= 0, 1, small), 1 + small, out=grad_out)
        grad -= labels
        grad /= labels.size
        return loss, grad


class PyTorch(Candidate):
    """`torch.nn.functional`, its backward by autograd."""

    name = "PyTorch"
    module = distribution = "torch"

    def __init__(self, cell: Cell) -> None:
        super().__init__(cell)
        import torch

        self.torch = torch
        torch.set_num_threads(cell.threads)
        functional = torch.nn.functional
        self.compute = (
            functional.cross_entropy
            if cell.is_softmax
            else functional.binary_cross_entropy_with_logits
        )

    def place(self, logits: Array, labels: Array) -> tuple[Any, Any]:
        placed = self.tensor(logits)
        target = self.tensor(labels)
        if self.cell.is_softmax:  # PyTorch has the classes on axis 1
            if self.shape.classes_last:
                placed = placed.reshape(-1, self.shape.classes)
                target = target.reshape(-1)
            else:
                placed = placed.movedim(self.axis, 1)
        return placed.requires_grad_(), target

    def tensor(self, array: Array) -> Any:
        if array.dtype.name == "bfloat16":  # no NumPy type of its own
            return self.torch.from_numpy(array.view(np.int16)).view(self.torch.bfloat16)
        return self.torch.from_numpy(array)

    def loss(self, logits: Any, labels: Any) -> Any:
        with self.torch.no_grad():
            return self.compute(logits, labels, reduction=self.reduction)

    def loss_and_gradient(self, logits: Any, labels: Any, grad_out: Array | None) -> Any:
        loss = self.compute(logits, labels, reduction=self.reduction)
        return loss.detach(), self.torch.autograd.grad(loss, logits)[0]


class TorchCompile(PyTorch):
    """The same through `torch.compile`, which needs a C++ compiler and some seconds per shape."""

    name = "torch.compile"

    def __init__(self, cell: Cell) -> None:
        super().__init__(cell)
        # Without this the ninth shape would silently run uncompiled.
        self.torch.compiler.reset()
        self.compute = self.torch.compile(self.compute, dynamic=False)

    @classmethod
    def available(cls) -> bool:
        return super().available() and any(shutil.which(name) for name in ("g++", "clang++"))


class Jax(Candidate):
    """`jax.jit` of the loss or of `value_and_grad`; the arrays are on the device beforehand."""

    name = "JAX"
    module = distribution = "jax"

    def __init__(self, cell: Cell) -> None:
        super().__init__(cell)
        import jax

        # Its threads are those of the process: see measure.environment.
        self.jax: Any = jax
        self.jax.config.update("jax_enable_x64", cell.dtype == "float64")
        compute = self.softmax if cell.is_softmax else self.sigmoid
        self.compiled_loss = jax.jit(compute)
        self.compiled_gradient = jax.jit(jax.value_and_grad(compute))

    def softmax(self, logits: Any, labels: Any) -> Any:
        picked = self.jax.numpy.take_along_axis(
            logits, self.jax.numpy.expand_dims(labels, self.axis), axis=self.axis
        )
        log_sum = self.jax.nn.logsumexp(logits, axis=self.axis)
        return self.reduced(log_sum - picked.squeeze(self.axis))

    def sigmoid(self, logits: Any, labels: Any) -> Any:
        log_sigmoid = self.jax.nn.log_sigmoid
        return self.reduced(-labels * log_sigmoid(logits) - (1 - labels) * log_sigmoid(-logits))

    def place(self, logits: Array, labels: Array) -> tuple[Any, Any]:
        if self.cell.is_softmax:
            labels = labels.astype(np.int32)  # the integers that JAX works with by default
        placed: tuple[Any, Any] = self.jax.device_put((logits, labels))
        return placed

    def loss(self, logits: Any, labels: Any) -> Any:
        return self.compiled_loss(logits, labels).block_until_ready()

    def loss_and_gradient(self, logits: Any, labels: Any, grad_out: Array | None) -> Any:
        return self.jax.block_until_ready(self.compiled_gradient(logits, labels))


class ScikitLearn(Candidate):
    """The losses inside its linear models and its gradient boosting."""

    name = "scikit-learn"
    module = "sklearn"
    distribution = "scikit-learn"

    def __init__(self, cell: Cell) -> None:
        super().__init__(cell)
        from sklearn._loss import HalfBinomialLoss, HalfMultinomialLoss

        self.weight: Array | None = None
        self.computed = (
            HalfMultinomialLoss(n_classes=self.shape.classes)
            if cell.is_softmax
            else HalfBinomialLoss()
        )

    @classmethod
    def supports(cls, cell: Cell) -> bool:
        return not cell.is_half and (parse(cell.shape).classes_last or not cell.is_softmax)

    def place(self, logits: Array, labels: Array) -> tuple[Any, Any]:
        labels = labels.reshape(-1).astype(logits.dtype)
        if self.weight is None:  # of a mean; multiplied in by its own loop, so no sweep follows
            self.weight = np.full(labels.shape, 1 / labels.size, labels.dtype)
        return self.flat(logits), labels

    def flat(self, array: Array) -> Array:
        return array.reshape((-1, self.shape.classes) if self.cell.is_softmax else -1)

    def loss(self, logits: Any, labels: Any) -> Any:
        return self.reduced(self.computed.loss(labels, logits, n_threads=self.threads))

    def loss_and_gradient(self, logits: Any, labels: Any, grad_out: Array | None) -> Any:
        losses, grad = self.computed.loss_gradient(
            labels,
            logits,
            sample_weight=self.weight,
            gradient_out=None if grad_out is None else self.flat(grad_out),
            n_threads=self.threads,
        )
        return losses.sum(), grad


class ScikitLearnMetric(Candidate):
    """`sklearn.metrics.log_loss`, given the probabilities; it has no gradient."""

    name = "log_loss"
    module = "sklearn"
    distribution = "scikit-learn"

    @classmethod
    def supports(cls, cell: Cell) -> bool:
        return cell.is_softmax and cell.mode == "loss" and ScikitLearn.supports(cell)

    def place(self, logits: Array, labels: Array) -> tuple[Any, Any]:
        from scipy.special import softmax

        return softmax(logits.reshape(-1, self.shape.classes), axis=1), labels.reshape(-1)

    def loss(self, logits: Any, labels: Any) -> Any:
        from sklearn.metrics import log_loss

        return log_loss(labels, logits, labels=range(self.shape.classes))

    def loss_and_gradient(self, logits: Any, labels: Any, grad_out: Array | None) -> Any:
        raise NotImplementedError("log_loss has no gradient")


OPPONENTS: dict[str, dict[str, type[Candidate]]] = {
    function: {opponent.name: opponent for opponent in (numpy_version, *others)}
    for function, numpy_version, others in (
        (
            "softmax_cross_entropy",
            NumPySoftmax,
            (PyTorch, TorchCompile, Jax, ScikitLearn, ScikitLearnMetric),
        ),
        ("sigmoid_cross_entropy", NumPySigmoid, (PyTorch, TorchCompile, Jax, ScikitLearn)),
    )
}

NAMES = tuple(OPPONENTS["softmax_cross_entropy"])
# Those that need no seconds of compilation per cell and compute what fastce computes.
USUAL = ("NumPy", "PyTorch", "JAX", "scikit-learn")


def dtype_of(name: str) -> np.dtype[Any]:
    """Return the NumPy dtype of that name; bfloat16 is ml_dtypes' own."""
    if name == "bfloat16":
        import ml_dtypes

        dtype: np.dtype[Any] = np.dtype(ml_dtypes.bfloat16)
        return dtype
    return np.dtype(name)


def is_hot(cell: Cell) -> bool:
    """Say whether the arrays of this cell are measured in the processor's cache."""
    return parse(cell.shape).elements * dtype_of(cell.dtype).itemsize < HOT_BYTES


def installed(names: str) -> list[str]:
    """Return those of a list ("usual", "all", "none", or names with commas) that can run here."""
    wanted = {"usual": USUAL, "all": NAMES, "none": ()}.get(names, tuple(names.split(",")))
    unknown = [name for name in wanted if name not in NAMES]
    if unknown:
        raise ValueError(f"opponents are {unknown}, accepted: usual, all, none, {NAMES}")
    return [name for name in wanted if OPPONENTS["softmax_cross_entropy"][name].available()]
