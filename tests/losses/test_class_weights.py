"""class_counts and class_weights."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from holders import OnlyDLPack
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.utils.class_weight import compute_class_weight

from fastce.class_weighting import class_counts, class_weights

METHODS = ["log", "balanced", "inverse", "effective", "median"]
COUNTS = [1000, 2300, 20310, 6700]
INTEGERS = ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8"]


# --- counts ------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("dtype", INTEGERS)
def test_counts_of_every_integer_dtype_and_byte_order(dtype: str, order: str) -> None:
    labels = np.array([[0, 3, 3], [2, 3, 0]], dtype=order + dtype)
    counts = class_counts(labels, 5)
    assert counts.dtype == np.int64
    assert counts.tolist() == [2, 0, 1, 3, 0]


@given(
    labels=hnp.arrays(
        np.int16, hnp.array_shapes(min_dims=0, max_dims=4), elements=st.integers(0, 9)
    ),
    data=st.data(),
)
def test_counts_do_not_depend_on_layout(labels: np.ndarray, data: st.DataObject) -> None:
    expected = [int((labels == c).sum()) for c in range(10)]
    axes = data.draw(st.permutations(range(labels.ndim)))
    steps = data.draw(st.tuples(*[st.sampled_from([1, -1]) for _ in axes]))
    view = labels.transpose(axes)[tuple(slice(None, None, step) for step in steps)]
    assert class_counts(view, 10).tolist() == expected
    assert class_counts(np.asfortranarray(labels), 10).tolist() == expected


def test_counts_every_label_once_across_blocks() -> None:
    labels = np.arange(700_001) % 7
    assert class_counts(labels, 7).tolist() == np.bincount(labels).tolist()
    assert class_counts(labels[::-3], 7).tolist() == np.bincount(labels[::-3]).tolist()


def test_counts_of_what_has_only_dlpack() -> None:
    assert class_counts(OnlyDLPack(np.array([2, 0, 2])), 3).tolist() == [1, 0, 2]


@pytest.mark.parametrize("shape", [(0,), (3, 0), (0, 2, 2)])
def test_counts_of_nothing_are_zero(shape: tuple[int, ...]) -> None:
    assert class_counts(np.zeros(shape, dtype=np.uint8), 3).tolist() == [0, 0, 0]


def test_counts_of_a_single_label() -> None:
    assert class_counts(2, 3).tolist() == [0, 0, 1]


def test_ignored_labels_are_not_counted() -> None:
    assert class_counts(np.array([-100, 1, -100, 0]), 2).tolist() == [1, 1]
    assert class_counts(
        np.array([255, 1, 255, 0], dtype=np.uint8), 2, ignore_index=255
    ).tolist() == [1, 1]
    assert class_counts(np.array([0, 1, 0, 1, 1]), 2, ignore_index=0).tolist() == [0, 3]


def test_uint64_beyond_int64_is_refused_not_wrapped() -> None:
    with pytest.raises(ValueError, match=r"labels\[1\] is 18446744073709551516"):
        class_counts(np.array([0, 2**64 - 100], dtype=np.uint64), 3)


@pytest.mark.parametrize(
    ("index", "value"), [((2, 1, 0), 10), ((0, 0, 3), -1), ((3, 1, 3), -101), ((0, 0, 0), 127)]
)
@pytest.mark.parametrize("layout", ["C", "F", "reversed", "swapped"])
def test_a_bad_label_is_named(index: tuple[int, ...], value: int, layout: str) -> None:
    labels = np.zeros((4, 2, 4), dtype=np.int32, order="F" if layout == "F" else "C")
    if layout == "reversed":
        labels = labels[::-1, :, ::-1]
    if layout == "swapped":
        labels = labels.astype(labels.dtype.newbyteorder())
    labels[index] = value
    place = ", ".join(map(str, index))
    with pytest.raises(ValueError, match=rf"^labels\[{place}\] is {value}, but n_classes is 10 "):
        class_counts(labels, 10)


def test_a_bad_label_far_behind_is_named() -> None:
    labels = np.zeros((3, 200_000), dtype=np.uint8)
    labels[2, 199_999] = 4
    with pytest.raises(ValueError, match=r"labels\[2, 199999\] is 4, but n_classes is 4"):
        class_counts(labels, 4)


@pytest.mark.parametrize("labels", [[0.0, 1.0], [True, False], [0j], ["a"], [None]])
def test_labels_that_are_no_integers_are_refused(labels: list[object]) -> None:
    with pytest.raises(TypeError, match=r"labels has dtype .* accepted are integers"):
        class_counts(np.array(labels), 2)


@pytest.mark.parametrize("n_classes", [0, -1])
def test_zero_classes_are_refused(n_classes: int) -> None:
    with pytest.raises(ValueError, match=f"n_classes is {n_classes}"):
        class_counts(np.array([], dtype=int), n_classes)


@pytest.mark.parametrize("order", ["C", "F"])
def test_a_memory_map_is_streamed(tmp_path: Path, order: str) -> None:
    shape = (2000, 8000)
    file = np.lib.format.open_memmap(
        tmp_path / "labels.npy", mode="w+", dtype=">i4", shape=shape, fortran_order=order == "F"
    )
    file[:, ::2] = 1
    file.flush()
    labels = np.load(tmp_path / "labels.npy", mmap_mode="r")
    tracemalloc.start()
    counts = class_counts(labels, 3)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert counts.tolist() == [8_000_000, 8_000_000, 0]
    assert peak < labels.nbytes / 8


# --- weights -----------------------------------------------------------------------------------


def test_worked_example() -> None:
    """Counts to ratios to logs to clipped and to normalized weights, to the printed digits."""
    assert class_weights(COUNTS, "inverse").round(3).tolist() == [30.31, 13.178, 1.492, 4.524]
    logs = np.log(class_weights(COUNTS, "inverse"))
    assert logs.round(2).tolist() == [3.41, 2.58, 0.40, 1.51]
    assert class_weights(COUNTS).round(2).tolist() == [3.41, 2.58, 1.00, 1.51]
    assert class_weights(COUNTS, normalize=True).round(3).tolist() == [1.0, 0.756, 0.117, 0.442]


@pytest.mark.parametrize("dtype", ["i4", ">i8", "u2", "f4", "f8"])
def test_log_is_the_default_and_the_result_float64(dtype: str) -> None:
    weights = class_weights(np.array(COUNTS, dtype=dtype))
    assert weights.dtype == np.float64
    np.testing.assert_array_equal(weights, class_weights(COUNTS, "log"))


def test_log_keeps_its_digits_when_one_class_is_nearly_everything() -> None:
    # ln((10^12 + 1) / 10^12) = 1e-12 - 5e-25 + ...
    first, second = class_weights([10**12, 1], normalize=True)
    assert first == pytest.approx(1e-12 / np.log(1e12 + 1), rel=1e-11)
    assert second == 1


def test_log_keeps_its_digits_however_small_the_others_are() -> None:
    first = class_weights([1e20, 3.0, 1e7], normalize=True)[0]
    assert first == pytest.approx(1.0000003e-13 / np.log(1e20 / 3), rel=1e-14)


def test_balanced_is_that_of_scikit_learn() -> None:
    labels = np.repeat([0, 1, 2, 3], [7, 1, 120, 30])
    expected = compute_class_weight("balanced", classes=np.arange(4), y=labels)
    np.testing.assert_allclose(
        class_weights(class_counts(labels, 4), "balanced"), expected, rtol=1e-15
    )


def test_balanced_gives_every_class_the_same_total() -> None:
    totals = class_weights(COUNTS, "balanced") * COUNTS
    np.testing.assert_allclose(totals, sum(COUNTS) / 4, rtol=1e-15)


def test_effective_follows_its_formula() -> None:
    beta = 0.99
    formula = (1 - beta) / (1 - beta ** np.array(COUNTS[:2], dtype=float))
    weights = class_weights(COUNTS[:2], "effective", beta=beta)
    np.testing.assert_allclose(weights, formula * 2 / formula.sum(), rtol=1e-12)


def test_effective_goes_from_equal_to_inverse_with_beta() -> None:
    np.testing.assert_array_equal(class_weights(COUNTS, "effective", beta=0), np.ones(4))
    inverse = class_weights(COUNTS, "inverse")
    np.testing.assert_allclose(
        class_weights(COUNTS, "effective", beta=1 - 1e-15), inverse * 4 / inverse.sum(), rtol=1e-9
    )


def test_median_follows_its_formula() -> None:
    np.testing.assert_allclose(
        class_weights(COUNTS, "median"), [4.5, 4500 / 2300, 4500 / 20310, 4500 / 6700], rtol=1e-15
    )


@pytest.mark.parametrize("method", METHODS)
@given(counts=st.lists(st.integers(1, 10**12), min_size=2, max_size=6))
def test_properties_of_every_method(method: str, counts: list[int]) -> None:
    weights = class_weights(counts, method)
    normal = class_weights(counts, method, normalize=True)
    assert (weights > 0).all()
    assert normal.max() == 1
    if method != "log":
        np.testing.assert_allclose(normal, weights / weights.max(), rtol=1e-15)
    # A rarer class never weighs less, and equal counts weigh the same.
    by_count = np.argsort(counts, kind="stable")
    assert (np.diff(weights[by_count]) <= 0).all()
    assert (np.diff(normal[by_count]) <= 0).all()


@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("method", METHODS)
def test_a_single_class_weighs_one(method: str, normalize: bool) -> None:
    assert class_weights([17], method, normalize).tolist() == [1.0]
    assert class_weights([0, 17], method, normalize, zero_weight=0.25).tolist() == [0.25, 1.0]


@pytest.mark.parametrize("zero_weight", [100.0, 100, np.float32(100)])
@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("method", METHODS)
def test_zero_weight_leaves_the_other_classes_alone(
    method: str, normalize: bool, zero_weight: float
) -> None:
    weights = class_weights([5, 0, 9, 0, 31], method, normalize, zero_weight=zero_weight)
    assert weights.dtype == np.float64
    assert weights[[1, 3]].tolist() == [100.0, 100.0]
    np.testing.assert_array_equal(weights[[0, 2, 4]], class_weights([5, 9, 31], method, normalize))


def test_nothing_but_zero_counts() -> None:
    assert class_weights([0, 0], zero_weight=2).tolist() == [2.0, 2.0]


@pytest.mark.parametrize("method", METHODS)
def test_a_zero_count_names_its_class(method: str) -> None:
    with pytest.raises(ValueError, match=r"counts\[2\] is 0: class 2 never occurs.*zero_weight"):
        class_weights([5, 1, 0], method)


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ([], r"shape \(0,\)"),
        (3, r"shape \(\)"),
        ([[1, 2]], r"shape \(1, 2\)"),
        ([4, -1], r"counts\[1\] is -1"),
        ([np.nan, 1.0], r"counts\[0\] is nan"),
        ([1.0, 2.0, np.inf], r"counts\[2\] is inf"),
    ],
)
def test_bad_counts_are_named(counts: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        class_weights(np.array(counts))


@pytest.mark.parametrize("counts", [[True, False], [1j, 2], ["3"], [None]])
def test_counts_that_are_no_real_numbers_are_refused(counts: list[object]) -> None:
    with pytest.raises(TypeError, match=r"counts has dtype .* real numbers"):
        class_weights(np.array(counts))


def test_an_unknown_method_lists_the_choices() -> None:
    with pytest.raises(
        ValueError, match=r"'sqrt'.*'log', 'balanced', 'inverse', 'effective', 'median'"
    ):
        class_weights(COUNTS, "sqrt")


@pytest.mark.parametrize("beta", [-0.1, 1.0, np.nan])
def test_beta_out_of_range(beta: float) -> None:
    with pytest.raises(ValueError, match="beta is"):
        class_weights(COUNTS, "effective", beta=beta)


@pytest.mark.parametrize("zero_weight", [-1.0, np.inf, np.nan])
def test_zero_weight_out_of_range(zero_weight: float) -> None:
    with pytest.raises(ValueError, match="zero_weight is"):
        class_weights([1, 0], zero_weight=zero_weight)


def test_counts_are_left_untouched() -> None:
    counts = np.array([3.0, 5.0, 9.0])
    class_weights(counts, "effective", normalize=True)
    assert counts.tolist() == [3.0, 5.0, 9.0]
