//! What is found out by trying it.

use std::path::Path;

use rt_sys::{Cpus, CpusAwake, Grant, Host, Limit, RealtimeRequest};

use super::Finding;
use crate::run::find_program;

/// The priority that is tried: the control thread's default.
const PRIORITY_TRIED: u8 = 80;

/// All trials.
pub(super) fn all(host: &Host, cpus: &Cpus, runtime_dir: &Path) -> Vec<Finding> {
    let mut findings = vec![priority(host), pinning(cpus), memory_lock(host), shallow_sleep()];
    findings.extend([sealed_memory(), runtime_directory(runtime_dir)]);
    findings.extend(["corerl-rt", "corerl-learner"].map(program));
    findings
}

fn priority(host: &Host) -> Finding {
    let limit = match host.priority_limit.value {
        Some(Limit::Unlimited) => "unlimited".to_owned(),
        Some(Limit::At(priority)) => priority.to_string(),
        None => "unknown".to_owned(),
    };
    let source = "tried on a thread of its own, read back from the kernel";
    let finding = |fact| Finding::ok("real-time priority", fact, source);
    match on_a_thread(|| RealtimeRequest { cpu: None, priority: Some(PRIORITY_TRIED) }.apply().fifo) {
        Some(Grant::Refused { cause, .. }) => {
            finding(format!("SCHED_FIFO {PRIORITY_TRIED} refused: {cause}; rtprio limit {limit}")).refused(
                "any busy program delays the cycle, by milliseconds",
                "run the systemd unit, or `setcap cap_sys_nice,cap_ipc_lock+ep corerl-rt`, or set rtprio in /etc/security/limits.conf",
            )
        }
        Some(_) => finding(format!("SCHED_FIFO {PRIORITY_TRIED} granted and confirmed")),
        None => finding("no thread could be started".into()).missing("raise the limit on processes (ulimit -u)"),
    }
}

fn pinning(cpus: &Cpus) -> Finding {
    const COST: &str = "the cycle moves between CPUs, and its caches and the io threads with it";
    let placement = cpus.placement(None, None);
    let finding = |fact| Finding::ok("pinning", fact, "tried on a thread of its own, read back from the kernel");
    let cpu = placement.control;
    match on_a_thread(move || RealtimeRequest { cpu, priority: None }.apply().affinity) {
        Some(Grant::Confirmed(cpu)) => finding(format!("a thread was pinned to CPU {cpu}")),
        Some(Grant::Refused { asked, cause }) => finding(format!("CPU {asked} refused: {cause}"))
            .refused(COST, "check the cpuset of this service or container"),
        _ => finding("not tried".into())
            .refused(COST, "no thread could be started: raise the limit on processes (ulimit -u)"),
    }
}

fn on_a_thread<T: Send + 'static>(body: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    std::thread::Builder::new().spawn(body).ok()?.join().ok()
}

fn memory_lock(host: &Host) -> Finding {
    let limit = match host.memlock_limit_bytes.value {
        Some(Limit::Unlimited) => "unlimited".to_owned(),
        Some(Limit::At(bytes)) => format!("{} kB", bytes / 1024),
        None => "unknown".to_owned(),
    };
    let finding = |fact| Finding::ok("memory lock", fact, "tried in this process, read back from /proc/self/status");
    match rt_sys::lock_memory() {
        Ok(locked) => finding(format!("{} kB locked and confirmed; memlock limit {limit}", locked.locked_kb)),
        Err(error) => finding(error.to_string()).refused(
            "a page that was taken away costs the cycle a wait for the disk",
            "run the systemd unit, or raise memlock in /etc/security/limits.conf",
        ),
    }
}

fn shallow_sleep() -> Finding {
    let finding = |fact| Finding::ok("CPU sleep states", fact, "tried: /dev/cpu_dma_latency");
    match CpusAwake::hold() {
        Ok(_) => finding("the runtime can keep the CPUs out of deep sleep".into()),
        Err(error) => finding(error.to_string()).degraded(
            "a CPU may sleep so deeply that waking takes hundreds of microseconds",
            "let the service write /dev/cpu_dma_latency (a udev rule with a group), or boot with a limit such as processor.max_cstate=1",
        ),
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
    use crate::doctor::Verdict;

    #[test]
    fn a_runtime_directory_that_does_not_exist_yet_is_judged_by_where_it_would_be_made() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(runtime_directory(&directory.path().join("a/b")).verdict, Verdict::Ok);
    }

    #[test]
    fn strict_mode_insists_on_priority_pinning_and_memory_and_on_nothing_else() {
        let findings = all(&Host::read(), &Cpus::allowed(), Path::new("/"));
        for finding in findings.iter().filter(|finding| finding.verdict == Verdict::Degraded) {
            let insists = ["real-time priority", "pinning", "memory lock"].contains(&finding.subject);
            assert_eq!(finding.strict_refuses, insists, "{finding:?}");
        }
    }
}
