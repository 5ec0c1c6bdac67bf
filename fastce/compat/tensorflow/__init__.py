"""TensorFlow's cross-entropy losses, computed by fastce.

    import fastce.compat.tensorflow as tf

gives the losses of `tf.nn` (TensorFlow 2) and of `tf.losses` (TensorFlow 1, today
`tf.compat.v1.losses`) with their own argument names, order, defaults and numbers, on NumPy
arrays and without TensorFlow. `name`, `scope` and `loss_collection` are accepted and ignored.
"""

from fastce.compat.tensorflow import losses, nn
from fastce.compat.tensorflow.activations import sigmoid

__all__ = ["losses", "nn", "sigmoid"]
