//! Alarms are written for as long as the plant is ours, in every mode, and nothing else is with them.

use rt_core::alarm::{AlarmSettings, Trouble, Troubles};
use rt_core::cycle::CycleSettings;
use rt_core::mode::Mode;
use rt_core::ports::Command;
use rt_core::record::{EventKind, Flags};
use rt_core::time::Span;

use crate::rig::{Rig, with_settings};

const NOT_IN_CHARGE: u32 = 0b001;
const DEGRADED: u32 = 0b010;
const RELEASED: u32 = 0b100;

/// A runtime that tells whether it is in charge, degraded (for 20 ms at least), or has let go.
fn telling() -> Rig {
    let alarm = |troubles: &[Trouble], off_ms| AlarmSettings {
        when: troubles.iter().fold(Troubles::NONE, |all, trouble| all.with_if(true, *trouble)),
        on_delay: Span::ZERO,
        off_delay: Span::from_ms(off_ms),
    };
    let alarms = [
        alarm(&[Trouble::NotInCharge], 0),
        alarm(&[Trouble::Hold, Trouble::Fallback], 20),
        alarm(&[Trouble::Release], 0),
    ];
    with_settings(&[], |settings| Rig::with(&CycleSettings { alarms: &alarms, ..settings }))
}

#[test]
fn alarms_are_written_while_the_lease_is_held_and_go_with_the_mode() {
    let mut rig = telling();
    rig.run(30);
    assert_eq!((rig.cycle.mode(), rig.plant.sets, rig.plant.alarms), (Mode::Shadow, 0, None), "not ours");

    rig.say(&[Command::Lease(true)]);
    let outcome = rig.cycle_late(Span::ZERO);
    assert_eq!((outcome.written, outcome.response), (0, None), "no setpoint goes with them");
    assert!(!outcome.flags.contains(Flags::SENT));
    rig.run(20);
    assert_eq!((rig.plant.alarms, rig.plant.heartbeats.len()), (Some(NOT_IN_CHARGE), 0));
    assert_eq!(rig.plant.values, [5.0, 5.0]);

    rig.say(&[Command::Arm]);
    rig.run(10);
    assert_eq!((rig.cycle.mode(), rig.plant.alarms), (Mode::Run, Some(0)));

    rig.say(&[Command::Hold]);
    rig.run(3);
    assert_eq!((rig.cycle.mode(), rig.plant.alarms), (Mode::Hold, Some(DEGRADED)));
    rig.say(&[Command::Reset]);
    rig.run(10);
    assert_eq!((rig.cycle.mode(), rig.plant.alarms), (Mode::Run, Some(DEGRADED)), "it rings on for a while");
    rig.run(20);
    assert_eq!((rig.cycle.mode(), rig.plant.alarms), (Mode::Run, Some(0)));

    rig.say(&[Command::Release]);
    rig.run(3);
    let beats = rig.plant.heartbeats.len();
    rig.run(20);
    assert_eq!((rig.cycle.mode(), rig.plant.alarms), (Mode::Release, Some(NOT_IN_CHARGE | RELEASED)));
    assert_eq!(rig.plant.heartbeats.len(), beats, "nobody is in charge");
    assert!(rig.saw(|event| *event == EventKind::Alarm { alarm: 1, raised: true }));
    assert!(rig.saw(|event| *event == EventKind::Alarm { alarm: 1, raised: false }));

    rig.say(&[Command::Lease(false)]);
    rig.run(2);
    let sets = rig.plant.sets;
    rig.run(20);
    assert_eq!(rig.plant.sets, sets, "not ours any more");
}
