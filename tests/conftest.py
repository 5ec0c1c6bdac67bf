"""Every instruction set that this processor has, for every test of a number."""

import sys
from collections.abc import Callable, Iterator

import hypothesis
import pytest

try:
    from fastce import _kernels
except ImportError as error:  # a clone that is not compiled; pytest would show how it came to this
    sys.exit(f"{error}")

# A test takes as long as whatever else the machine does lets it.
hypothesis.settings.register_profile("no deadline", deadline=None)
hypothesis.settings.load_profile("no deadline")


@pytest.fixture(params=_kernels.available())
def isa(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run a test once with the kernels of each instruction set."""
    monkeypatch.setattr(_kernels, "active", _kernels.load(request.param))
    return str(request.param)


@pytest.fixture
def each_isa(monkeypatch: pytest.MonkeyPatch) -> Callable[[], Iterator[str]]:
    """Return a loop over the instruction sets, for tests whose true values cost more than calls."""

    def switch() -> Iterator[str]:
        for name in _kernels.available():
            monkeypatch.setattr(_kernels, "active", _kernels.load(name))
            yield name

    return switch
