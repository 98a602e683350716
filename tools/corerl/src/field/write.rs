//! `corerl io write`: setpoints by hand.
//!
//! The program is the writer for as long as it takes, in the place of a runtime: it takes the lease as a second runtime of the
//! agent would, moves through the envelope step by step, and goes away. The other way, a command that a disarmed runtime
//! carries out in its control thread, would have given SHADOW a case in which it writes.

use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use rt_config::{Setpoint, Site};
use rt_control::Address;
use rt_core::envelope::Acted;
use rt_daemon::{Hand, HandError, Prospect, Wish};
use rt_state::audit::{AppendError, Entry, Log, utc};
use serde::Serialize;

use crate::failure::{Exit, Failure};
use crate::output::{print_json, print_text, table};
use crate::target::Directory;

/// How often the way is told of while it lasts.
const TELL_EVERY: Duration = Duration::from_secs(1);
/// The modes in which a runtime writes.
const WRITING_MODES: [&str; 3] = ["run", "hold", "fallback"];

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  corerl io write PH_SP=7.1 --config site.yaml\n  \
                        corerl io write PH_SP=7.1 FLOW_SP=12 --cause 'tuning of the pump' --yes --config site.yaml\n\n\
                        Each setpoint moves from what the plant shows, at the rate and inside the range that the site file gives the \
                        policy, and its interlocks hold. Nothing is written while a runtime of the agent is armed: `corerl agent \
                        disarm` first; it goes on when this is done, disarmed. Run it as the runtime's user.\n\n\
                        Exit codes: 0 the plant shows what was to be written, 1 it does not, or nothing was written, 2 nobody was \
                        there to confirm, 69 no server, 75 a runtime or another machine has the plant, 77 no permission, 78 no such \
                        setpoint.")]
pub(super) struct WriteArguments {
    /// Setpoints of the site file and their new values, engineering units.
    #[arg(value_name = "TAG=VALUE", required = true, value_parser = assignment)]
    values: Vec<Assignment>,
    /// The site file that has the setpoints, with their limits.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    #[command(flatten)]
    directory: Directory,
    /// Why, in your words; recorded with your user id.
    #[arg(long, value_name = "TEXT", default_value = "command line")]
    cause: String,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// A setpoint's new value, as a person wrote it.
#[derive(Clone, Debug, PartialEq)]
struct Assignment {
    tag: String,
    value: f64,
}

fn assignment(text: &str) -> Result<Assignment, String> {
    let (tag, value) = text.rsplit_once('=').ok_or("write TAG=VALUE")?;
    let value: f64 = value.parse().map_err(|_| format!("`{value}` is no number"))?;
    if value.is_finite() {
        Ok(Assignment { tag: tag.to_owned(), value })
    } else {
        Err("not a finite number".to_owned())
    }
}

pub(super) fn run(arguments: &WriteArguments) -> Result<Exit, Failure> {
    let site = crate::run::load_site(&arguments.config)?;
    let runtime_dir = arguments.directory.path();
    let address = Address::new(&runtime_dir, &site.name, &site.agent_name, &site.instance)
        .map_err(|error| Failure::new(Exit::BadConfiguration, error))?;
    let state_dir = refuse_while_armed(&arguments.directory, &site)?;
    let (site, audit) = rt_daemon::site_in_force(&arguments.config, state_dir.as_deref()).map_err(misfit)?;
    let wishes = wishes(&site, &arguments.values)?;
    let mut hand = Hand::new(&site, &wishes).map_err(misfit)?;
    hand.look().map_err(|error| stopped(&error))?;
    let prospects = hand.prospects().map_err(|error| stopped(&error))?;
    eprint!("{}", table(&rows(&prospects)));
    refuse_held(&prospects)?;
    if !arguments.yes && !confirmed()? {
        eprintln!("nothing was written");
        return Ok(Exit::CheckFailed);
    }
    let record = Records::new(audit, &arguments.cause);
    hand.take(&address, &record.cause).map_err(|error| stopped(&error))?;
    record.append(&intended(&prospects))?;
    let moved = carry_out(&mut hand);
    let after = hand.prospects().unwrap_or_default();
    let moved = moved.map_err(|error| stopped(&error)).and_then(|()| refuse_elsewhere(&prospects, &after));
    let outcome = match &moved {
        Ok(()) => "done".to_owned(),
        Err(failure) => format!("not done: {failure}"),
    };
    let steps = hand.steps();
    // Whoever had the plant before has it again, whatever the disk says of the rest.
    drop(hand);
    let told = Told { written: after, steps, outcome };
    record.append(&told.in_a_line())?;
    told.tell(&prospects, arguments.json)?;
    moved.map(|()| Exit::Fine)
}

/// No runtime of this agent may be about to write, whichever instance it is; where the running one keeps its state.
fn refuse_while_armed(directory: &Directory, site: &Site) -> Result<Option<PathBuf>, Failure> {
    let mut state_dir = None;
    for (address, mut client) in directory.running()? {
        let of = client.describe()?;
        if (of.site.as_str(), of.agent.as_str()) != (site.name.as_str(), site.agent_name.as_str()) {
            continue;
        }
        let status = client.status()?;
        if status.armed || WRITING_MODES.contains(&status.mode.as_str()) {
            let armed = if status.armed { "armed" } else { "not armed" };
            let message = format!(
                "{} is {armed} and in mode {}: `corerl agent disarm` first, and write then",
                address.label(),
                status.mode
            );
            return Err(Failure::new(Exit::Temporary, message));
        }
        if of.instance == site.instance {
            state_dir = Path::new(&status.audit.path).parent().map(Path::to_owned);
        }
    }
    Ok(state_dir)
}

fn wishes(site: &Site, values: &[Assignment]) -> Result<Vec<Wish>, Failure> {
    let name = |of: &Setpoint| site.tags.get(of.tag.index()).map_or("", |tag| tag.name.as_str());
    let names: Vec<_> = site.setpoints.iter().map(name).collect();
    let refused = |message: String| Failure::new(Exit::BadConfiguration, message);
    let mut wishes: Vec<Wish> = Vec::new();
    for Assignment { tag, value } in values {
        let setpoint = names
            .iter()
            .position(|name| name == tag)
            .ok_or_else(|| refused(format!("`{tag}` is no setpoint of this site, which has: {}", names.join(", "))))?;
        if wishes.iter().any(|wish| wish.setpoint == setpoint) {
            return Err(refused(format!("`{tag}` has two values: write one")));
        }
        wishes.push(Wish { setpoint, value: *value });
    }
    Ok(wishes)
}

/// A value that an interlock holds is nobody's to move.
fn refuse_held(prospects: &[Prospect]) -> Result<(), Failure> {
    let held = prospects.iter().find(|of| of.acted.contains(Acted::INTERLOCK));
    held.map_or(Ok(()), |of| {
        let message = format!("an interlock holds {} at {}: nothing was written", of.tag, of.goal);
        Err(Failure::new(Exit::CheckFailed, message))
    })
}

/// An interlock may have tripped on the way.
fn refuse_elsewhere(before: &[Prospect], after: &[Prospect]) -> Result<(), Failure> {
    let elsewhere = before.iter().zip(after).find(|(before, after)| after.present != before.goal);
    elsewhere.map_or(Ok(()), |(before, after)| {
        let message =
            format!("{} stays at {} and not at {}: an interlock tripped", after.tag, after.present, before.goal);
        Err(Failure::new(Exit::CheckFailed, message))
    })
}

fn confirmed() -> Result<bool, Failure> {
    if !std::io::stdin().is_terminal() {
        let message = "nobody is there to confirm: standard input is no terminal; write --yes to do without";
        return Err(Failure::new(Exit::Usage, message));
    }
    eprint!("write? [y/N] ");
    let failed = |error| Failure::io("the terminal", &error);
    std::io::stderr().flush().map_err(failed)?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer).map_err(failed)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// Steps until the plant shows every value where it shall be.
fn carry_out(hand: &mut Hand) -> Result<(), HandError> {
    let mut told = Instant::now();
    while !hand.step()? {
        if told.elapsed() >= TELL_EVERY {
            told = Instant::now();
            let way = |of: &Prospect| format!("{} {} of {}", of.tag, of.present, of.goal);
            eprintln!("{}", hand.prospects()?.iter().map(way).collect::<Vec<_>>().join(", "));
        }
    }
    Ok(())
}

/// What the envelope makes of a wish, for people.
fn remark(of: &Prospect) -> String {
    let mut parts = Vec::new();
    if of.acted.contains(Acted::INTERLOCK) {
        parts.push("held by an interlock".to_owned());
    }
    if of.acted.contains(Acted::RANGE) {
        parts.push("limited to the range".to_owned());
    }
    if of.acted.contains(Acted::ROUNDED) {
        parts.push("rounded to what the node holds".to_owned());
    }
    if of.takes >= Duration::from_millis(100) {
        parts.push(format!("takes {:.1} s at its rate", of.takes.as_secs_f64()));
    }
    parts.join(", ")
}

fn rows(prospects: &[Prospect]) -> Vec<[String; 6]> {
    let heading = ["tag", "unit", "present", "asked for", "to be written", ""].map(str::to_owned);
    let row = |of: &Prospect| {
        let [present, wanted, goal] = [of.present, of.wanted, of.goal].map(|value| value.to_string());
        [of.tag.clone(), of.unit.clone(), present, wanted, goal, remark(of)]
    };
    std::iter::once(heading).chain(prospects.iter().map(row)).collect()
}

fn intended(prospects: &[Prospect]) -> String {
    let way = |of: &Prospect| format!("{} from {} to {} (asked for {})", of.tag, of.present, of.goal, of.wanted);
    prospects.iter().map(way).collect::<Vec<_>>().join(", ")
}

/// What has become of it.
struct Told {
    written: Vec<Prospect>,
    steps: u64,
    outcome: String,
}

impl Told {
    fn in_a_line(&self) -> String {
        let shown = |of: &Prospect| format!("{} is {}", of.tag, of.present);
        let parts = std::iter::once(self.outcome.clone()).chain(self.written.iter().map(shown));
        parts.collect::<Vec<_>>().join(", ")
    }

    fn tell(&self, before: &[Prospect], json: bool) -> Result<(), Failure> {
        #[derive(Serialize)]
        struct Setpoint<'a> {
            tag: &'a str,
            unit: &'a str,
            before: f64,
            wanted: f64,
            goal: f64,
            shown: Option<f64>,
            remark: String,
        }
        #[derive(Serialize)]
        struct Written<'a> {
            outcome: &'a str,
            steps: u64,
            setpoints: Vec<Setpoint<'a>>,
        }
        let shown = |tag: &str| self.written.iter().find(|of| of.tag == tag).map(|of| of.present);
        if !json {
            let line = |of: &Prospect| {
                let shown = shown(&of.tag).map_or_else(|| "not known".to_owned(), |value| value.to_string());
                format!("{} {} -> {shown} {}", of.tag, of.present, of.unit).trim_end().to_owned() + "\n"
            };
            return print_text(&before.iter().map(line).collect::<String>());
        }
        let setpoints = before.iter().map(|of| Setpoint {
            tag: &of.tag,
            unit: &of.unit,
            before: of.present,
            wanted: of.wanted,
            goal: of.goal,
            shown: shown(&of.tag),
            remark: remark(of),
        });
        let written = Written { outcome: &self.outcome, steps: self.steps, setpoints: setpoints.collect() };
        print_json("corerl.write/1", &written)
    }
}

/// Who wrote what: in the agent's audit log, beside whatever its runtime records.
struct Records {
    path: PathBuf,
    uid: u32,
    cause: String,
}

impl Records {
    fn new(path: PathBuf, cause: &str) -> Self {
        Self { path, uid: rustix::process::getuid().as_raw(), cause: format!("io write: {cause}") }
    }

    /// What cannot be recorded is not done.
    fn append(&self, what: &str) -> Result<(), Failure> {
        let pid = std::process::id();
        let entry = Entry {
            time: utc(rt_sys::unix_time().as_ns()),
            runtime: pid,
            what: "write_by_hand".to_owned(),
            uid: Some(self.uid),
            pid: Some(pid),
            text: format!("{what}; {}", self.cause),
            ..Entry::default()
        };
        let appended = Log::at(self.path.clone()).append(&entry).map_err(|error| match &error {
            AppendError::Io { source, .. } if source.kind() == std::io::ErrorKind::PermissionDenied => {
                Failure::new(Exit::NoPermission, format_args!("{error}; write as the runtime's user"))
            }
            _ => Failure::new(Exit::Temporary, &error),
        })?;
        if let Some(aside) = appended.set_aside {
            eprintln!(
                "warning: the audit log was not what was written ({}); it is {}",
                aside.fault,
                aside.path.display()
            );
        }
        Ok(())
    }
}

fn misfit(failure: rt_daemon::Failure) -> Failure {
    let exit = match &failure {
        rt_daemon::Failure::Config(_) => Exit::BadConfiguration,
        rt_daemon::Failure::Resource { .. } => Exit::Unavailable,
        _ => Exit::Internal,
    };
    Failure::new(exit, &failure)
}

fn stopped(error: &HandError) -> Failure {
    let exit = match error {
        HandError::Unreachable { .. } | HandError::Lost { .. } | HandError::NotKnown { .. } => Exit::Unavailable,
        HandError::Armed | HandError::Busy(_) | HandError::Call(_) | HandError::Claimed { .. } => Exit::Temporary,
        HandError::OtherUser { .. } | HandError::Address(_) => Exit::NoPermission,
        HandError::Lease(_) | HandError::Ousted { .. } => Exit::Temporary,
        HandError::ClaimRefused { .. } => Exit::Unavailable,
        HandError::Withheld { .. }
        | HandError::Refused { .. }
        | HandError::Foreign { .. }
        | HandError::Ignored { .. } => Exit::CheckFailed,
    };
    Failure::new(exit, error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_a_finite_number_behind_the_tag_s_name() {
        assert_eq!(assignment("PH_SP=7.1"), Ok(Assignment { tag: "PH_SP".to_owned(), value: 7.1 }));
        assert!(["PH_SP", "PH_SP=", "PH_SP=x", "PH_SP=nan", "PH_SP=inf"].iter().all(|text| assignment(text).is_err()));
    }

    #[test]
    fn only_setpoints_can_be_named_and_each_once() {
        let site =
            rt_config::parse(rt_config::example(), Path::new("example.yaml")).expect("the example is valid").site;
        let asked = |tags: &[&str]| {
            let values: Vec<_> = tags.iter().map(|tag| Assignment { tag: (*tag).to_owned(), value: 1.0 }).collect();
            wishes(&site, &values)
        };
        let setpoint = site.tags[site.setpoints[0].tag.index()].name.as_str();
        let measured = site.tags.iter().find(|tag| tag.kind == rt_config::TagKind::Default).expect("a measured tag");
        assert_eq!(asked(&[setpoint]).expect("a setpoint"), [Wish { setpoint: 0, value: 1.0 }]);
        assert_eq!(asked(&[&measured.name]).unwrap_err().report(), Exit::BadConfiguration);
        assert_eq!(asked(&[setpoint, setpoint]).unwrap_err().report(), Exit::BadConfiguration);
    }
}
