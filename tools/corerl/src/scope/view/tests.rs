use ratatui::Terminal;
use ratatui::backend::TestBackend;

use super::*;
use crate::scope::desk::Desk;
use crate::scope::rig;
use crate::screen::Key;

const RICH: Theme = Theme { colour: true, unicode: true };
const PLAIN: Theme = Theme { colour: false, unicode: false };

fn terminal(theme: Theme, desk: &Desk, (width, height): (u16, u16)) -> Terminal<TestBackend> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(frame, theme, desk, None)).unwrap();
    terminal
}

fn screen(theme: Theme, desk: &Desk, size: (u16, u16)) -> String {
    let buffer = terminal(theme, desk, size).backend().buffer().clone();
    let rows = buffer.content.chunks(size.0.into());
    let text = rows.map(|row| row.iter().map(|cell| cell.symbol()).collect::<String>().trim_end().to_owned() + "\n");
    text.collect()
}

/// A sweep around the change to HOLD, with both cursors set.
fn held() -> Desk {
    let mut desk = rig::desk("mode to hold");
    rig::feed(desk.scope.as_mut().unwrap(), 0..600);
    desk.settle();
    for key in [Key::Char('c'), Key::Left, Key::Left, Key::Char('c'), Key::Right, Key::Char('c')] {
        desk.press(key);
    }
    desk
}

/// Compares with a file, and says what is to be put into it.
fn assert_golden(found: &str, golden: &str) {
    assert_eq!(found, golden, "the screen looks different:\n{found}");
}

#[test]
fn the_screen_on_a_small_terminal_looks_like_this() {
    assert_golden(&screen(RICH, &held(), (80, 24)), include_str!("tests/80x24.txt"));
}

#[test]
fn the_screen_without_colour_and_unicode_looks_like_this() {
    let text = screen(PLAIN, &held(), (80, 24));
    assert!(text.is_ascii());
    assert_golden(&text, include_str!("tests/80x24-plain.txt"));
}

#[test]
fn the_screen_on_a_large_terminal_looks_like_this() {
    assert_golden(&screen(RICH, &held(), (120, 40)), include_str!("tests/120x40.txt"));
}

#[test]
fn without_colours_no_cell_has_one_and_with_them_channels_differ() {
    let colours = |theme: Theme| {
        let drawn = terminal(theme, &held(), (80, 24));
        let colours = drawn.backend().buffer().content.iter().map(|cell| cell.fg).filter(|fg| *fg != Color::Reset);
        colours.collect::<std::collections::HashSet<_>>()
    };
    assert!(colours(PLAIN).is_empty());
    assert!(colours(RICH).is_superset(&COLOURS[..4].iter().copied().collect()));
}

#[test]
fn a_spike_is_seen_however_long_the_sweep_is() {
    let mut desk = rig::desk("lateness above 50");
    desk.scope.as_mut().unwrap().set_timing(super::super::acquisition::Timing::new(20_000 * rig::T_NS, 0.005)).unwrap();
    rig::feed(desk.scope.as_mut().unwrap(), 0..20_400);
    desk.settle();
    for channel in ['1', '2', '4'] {
        desk.press(Key::Char(channel));
        desk.press(Key::Char('h'));
    }
    desk.press(Key::Char('3'));
    let text = screen(PLAIN, &desk, (80, 24));
    let marks: Vec<usize> = text.lines().take(17).map(|line| line.matches('3').count()).collect();
    let tall = marks.iter().filter(|marks| **marks == 1).count();
    assert!(tall >= 8, "one column of the spike: {text}");
    assert!(text.contains("max 90  "), "{text}");
}

#[test]
fn any_size_can_be_drawn() {
    let mut desk = held();
    for size in [(1, 1), (2, 3), (10, 4), (39, 5), (80, 6), (81, 7), (300, 100)] {
        for keys in ["", "?", "t"] {
            keys.chars().for_each(|key| _ = desk.press(Key::Char(key)));
            screen(RICH, &desk, size);
            desk.press(Key::Escape);
        }
    }
}

#[test]
fn numbers_have_five_digits() {
    let shown = [0.0, 1.0, -0.5, 123456.0, 1234567.0, 0.001234567, 1e-5, 99999.9, f64::NAN, f64::INFINITY].map(figure);
    assert_eq!(shown, ["0", "1", "-0.5", "123456", "1.235e6", "0.0012346", "1.000e-5", "100000", "-", "inf"]);
    assert_eq!([time(-1_500_000), time(0)], ["-1.5 ms", "0 ns"]);
}
