use std::time::{Duration, Instant};

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::style::Color;
use rt_core::envelope::Withheld;
use shm_layout::{EstimateRecord, EventKind, EventRecord};

use super::*;
use crate::screen::Key;
use crate::top::model::examples;

const PLAIN: Theme = Theme { colour: false, unicode: true };

/// A picture in a terminal of this size, and what its table holds.
fn draw(model: &Model, state: &State, theme: Theme, (width, height): (u16, u16), now: Instant) -> (Buffer, Drawn) {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    let mut drawn = Drawn::default();
    let moment = Moment { now, now_ns: 3_000_000_000 };
    let agent = ("works/ph", 0, 1);
    terminal
        .draw(|frame| {
            drawn = Picture { model, state, theme, moment, agent, frozen: None }.draw(frame.buffer_mut());
        })
        .unwrap();
    (terminal.backend().buffer().clone(), drawn)
}

fn shown(model: &Model, state: &State, size: (u16, u16)) -> String {
    text(&draw(model, state, PLAIN, size, Instant::now()).0)
}

/// An agent of which there is something on every tab.
fn example() -> Model {
    let mut model = Model::default();
    model.describe(&examples::description(77, &["PH_SP"], &["PH", "FLOW"]));
    model.status = Some(examples::status());
    examples::cycles(&mut model, 1, 2, 20);
    let mut started = EventRecord::new(EventKind::Started, 0, 500_000_000);
    started.set_text("process 77");
    let mut adopted = EventRecord::new(EventKind::PolicyAdopted, 12, 1_500_000_000);
    adopted.a = 4;
    adopted.set_text("generation 4");
    let mut bad = EventRecord::new(EventKind::TagBad, 15, 2_000_000_000);
    (bad.a, bad.uid) = (1, 1000);
    [started, adopted, bad].iter().for_each(|event| model.event(event));
    model.estimate(&EstimateRecord { cycle: 10, updates: 1, value: -1.5, spread: 0.25, nominal_value: -2.0 });
    model
}

/// Compares with a file that was looked at; `CORERL_BLESS=1` writes it anew.
fn golden(name: &str, found: &str) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/top/view/golden").join(name);
    if std::env::var_os("CORERL_BLESS").is_some() {
        std::fs::write(&path, found).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == expected, "{name} shows something else now:\n{found}");
}

#[test]
fn every_tab_looks_as_it_was_looked_at() {
    for tab in Tab::ALL.into_iter().filter(|tab| *tab != Tab::Threads) {
        for size in [(80, 24), (120, 40)] {
            let name = format!("{}-{}x{}.txt", tab.name(), size.0, size.1);
            golden(&name, &shown(&example(), &State::on(tab), size));
        }
    }
}

#[test]
fn without_colour_nothing_has_one_and_the_words_are_the_same() {
    let rich = Theme { colour: true, unicode: true };
    let colours = |buffer: &Buffer| buffer.content.iter().filter(|cell| cell.fg != Color::Reset).count();
    for tab in Tab::ALL {
        let [(with, _), (without, _)] =
            [rich, PLAIN].map(|theme| draw(&example(), &State::on(tab), theme, (80, 24), Instant::now()));
        assert!(colours(&with) > 0 && colours(&without) == 0, "{}", tab.name());
        assert_eq!(text(&with), text(&without));
    }
}

#[test]
fn without_unicode_every_character_is_ascii() {
    let theme = Theme { colour: true, unicode: false };
    for tab in Tab::ALL {
        let (buffer, _) = draw(&example(), &State::on(tab), theme, (80, 24), Instant::now());
        assert!(text(&buffer).is_ascii(), "{}", text(&buffer));
    }
}

#[test]
fn nothing_at_all_can_be_drawn_at_any_size() {
    for tab in Tab::ALL {
        for size in [(1, 1), (39, 8), (40, 8), (41, 9), (80, 24), (300, 3), (500, 100)] {
            draw(&Model::default(), &State::on(tab), PLAIN, size, Instant::now());
            draw(&example(), &State::on(tab), PLAIN, size, Instant::now());
        }
    }
}

#[test]
fn five_hundred_tags_with_long_names_are_scrolled_through_and_filtered() {
    let names: Vec<String> = (0..500).map(|n| format!("A_TAG_WITH_A_NAME_THAT_IS_TOO_LONG_{n:03}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut model = Model::default();
    model.describe(&examples::description(77, &[], &names));
    examples::cycles(&mut model, 0, 500, 2);
    let mut state = State::on(Tab::Tags);
    let (_, drawn) = draw(&model, &state, PLAIN, (120, 24), Instant::now());
    assert_eq!((drawn.rows, drawn.page), (500, 20));
    state.drawn(drawn);
    state.take(Key::End);
    let end = shown(&model, &state, (120, 24));
    assert!(end.contains("_499 ") && !end.contains("_000 "), "{end}");
    for key in ['/', '4', '9', '8'] {
        state.take(Key::Char(key));
    }
    let filtered = draw(&model, &state, PLAIN, (120, 24), Instant::now());
    assert_eq!(filtered.1.rows, 1);
    assert!(text(&filtered.0).contains("/498_"), "what is typed is seen");
}

#[test]
fn rows_are_in_the_order_of_a_column_and_what_is_no_number_comes_last() {
    let mut state = State::on(Tab::Tags);
    state.drawn(draw(&example(), &state, PLAIN, (80, 24), Instant::now()).1);
    let first = |state: &State| {
        let found = shown(&example(), state, (80, 24));
        found.lines().nth(3).unwrap().split(' ').next().unwrap().to_owned()
    };
    assert_eq!(first(&state), "PH");
    state.take(Key::Char('>'));
    assert_eq!(first(&state), "FLOW", "by name");
    state.take(Key::Char('>'));
    assert_eq!(first(&state), "PH", "by value: the other one has none");
    state.take(Key::Char('I'));
    assert_eq!(first(&state), "PH");
    assert!(shown(&example(), &state, (80, 24)).contains("valuev"));
}

#[test]
fn who_is_gone_who_is_silent_and_who_stands_still_is_said_on_every_tab() {
    let start = Instant::now();
    let mut gone = example();
    gone.miss(start, true, "not there");
    let mut silent = example();
    silent.miss(start, false, "no answer\x1b within 2 s");
    let mut still = example();
    still.count(Default::default(), start);
    let expected = [(&gone, "NOBODY THERE for 9"), (&silent, "NO ANSWER for 9"), (&still, "CYCLES STAND STILL for 9")];
    for tab in Tab::ALL {
        for (model, said) in expected {
            let (buffer, _) = draw(model, &State::on(tab), PLAIN, (80, 24), start + Duration::from_millis(9_500));
            assert!(text(&buffer).contains(said), "{}", text(&buffer));
        }
    }
    let (buffer, _) = draw(&still, &State::default(), PLAIN, (80, 24), start + Duration::from_millis(500));
    assert!(!text(&buffer).contains("STILL"), "a moment is no standstill");
}

#[test]
fn a_frozen_picture_says_so() {
    let (model, state) = (example(), State::default());
    let moment = Moment { now: Instant::now(), now_ns: 0 };
    let frozen = Some(Duration::from_secs(12));
    let mut buffer = Buffer::empty(Rect::new(0, 0, 80, 24));
    Picture { model: &model, state: &state, theme: PLAIN, moment, agent: ("works/ph", 1, 3), frozen }.draw(&mut buffer);
    let top = text(&buffer);
    assert!(top.contains("FROZEN for 12 s") && top.contains("works/ph (2 of 3: n, p)"), "{top}");
}

#[test]
fn the_help_names_every_key() {
    let mut state = State::default();
    state.take(Key::Char('?'));
    let help = shown(&example(), &state, (80, 24));
    for key in ["Tab", "PgUp", "/", "F6", "I ", "space", "n, p", "q, F10"] {
        assert!(help.contains(key), "{key} in\n{help}");
    }
}

#[test]
fn a_setpoint_counts_as_written_when_the_plant_has_said_so() {
    let shown = |number, reply| super::tables::state(number, reply).0;
    let last_unknown = Withheld::LastUnknown as u32;
    assert_eq!([shown(0, 0), shown(0, 1), shown(0, 2)], ["sent", "written", "REFUSED"]);
    assert_eq!([shown(last_unknown, 1), shown(last_unknown, 2)], ["last_unknown", "REFUSED"]);
    assert_eq!(shown(Withheld::Mode as u32, 2), "mode");
}
