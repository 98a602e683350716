//! The command line: what a person types, and nothing that depends on the server.

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use ua_host::{HostArguments, Security};

/// The shortest step: the resolution of the asynchronous runtime's timer.
const STEP_MIN: Duration = Duration::from_millis(1);

/// The longest step; a longer one is a typing error.
const STEP_MAX: Duration = Duration::from_secs(3600);

/// A simulated plant behind a real OPC UA server, on this machine's loopback interface only.
#[derive(Debug, Parser)]
#[command(
    name = "corerl-plant",
    version,
    after_help = "Examples:\n  \
        corerl-plant --plant saturation --port 4840 --step 10ms\n  \
        corerl-plant --plant three_tanks --port 0 --json --tether\n  \
        corerl-plant --plant saturation --list\n  \
        corerl-plant --plant saturation --port 4840 --security encrypt --pki plant-pki\n  \
        corerl-plant --plant saturation --port 4840 --faults plant.faults\n    \
          then: echo '{\"do\": \"nan\", \"node\": \"level\"}' | socat - UNIX-CONNECT:plant.faults"
)]
pub(crate) struct Args {
    /// The plant: saturation, multi_action_saturation or three_tanks.
    #[arg(long, default_value = "saturation")]
    pub(crate) plant: String,

    /// The TCP port; 0 takes a free one and says which.
    #[arg(long, default_value_t = 4840)]
    pub(crate) port: u16,

    /// Time between two steps of the plant, 1ms to 3600s.
    #[arg(long, default_value = "10ms", value_parser = parse_step)]
    pub(crate) step: Duration,

    /// The plant's own logic takes the inputs over when the heartbeat stands still for this long, 1ms to 3600s, and at the
    /// start; a controller that beats has them again after a write of true to Rearm. Without it they are always a controller's.
    #[arg(long, value_name = "TIME", value_parser = parse_step)]
    pub(crate) heartbeat_timeout: Option<Duration>,

    /// `encrypt` offers Basic256Sha256 SignAndEncrypt alone.
    #[arg(long, value_enum, default_value_t = Security::None)]
    pub(crate) security: Security,

    /// Determines all noise of the plant.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,

    /// Directory of the server's certificate and key, and of the clients' certificates (trusted/, rejected/).
    #[arg(long, default_value = "plant-pki")]
    pub(crate) pki: PathBuf,

    /// A certificate that is made is valid for so long at most, up to 3600s; with 0s it has expired. To try what comes of that.
    #[arg(long, value_name = "TIME", value_parser = parse_lifetime)]
    pub(crate) certificate_lifetime: Option<Duration>,

    /// The keys of an encrypted channel are renewed within this time, 1ms to 3600s.
    #[arg(long, value_name = "TIME", value_parser = parse_step)]
    pub(crate) key_lifetime: Option<Duration>,

    /// Most subscriptions of a client.
    #[arg(long, value_name = "COUNT", default_value_t = 10)]
    pub(crate) max_subscriptions: usize,

    /// Most requests to publish that wait for something to tell.
    #[arg(long, value_name = "COUNT", default_value_t = 20)]
    pub(crate) max_publish_requests: usize,

    /// Switch faults on and off at this local socket, a JSON object a line: {"do": "frozen", "node": "level"}. There are frozen,
    /// stale, nan, forced (value), offset (by), noise (deviation), quality (status) and skewed (by_s) for outputs; refuse
    /// (status), ignore, load (by) and set (value) for inputs; clear, for one node (and one kind) or all; and writes, which tells
    /// every write of an input from then on. Without this option there is no such socket; it is removed at the end.
    #[arg(long, value_name = "PATH")]
    pub(crate) faults: Option<PathBuf>,

    /// List the nodes and exit.
    #[arg(long)]
    pub(crate) list: bool,

    /// Print data as JSON.
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) host_arguments: HostArguments,
}

fn parse_step(text: &str) -> Result<Duration, String> {
    let step = parse_time(text)?;
    if (STEP_MIN..=STEP_MAX).contains(&step) { Ok(step) } else { Err("the time must be from 1ms to 3600s".to_owned()) }
}

fn parse_lifetime(text: &str) -> Result<Duration, String> {
    let lifetime = parse_time(text)?;
    (lifetime <= STEP_MAX).then_some(lifetime).ok_or_else(|| "the time must be from 0s to 3600s".to_owned())
}

/// A number with a unit: `500us`, `10ms`, `1.5s`.
fn parse_time(text: &str) -> Result<Duration, String> {
    let split = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let scale = match unit {
        "us" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        _ => return Err("write a number and a unit, us, ms or s, as in 10ms".to_owned()),
    };
    let seconds = number.trim().parse::<f64>().map_err(|_| format!("`{number}` is not a number"))? * scale;
    Duration::try_from_secs_f64(seconds).map_err(|_| "it must be a positive time".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_a_number_with_a_unit() {
        assert_eq!(parse_step("10ms"), Ok(Duration::from_millis(10)));
        assert_eq!(parse_step("1500us"), Ok(Duration::from_micros(1500)));
        assert_eq!(parse_step("0.5s"), Ok(Duration::from_millis(500)));
    }

    #[test]
    fn a_step_without_unit_negative_or_out_of_range_is_refused() {
        for text in ["10", "-1ms", "0ms", "100us", "7200s", "ms", "nanms", "10 h"] {
            assert!(parse_step(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_certificate_may_have_no_time_at_all_and_no_more_than_an_hour() {
        assert_eq!(parse_lifetime("0s"), Ok(Duration::ZERO));
        assert_eq!(parse_lifetime("5s"), Ok(Duration::from_secs(5)));
        for text in ["-1s", "3601s", "5"] {
            assert!(parse_lifetime(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_user_needs_a_password_and_a_password_a_user() {
        assert!(Args::try_parse_from(["corerl-plant", "--user", "a"]).is_err());
        assert!(Args::try_parse_from(["corerl-plant", "--password-file", "f"]).is_err());
        assert!(Args::try_parse_from(["corerl-plant"]).is_ok());
    }
}
