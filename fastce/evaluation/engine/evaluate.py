"""The public function: evaluate logits in files or in memory."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

import fastce
from fastce._validation.scalars import as_flag, as_integer
from fastce.evaluation.engine.inputs import Given, Layout, open_pairs
from fastce.evaluation.engine.pairs import notes_on
from fastce.evaluation.engine.run import Listener, Rules, check_labels_of, run_pairs, threads_for
from fastce.evaluation.options import LOSSES
from fastce.evaluation.state import Evaluation
from fastce.readers.source import Silence

if TYPE_CHECKING:
    from fastce.evaluation.results.result import EvaluationResult

_UNUSED = -100  # marks rows that do not count, where the ignored label is beyond int64


class _Warnings(Listener):
    def note(self, text: str) -> None:
        warnings.warn(text, UserWarning, stacklevel=4)


def evaluate(
    logits: Any,
    labels: Any = None,
    *,
    axis: int = -1,
    ignore_index: int | Sequence[int] = -100,
    class_weight: ArrayLike | None = None,
    label_smoothing: float = 0.0,
    temperature: float = 1.0,
    groups: Any = None,
    mask: Any = None,
    shift: int = 0,
    token_bytes: ArrayLike | None = None,
    loss: str = "softmax",
    probabilities: bool = False,
    hardest: int = 50,
    bootstrap: int = 0,
    seed: int = 0,
    confusions: bool = True,
    key: str | None = None,
    labels_key: str | None = None,
    dtype: str | None = None,
    num_threads: int | None = None,
    state: Evaluation | None = None,
) -> EvaluationResult:
    r"""Evaluate a classifier or language model by its logits, which are read once.

    Parameters
    ----------
    logits : path, array, or a list of them; shape (..., C, ...)
        Files of any format that fastce reads, patterns of files such as ``"part*.npy"``, arrays,
        memory maps, or anything with a shape, a dtype and slices of its first axis. Files are read
        piece by piece, whatever their size.
    labels : as `logits`, of integers; shape of the logits without `axis`, optional
        One for each of the logits, or one with the labels of all. Without it every file of logits
        holds both. All labels are checked before the first logit is read.
    axis : int, default -1
        Axis of the classes.
    ignore_index : int or sequence of int, default -100
        Labels whose rows do not count.
    class_weight : array_like, shape (C,), optional
        Weights of the classes; the mean loss is divided by the sum of the rows' weights.
    label_smoothing : float, default 0
        Share of the target that is spread over all classes, in [0, 1].
    temperature : float, default 1
        What logits are divided by.
    groups : as `labels`, of integers, optional
        The group of each row, such as the document of a token: shape of the labels or of their
        first axes.
    mask : as `labels`, optional
        0 where a label does not count: shape of the labels or of their first axes.
    shift : int, default 0
        Labels are tokens: the one at position t of the last axis is scored by the logits at
        position ``t - shift``. 1 for a causal language model whose labels are its input.
    token_bytes : array_like of int, shape (C,), optional
        Bytes of each class's text; gives bits per byte.
    loss : {"softmax", "sigmoid"}, default "softmax"
        One class a row, or a label of 0 or 1 for each logit; then labels have the logits' shape.
    probabilities : bool, default False
        Whether `logits` are probabilities. Rows are divided by their sum, which must be 1 within
        1 %.
    hardest, bootstrap, seed, confusions
        As for `Evaluation`.
    key, labels_key : str, optional
        Names of the arrays in their files; ``logits`` and ``labels`` by default.
    dtype : {"bfloat16"}, optional
        As which the bits of logits are read that were saved as two bytes without a meaning.
    num_threads : int, optional
        At most so many threads; the result does not depend on it. As `show_config` tells by
        default.
    state : Evaluation, optional
        Where rows are added; the result is then that of all its rows. Its weights, smoothing,
        temperature and how much it keeps stand; those given here are not looked at.

    Returns
    -------
    EvaluationResult

    Raises
    ------
    fastce.InputError
        If something cannot be read or does not fit: one line that says what, where, and what was
        expected.
    TypeError, ValueError
        If an option has no such value.

    Warns
    -----
    UserWarning
        If logits look like probabilities, another axis would fit as well, or a row has one logit.

    Notes
    -----
    What is computed, with the formulas, stands in docs/evaluation.md. Numbers are formed from exact
    sums: they have the same bits for any number of threads and any cut into files.

    Examples
    --------
    >>> import numpy as np
    >>> import fastce
    >>> result = fastce.evaluate(np.log([[0.5, 0.25, 0.25], [0.25, 0.5, 0.25]]), np.array([0, 2]))
    >>> round(result.loss, 6), result.accuracy
    (1.039721, 0.5)
    """
    request = Request(
        axis=axis,
        ignore_index=ignore_index,
        class_weight=class_weight,
        label_smoothing=label_smoothing,
        temperature=temperature,
        groups=groups,
        mask=mask,
        shift=shift,
        token_bytes=token_bytes,
        loss=loss,
        probabilities=probabilities,
        hardest=hardest,
        bootstrap=bootstrap,
        seed=seed,
        confusions=confusions,
        key=key,
        labels_key=labels_key,
        dtype=dtype,
        num_threads=num_threads,
    )
    return evaluated(logits, labels, request, state).result()


@dataclass(frozen=True)
class Request:
    """The options of `evaluate`."""

    axis: int = -1
    ignore_index: int | Sequence[int] = _UNUSED
    class_weight: ArrayLike | None = None
    label_smoothing: float = 0.0
    temperature: float = 1.0
    groups: Any = None
    mask: Any = None
    shift: int = 0
    token_bytes: ArrayLike | None = None
    loss: str = "softmax"
    probabilities: bool = False
    hardest: int = 50
    bootstrap: int = 0
    seed: int = 0
    confusions: bool = True
    key: str | None = None
    labels_key: str | None = None
    dtype: str | None = None
    num_threads: int | None = None
    first_row: int = 0  # of arrays in memory, as the ledger counts them


def evaluated(
    logits: Any, labels: Any, request: Request, state: Evaluation | None = None
) -> Evaluation:
    """Return the state of an evaluation of all rows: a new one, or that given, with them added."""
    if request.loss not in LOSSES:
        accepted = " and ".join(map(repr, LOSSES))
        raise ValueError(f"loss is {request.loss!r}, accepted are {accepted}")
    axis = as_integer(request.axis, "axis", "an integer")
    shift = as_integer(request.shift, "shift", "an integer >= 0")
    if shift < 0:
        raise ValueError(f"shift is {shift}, accepted is an integer >= 0")
    probabilities = as_flag(request.probabilities, "probabilities")
    threads = fastce.show_config(mode="dict")["threads"]
    if request.num_threads is not None:
        threads = as_integer(request.num_threads, "num_threads", "an integer >= 1")
        if threads < 1:
            raise ValueError(f"num_threads is {threads}, accepted is an integer >= 1")
    ignored = ignored_labels(request.ignore_index)
    layout = Layout(
        axis, request.loss == "sigmoid", request.key, request.labels_key, request.dtype, shift
    )
    pairs = open_pairs(Given(logits, labels, request.mask, request.groups), layout, Silence())
    if state is None:
        state = Evaluation(
            pairs[0].classes,
            class_weight=request.class_weight,
            label_smoothing=request.label_smoothing,
            ignore_index=marker(ignored),
            temperature=request.temperature,
            hardest=request.hardest,
            bootstrap=request.bootstrap,
            seed=request.seed,
            confusions=request.confusions,
            loss=request.loss,
            token_bytes=request.token_bytes,
        )
    elif not isinstance(state, Evaluation):
        raise TypeError(f"state is {type(state).__name__}, accepted is an Evaluation")
    elif (state.options["classes"], state.options["loss"]) != (pairs[0].classes, request.loss):
        raise ValueError(
            f"state is of {state.options['classes']} classes and loss {state.options['loss']!r}, "
            f"accepted is one of {pairs[0].classes} and {request.loss!r}"
        )
    listener = _Warnings()
    for pair in pairs:
        for text in notes_on(pair):
            listener.note(text)
    rules = Rules(ignored, shift, probabilities, request.first_row)
    check_labels_of(pairs, rules)
    run_pairs(pairs, state, rules, threads_for(pairs, threads), listener)
    return state


def ignored_labels(ignore_index: int | Sequence[int]) -> tuple[int, ...]:
    """Return the labels that do not count, each once."""
    values: Any = [ignore_index] if np.ndim(ignore_index) == 0 else ignore_index
    found = [as_integer(value, "ignore_index", "an integer, or several") for value in values]
    return tuple(dict.fromkeys(found))


def marker(ignored: Sequence[int]) -> int:
    """Return the one label by which the state knows rows that do not count."""
    return next((label for label in ignored if -(2**63) <= label < 2**63), _UNUSED)
