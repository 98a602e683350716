//! A lamp at the plant that says that something is the matter with the runtime.

use rt_control::Act;

use super::*;

/// It is lit for as long as the runtime does not drive the plant by its policy, and read as a tag.
const LAMP: (&str, &str) = (
    "  reward:",
    "    - {name: lamp, type: meta, node_identifier: nsu=urn:corerl:plant;s=saturation.Alarm, stale_after: 20s}\n  reward:",
);
const ALARM: (&str, &str) = (
    "call_timeout: 5s",
    "call_timeout: 5s\n      alarms:\n        - {node: nsu=urn:corerl:plant;s=saturation.Alarm, \
     when: [not_in_charge, hold, fallback], off_delay: 500ms}",
);

impl Field {
    fn act(&mut self, act: Act) {
        self.runtime.client().act(act, "a test").unwrap_or_else(|error| panic!("{act:?}: {error}"));
    }

    /// Waits until the lamp has been read as it is to be, in a record from `since` on; the mode in that cycle, and the place
    /// of the next record.
    fn until_lamp(&mut self, lit: bool, since: usize) -> (u8, usize) {
        let lit = f64::from(u8::from(lit));
        let find = |field: &Self| {
            let mut later = field.records.iter().enumerate().skip(since);
            later
                .find(|(_, record)| record.tags.last().is_some_and(|lamp| lamp.value == lit))
                .map(|(place, record)| (record.head.mode, place + 1))
        };
        self.until("the lamp", |field| find(field).is_some());
        find(self).expect("it was waited for")
    }
}

#[test]
fn the_plant_is_told_what_is_the_matter_in_every_mode_and_also_after_an_outage() {
    let mut field = Field::at_work(&[LAMP, ALARM]);
    let (mode, dark) = field.until_lamp(false, 0);
    assert_ne!(mode, Mode::Shadow as u8, "it waits for its off-delay");
    field.act(Act::Hold);
    let (_, lit) = field.until_lamp(true, dark);
    field.act(Act::Reset);
    let (mode, dark) = field.until_lamp(false, lit);
    assert_eq!(mode, Mode::Run as u8);

    // What is lit at a plant that comes back was written by whoever waited for it.
    let (port, killed_ns) = (field.plant.port(), now_ns());
    field.plant.process.kill();
    field.until_mode(Mode::Hold, killed_ns);
    field.plant = field.place.plant_on(port);
    let (_, lit) = field.until_lamp(true, dark);
    let (mode, dark) = field.until_lamp(false, lit);
    assert_eq!(mode, Mode::Run as u8);

    // Hands off: nothing is written but the lamp.
    field.act(Act::Release);
    let (mode, _) = field.until_lamp(true, dark);
    assert_eq!(mode, Mode::Release as u8);
    let written =
        |field: &Field| [Counter::SetpointsWritten, Counter::Heartbeats].map(|counter| field.counters.get(counter));
    let before = written(&field);
    field.pass(Duration::from_millis(300));
    assert_eq!(written(&field), before);
    field.act(Act::Arm);
    field.end();
}
