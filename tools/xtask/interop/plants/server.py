"""Somebody else's simulated plant behind somebody else's OPC UA server.

The plant makes one step of its own every so many milliseconds, with what was written last. It rests until the first
heartbeat is written, so that everybody who acts begins with the same step. A step that comes too late is made late, and
the grid goes on from there: nothing is caught up.

It prints JSON lines on standard output: first where it listens and what it is, then one for every step: what acted, how
far the tracked outputs lie from their references, the plant's own reward (which is for judging, and not shown to whoever
acts), and how much was written so far. It ends with standard input, SIGTERM or SIGINT.

    server.py --plant cstr --seed 1 --pace-ms 30
"""

import argparse
import asyncio
import json
import logging
import signal
import socket
import sys

from asyncua import Server, ua

from simulators import PLANTS

NAMESPACE = "urn:corerl:plant"
HEARTBEAT = "Heartbeat"


class Panel:
    """The plant's values as nodes of a server, and a count of what is written."""

    def __init__(self, plant):
        self.plant = plant
        self.written = dict(zip((signal.name for signal in plant.INPUTS), plant.NOMINAL))
        self.setpoints = self.heartbeats = 0
        self.nodes = {}
        self.begun = asyncio.Event()

    async def build(self, server):
        index = await server.register_namespace(NAMESPACE)
        name = self.plant.NAME
        folder = await server.nodes.objects.add_folder(ua.NodeId(name, index), name)

        async def add(what, value, kind):
            node = await folder.add_variable(ua.NodeId(f"{name}.{what}", index), what, value, kind)
            self.nodes[what] = node
            return node

        for what, value in self.written.items():
            node = await add(what, value, ua.VariantType.Double)
            await self.accept(server, node, self.take_setpoint(what))
        await self.accept(server, await add(HEARTBEAT, 0, ua.VariantType.UInt16), self.take_heartbeat)
        for what, value in self.plant.outputs().items():
            await add(what, value, ua.VariantType.Double)

    async def accept(self, server, node, take):
        """Stores a written value as usual, and tells it."""

        def setter(node_data, attribute, value):
            take(value.Value.Value)
            node_data.attributes[attribute].value = value

        await node.set_writable()
        server.set_attribute_value_setter(node.nodeid, setter)

    def take_setpoint(self, what):
        def take(value):
            self.written[what] = value
            self.setpoints += 1

        return take

    def take_heartbeat(self, _value):
        self.heartbeats += 1
        self.begun.set()

    async def show(self):
        for what, value in self.plant.outputs().items():
            await self.nodes[what].write_value(value)


def say(**facts):
    print(json.dumps(facts), flush=True)


def describe(plant):
    return {
        "name": plant.NAME,
        "step": plant.STEP,
        "inputs": [vars(signal) for signal in plant.INPUTS],
        "tracked": [vars(tracked) for tracked in plant.TRACKED],
    }


def account(panel, late):
    """What is to be known of the step that was just made."""
    plant, outputs = panel.plant, panel.plant.outputs()
    return {
        "inputs": list(panel.written.values()),
        "errors": [outputs[tracked.output] - outputs[tracked.reference] for tracked in plant.TRACKED],
        "reward": float(plant.reward),
        "setpoints": panel.setpoints,
        "heartbeats": panel.heartbeats,
        "late": late,
    }


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


async def first(*events):
    """Waits for the first of these."""
    waits = [asyncio.ensure_future(event.wait()) for event in events]
    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    for wait in waits:
        wait.cancel()


async def operate(panel, pace_s, stop):
    """Steps the plant until somebody says stop."""
    await first(panel.begun, stop)
    loop = asyncio.get_running_loop()
    due, late = loop.time() + pace_s, 0
    while not stop.is_set():
        await asyncio.sleep(due - loop.time())
        panel.plant.step(list(panel.written.values()))
        await panel.show()
        say(**account(panel, late))
        due += pace_s
        if due < loop.time():
            late += 1
            due = loop.time()


async def serve(arguments):
    port = arguments.port or free_port()
    server = Server()
    await server.init()
    server.set_endpoint(f"opc.tcp://127.0.0.1:{port}")
    server.set_server_name("CoreRL plants")
    server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
    panel = Panel(PLANTS[arguments.plant](arguments.seed))
    await panel.build(server)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    # The program that started this one holds the other end of standard input.
    loop.add_reader(sys.stdin, lambda: stop.set() if not sys.stdin.buffer.read1(64) else None)
    async with server:
        say(url=f"opc.tcp://127.0.0.1:{port}", port=port, **describe(panel.plant))
        await operate(panel, arguments.pace_ms / 1000.0, stop)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plant", choices=PLANTS, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--pace-ms", type=float, default=30.0, help="time between two steps")
    parser.add_argument("--port", type=int, default=0)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.ERROR)
    asyncio.run(serve(arguments))


if __name__ == "__main__":
    main()
