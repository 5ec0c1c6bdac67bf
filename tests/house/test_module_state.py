"""No module keeps anything that calls change: what makes threads safe without Python's lock.

The modules are declared to need no such lock. What follows is the audit: in Python, no name of a
module is bound anew and no container of a module is changed after its import, with three
exceptions; in C++, nothing static can be written at all. A thread's own are its scratch and
how many threads it has gathered.
"""

import ast
import re
import sys
import types
from pathlib import Path

import calls
import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "fastce"
PYTHON = sorted(PACKAGE.rglob("*.py"))
# Set in a forked child, where one thread exists; and what is read once, the same for every thread
# that is first, in a cache with a lock of its own: a number, and the names of what computes.
GLOBAL_STATEMENTS = {("threads.py", "_forked")}
CACHES = {("threads.py", "_quota"), ("losses.py", "arithmetic")}
KERNELS = PACKAGE / "_kernels"
OF_A_THREAD = {"parallel/openmp.h", "parallel/scratch.h"}

pytestmark = pytest.mark.skipif(not PACKAGE.is_dir(), reason="there are no sources here")


def named(path: Path) -> str:
    return str(path.relative_to(PACKAGE))


@pytest.mark.parametrize("path", PYTHON, ids=named)
def test_python(path) -> None:
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Global):
            for name in node.names:
                assert (path.name, name) in GLOBAL_STATEMENTS, f"{path.name}: global {name}"
        if isinstance(node, ast.FunctionDef):
            for decorator in node.decorator_list:
                if "cache" in ast.unparse(decorator):
                    assert (path.name, node.name) in CACHES, f"{path.name}: {node.name}"
            for default in (*node.args.defaults, *filter(None, node.args.kw_defaults)):
                assert not isinstance(default, ast.List | ast.Dict | ast.Set | ast.Call), (
                    f"{path.name}: {node.name} has a default that can be changed"
                )


def contents() -> dict[str, object]:
    """Return what the package's modules hold: which objects, and what is in containers."""
    found: dict[str, object] = {}
    for name, module in sorted(sys.modules.items()):
        if name.split(".")[0] == "fastce" and isinstance(module, types.ModuleType):
            for key, value in vars(module).items():
                if not key.startswith("__"):
                    inside = repr(value) if isinstance(value, dict | list | set) else None
                    found[f"{name}.{key}"] = (id(value), inside)
    return found


def test_calls_change_no_module() -> None:
    import fastce.cli
    import fastce.compat.tensorflow  # noqa: F401

    before = contents()
    assert "fastce._validation.dtypes.INTEGERS" in before
    calls.digest(2)
    with pytest.raises(ValueError, match="labels"):
        calls.fastce.softmax_cross_entropy([[1.0]], [2])
    assert contents() == before


@pytest.mark.parametrize(
    "path",
    sorted(p for p in KERNELS.rglob("*") if p.suffix in {".h", ".pxd", ".pyx"}),
    ids=named,
)
def test_kernels(path) -> None:
    """No static or global variable but constants and a thread's own."""
    text = re.sub(r"//.*|#.*(?=\n)", "", path.read_text())
    assert ("thread_local" in text) == (str(path.relative_to(KERNELS)) in OF_A_THREAD)
    for found in re.finditer(r"^[^\n]*\bstatic (?!_)([^;{=(]*)([;{=(])", text, re.MULTILINE):
        declared, ends = found.groups()
        is_function = ends == "("
        assert is_function or re.search(r"\b(const|constexpr|thread_local)\b", declared), (
            found.group()
        )
    for line in text.splitlines():  # at the outermost level: Cython's `cdef int x`, C++'s `int x;`
        assert not re.match(
            r"cdef (?!extern|enum|struct|inline|class)[\w\[\]*. ]+( =.*)?$", line
        ), line
        assert path.suffix != ".h" or not re.match(
            r"(?!using|typedef|struct|namespace|template|return)\w+ \w+( = [^;]*)?;", line
        ), line
