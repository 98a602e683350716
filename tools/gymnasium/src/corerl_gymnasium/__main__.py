"""``python3 -m corerl_gymnasium serve ID``"""

import argparse
import json
import os
import stat
import sys

import gymnasium

from corerl_gymnasium import server
from corerl_gymnasium.protocol import Broken

USAGE, UNAVAILABLE, BAD_CONFIGURATION = 2, 69, 78


def option(text: str) -> tuple[str, object]:
    key, equals, value = text.partition("=")
    if not (key.isidentifier() and equals):
        raise argparse.ArgumentTypeError(f"`{text}` is not of the form KEY=VALUE")
    try:
        return key, json.loads(value)
    except ValueError:
        return key, value


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python3 -m corerl_gymnasium", description=__doc__)
    serve = parser.add_subparsers(dest="command", required=True).add_parser(
        "serve", help="a Gymnasium environment for corerl experiment"
    )
    serve.add_argument("id", metavar="ID", help="as gymnasium.make takes it: Pendulum-v1, or module:Mine-v0")
    serve.add_argument("--make", metavar="KEY=VALUE", type=option, action="append", default=[],
                       help="an option of gymnasium.make, its value as JSON or text; may be repeated")
    serve.add_argument("--socket", metavar="PATH", help="serve all who connect here; "
                       "without it, standard input is the socket of whoever has started this process")
    return parser.parse_args()


def main() -> int:
    chosen = arguments()

    def make() -> gymnasium.Env:
        return gymnasium.make(chosen.id, **dict(chosen.make))

    if chosen.socket is None and not stat.S_ISSOCK(os.fstat(0).st_mode):
        print("standard input is no socket: give --socket PATH, or name this command in a case file", file=sys.stderr)
        return USAGE
    try:
        if chosen.socket is None:
            return 0 if server.serve_standard_input(make) else BAD_CONFIGURATION
        server.serve_path(chosen.socket, make)
    except KeyboardInterrupt:
        return 0
    except (Broken, server.Refusal, OSError) as error:
        print(error, file=sys.stderr)
        return UNAVAILABLE
    return 0


sys.exit(main())
