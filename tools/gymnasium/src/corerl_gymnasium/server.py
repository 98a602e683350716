"""Any Gymnasium environment with flat, continuous observations and actions, for CoreRL's agents."""

import os
import socket
import socketserver
import stat
from typing import Callable

import gymnasium
import numpy as np
from gymnasium.spaces import Box

from corerl_gymnasium.protocol import PROTOCOL, Broken, Channel, number, read, written

# Spaces without a bound say infinity, or the largest number that they can hold.
UNBOUNDED = 1e30


class Refusal(Exception):
    """What cannot be done; the message is a sentence."""


class Served:
    """An environment that answers questions."""

    def __init__(self, env: gymnasium.Env):
        self.env = env
        self.running = False
        refuse_unless_flat(env, "observation_space", env.observation_space)
        refuse_unless_flat(env, "action_space", env.action_space)

    def answer(self, question: dict) -> dict:
        match question:
            case {"do": "describe", "protocol": protocol}:
                if protocol != PROTOCOL:
                    raise Refusal(f"you speak `{protocol}`, and here {PROTOCOL} is spoken")
                return self.describe()
            case {"do": "reset", "seed": int(seed)}:
                return self.reset(seed)
            case {"do": "step", "action": list(action)}:
                return self.step(action)
        raise Refusal(f"this is no question of {PROTOCOL}: {question}")

    def describe(self) -> dict:
        return {
            "protocol": PROTOCOL,
            "name": self.env.spec.id if self.env.spec else type(self.env.unwrapped).__name__,
            "observations": variables("observation", self.env.observation_space),
            "actions": variables("action", self.env.action_space),
        }

    def reset(self, seed: int) -> dict:
        observation, _ = self.env.reset(seed=seed)
        self.running = True
        return {"observation": written(observation)}

    def step(self, action: list) -> dict:
        space = self.env.action_space
        if not self.running:
            raise Refusal("there is no step before a reset, nor after the end of an episode")
        if len(action) != space.shape[0] or any(value is None for value in action):
            raise Refusal(f"the action is not {space.shape[0]} numbers")
        # Rounding to the space's type must not leave the space.
        action = np.clip(np.asarray(read(action), dtype=space.dtype), space.low, space.high)
        observation, reward, terminated, truncated, _ = self.env.step(action)
        self.running = not (terminated or truncated)
        return {
            "observation": written(observation),
            "reward": number(reward),
            "terminated": bool(terminated),
            "truncated": bool(truncated),
        }


def refuse_unless_flat(env: gymnasium.Env, what: str, space: gymnasium.Space) -> None:
    if not (isinstance(space, Box) and len(space.shape) == 1 and np.issubdtype(space.dtype, np.floating)):
        raise Refusal(
            f"{what} of {env} is {space}, and a Box of floating-point numbers with one dimension is needed: "
            "take another environment, or register one that wraps this one"
        )


def variables(what: str, space: Box) -> list[dict]:
    """The columns of a space; an action rests at 0 where it can, else in the middle, else at its bound."""
    columns = []
    for index, (lo, hi) in enumerate(zip(space.low.tolist(), space.high.tolist())):
        lo, hi = (bound if abs(bound) < UNBOUNDED else None for bound in (lo, hi))
        if (lo is None or lo <= 0.0) and (hi is None or hi >= 0.0):
            nominal = 0.0
        else:
            nominal = hi if lo is None else lo if hi is None else (lo + hi) / 2
        columns.append({"name": f"{what}_{index}", "unit": "1", "lo": lo, "hi": hi, "nominal": nominal})
    return columns


def converse(channel: Channel, make: Callable[[], gymnasium.Env]) -> bool:
    """Answers until the other side ends; False if there is no such environment."""
    try:
        served = Served(make())
    except Exception as error:  # Whatever it is, the other side has to hear it.
        channel.receive()
        channel.send({"error": sentence(error)})
        channel.close()
        return False
    try:
        while (question := channel.receive()) is not None:
            try:
                answer = served.answer(question)
            except Exception as error:
                answer = {"error": sentence(error)}
            channel.send(answer)
    finally:
        channel.close()
        served.env.close()
    return True


def sentence(error: Exception) -> str:
    return str(error) if isinstance(error, Refusal) else f"{type(error).__name__}: {error}"


def serve_standard_input(make: Callable[[], gymnasium.Env]) -> bool:
    """Serves whoever has started this process with a socket as its standard input, and ends with it."""
    return converse(Channel(socket.socket(fileno=os.dup(0))), make)


def serve_path(path: str, make: Callable[[], gymnasium.Env]) -> None:
    """Serves all who come, each with an environment of its own, until the process ends."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            try:
                converse(Channel(self.request), make)
            except Broken as broken:
                print(f"a peer is let go: {broken}", flush=True)

    class Server(socketserver.ThreadingUnixStreamServer):
        daemon_threads = True

    remove_if_left_behind(path)
    with Server(path, Handler) as server:
        print(f"listening on {path}", flush=True)
        try:
            server.serve_forever()
        finally:
            os.unlink(path)


def remove_if_left_behind(path: str) -> None:
    """Removes a socket on which nobody listens; another file refuses connections, too."""
    if not os.path.lexists(path):
        return
    if not stat.S_ISSOCK(os.lstat(path).st_mode):
        raise Refusal(f"{path} is there, and no socket: name another path")
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
        else:
            raise Refusal(f"somebody serves an environment on {path} already: name another path")
