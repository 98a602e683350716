"""The yardstick's full step in JAX: the same networks, batch, optimiser and order.

Ten critics (72-256-256-1) and an actor (64-256-256-8), ReLU, a batch of 256, AdamW, in single precision. A step moves
every critic towards targets, and then the actor, whose actions are bounded by tanh, up the critics' mean value; it is one
compiled function whose buffers are reused. It is written in two forms, all critics in one batched product, and one
critic after the other for the compiler to interleave; whichever is faster here takes part.

Each line on standard input is a number of steps; the answer is how long each took, in nanoseconds, until its results
were there.
"""

import sys
import time
from functools import partial

import jax
import jax.numpy as jnp

CRITICS, STATE, ACTION, HIDDEN, ROWS = 10, 64, 8, 256, 256
LEARNING_RATE, WEIGHT_DECAY, BETA_1, BETA_2, EPSILON = 1e-4, 1e-3, 0.9, 0.999, 1e-8
WARM_UP_STEPS = 10
TRIAL_STEPS = 30


def network(key, *widths):
    def layer(key, inputs, outputs):
        weights = 0.1 * (jax.random.uniform(key, (inputs, outputs)) - 0.5)
        return weights, jnp.zeros(outputs)

    keys = jax.random.split(key, len(widths) - 1)
    return [layer(*of) for of in zip(keys, widths, widths[1:])]


def forward(layers, x):
    for weights, bias in layers[:-1]:
        x = jax.nn.relu(x @ weights + bias)
    weights, bias = layers[-1]
    return x @ weights + bias


def adamw(parameters, gradients, moments, count):
    correction_1 = 1.0 / (1.0 - BETA_1**count)
    correction_2 = 1.0 / (1.0 - BETA_2**count)
    first = jax.tree.map(lambda m, g: BETA_1 * m + (1.0 - BETA_1) * g, moments[0], gradients)
    second = jax.tree.map(lambda m, g: BETA_2 * m + (1.0 - BETA_2) * g * g, moments[1], gradients)

    def moved(p, m, v):
        step = m * correction_1 / (jnp.sqrt(v * correction_2) + EPSILON)
        return p - LEARNING_RATE * (step + WEIGHT_DECAY * p)

    return jax.tree.map(moved, parameters, first, second), (first, second)


def values_batched(critics, inputs):
    return jax.vmap(forward, (0, None))(critics, inputs)[..., 0]


def values_one_by_one(critics, inputs):
    return jnp.stack([forward(critic, inputs)[:, 0] for critic in critics])


def full_step(values, trained, batch):
    critics, critic_moments, actor, actor_moments, count = trained
    states, inputs, targets = batch
    count = count + 1.0

    def loss(critics):
        return 0.5 * jnp.sum(jnp.mean((values(critics, inputs) - targets) ** 2, axis=1))

    critics, critic_moments = adamw(critics, jax.grad(loss)(critics), critic_moments, count)

    def cost(actor):
        actions = jnp.tanh(forward(actor, states))
        return -jnp.mean(values(critics, jnp.concatenate([states, actions], axis=1)))

    actor, actor_moments = adamw(actor, jax.grad(cost)(actor), actor_moments, count)
    return critics, critic_moments, actor, actor_moments, count


class Task:
    """A form of the step with its networks and batch."""

    def __init__(self, values, stacked):
        keys = jax.random.split(jax.random.key(1), CRITICS + 4)
        critics = [network(key, STATE + ACTION, HIDDEN, HIDDEN, 1) for key in keys[:CRITICS]]
        if stacked:
            critics = jax.tree.map(lambda *layers: jnp.stack(layers), *critics)
        actor = network(keys[CRITICS], STATE, HIDDEN, HIDDEN, ACTION)
        # Every buffer is given away in each step, so none may be there twice.
        moments = [jax.tree.map(jnp.zeros_like, of) for of in (critics, critics, actor, actor)]
        self.trained = (critics, tuple(moments[:2]), actor, tuple(moments[2:]), jnp.float32(0.0))
        inputs = jax.random.uniform(keys[CRITICS + 1], (ROWS, STATE + ACTION))
        self.batch = (inputs[:, :STATE], inputs, jax.random.uniform(keys[CRITICS + 2], (ROWS,)))
        self.step = jax.jit(partial(full_step, values), donate_argnums=0)
        self.times(WARM_UP_STEPS)

    def times(self, count):
        taken = []
        for _ in range(count):
            begun = time.perf_counter_ns()
            self.trained = jax.block_until_ready(self.step(self.trained, self.batch))
            taken.append(time.perf_counter_ns() - begun)
        return taken


def main():
    forms = [Task(values_batched, True), Task(values_one_by_one, False)]
    medians = [sorted(form.times(TRIAL_STEPS))[TRIAL_STEPS // 2] for form in forms]
    print(f"jax {jax.__version__}: batched {medians[0]} ns, one by one {medians[1]} ns", file=sys.stderr)
    fastest = forms[medians.index(min(medians))]
    print("ready", flush=True)
    for line in sys.stdin:
        print(*fastest.times(int(line)), flush=True)


main()
