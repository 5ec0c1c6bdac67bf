"""The rules of the house, held against the source."""

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "src" / "fastce"
SUFFIXES = {".py", ".pyi", ".pyx", ".pxd", ".h"}
FOLDERS = ("src", "tests", "bench", "tools")
SOURCES = [
    ROOT / "setup.py",
    *sorted(p for folder in FOLDERS for p in (ROOT / folder).rglob("*") if p.suffix in SUFFIXES),
]

# The floors of the package: a module imports from lower floors alone.
FLOORS = (
    {"_kernels", "_version", "_arguments", "_cgroup"},
    {"_arrays", "_reduction", "_threads"},
    {"_blocks"},
    {"_softmax", "_elementwise"},
    {"_binary"},
    {"losses", "binary_losses", "activations", "_class_weights", "_config"},
    {"fastce"},
    {"compat", "cli"},
    {"__main__"},
)
# Beyond that: outside the package's core only public names are used …
PUBLIC_NAMES_ALONE = {"compat", "cli"}
# … and the configuration is asked for when the package is complete.
EXCEPTIONS = {("_config", "fastce")}


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


def floor_of(part: str) -> int:
    """Return the floor a part of the package is on."""
    found = [i for i, parts in enumerate(FLOORS) if part in parts]
    assert found, f"{part} is new: it needs a floor"
    return found[0]


@pytest.mark.parametrize(
    "path", sorted(PACKAGE.rglob("*.py")), ids=lambda p: str(p.relative_to(PACKAGE))
)
def test_modules_import_from_lower_floors(path) -> None:
    here = part_of(module_name(path))
    for name in imports(path):
        if name != "fastce" and not name.startswith("fastce."):
            continue
        there = part_of(name)
        if here == there or (here, there) in EXCEPTIONS:
            continue
        assert floor_of(there) < floor_of(here), f"{here} may not import {name}"
        assert here not in PUBLIC_NAMES_ALONE or there == "fastce", f"{here} imports {name}"


def test_compat_and_the_command_line_use_public_names_alone() -> None:
    """Nothing of the package that begins with an underscore is reached through an attribute."""
    for folder in ("compat", "cli"):
        for path in (PACKAGE / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                    private = node.value.id == "fastce" and re.match(r"_(?!_)", node.attr)
                    assert not private, f"{path.name}: fastce.{node.attr}"


def kernel_imports() -> dict[str, set[str]]:
    """Return the kernel files and what each cimports or includes of its neighbours."""
    pattern = re.compile(
        r'^from \.(\w+) cimport|^#include "([\w.]+)"|cdef extern from "([\w.]+)"', re.MULTILINE
    )
    folder = PACKAGE / "_kernels"
    files = [p for p in folder.iterdir() if p.suffix in {".pyx", ".pxd", ".h"}]
    return {
        (p.name if p.suffix == ".h" else p.stem): {
            next(filter(None, found)) for found in pattern.findall(p.read_text())
        }
        for p in files
    }


def test_kernels_import_downward() -> None:
    graph = kernel_imports()
    assert graph["stored.h"] == set()
    assert graph["simd.h"] == {"stored.h"}
    assert not any("matrix" in names for names in graph.values())
    for name, uses in graph.items():
        headers = {use for use in uses if use.endswith(".h")}
        if not name.endswith(".h"):
            assert not headers or name == "vector", f"{name} includes {headers} past vector.pxd"
        else:
            assert headers == uses
    order: list[str] = []
    while len(order) < len(graph):
        free = [n for n, uses in graph.items() if n not in order and uses & set(graph) <= {*order}]
        assert free, f"a circle among {sorted(set(graph) - set(order))}"
        order += free


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


def test_no_drawers_for_odds_and_ends() -> None:
    for path in PACKAGE.rglob("*.py"):
        assert path.stem.strip("_") not in {"utils", "util", "helpers", "common", "misc"}, path
