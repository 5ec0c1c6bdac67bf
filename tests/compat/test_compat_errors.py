"""Bad values of every argument of TensorFlow's names: the errors of the functions beneath them."""

import inspect

import numpy as np
import pytest
import refusals as r
from test_errors import F32, Q, X, Y, arguments_of, check_refused

import fastce.compat.tensorflow as tf
from fastce.compat.tensorflow import losses, nn

MISSING = {"None": (None, ValueError, ["must be given"])}
# TensorFlow takes any real number for labels and weights, and casts it to the dtype it works in.
REAL = r.NO_ARRAY | MISSING
LOGITS = r.FLOATS | MISSING
OTHER_SHAPE = {"too few rows": (lambda z: z[:7], ValueError, ["(7, 4)", "(8, 4)"])}
ROW_LABELS = {
    "negative": (lambda q: r.changed(q, 5, -0.25), ValueError, ["-0.25"]),
    "NaN": (lambda q: r.changed(q, 31, np.nan), ValueError, ["nan"]),
    "past float32": (lambda q: r.changed(q.astype(float), 0, 1e300), ValueError, ["inf"]),
}
CLASSES = (
    r.LABELS
    | r.SHAPES_OF_LABELS
    | MISSING
    | {
        "-100": (lambda y: r.changed(y, 0, -100), ValueError, ["labels[0]", "-100"]),
        "floats, one a row": (r.as_type(np.float32), TypeError, ["float32", "integers"]),
        "probabilities": (Q, TypeError, [str(Q.dtype), "integers"]),
    }
)
WEIGHTS = REAL | {
    "that do not broadcast": (np.ones((3, 4)), ValueError, ["(3, 4)", "(8"]),
    "of another rank": (np.ones((8, 4, 1)), ValueError, ["(8"]),
}
SMOOTHING = r.numbers(-0.1, 1.5, "accepted is a number in [0, 1]")
SMOOTHING = {k: v for k, v in SMOOTHING.items() if k != "half"} | r.NOTHING
REDUCTION = {
    repr(value): (value, ValueError, [repr(value), "'weighted_sum'"])
    for value in ("mean", None, 1, b"none", ["none"])
} | {"an array": (np.array(["none", "none"]), ValueError, ["'weighted_sum'"])}
WEIGHED = {"weights": (np.ones(8), WEIGHTS), "reduction": ("weighted_sum", REDUCTION)}
ELEMENTS = WEIGHED | {"weights": (np.ones((8, 4)), WEIGHTS)}
EPSILON = {
    k: v for k, v in r.numbers(0, 0, "accepted is a number").items() if v[1] is TypeError
} | {"NaN": (np.nan, ValueError, ["nan"])}

CASES = {
    nn.softmax_cross_entropy_with_logits: {
        "labels": (Q, REAL | ROW_LABELS | OTHER_SHAPE),
        "logits": (X, LOGITS),
        "axis": (-1, r.AXES | r.NOTHING),
    },
    nn.sparse_softmax_cross_entropy_with_logits: {"labels": (Y, CLASSES), "logits": (X, LOGITS)},
    nn.sigmoid_cross_entropy_with_logits: {
        "labels": (Q, REAL | OTHER_SHAPE),
        "logits": (X, LOGITS),
    },
    nn.weighted_cross_entropy_with_logits: {
        "labels": (Q, REAL | OTHER_SHAPE),
        "logits": (X, LOGITS),
        "pos_weight": (2.0, REAL | {"of another shape": (np.ones(3), ValueError, ["(3,)"])}),
    },
    losses.sigmoid_cross_entropy: {
        "multi_class_labels": (Q, REAL | OTHER_SHAPE),
        "logits": (X, LOGITS),
        "label_smoothing": (0.1, SMOOTHING),
        **ELEMENTS,
    },
    losses.softmax_cross_entropy: {
        "onehot_labels": (Q, REAL | ROW_LABELS | OTHER_SHAPE),
        "logits": (X, LOGITS),
        "label_smoothing": (0.1, SMOOTHING),
        **WEIGHED,
    },
    losses.sparse_softmax_cross_entropy: {
        "labels": (Y, {k: v for k, v in CLASSES.items() if k != "too many axes"}),  # dropped there
        "logits": (X, LOGITS),
        **WEIGHED,
    },
    losses.log_loss: {
        "labels": (Q, REAL | OTHER_SHAPE),
        "predictions": (Q, REAL),
        "epsilon": (1e-7, EPSILON),
        **ELEMENTS,
    },
}
CASES |= {
    nn.softmax: {"logits": (X, LOGITS), "axis": (-1, {})},
    nn.log_softmax: {"logits": (X, LOGITS), "axis": (-1, {})},
    nn.sigmoid: {"x": (X, LOGITS)},
}
BY_NAME = {f"{f.__module__.rpartition('.')[2]}.{f.__name__}": f for f in CASES}
IGNORED = {"name", "scope", "loss_collection", "dim", "targets"}


@pytest.mark.parametrize(
    ("function", "argument"), arguments_of({name: CASES[f] for name, f in BY_NAME.items()})
)
def test_refused(function, argument) -> None:
    function = BY_NAME[function]
    arguments = {key: good for key, (good, _) in CASES[function].items()}
    for case in CASES[function][argument][1].items():
        check_refused(function, arguments, argument, *case)


@pytest.mark.parametrize("function", BY_NAME)
def test_what_refusals_start_from_is_accepted(function) -> None:
    function = BY_NAME[function]
    function(**{key: good for key, (good, _) in CASES[function].items()})


def test_no_function_and_no_argument_is_missing() -> None:
    named = {*nn.__all__, *losses.__all__} - {"Reduction", "softmax_cross_entropy_with_logits_v2"}
    assert {f.__name__ for f in CASES} == named
    for function, arguments in CASES.items():
        assert set(inspect.signature(function).parameters) - IGNORED == arguments.keys()


@pytest.mark.parametrize("label", [-100, -101, 4])
def test_a_label_that_is_no_class(label) -> None:
    """The error speaks of no ignore_index, which TensorFlow has not."""
    for y, place in ((np.array([[0, 1], [label, -7]]), r"labels\[1, 0\]"), (label, "labels")):
        with pytest.raises(ValueError, match=rf"^{place} is {label}, but logits have 4 classes$"):
            nn.sparse_softmax_cross_entropy_with_logits(y, np.zeros((*np.shape(y), 4), F32))


def test_labels_of_any_sign_are_the_sigmoid_s_business() -> None:
    x = np.array([1.0, -2.0], F32)
    got = nn.sigmoid_cross_entropy_with_logits(labels=[2.0, -1.0], logits=x)
    softplus = np.log1p(np.exp(x.astype(float)))
    np.testing.assert_allclose(got, softplus - [2.0, -1.0] * x, rtol=1e-6)


def test_both_names_of_an_argument() -> None:
    with pytest.raises(ValueError, match=r"targets is .* and labels is given, too"):
        tf.nn.weighted_cross_entropy_with_logits(
            labels=[1.0], logits=[2.0], pos_weight=1, targets=[0.0]
        )
    with pytest.raises(ValueError, match="dim is 1 and axis is given, too"):
        tf.nn.softmax_cross_entropy_with_logits([[1.0, 0.0]], [[1.0, 2.0]], axis=0, dim=1)


@pytest.mark.parametrize(
    "function",
    [tf.nn.sparse_softmax_cross_entropy_with_logits, tf.losses.sparse_softmax_cross_entropy],
)
@pytest.mark.parametrize(("one", "error"), [(1, ValueError), (1.0, TypeError)])
def test_one_hot_rows_where_classes_are_expected(function, one, error) -> None:
    with pytest.raises(error, match=r"^labels has .*: one-hot rows are for softmax_cross_entropy"):
        function([[one, 0, 0], [0, 0, one]], np.zeros((2, 3), np.float32))
