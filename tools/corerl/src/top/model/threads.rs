//! The threads of the runtime and of its learner, as the kernel tells of them in `/proc`.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// The kernel counts a thread's CPU time for `/proc` in these, on every architecture that this runs on (USER_HZ).
const TICKS_PER_SECOND: f64 = 100.0;

/// How the kernel schedules a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::top) enum Policy {
    Other,
    Fifo,
    RoundRobin,
    Batch,
    Idle,
    Deadline,
    /// A number that is not known here.
    Unknown(u32),
}

impl Policy {
    fn of(number: u32) -> Self {
        match number {
            0 => Self::Other,
            1 => Self::Fifo,
            2 => Self::RoundRobin,
            3 => Self::Batch,
            5 => Self::Idle,
            6 => Self::Deadline,
            number => Self::Unknown(number),
        }
    }

    /// The kernel's own word.
    pub(in crate::top) const fn name(self) -> &'static str {
        match self {
            Self::Other => "OTHER",
            Self::Fifo => "FIFO",
            Self::RoundRobin => "RR",
            Self::Batch => "BATCH",
            Self::Idle => "IDLE",
            Self::Deadline => "DEADLINE",
            Self::Unknown(_) => "?",
        }
    }
}

/// One thread, since its start.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::top) struct Thread {
    pub(in crate::top) process: &'static str,
    pub(in crate::top) tid: u32,
    pub(in crate::top) name: String,
    pub(in crate::top) cpu: u32,
    pub(in crate::top) policy: Policy,
    pub(in crate::top) priority: u32,
    pub(in crate::top) minor_faults: u64,
    pub(in crate::top) major_faults: u64,
    /// It gave the CPU away by itself, and it was taken away; `None` where the kernel does not tell.
    pub(in crate::top) switches: Option<(u64, u64)>,
    /// CPU time, in ticks.
    ticks: u64,
    /// Share of one CPU between the last two looks; `None` at the first one.
    pub(in crate::top) share: Option<f64>,
}

/// What was seen of the processes at the last look.
#[derive(Clone, Debug, Default)]
pub(in crate::top) struct Processes {
    pub(in crate::top) threads: Vec<Thread>,
    /// What could not be seen, in words.
    pub(in crate::top) unseen: Vec<String>,
    looked: Option<Instant>,
}

impl Processes {
    /// Looks at these processes, by the names that they have here.
    pub(in crate::top) fn look(&mut self, processes: &[(&'static str, u32)], now: Instant) {
        self.look_below(Path::new("/proc"), processes, now);
    }

    fn look_below(&mut self, proc: &Path, processes: &[(&'static str, u32)], now: Instant) {
        let elapsed = self.looked.map(|before| now.saturating_duration_since(before).as_secs_f64());
        let before: HashMap<u32, u64> = self.threads.drain(..).map(|thread| (thread.tid, thread.ticks)).collect();
        self.unseen.clear();
        for &(process, pid) in processes {
            match threads_of(proc, process, pid) {
                Ok(threads) => self.threads.extend(threads),
                Err(error) => self.unseen.push(format!("the threads of the {process} (process {pid}): {error}")),
            }
        }
        for thread in &mut self.threads {
            let used = before.get(&thread.tid).map(|ticks| thread.ticks.saturating_sub(*ticks) as f64);
            let share = used.zip(elapsed.filter(|seconds| *seconds > 0.0));
            thread.share = share.map(|(ticks, seconds)| ticks / TICKS_PER_SECOND / seconds);
        }
        self.looked = Some(now);
    }
}

fn threads_of(proc: &Path, process: &'static str, pid: u32) -> std::io::Result<Vec<Thread>> {
    let tasks: PathBuf = proc.join(pid.to_string()).join("task");
    let mut threads = Vec::new();
    for entry in fs::read_dir(tasks)? {
        let task = entry?.path();
        // A thread that ended meanwhile has nothing to tell.
        let Ok(stat) = fs::read_to_string(task.join("stat")) else { continue };
        let status = fs::read_to_string(task.join("status")).unwrap_or_default();
        threads.extend(parse(process, &stat, &status));
    }
    threads.sort_by_key(|thread| thread.tid);
    Ok(threads)
}

/// A thread's `stat` and `status`, see proc(5); `None` for what is not of that form.
fn parse(process: &'static str, stat: &str, status: &str) -> Option<Thread> {
    // The name stands in parentheses and may hold any, too; nothing behind the last one does.
    let (tid, rest) = stat.split_once(" (")?;
    let (name, rest) = rest.rsplit_once(") ")?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    // proc(5) counts from 1, and the first field behind the name is its third.
    let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
    let switches = |key: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
        line.and_then(|count| count.trim().parse().ok())
    };
    Some(Thread {
        process,
        tid: tid.trim().parse().ok()?,
        name: super::printable(name),
        cpu: field(39)? as u32,
        policy: Policy::of(field(41)? as u32),
        priority: field(40)? as u32,
        minor_faults: field(10)?,
        major_faults: field(12)?,
        switches: switches("voluntary_ctxt_switches").zip(switches("nonvoluntary_ctxt_switches")),
        ticks: field(14)? + field(15)?,
        share: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const STATUS: &str = "Name:\tx\nvoluntary_ctxt_switches:\t70\nnonvoluntary_ctxt_switches:\t8\n";

    fn stat(ticks: u64) -> String {
        format!(
            "77 (control) 1) S 1 77 77 0 -1 4194304 12 0 3 0 {ticks} 5 0 0 -91 0 4 0 100 1 2 3 4 5 6 7 8 9 10 11 12 13 14 0 -1 1 90 1 0 0 0"
        )
    }

    fn write(dir: &Path, ticks: u64) {
        let task = dir.join("77/task/77");
        fs::create_dir_all(&task).unwrap();
        fs::write(task.join("stat"), stat(ticks)).unwrap();
        fs::write(task.join("status"), STATUS).unwrap();
    }

    #[test]
    fn a_thread_is_read_as_the_kernel_writes_it_even_with_parentheses_in_its_name() {
        let thread = parse("runtime", &stat(20), STATUS).unwrap();
        assert_eq!((thread.tid, thread.name.as_str(), thread.cpu), (77, "control) 1", 1));
        assert_eq!((thread.policy, thread.priority), (Policy::Fifo, 90));
        assert_eq!((thread.minor_faults, thread.major_faults, thread.switches), (12, 3, Some((70, 8))));
        assert_eq!(parse("runtime", &stat(20), "").unwrap().switches, None);
        assert_eq!(parse("runtime", "77 (x) S 1", STATUS), None);
    }

    #[test]
    fn the_share_of_a_cpu_is_what_was_used_between_two_looks() {
        let dir = tempfile::tempdir().unwrap();
        let (mut processes, start) = (Processes::default(), Instant::now());
        write(dir.path(), 100);
        processes.look_below(dir.path(), &[("runtime", 77)], start);
        assert_eq!(processes.threads[0].share, None);
        write(dir.path(), 150);
        processes.look_below(dir.path(), &[("runtime", 77)], start + Duration::from_secs(2));
        assert_eq!(processes.threads[0].share, Some(0.25));
    }

    #[test]
    fn a_process_that_cannot_be_seen_is_told_in_words() {
        let dir = tempfile::tempdir().unwrap();
        let mut processes = Processes::default();
        processes.look_below(dir.path(), &[("learner", 5)], Instant::now());
        assert!(processes.threads.is_empty());
        assert!(processes.unseen[0].starts_with("the threads of the learner (process 5): "), "{:?}", processes.unseen);
    }

    #[test]
    fn the_threads_of_this_process_are_there() {
        let mut processes = Processes::default();
        processes.look(&[("runtime", std::process::id())], Instant::now());
        assert!(processes.threads.iter().any(|thread| thread.tid == std::process::id()), "{processes:?}");
    }
}
