//! The machine's description: without it no figure means anything.

use rt_sys::Host;
use serde::Serialize;

/// What a reader has to know to judge a figure.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Machine {
    kernel: String,
    preemption: String,
    cpus_online: String,
    cpus_isolated: String,
    clocksource: String,
    is_virtual: Option<bool>,
    /// Over the last minute before the run.
    load: String,
}

impl Machine {
    pub(super) fn describe() -> Self {
        let host = Host::read();
        let known = |value: Option<String>| value.unwrap_or_else(|| "unknown".into());
        let load = std::fs::read_to_string("/proc/loadavg").ok();
        Self {
            kernel: known(host.kernel.value),
            preemption: known(host.preemption.value.map(|mode| format!("{mode:?}").to_lowercase())),
            cpus_online: known(host.cpus_online.value),
            cpus_isolated: host.cpus_isolated.value.unwrap_or_default(),
            clocksource: known(host.clocksource.value),
            is_virtual: host.is_virtual.value,
            load: known(load.and_then(|load| load.split(' ').next().map(str::to_owned))),
        }
    }
}

impl std::fmt::Display for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { kernel, preemption, cpus_online, cpus_isolated, clocksource, is_virtual, load } = self;
        let place = if *is_virtual == Some(true) { "virtual machine" } else { "not known to be virtual" };
        let isolated =
            if cpus_isolated.is_empty() { "none isolated".into() } else { format!("isolated {cpus_isolated}") };
        writeln!(f, "{kernel}")?;
        write!(f, "preemption {preemption}, CPUs {cpus_online} ({isolated}), {place}, clock {clocksource}, load {load}")
    }
}
