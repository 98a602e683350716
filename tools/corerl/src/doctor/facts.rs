//! What is only read, and what it means for timing.

use rt_sys::{Cpus, Fact, Host, HugePages, Preemption, irqs_on, realtime_tasks};

use super::Finding;

/// Below this share of a CPU, real-time threads may be stopped by the kernel's throttle (its default is 0.95).
const THROTTLE_SHARE_MIN: f64 = 0.95;
/// Free shared memory that an agent with a minute of cycle records may need.
const SHARED_MEMORY_BYTES_MIN: u64 = 256 << 20;
/// Threads of this priority or above delay a control thread with the default one.
const PRIORITY_USUAL: u8 = 80;
/// So many names are printed of a longer list.
const NAMES_MAX: usize = 5;

/// Facts about the machine as a whole.
pub(super) fn judge(host: &Host, cpus: &Cpus) -> Vec<Finding> {
    vec![
        preemption(host),
        cpu_count(host, cpus),
        throttling(host),
        rt_groups(host),
        clocksource(host),
        governor(host),
        smt(host),
        huge_pages(host),
        compaction(host),
        numa_balancing(host),
        machine(host),
        swap(host),
        shared_memory(host),
    ]
}

/// Facts about the CPU that control will have.
pub(super) fn judge_cpu(cpu: usize) -> Vec<Finding> {
    let host = Host::read();
    vec![isolation(&host, cpu), tick(&host, cpu), interrupts(cpu, irqs_on(cpu)), rivals(cpu)]
}

fn preemption(host: &Host) -> Finding {
    const COST: &str = "while the kernel works for another program, the cycle waits: up to milliseconds";
    let finding = |fact: &str| Finding::ok("preemption", fact, host.preemption.source);
    match &host.preemption.value {
        Some(Preemption::RealTime) => finding("PREEMPT_RT"),
        Some(Preemption::Full) => finding("full; PREEMPT_RT would bound the kernel's share of the lateness"),
        Some(Preemption::Lazy) => finding("lazy, which is full for real-time threads"),
        Some(Preemption::Voluntary) => {
            finding("voluntary").degraded(COST, "boot with preempt=full, or install a PREEMPT_RT kernel")
        }
        Some(Preemption::None) => {
            finding("none").degraded(COST, "boot with preempt=full, or install a PREEMPT_RT kernel")
        }
        Some(Preemption::Dynamic) => finding("chosen at boot, and not shown to this user").degraded(
            "unknown until it is known",
            "boot with preempt=full, and look again as root with debugfs mounted",
        ),
        None => finding("unknown").degraded("unknown until it is known", "mount /proc"),
    }
}

fn cpu_count(host: &Host, cpus: &Cpus) -> Finding {
    let count = cpus.list().len();
    let finding = Finding::ok("CPUs", format!("{count} for this process"), host.cpus_online.source);
    match count {
        1 => finding.degraded(
            "everything shares one CPU, and the control thread does not spin",
            "give the machine three, one each for control and I/O",
        ),
        2 => finding.degraded(
            "control has one, I/O and everything else share the other",
            "a third CPU keeps I/O and learner apart",
        ),
        _ => finding,
    }
}

fn throttling(host: &Host) -> Finding {
    let finding = |fact| Finding::ok("RT throttling", fact, host.throttling.source);
    match host.throttling.value {
        Some(limit) => match limit.runtime_us {
            None => finding("off".into()),
            Some(runtime_us) => finding(format!("real-time threads may run {runtime_us} of {} us", limit.period_us))
                .degraded_unless(
                    limit.share() >= THROTTLE_SHARE_MIN,
                    "the kernel stops a control thread that uses up its share, for the rest of each period",
                    "sysctl kernel.sched_rt_runtime_us=950000 (or -1, with a watchdog that does not depend on it)",
                ),
        },
        None => finding("not limited by this kernel, or not shown".into()),
    }
}

fn rt_groups(host: &Host) -> Finding {
    let finding = |fact| Finding::ok("RT group scheduling", fact, host.has_rt_groups.source);
    match host.has_rt_groups.value {
        Some(true) => finding("on").degraded(
            "a control group without a budget cannot have a real-time priority at all",
            "give the service's group cpu.rt_runtime_us, or boot a kernel without CONFIG_RT_GROUP_SCHED",
        ),
        Some(false) => finding("off"),
        None => finding("not shown; the priority that was tried above decides"),
    }
}

fn clocksource(host: &Host) -> Finding {
    let found = host.clocksource.value.as_deref().unwrap_or("unknown");
    let in_user_space = ["tsc", "kvm-clock", "hyperv_clocksource_tsc_page", "arch_sys_counter", "riscv_clocksource"];
    Finding::ok("clock", format!("clocksource {found}"), host.clocksource.source).degraded_unless(
        in_user_space.contains(&found),
        "every reading of the clock may be a system call, of a microsecond or more",
        "boot with clocksource=tsc if the machine permits it",
    )
}

fn governor(host: &Host) -> Finding {
    match host.governor.value.as_deref() {
        Some("performance") => Finding::ok("frequency", "governor performance", host.governor.source),
        Some(other) => Finding::ok("frequency", format!("governor {other}"), host.governor.source).degraded(
            "a CPU that was idle begins its work slowly: the body takes two to four times as long",
            "cpupower frequency-set -g performance",
        ),
        None => Finding::ok("frequency", "not changed by this kernel", host.governor.source),
    }
}

fn smt(host: &Host) -> Finding {
    let finding = |fact| Finding::ok("SMT", fact, host.is_smt_active.source);
    match host.is_smt_active.value {
        Some(true) => finding("two logical CPUs share a core").degraded(
            "a busy neighbour on the same core slows the body, by half at worst",
            "echo off > /sys/devices/system/cpu/smt/control, or keep control's sibling idle",
        ),
        Some(false) => finding("one logical CPU per core"),
        None => finding("not shown"),
    }
}

fn huge_pages(host: &Host) -> Finding {
    let finding = |fact| Finding::ok("transparent huge pages", fact, host.huge_pages.source);
    match host.huge_pages.value {
        Some(HugePages::Always) => finding("always").degraded(
            "the kernel moves pages while it joins them, and whoever touches one meanwhile waits",
            "echo madvise > /sys/kernel/mm/transparent_hugepage/enabled",
        ),
        Some(HugePages::OnRequest) => finding("on request"),
        Some(HugePages::Never) => finding("never"),
        None => finding("not shown"),
    }
}

/// PREEMPT_RT kernels begin with it off, others usually with it on (kernel documentation, admin-guide/sysctl/vm).
fn compaction(host: &Host) -> Finding {
    moved_pages(
        "memory compaction",
        &host.moves_locked_pages,
        ["moves locked pages, too", "leaves locked pages where they are"],
        "when memory is fragmented, pages of the control thread are moved under it: it faults, and waits for the move",
        "vm.compact_unevictable_allowed",
    )
}

fn numa_balancing(host: &Host) -> Finding {
    moved_pages(
        "NUMA balancing",
        &host.balances_numa,
        ["on", "off"],
        "the kernel takes pages away to see who touches them; whoever does faults, and may wait for a move",
        "kernel.numa_balancing",
    )
}

/// A switch of the kernel that moves pages while it is on.
fn moved_pages(
    subject: &'static str,
    fact: &Fact<bool>,
    [on, off]: [&str; 2],
    cost: &'static str,
    switch: &str,
) -> Finding {
    let finding = |shown| Finding::ok(subject, shown, fact.source);
    match fact.value {
        Some(true) => finding(on)
            .degraded(cost, format!("sysctl {switch}=0, and a file in /etc/sysctl.d that says it at every boot")),
        Some(false) => finding(off),
        None => finding("none by this kernel, or not shown"),
    }
}

fn machine(host: &Host) -> Finding {
    match host.is_virtual.value {
        Some(true) => Finding::ok("machine", "virtual", host.is_virtual.source).degraded(
            "its host may take the CPUs away at any time, for milliseconds",
            "measure (corerl bench latency), and use hardware of its own for short periods",
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
    const COST: &str = "segments and the learner's memory may not fit";
    let finding = |fact| Finding::ok("/dev/shm", fact, host.dev_shm_free_bytes.source);
    match host.dev_shm_free_bytes.value {
        Some(bytes) => finding(format!("{} MB free", bytes >> 20)).degraded_unless(
            bytes >= SHARED_MEMORY_BYTES_MIN,
            COST,
            "give the machine, or its container, more memory",
        ),
        None => finding("not mounted".into())
            .degraded(COST, "mount a tmpfs on /dev/shm; segments live in anonymous memory all the same"),
    }
}

fn isolation(host: &Host, cpu: usize) -> Finding {
    let list = host.cpus_isolated.value.as_deref().unwrap_or_default();
    let shown = if list.is_empty() { "no CPU".to_owned() } else { format!("CPUs {list}") };
    Finding::ok(
        "isolation",
        format!("{shown} kept free by the scheduler; control gets CPU {cpu}"),
        host.cpus_isolated.source,
    )
    .degraded_unless(
        rt_sys::cpu_list_contains(list, cpu),
        "ordinary programs run on control's CPU until it preempts them, and leave it cold caches",
        format!("boot with isolcpus={cpu}, or give everything else another cpuset"),
    )
}

fn tick(host: &Host, cpu: usize) -> Finding {
    let list = host.cpus_tickless.value.as_deref().unwrap_or_default();
    let has = rt_sys::cpu_list_contains(list, cpu);
    let fact = if has { format!("CPU {cpu} has none while one thread runs") } else { format!("CPU {cpu} has it") };
    Finding::ok("periodic tick", fact, host.cpus_tickless.source).degraded_unless(
        has,
        "an interrupt of a few microseconds, 100 to 1000 times a second while the CPU is busy",
        format!("boot with nohz_full={cpu} rcu_nocbs={cpu}, where the kernel is built for it"),
    )
}

fn interrupts(cpu: usize, irqs: Option<Vec<u32>>) -> Finding {
    let finding = |fact| Finding::ok("interrupts", fact, "/proc/irq/*/effective_affinity_list");
    match irqs {
        None => finding("not shown".to_owned()),
        Some(irqs) => {
            let names: Vec<_> = irqs.iter().map(u32::to_string).collect();
            finding(format!("on CPU {cpu}: {}", listed(&names))).degraded_unless(
                irqs.is_empty(),
                "each of them stops the cycle for microseconds, a network card under load for more",
                "write another CPU into /proc/irq/NUMBER/smp_affinity_list, and stop irqbalance or give it IRQBALANCE_BANNED_CPULIST",
            )
        }
    }
}

fn rivals(cpu: usize) -> Finding {
    let tasks = realtime_tasks();
    let rivals: Vec<String> = tasks
        .into_iter()
        .filter(|task| !task.is_kernel && task.cpu == cpu && task.scheduling.priority >= PRIORITY_USUAL)
        .map(|task| format!("{} ({}, priority {})", task.name, task.tid, task.scheduling.priority))
        .collect();
    let fact = format!("on CPU {cpu} with priority {PRIORITY_USUAL} or above: {}", listed(&rivals));
    Finding::ok("other real-time threads", fact, "/proc/*/task/*/stat").degraded_unless(
        rivals.is_empty(),
        "the control thread waits for as long as they run",
        "give them another CPU or a lower priority, or control a higher one (runtime.priorities.control)",
    )
}

/// The first names of a list, and how many more there are.
fn listed(names: &[String]) -> String {
    match names {
        [] => "none".to_owned(),
        names if names.len() <= NAMES_MAX => names.join(", "),
        names => {
            format!("{} and {} more", names.get(..NAMES_MAX).unwrap_or_default().join(", "), names.len() - NAMES_MAX)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict;
    use rt_sys::CpuLimit;

    fn verdict_of(findings: &[Finding], subject: &str) -> Verdict {
        findings.iter().find(|finding| finding.subject == subject).expect("there is such a finding").verdict
    }

    fn made_for_control() -> Host {
        let mut host = Host::read();
        host.preemption.value = Some(Preemption::RealTime);
        host.throttling.value = Some(CpuLimit { runtime_us: None, period_us: 1_000_000 });
        host.has_rt_groups.value = Some(false);
        host.clocksource.value = Some("tsc".into());
        host.governor.value = Some("performance".into());
        host.is_smt_active.value = Some(false);
        host.huge_pages.value = Some(HugePages::OnRequest);
        host.moves_locked_pages.value = Some(false);
        host.balances_numa.value = Some(false);
        host.is_virtual.value = Some(false);
        host.dev_shm_free_bytes.value = Some(1 << 34);
        host.cpus_isolated.value = Some("2-3".into());
        host.cpus_tickless.value = Some("3".into());
        host
    }

    #[test]
    fn a_machine_made_for_control_has_nothing_degraded() {
        let host = made_for_control();
        let mut findings = judge(&host, &Cpus::from_list(0..4));
        findings.extend([isolation(&host, 3), tick(&host, 3), interrupts(3, Some(Vec::new()))]);
        assert!(findings.iter().all(|finding| finding.verdict == Verdict::Ok), "{findings:?}");
    }

    #[test]
    fn what_costs_timing_is_degraded_and_says_what_it_costs_and_what_to_do() {
        let mut host = made_for_control();
        host.preemption.value = Some(Preemption::None);
        host.throttling.value = Some(CpuLimit { runtime_us: Some(100_000), period_us: 1_000_000 });
        host.has_rt_groups.value = Some(true);
        host.clocksource.value = Some("hpet".into());
        host.governor.value = Some("powersave".into());
        host.is_smt_active.value = Some(true);
        host.huge_pages.value = Some(HugePages::Always);
        host.moves_locked_pages.value = Some(true);
        host.balances_numa.value = Some(true);
        host.is_virtual.value = Some(true);
        host.dev_shm_free_bytes.value = None;
        let mut findings = judge(&host, &Cpus::from_list(0..2));
        findings.extend([isolation(&host, 1), tick(&host, 1), interrupts(1, Some(vec![24]))]);
        for subject in [
            "preemption",
            "CPUs",
            "RT throttling",
            "RT group scheduling",
            "clock",
            "frequency",
            "SMT",
            "transparent huge pages",
            "memory compaction",
            "NUMA balancing",
            "machine",
            "/dev/shm",
            "isolation",
            "periodic tick",
            "interrupts",
        ] {
            assert_eq!(verdict_of(&findings, subject), Verdict::Degraded, "{subject}");
        }
        assert!(findings.iter().all(|finding| (finding.verdict == Verdict::Ok) == finding.remedy.is_none()));
        assert!(findings.iter().all(|finding| finding.cost.is_some() == finding.remedy.is_some()));
    }

    #[test]
    fn the_kernels_default_throttle_is_accepted() {
        let mut host = Host::read();
        host.throttling.value = Some(CpuLimit { runtime_us: Some(950_000), period_us: 1_000_000 });
        assert_eq!(throttling(&host).verdict, Verdict::Ok);
    }

    #[test]
    fn a_long_list_is_cut() {
        let names: Vec<_> = (0..7).map(|n| n.to_string()).collect();
        assert_eq!(listed(&names), "0, 1, 2, 3, 4 and 2 more");
        assert_eq!((listed(&[]), listed(&names[..2])), ("none".to_owned(), "0, 1".to_owned()));
    }
}
