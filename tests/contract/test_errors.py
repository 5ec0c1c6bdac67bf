"""Every bad value of every argument of every public function: the documented error, which names the
argument, what was given and what is accepted; and not a byte of any array has changed."""

import inspect
import re

import numpy as np
import pytest
import refusals as r
from holders import OnlyDLPack

import fastce

F32 = np.float32
X = np.linspace(-2, 2, 32, dtype=F32).reshape(8, 4)
Y = np.array([0, 1, 2, 3, 0, 1, 2, 3])
Q = np.full((8, 4), 0.25, F32)
PER_CLASS, PER_ROW, PER_ELEMENT = np.arange(1.0, 5), np.arange(1.0, 9), np.ones((8, 4))


def out_of(name: str, value: float = 7.0) -> np.ndarray:
    """Return an output for a function of X, filled with a number."""
    return np.full((8,) if name == "logsumexp" else (8, 4), value, F32)


REDUCED = {
    "reduction": ("mean", r.REDUCTIONS),
    "normalizer": ("weight", r.NORMALIZERS),
    "return_grad": (True, r.FLAGS),
    "grad_out": (out_of, r.OUTPUTS),
    "num_threads": (1, r.THREADS),
}
SMOOTHING = {"label_smoothing": (0.1, r.numbers(-0.1, 1.5, "accepted is a number in [0, 1]"))}
PER_ITEM = {
    "sample_weight": (
        PER_ELEMENT,
        r.weights("sample_weight", np.ones((2, 8, 4)), "(8, 4)", "0, ") | r.ONE_FOR_ALL,
    ),
    "axis": (None, {**r.AXES}),
}
ACTIVATION = {"logits": (X, r.FLOATS), "out": (out_of, r.OUTPUTS), "num_threads": (1, r.THREADS)}
ROWS = {**ACTIVATION, "axis": (-1, r.AXES | r.NOTHING)}
WITHOUT_WINDOWS = {k: v for k, v in r.OUTPUTS.items() if k != "windows"}  # it has one axis

OUTSIDE = r.fractions_of_one("probs")

# function → argument → a good value, and what is refused in its place.
CASES = {
    "softmax_cross_entropy": {
        "logits": (X, r.FLOATS),
        "labels": (Y, r.LABELS | r.SHAPES_OF_LABELS),
        "class_weight": (
            PER_CLASS,
            r.weights("class_weight", np.ones(5), "(4,)")
            | {
                "one number": (1.0, ValueError, ["()", "(4,)"]),
                "two axes": (np.ones((1, 4)), ValueError, ["(1, 4)", "(4,)"]),
            },
        ),
        "sample_weight": (
            PER_ROW,
            r.weights("sample_weight", np.ones(7), "(8,)")
            | r.ONE_FOR_ALL
            | {"more axes": (np.ones((2, 8)), ValueError, ["(2, 8)", "(8,)"])},
        ),
        **SMOOTHING,
        "z_loss": (1e-4, r.numbers(-1e-4, 2.0**1000 * 2.0**24, "accepted is a number >= 0")),
        "ignore_index": (-100, r.IGNORED_LABELS),
        "axis": (-1, r.AXES | r.NOTHING),
        "return_hess": (False, r.FLAGS),
        **REDUCED,
    },
    "sigmoid_cross_entropy": {
        "logits": (X, r.FLOATS),
        "labels": (Q, r.BINARY_LABELS),
        "pos_weight": (
            PER_CLASS,
            r.weights("pos_weight", np.ones(5), "(4,)")
            | r.ONE_FOR_ALL
            | {"two axes": (np.ones((1, 4)), ValueError, ["(1, 4)", "(4,)"])},
        ),
        **SMOOTHING,
        "return_hess": (False, r.FLAGS),
        **PER_ITEM,
        **REDUCED,
    },
    "binary_cross_entropy": {
        "probs": (Q, r.FLOATS | {k: v for k, v in OUTSIDE.items() if "just" not in k}),
        "labels": (Q, r.BINARY_LABELS),
        "eps": (0.1, r.numbers(-0.1, 0.5, "accepted is a number in [0, 0.5)")),
        **PER_ITEM,
        **REDUCED,
    },
    "row_statistics": {
        "logits": (X, r.FLOATS),
        "labels": (
            Y,
            r.LABELS
            | r.SHAPES_OF_LABELS
            | {
                "None": (None, ValueError, ["'loss'"]),
                "probabilities": (Q, TypeError, ["float32", "integers"]),
            },
        ),
        "fields": (
            ("loss", "entropy"),
            {
                "a name": ("loss", TypeError, ["'loss'", "('loss',)"]),
                "unknown": (
                    ("loss", "accuracy"),
                    ValueError,
                    ["'accuracy'", "'loss'", "'logit_variance'"],
                ),
                "no text": ((1,), ValueError, ["1", "'loss'"]),
                "a number": (3, TypeError, ["3", "'loss'"]),
            },
        ),
        "axis": (-1, r.AXES | r.NOTHING),
        "ignore_index": (-100, r.IGNORED_LABELS),
        "temperature": (2.0, r.numbers(0.0, np.inf, "accepted is a number > 0 and finite")),
        "num_threads": (1, r.THREADS),
    },
    "logsumexp": {**ROWS, "out": (out_of, WITHOUT_WINDOWS)},
    "log_softmax": ROWS,
    "softmax": ROWS,
    "sigmoid": ACTIVATION,
    "class_counts": {
        "labels": (Y, r.LABELS | {"floats": (r.as_type(F32), TypeError, ["float32", "integers"])}),
        "n_classes": (
            4,
            r.integers("an integer >= 1")
            | {
                "none": (0, ValueError, ["0", "accepted is an integer >= 1"]),
                "negative": (-4, ValueError, ["-4", "accepted is an integer >= 1"]),
                "past memory": (2**62, ValueError, ["accepted is an integer >= 1"]),
                "past int64": (2**70, ValueError, ["accepted is an integer >= 1"]),
            },
        ),
        "ignore_index": (-100, r.IGNORED),
    },
    "class_weights": {
        "counts": (
            PER_CLASS,
            r.weights("counts", np.ones((2, 4)), "accepted is (C,)")
            | {
                "None": (None, TypeError, ["object"]),
                "bool": (r.as_type(bool), TypeError, ["bool"]),
                "a number": (3.0, ValueError, ["()"]),
                "of no class": ([], ValueError, ["(0,)"]),
                "half": (lambda n: n.astype(r.ml_dtypes.bfloat16), TypeError, ["bfloat16"]),
            },
        ),
        "method": (
            "log",
            {
                repr(value): (value, ValueError, [repr(value), "'log', 'balanced'", "'median'"])
                for value in ("sqrt", "LOG", None, 1, b"log", ["log"])
            }
            | {"an array": (np.array(["log", "log"]), ValueError, ["'log', 'balanced'"])},
        ),
        "normalize": (False, r.FLAGS),
        "beta": (0.9, r.numbers(-0.1, 1.0, "accepted is a number in [0, 1)")),
        "zero_weight": (
            1.0,
            r.numbers(-1.0, np.inf, "accepted is a number >= 0"),
        ),
    },
}
# The losses of the label's probability have one number in place of smoothing and z_loss.
NUMBERS = {
    "softmax_focal_loss": ("gamma", 2.0, r.numbers(-0.1, 1e7, "accepted is a number in [0, 1e6]")),
    "poly_loss": ("epsilon", 1.0, r.numbers(-1.5, np.inf, "accepted is a number >= -1")),
    "generalized_cross_entropy": ("q", 0.7, r.numbers(-0.1, 1.5, "accepted is a number in [0, 1]")),
    "taylor_cross_entropy": ("terms", 2, r.integers("an integer in [1, 1000]")),
}
for loss, (parameter, good, bad) in NUMBERS.items():
    CASES[loss] = {
        name: case
        for name, case in CASES["softmax_cross_entropy"].items()
        if name not in {"label_smoothing", "z_loss"}
    } | {parameter: (good, bad)}
CASES["sigmoid_focal_loss"] = {
    name: case
    for name, case in CASES["sigmoid_cross_entropy"].items()
    if name not in {"label_smoothing", "pos_weight"}
} | {
    "gamma": NUMBERS["softmax_focal_loss"][1:],
    "alpha": (0.25, r.numbers(-0.1, 1.5, "accepted is a number in [0, 1]")),
}
for loss in ("kl_divergence", "js_divergence"):
    CASES[loss] = {
        "logits": (X, r.FLOATS),
        "reference_logits": (X + 1, r.FLOATS),
        "temperature": (2.0, r.numbers(0.0, 1e7, "accepted is a number in [1e-06, 1e+06]")),
        "sample_weight": CASES["softmax_cross_entropy"]["sample_weight"],
        "axis": (-1, r.AXES | r.NOTHING),
        **REDUCED,
    }
FUNCTIONS = {name: getattr(fastce, name) for name in CASES}


def arguments_of(cases: object) -> list[tuple[str, str]]:
    """Return every function with each of its arguments."""
    return [(function, argument) for function, of in cases.items() for argument in of]


def contents(values: object) -> list[bytes]:
    """Return the bytes of every array among values."""
    return [v.tobytes() for v in values if isinstance(v, np.ndarray) and not v.dtype.hasobject]


def check_refused(function, arguments, argument, name, refusal) -> None:
    """Assert that a call with one bad argument raises, says what it must, and writes nothing."""
    what = f"{argument}: {name}"
    bad, error, parts = refusal
    before = contents(arguments.values())
    given = bad(arguments[argument]) if inspect.isfunction(bad) else bad
    call = arguments | {argument: given}
    bytes_given = contents([given])
    try:
        function(**call)
    except error as caught:
        message = str(caught)
    except Exception as other:
        raise AssertionError(f"{what} raised {other!r}") from other
    else:
        raise AssertionError(f"{what} was accepted")
    for part in (argument, *parts):
        found = re.search(r"(?<![\w.])" + re.escape(part) + r"(?![\w])", message)
        found = found or (not part[0].isalnum() and part in message)
        assert found, f"{what}: {part!r} is not in {message!r}"
    assert contents(arguments.values()) == before, what
    assert contents([given]) == bytes_given, what


def good_arguments(function: str, cases: object) -> dict[str, object]:
    """Return arguments that are accepted; outputs are made anew."""
    return {
        name: good(function) if callable(good) else good
        for name, (good, _) in cases[function].items()
    }


@pytest.mark.parametrize(("function", "argument"), arguments_of(CASES))
def test_refused(function, argument) -> None:
    for case in CASES[function][argument][1].items():
        arguments = good_arguments(function, CASES)
        check_refused(FUNCTIONS[function], arguments, argument, *case)
        for output in {"grad_out", "out"} & arguments.keys() - {argument}:
            check_refused(FUNCTIONS[function], arguments | {output: None}, argument, *case)


@pytest.mark.parametrize("function", CASES)
def test_what_refusals_start_from_is_accepted(function) -> None:
    FUNCTIONS[function](**good_arguments(function, CASES))


def test_no_function_and_no_argument_is_missing() -> None:
    public = {name for name in fastce.__all__ if callable(getattr(fastce, name))}
    elsewhere = {"Evaluation", "EvaluationResult", "InputError", "evaluate"}  # tests/evaluation
    assert public - {"show_config", "RowStatistics"} - elsewhere == CASES.keys()
    for name, function in FUNCTIONS.items():
        assert set(inspect.signature(function).parameters) == CASES[name].keys()


def test_probability_labels() -> None:
    for case in r.PROBABILITIES.items():
        arguments = good_arguments("softmax_cross_entropy", CASES) | {"labels": Q}
        check_refused(fastce.softmax_cross_entropy, arguments, "labels", *case)


def test_labels_on_every_instruction_set(isa) -> None:
    for function in ("softmax_cross_entropy", "sigmoid_cross_entropy", "binary_cross_entropy"):
        for case in CASES[function]["labels"][1].items():
            arguments = good_arguments(function, CASES)
            check_refused(FUNCTIONS[function], arguments, "labels", *case)


def test_probabilities_just_above_1() -> None:
    for out in (None, np.full((8, 4), 7.0)):
        arguments = {"probs": Q, "labels": Q, "grad_out": out}
        case = OUTSIDE["just above 1"]
        check_refused(fastce.binary_cross_entropy, arguments, "probs", "just above 1", case)


OVERLAPS = {
    "one row later": lambda x: x[4:36].reshape(8, 4),
    "one element later": lambda x: x[1:33].reshape(8, 4),
    "its rows reversed": lambda x: x[:32].reshape(8, 4)[::-1],
    "its elements reversed": lambda x: x[31::-1].reshape(8, 4),
    "columns first": lambda x: x[:32].reshape(4, 8).T,
    "another dtype's bytes": lambda x: x.view(np.uint8)[2:130].view(F32).reshape(8, 4),
}
ROWS_OF = {
    name: function
    for name, function in FUNCTIONS.items()
    if name.partition("_")[0] not in ("class", "row")
}


@pytest.mark.parametrize("name", OVERLAPS)
@pytest.mark.parametrize("function", ROWS_OF)
def test_an_output_over_a_part_of_its_input(function, name) -> None:
    memory = np.zeros(64, F32)
    arguments = good_arguments(function, CASES)
    output = "grad_out" if "grad_out" in arguments else "out"
    first = next(iter(CASES[function]))
    arguments[first] = memory[:32].reshape(8, 4)
    arguments[output] = OVERLAPS[name](memory)
    if function == "logsumexp":
        arguments[output] = arguments[output][:, 1]
    if function == "softmax_cross_entropy":
        arguments["labels"] = Y
    for held in (arguments[first], memoryview(arguments[first])):
        with pytest.raises(ValueError, match=rf"{output} overlaps .* accepted"):
            FUNCTIONS[function](**arguments | {first: held})
        assert not memory.any()


@pytest.mark.parametrize("kind", ["array", "memoryview", "DLPack"])
@pytest.mark.parametrize("function", ["softmax_cross_entropy", "sigmoid_cross_entropy"])
def test_an_output_over_another_input(function, kind) -> None:
    """However that input is held: a list would be a copy, these are not."""
    for argument, (good, _) in CASES[function].items():
        if not isinstance(good, np.ndarray) or argument == "logits":
            continue
        memory = np.zeros(64, np.float64)
        inside = memory.view(good.dtype)[8 : 8 + good.size].reshape(good.shape)
        inside[...] = good
        held = {"array": lambda a: a, "memoryview": memoryview, "DLPack": OnlyDLPack}[kind](inside)
        arguments = good_arguments(function, CASES) | {
            argument: held,
            "grad_out": memory.view(F32)[:32].reshape(8, 4),
        }
        before = memory.copy()
        with pytest.raises(ValueError, match=rf"grad_out overlaps {argument}, accepted"):
            FUNCTIONS[function](**arguments)
        np.testing.assert_array_equal(memory, before)


def test_outputs_between_the_elements_of_an_input_are_accepted() -> None:
    pairs = np.zeros((8, 8), F32)
    loss, grad = fastce.softmax_cross_entropy(pairs[:, ::2], Y, grad_out=pairs[:, 1::2])
    assert loss == pytest.approx(np.log(4))
    assert (grad != 0).all()


def test_the_same_memory_by_other_strides_is_in_place() -> None:
    """An axis of length 1 may have any stride; these are the same elements all the same."""
    column = np.zeros((8, 4), F32)[:, :1]
    same = np.lib.stride_tricks.as_strided(column, (8, 1), (16, 400))
    _, grad = fastce.softmax_cross_entropy(column, np.zeros(8, int), grad_out=same)
    assert grad is same


@pytest.mark.parametrize("function", ROWS_OF)
def test_no_classes_and_no_axis(function) -> None:
    arguments = good_arguments(function, CASES)
    if "axis" not in arguments or arguments["axis"] is None:
        return
    for name in ("out", "grad_out", "class_weight", "sample_weight"):
        if name in arguments:
            arguments[name] = None
    with pytest.raises(ValueError, match=r"logits of shape .* no classes"):
        FUNCTIONS[function](**arguments | {"logits": np.zeros((8, 0), F32)})
    with pytest.raises(ValueError, match="logits is a scalar"):
        FUNCTIONS[function](**arguments | {"logits": F32(1)})


def test_weights_of_classes_that_a_scalar_does_not_have() -> None:
    with pytest.raises(ValueError, match=r"pos_weight has shape \(3,\), accepted is a number$"):
        fastce.sigmoid_cross_entropy(F32(1), 1, pos_weight=[1, 2, 3])


def test_options_are_given_by_name() -> None:
    with pytest.raises(TypeError):
        fastce.softmax_cross_entropy(X, Y, None)
    with pytest.raises(TypeError, match="no_such_option"):
        fastce.softmax_cross_entropy(X, Y, no_such_option=1)
