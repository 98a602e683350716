//! The command line.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use ua_host::{HostArguments, Security};

/// Shows running agents to any OPC UA client, and lets nobody change anything.
#[derive(Debug, Parser)]
#[command(
    name = "corerl-ua-server",
    version,
    after_help = "Examples:\n  corerl-ua-server --listen 0.0.0.0 --host plc-gateway --user scada --password-file password\n  \
                  corerl-ua-server --lab --agent works/ph\n\n\
                  Every agent has a folder below Objects, `nsu=urn:corerl:runtime;s=SITE/AGENT`, with Mode, Heartbeat, Reward, \
                  PolicyVersion and LostSlots, and one per setpoint in it with SetpointRaw (what policy or fallback asked for), \
                  Setpoint (what the envelope let through), Clamped and Bounds. Run it as the runtime's user, or as one of \
                  `runtime.operators`. A client's certificate is trusted by moving it from rejected/ to trusted/ below --pki."
)]
pub(crate) struct Args {
    /// Directory of the control sockets [default: CORERL_RUNTIME_DIR, /run/corerl, or the user's runtime directory].
    #[arg(long, value_name = "DIR")]
    pub(crate) runtime_dir: Option<PathBuf>,

    /// Show this agent alone; may be repeated. Without it, all that are found.
    #[arg(long = "agent", value_name = "SITE/AGENT")]
    pub(crate) agents: Vec<String>,

    /// Seconds between two looks.
    #[arg(long, value_name = "S", default_value = "1", value_parser = pause)]
    pub(crate) every: Duration,

    /// The address to listen on; 0.0.0.0 for all of this machine.
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    pub(crate) listen: IpAddr,

    /// The name under which clients reach this machine [default: the address].
    #[arg(long, value_name = "NAME")]
    pub(crate) host: Option<String>,

    /// The TCP port; 0 takes a free one and says which.
    #[arg(long, default_value_t = 4841)]
    pub(crate) port: u16,

    /// Let clients in in clear, and without the names of certificates: for the lab.
    #[arg(long)]
    pub(crate) lab: bool,

    /// Directory of the server's certificate and key, and of the clients' certificates (trusted/, rejected/).
    #[arg(long, default_value = "ua-server-pki")]
    pub(crate) pki: PathBuf,

    /// Print data as JSON.
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) host_arguments: HostArguments,
}

impl Args {
    pub(crate) fn security(&self) -> Security {
        if self.lab { Security::None } else { Security::Encrypt }
    }

    pub(crate) fn host(&self) -> String {
        self.host.clone().unwrap_or_else(|| self.listen.to_string())
    }

    pub(crate) fn runtime_dir(&self) -> PathBuf {
        self.runtime_dir.clone().unwrap_or_else(rt_control::default_runtime_dir)
    }
}

fn pause(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| format!("{text} is no number"))?;
    if (0.05..=3600.0).contains(&seconds) {
        Ok(Duration::from_secs_f64(seconds))
    } else {
        Err("from 0.05 to 3600 seconds".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_encrypts_unless_it_is_a_lab() {
        let args = |words: &[&str]| Args::try_parse_from([&["corerl-ua-server"], words].concat()).unwrap();
        assert_eq!(args(&[]).security(), Security::Encrypt);
        assert_eq!(args(&["--lab"]).security(), Security::None);
    }

    #[test]
    fn a_pause_is_neither_nothing_nor_a_day() {
        assert_eq!(pause("0.5"), Ok(Duration::from_millis(500)));
        assert!(["0", "-1", "nan", "86400", "x"].iter().all(|text| pause(text).is_err()));
    }
}
