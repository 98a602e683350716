//! `corerl doctor`: what this machine can and cannot do in real time. Privileges are found out by trying them.

use std::path::Path;

use clap::Args;
use rt_sys::{Cpus, Grant, Host, Limit, Preemption, RealtimeRequest};
use serde::Serialize;

use crate::failure::{Exit, Failure};
use crate::output::{print_json, print_text, table};
use crate::run::find_program;
use crate::target::Directory;

/// The priority that is tried: the control thread's default.
const PRIORITY_TRIED: u8 = 80;
/// Below this share of a CPU, real-time threads may be stopped by the kernel's throttle (its default is 0.95).
const THROTTLE_SHARE_MIN: f64 = 0.95;
/// Free shared memory that an agent with a minute of cycle records may need.
const SHARED_MEMORY_BYTES_MIN: u64 = 256 << 20;

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  corerl doctor --json | jq '.findings[] | select(.verdict != \"ok\")'\n\n\
                        Exit code 1 when something is missing. What is degraded does not keep anything from running.")]
pub(crate) struct DoctorArguments {
    #[command(flatten)]
    directory: Directory,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    /// As it should be.
    Ok,
    /// It runs, but not with the timing it could have.
    Degraded,
    /// It does not run.
    Missing,
}

impl Verdict {
    const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Degraded => "degraded",
            Self::Missing => "missing",
        }
    }
}

/// One line of the report.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Finding {
    verdict: Verdict,
    subject: &'static str,
    fact: String,
    /// Where it was read, or how it was found out.
    source: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<String>,
}

impl Finding {
    fn ok(subject: &'static str, fact: impl Into<String>, source: impl Into<String>) -> Self {
        Self { verdict: Verdict::Ok, subject, fact: fact.into(), source: source.into(), remedy: None }
    }

    fn degraded(self, remedy: impl Into<String>) -> Self {
        Self { verdict: Verdict::Degraded, remedy: Some(remedy.into()), ..self }
    }

    fn missing(self, remedy: impl Into<String>) -> Self {
        Self { verdict: Verdict::Missing, remedy: Some(remedy.into()), ..self }
    }

    fn degraded_unless(self, fine: bool, remedy: impl Into<String>) -> Self {
        if fine { self } else { self.degraded(remedy) }
    }
}

pub(crate) fn run(arguments: &DoctorArguments) -> Result<Exit, Failure> {
    #[derive(Serialize)]
    struct Report<'a> {
        findings: &'a [Finding],
    }
    let host = Host::read();
    let cpus = Cpus::allowed();
    let mut findings = vec![try_priority(&host), try_pinning(&cpus), try_memory_lock(&host)];
    findings.extend(judge(&host, &cpus));
    findings.extend([sealed_memory(), runtime_directory(&arguments.directory.path())]);
    findings.extend(["corerl-rt", "corerl-learner"].map(program));
    if arguments.json {
        print_json("corerl.doctor/1", &Report { findings: &findings })?;
    } else {
        print_text(&for_people(&findings))?;
    }
    let missing = findings.iter().any(|finding| finding.verdict == Verdict::Missing);
    Ok(if missing { Exit::CheckFailed } else { Exit::Fine })
}

fn for_people(findings: &[Finding]) -> String {
    let row = |finding: &Finding| {
        let remedy = finding.remedy.as_ref().map(|remedy| format!("; {remedy}")).unwrap_or_default();
        [finding.verdict.name().into(), finding.subject.into(), format!("{}{remedy}", finding.fact)]
    };
    table(&findings.iter().map(row).collect::<Vec<[String; 3]>>())
}

fn try_priority(host: &Host) -> Finding {
    let limit = match host.priority_limit.value {
        Some(Limit::Unlimited) => "unlimited".to_owned(),
        Some(Limit::At(priority)) => priority.to_string(),
        None => "unknown".to_owned(),
    };
    let source = "tried on a thread of its own, read back from the kernel";
    let finding = |fact| Finding::ok("real-time priority", fact, source);
    match on_a_thread(|| RealtimeRequest { cpu: None, priority: Some(PRIORITY_TRIED) }.apply().fifo) {
        Some(Grant::Refused { cause, .. }) => {
            finding(format!("SCHED_FIFO {PRIORITY_TRIED} refused: {cause}; rtprio limit {limit}")).degraded(
                "run the systemd unit, or `setcap cap_sys_nice,cap_ipc_lock+ep corerl-rt`, or set rtprio in /etc/security/limits.conf",
            )
        }
        Some(_) => finding(format!("SCHED_FIFO {PRIORITY_TRIED} granted and confirmed")),
        None => finding("no thread could be started".into()).missing("raise the limit on processes (ulimit -u)"),
    }
}

fn try_pinning(cpus: &Cpus) -> Finding {
    let placement = cpus.placement(None, None);
    let finding = |fact| Finding::ok("pinning", fact, "tried on a thread of its own, read back from the kernel");
    let cpu = placement.control;
    match on_a_thread(move || RealtimeRequest { cpu, priority: None }.apply().affinity) {
        Some(Grant::Confirmed(cpu)) => finding(format!("a thread was pinned to CPU {cpu}")),
        Some(Grant::Refused { asked, cause }) => {
            finding(format!("CPU {asked} refused: {cause}")).degraded("check the cpuset of this service or container")
        }
        _ => finding("not tried".into()).degraded("no thread could be started"),
    }
}

fn on_a_thread<T: Send + 'static>(body: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    std::thread::Builder::new().spawn(body).ok()?.join().ok()
}

fn try_memory_lock(host: &Host) -> Finding {
    let limit = match host.memlock_limit_bytes.value {
        Some(Limit::Unlimited) => "unlimited".to_owned(),
        Some(Limit::At(bytes)) => format!("{} kB", bytes / 1024),
        None => "unknown".to_owned(),
    };
    let finding = |fact| Finding::ok("memory lock", fact, "tried in this process, read back from /proc/self/status");
    match rt_sys::lock_memory() {
        Ok(locked) => finding(format!("{} kB locked and confirmed; memlock limit {limit}", locked.locked_kb)),
        Err(error) => {
            finding(error.to_string()).degraded("run the systemd unit, or raise memlock in /etc/security/limits.conf")
        }
    }
}

/// Everything that is only read.
fn judge(host: &Host, cpus: &Cpus) -> Vec<Finding> {
    vec![
        preemption(host),
        cpu_count(host, cpus),
        throttling(host),
        clocksource(host),
        governor(host),
        machine(host),
        swap(host),
        shared_memory(host),
    ]
}

fn preemption(host: &Host) -> Finding {
    let finding = |fact: &str| Finding::ok("preemption", fact, host.preemption.source);
    match &host.preemption.value {
        Some(Preemption::RealTime) => finding("PREEMPT_RT"),
        Some(Preemption::Full) => finding("full; PREEMPT_RT would bound the kernel's share of the lateness"),
        Some(Preemption::Lazy) => finding("lazy, which is full for real-time threads"),
        Some(Preemption::Voluntary) => {
            finding("voluntary").degraded("boot with preempt=full, or install a PREEMPT_RT kernel")
        }
        Some(Preemption::None) => finding("none").degraded("boot with preempt=full, or install a PREEMPT_RT kernel"),
        Some(Preemption::Dynamic) => finding("chosen at boot, and not shown to this user")
            .degraded("boot with preempt=full, and look again as root"),
        None => finding("unknown").degraded("mount /proc"),
    }
}

fn cpu_count(host: &Host, cpus: &Cpus) -> Finding {
    let count = cpus.list().len();
    let isolated = match host.cpus_isolated.value.as_deref() {
        Some("") | None => "none isolated".to_owned(),
        Some(list) => format!("isolated: {list}"),
    };
    let finding = Finding::ok("CPUs", format!("{count} for this process, {isolated}"), host.cpus_online.source);
    match count {
        1 => finding.degraded("everything shares one CPU: give the machine three, one each for control and I/O"),
        2 => finding.degraded("control has one, I/O and everything else share the other: a third keeps them apart"),
        _ => finding,
    }
}

fn throttling(host: &Host) -> Finding {
    let finding = |fact| Finding::ok("RT throttling", fact, host.throttling.source);
    match host.throttling.value {
        Some(limit) => match limit.runtime_us {
            None => finding("off".into()),
            Some(runtime_us) => {
                let share = runtime_us as f64 / limit.period_us.max(1) as f64;
                finding(format!("real-time threads may run {runtime_us} of {} us", limit.period_us)).degraded_unless(
                    share >= THROTTLE_SHARE_MIN,
                    "sysctl kernel.sched_rt_runtime_us=950000 (or -1, with a watchdog that does not depend on it)",
                )
            }
        },
        None => finding("not limited by this kernel, or not shown".into()),
    }
}

fn clocksource(host: &Host) -> Finding {
    let found = host.clocksource.value.as_deref().unwrap_or("unknown");
    let in_user_space = ["tsc", "kvm-clock", "hyperv_clocksource_tsc_page", "arch_sys_counter", "riscv_clocksource"];
    Finding::ok("clock", format!("clocksource {found}"), host.clocksource.source).degraded_unless(
        in_user_space.contains(&found),
        "reading the clock may be a system call; boot with clocksource=tsc if the machine permits it",
    )
}

fn governor(host: &Host) -> Finding {
    match host.governor.value.as_deref() {
        Some("performance") => Finding::ok("frequency", "governor performance", host.governor.source),
        Some(other) => Finding::ok("frequency", format!("governor {other}"), host.governor.source)
            .degraded("cpupower frequency-set -g performance"),
        None => Finding::ok("frequency", "not changed by this kernel", host.governor.source),
    }
}

fn machine(host: &Host) -> Finding {
    match host.is_virtual.value {
        Some(true) => Finding::ok("machine", "virtual", host.is_virtual.source).degraded(
            "its host may take the CPUs away at any time: measure, and use hardware of its own for short periods",
        ),
        Some(false) => Finding::ok("machine", "not virtual", host.is_virtual.source),
        None => Finding::ok("machine", "unknown", host.is_virtual.source),
    }
}

fn swap(host: &Host) -> Finding {
    let fact = match host.swap_kb.value {
        Some(0) => "none".to_owned(),
        Some(kb) => format!("{kb} kB; harmless while memory is locked"),
        None => "unknown".to_owned(),
    };
    Finding::ok("swap", fact, host.swap_kb.source)
}

fn shared_memory(host: &Host) -> Finding {
    let finding = |fact| Finding::ok("/dev/shm", fact, host.dev_shm_free_bytes.source);
    match host.dev_shm_free_bytes.value {
        Some(bytes) => finding(format!("{} MB free", bytes >> 20))
            .degraded_unless(bytes >= SHARED_MEMORY_BYTES_MIN, "give the machine, or its container, more memory"),
        None => finding("not mounted".into())
            .degraded("mount a tmpfs on /dev/shm; segments live in anonymous memory all the same"),
    }
}

fn sealed_memory() -> Finding {
    use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, ftruncate, memfd_create};
    let attempt = || {
        let memory = memfd_create("corerl-doctor", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
        ftruncate(&memory, 4096)?;
        fcntl_add_seals(&memory, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)
    };
    let finding = |fact| Finding::ok("sealed memory", fact, "tried: memfd_create with seals");
    match attempt() {
        Ok(()) => finding("available".into()),
        Err(error) => {
            finding(format!("refused: {error}")).missing("Linux 3.17 or later is needed, and memfd_create permitted")
        }
    }
}

fn runtime_directory(path: &Path) -> Finding {
    let finding = |fact| Finding::ok("runtime directory", fact, path.display().to_string());
    let existing = path.ancestors().find(|ancestor| ancestor.exists()).unwrap_or(Path::new("/"));
    match rustix::fs::access(existing, rustix::fs::Access::WRITE_OK) {
        Ok(()) => finding(format!("{} can be used", path.display())),
        Err(error) => finding(format!("{} cannot be written: {error}", existing.display()))
            .missing("choose another with --runtime-dir or CORERL_RUNTIME_DIR"),
    }
}

fn program(name: &'static str) -> Finding {
    let source = "beside this program, then in PATH";
    match find_program(None, name) {
        Some(path) => Finding::ok(name, path.display().to_string(), source),
        None => Finding::ok(name, "not found", source).missing(format!(
            "build it (cargo build --release) or put it beside this program: `corerl run` needs {name}"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rt_sys::CpuLimit;

    fn verdict_of(findings: &[Finding], subject: &str) -> Verdict {
        findings.iter().find(|finding| finding.subject == subject).expect("there is such a finding").verdict
    }

    #[test]
    fn a_machine_made_for_control_has_nothing_degraded() {
        let mut host = Host::read();
        host.preemption.value = Some(Preemption::RealTime);
        host.throttling.value = Some(CpuLimit { runtime_us: None, period_us: 1_000_000 });
        host.clocksource.value = Some("tsc".into());
        host.governor.value = Some("performance".into());
        host.is_virtual.value = Some(false);
        host.dev_shm_free_bytes.value = Some(1 << 34);
        let findings = judge(&host, &Cpus::from_list(0..4));
        assert!(findings.iter().all(|finding| finding.verdict == Verdict::Ok), "{findings:?}");
    }

    #[test]
    fn what_costs_timing_is_degraded_and_says_what_to_do() {
        let mut host = Host::read();
        host.preemption.value = Some(Preemption::None);
        host.throttling.value = Some(CpuLimit { runtime_us: Some(100_000), period_us: 1_000_000 });
        host.clocksource.value = Some("hpet".into());
        host.governor.value = Some("powersave".into());
        host.is_virtual.value = Some(true);
        host.dev_shm_free_bytes.value = None;
        let findings = judge(&host, &Cpus::from_list(0..2));
        for subject in ["preemption", "CPUs", "RT throttling", "clock", "frequency", "machine", "/dev/shm"] {
            assert_eq!(verdict_of(&findings, subject), Verdict::Degraded, "{subject}");
        }
        assert!(findings.iter().all(|finding| (finding.verdict == Verdict::Ok) == finding.remedy.is_none()));
    }

    #[test]
    fn the_kernels_default_throttle_is_accepted() {
        let mut host = Host::read();
        host.throttling.value = Some(CpuLimit { runtime_us: Some(950_000), period_us: 1_000_000 });
        assert_eq!(throttling(&host).verdict, Verdict::Ok);
    }

    #[test]
    fn a_runtime_directory_that_does_not_exist_yet_is_judged_by_where_it_would_be_made() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(runtime_directory(&directory.path().join("a/b")).verdict, Verdict::Ok);
    }
}
