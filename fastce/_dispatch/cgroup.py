"""How many processors the control groups of Linux leave to this process."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

ROOT = Path("/")


def quota(root: Path = ROOT) -> float:
    """Return the processors that all groups this process belongs to allow, infinity if no limit.

    A limit binds every group beneath the one that has it, so the least of all is what counts.
    `root` stands for the root of the file system.
    """
    return min(map(_limit, _folders(root)), default=math.inf)


def _folders(root: Path) -> Iterator[Path]:
    """Yield the folders of this process's group and of those above it, as far as they are mounted.

    Which group that is stands in /proc/self/cgroup, a line ``number:controllers:path`` for each
    hierarchy, and where hierarchies are mounted in /proc/self/mountinfo: ``… root mount-point
    … - type source options``. A container may see a part of the hierarchy alone, from `root` on.
    """
    try:
        groups = (root / "proc/self/cgroup").read_text().splitlines()
        mounts = (root / "proc/self/mountinfo").read_text().splitlines()
    except (OSError, UnicodeDecodeError):
        return
    paths = {
        name: path
        for _, names, path in (line.split(":", 2) for line in groups if line.count(":") > 1)
        for name in names.split(",")  # of the unified hierarchy, of version 2, it is empty
    }
    for line in mounts:
        before, _, after = (part.split() for part in line.partition(" - "))
        if len(before) < 5 or len(after) < 3:
            continue
        if after[0] == "cgroup2" and "" in paths:
            path = PurePosixPath(paths[""])
        elif after[0] == "cgroup" and "cpu" in after[2].split(",") and "cpu" in paths:
            path = PurePosixPath(paths["cpu"])
        else:
            continue
        seen_from, point = (_unescaped(field) for field in before[3:5])
        folder = root / point.lstrip("/")
        yield folder
        for part in path.relative_to(seen_from).parts if path.is_relative_to(seen_from) else ():
            if part == "..":  # a group that cannot be seen from here
                break
            folder /= part
            yield folder


def _unescaped(field: str) -> str:
    r"""Return a path of mountinfo, in which a space is ``\040``, as it is."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), field)


def _limit(folder: Path) -> float:
    """Return the processors that one group allows: its quota of time in each period."""
    try:
        if (folder / "cpu.max").exists():
            quota, period = (folder / "cpu.max").read_text().split()[:2]
        else:
            quota = (folder / "cpu.cfs_quota_us").read_text()
            period = (folder / "cpu.cfs_period_us").read_text()
        return int(quota) / int(period) if int(quota) > 0 else math.inf
    except (OSError, ValueError, ZeroDivisionError):  # no limit is "max" or -1, or no file at all
        return math.inf
