"""CoreRL's environments as ``gymnasium.Env``."""

import socket
import subprocess

import gymnasium
import numpy as np
from gymnasium.spaces import Box

from corerl_gymnasium.protocol import PROTOCOL, Broken, Channel, read, written

ANSWERS_WITHIN_S = 30.0
ENDS_WITHIN_S = 5.0
SEEDS = 2**31


class CorerlEnv(gymnasium.Env):
    """An environment that ``corerl experiment serve`` has.

    Either ``socket`` is the path of a server, or the program ``corerl`` is started for this environment alone: for
    ``environment``, the name of one, or for ``case``, a case file. Observations and actions are 64-bit numbers in
    engineering units; a reading that is missing is NaN. A plant goes on for ever: give ``gymnasium.make`` the option
    ``max_episode_steps``, or wrap it in a ``TimeLimit``.

    ``reset(seed=...)`` determines the episode and all that follow it.
    """

    metadata = {"render_modes": []}

    def __init__(self, environment: str | None = None, *, case: str | None = None, socket: str | None = None,
                 corerl: str = "corerl"):
        if sum(given is not None for given in (environment, case, socket)) != 1:
            raise ValueError("give one of environment, case and socket")
        self._process = None
        if socket is not None:
            self._channel = connect(socket)
        else:
            chosen = ["--environment", environment] if case is None else ["--case", case]
            self._process, self._channel = start([corerl, "experiment", "serve", *chosen])
        try:
            description = self._ask(do="describe", protocol=PROTOCOL)
        except ValueError as refused:
            self.close()
            raise Broken(str(refused)) from refused
        self.name = description["name"]
        self.observations = description["observations"]
        self.actions = description["actions"]
        self.observation_space = space(self.observations)
        self.action_space = space(self.actions)

    def reset(self, *, seed: int | None = None, options: dict | None = None):
        super().reset(seed=seed)
        answer = self._ask(do="reset", seed=int(self.np_random.integers(SEEDS)))
        return np.array(read(answer["observation"])), {}

    def step(self, action):
        answer = self._ask(do="step", action=written(np.asarray(action, dtype=np.float64)))
        reward = read([answer["reward"]])[0]
        return np.array(read(answer["observation"])), reward, answer["terminated"], answer["truncated"], {}

    def close(self) -> None:
        if self._channel is not None:
            self._channel.close()
            self._channel = None
        if self._process is not None:
            try:
                self._process.wait(ENDS_WITHIN_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None

    def _ask(self, **question) -> dict:
        if self._channel is None:
            raise Broken("the environment is closed")
        try:
            self._channel.send(question)
            answer = self._channel.receive()
        except Broken:
            self.close()
            raise
        if answer is None:
            self.close()
            raise Broken("corerl has ended; what it said before is above")
        if "error" in answer:
            raise ValueError(answer["error"])
        return answer


def space(variables: list[dict]) -> Box:
    def bounds(key: str, absent: float) -> np.ndarray:
        return np.array([absent if variable[key] is None else variable[key] for variable in variables])

    return Box(bounds("lo", -np.inf), bounds("hi", np.inf), dtype=np.float64)


def connect(path: str) -> Channel:
    stream = socket.socket(socket.AF_UNIX)
    try:
        stream.connect(path)
    except OSError as error:
        stream.close()
        raise Broken(f"nobody serves an environment on {path} ({error}): start `corerl experiment serve`") from error
    return Channel(stream, ANSWERS_WITHIN_S)


def start(command: list[str]) -> tuple[subprocess.Popen, Channel]:
    """Starts a server with a socket as its standard input: it ends with us, however we end."""
    ours, theirs = socket.socketpair()
    with theirs:
        try:
            process = subprocess.Popen(command, stdin=theirs)
        except OSError as error:
            ours.close()
            raise Broken(f"`{command[0]}` cannot be started ({error}): give its path as corerl=PATH") from error
    return process, Channel(ours, ANSWERS_WITHIN_S)
