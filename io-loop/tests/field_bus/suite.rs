//! The conformance suite: what every [`FieldBus`] promises, as functions over a rig that has one.
//!
//! A new backend implements [`Rig`] and calls [`conformance!`] with it.

use io_loop::{BusError, FieldBus, Reading, WriteResult};
use rt_core::ports::Clock as _;
use rt_core::setpoint::ScalarKind;
use rt_core::tag::Quality;
use rt_core::time::{MonoTime, Span};
use rt_sys::MonotonicClock;

/// Inputs of every rig.
pub(crate) const INPUTS: usize = 2;
/// Outputs of every rig: one of each manner of number.
pub(crate) const OUTPUTS: [ScalarKind; 3] = [ScalarKind::Double, ScalarKind::Int16, ScalarKind::Boolean];

/// Longer than any honest answer takes, on any machine.
const PATIENCE: Span = Span::from_ms(20_000);
/// What a plant refuses with: BadOutOfRange.
const REFUSAL: u32 = 0x803C_0000;

/// A plant with a bus to it, and hands on both.
pub(crate) trait Rig {
    /// The backend under test.
    type Bus: FieldBus;

    /// A plant whose inputs and outputs are zero, and a bus that is not connected.
    fn start() -> Self;

    /// The bus.
    fn bus(&mut self) -> &mut Self::Bus;

    /// Lets every input have this value and quality from now on.
    fn set_inputs(&mut self, value: f64, quality: Quality);

    /// The outputs as the plant has them.
    fn outputs(&mut self) -> [f64; OUTPUTS.len()];

    /// Lets the plant refuse every write with this status, or none.
    fn refuse(&mut self, status: Option<u32>);

    /// Lets the plant answer too late for the deadline that is returned, or in time again.
    fn be_late(&mut self, late: bool) -> Span;

    /// Takes the plant away, or brings it back.
    fn set_gone(&mut self, gone: bool);
}

fn within(span: Span) -> MonoTime {
    MonotonicClock::new().now() + span
}

fn connected<R: Rig>() -> R {
    let mut rig = R::start();
    connect(&mut rig);
    rig
}

fn connect<R: Rig>(rig: &mut R) {
    let connected = rig.bus().connect(within(PATIENCE)).unwrap();
    assert_eq!(connected.kinds, OUTPUTS);
}

fn read<R: Rig>(rig: &mut R) -> Result<[Reading; INPUTS], BusError> {
    let mut readings = [Reading::MISSING; INPUTS];
    rig.bus().read(&mut readings, within(PATIENCE)).map(|()| readings)
}

fn write<R: Rig>(rig: &mut R, values: [Option<f64>; 3]) -> Result<[WriteResult; 3], BusError> {
    let mut results = [WriteResult::NotAsked; 3];
    rig.bus().write(&values, &mut results, within(PATIENCE)).map(|()| results)
}

fn is_lost<T>(outcome: Result<T, BusError>) -> bool {
    matches!(outcome, Err(BusError::Lost(_)))
}

pub(crate) fn a_bus_that_is_not_connected_says_that_it_is_lost<R: Rig>() {
    let mut rig = R::start();
    assert!(is_lost(read(&mut rig)));
    assert!(is_lost(write(&mut rig, [Some(1.0), None, None])));
    assert!(is_lost(rig.bus().maintain(within(PATIENCE))));
    rig.bus().disconnect(within(PATIENCE));
    assert_eq!(rig.outputs(), [0.0; 3]);
}

pub(crate) fn what_the_plant_has_is_read_with_its_time<R: Rig>() {
    let mut rig: R = connected();
    let mut last = 0;
    for value in [21.5, -3.0, 1e9] {
        rig.set_inputs(value, Quality::Good);
        for reading in read(&mut rig).unwrap() {
            assert_eq!((reading.value, reading.quality), (value, Quality::Good));
            assert!(reading.source_time > last, "{reading:?}");
        }
        last = read(&mut rig).unwrap()[0].source_time - 1;
    }
}

pub(crate) fn the_quality_is_the_plants_and_a_value_that_is_no_number_is_bad<R: Rig>() {
    let mut rig: R = connected();
    for quality in [Quality::Uncertain, Quality::Bad, Quality::Good] {
        rig.set_inputs(4.0, quality);
        assert_eq!(read(&mut rig).unwrap().map(|reading| reading.quality), [quality; INPUTS]);
    }
    for value in [f64::NAN, f64::INFINITY] {
        rig.set_inputs(value, Quality::Good);
        assert_eq!(read(&mut rig).unwrap().map(|reading| reading.quality), [Quality::Bad; INPUTS], "{value}");
    }
}

pub(crate) fn what_is_written_arrives_and_what_is_not_stays_as_it_was<R: Rig>() {
    let mut rig: R = connected();
    let done = WriteResult::Done;
    assert_eq!(write(&mut rig, [Some(0.1), Some(-7.0), Some(1.0)]), Ok([done; 3]));
    assert_eq!(rig.outputs(), [0.1, -7.0, 1.0]);
    assert_eq!(write(&mut rig, [None, Some(8.0), None]), Ok([WriteResult::NotAsked, done, WriteResult::NotAsked]));
    assert_eq!(rig.outputs(), [0.1, 8.0, 1.0]);
    assert_eq!(write(&mut rig, [None; 3]), Ok([WriteResult::NotAsked; 3]));
    assert_eq!(rig.outputs(), [0.1, 8.0, 1.0]);
}

pub(crate) fn a_refusal_is_told_for_each_output_and_changes_nothing<R: Rig>() {
    let mut rig: R = connected();
    rig.refuse(Some(REFUSAL));
    let refused = WriteResult::Refused { status: REFUSAL };
    assert_eq!(write(&mut rig, [Some(1.0), None, Some(1.0)]), Ok([refused, WriteResult::NotAsked, refused]));
    assert_eq!(rig.outputs(), [0.0; 3]);
    rig.refuse(None);
    assert_eq!(write(&mut rig, [Some(1.0), None, None]).unwrap()[0], WriteResult::Done);
}

pub(crate) fn an_exchange_writes_and_reads<R: Rig>() {
    let mut rig: R = connected();
    for value in [1.0, 2.0, 3.0] {
        rig.set_inputs(10.0 * value, Quality::Good);
        let (mut results, mut readings) = ([WriteResult::NotAsked; 3], [Reading::MISSING; INPUTS]);
        let values = [Some(value), None, None];
        let outcome = rig.bus().exchange(&values, &mut results, &mut readings, within(PATIENCE));
        assert_eq!(outcome, (Ok(()), Ok(())));
        assert_eq!(results, [WriteResult::Done, WriteResult::NotAsked, WriteResult::NotAsked]);
        assert_eq!(readings.map(|reading| reading.value), [10.0 * value; INPUTS]);
        assert_eq!(rig.outputs()[0], value);
    }
}

pub(crate) fn a_missed_deadline_loses_a_call_and_not_the_bus<R: Rig>() {
    let mut rig: R = connected();
    rig.set_inputs(5.0, Quality::Good);
    let deadline = rig.be_late(true);
    let mut readings = [Reading::MISSING; INPUTS];
    assert_eq!(rig.bus().read(&mut readings, within(deadline)), Err(BusError::Unknown));
    assert_eq!(rig.bus().maintain(within(deadline)), Ok(()));
    rig.be_late(false);
    rig.set_inputs(6.0, Quality::Good);
    assert_eq!(read(&mut rig).unwrap().map(|reading| reading.value), [6.0; INPUTS]);
}

pub(crate) fn a_plant_that_goes_away_is_lost_and_found_again<R: Rig>() {
    let mut rig: R = connected();
    rig.set_inputs(7.0, Quality::Good);
    for _ in 0..2 {
        rig.set_gone(true);
        assert!(is_lost(read(&mut rig)));
        assert!(is_lost(read(&mut rig)), "lost remains lost");
        assert!(rig.bus().connect(within(PATIENCE)).is_err());
        rig.set_gone(false);
        connect(&mut rig);
        assert_eq!(read(&mut rig).unwrap().map(|reading| reading.value), [7.0; INPUTS]);
    }
}

pub(crate) fn taking_leave_ends_the_connection_and_another_one_may_follow<R: Rig>() {
    let mut rig: R = connected();
    rig.bus().disconnect(within(PATIENCE));
    assert!(is_lost(read(&mut rig)));
    connect(&mut rig);
    assert!(read(&mut rig).is_ok());
    // So does connecting anew without leave.
    connect(&mut rig);
    assert!(read(&mut rig).is_ok());
}

pub(crate) fn housekeeping_disturbs_nothing<R: Rig>() {
    let mut rig: R = connected();
    rig.set_inputs(2.0, Quality::Good);
    for _ in 0..20 {
        assert_eq!(rig.bus().maintain(within(PATIENCE)), Ok(()));
        assert_eq!(read(&mut rig).unwrap().map(|reading| reading.value), [2.0; INPUTS]);
    }
}

/// The suite for one rig.
macro_rules! conformance {
    ($rig:ty) => {
        $crate::suite::conformance! {
            $rig: a_bus_that_is_not_connected_says_that_it_is_lost, what_the_plant_has_is_read_with_its_time,
            the_quality_is_the_plants_and_a_value_that_is_no_number_is_bad,
            what_is_written_arrives_and_what_is_not_stays_as_it_was,
            a_refusal_is_told_for_each_output_and_changes_nothing, an_exchange_writes_and_reads,
            a_missed_deadline_loses_a_call_and_not_the_bus, a_plant_that_goes_away_is_lost_and_found_again,
            taking_leave_ends_the_connection_and_another_one_may_follow, housekeeping_disturbs_nothing
        }
    };
    ($rig:ty: $($name:ident),*) => {$(
        #[test]
        fn $name() {
            $crate::suite::$name::<$rig>();
        }
    )*};
}
pub(crate) use conformance;
