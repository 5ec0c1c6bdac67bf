"""Write tests/golden/tensorflow.npz: what TensorFlow itself computes for a set of fixed inputs.

    python tools/data/make_tensorflow_golden.py            (needs tensorflow-cpu; run from the root)

The file holds the inputs, each under its name; `values`, the results one after another in
float64; and `index`, a JSON text with the version of TensorFlow, the signatures of the eight
functions, the members of `Reduction` and the list of cases. A case is

    {"function": "losses.log_loss", "arguments": {"labels": "@name of an input", "weights": 2.5},
     "shape": [], "dtype": "float32"}
"""

from __future__ import annotations

import inspect
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

TARGET = Path(__file__).parents[2] / "tests" / "golden" / "tensorflow.npz"

# tf.nn as in TensorFlow 2; tf.losses, which only TensorFlow 1 had, from tf.compat.v1.
MODULES = {"nn": tf.nn, "losses": tf.compat.v1.losses}
FUNCTIONS = [
    "nn.sigmoid_cross_entropy_with_logits",
    "nn.softmax_cross_entropy_with_logits",
    "nn.sparse_softmax_cross_entropy_with_logits",
    "nn.weighted_cross_entropy_with_logits",
    "losses.sigmoid_cross_entropy",
    "losses.softmax_cross_entropy",
    "losses.sparse_softmax_cross_entropy",
    "losses.log_loss",
]
REDUCTIONS = list(dict.fromkeys(tf.compat.v1.losses.Reduction.all()))

FLAT = (6, 5)  # rows, classes
DEEP = (2, 3, 2, 4)  # the last axis holds the classes

Arguments = dict[str, Any]
Case = tuple[str, Arguments]


def make_inputs(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Every array that a case may refer to, by name."""
    inputs: dict[str, np.ndarray] = {}
    for name, shape in {"flat": FLAT, "deep": DEEP}.items():
        logits = rng.normal(scale=3, size=shape)
        targets = rng.uniform(size=shape)
        classes = rng.integers(0, shape[-1], shape[:-1])
        inputs |= {
            f"{name}_logits": logits.astype(np.float32),
            f"{name}_logits64": logits,
            f"{name}_classes": classes.astype(np.int32),
            f"{name}_onehot": np.eye(shape[-1], dtype=np.int32)[classes],
            f"{name}_onehot32": np.eye(shape[-1], dtype=np.float32)[classes],
            f"{name}_shares": softmax(rng.normal(size=shape)).astype(np.float32),
            f"{name}_shares64": softmax(rng.normal(size=shape)),
            f"{name}_binary": rng.integers(0, 2, shape).astype(np.float32),
            f"{name}_targets": targets.astype(np.float32),
            f"{name}_targets64": targets,
            f"{name}_any_labels": rng.uniform(-2, 3, shape).astype(np.float32),
            f"{name}_any_labels64": rng.uniform(-2, 3, shape),
            f"{name}_probs": rng.uniform(size=shape).astype(np.float32),
        }
        for weights_shape in weight_shapes(shape) + weight_shapes(shape[:-1]):
            inputs[weight_name("positive", weights_shape)] = rng.uniform(0.1, 3, weights_shape)
        for full in (shape, shape[:-1]):
            mixed = rng.uniform(-1, 2, full)
            inputs[weight_name("negative", full)] = mixed
            inputs[weight_name("some_zero", full)] = np.where(mixed < 0.5, 0, mixed)
            inputs[weight_name("all_zero", full)] = np.zeros(full)
    inputs["huge_logits"] = np.float32(
        [[1e4, -1e4, 0, 30, -30], [-1e4, -1e4, -1e4, -1e4, -1e4], [1e4, 1e4, -1e4, 90, 0]]
    )
    inputs["huge_binary"] = np.float32([[1, 0, 1, 1, 0], [0, 1, 0, 1, 0], [0, 1, 1, 0, 0.5]])
    inputs["huge_classes"] = np.int64([1, 4, 0])
    inputs["edge_probs"] = np.float32([[0, 1, 0, 1], [1e-7, 1 - 2**-24, 1e-30, 0.5]])
    inputs["edge_binary"] = np.float32([[0, 1, 1, 0], [1, 0, 0.25, 0.5]])
    inputs["deep_many_weights"] = rng.uniform(0.5, 2, (3, 1, 1, 1, 4)).astype(np.float32)
    inputs["no_logits"] = np.zeros((0, 5), np.float32)
    inputs["no_classes"] = np.zeros(0, np.int32)
    return inputs


def softmax(logits: np.ndarray) -> np.ndarray:
    """Shares that sum to 1 along the last axis."""
    powers = np.exp(logits)
    return powers / powers.sum(axis=-1, keepdims=True)


def weight_shapes(shape: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Every shape of the same rank that broadcasts to `shape`."""
    return list(itertools.product(*((1, n) for n in shape)))


def weight_name(kind: str, shape: tuple[int, ...]) -> str:
    """Name of the weights of that kind and shape."""
    return f"{kind}_weights_{'x'.join(map(str, shape))}"


def weights_for(shape: tuple[int, ...]) -> Iterator[float | str]:
    """Every kind of weights for losses of that shape."""
    yield from (2.5, 0.0, -1.5)
    for weights_shape in weight_shapes(shape):
        yield "@" + weight_name("positive", weights_shape)
    for kind in ("negative", "some_zero", "all_zero"):
        yield "@" + weight_name(kind, shape)


def low_level() -> Iterator[Case]:
    """Cases of tf.nn."""
    for rank, bits in itertools.product(("flat", "deep"), ("", "64")):
        logits = f"@{rank}_logits{bits}"
        for labels in (f"@{rank}_targets{bits}", f"@{rank}_any_labels{bits}"):
            both = {"labels": labels, "logits": logits}
            yield "nn.sigmoid_cross_entropy_with_logits", both
            for pos_weight in (0.3, 4.0, 1.0, 0.0, -2.0):
                yield "nn.weighted_cross_entropy_with_logits", both | {"pos_weight": pos_weight}
        for axis in (-1, *range(2 if rank == "flat" else 4)):
            yield (
                "nn.softmax_cross_entropy_with_logits",
                {"labels": f"@{rank}_shares{bits}", "logits": logits, "axis": axis},
            )
        for labels in (f"@{rank}_onehot", f"@{rank}_targets{bits}"):
            yield "nn.softmax_cross_entropy_with_logits", {"labels": labels, "logits": logits}
        yield (
            "nn.sparse_softmax_cross_entropy_with_logits",
            {"labels": f"@{rank}_classes", "logits": logits},
        )
    names = [weight_name("positive", shape) for shape in weight_shapes(FLAT)]
    for name in [*names, weight_name("negative", FLAT)]:
        yield (
            "nn.weighted_cross_entropy_with_logits",
            {"labels": "@flat_targets", "logits": "@flat_logits", "pos_weight": f"@{name}"},
        )
    yield (
        "nn.weighted_cross_entropy_with_logits",
        {"labels": "@deep_targets", "logits": "@deep_logits", "pos_weight": "@deep_many_weights"},
    )
    huge = {"labels": "@huge_binary", "logits": "@huge_logits"}
    yield "nn.sigmoid_cross_entropy_with_logits", huge
    yield "nn.softmax_cross_entropy_with_logits", huge
    yield "nn.weighted_cross_entropy_with_logits", huge | {"pos_weight": 3.0}
    yield (
        "nn.sparse_softmax_cross_entropy_with_logits",
        {"labels": "@huge_classes", "logits": "@huge_logits"},
    )


def high_level() -> Iterator[Case]:
    """Cases of tf.losses."""
    for rank, shape in {"flat": FLAT, "deep": DEEP}.items():
        logits = {"logits": f"@{rank}_logits"}
        sigmoid = {"multi_class_labels": f"@{rank}_binary"} | logits
        softmax = {"onehot_labels": f"@{rank}_onehot"} | logits
        sparse = {"labels": f"@{rank}_classes"} | logits
        log_loss = {"labels": f"@{rank}_binary", "predictions": f"@{rank}_probs"}
        for function, arguments, losses_shape in (
            ("losses.sigmoid_cross_entropy", sigmoid, shape),
            ("losses.softmax_cross_entropy", softmax, shape[:-1]),
            ("losses.sparse_softmax_cross_entropy", sparse, shape[:-1]),
            ("losses.log_loss", log_loss, shape),
        ):
            yield function, arguments
            for weights, reduction in itertools.product(weights_for(losses_shape), REDUCTIONS):
                yield function, arguments | {"weights": weights, "reduction": reduction}
        for smoothing, reduction in itertools.product((0.1, 0.5, 1.0), REDUCTIONS):
            more = {"label_smoothing": smoothing, "reduction": reduction}
            yield "losses.sigmoid_cross_entropy", sigmoid | more
            yield "losses.softmax_cross_entropy", softmax | more
        for labels in ("targets", "any_labels"):
            changed = {"multi_class_labels": f"@{rank}_{labels}", "label_smoothing": 0.2}
            yield "losses.sigmoid_cross_entropy", sigmoid | changed
            yield "losses.log_loss", log_loss | {"labels": f"@{rank}_{labels}"}
        yield (
            "losses.softmax_cross_entropy",
            softmax | {"onehot_labels": f"@{rank}_shares", "label_smoothing": 0.3},
        )
        for epsilon in (1e-3, 1e-12, 0.5):
            yield "losses.log_loss", log_loss | {"epsilon": epsilon}
    for reduction in REDUCTIONS:
        chosen = {"reduction": reduction}
        huge = {"logits": "@huge_logits"} | chosen
        yield "losses.sigmoid_cross_entropy", huge | {"multi_class_labels": "@huge_binary"}
        yield "losses.softmax_cross_entropy", huge | {"onehot_labels": "@huge_binary"}
        yield "losses.sparse_softmax_cross_entropy", huge | {"labels": "@huge_classes"}
        edge = {"labels": "@edge_binary", "predictions": "@edge_probs"}
        yield "losses.log_loss", edge | chosen
        empty = {"labels": "@no_classes", "logits": "@no_logits"}
        yield "losses.sparse_softmax_cross_entropy", empty | chosen


def signature(function: Any) -> list[list[Any]]:
    """Names and defaults of the parameters; a parameter without default has its name alone."""
    return [
        [name] if parameter.default is parameter.empty else [name, parameter.default]
        for name, parameter in inspect.signature(function).parameters.items()
    ]


def resolve(function: str) -> Any:
    """Return the TensorFlow function of that name."""
    module, name = function.split(".")
    return getattr(MODULES[module], name)


def main() -> None:
    """Compute every case and write the file."""
    inputs = make_inputs(np.random.default_rng(20180517))
    cases, values = [], []
    for function, arguments in itertools.chain(low_level(), high_level()):
        given = {
            key: inputs[value[1:]] if str(value).startswith("@") else value
            for key, value in arguments.items()
        }
        result = resolve(function)(**given).numpy()
        values.append(np.ravel(result).astype(np.float64))
        cases.append(
            {
                "function": function,
                "arguments": arguments,
                "shape": list(np.shape(result)),
                "dtype": str(result.dtype),
            }
        )
    used = {str(v)[1:] for case in cases for v in case["arguments"].values() if str(v)[:1] == "@"}
    reduction = tf.compat.v1.losses.Reduction
    index = {
        "tensorflow": tf.__version__,
        "signatures": {function: signature(resolve(function)) for function in FUNCTIONS},
        "reductions": {name: getattr(reduction, name) for name in dir(reduction) if name.isupper()},
        "cases": cases,
    }
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(
        TARGET,
        index=np.frombuffer(json.dumps(index).encode(), dtype=np.uint8),
        values=np.concatenate(values),
        **{name: array for name, array in inputs.items() if name in used},
    )
    print(f"{len(cases)} cases, {TARGET.stat().st_size} bytes -> {TARGET}")


if __name__ == "__main__":
    main()
