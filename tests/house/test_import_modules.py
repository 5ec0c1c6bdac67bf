"""What `import fastce` brings along; tools/release/wheels.py measures its time."""

from __future__ import annotations

import subprocess
import sys

CODE = """
import sys, numpy
before = set(sys.modules)
import fastce
print(*sorted(set(sys.modules) - before))
"""
# Of the standard library, what takes a millisecond and more and is seldom loaded already.
SLOW = {"argparse", "concurrent", "inspect", "json", "logging", "pathlib", "subprocess", "tempfile"}


def test_nothing_slow_and_nothing_foreign():
    found = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    names = {name.partition(".")[0] for name in found.stdout.split()}
    assert "fastce" in names
    assert not names & SLOW
    foreign = names - sys.stdlib_module_names - {"fastce", "numpy", "cython_runtime"}
    assert not {name for name in foreign if not name.startswith("_cython")}
