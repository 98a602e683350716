//! Pages of recordings that never happened.

use rt_core::mode::{Cause, Mode};
use rt_core::record::EventKind;
use shm_layout::{CycleHead, CycleMut};

use super::*;
use crate::staged::{self, SITE, Staged};

fn page_of(staged: &Staged) -> String {
    let (_directory, path) = staged.file();
    let mut footage = Footage::open(&path).unwrap();
    page(&Report::read(&mut footage, |_| ()).unwrap(), "stage <1>.rec")
}

/// Runs, loses slots, gets into the red zone, and trips.
fn tripped() -> Staged {
    let mut staged = Staged::new();
    for number in (0..100).chain(105..200) {
        let fill = |record: &mut CycleMut<'_>| {
            record.head.mode = if number < 150 { Mode::Run } else { Mode::Fallback } as u8;
            record.head.dt_ns = 1_000_000;
            record.head.flags |= if number == 50 { CycleHead::POLICY_ADOPTED } else { 0 };
            record.head.policy_generation = 7;
            (record.head.skipped, record.head.lateness_ns) = if number == 105 { (5, 5_200_000) } else { (0, 900) };
            record.tags[1].value = if number < 140 { 50.0 } else { 95.0 };
            record.setpoints[0].acted = 1;
            record.setpoints[0].desired = 30.0;
            record.setpoints[0].sent = 9.0;
        };
        let tripped = EventKind::Latched { cause: Cause::Overruns };
        let fallback = EventKind::ModeChanged { from: Mode::Run, to: Mode::Fallback, cause: Cause::Overruns };
        let events = match number {
            148 => vec![EventKind::Link { up: false }],
            149 => vec![tripped, fallback],
            _ => Vec::new(),
        };
        staged.cycle(number, fill, events);
    }
    staged
}

#[test]
fn the_page_answers_what_happened_before_it_shows_curves() {
    let page = page_of(tripped().closed());
    let position = |text: &str| page.find(text).unwrap_or_else(|| panic!("{text}\n{page}"));
    let said = [
        "stage &lt;1&gt;.rec",
        "One trip: see below.",
        "1 changes of mode. Time in each: run 0.1 s, fallback 0.1 s",
        "Modes were changed: run -&gt; fallback: overruns (1).",
        "5 slots were lost; most of them at once, 5, at 0.105 s, in a cycle that was 5.2 ms late.",
        "FEED_SP: range in 100.00 % of the cycles",
        "LEVEL, &quot;A&quot;: in its red zone in 30.77 %",
        "trip: overruns",
        "LEVEL, &quot;A&quot; was in its red zone",
        "FEED_SP was held by: range",
        "connection down",
        "limit in RUN, upper end: 9",
        "Generations adopted: 7 at 0.1 s",
    ];
    let places: Vec<_> = said.map(position).to_vec();
    assert!(places.is_sorted(), "{places:?}");
    assert!(page.contains("red bounds, upper end: 90"));
}

#[test]
fn the_page_stands_alone_and_what_comes_from_outside_is_escaped() {
    let site = SITE
        .replace("\"LEVEL, \\\"A\\\"\", unit", "\"<script>alert(1)</script>\", unit")
        .replace("{LEVEL, \\\"A\\\"}", "{FEED_SP}");
    let mut staged = Staged::of(&site, shm_layout::CycleLayout::new(1, 2).unwrap());
    staged.cycle(0, |record| record.tags[1].value = 1.0, Vec::new());
    let page = page_of(staged.closed());
    assert!(page.contains("&lt;script&gt;"), "{page}");
    for foreign in ["<script", "http://", "https://", "<link", "url(", "src="] {
        assert!(!page.contains(foreign), "{foreign}");
    }
}

#[test]
fn a_long_run_has_a_page_that_can_be_mailed_and_no_spike_of_it_is_lost() {
    let mut staged = Staged::new();
    for number in 0..20_000 {
        let level = if number == 12_345 { 77.0 } else { f64::from(number as u32 % 10) };
        staged.cycle(number, |record| record.tags[1].value = level, Vec::new());
    }
    let page = page_of(staged.closed());
    assert!(page.len() < 400_000, "{} bytes", page.len());
    let (_directory, path) = staged.file();
    let mut footage = Footage::open(&path).unwrap();
    let report = Report::read(&mut footage, |_| ()).unwrap();
    assert!(report.story.tags[1].curve.points().contains(&(12.345, 77.0)));
    assert_eq!(report.story.lateness.all.count(), 20_000);
}

#[test]
fn a_file_that_was_cut_has_a_page_that_says_so_and_one_without_cycles_tells_why() {
    let mut staged = tripped();
    let whole = staged.closed().bytes();
    let (_directory, path) = staged::file(&whole[..whole.len() - 30]);
    let mut footage = Footage::open(&path).unwrap();
    let report = Report::read(&mut footage, |_| ()).unwrap();
    assert!(page(&report, "cut.rec").contains("Not in this page: the file was not closed"));
    let (_directory, path) = Staged::new().file();
    let report = Report::read(&mut Footage::open(&path).unwrap(), |_| ()).unwrap();
    assert_eq!(report.cycles(), 0);
    assert!(report.warnings()[0].contains("not closed"));
    assert!(page(&report, "empty.rec").contains("Nothing was recorded"));
}
