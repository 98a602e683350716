//! From tables to observations, by the runtime's own image and pipeline.

use policy::pipeline::{Pipeline, UnfitSite};
use rt_config::{Site, TagKind};
use rt_core::image::Image;
use rt_core::mode::Mode;
use rt_core::ports::Moment;
use rt_core::tag::{Quality, Sample, TagId};
use rt_core::time::{MonoTime, Span};

use crate::observation::Observation;
use crate::table::{Cell, Table};

/// When the first row was received, on the image's clock: nothing is before it.
const BEGIN: MonoTime = MonoTime::from_ns(1 << 40);
/// Source timestamps count in these, from 1601 on; 1970 begins so many later.
const NS_PER_TICK: i64 = 100;
const EPOCH_TICKS: i64 = 116_444_736_000_000_000;
/// A pause of more observations is a gap.
const GAP_OBSERVATIONS: i64 = 2;

/// Why a table cannot be observed by an agent.
#[derive(Debug, thiserror::Error)]
pub enum UnfitTable {
    /// Tags of the site that the table does not have.
    #[error("it has no column for {}: add them, or take these tags out of the site file", tags.join(", "))]
    Missing {
        /// Their names.
        tags: Vec<String>,
    },
    /// Much more time passes between rows than between observations.
    #[error(
        "its rows are {pace} apart, and the site observes every {period}: set `interaction.obs_period` to at least that"
    )]
    Coarse {
        /// From row to row.
        pace: String,
        /// From observation to observation.
        period: String,
    },
    /// The site has no pipeline.
    #[error(transparent)]
    Site(#[from] UnfitSite),
    /// The site has too many tags.
    #[error("{0}")]
    Tags(String),
}

/// Observes a table on the grid of the site's observations, from its first row to its last one.
///
/// # Errors
/// The table does not have what the site needs.
pub fn observe_table(site: &Site, table: &Table, mut take: impl FnMut(&Observation)) -> Result<(), UnfitTable> {
    let names: Vec<_> = table.columns.iter().map(|column| column.name.as_str()).collect();
    let mut observer = Observer::new(site, &names)?;
    complain_of_pace(site, table)?;
    observer.go_on(table, &mut take);
    observer.end(take);
    Ok(())
}

/// Observes a table that comes part by part.
#[derive(Debug)]
pub(crate) struct Observer {
    columns: Vec<(TagId, usize)>,
    image: Image,
    pipeline: Pipeline,
    grid: Grid,
    /// Observations from one decision that is due to the next.
    decide_every: u64,
    observed: u64,
    /// Whether it was followed by a decision, the next one shows.
    waiting: Option<Observation>,
}

impl Observer {
    /// An observer of tables with these columns.
    ///
    /// # Errors
    /// The site needs others, or makes no pipeline.
    pub(crate) fn new(site: &Site, names: &[&str]) -> Result<Self, UnfitTable> {
        let settings: Vec<_> = site.tags.iter().map(|tag| tag.settings).collect();
        Ok(Self {
            columns: bind(site, names)?,
            image: Image::new(&settings).map_err(|error| UnfitTable::Tags(error.to_string()))?,
            pipeline: Pipeline::new(site)?,
            grid: Grid::of(site),
            decide_every: (site.act_every().get() / site.obs_every().get().max(1)).max(1),
            observed: 0,
            waiting: None,
        })
    }

    /// Goes on with the next part: its rows are later than those of the part before by at least an observation.
    pub(crate) fn go_on(&mut self, part: &Table, mut take: impl FnMut(&Observation)) {
        let mut row = 0;
        while let Some(Instant { at_ns, rows, gap }) = self.grid.next(&part.times_ns, row) {
            row = rows.end;
            for row in rows {
                self.receive(part, row);
            }
            let (release, decision) = (self.grid.on_clock(at_ns), self.observed.is_multiple_of(self.decide_every));
            self.image.advance(release);
            let moment = Moment { cycle: self.observed, release, decision, gap, mode: Mode::Run as u8 };
            self.pipeline.observe(&self.image, &moment);
            self.observed += 1;
            let seen = observation(&self.pipeline, (at_ns, gap), decision || self.pipeline.triggered());
            if let Some(mut before) = self.waiting.take() {
                before.decision |= before.action != seen.action;
                take(&before);
            }
            self.waiting = Some(seen);
        }
    }

    /// Nothing comes any more.
    pub(crate) fn end(self, take: impl FnMut(&Observation)) {
        self.waiting.iter().for_each(take);
    }

    fn receive(&mut self, table: &Table, row: usize) {
        let Some(&at_ns) = table.times_ns.get(row) else { return };
        let received = self.grid.on_clock(at_ns);
        for &(tag, column) in &self.columns {
            let cell = table.columns.get(column).map_or(Cell::Nothing, |column| column.cell(row));
            let (value, quality) = match cell {
                Cell::Nothing => continue,
                Cell::Bad => (f64::NAN, Quality::Bad),
                Cell::Value(value) => (value, Quality::Good),
            };
            let source_time = at_ns / NS_PER_TICK + EPOCH_TICKS;
            self.image.receive(&Sample { tag, value, quality, received, source_time });
        }
    }
}

/// The tags that are read, each with its column.
fn bind(site: &Site, names: &[&str]) -> Result<Vec<(TagId, usize)>, UnfitTable> {
    let (mut bound, mut missing) = (Vec::new(), Vec::new());
    for (index, tag) in site.tags.iter().enumerate().filter(|(_, tag)| tag.source.is_some()) {
        let column = names.iter().position(|name| *name == tag.name);
        match (column, TagId::new(index)) {
            (Some(column), Some(id)) => bound.push((id, column)),
            // What nobody needs may be missing.
            _ if tag.kind == TagKind::Meta && !is_used(site, index) => {}
            _ => missing.push(tag.name.clone()),
        }
    }
    if missing.is_empty() { Ok(bound) } else { Err(UnfitTable::Missing { tags: missing }) }
}

/// Whether a computed tag, a cascade, a trigger or the reward needs this tag.
fn is_used(site: &Site, index: usize) -> bool {
    let uses = |program: &rt_core::expression::Program| program.tags().any(|tag| tag.index() == index);
    let computed = site.tags.iter().any(|tag| matches!(&tag.kind, TagKind::Computed(program) if uses(program)));
    let cascades = site.setpoints.iter().filter_map(|setpoint| setpoint.settings.cascade);
    let cascaded = cascades.flat_map(|cascade| cascade.tags().collect::<Vec<_>>()).any(|tag| tag.index() == index);
    let triggers = site.tags.iter().filter_map(|tag| tag.trigger.as_ref()).any(|trigger| uses(&trigger.condition));
    computed || cascaded || triggers || matches!(&site.reward, rt_config::Reward::Expression(program) if uses(program))
}

fn complain_of_pace(site: &Site, table: &Table) -> Result<(), UnfitTable> {
    let period = site.interaction.obs_period;
    let pace = table.pace_ns().and_then(|ns| u64::try_from(ns).ok()).map_or(Span::ZERO, Span::from_ns);
    if pace <= period {
        return Ok(());
    }
    let text = |span: Span| format!("{} s", span.as_seconds());
    Err(UnfitTable::Coarse { pace: text(pace), period: text(period) })
}

fn observation(pipeline: &Pipeline, (at_ns, gap): (i64, bool), decision: bool) -> Observation {
    let (lo, hi) = pipeline.bounds();
    Observation {
        at_ns,
        complete: pipeline.complete() && pipeline.action_read_back(),
        all_read: pipeline.all_read(),
        gap,
        decision,
        reward: pipeline.reward(),
        state: pipeline.state().to_vec(),
        action: pipeline.action().to_vec(),
        lo: lo.to_vec(),
        hi: hi.to_vec(),
    }
}

/// When something is observed, and the rows that have come since the time before.
struct Instant {
    at_ns: i64,
    rows: std::ops::Range<usize>,
    gap: bool,
}

/// The grid of observations, which begins with the first row; pauses are passed over.
#[derive(Debug)]
struct Grid {
    period_ns: i64,
    /// The first row's time, and the next instant.
    begun: Option<(i64, i64)>,
}

impl Grid {
    fn of(site: &Site) -> Self {
        let period_ns = i64::try_from(site.interaction.obs_period.as_ns()).unwrap_or(i64::MAX).max(1);
        Self { period_ns, begun: None }
    }

    /// The next instant that the rows from this one on, with these times, have something for.
    fn next(&mut self, times: &[i64], row: usize) -> Option<Instant> {
        let pending = *times.get(row)?;
        let (first_ns, next_ns) = self.begun.unwrap_or((pending, pending));
        // The first instant of the grid that the next row is in time for.
        let behind = pending.saturating_sub(next_ns);
        let skipped =
            if behind > 0 { behind.div_euclid(self.period_ns) + i64::from(behind % self.period_ns != 0) } else { 0 };
        let gap = self.begun.is_none() || skipped > GAP_OBSERVATIONS;
        // Within a short pause everything is observed all the same: tags age.
        let at_ns = if gap { next_ns.saturating_add(skipped.saturating_mul(self.period_ns)) } else { next_ns };
        let rows = times.iter().skip(row).take_while(|time| **time <= at_ns).count();
        self.begun = Some((first_ns, at_ns.saturating_add(self.period_ns)));
        Some(Instant { at_ns, rows: row..row + rows, gap })
    }

    /// A time of the table on the image's clock.
    fn on_clock(&self, at_ns: i64) -> MonoTime {
        let first_ns = self.begun.map_or(at_ns, |(first_ns, _)| first_ns);
        BEGIN + Span::from_ns(u64::try_from(at_ns.saturating_sub(first_ns)).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A site that observes every second and acts every two.
    const SITE: &str = r#"
schema: corerl/1
lab: true
agent_name: agent
coreio: {opc_connections: [{connection_id: plant, opc_conn_url: "opc.tcp://127.0.0.1:1"}]}
interaction: {obs_period: 1s, action_period: 2s, state_age_tol: 5s}
agent: {traces: [0.0, 0.5]}
pipeline:
  tags:
    - {name: u, type: ai_setpoint, node_identifier: i=1, operating_range: [0, 2]}
    - {name: level, node_identifier: i=2, operating_range: [0, 10], stale_after: 3s}
    - {name: lamp, type: meta, node_identifier: i=3}
  reward: {value: "-{level}"}
runtime: {period: 100ms, limits: {u: {rate: 1}}}
"#;

    fn site() -> Site {
        site_of(SITE)
    }

    fn site_of(text: &str) -> Site {
        rt_config::parse(text, "site.yaml".as_ref()).unwrap_or_else(|refused| panic!("{refused}")).site
    }

    fn observed(text: &str) -> Result<Vec<Observation>, UnfitTable> {
        observed_by(&site(), text)
    }

    fn observed_by(site: &Site, text: &str) -> Result<Vec<Observation>, UnfitTable> {
        let table = Table::parse(text.as_bytes(), b',').unwrap();
        let mut observations = Vec::new();
        observe_table(site, &table, |observation| observations.push(observation.clone())).map(|()| observations)
    }

    fn of_rows(rows: &[(f64, &str)]) -> String {
        rows.iter().fold("time,u,level\n".to_owned(), |text, (at, values)| text + &format!("{at},{values}\n"))
    }

    #[test]
    fn rows_on_the_grid_are_observed_one_by_one_with_state_action_and_reward() {
        let observations =
            observed(&of_rows(&[(10.0, "1,5"), (11.0, "1,6"), (12.0, "1.5,6"), (13.0, "1.5,6")])).unwrap();
        assert_eq!(observations.len(), 4);
        let first = &observations[0];
        // Both traces of u and level begin at their first values; then the bounds of the action.
        assert_eq!(first.state, [0.5, 0.5, 0.5, 0.5, 0.0, 1.0]);
        assert_eq!((first.action.as_slice(), first.reward, first.gap), (&[0.5][..], Some(-5.0), true));
        assert!((observations[1].state[3] - 0.55).abs() < 1e-6, "half of the way from 5 to 6");
        assert!(observations.iter().all(|observation| observation.complete));
        assert!(observations.iter().skip(1).all(|observation| !observation.gap));
        // Every second one is due; the second is one because the setpoint was moved after it.
        let decisions: Vec<_> = observations.iter().map(|observation| observation.decision).collect();
        assert_eq!(decisions, [true, true, true, false]);
    }

    #[test]
    fn an_empty_cell_lets_the_value_stay_until_it_is_stale_and_a_bad_one_does_not() {
        let rows: Vec<_> = (0..8).map(|at| (f64::from(at), if at == 0 { "1,5" } else { "1," })).collect();
        let rewards: Vec<_> =
            observed(&of_rows(&rows)).unwrap().iter().map(|observation| observation.reward.is_some()).collect();
        assert_eq!(rewards, [true, true, true, true, false, false, false, false]);
        let bad = observed(&of_rows(&[(0.0, "1,5"), (1.0, "1,bad"), (2.0, "1,5")])).unwrap();
        assert_eq!(bad.iter().map(|observation| observation.complete).collect::<Vec<_>>(), [true, false, false]);
        assert_eq!(bad[2].reward, Some(-5.0));
    }

    #[test]
    fn a_pause_is_passed_over_and_a_short_one_is_observed() {
        let observations =
            observed(&of_rows(&[(0.0, "1,5"), (1.0, "1,5"), (3.0, "1,5"), (60.5, "1,5"), (61.0, "1,5")]));
        let observations = observations.unwrap();
        let at: Vec<_> = observations.iter().map(|observation| observation.at_ns / 1_000_000_000).collect();
        assert_eq!(at, [0, 1, 2, 3, 61]);
        let gaps: Vec<_> = observations.iter().map(|observation| observation.gap).collect();
        assert_eq!(gaps, [true, false, false, false, true]);
    }

    #[test]
    fn what_the_site_needs_and_the_table_does_not_have_is_named() {
        let refused = |text: &str| observed(text).unwrap_err().to_string();
        assert!(refused("time,u\n0,1\n1,1\n").contains("no column for level"));
        assert!(refused("time,u,level\n0,1,1\n60,1,1\n120,1,1\n").contains("rows are 60 s apart"));
        assert_eq!(observed("time,u,level,other\n0,1,1,9\n1,1,1,9\n").unwrap().len(), 2, "the lamp may be missing");
    }

    #[test]
    fn what_the_plant_followed_is_the_action_of_a_cascade() {
        let text = SITE.replacen(
            "operating_range: [0, 2]}",
            "operating_range: [0, 2], cascade: {op_sp: hand, ai_mode: lamp}}",
            1,
        );
        let site = site_of(&text.replacen(
            "    - {name: lamp",
            "    - {name: hand, type: meta, node_identifier: i=4}\n    - {name: lamp",
            1,
        ));
        let refused = observed_by(&site, "time,u,level\n0,1,1\n1,1,1\n").unwrap_err().to_string();
        assert!(refused.contains("hand") && refused.contains("lamp"), "{refused}");
        let rows = "time,u,level,hand,lamp\n0,1,5,0.5,1\n1,1,5,0.5,0\n2,1,5,0.25,0\n3,1,5,0.25,bad\n4,1.5,5,0.25,1\n";
        let observations = observed_by(&site, rows).unwrap();
        // The slow trace needs another reading behind a missing one.
        let actions: Vec<_> = observations.iter().map(|seen| (seen.action[0], seen.complete)).collect();
        assert_eq!(actions, [(0.5, true), (0.25, true), (0.125, true), (0.125, false), (0.75, false)]);
    }

    #[test]
    fn a_trigger_decides_between_those_that_are_due() {
        let trigger = "stale_after: 3s, trigger: {condition: \"{level} > 5.5\"}}";
        let site = site_of(&SITE.replacen("stale_after: 3s}", trigger, 1));
        let rows = of_rows(&[(10.0, "1,5"), (11.0, "1,6"), (12.0, "1,5"), (13.0, "1,5"), (14.0, "1,6")]);
        let decisions = |site: &Site| -> Vec<bool> {
            observed_by(site, &rows).unwrap().iter().map(|observation| observation.decision).collect()
        };
        assert_eq!(decisions(&self::site()), [true, false, true, false, true]);
        assert_eq!(decisions(&site), [true, true, true, false, true]);
    }

    #[test]
    fn what_comes_part_by_part_is_observed_as_if_it_came_at_once() {
        let rows: Vec<_> = (0..12).map(|at| (f64::from(at), if at % 3 == 0 { "1,5" } else { "1.5,bad" })).collect();
        let whole = Table::parse(of_rows(&rows).as_bytes(), b',').unwrap();
        let expected = observed(&of_rows(&rows)).unwrap();
        for cut in 1..rows.len() {
            let mut observer = Observer::new(&site(), &["u", "level"]).unwrap();
            let mut found = Vec::new();
            for rows in [&rows[..cut], &rows[cut..]] {
                let part = Table::parse(of_rows(rows).as_bytes(), b',').unwrap();
                observer.go_on(&part, |observation| found.push(observation.clone()));
            }
            observer.end(|observation| found.push(observation.clone()));
            assert_eq!(found, expected, "cut behind row {cut}");
        }
        assert_eq!(whole.times_ns.len(), expected.len());
    }
}
