//! corerl-ua-server: running agents as an OPC UA server shows them, for any SCADA.
//!
//! # Contract
//! - It reads: control sockets and read-only descriptors of shared memory, at an interval. No client can write anything, and a
//!   runtime neither waits for it nor notices when it is gone.
//! - An agent whose runtime does not answer, or whose cycles stand still, shows Bad (BadNoCommunication) in every value, and good
//!   ones again as soon as a runtime leads it. A value that does not exist, such as a setpoint that is not written, is Bad
//!   (BadNoData).
//! - Signed and encrypted, unless `--lab` is given.
//! - SIGTERM, SIGINT and, with `--tether`, the end of standard input end the program with exit code 0 within half a second. Other
//!   exit codes: 2 usage, 69 the port is taken, 70 internal, 78 files that cannot be used.
//!
//! # Parts
//! `args` is the command line, `agent` what is seen of one agent, `facts` that as nodes and values, `space` the address space.
#![forbid(unsafe_code)]

mod agent;
mod args;
mod facts;
mod space;

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser as _;
use serde_json::json;
use ua_host::{Application, Failure, Identity};

use agent::Agents;
use args::Args;
use space::{NAMESPACE_URI, Space};

/// What the server calls itself.
const APPLICATION: Application = Application { name: "CoreRL agents", uri: "urn:corerl:ua-server" };

fn main() -> ExitCode {
    let args = Args::parse();
    ua_host::start_log("corerl-ua-server", args.host_arguments.log, args.security());
    ua_host::run("corerl-ua-server", run(args))
}

async fn run(args: Args) -> Result<(), Failure> {
    let asked = ua_host::asked_to_end(args.host_arguments.tether)?;
    let access = args.host_arguments.access(args.security(), &args.pki)?;
    let identity = access.identity(&APPLICATION).map_err(Failure::configuration)?;
    let listener = ua_host::listen(args.listen, args.port).await?;
    let port = listener.local_addr().map_err(Failure::internal)?.port();
    let host = args.host();
    let (server, handle) = access
        .server(&APPLICATION, &host, port)
        .with_node_manager(space::node_manager())
        .build()
        .map_err(Failure::internal)?;
    let space = Space::of(&handle).map_err(Failure::internal)?;
    let serving = tokio::spawn(server.run_with(listener));
    announce(&args, &format!("opc.tcp://{host}:{port}"), identity.as_ref());
    let (agents, every) = (Agents::new(args.runtime_dir(), args.agents), args.every);
    // A thread, because control sockets are asked with patience; it dies with the process.
    std::thread::spawn(move || watch(agents, space, every));
    ua_host::serve_until(serving, handle, asked).await
}

/// Shows what is seen, again and again.
fn watch(mut agents: Agents, mut space: Space, every: Duration) -> ! {
    loop {
        for (label, seen) in agents.look() {
            match seen {
                Some(seen) => space.show(&label, &seen),
                None => space.show_gone(&label),
            }
        }
        std::thread::sleep(every);
    }
}

/// Says where the server listens; whoever started the program waits for this line.
fn announce(args: &Args, url: &str, identity: Option<&Identity>) {
    let line = if args.json {
        json!({
            "url": url,
            "namespace_uri": NAMESPACE_URI,
            "certificate": identity.map(|identity| &identity.certificate),
            "thumbprint": identity.map(|identity| &identity.thumbprint),
        })
        .to_string()
    } else {
        let secured = match identity {
            Some(identity) => {
                format!(", certificate {} with thumbprint {}", identity.certificate.display(), identity.thumbprint)
            }
            None => ", LAB: in clear".to_owned(),
        };
        format!("agents at {url}{secured}")
    };
    ua_host::print(&format!("{line}\n"));
}
