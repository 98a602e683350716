//! What the machine is like, for `corerl doctor` and for reports: facts, each with the place where it was read. Judging
//! them is the reader's business.

use std::fs;
use std::path::{Path, PathBuf};

use crate::proc::{CAP_IPC_LOCK, CAP_SYS_NICE, has_capability, keyed, keyed_kb};

/// One fact, or the absence of one, and where it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact<T> {
    /// What was found; `None` when the place does not exist or is not readable.
    pub value: Option<T>,
    /// Where.
    pub source: &'static str,
}

/// A resource limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// None.
    Unlimited,
    /// This many, in the resource's own unit.
    At(u64),
}

/// How much of each period all real-time threads of a CPU together may run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CpuLimit {
    /// Microseconds per period; `None` is unlimited.
    pub runtime_us: Option<u64>,
    /// The period in microseconds.
    pub period_us: u64,
}

impl CpuLimit {
    /// The part of a CPU that real-time threads may have, 0 to 1.
    pub fn share(self) -> f64 {
        self.runtime_us.map_or(1.0, |runtime_us| runtime_us as f64 / self.period_us.max(1) as f64)
    }
}

/// The kernel's preemption mode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Preemption {
    /// PREEMPT_RT.
    RealTime,
    /// Preemptible almost everywhere.
    Full,
    /// Preemptible for real-time threads, lazily for others.
    Lazy,
    /// Only at voluntary points.
    Voluntary,
    /// Not at all inside the kernel.
    None,
    /// Chosen at boot, and not shown to us.
    Dynamic,
}

/// When the kernel makes large pages of small ones by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HugePages {
    /// For all memory.
    Always,
    /// Where a program asks for it.
    OnRequest,
    /// Never.
    Never,
}

/// The facts of this machine that timing depends on.
#[derive(Clone, Debug)]
pub struct Host {
    /// Release and build of the kernel.
    pub kernel: Fact<String>,
    /// The preemption mode.
    pub preemption: Fact<Preemption>,
    /// The limit on real-time threads.
    pub throttling: Fact<CpuLimit>,
    /// Effective CAP_SYS_NICE.
    pub may_use_fifo: Fact<bool>,
    /// Effective CAP_IPC_LOCK.
    pub may_lock_memory: Fact<bool>,
    /// The highest real-time priority permitted without CAP_SYS_NICE.
    pub priority_limit: Fact<Limit>,
    /// How many bytes may be locked without CAP_IPC_LOCK.
    pub memlock_limit_bytes: Fact<Limit>,
    /// CPUs online, as the kernel lists them.
    pub cpus_online: Fact<String>,
    /// CPUs taken away from the scheduler at boot.
    pub cpus_isolated: Fact<String>,
    /// CPUs without a periodic tick while one thread runs.
    pub cpus_tickless: Fact<String>,
    /// Two logical CPUs share a core.
    pub is_smt_active: Fact<bool>,
    /// Transparent huge pages.
    pub huge_pages: Fact<HugePages>,
    /// Compaction may move locked pages, too; whoever touches one meanwhile faults and waits.
    pub moves_locked_pages: Fact<bool>,
    /// Automatic NUMA balancing takes pages out of the page tables to see who touches them.
    pub balances_numa: Fact<bool>,
    /// Real-time threads need a budget of their control group (CONFIG_RT_GROUP_SCHED).
    pub has_rt_groups: Fact<bool>,
    /// What the monotonic clock reads.
    pub clocksource: Fact<String>,
    /// The frequency governor of CPU 0.
    pub governor: Fact<String>,
    /// The machine is virtual.
    pub is_virtual: Fact<bool>,
    /// Swap space in kilobytes.
    pub swap_kb: Fact<u64>,
    /// Free bytes in `/dev/shm`.
    pub dev_shm_free_bytes: Fact<u64>,
}

const STATUS: &str = "/proc/self/status";
const LIMITS: &str = "/proc/self/limits";

impl Host {
    /// Reads the facts of this machine.
    pub fn read() -> Self {
        let mut host = Self::read_below(Path::new("/"));
        let free = rustix::fs::statvfs("/dev/shm").ok();
        host.dev_shm_free_bytes.value = free.map(|shm| shm.f_bavail.saturating_mul(shm.f_frsize));
        host
    }

    /// The same from a copy of `/proc` and `/sys` under `root`; without the size of file systems.
    fn read_below(root: &Path) -> Self {
        let place = Place(root.to_owned());
        Self {
            kernel: place.text("/proc/version"),
            preemption: place.preemption(),
            throttling: place.throttling(),
            may_use_fifo: place.derive(STATUS, |text| Some(has_capability(text, CAP_SYS_NICE))),
            may_lock_memory: place.derive(STATUS, |text| Some(has_capability(text, CAP_IPC_LOCK))),
            priority_limit: place.derive(LIMITS, |text| limit(text, "Max realtime priority")),
            memlock_limit_bytes: place.derive(LIMITS, |text| limit(text, "Max locked memory")),
            cpus_online: place.text("/sys/devices/system/cpu/online"),
            cpus_isolated: place.text("/sys/devices/system/cpu/isolated"),
            cpus_tickless: place.text("/sys/devices/system/cpu/nohz_full"),
            is_smt_active: place.derive("/sys/devices/system/cpu/smt/active", |text| Some(text.trim() == "1")),
            huge_pages: place.derive("/sys/kernel/mm/transparent_hugepage/enabled", huge_pages),
            moves_locked_pages: place.derive("/proc/sys/vm/compact_unevictable_allowed", is_on),
            balances_numa: place.derive("/proc/sys/kernel/numa_balancing", is_on),
            has_rt_groups: place.rt_groups(),
            clocksource: place.text("/sys/devices/system/clocksource/clocksource0/current_clocksource"),
            governor: place.text("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
            is_virtual: place.derive("/proc/cpuinfo", |text| Some(is_virtual(text))),
            swap_kb: place.derive("/proc/meminfo", |text| keyed_kb(text, "SwapTotal")),
            dev_shm_free_bytes: Fact { value: None, source: "/dev/shm" },
        }
    }
}

struct Place(PathBuf);

impl Place {
    fn read(&self, source: &str) -> Option<String> {
        fs::read_to_string(self.0.join(source.trim_start_matches('/'))).ok()
    }

    fn derive<T>(&self, source: &'static str, find: impl FnOnce(&str) -> Option<T>) -> Fact<T> {
        Fact { value: self.read(source).as_deref().and_then(find), source }
    }

    fn text(&self, source: &'static str) -> Fact<String> {
        self.derive(source, |text| Some(text.trim().to_owned()))
    }

    /// The kernel tells its mode in three places, of which each may be missing.
    fn preemption(&self) -> Fact<Preemption> {
        let by_flag = self.derive("/sys/kernel/realtime", |text| (text.trim() == "1").then_some(Preemption::RealTime));
        let chosen = || self.derive("/sys/kernel/debug/sched/preempt", chosen_preemption);
        let built = || self.derive("/proc/version", built_preemption);
        if by_flag.value.is_some() {
            by_flag
        } else {
            Some(chosen()).filter(|fact| fact.value.is_some()).unwrap_or_else(built)
        }
    }

    /// The control groups show it where they have budgets; else the kernel's own configuration, where it is installed.
    fn rt_groups(&self) -> Fact<bool> {
        const BUDGET: &str = "/sys/fs/cgroup/cpu/cpu.rt_runtime_us";
        if self.read(BUDGET).is_some() {
            return Fact { value: Some(true), source: BUDGET };
        }
        let release = self.read("/proc/sys/kernel/osrelease").unwrap_or_default();
        let config = self.read(&format!("/boot/config-{}", release.trim()));
        let has = |text: &String| text.lines().any(|line| line == "CONFIG_RT_GROUP_SCHED=y");
        Fact { value: config.as_ref().map(has), source: "/boot/config-RELEASE" }
    }

    fn throttling(&self) -> Fact<CpuLimit> {
        let period_us = self.read("/proc/sys/kernel/sched_rt_period_us").and_then(|text| text.trim().parse().ok());
        self.derive("/proc/sys/kernel/sched_rt_runtime_us", |text| {
            let runtime: i64 = text.trim().parse().ok()?;
            Some(CpuLimit { runtime_us: u64::try_from(runtime).ok(), period_us: period_us? })
        })
    }
}

/// The word in parentheses is the mode in force.
fn chosen_preemption(text: &str) -> Option<Preemption> {
    let (_, rest) = text.split_once('(')?;
    match rest.split_once(')')?.0 {
        "full" => Some(Preemption::Full),
        "lazy" => Some(Preemption::Lazy),
        "voluntary" => Some(Preemption::Voluntary),
        "none" => Some(Preemption::None),
        _ => None,
    }
}

fn built_preemption(version: &str) -> Option<Preemption> {
    let has = |word: &str| version.split_ascii_whitespace().any(|found| found == word);
    let found = [
        ("PREEMPT_RT", Preemption::RealTime),
        ("PREEMPT_DYNAMIC", Preemption::Dynamic),
        ("PREEMPT_LAZY", Preemption::Lazy),
        ("PREEMPT", Preemption::Full),
    ];
    Some(found.into_iter().find(|(word, _)| has(word)).map_or(Preemption::Voluntary, |(_, mode)| mode))
}

/// The word in brackets is in force.
fn huge_pages(text: &str) -> Option<HugePages> {
    let (_, rest) = text.split_once('[')?;
    match rest.split_once(']')?.0 {
        "always" => Some(HugePages::Always),
        "madvise" => Some(HugePages::OnRequest),
        "never" => Some(HugePages::Never),
        _ => None,
    }
}

/// A switch of the kernel; beyond 1 it is on in more than one way.
fn is_on(text: &str) -> Option<bool> {
    text.trim().parse::<u32>().ok().map(|mode| mode != 0)
}

/// The numbers of the interrupts that the kernel delivers to `cpu`; `None` when it does not tell.
pub fn irqs_on(cpu: usize) -> Option<Vec<u32>> {
    irqs_below(Path::new("/proc/irq"), cpu)
}

fn irqs_below(root: &Path, cpu: usize) -> Option<Vec<u32>> {
    let delivers = |directory: &fs::DirEntry| {
        let list = fs::read_to_string(directory.path().join("effective_affinity_list"));
        list.is_ok_and(|list| cpu_list_contains(&list, cpu))
    };
    let entries = fs::read_dir(root).ok()?.flatten();
    let mut irqs: Vec<u32> =
        entries.filter(delivers).filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    irqs.sort_unstable();
    Some(irqs)
}

/// Whether a list of the kernel, such as `0,2-4`, has `cpu` in it.
pub fn cpu_list_contains(list: &str, cpu: usize) -> bool {
    list.trim().split(',').any(|part| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        match (first.parse::<usize>(), last.parse::<usize>()) {
            (Ok(first), Ok(last)) => (first..=last).contains(&cpu),
            _ => false,
        }
    })
}

/// Hundredths of a second since boot that the hypervisor gave to others while `cpu` had work.
pub fn stolen_ticks(cpu: usize) -> Option<u64> {
    stolen(&fs::read_to_string("/proc/stat").ok()?, cpu)
}

/// The eighth number of a CPU's line in `/proc/stat`.
fn stolen(stat: &str, cpu: usize) -> Option<u64> {
    let name = format!("cpu{cpu}");
    let line = stat.lines().find(|line| line.split_ascii_whitespace().next() == Some(&name))?;
    line.split_ascii_whitespace().nth(8)?.parse().ok()
}

/// The soft limit in a line of `/proc/self/limits`.
fn limit(text: &str, name: &str) -> Option<Limit> {
    let value = text.lines().find_map(|line| line.strip_prefix(name))?.split_ascii_whitespace().next()?;
    if value == "unlimited" { Some(Limit::Unlimited) } else { value.parse().ok().map(Limit::At) }
}

/// Processors list `hypervisor` among their flags when they are virtual.
fn is_virtual(cpuinfo: &str) -> bool {
    let flags = cpuinfo.lines().find_map(|line| line.strip_prefix("flags")?.split_once(':')).map(|(_, flags)| flags);
    flags
        .or_else(|| keyed(cpuinfo, "Features"))
        .is_some_and(|flags| flags.split_ascii_whitespace().any(|flag| flag == "hypervisor"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(files: &[(&str, &str)]) -> Host {
        let root = tempfile::tempdir().expect("a directory");
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().expect("a parent")).expect("directories");
            fs::write(path, text).expect("a file");
        }
        Host::read_below(root.path())
    }

    #[test]
    fn a_machine_that_shows_nothing_has_no_facts_but_says_where_it_looked() {
        let host = machine(&[]);
        assert_eq!(host.preemption.value, None);
        assert_eq!(host.throttling, Fact { value: None, source: "/proc/sys/kernel/sched_rt_runtime_us" });
        assert_eq!(host.may_use_fifo.value, None);
    }

    #[test]
    fn the_preemption_mode_is_taken_from_the_best_source_there_is() {
        let version = ("proc/version", "Linux version 6.18 (x) #1 SMP PREEMPT_DYNAMIC Mon");
        assert_eq!(machine(&[version]).preemption.value, Some(Preemption::Dynamic));
        let debug = ("sys/kernel/debug/sched/preempt", "none voluntary (full) lazy \n");
        let host = machine(&[version, debug]);
        assert_eq!(host.preemption.value, Some(Preemption::Full));
        assert_eq!(host.preemption.source, "/sys/kernel/debug/sched/preempt");
        let flag = ("sys/kernel/realtime", "1\n");
        assert_eq!(machine(&[version, debug, flag]).preemption.value, Some(Preemption::RealTime));
        let lazy = ("proc/version", "Linux version 6.18 (x) #1 SMP PREEMPT_LAZY Mon");
        assert_eq!(machine(&[lazy]).preemption.value, Some(Preemption::Lazy));
    }

    #[test]
    fn throttling_distinguishes_limited_from_unlimited() {
        let period = ("proc/sys/kernel/sched_rt_period_us", "1000000\n");
        let limited = machine(&[period, ("proc/sys/kernel/sched_rt_runtime_us", "950000\n")]);
        assert_eq!(limited.throttling.value, Some(CpuLimit { runtime_us: Some(950_000), period_us: 1_000_000 }));
        let unlimited = machine(&[period, ("proc/sys/kernel/sched_rt_runtime_us", "-1\n")]);
        assert_eq!(unlimited.throttling.value, Some(CpuLimit { runtime_us: None, period_us: 1_000_000 }));
    }

    #[test]
    fn limits_and_flags_are_read() {
        let host = machine(&[
            (
                "proc/self/limits",
                "Limit Soft Hard Units\nMax locked memory 8388608 8388608 bytes\nMax realtime priority unlimited 99\n",
            ),
            ("proc/self/status", "CapEff:\t0000000000004000\n"),
            ("proc/cpuinfo", "processor\t: 0\nflags\t\t: fpu hypervisor lahf_lm\n"),
            ("proc/meminfo", "SwapTotal:       2048 kB\n"),
        ]);
        assert_eq!(host.memlock_limit_bytes.value, Some(Limit::At(8_388_608)));
        assert_eq!(host.priority_limit.value, Some(Limit::Unlimited));
        assert_eq!((host.may_use_fifo.value, host.may_lock_memory.value), (Some(false), Some(true)));
        assert_eq!((host.is_virtual.value, host.swap_kb.value), (Some(true), Some(2048)));
    }

    #[test]
    fn what_spoils_timing_in_the_background_is_read() {
        let host = machine(&[
            ("sys/devices/system/cpu/smt/active", "1\n"),
            ("sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never\n"),
            ("proc/sys/vm/compact_unevictable_allowed", "0\n"),
            ("proc/sys/kernel/numa_balancing", "2\n"),
            ("sys/devices/system/cpu/nohz_full", "2-3\n"),
            ("proc/sys/kernel/osrelease", "6.1.0\n"),
            ("boot/config-6.1.0", "CONFIG_RT_MUTEXES=y\nCONFIG_RT_GROUP_SCHED=y\n"),
        ]);
        assert_eq!((host.is_smt_active.value, host.huge_pages.value), (Some(true), Some(HugePages::OnRequest)));
        assert_eq!((host.moves_locked_pages.value, host.balances_numa.value), (Some(false), Some(true)));
        assert_eq!(machine(&[]).moves_locked_pages.value, None);
        assert_eq!(host.cpus_tickless.value.as_deref(), Some("2-3"));
        assert_eq!(host.has_rt_groups.value, Some(true));
        let without =
            [("proc/sys/kernel/osrelease", "6.1.0"), ("boot/config-6.1.0", "# CONFIG_RT_GROUP_SCHED is not set")];
        assert_eq!(machine(&without).has_rt_groups.value, Some(false));
        let budget = ("sys/fs/cgroup/cpu/cpu.rt_runtime_us", "950000\n");
        assert_eq!(machine(&[budget]).has_rt_groups.value, Some(true));
    }

    #[test]
    fn interrupts_of_a_cpu_are_found_by_where_they_are_delivered() {
        let root = tempfile::tempdir().expect("a directory");
        for (irq, list) in [("9", "0-1\n"), ("24", "1\n"), ("25", "0\n"), ("26", "3,5-7\n")] {
            fs::create_dir(root.path().join(irq)).expect("a directory");
            fs::write(root.path().join(irq).join("effective_affinity_list"), list).expect("a file");
        }
        assert_eq!(irqs_below(root.path(), 1), Some(vec![9, 24]));
        assert_eq!(irqs_below(root.path(), 6), Some(vec![26]));
        assert_eq!(irqs_below(root.path(), 4), Some(vec![]));
        assert_eq!(irqs_below(&root.path().join("none"), 0), None);
    }

    #[test]
    fn stolen_time_is_that_of_the_cpu_and_not_of_its_namesake() {
        let stat = "cpu 1 2 3 4 5 6 7 8 9 10\ncpu1 1 2 3 4 5 6 7 80 9 10\ncpu11 1 2 3 4 5 6 7 90 9 10\n";
        assert_eq!((stolen(stat, 1), stolen(stat, 11), stolen(stat, 2)), (Some(80), Some(90), None));
    }

    #[test]
    fn this_machine_has_a_kernel_and_cpus() {
        let host = Host::read();
        assert!(host.kernel.value.is_some() && host.cpus_online.value.is_some());
    }
}
