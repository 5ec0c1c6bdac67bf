"""What tools/release/wheels.py says of a wheel, of a Python and of an import's time."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

TOOL = Path(__file__).parents[2] / "tools" / "release" / "wheels.py"


@pytest.fixture(scope="module")
def wheels():
    spec = importlib.util.spec_from_file_location("wheels", TOOL)
    module = importlib.util.module_from_spec(spec)
    sys.modules["wheels"] = module  # its dataclasses look for it there
    spec.loader.exec_module(module)
    yield module
    del sys.modules["wheels"]


@pytest.fixture
def good(wheels):
    kernels = [f"fastce/_kernels/{k}.cpython-312.so" for k in ("cpu", "baseline", "avx2", "avx512")]
    kernels.append("fastce/readers/pages.cpython-312.so")
    licence = "fastce-0.1.dist-info/licenses/LICENSE"
    runtime = "fastce.libs/libgomp-f9a9ad78.so.1.0.0"
    return [*wheels.PACKAGED, *kernels, runtime, licence, f"{licence}.libgomp"]


def test_a_good_wheel(wheels, good):
    assert wheels.wrong_with_wheel(good) == []


def test_each_file_is_missed(wheels, good, monkeypatch):
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    for name in good:
        wrong = wheels.wrong_with_wheel(n for n in good if n != name)
        assert len(wrong) == 1, name
        assert wrong[0].startswith("lacks ")


@pytest.mark.parametrize(
    "name", ["fastce/_kernels/module.pyx", "fastce/_kernels/simd/vector.h", "tests/ulp.py"]
)
def test_files_that_do_not_belong_there(wheels, good, name):
    assert wheels.wrong_with_wheel([*good, name]) == [f"holds {name}"]


def test_the_licence_of_the_runtime_has_both_its_parts(tmp_path):
    folder = tmp_path / "usr/share/licenses/libgcc"
    folder.mkdir(parents=True)
    parts = {
        "COPYING.RUNTIME": "the GCC RUNTIME LIBRARY EXCEPTION",
        "COPYING3": "the GNU GENERAL PUBLIC LICENSE",
    }
    command = [sys.executable, TOOL.with_name("runtime_licence.py"), tmp_path]
    for name, text in parts.items():
        found = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (found.returncode, found.stdout) == (1, "")
        assert "/usr/share/doc/libgomp1/copyright" in found.stderr
        (folder / name).write_text(text)
    assert subprocess.check_output(command, text=True) == "\n\n".join(parts.values())


def test_milliseconds(wheels):
    text = (
        "import time:       374 |        374 |   numpy.lib\n"
        "import time:       374 |       1374 |   fastce.losses\n"
        "import time:       493 |      31155 | fastce\n"
        "import time:       493 |      22155 | fastce\n"
    )
    assert wheels.milliseconds(text) == [31.155, 22.155]


def test_pythons(wheels):
    here = f"{sys.version_info[0]}.{sys.version_info[1]}"
    assert wheels.pythons([sys.executable]) == {here: Path(sys.executable)}
    with pytest.raises(wheels.Failure, match=r"no supported Python 3\.99 on PATH"):
        wheels.pythons(["3.99"])
    with pytest.raises(wheels.Failure, match="/nowhere/python is no Python"):
        wheels.pythons(["/nowhere/python"])
