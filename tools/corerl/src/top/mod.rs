//! `corerl shm top`: a running agent on one screen, as htop shows a machine.
//!
//! # Contract
//! - Looking changes nothing: see crate `watch`. No cycle knows that anybody looks, and killing this changes none.
//! - The [`eye`] asks and reads in a thread of its own; whoever draws never waits for a runtime.
//! - What is seen of an agent is its [`model`]; how it looks is the [`view`]; what the person chose is the [`state`]. All three
//!   are pure.
//! - A runtime that ends, is replaced or stands still is said to; the screen stays and goes on when one is back.

mod eye;
mod model;
mod state;
mod view;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use clap::Args;
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::{TerminalOptions, Viewport};
use rt_core::ports::Clock;
use rt_sys::MonotonicClock;
use shm_layout::CycleRef;
use watch::{Agents, From};

use self::eye::{Eye, Looking, Seen, lock};
use self::model::Model;
use self::state::{Asked, State, Tab};
use self::view::{Moment, Picture};
use crate::failure::{Exit, Failure};
use crate::output::print_text;
use crate::screen::{Happened, Screen, Theme};
use crate::target::Target;

/// How often it may look at most, and at least.
const EVERY: std::ops::RangeInclusive<Duration> = Duration::from_millis(50)..=Duration::from_secs(60);
/// How often it draws at least: ages go on, and another size of the terminal is noticed.
const DRAW_EVERY: Duration = Duration::from_secs(1);
/// How long `--once` looks.
const ONCE: Duration = Duration::from_secs(1);
/// Looks of `--once`.
const ONCE_LOOKS: u32 = 5;

#[derive(Debug, Args)]
pub(crate) struct TopArguments {
    #[command(flatten)]
    target: Target,
    /// How often to look.
    #[arg(long, value_name = "TIME", default_value = "200ms", value_parser = every)]
    every: Duration,
    /// Use no colour; so does NO_COLOR in the environment.
    #[arg(long)]
    no_colour: bool,
    /// The tab to begin with.
    #[arg(long, default_value = "overview", value_parser = tab)]
    tab: Tab,
    /// Look for a second, print one screen as text, and end.
    #[arg(long, hide = true)]
    once: bool,
    /// The size of that screen.
    #[arg(long, hide = true, value_name = "COLUMNSxROWS", default_value = "80x24", value_parser = size)]
    size: (u16, u16),
}

fn every(text: &str) -> Result<Duration, String> {
    let every = Duration::from_nanos(rt_config::duration(text)?.as_ns());
    if EVERY.contains(&every) { Ok(every) } else { Err("write 50ms to 60s".into()) }
}

fn tab(text: &str) -> Result<Tab, String> {
    Tab::ALL.into_iter().find(|tab| tab.name() == text).ok_or_else(|| {
        let names: Vec<_> = Tab::ALL.iter().map(|tab| tab.name()).collect();
        format!("there are {}", names.join(", "))
    })
}

fn size(text: &str) -> Result<(u16, u16), String> {
    let sides = text.split_once('x').and_then(|(columns, rows)| Some((columns.parse().ok()?, rows.parse().ok()?)));
    sides
        .filter(|(columns, rows)| (1..=1000).contains(columns) && (1..=1000).contains(rows))
        .ok_or("write 80x24".into())
}

pub(crate) fn run(arguments: &TopArguments) -> Result<Exit, Failure> {
    let target = &arguments.target;
    if !is_one_of_several(target)? {
        // Whether it is there, and if not, why: in the words of every command.
        target.connect()?;
    }
    let wanted: Vec<String> = target.agent.iter().map(|label| label.trim_end_matches("@main").to_owned()).collect();
    let seen = Seen::of(wanted.first().map(String::as_str));
    let eye = Eye::new(Agents::below(target.directory.path(), From::Oldest).only(wanted));
    let state = State::on(arguments.tab);
    if arguments.once { once(arguments, eye, seen, state) } else { watch(arguments, eye, seen, state) }
}

/// Several agents are running and none was named: there is a chooser for that.
fn is_one_of_several(target: &Target) -> Result<bool, Failure> {
    match &target.agent {
        Some(label) if label.ends_with(rt_control::STANDBY) => Err(Failure::new(
            Exit::Usage,
            format_args!("{label} stands by: name the runtime that leads; `corerl agent status` shows both"),
        )),
        Some(_) => Ok(false),
        None => Ok(target.directory.running()?.iter().filter(|(address, _)| !address.is_standby()).count() > 1),
    }
}

/// One screen as text.
fn once(arguments: &TopArguments, mut eye: Eye, seen: Seen, mut state: State) -> Result<Exit, Failure> {
    let theme = Theme { colour: false, ..Theme::of_environment(true) };
    let seen = Mutex::new(seen);
    for _ in 0..ONCE_LOOKS {
        eye.look(&seen);
        std::thread::sleep(ONCE / ONCE_LOOKS);
    }
    eye.look(&seen);
    let (width, height) = arguments.size;
    let mut buffer = Buffer::empty(Rect::new(0, 0, width, height));
    draw(&lock(&seen), &mut state, theme, now(), None, &mut buffer);
    print_text(&view::text(&buffer))?;
    Ok(Exit::Fine)
}

fn watch(arguments: &TopArguments, eye: Eye, seen: Seen, mut state: State) -> Result<Exit, Failure> {
    let theme = Theme::of_environment(arguments.no_colour);
    let mut screen =
        Screen::open("use `corerl shm dump` or `corerl shm watch` for text, or run it in a terminal (ssh -t)")?;
    let seen = Arc::new(Mutex::new(seen));
    let looking = Looking::start(eye, Arc::clone(&seen), arguments.every)
        .map_err(|error| Failure::io("cannot start a thread", &error))?;
    let mut frozen: Option<Still> = None;
    loop {
        let drawn = screen.draw(|frame| {
            let buffer = frame.buffer_mut();
            match &frozen {
                Some(Still { seen, moment }) => {
                    draw(seen, &mut state, theme, *moment, Some(moment.now.elapsed()), buffer);
                }
                None => draw(&lock(&seen), &mut state, theme, now(), None, buffer),
            }
        });
        if drawn.is_err() {
            // The terminal has gone away, and with it whoever could be told.
            return Ok(Exit::Fine);
        }
        if !looking.is_alive() {
            return Err(Failure::new(Exit::Internal, "whatever looks at the agents has failed"));
        }
        let asked = match screen.wait(arguments.every.min(DRAW_EVERY)) {
            Happened::Key(key) => state.take(key),
            Happened::Nothing => Asked::Nothing,
            Happened::End => Asked::Quit,
        };
        match asked {
            Asked::Nothing => {}
            Asked::Quit => return Ok(Exit::Fine),
            Asked::Freeze => {
                frozen = match frozen.take() {
                    Some(_) => None,
                    None => Some(Still { seen: lock(&seen).clone(), moment: now() }),
                };
            }
            Asked::Redraw => {
                if screen.clear().is_err() {
                    return Ok(Exit::Fine);
                }
            }
            Asked::NextAgent | Asked::PreviousAgent => {
                frozen = None;
                let mut seen = lock(&seen);
                if asked == Asked::NextAgent {
                    seen.turn(1)
                } else {
                    seen.turn_back()
                }
                looking.again();
            }
        }
    }
}

/// What was seen when the picture was frozen.
struct Still {
    seen: Seen,
    moment: Moment,
}

fn now() -> Moment {
    Moment { now: Instant::now(), now_ns: MonotonicClock::new().now().as_ns() }
}

fn draw(seen: &Seen, state: &mut State, theme: Theme, moment: Moment, frozen: Option<Duration>, buffer: &mut Buffer) {
    let nobody = Model::default();
    let (label, place, of, model) = seen.chosen().unwrap_or(("no agent", 0, 0, &nobody));
    let picture = Picture { model, state, theme, moment, agent: (label, place, of), frozen };
    let drawn = picture.draw(buffer);
    state.drawn(drawn);
}

/// The same screen over somebody else's cycle records, drawn into nothing: what watches in `corerl bench watch`.
pub(crate) struct Bystander {
    model: Model,
    state: State,
    terminal: Terminal<CrosstermBackend<std::io::Sink>>,
}

impl Bystander {
    pub(crate) fn new() -> std::io::Result<Self> {
        let options = TerminalOptions { viewport: Viewport::Fixed(Rect::new(0, 0, 80, 24)) };
        let terminal = Terminal::with_options(CrosstermBackend::new(std::io::sink()), options)?;
        Ok(Self { model: Model::default(), state: State::default(), terminal })
    }

    /// Takes in a cycle that was read.
    pub(crate) fn cycle(&mut self, record: &CycleRef<'_>) {
        self.model.cycle(record);
    }

    /// Draws it, one tab after the other.
    pub(crate) fn draw(&mut self) -> std::io::Result<()> {
        let Self { model, state, terminal } = self;
        let theme = Theme { colour: true, unicode: true };
        terminal.draw(|frame| {
            let picture = Picture { model, state, theme, moment: now(), agent: ("bench", 0, 1), frozen: None };
            picture.draw(frame.buffer_mut());
        })?;
        state.next_tab();
        model.begin_look();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_bounded_and_names_what_there_is() {
        assert_eq!(every("200ms"), Ok(Duration::from_millis(200)));
        assert!(every("1ms").is_err() && every("2h").is_err() && every("soon").is_err());
        assert_eq!((size("80x24"), size("140x50")), (Ok((80, 24)), Ok((140, 50))));
        assert!(["80", "0x24", "80x", "99999x2"].iter().all(|text| size(text).is_err()));
        assert_eq!(tab("threads"), Ok(Tab::Threads));
        assert!(tab("thread").unwrap_err().contains("threads"));
    }

    #[test]
    fn a_bystander_draws_every_tab_over_bare_records() {
        let mut bystander = Bystander::new().unwrap();
        for _ in 0..Tab::ALL.len() {
            model::examples::cycles(&mut bystander.model, 2, 3, 10);
            bystander.draw().unwrap();
        }
        assert_eq!(bystander.state.tab, Tab::Overview);
    }
}
