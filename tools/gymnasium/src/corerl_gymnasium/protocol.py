"""Lines of JSON over a stream socket: a question and its answer in turns.

The protocol is documented in ``learner/bridge/src/lib.rs`` of CoreRL. Numbers are written as ``repr`` writes them, so
reading them gives the same bits; null stands for a number that is missing or not finite, or for a bound that is not
there.
"""

import json
import math
import socket

PROTOCOL = "corerl.environment/1"
LINE_BYTES_MAX = 1 << 20


class Broken(Exception):
    """Nothing is heard any more, or nothing that can be understood; the message is a sentence."""


class Channel:
    """One end of a conversation."""

    def __init__(self, stream: socket.socket, seconds: float | None = None):
        """``seconds``: how long the other side may be silent; None for ever."""
        stream.settimeout(seconds)
        self.stream = stream
        self.reader = stream.makefile("rb")

    def send(self, message: dict) -> None:
        """Whoever has ended does not hear it, which ``receive`` tells: it may have said why."""
        try:
            self.stream.sendall(json.dumps(message, allow_nan=False).encode() + b"\n")
        except (BrokenPipeError, ConnectionResetError):
            pass
        except OSError as error:
            raise Broken(f"the other side does not listen any more: {error}") from error

    def receive(self) -> dict | None:
        """The next message; None when the other side has ended."""
        try:
            line = self.reader.readline(LINE_BYTES_MAX)
        except ConnectionResetError:
            return None
        except OSError as error:
            raise Broken(f"the other side says nothing any more: {error}") from error
        if not line:
            return None
        if not line.endswith(b"\n"):
            raise Broken("the other side has ended in the middle of a line, or does not end its lines")
        try:
            message = json.loads(line)
        except ValueError as error:
            raise Broken(f"this is no JSON: {error}") from error
        if not isinstance(message, dict):
            raise Broken("this is no message: it is not an object")
        return message

    def close(self) -> None:
        self.reader.close()
        self.stream.close()


def written(numbers) -> list[float | None]:
    """Numbers as a message has them."""
    return [number(value) for value in numbers]


def number(value) -> float | None:
    value = float(value)
    return value if math.isfinite(value) else None


def read(numbers) -> list[float]:
    """And back: what is missing is NaN."""
    return [math.nan if value is None else float(value) for value in numbers]
