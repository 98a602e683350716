// A small plant behind node-opcua's server: a peer that shares no code with the runtime.
//
// It offers the nodes of the simulated plant `saturation`, counts what is written, and prints JSON lines on standard
// output: first where it listens, then the counts, ten times a second. It ends with standard input or a signal. Its
// options are those of asyncua/server.py.

import { readFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { parseArgs } from "node:util";

import {
  DataType,
  MessageSecurityMode,
  OPCUACertificateManager,
  OPCUAServer,
  SecurityPolicy,
  ServerSecureChannelLayer,
  StatusCodes,
  Variant,
  nodesets,
} from "node-opcua";

const NAMESPACE = "urn:corerl:plant";
const SERVER_URI = "urn:corerl:interop:server";
const STEP_MS = 50;

const { values: options } = parseArgs({
  options: {
    port: { type: "string", default: "0" },
    security: { type: "string", default: "none" },
    pki: { type: "string", default: "." },
    users: { type: "string", default: "anonymous" },
    user: { type: "string", default: "" },
    password: { type: "string", default: "" },
    "namespaces-before": { type: "string", default: "0" },
    "token-lifetime": { type: "string", default: "0" },
  },
});

const say = (facts) => console.log(JSON.stringify(facts));

function freePort() {
  return new Promise((resolve) => {
    const probe = createServer().listen(0, "127.0.0.1", () => {
      const { port } = probe.address();
      probe.close(() => resolve(port));
    });
  });
}

// Those whose certificates are in this file, and nobody else.
async function trusting(store, certificate) {
  const manager = new OPCUACertificateManager({
    rootFolder: join(options.pki, store),
    automaticallyAcceptUnknownCertificate: false,
    disableFileWatchers: true,
  });
  await manager.initialize();
  if (certificate) await manager.trustCertificate(readFileSync(join(options.pki, certificate)));
  return manager;
}

async function configuration(port) {
  const secured = options.security !== "none";
  const modes = { none: "None", sign: "Sign", encrypt: "SignAndEncrypt" };
  const lifetime = Number(options["token-lifetime"]);
  if (lifetime > 0) ServerSecureChannelLayer.g_MinimumSecureTokenLifetime = lifetime;
  return {
    port,
    host: "127.0.0.1",
    hostname: "127.0.0.1",
    nodeset_filename: [nodesets.standard],
    serverInfo: { applicationUri: SERVER_URI },
    securityModes: [MessageSecurityMode[modes[options.security]]],
    securityPolicies: [secured ? SecurityPolicy.Basic256Sha256 : SecurityPolicy.None],
    allowAnonymous: options.users === "anonymous",
    userManager: { isValidUser: (name, password) => name === options.user && password === options.password },
    defaultSecureTokenLifetime: lifetime || undefined,
    serverCertificateManager: await trusting("node-applications", secured && "client/cert.der"),
    userCertificateManager: await trusting("node-users", options.users === "certificate" && "user/cert.der"),
    ...(secured && {
      certificateFile: join(options.pki, "server/cert.der"),
      privateKeyFile: join(options.pki, "private/server.pem"),
    }),
  };
}

// The vessel: what is written moves its level.
class Plant {
  steps = 0;
  written = { u: 0, Heartbeat: 0 };
  values = { u: 0.25, level: 0, level_sp: 0.5, Reward: 0, Heartbeat: 0 };

  build(addressSpace) {
    for (let i = 0; i < Number(options["namespaces-before"]); i++) {
      addressSpace.registerNamespace(`urn:corerl:other:${i}`);
    }
    const namespace = addressSpace.registerNamespace(NAMESPACE);
    const folder = namespace.addFolder("ObjectsFolder", { browseName: "saturation", nodeId: "s=saturation" });
    for (const name of Object.keys(this.values)) {
      const dataType = name === "Heartbeat" ? DataType.UInt16 : DataType.Double;
      const writable = name in this.written;
      namespace.addVariable({
        componentOf: folder,
        browseName: name,
        nodeId: `s=saturation.${name}`,
        dataType,
        accessLevel: writable ? "CurrentRead | CurrentWrite" : "CurrentRead",
        userAccessLevel: writable ? "CurrentRead | CurrentWrite" : "CurrentRead",
        minimumSamplingInterval: STEP_MS,
        value: {
          get: () => new Variant({ dataType, value: this.values[name] }),
          set: writable ? (variant) => this.take(name, variant.value) : undefined,
        },
      });
    }
  }

  take(name, value) {
    this.values[name] = value;
    this.written[name] += 1;
    return StatusCodes.Good;
  }

  advance() {
    const decay = 0.75 + 0.15 * Math.cos((2 * Math.PI * this.steps) / 100);
    this.values.level = Math.min(Math.max(decay * this.values.level + this.values.u, 0), 1);
    this.values.Reward = -Math.abs(this.values.level - 0.5);
    this.steps += 1;
    if (this.steps % 2 === 0) {
      say({ setpoints: this.written.u, heartbeats: this.written.Heartbeat, level: this.values.level });
    }
  }
}

const port = Number(options.port) || (await freePort());
const server = new OPCUAServer(await configuration(port));
await server.initialize();
const plant = new Plant();
plant.build(server.engine.addressSpace);
await server.start();
say({ url: `opc.tcp://127.0.0.1:${port}`, port });
setInterval(() => plant.advance(), STEP_MS);
const stop = () => process.exit(0);
process.on("SIGTERM", stop).on("SIGINT", stop);
// The program that started this one holds the other end of standard input.
process.stdin.on("end", stop).resume();
