"""A row is a function of itself: the same bits alone, in any batch, at any place in it.

Rows whose classes lie on another axis may differ in the last bits from rows whose classes lie on
the last one; every other arrangement of the same rows gives the same bits.
"""

from collections import Counter

import arrangements
import ml_dtypes
import numpy as np
import pytest

DTYPES = [np.dtype(d) for d in (np.float32, np.float64, np.float16, ml_dtypes.bfloat16)]
LAYOUTS = ("last axis", "axis 0", "axis in the middle")

SOME = (1, 2, 3, 5, 8, 10, 17, 33, 64, 127, 128, 320)
EVERY = (*range(1, 71), 127, 128, 200, 319, 320, 321)
LONG = (1000, 5000, 32000)


def check(call, class_counts, dtype, option="none", layout="last axis", thorough=False) -> None:
    """Assert that no row differs from itself alone; say which kinds of rows do, and where."""
    seen: Counter[str] = Counter()
    for n in class_counts:
        rows = arrangements.rows_of(n, dtype, copies=1)
        for line in arrangements.differing(call, rows, option, layout, thorough):
            seen[f"{n} classes: {line}"] += 1
    worst = "\n".join(line for line, _ in seen.most_common(20))
    assert not seen, f"{seen.total()} results differ from those of the row alone:\n{worst}"


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_losses(dtype, isa) -> None:
    check(arrangements.losses, SOME, dtype)


@pytest.mark.parametrize("dtype", DTYPES[:2], ids=str)
@pytest.mark.parametrize("option", list(arrangements.OPTIONS)[1:])
def test_losses_with_options(option, dtype, isa) -> None:
    first = list(arrangements.OPTIONS).index(option) % 3
    check(arrangements.losses, SOME[first::3], dtype, option)


@pytest.mark.parametrize("dtype", DTYPES[:3], ids=str)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_activations(layout, dtype, isa) -> None:
    check(arrangements.activations, SOME[LAYOUTS.index(layout) :: 2], dtype, layout=layout)


@pytest.mark.parametrize("dtype", DTYPES[:3], ids=str)
@pytest.mark.parametrize("layout", LAYOUTS[1:])
@pytest.mark.parametrize("option", ["none", "soft labels", "weighted smoothing"])
def test_losses_with_the_classes_on_another_axis(option, layout, dtype, isa) -> None:
    first = 1 + DTYPES.index(dtype)
    check(arrangements.losses, SOME[first::3], dtype, option, layout)


@pytest.mark.parametrize("dtype", DTYPES[:2], ids=str)
def test_long_rows(dtype, isa) -> None:
    check(arrangements.losses, (1000,), dtype)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_statistics(layout, dtype, isa) -> None:
    first = LAYOUTS.index(layout)
    check(arrangements.statistics, (*SOME, 200)[first::3], dtype, layout=layout)
    check(arrangements.statistics, SOME[first::4], dtype, "neighbours ignored", layout)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_statistics_of_every_number_of_classes(layout, dtype, isa) -> None:
    check(arrangements.statistics, (*EVERY, *LONG), dtype, layout=layout)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("option", arrangements.OPTIONS)
def test_losses_of_every_number_of_classes(option, dtype, isa) -> None:
    check(arrangements.losses, EVERY, dtype, option, thorough=True)
    check(arrangements.losses, LONG[: 3 if option in ("none", "soft labels") else 2], dtype, option)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_activations_of_every_number_of_classes(layout, dtype, isa) -> None:
    check(arrangements.activations, (*EVERY, *LONG), dtype, layout=layout)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("layout", LAYOUTS[1:])
@pytest.mark.parametrize("option", arrangements.OPTIONS)
def test_losses_of_every_number_of_classes_on_another_axis(option, layout, dtype, isa) -> None:
    check(arrangements.losses, (*EVERY, 1000), dtype, option, layout)
