"""Which kernels are chosen on which processor, and that nothing runs before they are."""

from __future__ import annotations

import importlib
import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from fastce import _kernels

X86 = platform.machine().lower() in ("x86_64", "amd64")
# Linux's names of what a level consists of, beyond the level below.
FEATURES = {
    "avx2": {"avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "abm", "movbe"},
    "avx512": {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"},
}

# Instructions that came with AVX or later, or with SSE4.2. (tzcnt is bsf to older processors.)
NEWER = re.compile(
    r"\t(?:v[a-z]\w*|(?:andn|bextr|blsi|blsr|blsmsk|bzhi|mulx|pdep|pext|rorx|sarx|shlx|shrx|movbe"
    r"|crc32|lzcnt|popcnt)[bwlq]?|p?blendv\w+|round[sp][sd]|pshufb|pmulld|pm(?:ax|in)s[bd]|pmov[sz]x\w+"
    r"|p(?:extr|insr)[bdq]|ptest)\s"
)


def started(isa: str | None, program: str) -> subprocess.CompletedProcess[str]:
    """Run a program with FASTCE_ISA set, or without it."""
    environment = {name: value for name, value in os.environ.items() if name != "FASTCE_ISA"}
    if isa is not None:
        environment["FASTCE_ISA"] = isa
    return subprocess.run(
        [sys.executable, "-c", program],
        env=environment, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip


LOADED = """
import sys, fastce
name = "fastce._kernels."
print(fastce.show_config(mode="dict")["instruction_set"],
      *sorted(m.removeprefix(name) for m in sys.modules if m.startswith(name)))
"""


@pytest.mark.parametrize("isa", [None, "", *_kernels.available()])
def test_one_instruction_set_is_imported(isa) -> None:
    """The best one if none is named; kernels for others are not even loaded."""
    process = started(isa, LOADED)
    chosen = isa or _kernels.available()[-1]
    assert (process.returncode, process.stderr) == (0, "")
    assert process.stdout.split() == [chosen, *sorted([chosen, "cpu", "isas"])]


@pytest.mark.parametrize("isa", ["avx1024", "AVX2", " baseline", "cpu"])
def test_unknown_name_in_the_environment(isa) -> None:
    process = started(isa, "import fastce")
    choices = re.escape(", ".join(_kernels.available()))
    assert process.returncode == 1
    assert re.search(rf"ValueError: FASTCE_ISA is {isa!r}; .* has {choices}\n$", process.stderr)


@pytest.mark.parametrize("how", ["module", "script"])
def test_the_command_line_tells_of_an_unknown_name_in_one_line(how, tmp_path) -> None:
    command = [sys.executable, "-m", "fastce"]
    if how == "script":  # as pip makes it
        command = [sys.executable, str(tmp_path / "fastce")]
        Path(command[1]).write_text("import sys\nfrom fastce.cli import main\nsys.exit(main())\n")
    process = subprocess.run(
        [*command, "config"], env=os.environ | {"FASTCE_ISA": "avx1024"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (process.returncode, process.stdout) == (2, "")
    choices = ", ".join(_kernels.available())
    assert process.stderr == (
        "fastce: error: FASTCE_ISA is 'avx1024'; "
        f"this installation on this processor has {choices}\n"
    )


@pytest.mark.parametrize("count", [1, 2, 3])
def test_older_processors_get_less(count, monkeypatch) -> None:
    names = ("baseline", "avx2", "avx512")[:count]
    monkeypatch.setattr(_kernels, "cpu", SimpleNamespace(supported=lambda: names))
    fit = [name for name in _kernels.built() if name in names]
    assert _kernels.available() == tuple(fit)
    assert _kernels._best() == fit[-1]
    for name in set(_kernels.ISAS) - set(names):
        with pytest.raises(ValueError, match=f"FASTCE_ISA is {name!r}; .* has {', '.join(fit)}$"):
            _kernels.load(name)


def test_missing_modules_are_passed_over_and_broken_ones_are_not(monkeypatch) -> None:
    find = importlib.util.find_spec
    missing = set(_kernels.ISAS) - {"baseline"}

    def find_spec(name: str, package: str | None = None) -> object:
        return None if name.rpartition(".")[2] in missing else find(name, package)

    monkeypatch.setattr(importlib.util, "find_spec", find_spec)
    assert _kernels._best() == "baseline"
    assert _kernels.built() == _kernels.available() == ("baseline",)
    missing.add("baseline")
    with pytest.raises(ImportError, match="is not compiled"):
        _kernels._best()
    missing.clear()

    def broken(name: str) -> None:
        raise ImportError("undefined symbol")

    monkeypatch.setattr(importlib, "import_module", broken)
    with pytest.raises(ImportError, match="undefined symbol"):
        _kernels.load(_kernels._best())


@pytest.mark.skipif(not Path("/proc/cpuinfo").exists(), reason="only Linux tells")
def test_detection_agrees_with_the_operating_system() -> None:
    """Linux names a feature where the processor has it and its registers are saved."""
    match = re.search(r"^flags\s*:(.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    flags = set(match.group(1).split()) if match and X86 else set()
    expected, needed = ["baseline"], set()
    for name, features in FEATURES.items():
        needed |= features
        if needed <= flags:
            expected.append(name)
    assert list(_kernels.supported()) == expected


@pytest.mark.skipif(not X86 or not shutil.which("objdump"), reason="needs x86-64 and objdump")
@pytest.mark.parametrize("module", ["cpu", *_kernels.built()])
def test_modules_hold_no_instruction_beyond_their_own_level(module) -> None:
    """What is imported before the choice, or on an old processor, can run anywhere."""
    spec = importlib.util.find_spec(f"fastce._kernels.{module}")
    assert spec is not None
    assert spec.origin is not None
    code = subprocess.run(
        ["objdump", "-d", "--no-show-raw-insn", spec.origin],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    registers = set(re.findall(r"%([xyz]mm|k[0-7])", code))
    newer = NEWER.search(code)
    if module in ("cpu", "baseline"):
        assert registers <= {"xmm"}
        assert not newer, newer
    elif module == "avx2":
        assert registers == {"xmm", "ymm"}
    else:
        assert "zmm" in registers


@pytest.mark.skipif(not shutil.which("nm"), reason="needs nm")
@pytest.mark.parametrize("module", ["cpu", *_kernels.built()])
def test_modules_share_no_code(module) -> None:
    """An inline function compiled for a new processor must not serve the module of an old one."""
    spec = importlib.util.find_spec(f"fastce._kernels.{module}")
    assert spec is not None
    assert spec.origin is not None
    listed = subprocess.run(
        ["nm", "-D", "--defined-only", spec.origin], capture_output=True, text=True, check=True
    ).stdout
    names = {line.split()[-1] for line in listed.splitlines()}
    assert f"PyInit_{module}" in names
    assert not {name for name in names if name.startswith("_Z")}
