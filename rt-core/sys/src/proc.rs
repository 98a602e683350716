//! What the kernel tells of a thread in `/proc`, and the parsers for it.

use std::io;
use std::path::PathBuf;

use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags};

/// A `stat` line has 52 fields; the longest numbers and a name of 16 bytes fit with room.
const STAT_BYTES_MAX: usize = 2048;

/// Page faults since a thread began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// Served without reading from disk.
    pub minor: u64,
    /// Served from disk.
    pub major: u64,
}

impl Faults {
    /// Faults since `earlier`.
    pub const fn since(self, earlier: Self) -> Self {
        Self { minor: self.minor.saturating_sub(earlier.minor), major: self.major.saturating_sub(earlier.major) }
    }
}

/// How the kernel schedules a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scheduling {
    /// The kernel's number of the policy: 0 other, 1 FIFO, 2 round robin, 3 batch, 5 idle, 6 deadline.
    pub policy: u32,
    /// The real-time priority, 1 to 99; zero without one.
    pub priority: u8,
}

impl Scheduling {
    /// The policy is FIFO, round robin or deadline.
    pub const fn is_realtime(self) -> bool {
        matches!(self.policy, 1 | 2 | 6)
    }
}

/// A thread of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// Its number.
    pub tid: i32,
    /// Its name, at most 15 bytes.
    pub name: String,
    /// How it is scheduled.
    pub scheduling: Scheduling,
    /// It belongs to the kernel.
    pub is_kernel: bool,
    /// The CPU on which it ran last.
    pub cpu: usize,
    /// Its page faults so far.
    pub faults: Faults,
}

/// All threads that have a real-time policy at present, as far as `/proc` shows them.
pub fn realtime_tasks() -> Vec<Task> {
    let processes = entries("/proc").filter_map(|path| path.file_name()?.to_str()?.parse().ok());
    processes.flat_map(tasks_of).filter(|task| task.scheduling.is_realtime()).collect()
}

/// The threads of process `pid`; none when there is no such process.
pub fn tasks_of(pid: u32) -> Vec<Task> {
    // A thread may end while it is looked at.
    let read = |thread: PathBuf| parse_task(&std::fs::read_to_string(thread.join("stat")).ok()?);
    entries(&format!("/proc/{pid}/task")).filter_map(read).collect()
}

fn entries(directory: &str) -> impl Iterator<Item = PathBuf> + use<> {
    std::fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path())
}

/// The kernel's number of the calling thread.
pub fn current_tid() -> i32 {
    rustix::thread::gettid().as_raw_nonzero().get()
}

/// Page faults of the calling thread.
///
/// # Errors
/// `/proc` is not mounted or not readable.
pub fn page_faults() -> io::Result<Faults> {
    read_faults(&open_stat(current_tid())?)
}

/// Policy and priority of thread `tid` of this process, as the kernel has them now.
///
/// # Errors
/// There is no such thread (any more), or `/proc` is not readable.
pub fn thread_scheduling(tid: i32) -> io::Result<Scheduling> {
    read_scheduling(&open_stat(tid)?)
}

pub(crate) fn open_stat(tid: i32) -> io::Result<OwnedFd> {
    let path = format!("/proc/self/task/{tid}/stat");
    Ok(rustix::fs::open(path.as_str(), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?)
}

pub(crate) fn read_faults(stat: &OwnedFd) -> io::Result<Faults> {
    read_stat(stat, parse_faults)
}

pub(crate) fn read_scheduling(stat: &OwnedFd) -> io::Result<Scheduling> {
    read_stat(stat, parse_scheduling)
}

/// Reads the line as it is now, into the stack, so that asking does not disturb what is asked about.
fn read_stat<T>(stat: &OwnedFd, parse: fn(&str) -> Option<T>) -> io::Result<T> {
    let mut bytes = [0_u8; STAT_BYTES_MAX];
    let length = rustix::io::pread(stat, &mut bytes, 0)?;
    let text = bytes.get(..length).and_then(|line| std::str::from_utf8(line).ok());
    text.and_then(parse)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "a thread's stat is not in the known form"))
}

/// Field `number` of a `stat` line as proc(5) counts them, from 3 on. The second field is the thread's name in
/// parentheses and may itself contain spaces and parentheses, so counting begins behind the last one.
fn stat_field(line: &str, number: usize) -> Option<&str> {
    let (_, rest) = line.rsplit_once(')')?;
    rest.split_ascii_whitespace().nth(number.checked_sub(3)?)
}

fn parse_faults(line: &str) -> Option<Faults> {
    Some(Faults { minor: stat_field(line, 10)?.parse().ok()?, major: stat_field(line, 12)?.parse().ok()? })
}

fn parse_task(line: &str) -> Option<Task> {
    /// Flag of a kernel thread, from the kernel's `sched.h`.
    const PF_KTHREAD: u64 = 0x0020_0000;
    let (tid, rest) = line.split_once(" (")?;
    Some(Task {
        tid: tid.parse().ok()?,
        name: rest.rsplit_once(')')?.0.to_owned(),
        scheduling: parse_scheduling(line)?,
        faults: parse_faults(line)?,
        is_kernel: stat_field(line, 9)?.parse::<u64>().ok()? & PF_KTHREAD != 0,
        cpu: stat_field(line, 39)?.parse().ok()?,
    })
}

fn parse_scheduling(line: &str) -> Option<Scheduling> {
    Some(Scheduling { priority: stat_field(line, 40)?.parse().ok()?, policy: stat_field(line, 41)?.parse().ok()? })
}

/// The value of `key` in text with lines `Key:  value [kB]`, as in `/proc/self/status` and `/proc/meminfo`.
pub(crate) fn keyed<'text>(text: &'text str, key: &str) -> Option<&'text str> {
    text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':')).map(str::trim)
}

/// The same as a number of kilobytes.
pub(crate) fn keyed_kb(text: &str, key: &str) -> Option<u64> {
    keyed(text, key)?.strip_suffix("kB")?.trim().parse().ok()
}

/// Bits of the effective capabilities, from capability(7).
pub(crate) const CAP_IPC_LOCK: u32 = 14;
pub(crate) const CAP_SYS_NICE: u32 = 23;

/// Whether the text of `/proc/self/status` shows effective capability number `bit`.
pub(crate) fn has_capability(status: &str, bit: u32) -> bool {
    let effective = keyed(status, "CapEff").and_then(|hex| u64::from_str_radix(hex, 16).ok());
    effective.is_some_and(|set| set >> bit & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A line whose field n holds n, except for the name, which is meant to confuse, and the policy.
    fn stat_line() -> String {
        let fields = (3..=52).map(|number| if number == 41 { 1 } else { number }.to_string());
        format!("4711 (a) (b c) {}", fields.collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn a_stat_line_is_counted_from_behind_the_name_whatever_the_name() {
        assert_eq!(parse_faults(&stat_line()), Some(Faults { minor: 10, major: 12 }));
        assert_eq!(parse_scheduling(&stat_line()), Some(Scheduling { policy: 1, priority: 40 }));
    }

    #[test]
    fn a_real_time_thread_is_told_from_an_ordinary_one_and_the_kernels_from_ours() {
        let found = parse_task(&stat_line()).expect("it is complete");
        assert_eq!((found.tid, found.name.as_str(), found.cpu, found.is_kernel), (4711, "a) (b c", 39, false));
        assert_eq!(found.scheduling, Scheduling { policy: 1, priority: 40 });
        assert_eq!(found.faults, Faults { minor: 10, major: 12 });
        let kernel = stat_line().replace(" 9 ", " 2097216 ");
        assert!(parse_task(&kernel).expect("as above").is_kernel);
        let ordinary = stat_line().replace(" 40 1 ", " 0 0 ");
        assert!(found.scheduling.is_realtime() && !parse_task(&ordinary).expect("as above").scheduling.is_realtime());
    }

    #[test]
    fn a_thread_of_this_process_is_listed_while_it_has_a_priority() {
        let (granted, found) = std::thread::spawn(|| {
            let granted = crate::RealtimeRequest { cpu: None, priority: Some(2) }.apply();
            (granted, realtime_tasks().into_iter().any(|task| task.tid == current_tid()))
        })
        .join()
        .expect("no panic");
        assert_eq!(found, !granted.is_degraded());
    }

    #[test]
    fn a_stat_line_that_ends_too_early_is_refused() {
        let line = stat_line();
        let end = line.find(" 40 ").expect("the line has the field") + " 40 ".len();
        for end in 0..end {
            assert_eq!(parse_scheduling(&line[..end]), None, "cut at {end}");
        }
    }

    #[test]
    fn the_own_threads_faults_are_counted_and_a_foreign_thread_is_not_found() {
        let before = page_faults().expect("/proc is mounted");
        drop(std::hint::black_box(vec![1_u8; 8 << 20]));
        let after = page_faults().expect("/proc is mounted");
        assert!(after.since(before).minor > 0);
        assert!(thread_scheduling(i32::MAX).is_err());
        assert!(thread_scheduling(current_tid()).expect("/proc is mounted").priority <= 99);
    }

    #[test]
    fn keys_and_capabilities_are_read_exactly() {
        let status = "VmLck:\t      84 kB\nVmLckX:\t 1 kB\nCapEff:\t0000000000804000\n";
        assert_eq!(keyed_kb(status, "VmLck"), Some(84));
        assert_eq!(keyed_kb(status, "Vm"), None);
        assert!(has_capability(status, CAP_IPC_LOCK) && has_capability(status, CAP_SYS_NICE));
        assert!(!has_capability(status, 0) && !has_capability("", CAP_IPC_LOCK));
    }
}
