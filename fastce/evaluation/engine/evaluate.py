"""The public function: evaluate logits in files or in memory."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

import fastce
from fastce.evaluation.engine.inputs import Given, Layout, open_pairs
from fastce.evaluation.engine.pairs import Pair, notes_on
from fastce.evaluation.engine.run import Listener, Rules, run_pairs, threads_for
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
        Where rows are added; the result is then that of all its rows. Its options stand, and those
        given here must be the defaults or the same.

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
    ignored = ignored_labels(ignore_index)
    layout = Layout(axis, loss == "sigmoid", key, labels_key, dtype, shift)
    pairs = open_pairs(Given(logits, labels, mask, groups), layout, Silence())
    if state is None:
        state = Evaluation(
            pairs[0].classes,
            class_weight=class_weight,
            label_smoothing=label_smoothing,
            ignore_index=marker(ignored),
            temperature=temperature,
            hardest=hardest,
            bootstrap=bootstrap,
            seed=seed,
            confusions=confusions,
            loss=loss,
            token_bytes=token_bytes,
        )
    listener = _Warnings()
    for pair in pairs:
        for text in notes_on(pair):
            listener.note(text)
    wanted = num_threads or fastce.show_config(mode="dict")["threads"]
    run_pairs(pairs, state, Rules(ignored, shift, probabilities), threads_for(pairs, wanted), listener)
    return state.result()


def ignored_labels(ignore_index: int | Sequence[int]) -> tuple[int, ...]:
    """Return the labels that do not count, each once."""
    values = [ignore_index] if np.ndim(ignore_index) == 0 else list(ignore_index)  # type: ignore[arg-type]
    return tuple(dict.fromkeys(int(value) for value in values))  # type: ignore[call-overload]


def marker(ignored: Sequence[int]) -> int:
    """Return the one label by which the state knows rows that do not count."""
    return next((label for label in ignored if -(2**63) <= label < 2**63), _UNUSED)
