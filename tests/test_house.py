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
FOLDERS = ("src", "tests", "bench", "tools", "examples")
SOURCES = [
    ROOT / "setup.py",
    *sorted(p for folder in FOLDERS for p in (ROOT / folder).rglob("*") if p.suffix in SUFFIXES),
]

PUBLIC_MODULES = {"fastce.losses", "fastce.activations", "fastce.class_weights"}
INNER_MODULES = {
    f"fastce.{name}"
    for name in ("_softmax", "_arrays", "_blocks", "_reduction", "_threads", "_kernels")
}

# What the modules of each part of the package may import of the package, beside their own part.
MAY_IMPORT = {
    "fastce": PUBLIC_MODULES | {"fastce._config", "fastce._version"},
    "fastce.__main__": {"fastce.cli"},
    "fastce.losses": INNER_MODULES,
    "fastce.activations": INNER_MODULES,
    "fastce.class_weights": INNER_MODULES,
    "fastce._config": {"fastce", "fastce._kernels", "fastce._threads"},
    "fastce._softmax": {f"fastce.{n}" for n in ("_arrays", "_blocks", "_reduction", "_kernels")},
    "fastce._blocks": {"fastce._arrays"},
    "fastce._arrays": set(),
    "fastce._reduction": set(),
    "fastce._threads": {"fastce._kernels"},
    "fastce._kernels": set(),
    "fastce.compat": {"fastce"},
    "fastce.cli": {"fastce"},
}


def module_name(path: Path) -> str:
    """Return the dotted name of a module of the package."""
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path) -> Iterator[str]:
    """Yield the modules of the package that a module imports, wherever it does so."""
    package = module_name(path) if path.name == "__init__.py" else module_name(path.parent / "_")
    package = package.removesuffix("._")
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1]
            base = ".".join(
                [*(above if node.level else []), *([node.module] if node.module else [])]
            )
            for name in node.names:
                full = f"{base}.{name.name}"
                yield full if is_module(full) else base


def is_module(name: str) -> bool:
    """Whether a dotted name is a file or folder of the package."""
    path = PACKAGE.parent.joinpath(*name.split("."))
    return path.is_dir() or path.with_suffix(".py").exists()


def part_of(name: str) -> str:
    """Return the entry of MAY_IMPORT that a module belongs to."""
    parts = name.split(".")
    return next(
        (p for p in (".".join(parts[:n]) for n in range(len(parts), 0, -1)) if p in MAY_IMPORT),
        name,
    )


@pytest.mark.parametrize(
    "path", sorted(PACKAGE.rglob("*.py")), ids=lambda p: str(p.relative_to(PACKAGE))
)
def test_who_may_import_whom(path) -> None:
    here = part_of(module_name(path))
    if module_name(path) != "fastce" and here == "fastce":
        assert module_name(path) in {"fastce._version"}, "a new module needs an entry in MAY_IMPORT"
    for name in imports(path):
        if name != "fastce" and not name.startswith("fastce."):
            continue
        there = part_of(name)
        if here != "fastce" and there == here:
            continue
        assert name in MAY_IMPORT[here] or there in MAY_IMPORT[here] - {"fastce"}, (
            f"{here} may not import {name}"
        )


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
    assert graph["simd.h"] == set()
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
