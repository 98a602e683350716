"""A small plant behind asyncua's OPC UA server: a peer that shares no code with the runtime.

It offers the nodes of the simulated plant `saturation`, counts what is written, and prints JSON lines on standard
output: first where it listens, then the counts, ten times a second. It ends with standard input, SIGTERM or SIGINT.

    server.py --port 0
    server.py --port 0 --security encrypt --pki DIR --users password --user NAME --password PASSWORD
    server.py --port 0 --security sign --pki DIR --users certificate --namespaces-before 1 --token-lifetime 3000

The directory holds `server/cert.der` with `private/server.pem`, and `client/cert.der` and `user/cert.der`, which are let
in. `--quirks` does what some servers do: empty nonces, and a server URI that has to be this server's or none.
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
from asyncua.common.connection import SecureConnection
from asyncua.common.utils import ServiceError
from asyncua.crypto.permission_rules import User, UserRole
from asyncua.crypto.truststore import TrustStore
from asyncua.crypto.validator import CertificateValidator, CertificateValidatorOptions
from asyncua.server.internal_session import InternalSession

NAMESPACE = "urn:corerl:plant"
SERVER_URI = "urn:corerl:interop:server"
STEP_S = 0.05
POLICIES = {
    "sign": ua.SecurityPolicyType.Basic256Sha256_Sign,
    "encrypt": ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt,
}
TOKENS = {
    "anonymous": ua.AnonymousIdentityToken,
    "password": ua.UserNameIdentityToken,
    "certificate": ua.X509IdentityToken,
}


class Users:
    """Lets in whoever has the password, or the certificate; nobody else."""

    def __init__(self, arguments):
        self.arguments = arguments

    def get_user(self, iserver, username=None, password=None, certificate=None):
        wanted = self.arguments
        if wanted.users == "password" and (username, password) == (wanted.user, wanted.password):
            return User(role=UserRole.User, name=username)
        if wanted.users == "certificate" and certificate == (Path(wanted.pki) / "user/cert.der").read_bytes():
            return User(role=UserRole.User, name="by certificate")
        return None


def shorten_tokens(lifetime_ms):
    """Channels' keys live no longer than this."""
    opened = SecureConnection.open

    def open_for_less(self, params, server):
        params.RequestedLifetime = min(params.RequestedLifetime, lifetime_ms)
        return opened(self, params, server)

    SecureConnection.open = open_for_less


def be_odd():
    """Empty nonces, and a server URI that is not this server's is refused."""
    created, activated = InternalSession.create_session, InternalSession.activate_session

    async def create(self, params, sockname=None):
        if params.ServerUri not in (None, "", SERVER_URI):
            raise ServiceError(ua.StatusCodes.BadServerUriInvalid)
        return without_nonce(self, await created(self, params, sockname))

    def activate(self, params, peer_certificate):
        return without_nonce(self, activated(self, params, peer_certificate))

    def without_nonce(session, result):
        session.nonce = result.ServerNonce = b""
        return result

    InternalSession.create_session, InternalSession.activate_session = create, activate


class Plant:
    """The vessel: what is written moves its level."""

    def __init__(self):
        self.level, self.step = 0.0, 0
        self.writes = {"u": 0, "Heartbeat": 0}
        self.nodes = {}

    async def build(self, server, namespaces_before):
        for i in range(namespaces_before):
            await server.register_namespace(f"urn:corerl:other:{i}")
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


async def secure(server, arguments):
    pki = Path(arguments.pki)
    await server.load_certificate(str(pki / "server/cert.der"))
    await server.load_private_key(str(pki / "private/server.pem"))
    server.set_security_policy([POLICIES[arguments.security]])
    store = TrustStore([pki / "client"], [])
    await store.load()
    options = CertificateValidatorOptions.TRUSTED_VALIDATION | CertificateValidatorOptions.PEER_CLIENT
    server.set_certificate_validator(CertificateValidator(options, store).validate)


async def build_server(arguments, port):
    server = Server(user_manager=None if arguments.users == "anonymous" else Users(arguments))
    await server.init()
    server.set_endpoint(f"opc.tcp://127.0.0.1:{port}")
    server.set_server_name("CoreRL interoperability")
    await server.set_application_uri(SERVER_URI)
    if arguments.security == "none":
        server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
    else:
        await secure(server, arguments)
    server.set_identity_tokens([TOKENS[arguments.users]])
    return server


async def serve(arguments):
    port = arguments.port or free_port()
    server = await build_server(arguments, port)
    plant = Plant()
    await plant.build(server, arguments.namespaces_before)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    # The program that started this one holds the other end of standard input.
    loop.add_reader(sys.stdin, lambda: stop.set() if not sys.stdin.buffer.read1(64) else None)
    async with server:
        say(url=f"opc.tcp://127.0.0.1:{port}", port=port)
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
    parser.add_argument("--security", choices=["none", *POLICIES], default="none")
    parser.add_argument("--pki", help="directory with certificates and keys")
    parser.add_argument("--users", choices=TOKENS, default="anonymous")
    parser.add_argument("--user")
    parser.add_argument("--password")
    parser.add_argument("--namespaces-before", type=int, default=0, help="namespaces in front of the plant's")
    parser.add_argument("--token-lifetime", type=int, metavar="MS")
    parser.add_argument("--quirks", action="store_true")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.ERROR)
    if arguments.token_lifetime:
        shorten_tokens(arguments.token_lifetime)
    if arguments.quirks:
        be_odd()
    asyncio.run(serve(arguments))


if __name__ == "__main__":
    main()
