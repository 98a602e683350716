//! corerl-plant: a simulated plant behind a real OPC UA server.
//!
//! # Contract
//! - It listens on the loopback interface alone, and says on one line of standard output where, once it does.
//! - The plant steps on a grid of absolute times. A late step is skipped and counted (`StepsSkipped`), never caught up.
//! - What clients may write is taken as it is written; a value of another type or one that is not finite is refused.
//! - Without `--faults` nothing but the `Faults.*` nodes makes it lie; with it, whoever may open that socket, this user alone.
//! - SIGTERM, SIGINT and, with `--tether`, the end of standard input end the program with exit code 0 within half a
//!   second. Other exit codes: 2 usage, 69 the port is taken, 70 internal, 78 files that cannot be used.
//!
//! # Parts
//! `args` is the command line, `catalogue` the list of nodes as data, `space` the address space made from it,
//! `faults` what goes wrong on request, `stepper` the plant in motion, `telling` how subscribers hear of it, `watchdog` its side of the heartbeat, `server` the OPC
//! UA server.
#![forbid(unsafe_code)]

mod args;
mod catalogue;
mod faults;
mod server;
mod space;
mod stepper;
mod telling;
mod watchdog;

use std::net::{IpAddr, Ipv4Addr};
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser as _;
use serde_json::json;
use ua_host::{Access, Failure, Identity};

use args::Args;
use faults::Book;
use server::{APPLICATION, HOST};
use stepper::Stepper;
use telling::Telling;

fn main() -> ExitCode {
    let args = Args::parse();
    ua_host::start_log("corerl-plant", args.host_arguments.log, args.security);
    ua_host::run("corerl-plant", run(args))
}

async fn run(args: Args) -> Result<(), Failure> {
    let plant = plants::by_name(&args.plant, args.seed).map_err(Failure::usage)?;
    let nodes = catalogue::nodes(plant.as_ref());
    if args.list {
        return list(&nodes, args.json);
    }
    let asked = ua_host::asked_to_end(args.host_arguments.tether)?;
    let Args { security, certificate_lifetime, key_lifetime, .. } = args;
    let access = args.host_arguments.access(security, &args.pki)?;
    let access = Access { certificate_lifetime, key_lifetime, ..access };
    let identity = access.identity(&APPLICATION).map_err(Failure::configuration)?;
    let listener = ua_host::listen(IpAddr::V4(Ipv4Addr::LOCALHOST), args.port).await?;
    let port = listener.local_addr().map_err(Failure::internal)?.port();
    let book = Arc::new(Book::new(&nodes, args.seed));
    let (server, handle, space) =
        server::build(port, &access, server::subscription_limits(&args), (&args.plant, &nodes), &book)
            .map_err(Failure::internal)?;
    let _listening = args.faults.as_ref().map(|path| faults::listen(path, Arc::clone(&book))).transpose()?;
    let stepper = Stepper::new(
        plant,
        &nodes,
        Telling::new(space, handle.subscriptions().clone()),
        book,
        args.step,
        args.heartbeat_timeout,
    );
    let serving = tokio::spawn(server.run_with(listener));
    announce(&args, port, identity.as_ref());
    let ended = async {
        tokio::select! {
            () = stepper.run() => {}
            () = asked => {}
        }
    };
    ua_host::serve_until(serving, handle, ended).await
}

fn list(nodes: &[catalogue::Node], as_json: bool) -> Result<(), Failure> {
    let text = if as_json {
        let mut text = serde_json::to_string_pretty(nodes).map_err(Failure::internal)?;
        text.push('\n');
        text
    } else {
        catalogue::table(nodes)
    };
    ua_host::print(&text);
    Ok(())
}

/// Says where the server listens; whoever started the program waits for this line.
fn announce(args: &Args, port: u16, identity: Option<&Identity>) {
    let url = format!("opc.tcp://{HOST}:{port}");
    let line = if args.json {
        json!({
            "plant": args.plant,
            "url": url,
            "namespace_uri": catalogue::NAMESPACE_URI,
            "step_us": args.step.as_micros() as u64,
            "certificate": identity.map(|identity| &identity.certificate),
            "thumbprint": identity.map(|identity| &identity.thumbprint),
        })
        .to_string()
    } else {
        let secured = identity.map_or(String::new(), |identity| {
            format!(", certificate {} with thumbprint {}", identity.certificate.display(), identity.thumbprint)
        });
        format!("{} at {url}{secured}", args.plant)
    };
    ua_host::print(&format!("{line}\n"));
}
