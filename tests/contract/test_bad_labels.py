"""Labels that are no class: named by all their indices, and found before anything is written."""

import numpy as np
import pytest

import fastce

F32 = np.float32


def test_labels_of_more_axes_are_named_by_all_their_indices() -> None:
    labels = np.zeros((9, 4), int)
    labels[7, 2] = 12
    with pytest.raises(ValueError, match=r"labels\[7, 2\] is 12\b.* 10 classes"):
        fastce.softmax_cross_entropy(np.zeros((9, 4, 10), F32), labels)
    # Ignored or weightless rows excuse no label but ignore_index itself.
    with pytest.raises(ValueError, match=r"labels\[7, 2\] is 12\b"):
        fastce.softmax_cross_entropy(np.zeros((9, 4, 10)), labels, sample_weight=0.0)


@pytest.mark.parametrize("n_classes", [2, 3, 10, 100, 130, 1000])
def test_nothing_is_written_before_the_last_label_is_known_to_be_good(n_classes, isa) -> None:
    rows = 400_000 // n_classes
    logits = np.zeros((rows, n_classes), F32)
    labels = np.zeros(rows, int)
    labels[-1] = n_classes
    out = np.full_like(logits, 7)
    for num_threads in (1, 2, 3, None):
        for grad_out, untouched in ((out, 7), (logits, 0)):
            with pytest.raises(ValueError, match=rf"labels\[{rows - 1}\] is {n_classes}\b"):
                fastce.softmax_cross_entropy(
                    logits, labels, grad_out=grad_out, num_threads=num_threads
                )
            assert (grad_out == untouched).all()
