"""Keras 3 on JAX: `model.fit` on float arrays in memory, compiled by XLA, which `jit_compile="auto"` chooses.

Keras recommends several `steps_per_execution` for small models
(https://keras.io/api/models/model_training_apis/#compile-method). On JAX, Keras 3.15 then still calls one compiled step
after the other, without the callbacks in between. `KERAS_BACKEND` is set at process start (`serve`). Adam's epsilon is
that of the others, 1e-8; Keras adds it in the form of the end of section 2 of Kingma and Ba (arXiv:1412.6980), a
negligible difference after the first steps.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

from benchmarks.peers.task import Pause, Predict, Task

STEPS_PER_EXECUTION = 32


def train(task: Task, pause: Pause) -> None:
    """Train and pause after each epoch."""
    keras.utils.set_random_seed(task.seed)
    images, labels = task.training_data()
    pixels = images.astype("float32") / 255
    model = keras.Sequential(
        [
            keras.Input((28, 28)),
            layers.Flatten(),
            layers.Dense(128, activation="relu"),
            layers.Dense(64, activation="relu"),
            layers.Dense(10),
        ]
    )
    model.set_weights(initial_weights(task))
    model.compile(
        optimizer=keras.optimizers.Adam(task.lr, epsilon=1e-8),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        steps_per_execution=STEPS_PER_EXECUTION,
    )
    after_epoch = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: pause(logs["loss"], len(labels), predictor(model))
    )
    model.fit(pixels, labels, task.batch_size, task.epochs, verbose=0, callbacks=[after_epoch])


def initial_weights(task: Task) -> list[NDArray[np.float32]]:
    """Kernels `(in, out)` and biases, in the layout of Keras."""
    return [array for weight, bias in task.initial_weights() for array in (weight.T, bias)]


def predictor(model: Any) -> Predict:
    """Predict with a model on pixels in [0, 1]."""
    return lambda images: model.predict(images.astype("float32") / 255, batch_size=1000, verbose=0)
