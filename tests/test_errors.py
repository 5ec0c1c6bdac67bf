"""What is refused (section 7 of the contract): which error, what it says, and that nothing is
written before it is raised."""

import re

import numpy as np
import pytest

from fastce import softmax_cross_entropy

X = np.zeros((8, 4), np.float32)
Y = np.array([0, 1, 2, 3, 0, 1, 2, 3])


def changed(array, where, value):
    """Return a copy of an array with one element changed."""
    copy = np.array(array)
    copy[where] = value
    return copy


def read_only(array):
    """Return a copy that cannot be written."""
    copy = array.copy()
    copy.flags.writeable = False
    return copy


LABELS = {
    "one past the last class": (changed(Y, 7, 4), ["labels[7]", "4", "4 classes"]),
    "far past the last class": (changed(Y, 3, 2**40), ["labels[3]", str(2**40), "4 classes"]),
    "negative": (changed(Y, 0, -1), ["labels[0]", "-1", "4 classes"]),
    "another negative": (changed(Y, 5, -101), ["labels[5]", "-101", "4 classes"]),
    "smallest int64": (changed(Y, 5, -(2**63)), ["labels[5]", str(-(2**63))]),
    "largest uint64": (
        changed(Y.astype(np.uint64), 6, 2**64 - 1),
        ["labels[6]", str(2**64 - 1), "4 classes"],
    ),
    "int8": (changed(Y.astype(np.int8), 2, -2), ["labels[2]", "-2"]),
    "uint8": (changed(Y.astype(np.uint8), 2, 200), ["labels[2]", "200"]),
    "the first of two": (changed(changed(Y, 2, 9), 4, -9), ["labels[2]", "9"]),
    "too few": (Y[:7], ["labels", "(7,)", "(8,)"]),
    "too many axes": (Y[:, None], ["labels", "(8, 1)", "(8,)"]),
    "one for all": (np.array(1), ["labels", "()", "(8,)"]),
}

VALUES = {
    "negative class weight": ({"class_weight": [1, 1, -0.5, 1]}, ["class_weight[2]", "-0.5"]),
    "NaN class weight": ({"class_weight": [1, np.nan, 1, 1]}, ["class_weight[1]", "nan"]),
    "infinite class weight": ({"class_weight": [np.inf, 1, 1, 1]}, ["class_weight[0]", "inf"]),
    "too few class weights": ({"class_weight": [1, 1, 1]}, ["class_weight", "(3,)", "4"]),
    "too many class weights": ({"class_weight": np.ones(5)}, ["class_weight", "(5,)", "4"]),
    "one class weight": ({"class_weight": 1.0}, ["class_weight"]),
    "class weights of two axes": ({"class_weight": np.ones((1, 4))}, ["class_weight", "(1, 4)"]),
    "negative sample weight": (
        {"sample_weight": changed(np.ones(8), 5, -1)},
        ["sample_weight[5]", "-1"],
    ),
    "NaN sample weight": ({"sample_weight": changed(np.ones(8), 7, np.nan)}, ["sample_weight[7]"]),
    "infinite sample weight": (
        {"sample_weight": changed(np.ones(8), 0, np.inf)},
        ["sample_weight[0]", "inf"],
    ),
    "negative weight for all": ({"sample_weight": -1.0}, ["sample_weight", "-1"]),
    "too few sample weights": ({"sample_weight": np.ones(7)}, ["sample_weight", "(7,)", "(8,)"]),
    "sample weights of more axes": (
        {"sample_weight": np.ones((2, 8))},
        ["sample_weight", "(2, 8)"],
    ),
    "smoothing below 0": ({"label_smoothing": -0.1}, ["label_smoothing", "-0.1", "0", "1"]),
    "smoothing above 1": ({"label_smoothing": 1.5}, ["label_smoothing", "1.5", "0", "1"]),
    "smoothing NaN": ({"label_smoothing": np.nan}, ["label_smoothing", "nan"]),
    "negative z_loss": ({"z_loss": -1e-4}, ["z_loss", "-0.0001"]),
    "NaN z_loss": ({"z_loss": np.nan}, ["z_loss", "nan"]),
    "infinite z_loss": ({"z_loss": np.inf}, ["z_loss", "inf"]),
    "unknown reduction": ({"reduction": "avg"}, ["reduction", "'avg'", "none", "sum", "mean"]),
    "unknown normalizer": (
        {"normalizer": "rows"},
        ["normalizer", "'rows'", "weight", "valid", "all", "nonzero"],
    ),
    "normalizer 0": ({"normalizer": 0}, ["normalizer", "0"]),
    "normalizer negative": ({"normalizer": -3.0}, ["normalizer", "-3"]),
    "normalizer NaN": ({"normalizer": np.nan}, ["normalizer", "nan"]),
    "normalizer infinite": ({"normalizer": np.inf}, ["normalizer", "inf"]),
    "no threads": ({"num_threads": 0}, ["num_threads", "0"]),
    "negative threads": ({"num_threads": -1}, ["num_threads", "-1"]),
    "axis past the last": ({"axis": 2}, ["axis", "2"]),
    "axis before the first": ({"axis": -3}, ["axis", "-3"]),
}

LOGITS = {
    "integers": np.zeros((8, 4), np.int64),
    "bool": np.zeros((8, 4), bool),
    "complex": np.zeros((8, 4), np.complex64),
    "objects": np.zeros((8, 4), object),
    "long double": np.zeros((8, 4), np.longdouble),
    "text": np.zeros((8, 4), "U1"),
    "dates": np.zeros((8, 4), "M8[s]"),
}

OUTPUTS = {
    "read-only": (read_only(X), ["read-only"]),
    "another shape": (np.zeros((4, 8), np.float32), ["(4, 8)", "(8, 4)"]),
    "one more axis": (np.zeros((1, 8, 4), np.float32), ["(1, 8, 4)", "(8, 4)"]),
    "another dtype": (np.zeros((8, 4)), ["float64", "float32"]),
    "another byte order": (X.astype(X.dtype.newbyteorder()), []),
}


def refuse(error, parts, *args, **options) -> None:
    """Assert that a call raises, says every part, and leaves grad_out and logits alone."""
    for grad_out in (None, np.full((8, 4), 7.0, np.float32)):
        before = np.array(args[0])
        with pytest.raises(error) as caught:
            softmax_cross_entropy(*args, grad_out=grad_out, **options)
        for part in parts:
            assert re.search(r"(?<![\w.])" + re.escape(part) + r"(?![\w])", str(caught.value)), (
                f"{part!r} is not in {str(caught.value)!r}"
            )
        if grad_out is not None:
            np.testing.assert_array_equal(grad_out, 7)
        if before.dtype == X.dtype:
            np.testing.assert_array_equal(args[0], before)


@pytest.mark.parametrize("case", LABELS)
def test_labels(case, isa) -> None:
    labels, parts = LABELS[case]
    refuse(ValueError, parts, X, labels)


@pytest.mark.parametrize("case", VALUES)
def test_values(case) -> None:
    options, parts = VALUES[case]
    refuse(ValueError, parts, X, Y, **options)


@pytest.mark.parametrize("case", LOGITS)
def test_dtypes_of_logits(case) -> None:
    refuse(TypeError, ["logits", "float32", "float64"], LOGITS[case], Y)


@pytest.mark.parametrize("dtype", [bool, np.complex128, object, "U1"])
def test_dtypes_of_labels(dtype) -> None:
    refuse(TypeError, ["labels", "integers"], X, Y.astype(dtype))


@pytest.mark.parametrize("case", OUTPUTS)
def test_outputs(case) -> None:
    out, parts = OUTPUTS[case]
    before = out.copy()
    with pytest.raises(ValueError, match="grad_out") as caught:
        softmax_cross_entropy(X, Y, grad_out=out)
    for part in parts:
        assert part in str(caught.value)
    np.testing.assert_array_equal(out, before)


@pytest.mark.parametrize("grad_out", [[[0.0] * 4] * 8, 1.0, "here"])
def test_an_output_that_is_no_array(grad_out) -> None:
    with pytest.raises((TypeError, ValueError), match="grad_out"):
        softmax_cross_entropy(X, Y, grad_out=grad_out)


def test_an_output_that_overlaps_its_inputs() -> None:
    memory = np.zeros(200, np.float32)
    logits = memory[:32].reshape(8, 4)
    weights = memory[100:104]
    by_row = memory[110:118]
    labels = memory.view(np.int32)[150:158]
    overlapping = {
        "one row later": (memory[4:36].reshape(8, 4), {}),
        "one element later": (memory[1:33].reshape(8, 4), {}),
        "its rows reversed": (logits[::-1], {}),
        "its elements reversed": (memory[31::-1].reshape(8, 4), {}),
        "columns first": (memory[:32].reshape(4, 8).T, {}),
        "class weights": (memory[90:122].reshape(8, 4), {"class_weight": weights}),
        "sample weights": (memory[90:122].reshape(8, 4), {"sample_weight": by_row}),
        "labels": (memory[150:182].reshape(8, 4), {}),
    }
    for name, (grad_out, options) in overlapping.items():
        memory[:] = 0
        with pytest.raises(ValueError, match="grad_out"):
            softmax_cross_entropy(logits, labels, grad_out=grad_out, **options)
        assert not memory.any(), name
    # Every second element of one buffer and the others beside it share no memory.
    pairs = np.zeros((8, 8), np.float32)
    loss, grad = softmax_cross_entropy(pairs[:, ::2], Y, grad_out=pairs[:, 1::2])
    assert loss == pytest.approx(np.log(4))
    assert (grad != 0).all()


def test_an_output_whose_elements_overlap_each_other() -> None:
    out = np.lib.stride_tricks.as_strided(np.zeros(4, np.float32), (8, 4), (0, 4))
    with pytest.raises(ValueError, match="grad_out"):
        softmax_cross_entropy(X, Y, grad_out=out)


def test_zero_classes() -> None:
    with pytest.raises(ValueError, match="class"):
        softmax_cross_entropy(np.zeros((8, 0), np.float32), Y)


def test_no_axis_for_classes() -> None:
    with pytest.raises(ValueError, match="logits"):
        softmax_cross_entropy(np.float32(1.0), np.array(0))


def test_labels_of_more_axes_are_named_by_all_their_indices() -> None:
    labels = np.zeros((9, 4), int)
    labels[7, 2] = 12
    with pytest.raises(ValueError, match=r"labels\[7, 2\] is 12\b.* 10 classes"):
        softmax_cross_entropy(np.zeros((9, 4, 10), np.float32), labels)
    # Ignored or weightless rows excuse no label but ignore_index itself.
    with pytest.raises(ValueError, match=r"labels\[7, 2\] is 12\b"):
        softmax_cross_entropy(np.zeros((9, 4, 10)), labels, sample_weight=0.0)


@pytest.mark.parametrize("n_classes", [2, 3, 10, 100, 130, 1000])
def test_nothing_is_written_before_the_last_label_is_known_to_be_good(n_classes, isa) -> None:
    rows = 400_000 // n_classes
    logits = np.zeros((rows, n_classes), np.float32)
    labels = np.zeros(rows, int)
    labels[-1] = n_classes
    out = np.full_like(logits, 7)
    for num_threads in (1, 2, 3, None):
        for grad_out, untouched in ((out, 7), (logits, 0)):
            with pytest.raises(ValueError, match=rf"labels\[{rows - 1}\] is {n_classes}\b"):
                softmax_cross_entropy(logits, labels, grad_out=grad_out, num_threads=num_threads)
            assert (grad_out == untouched).all()


def test_options_are_given_by_name() -> None:
    with pytest.raises(TypeError):
        softmax_cross_entropy(X, Y, None)
    with pytest.raises(TypeError, match="no_such_option"):
        softmax_cross_entropy(X, Y, no_such_option=1)
