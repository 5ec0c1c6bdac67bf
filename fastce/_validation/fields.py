"""Names of the numbers that are asked for."""

from __future__ import annotations

from collections.abc import Sequence


def as_fields(value: object, names: Sequence[str], missing: Sequence[str]) -> tuple[str, ...]:
    """Return names that are known; those of `missing` need labels, and there are none."""
    accepted = ", ".join(map(repr, names))
    if isinstance(value, str):
        raise TypeError(
            f"fields is {value!r}, accepted is a sequence of names: ({value!r},) would fit"
        )
    try:
        fields: tuple[object, ...] = tuple(value)  # type: ignore[arg-type]
    except TypeError:
        raise TypeError(
            f"fields is {value!r}, accepted is a sequence of names of {accepted}"
        ) from None
    for name in fields:
        if not isinstance(name, str) or name not in names:
            raise ValueError(f"fields has {name!r}, accepted are {accepted}")
        if name in missing:
            raise ValueError(f"fields has {name!r}, which needs labels, but labels is None")
    return tuple(str(name) for name in fields)
