//! `corerl run`: the foreground parent of one runtime and one learner.
//!
//! The parent holds the other end of its children's standard input: when it dies, however it dies, they end. It is no
//! part of the control path; all it does while they run is to look after them and to print a line now and then. While its
//! runtime stands by for another one, there is no learner: the agent has one, at the runtime that leads.

mod children;
mod progress;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use rt_control::{Address, CallError, Client};
use rt_sys::{Lifeline, Signal, Wake};

use crate::failure::{Exit, Failure};
use crate::target::Directory;
use children::{Backoff, Child, Patience, stop_in_order};
use progress::Progress;

/// How often the parent looks after its children.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How often the runtime is asked whether it leads.
const ASK_EVERY: Duration = Duration::from_millis(500);
/// How long the runtime may take until its control socket answers.
const START_TIMEOUT: Duration = Duration::from_secs(20);

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  corerl run --config site.yaml --arm\n  \
                        corerl run --config site.yaml --record site.rec    then: corerl replay site.rec\n\n\
                        Ctrl-C or SIGTERM stops learner and runtime in order: no ramp, the last setpoints stay, the plant \
                        heartbeat ends.\nThe exit code is the runtime's when it ends by itself.")]
pub(crate) struct RunArguments {
    /// The site file.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Arm at once: let the policy write as soon as all conditions are met.
    #[arg(long)]
    arm: bool,
    /// Run without a learner; the policy stays as it is.
    #[arg(long)]
    no_learner: bool,
    #[command(flatten)]
    directory: Directory,
    /// Keep every input and output of every cycle, for `corerl replay FILE`. Older files are called FILE.1, FILE.2 …
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// All files of the recording together have about this size at most, in MiB; the oldest go first [default: 1024].
    #[arg(long, value_name = "MIB", requires = "record")]
    record_mib: Option<u64>,
    /// Directory of the learner's checkpoints [default: `checkpoints` beside the site file].
    #[arg(long, value_name = "DIR")]
    checkpoint_dir: Option<PathBuf>,
    /// Directory of corerl-rt and corerl-learner [default: this program's own, then PATH].
    #[arg(long, value_name = "DIR")]
    programs: Option<PathBuf>,
    /// End when standard input ends.
    #[arg(long)]
    tether: bool,
}

pub(crate) fn run(arguments: &RunArguments) -> Result<Exit, Failure> {
    // First, while there is only one thread: all others inherit the blocked signals.
    let lifeline = Lifeline::new(arguments.tether).map_err(|error| Failure::io("cannot watch for signals", &error))?;
    let site = load_site(&arguments.config)?;
    let runtime_dir = arguments.directory.path();
    let address = Address::new(&runtime_dir, &site.name, &site.agent_name, &site.instance)
        .map_err(|error| Failure::new(Exit::BadConfiguration, error))?;
    let commands = Commands::new(arguments, &runtime_dir)?;
    rt_control::remove_leftovers(&address);

    let mut family = Family { runtime: Child::start(&commands.runtime)?, learner: None };
    let ended = wait_until_it_answers(&mut family.runtime, &address, &lifeline)
        .and_then(|()| attend(&mut family, &commands, &address, &lifeline));
    let Family { runtime, learner } = family;
    stop_in_order(learner, runtime, Patience::PROMISED, &lifeline);
    rt_control::remove_leftovers(&address);
    match ended {
        Err(Ended::Asked(why)) => {
            eprintln!("stopped: {why}");
            Ok(Exit::Fine)
        }
        Err(Ended::ByItself(exit, what)) if exit == Exit::Fine => {
            eprintln!("{what}");
            Ok(exit)
        }
        Err(Ended::ByItself(exit, what)) => Err(Failure::new(exit, what)),
        Err(Ended::Failed(failure)) => Err(failure),
        Ok(never) => match never {},
    }
}

/// The site; what is wrong with it is printed. Notices are left to the runtime, which reads the same file.
pub(crate) fn load_site(path: &Path) -> Result<rt_config::Site, Failure> {
    match rt_config::load(path) {
        Ok(loaded) => Ok(loaded.site),
        Err(refused) => {
            eprintln!("{refused}");
            Err(Failure::new(Exit::BadConfiguration, format_args!("{} is refused", path.display())))
        }
    }
}

/// The children's command lines.
struct Commands {
    runtime: Vec<std::ffi::OsString>,
    learner: Option<Vec<std::ffi::OsString>>,
}

impl Commands {
    fn new(arguments: &RunArguments, runtime_dir: &Path) -> Result<Self, Failure> {
        let program = |name: &str| {
            find_program(arguments.programs.as_deref(), name).map(PathBuf::into_os_string).ok_or_else(|| {
                let place = "beside this program or in PATH (or name its directory with --programs)";
                Failure::new(Exit::Unavailable, format_args!("`{name}` was not found {place}"))
            })
        };
        let mut runtime = vec![program("corerl-rt")?, "--config".into(), arguments.config.clone().into()];
        runtime.extend(["--runtime-dir".into(), runtime_dir.into(), "--tether".into()]);
        if arguments.arm {
            runtime.push("--arm".into());
        }
        if let Some(path) = &arguments.record {
            runtime.extend(["--record".into(), path.into()]);
        }
        if let Some(mib) = arguments.record_mib {
            runtime.extend(["--record-mib".into(), mib.to_string().into()]);
        }
        if arguments.no_learner {
            return Ok(Self { runtime, learner: None });
        }
        let checkpoints = arguments
            .checkpoint_dir
            .clone()
            .unwrap_or_else(|| arguments.config.parent().unwrap_or(Path::new("")).join("checkpoints"));
        let mut learner = vec![program("corerl-learner")?, "--config".into(), arguments.config.clone().into()];
        learner.extend(["--runtime-dir".into(), runtime_dir.into()]);
        learner.extend(["--checkpoint-dir".into(), checkpoints.into(), "--tether".into()]);
        Ok(Self { runtime, learner: Some(learner) })
    }
}

/// The program's path: in `directory` if one is named, else beside this program, else in PATH.
pub(crate) fn find_program(directory: Option<&Path>, name: &str) -> Option<PathBuf> {
    let in_directory = |directory: &Path| Some(directory.join(name)).filter(|path| path.is_file());
    if let Some(directory) = directory {
        return in_directory(directory);
    }
    let beside = std::env::current_exe().ok().and_then(|own| in_directory(own.parent()?));
    beside.or_else(|| std::env::split_paths(&std::env::var_os("PATH")?).find_map(|directory| in_directory(&directory)))
}

struct Family {
    runtime: Child,
    learner: Option<Child>,
}

/// Why there is nothing more to attend to.
enum Ended {
    /// A person, the service manager or the parent asked for it.
    Asked(String),
    /// The runtime ended by itself.
    ByItself(Exit, String),
    /// The parent cannot go on.
    Failed(Failure),
}

enum Never {}

/// Whether the runtime still lives and nobody asked to stop.
fn look(runtime: &mut Child, lifeline: &Lifeline, patience: Duration) -> Result<(), Ended> {
    match lifeline.wait(patience) {
        Wake::ParentGone => return Err(Ended::Asked("the parent closed our standard input".into())),
        Wake::Signal(signal) if signal.asks_to_stop() => return Err(Ended::Asked(signal.name().into())),
        Wake::Signal(Signal::HangUp) => eprintln!("SIGHUP reloads nothing: stop and start to read the site file again"),
        Wake::Signal(_) | Wake::Quiet => {}
    }
    match runtime.ended() {
        Some(how) => Err(Ended::ByItself(how.exit(), format!("the runtime {how}"))),
        None => Ok(()),
    }
}

/// What the runtime is to the agent's plant.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Leads,
    StandsBy,
}

/// The place of process `pid`, once it has one. A runtime that is too busy to say who it is counts as ours.
fn place_of(pid: u32, address: &Address) -> Option<Place> {
    let found = |address: &Address| Client::connect(address, LOOK_EVERY)?.describe().map(|of| of.pid);
    match found(address) {
        Ok(leader) if leader == pid => return Some(Place::Leads),
        Err(CallError::TimedOut(_)) => return Some(Place::Leads),
        _ => {}
    }
    found(&address.standby()).is_ok_and(|standby| standby == pid).then_some(Place::StandsBy)
}

fn wait_until_it_answers(runtime: &mut Child, address: &Address, lifeline: &Lifeline) -> Result<(), Ended> {
    let deadline = Instant::now() + START_TIMEOUT;
    while place_of(runtime.pid(), address).is_none() {
        look(runtime, lifeline, LOOK_EVERY)?;
        if Instant::now() > deadline {
            let message = format!("the runtime did not open {} within {START_TIMEOUT:?}", address.socket().display());
            return Err(Ended::Failed(Failure::new(Exit::Internal, message)));
        }
    }
    Ok(())
}

/// Looks after the children until there is a reason to stop.
fn attend(family: &mut Family, commands: &Commands, address: &Address, lifeline: &Lifeline) -> Result<Never, Ended> {
    let mut backoff = Backoff::new();
    let mut progress = Progress::new(address);
    let (mut place, mut asked) = (None, Instant::now());
    loop {
        if place.is_none() || asked.elapsed() >= ASK_EVERY {
            asked = Instant::now();
            let now = place_of(family.runtime.pid(), address).or(place);
            if now != place && now == Some(Place::StandsBy) {
                eprintln!("another runtime of this agent leads: this one stands by, without a learner");
            }
            place = now;
        }
        look(&mut family.runtime, lifeline, LOOK_EVERY)?;
        if place == Some(Place::StandsBy) {
            send_learner_away(&mut family.learner, &mut backoff);
            continue;
        }
        if let Some(command) = &commands.learner {
            look_after_learner(&mut family.learner, command, &mut backoff)?;
        }
        progress.show_when_due();
    }
}

/// The learner of a runtime that has lost the lease would only follow the agent to the one that leads.
fn send_learner_away(learner: &mut Option<Child>, backoff: &mut Backoff) {
    if let Some(child) = learner {
        match child.ended() {
            Some(_) => (*learner, *backoff) = (None, Backoff::new()),
            None => child.send_away("the learner", Patience::PROMISED.all),
        }
    }
}

fn look_after_learner(
    learner: &mut Option<Child>,
    command: &[std::ffi::OsString],
    backoff: &mut Backoff,
) -> Result<(), Ended> {
    if let Some(child) = learner {
        let Some(how) = child.ended() else { return Ok(()) };
        let pause = backoff.after(child.age(), how.exit());
        match pause {
            Some(pause) => eprintln!("the learner {how}; the policy stays, and it is started again in {pause:?}"),
            None => eprintln!("the learner {how}; the policy stays, and the learner is not started again"),
        }
        *learner = None;
    }
    if backoff.is_due() {
        *learner = Some(Child::start(command).map_err(Ended::Failed)?);
        backoff.started();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_found_in_the_directory_that_is_named_and_nowhere_else_then() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(find_program(Some(directory.path()), "sh"), None);
        std::fs::write(directory.path().join("sh"), "").unwrap();
        assert_eq!(find_program(Some(directory.path()), "sh"), Some(directory.path().join("sh")));
        assert!(find_program(None, "sh").is_some(), "PATH has a shell");
        assert_eq!(find_program(None, "no such program"), None);
    }
}
