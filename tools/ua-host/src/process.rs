//! The process around a server.

use std::future::Future;
use std::io::{Read as _, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use opcua_server::ServerHandle;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tracing_subscriber::filter::LevelFilter;

use crate::access::Security;

/// Exit codes as everywhere in this project.
const EXIT_USAGE: u8 = 2;
const EXIT_UNAVAILABLE: u8 = 69;
const EXIT_INTERNAL: u8 = 70;
const EXIT_CONFIGURATION: u8 = 78;

/// Connections get this long to be closed in order at the end.
const FAREWELL: Duration = Duration::from_millis(300);

/// Why a program ends: what to say, and how to exit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    code: u8,
    message: String,
}

impl Failure {
    /// What was asked for makes no sense.
    pub fn usage(message: impl ToString) -> Self {
        Self { code: EXIT_USAGE, message: message.to_string() }
    }

    /// Something that is needed is not to be had.
    pub fn unavailable(message: impl ToString) -> Self {
        Self { code: EXIT_UNAVAILABLE, message: message.to_string() }
    }

    /// A fault of the program.
    pub fn internal(message: impl ToString) -> Self {
        Self { code: EXIT_INTERNAL, message: message.to_string() }
    }

    /// A file cannot be used.
    pub fn configuration(message: impl ToString) -> Self {
        Self { code: EXIT_CONFIGURATION, message: message.to_string() }
    }
}

/// Runs a program on one thread, and says why it failed if it does.
pub fn run(name: &str, program: impl Future<Output = Result<(), Failure>>) -> ExitCode {
    let outcome = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => {
            let outcome = runtime.block_on(program);
            // Tasks of connections that did not end in time are dropped with the runtime.
            runtime.shutdown_background();
            outcome
        }
        Err(error) => Err(Failure::internal(error)),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure { code, message }) => {
            rt_sys::say_failure(name, &message);
            ExitCode::from(code)
        }
    }
}

/// Messages of the OPC UA library from this level on, and what the program says itself, go to standard error.
pub fn start_log(service: &'static str, level: LevelFilter, security: Security) {
    let mut targets = format!("{level},{}=info", service.replace('-', "_"));
    if security == Security::None {
        // The library complains of a missing certificate even where none is used.
        for target in ["opcua_crypto::certificate_store", "opcua_core::comms::secure_channel", "opcua_server::server"] {
            targets.push_str(&format!(",{target}=off"));
        }
    }
    rt_sys::start_filtered_logging(service, None, &targets);
}

/// Standard output may be closed by a reader that has seen enough: no reason to die.
pub fn print(text: &str) {
    let mut stdout = std::io::stdout().lock();
    let _ = stdout.write_all(text.as_bytes());
    let _ = stdout.flush();
}

/// What ends when the process is asked to end: SIGTERM, SIGINT or, when it is tethered, the end of standard input. The signals
/// count from this call on.
///
/// # Errors
/// The kernel watches for no signals.
pub fn asked_to_end(is_tethered: bool) -> Result<impl Future<Output = ()>, Failure> {
    let handler = |kind| -> Result<Signal, Failure> { signal(kind).map_err(Failure::internal) };
    let (mut terminate, mut interrupt) = (handler(SignalKind::terminate())?, handler(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            () = parent_gone(is_tethered) => {}
        }
    })
}

/// Serves until `asked` ends, then closes the connections in order, as far as they let themselves be closed in time.
///
/// # Errors
/// The server ended by itself.
pub async fn serve_until(
    mut serving: JoinHandle<Result<(), String>>,
    handle: ServerHandle,
    asked: impl Future<Output = ()>,
) -> Result<(), Failure> {
    tokio::select! {
        ended = &mut serving => {
            return Err(Failure::internal(match ended {
                Ok(Ok(())) => "the server ended by itself".to_owned(),
                Ok(Err(reason)) => reason,
                Err(error) => error.to_string(),
            }));
        }
        () = asked => {}
    }
    handle.cancel();
    // A connection that does not end in time is cut off.
    let _ = tokio::time::timeout(FAREWELL, serving).await;
    Ok(())
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
