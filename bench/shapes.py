"""What is measured: shapes by name, and the cells of the tables.

A shape is written `65536x1000`, classes on the last axis, or `8x21x512x512@1`, classes on axis 1.
The named ones stand for a use each; any other can be spelt out wherever a shape is asked for.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

# A shape below this many bytes is measured hot, in the processor's own cache, as it is met in
# practice. Everything larger is measured from memory.
HOT_BYTES = 1 << 20

NAMED = {
    "vocabulary-256000": "256x256000",
    "vocabulary-128256": "512x128256",
    "vocabulary-50257": "1024x50257",
    "vocabulary-32000": "2048x32000",
    "classes-1001": "65536x1001",
    "classes-1000": "65536x1000",
    "classes-100": "500000x100",
    "classes-21": "3000000x21",
    "classes-10": "4000000x10",
    "classes-2": "8000000x2",
    "segmentation": "8x21x512x512@1",
    "detection": "64x81x8732@1",
    "detection-head": "64x13x13x3x20",
    "multilabel": "65536x1000",
}

SOFTMAX = tuple(name for name in NAMED if name != "multilabel")
SIGMOID = ("multilabel", "detection-head")
QUICK = ("512x32000", "16384x1000", "160000x100", "1600000x10", "8000000x2", "2x21x512x512@1")
SMALL = ("1x2", "1x10", "32x10", "128x10", "32x100", "32x1000", "128x1000", "1x50257")

GROUPS = {"all": SOFTMAX, "sigmoid": SIGMOID, "quick": QUICK, "small": SMALL}

FUNCTIONS = ("softmax_cross_entropy", "sigmoid_cross_entropy")
DTYPES = ("float32", "float64", "float16", "bfloat16")

# loss: the mean. losses: one per row (reduction="none"). gradient: written into memory that was
# used before (grad_out). gradient-fresh: into memory allocated by the call, page faults included.
MODES = ("loss", "losses", "gradient", "gradient-fresh")


@dataclass(frozen=True)
class Shape:
    """Logits of shape `dims` with the classes on `axis`."""

    dims: tuple[int, ...]
    axis: int

    @property
    def elements(self) -> int:
        """The number of logits."""
        return math.prod(self.dims)

    @property
    def classes(self) -> int:
        """The length of the class axis."""
        return self.dims[self.axis]

    @property
    def rows(self) -> int:
        """The number of labels."""
        return self.elements // self.classes

    @property
    def row_dims(self) -> tuple[int, ...]:
        """The logits' shape without the class axis."""
        axis = self.axis % len(self.dims)
        return self.dims[:axis] + self.dims[axis + 1 :]

    @property
    def classes_last(self) -> bool:
        """Whether the classes of a row are next to each other in memory."""
        return self.axis % len(self.dims) == len(self.dims) - 1


@dataclass(frozen=True)
class Cell:
    """One cell of a table: everything that decides a measurement, apart from the machine."""

    function: str
    shape: str
    dtype: str
    mode: str
    isa: str = ""  # "" is the best that the processor has
    threads: int = 1

    def __post_init__(self) -> None:
        for name, choices in (("function", FUNCTIONS), ("dtype", DTYPES), ("mode", MODES)):
            if getattr(self, name) not in choices:
                raise ValueError(f"{name} is {getattr(self, name)!r}, accepted: {choices}")
        parse(self.shape)

    @property
    def key(self) -> str:
        """The cell's name where instruction set and threads are given elsewhere."""
        return f"{self.function} {self.shape} {self.dtype} {self.mode}"

    @property
    def is_softmax(self) -> bool:
        """Whether labels are class numbers; else there is one label per logit."""
        return self.function == "softmax_cross_entropy"

    @property
    def has_gradient(self) -> bool:
        """Whether the call returns the gradient besides the loss."""
        return self.mode.startswith("gradient")

    @property
    def reduction(self) -> str:
        """The reduction as fastce and PyTorch call it."""
        return "none" if self.mode == "losses" else "mean"

    @property
    def is_half(self) -> bool:
        """Whether the logits have two bytes each."""
        return self.dtype in ("float16", "bfloat16")


def parse(text: str) -> Shape:
    """Return the shape that `text` names or spells out."""
    dims, _, axis = NAMED.get(text, text).partition("@")
    try:
        shape = Shape(tuple(int(dim) for dim in dims.split("x")), int(axis or "-1"))
        if min(shape.dims) < 1 or not shape.classes:
            raise ValueError
    except (ValueError, IndexError):
        names = ", ".join((*GROUPS, *NAMED))
        raise ValueError(f"shape is {text!r}, accepted: 64x10, 8x21x512x512@1, {names}") from None
    return shape


def expand(names: str) -> list[str]:
    """Return the shapes of a comma-separated list of groups, names and spelt-out shapes."""
    shapes: list[str] = []
    for name in names.split(","):
        shapes += GROUPS.get(name, (name,))
    for shape in shapes:
        parse(shape)
    return list(dict.fromkeys(shapes))
