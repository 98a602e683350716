"""A small plant behind asyncua's OPC UA server: a peer that shares no code with the runtime.

It offers the nodes of the simulated plant `saturation`, counts what is written, and prints JSON lines on standard
output: first where it listens, then the counts, ten times a second. It ends with standard input, SIGTERM or SIGINT.

    asyncua_server.py --port 0
    asyncua_server.py --port 0 --security encrypt --pki DIR --user NAME --password PASSWORD
    asyncua_server.py --make-client DIR      makes a client's certificate and key, and ends
"""

import argparse
import asyncio
import json
import logging
import math
import signal
import socket
import sys
from pathlib import Path

from asyncua import Server, ua
from asyncua.crypto.cert_gen import setup_self_signed_certificate
from asyncua.crypto.permission_rules import User, UserRole
from asyncua.crypto.truststore import TrustStore
from asyncua.crypto.validator import CertificateValidator, CertificateValidatorOptions
from cryptography.x509.oid import ExtendedKeyUsageOID

NAMESPACE = "urn:corerl:plant"
SERVER_URI = "urn:corerl:interop:server"
CLIENT_URI = "urn:corerl:rt"
STEP_S = 0.05


class OneUser:
    """Lets one user in, and nobody else."""

    def __init__(self, name, password):
        self.name, self.password = name, password

    def get_user(self, iserver, username=None, password=None, certificate=None):
        if (username, password) == (self.name, self.password):
            return User(role=UserRole.User, name=username)
        return None


async def make_identity(directory, uri, use):
    """A self-signed certificate in the directory, and its key in `private` beside it; made once."""
    private = directory.parent / "private"
    for place, mode in [(directory, 0o755), (private, 0o700)]:
        place.mkdir(mode=mode, parents=True, exist_ok=True)
    certificate, key = directory / "cert.der", private / f"{directory.name}.pem"
    await setup_self_signed_certificate(
        key, certificate, uri, "127.0.0.1", [use], {"commonName": uri, "organizationName": "CoreRL"}
    )
    key.chmod(0o600)
    return certificate, key


class Plant:
    """The vessel: what is written moves its level."""

    def __init__(self):
        self.level, self.step = 0.0, 0
        self.writes = {"u": 0, "Heartbeat": 0}
        self.nodes = {}

    async def build(self, server):
        index = await server.register_namespace(NAMESPACE)
        folder = await server.nodes.objects.add_folder(ua.NodeId("saturation", index), "saturation")
        for name, value, kind, writable in [
            ("u", 0.25, ua.VariantType.Double, True),
            ("level", 0.0, ua.VariantType.Double, False),
            ("level_sp", 0.5, ua.VariantType.Double, False),
            ("Reward", 0.0, ua.VariantType.Double, False),
            ("Heartbeat", 0, ua.VariantType.UInt16, True),
        ]:
            node = await folder.add_variable(ua.NodeId(f"saturation.{name}", index), name, value, kind)
            if writable:
                await node.set_writable()
                server.set_attribute_value_setter(node.nodeid, self.counting(name))
            self.nodes[name] = node

    def counting(self, name):
        """Stores a written value as usual, and counts it."""

        def setter(node_data, attribute, value):
            self.writes[name] += 1
            node_data.attributes[attribute].value = value

        return setter

    async def advance(self):
        u = await self.nodes["u"].read_value()
        decay = 0.75 + 0.15 * math.cos(2 * math.pi * self.step / 100)
        self.level = min(max(decay * self.level + u, 0.0), 1.0)
        self.step += 1
        await self.nodes["level"].write_value(self.level)
        await self.nodes["Reward"].write_value(-abs(self.level - 0.5))


def say(**facts):
    print(json.dumps(facts), flush=True)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


async def build_server(arguments, port):
    users = OneUser(arguments.user, arguments.password) if arguments.user else None
    server = Server(user_manager=users)
    await server.init()
    server.set_endpoint(f"opc.tcp://127.0.0.1:{port}")
    server.set_server_name("CoreRL interoperability")
    await server.set_application_uri(SERVER_URI)
    certificate = None
    if arguments.security == "encrypt":
        pki = Path(arguments.pki)
        certificate, key = await make_identity(pki / "server", SERVER_URI, ExtendedKeyUsageOID.SERVER_AUTH)
        await server.load_certificate(str(certificate))
        await server.load_private_key(str(key))
        server.set_security_policy([ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt])
        store = TrustStore([pki / "client"], [])
        await store.load()
        options = CertificateValidatorOptions.TRUSTED_VALIDATION | CertificateValidatorOptions.PEER_CLIENT
        server.set_certificate_validator(CertificateValidator(options, store).validate)
    else:
        server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
    if arguments.user:
        server.set_identity_tokens([ua.UserNameIdentityToken])
    return server, certificate


async def serve(arguments):
    port = arguments.port or free_port()
    server, certificate = await build_server(arguments, port)
    plant = Plant()
    await plant.build(server)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    # The program that started this one holds the other end of standard input.
    loop.add_reader(sys.stdin, lambda: stop.set() if not sys.stdin.buffer.read1(64) else None)
    async with server:
        say(url=f"opc.tcp://127.0.0.1:{port}", port=port, certificate=certificate and str(certificate))
        while not stop.is_set():
            await plant.advance()
            if plant.step % 2 == 0:
                say(setpoints=plant.writes["u"], heartbeats=plant.writes["Heartbeat"], level=plant.level)
            try:
                await asyncio.wait_for(stop.wait(), STEP_S)
            except asyncio.TimeoutError:
                pass


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--security", choices=["none", "encrypt"], default="none")
    parser.add_argument("--pki", help="directory with server/ and client/")
    parser.add_argument("--user")
    parser.add_argument("--password")
    parser.add_argument("--make-client", metavar="DIR")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.ERROR)
    if arguments.make_client:
        asyncio.run(make_identity(Path(arguments.make_client), CLIENT_URI, ExtendedKeyUsageOID.CLIENT_AUTH))
    else:
        asyncio.run(serve(arguments))


if __name__ == "__main__":
    main()
