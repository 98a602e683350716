//! `corerl experiment serve`: an environment for other people's programs.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use clap::{ArgGroup, Args};
use experiment::{Case, Environment};

use super::exit_of;
use crate::failure::{Exit, Failure};

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("what").required(true)))]
pub(super) struct ServeArguments {
    /// The environment, with all options at their defaults.
    #[arg(long, value_name = "NAME", group = "what")]
    environment: Option<String>,
    /// A case file, or the name of a case, whose environment is served.
    #[arg(long, value_name = "FILE|NAME", group = "what")]
    case: Option<String>,
    /// Where to listen for all who come.
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
}

pub(super) fn run(arguments: &ServeArguments) -> Result<Exit, Failure> {
    let environment = chosen(arguments)?;
    environment.build(0).map_err(|error| Failure::new(Exit::BadConfiguration, error))?;
    let served = match &arguments.socket {
        Some(socket) => bridge::listen(socket).and_then(|listener| {
            eprintln!("serving {} on {}", environment.name(), socket.display());
            bridge::serve_all(&listener, &environment)
        }),
        None => bridge::serve(standard_input()?, &environment),
    };
    served.map(|()| Exit::Fine).map_err(|broken| Failure::new(exit_of(&broken), broken))
}

fn chosen(arguments: &ServeArguments) -> Result<plants::Environment, Failure> {
    let ServeArguments { environment, case, .. } = arguments;
    if let Some(name) = environment {
        return plants::Environment::named(name).map_err(|error| Failure::new(Exit::Unavailable, error));
    }
    match Case::load(case.as_deref().unwrap_or_default())?.environment {
        Environment::Plant(environment) => Ok(environment),
        Environment::Remote(_) => {
            let message = "this case's environment is another process's already: use that one, or name one of ours";
            Err(Failure::new(Exit::Usage, message))
        }
    }
}

/// The socket with which somebody has started this process.
fn standard_input() -> Result<UnixStream, Failure> {
    let copy: OwnedFd =
        io::stdin().as_fd().try_clone_to_owned().map_err(|error| Failure::io("standard input fails", &error))?;
    let stream = UnixStream::from(copy);
    match stream.local_addr() {
        Ok(_) => Ok(stream),
        Err(_) => {
            Err(Failure::new(Exit::Usage, "standard input is no Unix socket: say where to listen with --socket PATH"))
        }
    }
}
