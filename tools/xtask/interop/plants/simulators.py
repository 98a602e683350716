"""Other people's plants, each behind the same few methods: a step of their own simulator per step of ours.

A plant has inputs, which somebody writes, and outputs; some outputs are to follow a reference, which is an output as well.
References, disturbances and noise are a function of the seed and of the number of steps alone, so that whoever acts meets
the same. `STEP` says what a step is in the plant's own time; `NOMINAL` is what an operator would set who never looks again.
"""

import contextlib
import os
import random
from dataclasses import dataclass

import numpy as np

# Longer than anybody watches, at any pace.
STEPS_MAX = 100_000


@dataclass(frozen=True)
class Signal:
    """Something that is written or shown."""

    name: str
    unit: str
    low: float
    high: float


@dataclass(frozen=True)
class Tracked:
    """An output and what it should be."""

    output: str
    reference: str
    unit: str


def held(generator, low, high, steps):
    """Random levels between two values, each held for so many steps."""
    levels = generator.uniform(low, high, STEPS_MAX // steps + 2)
    return np.repeat(levels, steps)


class Reactor:
    """PC-Gym's continuously stirred tank reactor: its concentration follows, whatever the feed's temperature is."""

    NAME = "cstr"
    STEP = "15 s"
    STEP_MIN = 0.25
    INPUTS = [Signal("Tc", "K", 295.0, 302.0)]
    TRACKED = [Tracked("Ca", "Ca_sp", "mol/l")]
    NOMINAL = [300.0]
    # How PC-Gym's published case weighs the squared error.
    REWARD_SCALE = 1e3

    def __init__(self, seed):
        generator = np.random.default_rng([seed, 1])
        references = held(generator, 0.85, 0.9, 60)
        self.feed = held(generator, 349.0, 351.0, 45)
        self.environment = pc_gym(
            model="cstr",
            step=self.STEP_MIN,
            inputs=self.INPUTS,
            start=[0.8773, 324.5],
            ranges=[(0.7, 1.0), (300.0, 350.0)],
            references={"Ca": references},
            scale={"Ca": self.REWARD_SCALE},
            disturbances={"Ti": self.feed},
            disturbance_ranges=[(340.0, 360.0)],
        )
        self.state, _ = self.environment.reset()
        self.reward = 0.0

    def step(self, inputs):
        self.state, self.reward, *_ = self.environment.step(np.array(inputs))

    def outputs(self):
        return dict(zip(["Ca", "T", "Ca_sp", "Ti"], map(float, self.state)))


class FourTanks:
    """PC-Gym's four tanks: two pumps, and the levels of the upper tanks follow."""

    NAME = "four_tank"
    STEP = "16.7 s"
    STEP_S = 1000.0 / 60.0
    INPUTS = [Signal("v1", "V", 0.1, 10.0), Signal("v2", "V", 0.1, 10.0)]
    TRACKED = [Tracked("h3", "h3_sp", "m"), Tracked("h4", "h4_sp", "m")]
    NOMINAL = [7.3, 6.4]
    REWARD_SCALE = 1e3

    def __init__(self, seed):
        generator = np.random.default_rng([seed, 2])
        self.environment = pc_gym(
            model="four_tank",
            step=self.STEP_S,
            inputs=self.INPUTS,
            start=[0.141, 0.112, 0.072, 0.42],
            ranges=[(0.0, 0.6)] * 4,
            references={"h3": held(generator, 0.1, 0.5, 70), "h4": held(generator, 0.1, 0.3, 50)},
            scale={"h3": self.REWARD_SCALE, "h4": self.REWARD_SCALE},
        )
        self.state, _ = self.environment.reset()
        self.reward = 0.0

    def step(self, inputs):
        self.state, self.reward, *_ = self.environment.step(np.array(inputs))

    def outputs(self):
        return dict(zip(["h1", "h2", "h3", "h4", "h3_sp", "h4_sp"], map(float, self.state)))


class Heaters:
    """The temperature control lab, as its own package simulates it, with noise and the steps of its converter."""

    NAME = "tclab"
    STEP = "20 s"
    STEP_S = 20.0
    INPUTS = [Signal("Q1", "%", 0.0, 100.0), Signal("Q2", "%", 0.0, 100.0)]
    TRACKED = [Tracked("T1", "T1_sp", "degC"), Tracked("T2", "T2_sp", "degC")]
    NOMINAL = [35.0, 35.0]

    def __init__(self, seed):
        from tclab import TCLabModel

        generator = np.random.default_rng([seed, 3])
        self.references = [held(generator, 30.0, 55.0, 70), held(generator, 28.0, 42.0, 50)]
        # The package draws its noise there.
        random.seed(seed)
        # It greets on standard output, where ours are facts.
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
            self.lab = TCLabModel(synced=False)
        self.lab.tlast = 0.0
        self.steps = 0
        self.look()

    def look(self):
        temperatures = [self.lab.T1, self.lab.T2]
        references = [float(reference[self.steps]) for reference in self.references]
        errors = [abs(found - wanted) for found, wanted in zip(temperatures, references)]
        self.reward = -sum(errors) / len(errors)
        self.shown = dict(zip(["T1", "T2", "T1_sp", "T2_sp"], temperatures + references))

    def step(self, inputs):
        self.lab.Q1(inputs[0])
        self.lab.Q2(inputs[1])
        self.steps += 1
        self.lab.update(self.steps * self.STEP_S)
        self.look()

    def outputs(self):
        return self.shown


class Pendulum:
    """Gymnasium's Pendulum-v1, which begins anew after its 200 steps: to be swung up, and held there."""

    NAME = "pendulum"
    STEP = "50 ms"
    INPUTS = [Signal("torque", "Nm", -2.0, 2.0)]
    TRACKED = [Tracked("height", "height_sp", "m")]
    NOMINAL = [0.0]

    def __init__(self, seed):
        import gymnasium

        self.environment = gymnasium.make("Pendulum-v1")
        self.state, _ = self.environment.reset(seed=seed)
        self.reward = 0.0

    def step(self, inputs):
        self.state, self.reward, _, over, _ = self.environment.step(np.array(inputs, dtype=np.float32))
        if over:
            self.state, _ = self.environment.reset()

    def outputs(self):
        height, side, speed = map(float, self.state)
        return {"height": height, "side": side, "speed": speed, "height_sp": 1.0}


PLANTS = {plant.NAME: plant for plant in (Reactor, FourTanks, Heaters, Pendulum)}


def pc_gym(model, step, inputs, start, ranges, references, scale, disturbances=None, disturbance_ranges=()):
    """One of PC-Gym's models, in engineering units and in one episode without an end."""
    from pcgym import make_env

    firsts = [values[0] for values in references.values()]
    ranges = ranges + [(values.min(), values.max()) for values in references.values()]
    parameters = {
        "model": model,
        "N": STEPS_MAX,
        "tsim": STEPS_MAX * step,
        "x0": np.array(start + firsts),
        "SP": references,
        "r_scale": scale,
        "a_space": {"low": np.array([i.low for i in inputs]), "high": np.array([i.high for i in inputs])},
        "o_space": {"low": np.array([low for low, _ in ranges]), "high": np.array([high for _, high in ranges])},
        "normalise_a": False,
        "normalise_o": False,
        "integration_method": "casadi",
    }
    if disturbances:
        lows, highs = zip(*disturbance_ranges)
        parameters["disturbances"] = disturbances
        parameters["disturbance_bounds"] = {"low": np.array(lows), "high": np.array(highs)}
    return make_env(parameters)
