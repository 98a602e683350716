//! corerl-plant: a simulated plant behind a real OPC UA server.
//!
//! # Contract
//! - It listens on the loopback interface alone, and says on one line of standard output where, once it does.
//! - The plant steps on a grid of absolute times. A late step is skipped and counted (`StepsSkipped`), never caught up.
//! - What clients may write is taken as it is written; a value of another type or one that is not finite is refused.
//! - SIGTERM, SIGINT and, with `--tether`, the end of standard input end the program with exit code 0 within half a
//!   second. Other exit codes: 2 usage, 69 the port is taken, 70 internal, 78 files that cannot be used.
//!
//! # Parts
//! `args` is the command line, `catalogue` the list of nodes as data, `space` the address space made from it,
//! `stepper` the plant in motion, `watchdog` its side of the heartbeat, `server` the OPC UA server, `identity` its certificate.
#![forbid(unsafe_code)]

mod args;
mod catalogue;
mod identity;
mod server;
mod space;
mod stepper;
mod watchdog;

use std::io::{Read as _, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser as _;
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use args::{Args, Security};
use identity::Identity;
use server::Access;
use stepper::Stepper;

/// Exit codes as everywhere in this project.
const EXIT_USAGE: u8 = 2;
const EXIT_UNAVAILABLE: u8 = 69;
const EXIT_INTERNAL: u8 = 70;
const EXIT_CONFIGURATION: u8 = 78;

/// Connections get this long to be closed in order at the end.
const FAREWELL: Duration = Duration::from_millis(300);

/// What to say and how to exit.
struct Failure {
    code: u8,
    message: String,
}

impl Failure {
    fn new(code: u8, message: impl ToString) -> Self {
        Self { code, message: message.to_string() }
    }
}

fn main() -> ExitCode {
    let args = Args::parse();
    start_log(&args);
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&Failure::new(EXIT_INTERNAL, error)),
    };
    let outcome = runtime.block_on(run(args));
    // Tasks of connections that did not end in time are dropped with the runtime.
    runtime.shutdown_background();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => fail(&failure),
    }
}

/// Messages of the OPC UA library go to standard error.
fn start_log(args: &Args) {
    let mut targets = Targets::new().with_default(args.log);
    if args.security == Security::None {
        // The library complains of a missing certificate even where none is used.
        for target in ["opcua_crypto::certificate_store", "opcua_core::comms::secure_channel", "opcua_server::server"] {
            targets = targets.with_target(target, LevelFilter::OFF);
        }
    }
    tracing_subscriber::registry()
        .with(tracing_subscriber::fmt::layer().with_writer(std::io::stderr))
        .with(targets)
        .init();
}

fn fail(failure: &Failure) -> ExitCode {
    eprintln!("corerl-plant: {}", failure.message);
    ExitCode::from(failure.code)
}

async fn run(args: Args) -> Result<(), Failure> {
    let plant = plants::by_name(&args.plant, args.seed).map_err(|error| Failure::new(EXIT_USAGE, error))?;
    let nodes = catalogue::nodes(plant.as_ref());
    if args.list {
        return list(&nodes, args.json);
    }
    let mut terminate = handler(SignalKind::terminate())?;
    let mut interrupt = handler(SignalKind::interrupt())?;
    let identity = match args.security {
        Security::None => None,
        Security::Encrypt => {
            Some(identity::load_or_create(&args.pki).map_err(|error| Failure::new(EXIT_CONFIGURATION, error))?)
        }
    };
    let access = access(&args)?;
    let listener = server::listen(args.port).await.map_err(|error| {
        Failure::new(
            EXIT_UNAVAILABLE,
            format!("port {} of 127.0.0.1 cannot be used: {error}; choose another one, or --port 0 for any", args.port),
        )
    })?;
    let port = listener.local_addr().map_err(|error| Failure::new(EXIT_INTERNAL, error))?.port();
    let (server, handle, space) =
        server::build(port, &access, &args.plant, &nodes).map_err(|error| Failure::new(EXIT_INTERNAL, error))?;
    let stepper = Stepper::new(plant, &nodes, space, handle.subscriptions().clone(), args.step, args.heartbeat_timeout);
    let mut serving = tokio::spawn(server.run_with(listener));
    announce(&args, port, identity.as_ref());

    tokio::select! {
        ended = &mut serving => {
            let reason = match ended {
                Ok(Ok(())) => "the server ended by itself".to_owned(),
                Ok(Err(reason)) => reason,
                Err(error) => error.to_string(),
            };
            return Err(Failure::new(EXIT_INTERNAL, reason));
        }
        () = stepper.run() => {}
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        () = parent_gone(args.tether) => {}
    }
    handle.cancel();
    // A connection that does not end in time is cut off.
    let _ = tokio::time::timeout(FAREWELL, serving).await;
    Ok(())
}

fn handler(kind: SignalKind) -> Result<tokio::signal::unix::Signal, Failure> {
    signal(kind).map_err(|error| Failure::new(EXIT_INTERNAL, error))
}

fn access(args: &Args) -> Result<Access, Failure> {
    let user = match (&args.user, &args.password_file) {
        (Some(user), Some(file)) => {
            let text = std::fs::read_to_string(file).map_err(|error| {
                Failure::new(
                    EXIT_CONFIGURATION,
                    format!("the password file {} cannot be read: {error}", file.display()),
                )
            })?;
            let password = text.lines().next().unwrap_or_default().to_owned();
            Some((user.clone(), password))
        }
        _ => None,
    };
    // The library makes its directories at once; without encryption there is nothing to keep, so there it shall fail.
    let pki = match args.security {
        Security::None => "/dev/null".into(),
        Security::Encrypt => args.pki.clone(),
    };
    Ok(Access { security: args.security, pki, trust_all_clients: args.trust_all_clients, user })
}

fn list(nodes: &[catalogue::Node], as_json: bool) -> Result<(), Failure> {
    let text = if as_json {
        let mut text = serde_json::to_string_pretty(nodes).map_err(|error| Failure::new(EXIT_INTERNAL, error))?;
        text.push('\n');
        text
    } else {
        catalogue::table(nodes)
    };
    print(&text);
    Ok(())
}

/// Says where the server listens; whoever started the program waits for this line.
fn announce(args: &Args, port: u16, identity: Option<&Identity>) {
    let url = format!("opc.tcp://127.0.0.1:{port}");
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
    print(&format!("{line}\n"));
}

/// Standard output may be closed by a reader that has seen enough: no reason to die.
fn print(text: &str) {
    let mut stdout = std::io::stdout().lock();
    let _ = stdout.write_all(text.as_bytes());
    let _ = stdout.flush();
}

/// Ends when standard input is closed; never, when not tethered.
async fn parent_gone(is_tethered: bool) {
    if !is_tethered {
        return std::future::pending().await;
    }
    let (closed, wait) = oneshot::channel();
    // A thread, because reading standard input cannot be cancelled; it dies with the process.
    std::thread::spawn(move || {
        let mut stdin = std::io::stdin().lock();
        let mut buffer = [0; 64];
        while matches!(stdin.read(&mut buffer), Ok(count) if count > 0) {}
        let _ = closed.send(());
    });
    let _ = wait.await;
}
