"""The side that has a Gymnasium environment."""

import contextlib
import pathlib
import socket
import subprocess
import sys
import tempfile
import threading
import unittest

import gymnasium
import numpy as np
from gymnasium.spaces import Box

from corerl_gymnasium import PROTOCOL
from corerl_gymnasium.protocol import Broken, Channel
from corerl_gymnasium.server import Served, converse


def talk(make):
    """A channel to an environment that is served in a thread, and the thread."""
    ours, theirs = socket.socketpair()
    thread = threading.Thread(target=converse, args=(Channel(theirs), make))
    thread.start()
    return Channel(ours, 30.0), thread


def ask(channel, **question):
    channel.send(question)
    return channel.receive()


@contextlib.contextmanager
def running(command):
    """A program, ended however the test ends: leaving Popen alone would wait for it for ever."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
            process.terminate()
            process.wait(30)
        finally:
            process.kill()


class Unbounded(gymnasium.Env):
    """One column without bounds, one without an upper one; what is observed is broken now and then."""

    observation_space = Box(np.array([-np.inf, 0.0]), np.array([np.inf, np.finfo(np.float32).max]), dtype=np.float64)
    action_space = Box(np.float32([2.0]), np.float32([4.0]), dtype=np.float32)

    def reset(self, *, seed=None, options=None):
        return np.array([np.nan, 1.0]), {}

    def step(self, action):
        return np.array([float(action[0]), np.inf]), -1.0, True, False, {}


class ServerTest(unittest.TestCase):
    def test_a_conversation_has_the_numbers_of_the_environment(self):
        channel, thread = talk(lambda: gymnasium.make("Pendulum-v1"))
        description = ask(channel, do="describe", protocol=PROTOCOL)
        self.assertEqual((description["name"], len(description["observations"])), ("Pendulum-v1", 3))
        action = {"name": "action_0", "unit": "1", "lo": -2.0, "hi": 2.0, "nominal": 0.0}
        self.assertEqual(description["actions"], [action])
        env = gymnasium.make("Pendulum-v1")
        for seed in (7, 8, 7):
            expected, _ = env.reset(seed=seed)
            self.assertEqual(ask(channel, do="reset", seed=seed)["observation"], expected.tolist())
            for step in range(200):
                force = np.float32(2.0 * np.sin(step))
                answer = ask(channel, do="step", action=[float(force)])
                expected, reward, terminated, truncated, _ = env.step(np.array([force]))
                self.assertEqual(answer["observation"], expected.tolist())
                self.assertEqual(answer["reward"], reward)
                self.assertEqual((answer["terminated"], answer["truncated"]), (terminated, truncated))
            self.assertTrue(answer["truncated"])
            self.assertIn("after the end", ask(channel, do="step", action=[0.0])["error"])
        channel.close()
        thread.join()

    def test_bounds_that_are_none_and_numbers_that_are_none_are_null(self):
        channel, thread = talk(Unbounded)
        description = ask(channel, do="describe", protocol=PROTOCOL)
        bounds = [(column["lo"], column["hi"]) for column in description["observations"]]
        self.assertEqual(bounds, [(None, None), (0.0, None)])
        self.assertEqual(description["actions"][0]["nominal"], 3.0)
        self.assertEqual(ask(channel, do="reset", seed=1)["observation"], [None, 1.0])
        answer = ask(channel, do="step", action=[9.0])
        self.assertEqual((answer["observation"], answer["terminated"]), ([4.0, None], True), "inside the space")
        channel.close()
        thread.join()

    def test_what_cannot_be_served_is_refused_with_the_reason(self):
        for name, reason in [("CartPole-v1", "Discrete(2)"), ("NoSuch-v1", "doesn't exist")]:
            channel, thread = talk(lambda name=name: gymnasium.make(name))
            self.assertIn(reason, ask(channel, do="describe", protocol=PROTOCOL)["error"])
            channel.close()
            thread.join()

    def test_a_question_that_is_none_is_answered_and_the_next_one_as_usual(self):
        served = Served(gymnasium.make("Pendulum-v1"))
        channel, thread = talk(lambda: served.env)
        for question, reason in [
            ({"do": "dance"}, "no question of corerl.environment/1"),
            ({"do": "describe", "protocol": "x/9"}, "you speak `x/9`"),
            ({"do": "step", "action": [0.0]}, "no step before a reset"),
        ]:
            self.assertIn(reason, ask(channel, **question)["error"])
        self.assertIn("observation", ask(channel, do="reset", seed=1))
        self.assertIn("not 1 numbers", ask(channel, do="step", action=[1.0, 2.0])["error"])
        channel.close()
        thread.join()

    def test_the_program_ends_with_whoever_started_it(self):
        ours, theirs = socket.socketpair()
        command = [sys.executable, "-m", "corerl_gymnasium", "serve", "Pendulum-v1", "--make", "g=9.0"]
        with theirs:
            process = subprocess.Popen(command, stdin=theirs)
        channel = Channel(ours, 60.0)
        self.assertEqual(ask(channel, do="describe", protocol=PROTOCOL)["protocol"], PROTOCOL)
        channel.close()
        self.assertEqual(process.wait(30), 0)

    def test_a_path_is_served_to_several_at_once_by_one_program(self):
        with tempfile.TemporaryDirectory() as directory:
            path = f"{directory}/pendulum"
            # Whoever was here before has left the socket behind.
            with socket.socket(socket.AF_UNIX) as before:
                before.bind(path)
            command = [sys.executable, "-m", "corerl_gymnasium", "serve", "Pendulum-v1", "--socket", path]
            with running(command) as server:
                self.assertEqual(server.stdout.readline(), f"listening on {path}\n")
                channels = []
                for _ in range(2):
                    stream = socket.socket(socket.AF_UNIX)
                    stream.connect(path)
                    channels.append(Channel(stream, 60.0))
                first, second = (ask(channel, do="reset", seed=1) for channel in channels)
                self.assertEqual(first, second)
                self.assertIn("observation", ask(channels[0], do="step", action=[1.0]))
                self.assertIn("observation", ask(channels[1], do="step", action=[1.0]))
                another = subprocess.run(command, capture_output=True, text=True, timeout=60)
                self.assertEqual(another.returncode, 69)
                self.assertIn("already: name another path", another.stderr)
                for channel in channels:
                    channel.close()
            file = pathlib.Path(directory, "notes")
            file.write_text("precious")
            refused = subprocess.run([*command[:-1], file], capture_output=True, text=True, timeout=60)
            self.assertEqual((refused.returncode, file.read_text()), (69, "precious"), refused.stderr)

    def test_the_program_says_what_it_needs(self):
        command = [sys.executable, "-m", "corerl_gymnasium", "serve", "Pendulum-v1"]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 2)
        self.assertIn("standard input is no socket", done.stderr)


class ChannelTest(unittest.TestCase):
    def test_numbers_keep_their_bits(self):
        ours, theirs = socket.socketpair()
        one, other = Channel(ours, 10.0), Channel(theirs, 10.0)
        numbers = np.frombuffer(np.random.default_rng(1).bytes(8 * 500)).tolist()
        numbers = [number for number in numbers if np.isfinite(number)]
        one.send({"numbers": numbers})
        self.assertEqual(other.receive()["numbers"], numbers)
        one.close()
        other.close()

    def test_silence_nonsense_and_half_a_line_are_told(self):
        ours, theirs = socket.socketpair()
        channel = Channel(ours, 0.01)
        self.assertRaisesRegex(Broken, "says nothing", channel.receive)
        channel.close()
        theirs.close()
        for text, reason in [(b"maybe\n", "no JSON"), (b"[1]\n", "not an object"), (b'{"do"', "middle of a line")]:
            ours, theirs = socket.socketpair()
            channel = Channel(ours, 10.0)
            theirs.sendall(text)
            theirs.close()
            self.assertRaisesRegex(Broken, reason, channel.receive)
            channel.close()


if __name__ == "__main__":
    unittest.main()
