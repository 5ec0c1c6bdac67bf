"""Row statistics: what their kernels are given."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from fastce import _kernels
from fastce._dispatch.blocks import Block, blocks_of, last
from fastce._dispatch.outcome import CHECKED, SCATTERED, UNREADABLE
from fastce._dispatch.threads import threads_for
from fastce._validation.arrays import as_floats, class_axis, without
from fastce._validation.dtypes import Array
from fastce._validation.fields import as_fields
from fastce._validation.labels import as_hard_labels, refuse_class_labels
from fastce._validation.scalars import LARGEST, SMALLEST, as_label, as_number

# The order in which kernels return them, and those that need labels.
FIELDS = (
    "loss",
    "logsumexp",
    "predicted",
    "rank",
    "confidence",
    "margin",
    "entropy",
    "brier",
    "mean_logit",
    "logit_variance",
)
OF_LABELS = ("loss", "rank", "brier")
WITHOUT_LABELS = tuple(name for name in FIELDS if name not in OF_LABELS)


class Statistics(NamedTuple):
    """The arguments of row_statistics."""

    logits: Any
    labels: Any
    fields: Any
    axis: Any
    ignore_index: Any
    temperature: Any
    num_threads: Any

    def run(self, known: int) -> Any:
        """Return what the kernels return."""
        return _kernels.active.row_statistics(self, FIELDS, threads_for, known)

    def checked(self) -> Statistics:
        """Return the arguments in the form that kernels read, or raise what is wrong with that."""
        x = as_floats(self.logits, "logits")
        axis = class_axis(x, self.axis)
        ignore_index = as_label(self.ignore_index, "ignore_index")
        labels = self.labels
        if labels is not None:
            labels = as_hard_labels(labels, x.shape, axis)
            if ignore_index == 2**63 - 1 and labels.size and labels.dtype.kind == "u":
                refuse_class_labels(labels, x.shape[axis], axis, ignore_index)
        return Statistics(
            x,
            labels,
            as_fields(self.fields, FIELDS, () if labels is not None else OF_LABELS),
            axis,
            ignore_index,
            as_number(self.temperature, "temperature", SMALLEST, LARGEST, "> 0 and finite"),
            self.num_threads,
        )

    def refuse(self) -> None:
        """Raise for the first label that is refused."""
        classes = self.logits.shape[self.axis]
        refuse_class_labels(self.labels, classes, self.axis, self.ignore_index)

    def block(self, block: Block) -> Statistics:
        """Return the call for a block of rows."""
        labels = self.labels
        return self._replace(
            logits=block.of(last(self.logits, self.axis)),
            labels=None if labels is None else block.of_rows(labels),
            axis=1,
        )


def row_statistics(given: tuple[Any, ...]) -> list[Array | None]:
    """Return the results in the order of the fields; the arguments are those of `Statistics`."""
    done: Any = _kernels.active.row_statistics(given, FIELDS, threads_for)
    return done if type(done) is list else _again(Statistics(*given), done)


def _again(given: Statistics, why: int) -> list[Array | None]:
    """Return the same where the kernels did not take it as it was given."""
    call = given.checked()
    done: Any = why if why == SCATTERED else call.run(CHECKED)
    if type(done) is int and done in (UNREADABLE, SCATTERED):  # bfloat16 may be byte-swapped
        done = _by_blocks(call)
    if type(done) is int:
        call.refuse()
        raise AssertionError(f"kernels refuse what is not refused ({done})")
    return list(done)


def _by_blocks(call: Statistics) -> Any:
    """Copy and compute one block after another."""
    x = last(call.logits, call.axis)
    rows = without(call.logits.shape, call.axis)
    results = [
        np.empty(rows, np.int64 if name in ("predicted", "rank") else np.float64)
        if name in call.fields
        else None
        for name in FIELDS
    ]
    for block in blocks_of(x.shape, x.shape[-1]):
        done = call.block(block).run(CHECKED)
        if type(done) is int:
            return done
        for result, part in zip(results, done, strict=True):
            if result is not None:
                result.reshape(-1)[block.items] = part
    return results
