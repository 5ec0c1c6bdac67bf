"""Messages say what would fit; and what a weight of 0 beside bad values means."""

import numpy as np
import pytest

import fastce
import fastce.compat.tensorflow as tf

X = np.zeros((3, 4))


@pytest.mark.parametrize(
    ("logits", "labels", "message"),
    [
        (X, [0.0, 1.0, 2.0], "labels.astype(int) would fit"),
        (X, np.array([0, 1, 3], np.float32), "labels.astype(int) would fit"),
        (X, np.array([True, False, True]), "labels.astype(int) would fit"),
        (X, ["cat", "dog", "cat"], "np.unique(labels, return_inverse=True)[1] would fit"),
        (X, np.array([[0], [1], [2]]), "labels.reshape((3,)) would fit"),
        (X, np.eye(4, dtype=int)[:3], "one-hot rows and probabilities have a floating dtype"),
        (np.array([3.0, -3.0]), np.array([1, 0]), "one logit a row is sigmoid_cross_entropy's"),
        (X[:, :1], [0, 1, 0], "one logit a row is sigmoid_cross_entropy's"),
        (X, np.array([0, 65436, 1], np.uint16), "it is -100 as uint16, give ignore_index=65436"),
        (X, np.array([0, 255, 1]), "if it marks rows to ignore, give ignore_index=255"),
        (X, [0, -1, 1], "if it marks rows to ignore, give ignore_index=-1"),
        (X, [0, 1, 2**64], "labels[2] is 18446744073709551616, but logits have 4 classes"),
        (X, [0, -(2**63) - 1, 1], "labels[1] is -9223372036854775809, but logits have 4 classes"),
        (np.arange(3), X, "are the two swapped?"),
    ],
)
def test_labels(logits, labels, message) -> None:
    for call in (fastce.softmax_cross_entropy, fastce.softmax_focal_loss):
        with pytest.raises((ValueError, TypeError)) as error:
            call(logits, labels)
        assert message in str(error.value)


def test_a_label_that_is_no_class_has_no_hint_without_a_reason() -> None:
    with pytest.raises(ValueError, match=r"labels\[1\] is 7, .* ignore_index is -100$"):
        fastce.softmax_cross_entropy(X, [0, 7, 1])


def test_weights() -> None:
    for bad in ("balanced", {0: 1.0}):
        with pytest.raises(TypeError, match=r"such as class_weights\(class_counts\(labels"):
            fastce.softmax_cross_entropy(X, [0, 1, 2], class_weight=bad)
    x, y = np.zeros((2, 5, 4)), np.zeros((2, 5), int)
    with pytest.raises(
        ValueError, match=r"does not broadcast to \(2, 5\): .*\[\.\.\., None\] would"
    ):
        fastce.softmax_cross_entropy(x, y, sample_weight=np.ones(2))
    with pytest.raises(ValueError, match=r"does not broadcast to \(2, 5\): .*\[\.\.\., 0\] would"):
        fastce.softmax_cross_entropy(x, y, sample_weight=np.ones((2, 5, 1)))


def test_a_weight_of_0_forgives_logits_but_no_label(isa) -> None:
    """Logits of a row of weight 0 may be anything; labels and weights are checked everywhere."""
    nan = np.nan
    x = np.array([[nan, 0.0], [1.0, 2.0]])
    weight = {"sample_weight": [0, 1]}
    for name in fastce.losses.__all__:
        call = getattr(fastce, name)
        if name.endswith("divergence"):
            loss, grad = call(x, x, **weight, return_grad=True)
            assert loss == 0
        elif name.startswith("binary"):
            loss, grad = call(np.array([nan, 0.5]), [1, 1], **weight, return_grad=True)
            assert loss == pytest.approx(np.log(2))
            with pytest.raises(ValueError, match=r"labels\[0\] is nan"):
                call(np.array([0.5, 0.5]), [nan, 1.0], **weight)
        elif name.startswith("sigmoid"):
            loss, grad = call(x[:, 0], [1, 1], **weight, return_grad=True)
            assert np.isfinite(loss)
            with pytest.raises(ValueError, match=r"labels\[0\] is nan"):
                call(x[:, 1], [nan, 1.0], **weight)
        else:
            loss, grad = call(x, [0, 1], **weight, return_grad=True)
            assert np.isfinite(loss)
            with pytest.raises(ValueError, match=r"labels\[0\] is 5"):
                call(x, [5, 1], **weight)
        assert not grad[0].any()
        assert np.isfinite(grad).all()


def test_neighbours_of_tensorflow() -> None:
    logits = [[0.0, 1.0], [2.0, -1.0]]
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(tf.nn.softmax(logits), p, rtol=1e-6)
    np.testing.assert_allclose(tf.nn.log_softmax(logits, axis=1), np.log(p), rtol=1e-5)
    np.testing.assert_allclose(tf.nn.softmax(logits, dim=0).sum(axis=0), 1, rtol=1e-6)
    assert tf.sigmoid(0.0) == 0.5
    np.testing.assert_array_equal(tf.nn.sigmoid([1.0, -2.0]), tf.sigmoid([1.0, -2.0]))
    labels = [[1.0, 0.0], [0.5, 0.5]]
    np.testing.assert_array_equal(
        tf.nn.softmax_cross_entropy_with_logits_v2(labels=labels, logits=logits),
        tf.nn.softmax_cross_entropy_with_logits(labels=labels, logits=logits),
    )
    with pytest.raises(ValueError, match="dim is 0 and axis is given, too"):
        tf.nn.softmax(logits, axis=1, dim=0)
