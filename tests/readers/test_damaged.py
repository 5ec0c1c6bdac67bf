"""Damaged files of every format: the right array or one line, and no process ends of it.

FASTCE_FUZZ tells how many of each format; 10,000 take some minutes.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import fuzz_formats
import pytest

COUNT = int(os.environ.get("FASTCE_FUZZ", "150"))
SCRIPT = Path(fuzz_formats.__file__)
MOST_MEGABYTES = 400  # of one block and its copies, whatever a header promises


@pytest.mark.parametrize("name", fuzz_formats.WRITERS)
def test_damaged_files(tmp_path, name):
    found = subprocess.run(
        [sys.executable, SCRIPT, name, str(COUNT), "0", tmp_path],
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stdout[-300:] + found.stderr[-2000:]
    read, refused, megabytes = map(int, found.stdout.split()[-3:])
    assert read + refused == COUNT
    assert read > 0
    assert refused > 0
    assert megabytes < MOST_MEGABYTES
