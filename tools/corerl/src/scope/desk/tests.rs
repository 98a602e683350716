use super::*;
use crate::scope::rig;

/// A desk with a sweep around the change to HOLD.
fn held() -> Desk {
    let mut desk = rig::desk("mode to hold");
    rig::feed(desk.scope.as_mut().unwrap(), 0..600);
    desk.settle();
    desk
}

fn press(desk: &mut Desk, keys: &str) {
    keys.chars().for_each(|key| assert!(desk.press(Key::Char(key)), "{key} quits"));
    desk.settle();
}

/// Opens a line, replaces what it offers, and ends it.
fn type_in(desk: &mut Desk, key: char, text: &str) {
    press(desk, &key.to_string());
    desk.press(Key::Control('u'));
    press(desk, text);
    desk.press(Key::Enter);
    desk.settle();
}

#[test]
fn zooming_keeps_what_is_at_the_cursor_and_panning_stays_inside() {
    let mut desk = held();
    desk.press(Key::Char('c'));
    desk.cursors.at_ns[0] = Some(0);
    press(&mut desk, "zz");
    assert_eq!(desk.window, Window { left: 0.1875, width: 0.25 }, "the trigger lies at a quarter of it, as before");
    desk.press(Key::Char('C'));
    (0..100).for_each(|_| _ = desk.press(Key::Left));
    assert_eq!(desk.window.left, 0.0);
    (0..100).for_each(|_| _ = desk.press(Key::Right));
    assert_eq!(desk.window.left, 0.75);
    press(&mut desk, &"z".repeat(40));
    assert_eq!(desk.window.width, ZOOM_MAX);
    press(&mut desk, &"Z".repeat(40));
    assert_eq!(desk.window, Window::WHOLE);
}

#[test]
fn cursors_are_set_moved_and_taken_away() {
    let mut desk = held();
    press(&mut desk, "c");
    assert_eq!(desk.cursors.at_ns, [Some(50_000_000), None], "the middle of the sweep, and a sample's time");
    desk.press(Key::Left);
    press(&mut desk, "c");
    desk.press(Key::Right);
    assert_eq!(desk.cursors.difference_ns(), Some(8_000_000));
    (0..100).for_each(|_| _ = desk.press(Key::Right));
    assert_eq!(desk.cursors.at_ns[1], Some(150_000_000), "the end of the sweep");
    press(&mut desk, "cC");
    assert_eq!((desk.cursors, desk.active), (Cursors::default(), None));
}

#[test]
fn each_channel_has_its_own_scale() {
    let mut desk = held();
    let before = desk.traces.clone();
    desk.press(Key::Down);
    press(&mut desk, "-h");
    desk.press(Key::PageUp);
    assert_eq!(desk.traces[0], before[0]);
    assert_eq!((desk.selected, desk.traces[1].is_hidden, desk.traces[1].scale.is_automatic), (1, true, false));
    assert!(desk.traces[1].scale.per_division > before[1].scale.per_division);
    press(&mut desk, "h2a");
    assert_eq!(desk.traces[1].scale.per_division, before[1].scale.per_division);
    desk.press(Key::Up);
    desk.press(Key::Up);
    assert_eq!(desk.selected, 3, "round and round");
}

#[test]
fn what_is_typed_is_done_or_answered() {
    let mut desk = held();
    type_in(&mut desk, 't', "levle rising 0");
    assert!(desk.message.contains("did you mean `level`?"), "{}", desk.message);
    type_in(&mut desk, 't', "level rising 0");
    assert_eq!((desk.message.as_str(), desk.trigger_level()), ("waiting for level rising 0", Some((0, 0.0))));
    type_in(&mut desk, 'e', "reward, flow");
    assert_eq!(desk.titles(), [("reward".into(), true), ("flow [m3/h]".into(), true)]);
    assert_eq!(desk.traces.len(), 2);
    press(&mut desk, "tlevel");
    desk.press(Key::Escape);
    assert_eq!(desk.scope.as_ref().unwrap().trigger().to_string(), "level rising 0", "Escape forgets");
}

#[test]
fn sweeps_are_stopped_armed_and_repeated() {
    let mut desk = held();
    let state = |desk: &Desk| (desk.scope.as_ref().unwrap().state_name(), desk.scope.as_ref().unwrap().repeat());
    assert_eq!(state(&desk), ("waiting", Repeat::Normal));
    press(&mut desk, " ");
    assert_eq!(state(&desk), ("stopped", Repeat::Normal));
    press(&mut desk, "n");
    assert_eq!(state(&desk), ("waiting", Repeat::Single));
    press(&mut desk, "f");
    assert_eq!(state(&desk), ("triggered", Repeat::Single));
    press(&mut desk, "r");
    press(&mut desk, "r");
    assert_eq!(state(&desk), ("triggered", Repeat::Continuous));
    press(&mut desk, "]>");
    let timing = desk.scope.as_ref().unwrap().timing();
    assert_eq!((timing.span_ns, timing.pre_ns), (500_000_000, 175_000_000));
    press(&mut desk, &"[".repeat(20));
    assert!(desk.message.contains("two cycles"), "{}", desk.message);
}

#[test]
fn a_capture_that_was_saved_is_looked_at_and_left_again() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("held.csv");
    let mut desk = held();
    type_in(&mut desk, 's', "held.txt");
    assert!(desk.message.contains("ends in .csv or .mcap"), "{}", desk.message);
    type_in(&mut desk, 's', file.to_str().unwrap());
    assert!(desk.message.contains("samples are in"), "{}", desk.message);
    let before = format!("{:?}", desk.picture().unwrap().samples);
    rig::feed(desk.scope.as_mut().unwrap(), 600..900);
    type_in(&mut desk, 'l', "/no/such/file.csv");
    assert!(desk.message.contains("No such file"), "{}", desk.message);
    type_in(&mut desk, 'l', file.to_str().unwrap());
    assert_eq!(format!("{:?}", desk.picture().unwrap().samples), before);
    assert_eq!(desk.titles()[0], ("level [m]".to_owned(), true));
    press(&mut desk, "n");
    assert!(desk.message.contains("Escape goes back"), "{}", desk.message);
    desk.press(Key::Escape);
    assert!(desk.loaded.is_none());
}

#[test]
fn help_is_left_by_any_key_and_the_program_by_q() {
    let mut desk = held();
    press(&mut desk, "?q");
    assert!(!desk.shows_help);
    assert!(!desk.press(Key::Char('q')) && !desk.press(Key::Control('c')));
}
