"""Shards on worker processes: the receipt of one pass, whatever happens to the workers."""

from __future__ import annotations

import os
from pathlib import Path

import dask.array as da
import distributed
import numpy as np
import pytest

import fastce
import fastce.dask
from fastce.readers.errors import InputError

pytestmark = pytest.mark.filterwarnings("ignore")  # of the cluster's own threads and sockets

SHARDS = 6


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shards")
    rng = np.random.default_rng(5)
    pairs = []
    for index in range(SHARDS):
        rows = 20 + 7 * index
        logits, labels = folder / f"x{index}.npy", folder / f"y{index}.npy"
        np.save(logits, rng.normal(0, 4, (rows, 9)).astype(np.float32))
        np.save(labels, rng.integers(0, 9, rows))
        pairs.append((str(logits), str(labels)))
    return pairs


@pytest.fixture(scope="module")
def one_pass(shards):
    return fastce.evaluate([x for x, _ in shards], [y for _, y in shards])


@pytest.fixture(scope="module")
def cluster():
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
    ) as cluster:
        yield cluster


def slowly(folder: str) -> None:
    """Kill the first worker that begins; others find that it has been done."""
    try:
        with Path(folder, "killed").open("x"):
            pass
    except FileExistsError:
        return
    os._exit(1)


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_any_number_of_workers(cluster, shards, one_pass, workers):
    cluster.scale(workers)
    with distributed.Client(cluster) as client:
        client.wait_for_workers(workers)
        found = fastce.dask.evaluate(client, shards)
    assert found.receipt == one_pass.receipt
    assert found.sources == one_pass.sources
    assert found.loss == one_pass.loss


def test_a_killed_worker(cluster, shards, one_pass, tmp_path):
    with distributed.Client(cluster) as client:
        client.wait_for_workers(1)
        slow = client.submit(slowly, str(tmp_path), pure=False, retries=3)
        found = fastce.dask.evaluate(client, shards)
        slow.result()
        assert (tmp_path / "killed").exists()
    assert found.receipt == one_pass.receipt


def test_a_shard_that_is_there_twice(cluster, shards):
    with distributed.Client(cluster) as client, pytest.raises(ValueError, match="already"):
        fastce.dask.evaluate(client, [*shards, shards[2]])


def test_an_option_that_does_not_exist(cluster, shards):
    with distributed.Client(cluster) as client, pytest.raises(TypeError, match="shuft"):
        fastce.dask.evaluate(client, shards, shuft=1)


def test_a_dask_array(cluster, shards, one_pass):
    x = np.concatenate([np.load(x) for x, _ in shards])
    y = np.concatenate([np.load(y) for _, y in shards])
    with distributed.Client(cluster) as client:
        for labels in (y, da.from_array(y, chunks=50)):
            logits = da.from_array(x, chunks=(31, 4))
            found = fastce.dask.evaluate(client, logits, labels)
            assert found.receipt == one_pass.receipt
            assert found.sources == {"": ((0, len(y)),)}
        with pytest.raises(InputError, match="expected \\(rows,\\)"):
            fastce.dask.evaluate(client, logits, y[1:])


def test_another_instruction_set_is_noticed(cluster, shards, one_pass):
    available = fastce.show_config(mode="dict")["instruction_sets_available"]
    other = next((isa for isa in available if isa != one_pass.instruction_set), None)
    if other is None:
        pytest.skip("there is one instruction set")
    with distributed.Client(cluster) as client:
        client.wait_for_workers(1)
        here = client.submit(_state_under, shards[0], other, pure=False).result()
    state = fastce.Evaluation.from_bytes(here)
    rest = fastce.Evaluation(9)
    fastce.evaluate(*shards[1], state=rest)
    assert state.merge(rest).result().instruction_set == "+".join(
        sorted([other, one_pass.instruction_set])
    )


def _state_under(pair, isa):
    """Return the state of a shard from a process with FASTCE_ISA set."""
    import subprocess
    import sys

    code = (
        "import sys, fastce\n"
        "state = fastce.Evaluation(9)\n"
        "fastce.evaluate(sys.argv[1], sys.argv[2], state=state)\n"
        "sys.stdout.buffer.write(state.to_bytes())"
    )
    return subprocess.run(
        [sys.executable, "-c", code, *pair],
        env=os.environ | {"FASTCE_ISA": isa},
        capture_output=True,
        check=True,
    ).stdout
