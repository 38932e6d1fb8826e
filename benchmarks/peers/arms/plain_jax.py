"""Plain JAX: an epoch is one compiled `lax.scan` over batches of resident uint8 images; Adam is written out.

The training state is donated, so that it is updated in place, and the loss is read once an epoch
(https://docs.jax.dev/en/latest/_autosummary/jax.lax.scan.html, https://docs.jax.dev/en/latest/buffer_donation.html).
Adam: Kingma and Ba, arXiv:1412.6980, algorithm 1. An incomplete last batch is dropped, since all steps of a scan have
one shape. JAX runs on its default device.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.peers.task import Pause, Predict, Task


def logits_of(params: Any, images: Any) -> Any:
    """Pixels `(batch, 28, 28)` to logits `(batch, 10)`."""
    values = images.reshape(len(images), -1).astype(jnp.float32) / 255
    for weight, bias in params[:-1]:
        values = jax.nn.relu(values @ weight + bias)
    weight, bias = params[-1]
    return values @ weight + bias


def loss_of(params: Any, images: Any, labels: Any) -> Any:
    """Mean cross-entropy, in nats."""
    log_probabilities = jax.nn.log_softmax(logits_of(params, images))
    return -jnp.take_along_axis(log_probabilities, labels[:, None], axis=1).mean()


def adam(state: Any, grads: Any, lr: float) -> Any:
    """Parameters, both moments and step count after one step."""
    params, first, second, count = state
    count = count + 1
    first = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, first, grads)
    second = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, second, grads)
    rate, scale = lr / (1 - 0.9**count), 1 / (1 - 0.999**count)
    params = jax.tree.map(lambda p, m, v: p - rate * m / (jnp.sqrt(scale * v) + 1e-8), params, first, second)
    return params, first, second, count


@partial(jax.jit, static_argnames="lr", donate_argnames="state")
def epoch_of(state: Any, images: Any, labels: Any, batches: Any, lr: float) -> Any:
    """One epoch over batch indices `(steps, batch)`: new state and mean loss."""

    def step(state: Any, batch: Any) -> Any:
        loss, grads = jax.value_and_grad(loss_of)(state[0], images[batch], labels[batch])
        return adam(state, grads, lr), loss

    state, losses = jax.lax.scan(step, state, batches)
    return state, losses.mean()


def train(task: Task, pause: Pause) -> None:
    """Train and pause after each epoch."""
    images, labels = (jnp.asarray(array) for array in task.training_data())
    params = [(jnp.asarray(weight.T), jnp.asarray(bias)) for weight, bias in task.initial_weights()]
    zeros = partial(jax.tree.map, jnp.zeros_like)
    state = (params, zeros(params), zeros(params), jnp.zeros((), jnp.float32))
    rng = np.random.default_rng(task.seed)
    steps = len(labels) // task.batch_size
    for _ in range(task.epochs):
        order = rng.permutation(len(labels))[: steps * task.batch_size]
        batches = order.astype(np.int32).reshape(steps, task.batch_size)
        state, loss = jax.block_until_ready(epoch_of(state, images, labels, batches, task.lr))
        pause(float(loss), batches.size, predictor(state[0]))


def predictor(params: Any) -> Predict:
    """Predict from the parameters."""
    return lambda images: np.asarray(logits_of(params, images))
