"""fastce.compat.tensorflow against values that TensorFlow computed.

tools/data/make_tensorflow_golden.py describes and makes the file; TensorFlow is not needed here.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastce.compat.tensorflow as tf

with np.load(Path(__file__).parents[1] / "golden" / "tensorflow.npz") as _file:
    GOLDEN: dict[str, np.ndarray] = dict(_file)
INDEX: dict[str, Any] = json.loads(GOLDEN["index"].tobytes())
CASES: list[dict[str, Any]] = INDEX["cases"]
ENDS = np.cumsum([int(np.prod(case["shape"])) for case in CASES]).tolist()

# Relative to the value, or to 1 where the value is smaller. tf.losses is float32 throughout.
TOLERANCE = {"float32": 2e-6, "float64": 1e-12}

HIGH_LEVEL = [name for name in INDEX["signatures"] if name.startswith("losses.")]


def function_named(name: str) -> Callable[..., Any]:
    module, function = name.split(".")
    return getattr(getattr(tf, module), function)


def case_id(case: dict[str, Any]) -> str:
    values = [str(value).lstrip("@") for value in case["arguments"].values()]
    return "-".join([case["function"], *values])


@pytest.mark.parametrize("number", range(len(CASES)), ids=map(case_id, CASES))
def test_value_is_that_of_tensorflow(number: int) -> None:
    case = CASES[number]
    arguments = {
        name: GOLDEN[value[1:]] if str(value).startswith("@") else value
        for name, value in case["arguments"].items()
    }
    size = int(np.prod(case["shape"]))
    expected = GOLDEN["values"][ENDS[number] - size : ENDS[number]].reshape(case["shape"])

    result = function_named(case["function"])(**arguments)

    assert result.shape == expected.shape
    assert result.dtype == case["dtype"]
    error = np.abs(result.astype(np.float64) - expected)
    assert (error <= TOLERANCE[case["dtype"]] * np.maximum(np.abs(expected), 1)).all()


def test_the_golden_values_reach_everything() -> None:
    """Each function with each reduction; nothing that a comparison would let pass."""
    assert np.isfinite(GOLDEN["values"]).all()
    reductions = set(INDEX["reductions"].values())
    for name in HIGH_LEVEL:
        seen = {c["arguments"].get("reduction") for c in CASES if c["function"] == name}
        assert seen - {None} == reductions
    assert {case["function"] for case in CASES} == set(INDEX["signatures"])


# --- form --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", INDEX["signatures"])
def test_signature_begins_like_that_of_tensorflow(name: str) -> None:
    parameters = inspect.signature(function_named(name)).parameters
    for (expected_name, *default), (own_name, own) in zip(
        INDEX["signatures"][name], parameters.items(), strict=False
    ):
        assert own_name == expected_name
        if default:
            assert own.default == default[0]
    assert len(parameters) >= len(INDEX["signatures"][name])
    assert all(p.kind is p.POSITIONAL_OR_KEYWORD for p in parameters.values())


def test_reduction_has_the_members_of_tensorflow() -> None:
    reduction = tf.losses.Reduction
    own = {name: getattr(reduction, name) for name in dir(reduction) if name.isupper()}
    assert own == INDEX["reductions"]
    assert set(reduction.all()) == set(own.values())


LOGITS = np.array([[2.0, -1.0, 0.5], [0.0, 3.0, 1.0]], dtype=np.float32)
BINARY = np.array([[1, 0, 1], [0, 0, 1]], dtype=np.float32)
CALLS: dict[str, dict[str, Any]] = {
    "losses.sigmoid_cross_entropy": {"multi_class_labels": BINARY, "logits": LOGITS},
    "losses.softmax_cross_entropy": {"onehot_labels": BINARY, "logits": LOGITS},
    "losses.sparse_softmax_cross_entropy": {"labels": [2, 0], "logits": LOGITS},
    "losses.log_loss": {"labels": BINARY, "predictions": 1 / (1 + np.exp(-LOGITS))},
}


@pytest.mark.parametrize("name", CALLS)
def test_a_reduced_loss_is_a_float32_number(name: str) -> None:
    loss = function_named(name)(**CALLS[name])
    assert isinstance(loss, np.float32)
    losses = function_named(name)(**CALLS[name], reduction=tf.losses.Reduction.NONE)
    assert isinstance(losses, np.ndarray)
    assert loss == pytest.approx(losses.mean(), rel=1e-6)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_low_level_losses_have_the_dtype_of_the_logits(dtype: type) -> None:
    logits = LOGITS.astype(dtype)
    assert tf.nn.sigmoid_cross_entropy_with_logits(BINARY, logits).dtype == dtype
    assert tf.nn.sigmoid_cross_entropy_with_logits(2 * BINARY, logits).dtype == dtype
    assert tf.nn.weighted_cross_entropy_with_logits(BINARY, logits, 2.0).dtype == dtype
    assert tf.nn.softmax_cross_entropy_with_logits(BINARY, logits).dtype == dtype
    assert tf.nn.sparse_softmax_cross_entropy_with_logits([0, 1], logits).dtype == dtype
    assert tf.losses.sparse_softmax_cross_entropy([0, 1], logits).dtype == np.float32


def test_lists_of_python_floats_are_float32() -> None:
    loss = tf.nn.sigmoid_cross_entropy_with_logits(labels=[1.0, 0.0], logits=[0.5, 2.0])
    assert loss.dtype == np.float32
    one = tf.nn.sigmoid_cross_entropy_with_logits(labels=1.0, logits=0.5)
    assert (one.shape, one.dtype) == ((), np.float32)


@pytest.mark.parametrize(
    ("logits", "dtype"),  # as TensorFlow 2.21 converts them
    [
        (np.float64(0.5), np.float64),
        ([np.float64(0.5), 0.5], np.float64),
        ([0.5, np.float64(0.5)], np.float32),
        ([np.float32(0.5), np.float64(0.5)], np.float32),
        ([np.arange(2.0), [1.0, 2.0]], np.float64),
        ([[1.0, 2.0], np.arange(2.0)], np.float32),
        ([1, 2.0], np.float32),
        ([np.int64(1), 2.5], np.float32),
    ],
    ids=str,
)
def test_a_list_has_the_dtype_of_its_first_number(logits: Any, dtype: type) -> None:
    labels = np.zeros(np.shape(logits))
    assert tf.nn.sigmoid_cross_entropy_with_logits(labels, logits).dtype == dtype


def test_arguments_of_tensorflow_1() -> None:
    np.testing.assert_array_equal(
        tf.nn.softmax_cross_entropy_with_logits(labels=BINARY, logits=LOGITS, dim=0),
        tf.nn.softmax_cross_entropy_with_logits(labels=BINARY, logits=LOGITS, axis=0),
    )
    np.testing.assert_array_equal(
        tf.nn.weighted_cross_entropy_with_logits(targets=BINARY, logits=LOGITS, pos_weight=2.0),
        tf.nn.weighted_cross_entropy_with_logits(BINARY, LOGITS, 2.0),
    )


@pytest.mark.parametrize("extra", ["labels", "logits", "weights"])
def test_sparse_labels_drop_a_last_axis_of_length_1(extra: str) -> None:
    labels, weights = np.array([2, 0]), np.array([0.5, 3.0], dtype=np.float32)
    expected = tf.losses.sparse_softmax_cross_entropy(labels, LOGITS, weights)
    arguments = {"labels": labels, "logits": LOGITS, "weights": weights}
    arguments[extra] = arguments[extra][..., None]
    assert tf.losses.sparse_softmax_cross_entropy(**arguments) == expected


# --- where TensorFlow multiplies 0 by infinity, or by NaN -----------------------------------------


def test_a_factor_of_zero_gives_zero_at_infinite_logits() -> None:
    infinite = np.array([np.inf, -np.inf, np.inf, -np.inf], dtype=np.float32)
    labels = np.array([1, 0, 0, 1], dtype=np.float32)
    expected = [0, 0, np.inf, np.inf]
    for pos_weight in (1.0, [2.0, 2.0, 2.0, 2.0]):
        losses = tf.nn.weighted_cross_entropy_with_logits(labels, infinite, pos_weight)
        assert losses.tolist() == expected
    assert tf.losses.log_loss([1.0, 0.0], [1.0, 0.0], epsilon=0) == 0


@pytest.mark.parametrize("reduction", tf.losses.Reduction.all())
def test_a_weight_of_zero_removes_a_nan(reduction: str) -> None:
    logits = np.array([[np.nan, 0, 0], [1, 2, 3]], dtype=np.float32)
    clean = np.nan_to_num(logits)
    arguments = {"labels": [0, 1], "weights": [0.0, 2.0], "reduction": reduction}
    np.testing.assert_array_equal(
        tf.losses.sparse_softmax_cross_entropy(logits=logits, **arguments),
        tf.losses.sparse_softmax_cross_entropy(logits=clean, **arguments),
    )


def test_a_nan_label_stays_in_its_element() -> None:
    losses = tf.nn.sigmoid_cross_entropy_with_logits([np.nan, 1.0], [0.5, 0.5])
    assert np.isnan(losses).tolist() == [True, False]


# --- errors ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("shape", [(7,), (2, 3, 1), (1, 1, 1), (2, 2)])
def test_weights_that_do_not_broadcast_are_refused(name: str, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"weights has shape \(.*for losses of shape \("):
        function_named(name)(**CALLS[name], weights=np.ones(shape))


@pytest.mark.parametrize("name", CALLS)
def test_an_unknown_reduction_lists_the_choices(name: str) -> None:
    with pytest.raises(ValueError, match=r"reduction is 'mean'.*'weighted_mean'"):
        function_named(name)(**CALLS[name], reduction="mean")


@pytest.mark.parametrize("name", INDEX["signatures"])
def test_a_missing_argument_is_named(name: str) -> None:
    labels, logits = list(inspect.signature(function_named(name)).parameters)[:2]
    arguments = {labels: BINARY, logits: LOGITS}
    if "weighted" in name:
        arguments["pos_weight"] = np.float32(1)
    for missing in (labels, logits):
        with pytest.raises(ValueError, match=f"{missing} is None"):
            function_named(name)(**arguments | {missing: None})


@pytest.mark.parametrize("name", CALLS)
def test_weights_of_none_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="weights is None"):
        function_named(name)(**CALLS[name], weights=None)


@pytest.mark.parametrize("name", [name for name in INDEX["signatures"] if "sparse" not in name])
def test_labels_of_another_shape_are_refused(name: str) -> None:
    labels, logits = list(inspect.signature(function_named(name)).parameters)[:2]
    arguments = {labels: BINARY[:1], logits: LOGITS}
    if "weighted" in name:
        arguments["pos_weight"] = np.float32(1)
    with pytest.raises(ValueError, match=r"\(1, 3\).*\(2, 3\)"):
        function_named(name)(**arguments)


@pytest.mark.parametrize("label", [-100, -1, 3, np.iinfo(np.int64).min, np.iinfo(np.int64).max])
def test_no_label_is_ignored(label: int) -> None:
    for function in (
        tf.nn.sparse_softmax_cross_entropy_with_logits,
        tf.losses.sparse_softmax_cross_entropy,
    ):
        with pytest.raises(ValueError, match=rf"labels\[1\] is {label}"):
            function(labels=np.array([0, label]), logits=LOGITS)


@pytest.mark.parametrize("smoothing", [-0.1, 1.5, np.nan])
def test_smoothing_outside_0_and_1_is_refused(smoothing: float) -> None:
    for function in (tf.losses.sigmoid_cross_entropy, tf.losses.softmax_cross_entropy):
        with pytest.raises(ValueError, match="label_smoothing is"):
            function(BINARY, LOGITS, label_smoothing=smoothing)


def test_integer_logits_are_refused() -> None:
    for function in (
        tf.nn.sigmoid_cross_entropy_with_logits,
        tf.nn.softmax_cross_entropy_with_logits,
        tf.losses.sigmoid_cross_entropy,
        tf.losses.softmax_cross_entropy,
    ):
        with pytest.raises(TypeError, match="logits"):
            function(BINARY, np.array([[1, 2, 3], [4, 5, 6]]))
