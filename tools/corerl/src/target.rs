//! Which running agent a command means.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use rt_control::{Address, Client, ConnectError, STANDBY};

use crate::failure::{Exit, Failure};

/// How long the runtime may take for an answer.
pub(crate) const CALL_TIMEOUT: Duration = Duration::from_secs(2);

/// The agent that a command talks with.
#[derive(Clone, Debug, Args)]
pub(crate) struct Target {
    /// The agent as SITE/AGENT or SITE/AGENT@INSTANCE, with ~standby behind it for the runtime that stands by; may be left out
    /// while only one is running.
    #[arg(long, value_name = "SITE/AGENT")]
    pub(crate) agent: Option<String>,
    #[command(flatten)]
    pub(crate) directory: Directory,
}

/// Where agents' sockets are.
#[derive(Clone, Debug, Args)]
pub(crate) struct Directory {
    /// Directory of the control sockets [default: CORERL_RUNTIME_DIR, /run/corerl, or the user's runtime directory].
    #[arg(long, value_name = "DIR")]
    pub(crate) runtime_dir: Option<PathBuf>,
}

impl Directory {
    pub(crate) fn path(&self) -> PathBuf {
        self.runtime_dir.clone().unwrap_or_else(rt_control::default_runtime_dir)
    }

    /// All control sockets, whether somebody listens there or not.
    pub(crate) fn addresses(&self) -> Result<Vec<Address>, Failure> {
        let path = self.path();
        rt_control::list(&path)
            .map_err(|error| Failure::io(format_args!("cannot read the runtime directory {}", path.display()), &error))
    }

    /// All agents that answer, with those sockets that nobody listens on left out.
    pub(crate) fn running(&self) -> Result<Vec<(Address, Client)>, Failure> {
        let mut running = Vec::new();
        for address in self.addresses()? {
            match Client::connect(&address, CALL_TIMEOUT) {
                Ok(client) => running.push((address, client)),
                Err(ConnectError::NotRunning { .. }) => {}
                Err(error) => eprintln!("warning: {}: {error}", address.label()),
            }
        }
        Ok(running)
    }
}

impl Target {
    /// Connects to the agent that was named, or to the only one there is.
    pub(crate) fn connect(&self) -> Result<(Address, Client), Failure> {
        match &self.agent {
            Some(label) => {
                let address = self.named(label)?;
                let client = Client::connect(&address, CALL_TIMEOUT)?;
                Ok((address, client))
            }
            None => self.only_one(),
        }
    }

    /// Where the runtime listens that stands by for the agent that was named, or for the only one there is.
    pub(crate) fn standby(&self) -> Result<Address, Failure> {
        match &self.agent {
            Some(label) => Ok(self.named(label)?.standby()),
            None => Ok(self.only_one()?.0.standby()),
        }
    }

    fn named(&self, label: &str) -> Result<Address, Failure> {
        let (leader, standby) = label.strip_suffix(STANDBY).map_or((label, false), |leader| (leader, true));
        let address = address(&self.directory.path(), leader)?;
        Ok(if standby { address.standby() } else { address })
    }

    fn only_one(&self) -> Result<(Address, Client), Failure> {
        let mut running = self.directory.running()?;
        running.retain(|(address, _)| !address.is_standby());
        match (running.pop(), running.is_empty()) {
            (Some(found), true) => Ok(found),
            (Some((last, _)), false) => {
                let labels = running.iter().map(|(address, _)| address.label()).chain([last.label()]);
                let labels = labels.collect::<Vec<_>>().join(", ");
                Err(Failure::new(
                    Exit::Unavailable,
                    format_args!("several agents are running ({labels}): name one with --agent"),
                ))
            }
            (None, _) => Err(Failure::new(
                Exit::Unavailable,
                format_args!(
                    "no runtime is listening below {}: start one with `corerl run`, or name its directory with --runtime-dir",
                    self.directory.path().display()
                ),
            )),
        }
    }
}

/// Where the agent listens that is called `SITE/AGENT[@INSTANCE]`.
pub(crate) fn address(runtime_dir: &Path, label: &str) -> Result<Address, Failure> {
    let (site, agent, instance) = parse_label(label)?;
    Address::new(runtime_dir, site, agent, instance).map_err(|error| Failure::new(Exit::BadConfiguration, error))
}

/// Site, agent and instance of `SITE/AGENT[@INSTANCE]`.
fn parse_label(label: &str) -> Result<(&str, &str, &str), Failure> {
    let (site, rest) = label.split_once('/').ok_or_else(|| {
        Failure::new(
            Exit::BadConfiguration,
            format_args!("`{label}` does not name an agent: write SITE/AGENT or SITE/AGENT@INSTANCE"),
        )
    })?;
    let (agent, instance) = rest.split_once('@').unwrap_or((rest, "main"));
    Ok((site, agent, instance))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn below(runtime_dir: &std::path::Path) -> Target {
        Target { agent: None, directory: Directory { runtime_dir: Some(runtime_dir.into()) } }
    }

    #[test]
    fn a_label_names_site_agent_and_perhaps_an_instance() {
        assert_eq!(parse_label("works/ph").unwrap(), ("works", "ph", "main"));
        assert_eq!(parse_label("works/ph@blue").unwrap(), ("works", "ph", "blue"));
        assert_eq!(parse_label("ph").unwrap_err().report(), Exit::BadConfiguration);
    }

    #[test]
    fn the_only_running_agent_needs_no_name_and_two_need_one() {
        let directory = tempfile::tempdir().unwrap();
        let target = below(directory.path());
        assert_eq!(target.connect().unwrap_err().report(), Exit::Unavailable);
        let bind =
            |agent| rt_control::Server::bind(&Address::new(directory.path(), "works", agent, "main").unwrap()).unwrap();
        let first = bind("ph");
        assert_eq!(target.connect().unwrap().0.label(), "works/ph");
        let _second = bind("flow");
        assert_eq!(target.connect().unwrap_err().report(), Exit::Unavailable);
        let named = Target { agent: Some("works/flow".into()), ..target.clone() };
        assert_eq!(named.connect().unwrap().0.label(), "works/flow");
        drop(first);
        assert_eq!(target.connect().unwrap().0.label(), "works/flow");
        let _standby = bind("flow");
        assert_eq!(target.connect().unwrap().0.label(), "works/flow", "whoever stands by is meant by name only");
        let named = Target { agent: Some("works/flow~standby".into()), ..target.clone() };
        assert_eq!(named.connect().unwrap().0.label(), "works/flow~standby");
        assert_eq!(target.standby().unwrap(), named.standby().unwrap());
    }
}
