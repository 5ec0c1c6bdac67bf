"""Beside a package that brings an OpenMP runtime of its own, in one process.

The loader gives libraries of one name to all who ask for that name: a wheel's have a name of their
own, so each package keeps its own runtime; one built in place may share PyTorch's ``libgomp.so.1``.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from functools import cache

import pytest

PROGRAM = """
import hashlib, importlib, json, os, sys
import numpy as np
import threadpoolctl

x = np.random.default_rng(1).standard_normal((3000, 300))
y = np.arange(3000) % 300

def use_fastce(fastce):
    loss, grad = fastce.softmax_cross_entropy(x, y, return_grad=True, num_threads=2)
    return loss, grad

def use_sklearn(sklearn):
    from sklearn.ensemble import HistGradientBoostingClassifier
    trained = HistGradientBoostingClassifier(max_iter=2, early_stopping=False, random_state=0)
    return trained.fit(x[:, :5], y % 2).predict_proba(x[:, :5])

def use_torch(torch):
    torch.set_num_threads(2)
    return torch.log_softmax(torch.tensor(x), 1).numpy()

found = {}
modules = {name: importlib.import_module(name) for name in sys.argv[1:]}
for turn in range(2):
    for name, module in modules.items():
        result = globals()["use_" + name](module)
        parts = result if isinstance(result, tuple) else (result,)
        digest = hashlib.sha256(b"".join(np.asarray(part).tobytes() for part in parts))
        found.setdefault(name, []).append(digest.hexdigest())
files = [i["filepath"] for i in threadpoolctl.threadpool_info() if i["user_api"] == "openmp"]
print(json.dumps([found, [os.path.basename(name).partition(".so")[0] for name in files]]))
"""


@cache
def run(*names):
    """Import and use packages in this order; return the bits of each and the runtimes' names."""
    command = [sys.executable, "-c", PROGRAM, *names]
    finished = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert finished.returncode == 0, finished.stderr
    return json.loads(finished.stdout)


@pytest.mark.parametrize("other", ["sklearn", "torch"])
@pytest.mark.parametrize("first", ["fastce", "other"])
def test_both_work_and_give_the_bits_they_give_alone(first, other):
    if importlib.util.find_spec(other) is None:
        pytest.skip(f"{other} is not installed")
    names = ("fastce", other) if first == "fastce" else (other, "fastce")
    found, runtimes = run(*names)
    for name in names:
        alone, its_runtimes = run(name)
        assert found[name] == alone[name]
        assert set(its_runtimes) <= set(runtimes)
