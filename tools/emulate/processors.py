"""Run the package on emulated x86-64 processors, older ones and ones with something missing.

    python tools/emulate/processors.py [what pytest should get]

For each processor: it starts, chooses the right kernels, refuses better ones with an error,
executes no instruction that the processor lacks, and gives the same bits for some thousand calls
(results.py) as this machine does with the same kernels. Then the tests named (where none are,
test_every_kind_of_row.py) run on the first and the last of them. Needs Linux on x86-64 with AVX2,
the package installed or built in place, and qemu-user (Debian: apt install qemu-user).
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# Processors as QEMU names them, something taken away with a minus, and the kernels they get.
PROCESSORS = {
    "Nehalem": "baseline",  # 2008; older ones are refused by NumPy itself
    "SandyBridge": "baseline",  # AVX, not AVX2
    "Haswell,-avx2": "baseline",
    "Haswell,-fma": "baseline",
    "Haswell,-bmi2": "baseline",
    "Haswell,-f16c": "baseline",
    "Haswell,-movbe": "baseline",
    "Haswell,-abm": "baseline",
    "Haswell,-xsave": "baseline",
    "EPYC": "avx2",
    "Skylake-Server": "avx2",  # with AVX-512, which QEMU has not and does not announce
    "Haswell": "avx2",
}
CHOSEN = "import fastce; print(fastce.show_config(mode='dict')['instruction_set'])"


def run(processor: str | None, *arguments: str, isa: str = "") -> subprocess.CompletedProcess[str]:
    """Run Python on a processor, or on this one."""
    emulator = ["qemu-x86_64", "-cpu", processor] if processor else []
    return subprocess.run(
        [*emulator, sys.executable, *arguments],
        env=os.environ | {"FASTCE_ISA": isa},
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip


def results(processor: str | None, isa: str = "") -> list[str]:
    """Return what results.py prints."""
    process = run(processor, "tools/check/results.py", isa=isa)
    if process.returncode:
        sys.exit(f"{processor}: {process.stderr}")
    return process.stdout.splitlines()


def main() -> int:
    """Try every processor; return how many failed."""
    own = {isa: results(None, isa) for isa in set(PROCESSORS.values())}
    failed = 0
    for processor, expected in PROCESSORS.items():
        chosen = run(processor, "-c", CHOSEN)
        better = run(processor, "-c", CHOSEN, isa="avx512" if expected == "avx2" else "avx2")
        lines = results(processor) if chosen.stdout.strip() == expected else []
        differ = sum(a != b for a, b in zip(lines, own[expected], strict=True)) if lines else -1
        good = differ == 0 and "ValueError: FASTCE_ISA is 'avx" in better.stderr
        failed += not good
        what = chosen.stdout.strip() or chosen.stderr
        print(
            "ok    " if good else "FAILED", f"{processor:16} {what}, {len(lines)} results", end=", "
        )
        print(f"{differ} of them differ; {better.stderr.splitlines()[-1]}", flush=True)
    for processor in (next(iter(PROCESSORS)), list(PROCESSORS)[-1]):
        tests = sys.argv[1:] or ["-q", "tests/accuracy/test_every_kind_of_row.py"]
        emulated = ["qemu-x86_64", "-cpu", processor, sys.executable, "-m", "pytest", *tests]
        failed += subprocess.run(emulated, cwd=ROOT, check=False).returncode != 0
    return failed


if __name__ == "__main__":
    sys.exit(main())
