//! `corerl config migrate`: a site file for this runtime, made of one for the Python services.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::Args;
use rt_config::{Change, Complaint, Done, Migration, Refused};
use rt_core::setpoint::Rate;
use serde_json::json;

use crate::config::complaint_json;
use crate::failure::{Exit, Failure};
use crate::output::{print_json, print_text};

/// Of a site file that is written over another one: as an editor leaves it.
const SITE_FILE_MODE: u32 = 0o644;

#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  corerl config migrate acid.yaml --out site.yaml --rate PH_SP=0.01\n  \
                  corerl config migrate acid.yaml --json\n\n\
                  Comments and order stay. Keys with the same meaning stay; others are renamed, or become comments that say what to \
                  write instead. Passwords become references. The result is checked as `corerl config check` does.\n\n\
                  Exit codes: 0 the result is fine, 1 something is left to fill in, 2 a rate of no setpoint, or the output is there \
                  already, 69 or 77 a file cannot be read or made, 78 the file is no YAML.")]
pub(crate) struct MigrateArguments {
    /// The site file of the Python services.
    file: PathBuf,
    /// Where to put the new one [default: standard output].
    #[arg(short, long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Overwrite the output.
    #[arg(long, requires = "out")]
    force: bool,
    /// How fast a setpoint may move: engineering units per second, or `unlimited`.
    #[arg(long = "rate", value_name = "SETPOINT=RATE", value_parser = rate)]
    rates: Vec<(String, Rate)>,
    /// Print an object with changes, complaints, and (without --out) the text.
    #[arg(long)]
    json: bool,
}

fn rate(text: &str) -> Result<(String, Rate), String> {
    let (name, rate) = text.rsplit_once('=').ok_or("write SETPOINT=RATE")?;
    let rate = match rate {
        "unlimited" => Rate::Unlimited,
        _ => match rate.parse::<f64>() {
            Ok(per_second) if per_second.is_finite() && per_second > 0.0 => Rate::PerSecond(per_second),
            _ => return Err("a rate is a number above 0, or `unlimited`".to_owned()),
        },
    };
    Ok((name.to_owned(), rate))
}

pub(crate) fn migrate(arguments: &MigrateArguments) -> Result<Exit, Failure> {
    let file = &arguments.file;
    let text = std::fs::read_to_string(file).map_err(|error| match error.kind() {
        std::io::ErrorKind::InvalidData => {
            let message = format!("{} is not UTF-8 text: save it as UTF-8", file.display());
            Failure::new(Exit::BadConfiguration, message)
        }
        _ => Failure::io(format_args!("{} cannot be read", file.display()), &error),
    })?;
    let migration = match rt_config::migrate(&text, file, &arguments.rates) {
        Ok(migration) => migration,
        Err(refused) => return refuse(arguments, &refused),
    };
    complain_of_rates(arguments, &migration)?;
    if let Some(out) = &arguments.out {
        put(out, arguments.force, &migration.text)?;
    }
    // Relative paths of the result are relative to where it is, or will be.
    let place = arguments.out.as_ref().unwrap_or(file);
    let (accepted, complaints) = match rt_config::parse(&migration.text, place) {
        Ok(loaded) => (true, loaded.notices),
        Err(refused) => (false, refused.complaints),
    };
    if arguments.json {
        print_object(arguments, Some(&migration), accepted, &complaints)?;
    } else {
        if arguments.out.is_none() {
            print_text(&migration.text)?;
        }
        say(file, &migration, accepted, &complaints);
    }
    Ok(if accepted { Exit::Fine } else { Exit::CheckFailed })
}

fn refuse(arguments: &MigrateArguments, refused: &Refused) -> Result<Exit, Failure> {
    if arguments.json {
        print_object(arguments, None, false, &refused.complaints)?;
    } else {
        eprintln!("{refused}\n{}: not migrated", arguments.file.display());
    }
    Ok(Exit::BadConfiguration)
}

fn complain_of_rates(arguments: &MigrateArguments, migration: &Migration) -> Result<(), Failure> {
    let setpoints = &migration.setpoints;
    let Some((stranger, _)) = arguments.rates.iter().find(|(name, _)| !setpoints.contains(name)) else { return Ok(()) };
    let message = format!("--rate {stranger}: there is no such setpoint; the file has: {}", setpoints.join(", "));
    Err(Failure::new(Exit::Usage, message))
}

fn put(path: &Path, force: bool, text: &str) -> Result<(), Failure> {
    let written = match force {
        // The old file or the new one, whatever happens on the way.
        true => rt_state::replace(path, SITE_FILE_MODE, text.as_bytes()),
        false => File::create_new(path).and_then(|mut file| file.write_all(text.as_bytes())),
    };
    written.map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => {
            let message = format!("{} is there already: name another file, or give --force", path.display());
            Failure::new(Exit::Usage, message)
        }
        _ => Failure::io(format_args!("{} cannot be made", path.display()), &error),
    })
}

fn print_object(
    arguments: &MigrateArguments,
    migration: Option<&Migration>,
    accepted: bool,
    complaints: &[Complaint],
) -> Result<(), Failure> {
    let change = |Change { line, key, done, remark }: &Change| {
        let line = Some(line).filter(|line| **line > 0);
        json!({ "line": line, "key": key, "done": done.name(), "remark": remark })
    };
    let changes: Vec<_> = migration.iter().flat_map(|migration| &migration.changes).map(change).collect();
    let text = migration.filter(|_| arguments.out.is_none()).map(|migration| &migration.text);
    let out = arguments.out.as_ref().filter(|_| migration.is_some()).map(|out| out.to_string_lossy());
    let complaints: Vec<_> = complaints.iter().map(complaint_json).collect();
    let object = json!({ "ok": accepted, "changes": changes, "complaints": complaints, "out": out, "text": text });
    print_json("corerl.migrate/1", &object)
}

/// What was changed, and what is left to a person.
fn say(file: &Path, migration: &Migration, accepted: bool, complaints: &[Complaint]) {
    for Change { line, key, done, remark } in &migration.changes {
        let done = match done {
            Done::LeftOut => "left out",
            Done::Renamed => "renamed",
            Done::Replaced => "replaced",
            Done::Added => "added",
        };
        match line {
            0 => eprintln!("{}: {done} `{key}`: {remark}", file.display()),
            line => eprintln!("{}:{line}: {done} `{key}`: {remark}", file.display()),
        }
    }
    if accepted {
        eprintln!("the result is fine; it has been checked as `corerl config check` does");
    } else {
        eprintln!("left to do, as `corerl config check` says it of the result:");
    }
    complaints.iter().for_each(|complaint| eprintln!("{complaint}"));
}

#[cfg(test)]
mod tests {
    use super::*;

    const THEIRS: &str = "agent_name: acid
log_path: outputs
coreio: {opc_connections: [{connection_id: plc, opc_conn_url: \"opc.tcp://localhost:4840\"}]}
lab: true
interaction: {obs_period: 00:00:05}
pipeline:
  tags:
    - {name: PH_SP, type: ai_setpoint, node_identifier: ns=2;s=PhSp, operating_range: [6, 8], agg: last}
  reward: {value: \"-{PH_SP}\"}
";

    fn arguments(directory: &Path, rates: &[&str], force: bool) -> MigrateArguments {
        let rates = rates.iter().map(|text| rate(text).expect("a rate")).collect();
        let file = directory.join("acid.yaml");
        MigrateArguments { file, out: Some(directory.join("site.yaml")), force, rates, json: false }
    }

    #[test]
    fn a_rate_is_above_zero_or_unlimited_and_belongs_to_a_name() {
        assert_eq!(rate("PH=SP=0.5"), Ok(("PH=SP".to_owned(), Rate::PerSecond(0.5))));
        assert_eq!(rate("PH_SP=unlimited"), Ok(("PH_SP".to_owned(), Rate::Unlimited)));
        assert!(
            ["PH_SP", "PH_SP=0", "PH_SP=-1", "PH_SP=inf", "PH_SP=NaN", "PH_SP="].iter().all(|text| rate(text).is_err())
        );
    }

    #[test]
    fn the_exit_says_whether_the_result_is_fine_and_nothing_is_overwritten_unasked() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        let exit = |rates: &[&str], force| match migrate(&arguments(path, rates, force)) {
            Ok(exit) => exit,
            Err(failure) => failure.report(),
        };
        assert_eq!(exit(&[], false), Exit::Unavailable);
        std::fs::write(path.join("acid.yaml"), b"\xff").unwrap();
        assert_eq!(exit(&[], false), Exit::BadConfiguration);
        std::fs::write(path.join("acid.yaml"), "a: [").unwrap();
        assert_eq!((exit(&[], false), path.join("site.yaml").exists()), (Exit::BadConfiguration, false));
        std::fs::write(path.join("acid.yaml"), THEIRS).unwrap();
        assert_eq!((exit(&["X=1"], false), path.join("site.yaml").exists()), (Exit::Usage, false));
        assert_eq!(exit(&[], false), Exit::CheckFailed);
        let before = std::fs::read_to_string(path.join("site.yaml")).unwrap();
        assert_eq!(exit(&["PH_SP=0.1"], false), Exit::Usage);
        assert_eq!(std::fs::read_to_string(path.join("site.yaml")).unwrap(), before);
        assert_eq!(exit(&["PH_SP=0.1"], true), Exit::Fine);
        let site = rt_config::load(&path.join("site.yaml")).expect("it is fine").site;
        assert_eq!(site.setpoints[0].settings.limits.run.rate, Rate::PerSecond(0.1));
    }
}
