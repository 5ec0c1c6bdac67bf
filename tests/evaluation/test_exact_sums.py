"""Sums of any float64 numbers are those of fractions."""

import math
from fractions import Fraction

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastce.evaluation.sums.exact import ExactSum, ExactTable, as_fraction, as_units, digits, root

ANY = st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=60)


def exact(values) -> Fraction:
    return sum(map(Fraction, values), Fraction(0))


def numbers(kind, count=5000) -> np.ndarray:
    """Numbers of one kind, of either sign where losses are not meant."""
    generator = np.random.default_rng(len(kind))
    x = generator.standard_normal(count)
    return {
        "losses": np.abs(x) * 3,
        "tiny": np.abs(x) * 1e-13,
        "wide": x * 2.0 ** generator.integers(-1060, 1020, count),
        "largest": np.full(count, 1.7976931348623157e308),
        "subnormal": x * 5e-323,
        "mixed": np.where(generator.random(count) < 0.01, 1e18, x),
        "signs": np.concatenate([x, -x]),
        "zeros": np.zeros(count),
        "few small ones": np.where(generator.random(count) < 0.01, 1e-30 * x, 1.0),
    }[kind]


KINDS = (
    "losses", "tiny", "wide", "largest", "subnormal", "mixed", "signs", "zeros", "few small ones",
)  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_sum(kind) -> None:
    x = numbers(kind)
    before = x.copy()
    total = ExactSum()
    total.add(x)
    assert as_fraction(total.units) == exact(x.tolist())
    assert np.array_equal(x, before)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [7, 40_000], ids=["few cells", "many cells"])
def test_table(kind, size) -> None:
    x = numbers(kind)
    cells = np.random.default_rng(1).integers(0, size, len(x))
    table = ExactTable(size)
    for start in range(0, len(x), 700):
        table.add(cells[start : start + 700], x[start : start + 700])
    found = table.cells()
    for cell in np.unique(cells)[:7]:
        assert as_fraction(found[cell]) == exact(x[cells == cell].tolist())
    assert as_fraction(table.total()) == exact(x.tolist())
    for level in table.levels.values():
        assert level.any()


@given(ANY, ANY)
@settings(max_examples=100, deadline=None)
def test_any_numbers(first, second) -> None:
    total, other = ExactSum(), ExactSum()
    total.add(np.array(first))
    other.add(np.array(second))
    total.merge(other)
    assert as_fraction(total.units) == exact(first + second)
    table = ExactTable(1)
    for x in (first, second):
        table.add(np.zeros(len(x), np.intp), np.array(x))
    assert table.total() == total.units


def test_a_table_has_one_form() -> None:
    x = np.abs(numbers("wide"))
    cells = np.arange(len(x)) % 5
    forms = []
    for step in (1, 13, len(x)):
        table = ExactTable(5)
        for start in range(0, len(x), step):
            table.add(cells[start : start + step], x[start : start + step])
            if start % 7 == 0:
                table.carry()
        table.carry()
        forms.append({unit: level.tolist() for unit, level in table.levels.items()})
    assert forms[0] == forms[1] == forms[2]


def test_many_rows_do_not_overflow() -> None:
    """Digits are carried before 2**26 of them could pass an int64."""
    table = ExactTable(1)
    x = np.full(1 << 16, 63.999999999)
    for _ in range(1 << 11):
        other = ExactTable(1)
        other.add(np.zeros(len(x), np.intp), x)
        table.merge(other)
    assert as_fraction(table.total()) == Fraction(63.999999999) * (1 << 27)


def test_digits_are_integers_of_their_unit() -> None:
    x = numbers("wide")
    rest = [Fraction(0)] * 20
    for unit, h, factor in digits(x, -30):
        counts = h * factor
        assert np.array_equal(counts, np.rint(counts))
        assert np.abs(counts).max() <= 2.0**36
        for at in range(20):
            rest[at] += int(counts[at]) * Fraction(2) ** unit
    assert rest == [Fraction(value) for value in x[:20].tolist()]


def test_what_is_not_finite_is_counted() -> None:
    total = ExactSum()
    total.add(np.array([1.0, np.nan, np.inf, np.inf, -np.inf, 2.0]))
    assert total.as_list() == [as_units(3.0), 1, 2, 1]
    assert math.isnan(total.limit)
    assert ExactSum(0, 0, 2, 0).limit == math.inf
    assert ExactSum(0, 0, 0, 1).limit == -math.inf
    assert ExactSum(5).limit is None


@pytest.mark.parametrize("kind", ["losses", "tiny", "mixed", "signs"])
def test_bitrep_agrees(kind) -> None:
    """Another library of reproducible sums."""
    bitrep = pytest.importorskip("bitrep")
    x = numbers(kind)
    total = ExactSum()
    total.add(x)
    theirs = bitrep.SumF64()
    for value in x.tolist():
        theirs.add(value)
    assert float(as_fraction(total.units)) == theirs.value()


@given(st.fractions(min_value=0), st.integers(-600, 600))
@settings(max_examples=100, deadline=None)
def test_root_is_rounded_once(x, exponent) -> None:
    value = x * Fraction(2) ** exponent
    with mpmath.workprec(2000):
        expected = mpmath.sqrt(mpmath.mpf(value.numerator) / value.denominator)
        assert root(value) == float(expected)


def test_root_of_what_is_not_positive() -> None:
    assert root(Fraction(0)) == root(Fraction(-1, 10**30)) == 0
