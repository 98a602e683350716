//! A writer process that is killed, or stopped, before each of its stores in turn.
#![cfg(not(loom))]

use std::io::Read;
use std::os::fd::AsRawFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, Signal, WaitOptions};
use shm::discipline::Discipline;
use shm::{Access, Segment, SegmentKind, Spec, triple};

/// The writer's environment: descriptor, number of the store, signal before it.
const PLAN: &str = "SHM_CRASH_PLAN";
const WORDS: usize = 8;
const PUBLICATIONS: u64 = 3;
/// Stores of one publication: the words and the exchange.
const STORES: u64 = WORDS as u64 + 1;

/// The right orderings, and a signal to ourselves before one of the stores.
struct Doomed;

static STORES_DONE: AtomicU64 = AtomicU64::new(0);
static DOOM: OnceLock<(u64, Signal)> = OnceLock::new();

impl Discipline for Doomed {
    const LOAD: Ordering = Ordering::Acquire;
    const STORE: Ordering = Ordering::Release;
    const SWAP: Ordering = Ordering::AcqRel;

    fn fence_acquire() {
        std::sync::atomic::fence(Ordering::Acquire);
    }
    fn fence_release() {
        std::sync::atomic::fence(Ordering::Release);
    }
    fn before_store() {
        let (doomed_store, signal) = DOOM.get().expect("the plan is set before the first store");
        if STORES_DONE.fetch_add(1, Ordering::Relaxed) == *doomed_store {
            rustix::process::kill_process(rustix::process::getpid(), *signal).unwrap();
            // A stop may reach this thread late: wait here in any case, until the parent closes the pipe.
            let _ = std::io::stdin().read(&mut [0]);
        }
    }
}

/// Not a test of its own: what the writer process runs. Without a plan it does nothing.
#[test]
fn writer_process() {
    let Ok(plan) = std::env::var(PLAN) else {
        return;
    };
    let fields: Vec<&str> = plan.split(' ').collect();
    let [descriptor, store, signal] = fields[..] else {
        panic!("the plan has three fields");
    };
    let signal = if signal == "stop" { Signal::STOP } else { Signal::KILL };
    DOOM.set((store.parse().unwrap(), signal)).unwrap();
    // The inherited descriptor, opened anew: so it needs no unsafe adoption by number.
    let path = format!("/proc/self/fd/{descriptor}");
    let descriptor = rustix::fs::open(path, OFlags::RDWR | OFlags::CLOEXEC, Mode::empty()).unwrap();
    let segment = Segment::attach(descriptor, Access::ReadWrite, SegmentKind::Weights).unwrap();
    let mut writer = triple::Writer::<Doomed>::with_discipline(&segment).unwrap();
    for n in 1..=PUBLICATIONS {
        writer.publish(&[n; WORDS]).unwrap();
    }
}

/// A child that does not outlive its test.
struct Leashed(Child);

impl Drop for Leashed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Leashed {
    fn writer(segment: &Segment, store: u64, signal: &str) -> Self {
        // Without CLOEXEC: the child inherits it under the same number.
        let inherited = rustix::io::dup(segment.as_fd()).unwrap();
        let plan = format!("{} {store} {signal}", inherited.as_raw_fd());
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["writer_process", "--exact", "--quiet"])
            .env(PLAN, plan)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn();
        Self(child.unwrap())
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.0)
    }
}

fn newest(reader: &mut triple::Reader) -> [u64; WORDS] {
    let mut value = [0; WORDS];
    reader.update().unwrap();
    reader.copy_into(0, &mut value).unwrap();
    value
}

#[test]
fn f01_a_writer_killed_before_any_store_leaves_a_whole_value() {
    for store in 0..=PUBLICATIONS * STORES {
        let segment = Segment::create(&Spec::weights(WORDS)).unwrap();
        let mut reader = triple::Reader::new(&segment).unwrap();
        let mut writer = Leashed::writer(&segment, store, "kill");
        let status = writer.0.wait().unwrap();
        if store < PUBLICATIONS * STORES {
            assert_eq!(status.signal(), Some(9), "store {store}");
        } else {
            assert!(status.success());
        }
        assert_eq!(newest(&mut reader), [store / STORES; WORDS], "store {store}");
    }
}

#[test]
fn f02_a_stopped_writer_that_wakes_up_cannot_disturb_its_successor() {
    for store in (0..PUBLICATIONS * STORES).step_by(2) {
        let stale = Segment::create(&Spec::weights(WORDS).generation(1)).unwrap();
        let mut reader = triple::Reader::new(&stale).unwrap();
        let mut writer = Leashed::writer(&stale, store, "stop");
        let (_, status) =
            rustix::process::waitpid(Some(writer.pid()), WaitOptions::UNTRACED).unwrap().expect("a waited-for child");
        assert!(status.stopped(), "store {store}");
        assert_eq!(newest(&mut reader), [store / STORES; WORDS], "store {store}");

        let fresh = Segment::create(&Spec::weights(WORDS).generation(2)).unwrap();
        reader = triple::Reader::new(&fresh).unwrap();
        let mut successor = triple::Writer::new(&fresh).unwrap();
        successor.publish(&[100; WORDS]).unwrap();
        rustix::process::kill_process(writer.pid(), Signal::CONT).unwrap();
        assert!(writer.0.wait().unwrap().success(), "store {store}");
        assert_eq!(newest(&mut reader), [100; WORDS], "store {store}");
    }
}
