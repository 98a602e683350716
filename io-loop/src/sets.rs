//! The way of setpoint sets from the control thread to an io thread: the newest one alone, and how many others it replaced.

use rt_core::setpoint::{SETPOINTS_MAX, SetpointSet};
use rt_core::time::MonoTime;
use shm::cell;

/// A set with its place among all that were handed over, from 1 on; 0 was not.
#[derive(Clone, Copy, Debug)]
struct Numbered {
    number: u64,
    set: SetpointSet,
}

impl Numbered {
    const NONE: Self = Self {
        number: 0,
        set: SetpointSet {
            cycle: 0,
            expires: MonoTime::ZERO,
            values: [None; SETPOINTS_MAX],
            heartbeat: None,
            alarms: None,
        },
    };
}

/// The control thread's end.
#[derive(Debug)]
pub struct SetSender {
    cell: cell::Writer<Numbered>,
    handed_over: u64,
}

/// The io thread's end.
#[derive(Debug)]
pub struct NewestSet {
    cell: cell::Reader<Numbered>,
    taken: u64,
}

/// The way from one control thread to one io thread. There is always room: a ring would be full of old sets whenever the plant is
/// slower than it is long, and the newest would be lost.
///
/// # Real-time
/// Not for the real-time thread.
pub fn sets() -> (SetSender, NewestSet) {
    let (writer, reader) = cell::channel([Numbered::NONE; 3]);
    (SetSender { cell: writer, handed_over: 0 }, NewestSet { cell: reader, taken: 0 })
}

impl SetSender {
    /// Hands a set over, in place of the one before if that was not taken yet.
    ///
    /// # Real-time
    /// Wait-free.
    pub fn send(&mut self, set: &SetpointSet) {
        self.handed_over += 1;
        *self.cell.back_mut() = Numbered { number: self.handed_over, set: *set };
        self.cell.publish();
    }
}

impl NewestSet {
    /// The newest set, if it is another one than the last, and how many between the two were never taken.
    ///
    /// # Real-time
    /// Wait-free.
    pub fn take(&mut self) -> Option<(SetpointSet, u64)> {
        if !self.cell.update() {
            return None;
        }
        let Numbered { number, set } = *self.cell.get();
        let passed_over = number.saturating_sub(self.taken).saturating_sub(1);
        self.taken = number;
        Some((set, passed_over))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_set_is_taken_once_and_says_how_many_it_replaced() {
        let (mut sender, mut newest) = sets();
        assert_eq!(newest.take(), None);
        for burst in [1, 3, 1000] {
            for cycle in 1..=burst {
                sender.send(&SetpointSet { cycle, ..Numbered::NONE.set });
            }
            let (set, passed_over) = newest.take().unwrap();
            assert_eq!((set.cycle, passed_over), (burst, burst - 1));
            assert_eq!(newest.take(), None);
        }
    }
}
