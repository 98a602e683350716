//! The terminal: taken for a screen, and given back.

use std::io::{self, IsTerminal, Stdout, Write};
use std::mem::ManuallyDrop;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::{cursor, execute, terminal};
use ratatui::{Frame, Terminal};
use rt_sys::{Signal, Signals};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::time::Timespec;

use super::keys::{Key, Keys};
use crate::failure::{Exit, Failure};

/// An escape that nothing follows for so long was the key; what a terminal sends itself comes faster, over ssh too.
const ESCAPE_SETTLES: Duration = Duration::from_millis(60);

/// A terminal in raw mode, on its alternate screen. Dropping it gives it back.
pub(crate) struct Screen {
    /// Never dropped: dropping it complains to standard error, and panics when that has gone with the terminal.
    terminal: ManuallyDrop<Terminal<CrosstermBackend<Stdout>>>,
    signals: Signals,
    keys: Keys,
    /// When the last byte came.
    heard: Instant,
}

/// What came before the time was over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Happened {
    Key(Key),
    /// Nothing.
    Nothing,
    /// A signal asks the program to end, or the terminal has gone away.
    End,
}

impl Screen {
    /// Takes the terminal. To be called on the main thread before any other exists, because signals are taken, too.
    ///
    /// # Errors
    /// There is no terminal: `instead` says what to use then.
    pub(crate) fn open(instead: &str) -> Result<Self, Failure> {
        if !io::stdout().is_terminal() || !io::stdin().is_terminal() {
            let message = format!("this needs a terminal, and standard input or output is none: {instead}");
            return Err(Failure::new(Exit::Usage, message));
        }
        let refused = |error: io::Error| Failure::io("cannot use the terminal", &error);
        let signals = Signals::block().map_err(refused)?;
        give_back_on_panic();
        terminal::enable_raw_mode().map_err(refused)?;
        let opened = execute!(io::stdout(), terminal::EnterAlternateScreen, cursor::Hide)
            .and_then(|()| Terminal::new(CrosstermBackend::new(io::stdout())));
        match opened {
            Ok(terminal) => Ok(Self {
                terminal: ManuallyDrop::new(terminal),
                signals,
                keys: Keys::default(),
                heard: Instant::now(),
            }),
            Err(error) => {
                give_back();
                Err(refused(error))
            }
        }
    }

    /// Draws; a terminal of another size than the last time is measured anew.
    ///
    /// # Errors
    /// The terminal has gone away.
    pub(crate) fn draw(&mut self, view: impl FnOnce(&mut Frame<'_>)) -> io::Result<()> {
        self.terminal.draw(view).map(|_| ())
    }

    /// Draws everything anew, whatever another program has written over it.
    ///
    /// # Errors
    /// The terminal has gone away.
    pub(crate) fn clear(&mut self) -> io::Result<()> {
        self.terminal.clear()
    }

    /// What comes next, for so long at most.
    pub(crate) fn wait(&mut self, at_most: Duration) -> Happened {
        let end = Instant::now() + at_most;
        loop {
            if let Some(key) = self.keys.next() {
                return Happened::Key(key);
            }
            let left = end.saturating_duration_since(Instant::now());
            let unsettled = ESCAPE_SETTLES.saturating_sub(self.heard.elapsed());
            if self.keys.is_waiting()
                && unsettled.is_zero()
                && let Some(key) = self.keys.settle()
            {
                return Happened::Key(key);
            }
            let patience = if self.keys.is_waiting() { left.min(unsettled) } else { left };
            let ready = match self.ready(patience) {
                Ok(ready) => ready,
                Err(End) => return Happened::End,
            };
            if ready && self.read().is_err() {
                return Happened::End;
            }
            if !ready && left.is_zero() {
                return Happened::Nothing;
            }
        }
    }

    /// Whether there is something to read.
    fn ready(&self, at_most: Duration) -> Result<bool, End> {
        let input = io::stdin();
        let mut watched = [PollFd::new(&input, PollFlags::IN), PollFd::new(&self.signals, PollFlags::IN)];
        let seconds = i64::try_from(at_most.as_secs()).unwrap_or(i64::MAX);
        let timeout = Timespec { tv_sec: seconds, tv_nsec: at_most.subsec_nanos().into() };
        match poll(&mut watched, Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(_) => return Err(End),
        }
        let [terminal, signals] = watched.map(|of| of.revents());
        if signals.contains(PollFlags::IN) {
            while let Some(signal) = self.signals.next() {
                if signal.asks_to_stop() || signal == Signal::HangUp {
                    return Err(End);
                }
            }
        }
        if terminal.intersects(PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL) {
            return Err(End);
        }
        Ok(terminal.contains(PollFlags::IN))
    }

    fn read(&mut self) -> Result<(), End> {
        let mut bytes = [0; 256];
        match rustix::io::read(io::stdin().as_fd(), &mut bytes) {
            Ok(0) => Err(End),
            Ok(length) => {
                self.heard = Instant::now();
                self.keys.take(bytes.get(..length).unwrap_or_default());
                Ok(())
            }
            Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => Ok(()),
            Err(_) => Err(End),
        }
    }
}

/// There is nobody to draw for any more.
struct End;

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
    }
}

/// A terminal that is gone takes nothing back, so errors mean nothing here.
fn give_back() {
    let _ = execute!(io::stdout(), cursor::Show, terminal::LeaveAlternateScreen);
    let _ = terminal::disable_raw_mode();
    let _ = io::stdout().flush();
}

/// A release build aborts on a panic, and drops nothing: its message comes after the terminal was given back.
fn give_back_on_panic() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        give_back();
        report(panic);
    }));
}
