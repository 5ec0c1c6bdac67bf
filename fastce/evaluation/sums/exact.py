"""Sums of float64 numbers as exact integers.

A number is cut into digits of 36 bits: with a power of two C large enough, ``h = (x + C) - C`` is x
rounded to a multiple of a unit, and ``x - h`` is what is left, without any rounding. Up to 2**16
such digits of one unit add up in float64 without rounding, in any order, so NumPy may add them. The
digits of a number depend on that number alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

WIDTH = 36  # bits of a digit
MOST = 1 << 16  # digits that are added in float64
EXPONENT = 1074  # sums are integers in units of 2**-EXPONENT, that of the smallest float64
FIRST = -30  # exponent of the unit with which tables begin: losses below 64 need no larger one
_FACTORS = range(
    -900, 901
)  # exponents whose powers of two, and sums of digits, are far from limits
_LOWEST = 1200  # more than -exponent of any unit
_CARRY_AFTER = 1 << 26  # digits in a cell of a table; 36 + 26 bits fit an int64


def digits(x: Floats, unit: int) -> Iterator[tuple[int, Floats, float]]:
    """Cut finite numbers into digits, from the largest unit on.

    Parameters
    ----------
    x : ndarray of float64
        At most 2**16 finite numbers.
    unit : int
        Exponent of the unit to begin with; units differ by `WIDTH`.

    Yields
    ------
    unit : int
    digits : ndarray of float64, shape of x
        Valid until the next step.
    factor : float
        ``digits * factor`` are integers; each x is the sum of ``digits * factor * 2**unit``.
    """
    if not x.size:
        return
    largest = max(x.max(), -x.min())
    while unit + WIDTH < 1024 and largest > math.ldexp(1.0, unit + WIDTH):
        unit += WIDTH
    h, rest = np.empty_like(x), np.empty_like(x)
    while True:
        if unit in _FACTORS:
            grid = math.ldexp(1.5, 52 + unit)
            np.add(x, grid, out=h)
            np.subtract(h, grid, out=h)
            np.subtract(x, h, out=rest)
            yield unit, h, math.ldexp(1.0, -unit)
        else:
            counts = np.trunc(np.ldexp(x, -unit)) if unit > 0 else np.rint(np.ldexp(x, -unit))
            np.subtract(x, np.ldexp(counts, unit), out=rest)
            yield unit, counts, 1.0
        x = rest
        if not x.any():
            return
        unit -= WIDTH


def _total(x: Floats, largest: float) -> int:
    """Return the sum of numbers in units of 2**-1074.

    The sum of all digits of a unit is an integer, so here, where no cell is shared with other
    numbers, the first unit is the one that fits the largest number: that saves a step.
    """
    unit = math.frexp(largest)[1] - WIDTH
    h = np.empty_like(x)
    rest = x
    total = 0
    for step in range(3):
        grid = math.ldexp(1.5, 52 + unit)
        np.add(rest, grid, out=h)
        np.subtract(h, grid, out=h)
        rest = np.subtract(rest, h, out=None if step == 0 else rest)
        total += int(math.ldexp(h.sum(), -unit)) << (unit + EXPONENT)
        if not rest.any():
            return total
        unit -= WIDTH
    left = sum(int(g.sum() * f) << (u + _LOWEST) for u, g, f in digits(rest[rest != 0], FIRST))
    return total + (left >> (_LOWEST - EXPONENT))


class ExactSum:
    """The sum of numbers, exactly, with how many were not finite.

    Attributes
    ----------
    units : int
        Sum of the finite numbers in units of 2**-1074.
    nan, inf, minus_inf : int
        How many numbers were NaN and infinite.
    """

    __slots__ = ("inf", "minus_inf", "nan", "units")

    def __init__(self, units: int = 0, nan: int = 0, inf: int = 0, minus_inf: int = 0) -> None:
        self.units, self.nan, self.inf, self.minus_inf = units, nan, inf, minus_inf

    def add(self, x: Floats) -> None:
        """Add at most 2**16 numbers."""
        if not x.size:
            return
        largest = float(max(x.max(), -x.min()))
        if not math.isfinite(largest):
            self.nan += int(np.count_nonzero(np.isnan(x)))
            self.inf += int(np.count_nonzero(x == np.inf))
            self.minus_inf += int(np.count_nonzero(x == -np.inf))
            self.add(x[np.isfinite(x)])
        elif 1e-200 < largest < 1e200:
            self.units += _total(x, largest)
        else:
            total = sum(int(h.sum() * f) << (unit + _LOWEST) for unit, h, f in digits(x, FIRST))
            self.units += total >> (_LOWEST - EXPONENT)

    def merge(self, other: ExactSum) -> None:
        """Add another sum."""
        self.units += other.units
        self.nan += other.nan
        self.inf += other.inf
        self.minus_inf += other.minus_inf

    @property
    def limit(self) -> float | None:
        """NaN or infinity, where the sum is one of them."""
        if self.nan or (self.inf and self.minus_inf):
            return math.nan
        if self.inf or self.minus_inf:
            return math.inf if self.inf else -math.inf
        return None

    def as_list(self) -> list[int]:
        """Return the four integers."""
        return [self.units, self.nan, self.inf, self.minus_inf]


class ExactTable:
    """An array of exact sums of finite numbers.

    Each cell is a number in digits of 36 bits, one int64 array for each unit in use.

    Parameters
    ----------
    size : int
        Number of cells.
    unit : int
        Exponent of the unit to begin with.
    """

    def __init__(self, size: int, unit: int = FIRST) -> None:
        self.size, self.unit = size, unit
        self.levels: dict[int, Integers] = {}
        self._digits = 0  # the most digits in a cell since the last carry

    def add(self, cells: NDArray[np.intp], x: Floats) -> None:
        """Add at most 2**16 finite numbers to cells."""
        self._make_room(len(x))
        for unit, h, factor in digits(x, self.unit):
            level = self._level(unit)
            if self.size <= 2 * len(x):
                level += (np.bincount(cells, h, minlength=self.size) * factor).astype(np.int64)
            else:
                np.add.at(level, cells, (h * factor).astype(np.int64))

    def add_weighted(self, weights: Floats, x: Floats) -> None:
        """Add ``weights.T @ x``: weights of shape (len(x), size), integers that add up to 2**17."""
        self._make_room(2 * len(x))
        for unit, h, factor in digits(x, self.unit):
            self._level(unit)[...] += ((h @ weights) * factor).astype(np.int64)

    def add_products(self, weights: Floats, other: ExactTable, part: slice) -> None:
        """Add ``weights.T @ cells``: the cells of another, carried table, as `add_weighted`."""
        self._make_room(2 * len(weights))
        for unit, level in other.levels.items():
            self._level(unit)[...] += (level[part] @ weights).astype(np.int64)

    def merge(self, other: ExactTable, cells: NDArray[np.intp] | None = None) -> None:
        """Add another table, whose cells are `cells` (each at most once) of this one."""
        self._make_room(max(1, other._digits))
        for unit, level in other.levels.items():
            self._level(unit)[... if cells is None else cells] += level

    def carry(self) -> None:
        """Bring the digits into the range [0, 2**36), the one form of these sums."""
        units = sorted(self.levels)
        if units:
            units = list(range(units[0], units[-1] + 1, WIDTH))
        while units:
            unit = units.pop(0)
            carried = self._level(unit) >> WIDTH
            if unit + 2 * WIDTH >= 1024 or not carried.any():
                continue
            self.levels[unit] &= (1 << WIDTH) - 1
            self._level(unit + WIDTH)[...] += carried
            if not units:
                units.append(unit + WIDTH)
        self.levels = {unit: level for unit, level in self.levels.items() if level.any()}
        self._digits = 1

    def total(self) -> int:
        """Return the sum of all cells in units of 2**-1074."""
        self.carry()
        total = sum(int(level.sum()) << (unit + _LOWEST) for unit, level in self.levels.items())
        return total >> (_LOWEST - EXPONENT)

    def cells(self) -> list[int]:
        """Return every cell in units of 2**-1074."""
        self.carry()
        sums = [0] * self.size
        for unit, level in self.levels.items():
            for cell in np.flatnonzero(level):
                sums[cell] += int(level[cell]) << (unit + _LOWEST)
        return [units >> (_LOWEST - EXPONENT) for units in sums]

    def _level(self, unit: int) -> Integers:
        if unit not in self.levels:
            self.levels[unit] = np.zeros(self.size, np.int64)
        return self.levels[unit]

    def _make_room(self, count: int) -> None:
        if self._digits + count > _CARRY_AFTER:
            self.carry()
        self._digits += count


def as_fraction(units: int) -> Fraction:
    """Return a sum that is given in units of 2**-1074."""
    return Fraction(units, 1 << EXPONENT)


def as_units(x: float) -> int:
    """Return a finite number in units of 2**-1074."""
    numerator, denominator = x.as_integer_ratio()
    return numerator * ((1 << EXPONENT) // denominator)


def rounded(x: Fraction) -> float:
    """Return the float64 next to an exact number; infinity past the largest."""
    try:
        return float(x)
    except OverflowError:
        return math.inf if x > 0 else -math.inf


def root(x: Fraction) -> float:
    """Return the float64 next to the square root of an exact number, 0 for one below 0."""
    if x <= 0:
        return 0.0
    # 64 bits or more of the root, and one that says whether there are others.
    shift = max(0, 66 - (x.numerator.bit_length() - x.denominator.bit_length()) // 2)
    scaled = (x.numerator << (2 * shift)) // x.denominator
    whole = math.isqrt(scaled)
    inexact = whole * whole != scaled or scaled * x.denominator != x.numerator << (2 * shift)
    return rounded(Fraction(2 * whole + inexact, 2 << shift))
