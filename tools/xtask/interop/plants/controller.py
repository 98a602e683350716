"""A model-predictive controller for PC-Gym's reactor, by do-mpc, as an OPC UA client in the runtime's place.

It has the reactor's own model, sees what the runtime sees (state, reference, temperature of the feed; nothing of what is
to come), and writes the same setpoint within the same range, once for every step of the plant. It prints a line when it
has begun, and ends with standard input, SIGTERM or SIGINT.

    controller.py --url opc.tcp://127.0.0.1:4840 --pace-ms 30
"""

import argparse
import asyncio
import logging
import signal
import sys
import warnings

import numpy as np
from asyncua import Client, ua

from simulators import Reactor

warnings.filterwarnings("ignore", module="do_mpc")

# Steps that are looked ahead: four minutes, four times the reactor's residence time.
HORIZON = 16
# What a change of the jacket by 1 K costs, beside the squared error times the reactor's own weight.
MOVE_COST = 1e-3


def predictive_controller():
    """The controller, and the dictionary from which it takes reference and disturbance."""
    import do_mpc
    from casadi import vertcat
    from pcgym.model_classes import cstr

    model = do_mpc.model.Model("continuous")
    state = model.set_variable("_x", "x", shape=(2, 1))
    jacket = model.set_variable("_u", "Tc")
    reference = model.set_variable("_p", "Ca_sp")
    feed = model.set_variable("_p", "Ti")
    reactor = cstr(int_method="casadi")
    composition = reactor.Caf
    model.set_rhs("x", vertcat(*reactor(state, vertcat(jacket, feed, composition))))
    model.setup()

    mpc = do_mpc.controller.MPC(model)
    mpc.settings.n_horizon = HORIZON
    mpc.settings.t_step = Reactor.STEP_MIN
    mpc.settings.store_full_solution = False
    mpc.settings.supress_ipopt_output()
    error = Reactor.REWARD_SCALE * (state[0] - reference) ** 2
    mpc.set_objective(mterm=error, lterm=error)
    mpc.set_rterm(Tc=MOVE_COST)
    (jacket,) = Reactor.INPUTS
    mpc.bounds["lower", "_u", "Tc"], mpc.bounds["upper", "_u", "Tc"] = jacket.low, jacket.high
    now = {"Ca_sp": 0.0, "Ti": 0.0}
    template = mpc.get_p_template(1)

    def parameters(_time):
        for name, value in now.items():
            template["_p", 0, name] = value
        return template

    mpc.set_p_fun(parameters)
    mpc.setup()
    mpc.u0 = np.array(Reactor.NOMINAL)
    return mpc, now


async def control(arguments):
    mpc, now = predictive_controller()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    loop.add_reader(sys.stdin, lambda: stop.set() if not sys.stdin.buffer.read1(64) else None)
    async with Client(arguments.url) as client:
        index = await client.get_namespace_index("urn:corerl:plant")

        def node(name):
            return client.get_node(ua.NodeId(f"{Reactor.NAME}.{name}", index))

        shown = [node(name) for name in ("Ca", "T", "Ca_sp", "Ti")]
        jacket, heartbeat = node("Tc"), node("Heartbeat")
        seen, beats = None, 0
        while not stop.is_set():
            values = await client.read_values(shown)
            if values == seen:
                # The plant has not stepped yet.
                await asyncio.sleep(arguments.pace_ms / 1000.0 / 10)
                continue
            seen = values
            now["Ca_sp"], now["Ti"] = values[2:]
            measured = np.array(values[:2])
            if beats == 0:
                mpc.x0 = measured
                mpc.set_initial_guess()
            (move,) = mpc.make_step(measured).flatten()
            await jacket.write_value(ua.DataValue(ua.Variant(float(move), ua.VariantType.Double)))
            if beats == 0:
                print("controlling", flush=True)
            beats += 1
            await heartbeat.write_value(ua.DataValue(ua.Variant(beats % 1000, ua.VariantType.UInt16)))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", required=True)
    parser.add_argument("--pace-ms", type=float, default=30.0, help="time between two steps of the plant")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.ERROR)
    asyncio.run(control(arguments))


if __name__ == "__main__":
    main()
