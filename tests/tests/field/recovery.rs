//! How soon there is good data again.

use super::*;

/// One tag is told by the server, the others are read.
pub(super) const TOLD_AND_READ: (&str, &str) =
    ("call_timeout: 200ms", "call_timeout: 200ms\n      subscribe: {tags: [level], every: 20ms, watchdog: 200ms}");
/// The server is gone for so long at most.
const OUTAGE_MS_MAX: u64 = 2_000;
/// The goal for the first good data is 1 s at p99; no test fails before ten times as much.
const GIVE_UP_NS: u64 = 10_000_000_000;

impl Field {
    /// When every tag had a good value that came after this instant; how long after it the last one came.
    fn until_good(&mut self, since_ns: u64) -> u64 {
        let came = |record: &CycleRecord| {
            let woke_ns = record.head.release_ns + u64::from(record.head.lateness_ns);
            let received = record.tags.iter().map(|tag| (tag.quality == 0).then(|| woke_ns.saturating_sub(tag.age_ns)));
            received.min().flatten().filter(|oldest_ns| *oldest_ns >= since_ns)
        };
        let so_far = self.records.len();
        self.until("good data", |field| field.records.iter().skip(so_far).any(|record| came(record).is_some()));
        let first = self.records.iter().skip(so_far).find_map(came).expect("it was waited for");
        first - since_ns
    }
}

#[test]
fn f34_good_data_comes_soon_after_the_server_listens_again() {
    let mut field = Field::at_work(&[IMPATIENT, TOLD_AND_READ, ("t_hold: 300ms", "t_hold: 60s")]);
    let mut dice = Dice::new(soak::seed(), "outages");
    let mut took_ns = Vec::new();
    for _ in 0..soak::count(3) {
        let port = field.plant.port();
        field.plant.process.kill();
        field.pass(Duration::from_millis(dice.below(OUTAGE_MS_MAX)));
        field.plant = field.place.plant_on(port);
        took_ns.push(field.until_good(now_ns()));
        field.wait_for_writing();
        field.judge();
    }
    assert!(took_ns.iter().all(|took_ns| *took_ns <= GIVE_UP_NS), "{took_ns:?}");
    soak::tell_durations("good data after the server listens again", took_ns);
    field.end();
}
