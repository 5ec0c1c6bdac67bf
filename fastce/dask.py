"""Evaluation of shards on a Dask cluster: mapped over the workers, merged in a tree.

Needs the extra ``dask``: ``pip install 'fastce[dask]'``. The sums of an evaluation are exact, so
the result and its receipt are those of one pass on one machine, whatever worker has which shard.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from fastce.evaluation.engine.evaluate import Request, evaluated
from fastce.evaluation.state import Evaluation
from fastce.readers.errors import InputError

if TYPE_CHECKING:
    from fastce.evaluation.results.result import EvaluationResult

__all__ = ["evaluate"]

_MERGED_TOGETHER = 8  # states that one task of the tree merges


def evaluate(
    client: Any, shards: Any, labels: Any = None, *, retries: int = 2, **options: Any
) -> EvaluationResult:
    """Evaluate shards of logits on a Dask cluster.

    Parameters
    ----------
    client : dask.distributed.Client
        The cluster.
    shards : sequence of (logits, labels), or dask.array.Array of shape (rows, C)
        Pairs of whatever :func:`fastce.evaluate` reads, seen from the workers; for files that hold
        both a path alone; where shards have a mask or groups of their own, dicts with ``logits``,
        ``labels``, ``mask`` and ``groups``. Or an array in chunks of rows, with its `labels`.
    labels : array_like of int, shape (rows,), optional
        NumPy or dask array, for a dask array of logits.
    retries : int, default 2
        How often a shard is tried again whose worker was lost.
    **options
        Those of :func:`fastce.evaluate`: ``shift``, ``class_weight``, ...

    Returns
    -------
    EvaluationResult
        With the bits and the receipt of one pass over all shards.

    Raises
    ------
    ValueError
        If a shard is there twice.
    fastce.InputError
        If one cannot be read.

    Notes
    -----
    Workers with another instruction set (``FASTCE_ISA`` or other processors) are allowed; then
    ``result.instruction_set`` names all of them, since losses differ in the last bits.

    Examples
    --------
    ::

        from dask.distributed import Client
        import fastce.dask

        pairs = [(f"logits{i}.npy", f"labels{i}.npy") for i in range(1000)]
        result = fastce.dask.evaluate(Client("scheduler:8786"), pairs, shift=1)
    """
    Request(**options)  # an option that does not exist is an error here, not on a worker
    if hasattr(shards, "dask") and hasattr(shards, "chunks"):
        states = _of_array(client, shards, labels, retries, options)
    else:
        states = _of_files(client, list(shards), retries, options)
    while len(states) > 1:
        states = [
            client.submit(_merged, states[i : i + _MERGED_TOGETHER], pure=False, retries=retries)
            for i in range(0, len(states), _MERGED_TOGETHER)
        ]
    return Evaluation.from_bytes(states[0].result()).result()


def _of_files(
    client: Any, shards: Sequence[Any], retries: int, options: dict[str, Any]
) -> list[Any]:
    if not shards:
        raise InputError("shards: none are given, expected at least one")
    states = []
    first_row = 0  # of arrays in memory, which have no names to tell them apart
    for shard in shards:
        given = dict(options)
        if isinstance(shard, dict):
            given |= shard
            logits, labels = given.pop("logits"), given.pop("labels", None)
        else:
            logits, labels = shard if isinstance(shard, tuple) else (shard, None)
        states.append(
            client.submit(_evaluated, logits, labels, given, first_row, pure=False, retries=retries)
        )
        first_row += math.prod(getattr(labels, "shape", (0,)))
    return states


def _of_array(
    client: Any, logits: Any, labels: Any, retries: int, options: dict[str, Any]
) -> list[Any]:
    if logits.ndim != 2 or labels is None or tuple(labels.shape) != (logits.shape[0],):
        found = None if labels is None else tuple(labels.shape)
        raise InputError(
            f"labels: of shape {found} for logits of shape {logits.shape}, expected (rows,) for "
            "(rows, classes)"
        )
    if any(math.isnan(length) for length in logits.chunks[0]):
        raise InputError("logits: chunks of unknown length, expected compute_chunk_sizes() first")
    if len(logits.chunks[1]) > 1:
        logits = logits.rechunk({1: -1})
    ends = np.cumsum([0, *logits.chunks[0]]).tolist()
    parts = client.compute([logits[a:b] for a, b in pairwise(ends)])
    if hasattr(labels, "dask"):
        of_parts = client.compute([labels[a:b] for a, b in pairwise(ends)])
    else:
        of_parts = [np.asarray(labels)[a:b] for a, b in pairwise(ends)]
    return [
        client.submit(_evaluated, part, of_part, options, start, pure=False, retries=retries)
        for part, of_part, start in zip(parts, of_parts, ends, strict=False)
    ]


def _evaluated(logits: Any, labels: Any, options: dict[str, Any], first_row: int = 0) -> bytes:
    """Return the state of one shard; runs on a worker, by default on one thread."""
    request = Request(**({"num_threads": 1, "first_row": first_row} | options))
    return evaluated(logits, labels, request).to_bytes()


def _merged(states: Iterable[bytes]) -> bytes:
    """Return the state of several; runs on a worker."""
    parts = iter(states)
    whole = Evaluation.from_bytes(next(parts))
    for part in parts:
        whole.merge(Evaluation.from_bytes(part))
    return whole.to_bytes()
