"""The rules of the house, held against the source."""

import ast
import re
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "fastce"

pytestmark = pytest.mark.skipif(not PACKAGE.is_dir(), reason="there are no sources here")

SUFFIXES = {".py", ".pyi", ".pyx", ".pxd", ".h"}
FOLDERS = ("fastce", "tests", "bench", "tools")
SOURCES = [
    ROOT / "setup.py",
    *sorted(p for folder in FOLDERS for p in (ROOT / folder).rglob("*") if p.suffix in SUFFIXES),
]

# The floors of the package: a module imports from its own room and those that its room may use.
MAY_USE = {
    "_version": set(),
    "_kernels": set(),
    "_validation": {"_kernels"},
    "_dispatch": {"_validation", "_kernels"},
    "losses": {"_dispatch", "_validation", "_kernels"},
    "activations": {"_dispatch", "_validation", "_kernels"},
    "class_weighting": {"_dispatch", "_validation", "_kernels"},
    "statistics": {"_dispatch", "_validation", "_kernels"},
    "config": {"_dispatch", "_kernels", "fastce"},
    "fastce": {
        "_version",
        "losses",
        "activations",
        "class_weighting",
        "config",
        "statistics",
        "evaluation",
        "readers",
    },
    "readers": set(),
    "evaluation": {"readers", "_validation", "fastce"},
    "compat": {"fastce"},
    "cli": {"evaluation", "readers", "fastce"},
    "dask": {"evaluation", "readers", "fastce"},
    "__main__": {"cli"},
}
# Rooms that use the public names of the package alone.
PUBLIC_NAMES_ALONE = ("evaluation", "compat", "cli")


def module_name(path: Path) -> str:
    """Return the dotted name of a module of the package."""
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path) -> Iterator[str]:
    """Yield the modules that a module imports, wherever it does so."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "modules are imported by their whole name"
            for name in node.names:
                full = f"{node.module}.{name.name}"
                yield full if is_module(full) else str(node.module)


def is_module(name: str) -> bool:
    """Whether a dotted name is a file or folder of the package."""
    path = PACKAGE.parent.joinpath(*name.split("."))
    return path.is_dir() or path.with_suffix(".py").exists()


def part_of(name: str) -> str:
    """Return the module or folder directly beneath the package that a module belongs to."""
    return name.split(".")[1] if "." in name else name


@pytest.mark.parametrize(
    "path", sorted(PACKAGE.rglob("*.py")), ids=lambda p: str(p.relative_to(PACKAGE))
)
def test_modules_import_from_the_rooms_below(path) -> None:
    here = part_of(module_name(path))
    assert here in MAY_USE, f"{here} is new: it needs a floor"
    for name in imports(path):
        if name == "fastce" or name.startswith("fastce."):
            there = part_of(name)
            assert there == here or there in MAY_USE[here], f"{here} may not import {name}"


def test_rooms_above_use_public_names_alone() -> None:
    """Nothing of the package that begins with an underscore is reached through an attribute."""
    for folder in PUBLIC_NAMES_ALONE:
        for path in (PACKAGE / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                    private = node.value.id == "fastce" and re.match(r"_(?!_)", node.attr)
                    assert not private, f"{path.name}: fastce.{node.attr}"


KERNELS = PACKAGE / "_kernels"
# The floors of the kernels, the lowest first; rooms on one floor do not use each other.
KERNEL_FLOORS = (
    ("simd",),
    ("memory",),
    ("parallel",),
    (
        "softmax/row",
        "softmax/tile",
        "softmax/lanes",
        "softmax",
        "elementwise",
        "statistics",
        "divergence",
    ),
    ("",),
)
# Within the softmax, the plan of a block uses the layouts, which use what all of them share.
SHARED_BY_LAYOUTS = "softmax"


def kernel_files() -> list[Path]:
    """Return the sources of the kernels."""
    return sorted(p for p in KERNELS.rglob("*") if p.suffix in {".pyx", ".pxd", ".h"})


def kernel_uses(path: Path) -> set[str]:
    """Return the kernel files, from the kernels' folder on, that a file cimports or includes."""
    text = path.read_text()
    depth = len(path.relative_to(KERNELS).parts)
    found = re.findall(r'^(?:#include|cdef extern from) "<?([\w/]+\.h)>?"', text, re.MULTILINE)
    for dots, name in re.findall(r"^from (\.+)([\w.]+) cimport", text, re.MULTILINE):
        assert len(dots) == depth, f"{path.name}: {name} is not told from the kernels' folder on"
        found.append(f"{name.replace('.', '/')}.pxd")
    for name in found:
        assert (KERNELS / name).exists(), f"{path.name} uses {name}, which is not there"
    return set(found)


def room_of(name: str) -> str:
    """Return the folder of a kernel file."""
    return name.rpartition("/")[0]


def test_kernels_use_the_rooms_below() -> None:
    floor = {room: i for i, rooms in enumerate(KERNEL_FLOORS) for room in rooms}
    used = 0
    for path in kernel_files():
        here = room_of(str(path.relative_to(KERNELS)))
        for name in kernel_uses(path):
            used += name.endswith(".h")
            there = room_of(name)
            if there == here:
                continue
            within = {here, there} <= {r for r in floor if r.startswith(SHARED_BY_LAYOUTS)}
            if within:
                assert SHARED_BY_LAYOUTS in (here, there), f"{path}: {name} is another layout's"
            else:
                assert floor[there] < floor[here], f"{path} may not use {name}"
    assert used > 30, "the rule sees no headers"


def test_kernels_use_each_other_in_no_circle() -> None:
    graph = {str(p.relative_to(KERNELS)): kernel_uses(p) for p in kernel_files()}
    done: set[str] = set()
    while len(done) < len(graph):
        free = [name for name, uses in graph.items() if name not in done and uses <= done]
        assert free, f"a circle among {sorted(set(graph) - done)}"
        done |= set(free)


# What a compiler calls the instruction sets, and the kernels the length of their vectors.
INSTRUCTION_SET = re.compile(
    r"^\s*#\s*(?:el)?if.*\b(__(?:AVX|SSE|FMA|F16C|BMI|ARM|aarch64|x86_64|i386)\w*|FASTCE_VECTOR\w*)"
)


def test_instruction_sets_are_told_apart_in_one_room() -> None:
    """A new instruction set is one header in simd/, and a line in isas.py and cpu.pyx."""
    found = Counter()
    for path in kernel_files():
        name = str(path.relative_to(KERNELS))
        text = path.read_text().replace("\\\n", " ")
        found[room_of(name) or name] += sum(
            map(bool, map(INSTRUCTION_SET.match, text.splitlines()))
        )
    assert found["simd"] > 0, "the rule sees nothing"
    assert {room for room, count in found.items() if count} <= {"simd", "cpu.pyx"}


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_files_are_short(path) -> None:
    assert len(path.read_text().splitlines()) <= 400, "is it two files?"


def test_no_flag_that_breaks_arithmetic_or_other_machines() -> None:
    for path in (ROOT / "setup.py", ROOT / "pyproject.toml"):
        for flag in ("-ffast-math", "-fassociative-math", "-Ofast", "-march=native", "-w"):
            assert not re.search(rf"(?<![\w-]){flag}(?![\w-])", path.read_text()), flag


def tracked_files() -> list[str]:
    """Return the files that are in git; outside a checkout, those of the source archive."""
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listed.returncode == 0 and listed.stdout:
        return listed.stdout.splitlines()
    return [str(path.relative_to(ROOT)) for path in SOURCES]


def test_nothing_built_or_generated_is_in_git() -> None:
    files = tracked_files()
    assert "setup.py" in files
    for name in files:
        assert not re.search(r"\.(so|o|pyc|whl|pyd)$|^build/|\.egg-info/", name), name
        path = ROOT / name
        if path.suffix in {".c", ".cpp"} and path.exists():
            assert "Generated by Cython" not in path.read_text()[:200], name


def test_folders_are_small() -> None:
    counts = Counter(name.rpartition("/")[0] for name in tracked_files())
    for folder, files in counts.items():
        if not folder.startswith(("docs/decisions", "tests/golden")):
            assert files <= 15, f"{folder} holds {files} files"


def test_no_drawers_for_odds_and_ends() -> None:
    for path in PACKAGE.rglob("*.py"):
        assert path.stem.strip("_") not in {"utils", "util", "helpers", "common", "misc"}, path


def test_one_loop_runs_all_threads() -> None:
    """The kernels give their block functions to the one loop that gathers threads."""
    loops = {
        str(path.relative_to(KERNELS)): len(re.findall(r"\bin prange\(", path.read_text()))
        for path in kernel_files()
    }
    assert {name: n for name, n in loops.items() if n} == {"parallel/run_blocks.pxd": 1}
