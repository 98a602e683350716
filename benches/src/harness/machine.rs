//! The machine's description: without it no figure means anything.

use std::fs;

use serde::Serialize;

/// What a reader has to know to judge a figure.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Machine {
    /// CPU model.
    pub(crate) cpu: String,
    /// CPUs that this process may use.
    pub(crate) cpus: usize,
    /// Vector extensions that the kernels choose from.
    pub(crate) vector_extensions: Vec<&'static str>,
    /// Kernel release and preemption model, as the kernel words it.
    pub(crate) kernel: String,
    /// The CPU says that it is virtual.
    pub(crate) hypervisor: bool,
    /// Load average over the last minute when the run began.
    pub(crate) load_1min: f64,
}

impl Machine {
    /// Looks at this machine.
    pub(crate) fn describe() -> Self {
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let field = |name: &str| {
            let line = cpuinfo.lines().find(|line| line.starts_with(name))?;
            Some(line.split_once(':')?.1.trim().to_owned())
        };
        let flags = field("flags").unwrap_or_default();
        let has = |flag: &str| flags.split(' ').any(|found| found == flag);
        let sys =
            |name: &str| fs::read_to_string(format!("/proc/sys/kernel/{name}")).unwrap_or_default().trim().to_owned();
        let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
        Self {
            cpu: field("model name").unwrap_or_else(|| "unknown".into()),
            cpus: std::thread::available_parallelism().map_or(1, usize::from),
            vector_extensions: ["avx2", "fma", "avx512f"].into_iter().filter(|flag| has(flag)).collect(),
            // Not /proc/version, which names the machine that the kernel was built on.
            kernel: format!("Linux {} {}", sys("osrelease"), sys("version")),
            hypervisor: has("hypervisor"),
            load_1min: load.split(' ').next().and_then(|load| load.parse().ok()).unwrap_or(f64::NAN),
        }
    }
}

impl std::fmt::Display for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { cpu, cpus, vector_extensions, kernel, hypervisor, load_1min } = self;
        let place = if *hypervisor { "virtual machine" } else { "bare metal" };
        writeln!(f, "{cpu}, {cpus} CPUs ({}), {place}, load {load_1min}", vector_extensions.join(" "))?;
        write!(f, "{kernel}")
    }
}
