//! The OPC UA backend, in clear, against async-opcua's server.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use io_loop::{BoundNode, BusError, Demand, FieldBus, OpcUa, Reading, Receipt, Scale, Subscribing, WriteResult};
use opcua_types::Variant;
use rt_core::ports::Clock as _;
use rt_core::setpoint::ScalarKind;
use rt_core::tag::Quality;
use rt_core::time::{MonoTime, Span};
use rt_sys::MonotonicClock;
use ua_session::{Clock, Target};

use crate::plant::{Plant, SharedPlant};
use crate::server::{NAMESPACE, Server, Setup};
use crate::suite::{INPUTS, OUTPUTS, Rig, conformance};

/// The machine's clocks; the monotonic one can be put forward, and stopped.
#[derive(Default)]
pub(crate) struct TestClock {
    forward_ns: Mutex<u64>,
    stopped_ns: Mutex<Option<u64>>,
}

impl TestClock {
    pub(crate) fn put_forward(&self, by: Span) {
        *self.forward_ns.lock().unwrap() += by.as_ns();
    }

    /// From now on only [`Self::put_forward`] moves it.
    fn stop(&self) {
        *self.stopped_ns.lock().unwrap() = Some(machine_ns());
    }
}

impl Clock for TestClock {
    fn monotonic_ns(&self) -> u64 {
        self.stopped_ns.lock().unwrap().unwrap_or_else(machine_ns) + *self.forward_ns.lock().unwrap()
    }

    fn unix_ns(&self) -> u64 {
        rt_sys::unix_time().as_ns()
    }
}

fn machine_ns() -> u64 {
    MonotonicClock::new().now().as_ns()
}

/// The nodes `in0`, `in1`, … or `out0`, `out1`, … of the test server.
pub(crate) fn nodes(what: &str, count: usize) -> Vec<BoundNode> {
    let node = |index| BoundNode {
        name: format!("{what}{index}"),
        address: format!("nsu={NAMESPACE};s={what}{index}").parse().unwrap(),
        demand: Demand::Number,
        scale: Scale::default(),
    };
    (0..count).map(node).collect()
}

pub(crate) fn bus(target: Target, clock: Arc<dyn Clock>, inputs: usize, outputs: usize) -> OpcUa {
    OpcUa::new(target, &[], clock, nodes("in", inputs), nodes("out", outputs)).unwrap()
}

struct OpcUaRig {
    bus: OpcUa,
    plant: SharedPlant,
    setup: Setup,
    port: u16,
    server: Option<Server>,
}

impl Rig for OpcUaRig {
    type Bus = OpcUa;

    fn start() -> Self {
        let (setup, plant) = (Setup::open(INPUTS, &OUTPUTS), Plant::shared(OUTPUTS.len()));
        let server = Server::start(&setup, &plant);
        let target = Target::lab(&server.url(), "urn:corerl:test");
        let bus = bus(target, Arc::new(TestClock::default()), INPUTS, OUTPUTS.len());
        Self { bus, plant, setup, port: server.port(), server: Some(server) }
    }

    fn bus(&mut self) -> &mut OpcUa {
        &mut self.bus
    }

    fn set_inputs(&mut self, value: f64, quality: Quality) {
        let mut plant = self.plant.lock().unwrap();
        (plant.input, plant.quality) = (value, quality);
    }

    fn outputs(&mut self) -> [f64; 3] {
        self.plant.lock().unwrap().outputs.as_slice().try_into().unwrap()
    }

    fn refuse(&mut self, status: Option<u32>) {
        self.plant.lock().unwrap().refusal = status;
    }

    fn be_late(&mut self, late: bool) -> Span {
        self.plant.lock().unwrap().late = late;
        Span::from_ms(1_000)
    }

    fn set_gone(&mut self, gone: bool) {
        self.server = (!gone).then(|| Server::start_on(self.port, &self.setup, &self.plant));
    }
}

conformance!(OpcUaRig);

fn after(clock: &TestClock, span: Span) -> MonoTime {
    MonoTime::from_ns(clock.monotonic_ns()) + span
}

#[test]
fn f49_elements_of_an_array_are_read_written_and_told_and_an_array_is_no_number() {
    let server = Server::start(&Setup::open(1, &[]), &Plant::shared(0));
    server.insert_array("levels", &[1.0, 2.0, 3.0]);
    let clock = Arc::new(TestClock::default());
    let rig = |read: &[&str], written: &[&str], told: bool| {
        let bound = |prefix: &&str| BoundNode {
            address: format!("{prefix};nsu={NAMESPACE};s=levels").trim_start_matches(';').parse().unwrap(),
            ..nodes("in", 1).remove(0)
        };
        let [read, written] = [read, written].map(|prefixes| prefixes.iter().map(bound).collect::<Vec<_>>());
        let watch = vec![Some(Span::from_ms(60_000)); read.len()];
        let subscribing = Subscribing { every: Span::from_ms(10), io_period: Span::from_ms(10), watch };
        let target = Target::lab(&server.url(), "urn:corerl:test");
        let bus = OpcUa::new(target, &[], clock.clone(), read, written).unwrap();
        let mut bus = bus.subscribing(told.then_some(subscribing));
        bus.connect(within()).map(|_| bus).map_err(|failure| failure.message)
    };
    for told in [false, true] {
        let mut bus = rig(&["element=0", "element=2", "element=3"], &["element=2"], told).unwrap();
        let wanted = if told { 8.5 } else { 7.5 };
        let mut results = [WriteResult::NotAsked];
        bus.write(&[Some(wanted)], &mut results, within()).unwrap();
        assert_eq!(results, [WriteResult::Done]);
        let mut last = [f64::NAN; 3];
        for _ in 0..1_000 {
            let mut readings = [Reading::MISSING; 3];
            bus.read(&mut readings, within()).unwrap();
            for (last, reading) in last.iter_mut().zip(readings) {
                let is_good = reading.receipt != Receipt::Nothing && reading.quality == Quality::Good;
                *last = if is_good { reading.value } else { *last };
            }
            if last[1] == wanted {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        assert!(last[0] == 1.0 && last[1] == wanted && last[2].is_nan(), "{last:?}");
    }
    let refused = |prefix| rig(&[prefix], &[], false).err().unwrap_or_default();
    assert!(refused("").contains("write node_identifier: element=0;nsu="), "{}", refused(""));
}

#[test]
fn f63_a_scale_that_contradicts_the_site_file_or_changes_is_refused_by_name_until_it_is_as_before() {
    let (server, clock) = (Server::start(&Setup::open(1, &[]), &Plant::shared(0)), Arc::new(TestClock::default()));
    let mut ours = nodes("in", 1);
    ours[0].scale = Scale { range: Some((0.0, 2.0)), unit: Some("m".to_owned()) };
    let target = Target::lab(&server.url(), "urn:corerl:test");
    let mut bus = OpcUa::new(target, &[], clock.clone(), ours, Vec::new()).unwrap();
    let within = || after(&clock, Span::from_ms(20_000));
    let connect = |bus: &mut OpcUa| bus.connect(within()).map(drop).map_err(|failure| failure.message);

    server.set_scale("in0", (0.0, 2_000.0), "mm");
    assert!(connect(&mut bus).unwrap_err().contains("tag `in0`: the site file says m, and the server says mm"));
    server.set_scale("in0", (3.0, 5.0), "m");
    assert!(connect(&mut bus).unwrap_err().contains("operating_range is 0 to 2, and the server's range of node"));
    server.set_scale("in0", (0.0, 2.5), "m");
    connect(&mut bus).unwrap();

    // Changed while the connection stands: seen at the next look, and not forgotten at the next attempt.
    server.set_scale("in0", (0.0, 2.6), "m");
    let judged_after = |bus: &mut OpcUa, span| {
        clock.put_forward(span);
        bus.read(&mut [Reading::MISSING], within()).and_then(|()| bus.maintain(within()))
    };
    clock.stop();
    assert_eq!(judged_after(&mut bus, Span::from_ms(4_000)), Ok(()));
    let lost = judged_after(&mut bus, Span::from_ms(6_000));
    assert!(matches!(lost, Err(BusError::Lost(loss)) if loss.what.contains("has changed")), "{lost:?}");
    assert!(connect(&mut bus).unwrap_err().contains("range was 0 to 2.5 and is 0 to 2.6"));
    server.set_scale("in0", (0.0, 2.5), "m");
    connect(&mut bus).unwrap();
}

#[test]
fn f50_requests_keep_to_the_servers_limits() {
    const OUTPUTS: [ScalarKind; 12] = [ScalarKind::Double; 12];
    let setup = Setup { nodes_per_request: 5, ..Setup::open(13, &OUTPUTS) };
    let plant = Plant::shared(OUTPUTS.len());
    let server = Server::start(&setup, &plant);
    let mut bus = bus(Target::lab(&server.url(), "urn:corerl:test"), Arc::new(TestClock::default()), 13, 12);
    bus.connect(within()).unwrap();
    plant.lock().unwrap().input = 3.5;
    let mut readings = [Reading::MISSING; 13];
    let wanted: [Option<f64>; 12] = std::array::from_fn(|index| (index != 4).then_some(index as f64));
    let mut results = [WriteResult::NotAsked; 12];
    assert_eq!(bus.exchange(&wanted, &mut results, &mut readings, within()), (Ok(()), Ok(())));
    assert_eq!(readings.map(|reading| reading.value), [3.5; 13]);
    assert_eq!(plant.lock().unwrap().outputs, wanted.map(|value| value.unwrap_or(0.0)));
    assert_eq!(results.iter().filter(|result| **result == WriteResult::Done).count(), 11);
}

/// Longer than any honest answer takes.
fn within() -> rt_core::time::MonoTime {
    MonotonicClock::new().now() + Span::from_ms(20_000)
}

#[test]
fn f46_an_unknown_node_is_named_at_the_start_and_one_that_goes_away_is_bad_and_alone() {
    let (setup, plant) = (Setup::open(3, &[]), Plant::shared(0));
    let server = Server::start(&setup, &plant);
    let target = Target::lab(&server.url(), "urn:corerl:test");
    let mut bus = bus(target.clone(), Arc::new(TestClock::default()), 3, 0);
    bus.connect(within()).unwrap();
    server.delete("in1");
    let mut readings = [Reading::MISSING; 3];
    bus.read(&mut readings, within()).unwrap();
    let quality = readings.map(|reading| reading.quality);
    assert_eq!(quality, [Quality::Good, Quality::Bad, Quality::Good]);
    assert!(readings[1].value.is_nan());

    let refused = bus.connect(within()).unwrap_err().message;
    assert!(refused.contains("tag `in1`") && refused.contains("BadNodeIdUnknown"), "{refused}");
    assert!(!refused.contains("in0") && !refused.contains("in2"), "{refused}");
}

#[test]
fn f47_a_server_that_comes_back_with_other_namespace_indices_serves_as_before() {
    let (setup, plant) = (Setup::open(1, &[ScalarKind::Double]), Plant::shared(1));
    let mut server = Server::start(&setup, &plant);
    let (port, index) = (server.port(), server.namespace());
    let mut bus = bus(Target::lab(&server.url(), "urn:corerl:test"), Arc::new(TestClock::default()), 1, 1);
    for is_second in [false, true] {
        drop(server);
        server = Server::start_on(port, &Setup { is_second, ..setup.clone() }, &plant);
        assert_eq!(server.namespace() != index, is_second);
        bus.connect(within()).unwrap();
        plant.lock().unwrap().input = 3.5;
        let (mut readings, mut results) = ([Reading::MISSING], [WriteResult::NotAsked]);
        let outcome = bus.exchange(&[Some(index.into())], &mut results, &mut readings, within());
        assert_eq!((outcome, readings[0].value, results), ((Ok(()), Ok(())), 3.5, [WriteResult::Done]));
        assert_eq!(plant.lock().unwrap().outputs, [f64::from(index)]);
    }
}

#[test]
fn f48_f51_each_output_has_its_own_outcome_whatever_it_was_refused_for() {
    // BadTypeMismatch, BadNotWritable, BadOutOfRange, BadUserAccessDenied.
    const REFUSALS: [u32; 4] = [0x8074_0000, 0x803B_0000, 0x803C_0000, 0x801F_0000];
    let (setup, plant) = (Setup::open(0, &[ScalarKind::Double; 3]), Plant::shared(3));
    let server = Server::start(&setup, &plant);
    let mut bus = bus(Target::lab(&server.url(), "urn:corerl:test"), Arc::new(TestClock::default()), 0, 3);
    bus.connect(within()).unwrap();
    plant.lock().unwrap().refused_output = Some(1);
    for (round, status) in (1..).zip(REFUSALS) {
        plant.lock().unwrap().refusal = Some(status);
        let value = f64::from(round);
        let mut results = [WriteResult::NotAsked; 3];
        assert_eq!(bus.write(&[Some(value); 3], &mut results, within()), Ok(()));
        assert_eq!(results, [WriteResult::Done, WriteResult::Refused { status }, WriteResult::Done]);
        assert_eq!(plant.lock().unwrap().outputs, [value, 0.0, value]);
    }
}

#[test]
fn f53_of_a_redundant_set_the_next_server_serves_the_same_plant_when_one_is_gone() {
    let (setup, plant) = (Setup::open(INPUTS, &OUTPUTS), Plant::shared(OUTPUTS.len()));
    let (first, second) = (Server::start(&setup, &plant), Server::start(&setup, &plant));
    let (url, other) = (first.url(), second.url());
    let target = Target::lab(&url, "urn:corerl:test");
    let clock = Arc::new(TestClock::default());
    let mut bus =
        OpcUa::new(target, std::slice::from_ref(&other), clock, nodes("in", INPUTS), nodes("out", 3)).unwrap();
    assert_eq!(bus.connect(within()).unwrap().server, url);
    let mut results = [WriteResult::NotAsked; 3];
    bus.write(&[Some(2.5), None, None], &mut results, within()).unwrap();

    drop(first);
    let mut readings = [Reading::MISSING; INPUTS];
    assert!(matches!(bus.read(&mut readings, within()), Err(BusError::Lost(_))));
    let refused = bus.connect(within()).unwrap_err();
    assert!(refused.message.contains(&url), "{refused:?}");
    assert_eq!(bus.connect(within()).unwrap().server, other);
    plant.lock().unwrap().input = 7.0;
    bus.read(&mut readings, within()).unwrap();
    assert!(readings.iter().all(|reading| reading.value == 7.0), "{readings:?}");
    assert_eq!(plant.lock().unwrap().outputs[0], 2.5, "nothing was written at the change");

    // Nobody goes back as long as the second one serves; when it is gone, the first one is tried again.
    bus.disconnect(within());
    assert_eq!(bus.connect(within()).unwrap().server, other);
    drop(second);
    assert!(bus.connect(within()).unwrap_err().message.contains(&other));
    assert!(bus.connect(within()).unwrap_err().message.contains(&url));
}

#[test]
fn f41_a_session_that_the_server_has_ended_is_made_anew_by_the_same_bus() {
    let session_timeout = Duration::from_secs(1);
    let (setup, plant) = (Setup { session_timeout, ..Setup::open(1, &[]) }, Plant::shared(0));
    let server = Server::start(&setup, &plant);
    let mut bus = bus(Target::lab(&server.url(), "urn:corerl:test"), Arc::new(TestClock::default()), 1, 0);
    for _ in 0..2 {
        bus.connect(within()).unwrap();
        bus.read(&mut [Reading::MISSING], within()).unwrap();
        // The client stands still.
        std::thread::sleep(3 * session_timeout);
        let ended = bus.read(&mut [Reading::MISSING], within());
        assert!(matches!(ended, Err(BusError::Lost(_))), "{ended:?}");
        println!("{ended:?}");
    }
}

#[test]
fn f49_a_node_whose_type_or_rank_changes_gives_its_number_or_is_bad() {
    let (setup, plant) = (Setup::open(1, &[]), Plant::shared(0));
    let server = Server::start(&setup, &plant);
    let mut bus = bus(Target::lab(&server.url(), "urn:corerl:test"), Arc::new(TestClock::default()), 1, 0);
    bus.connect(within()).unwrap();
    let mut read = |instead: Variant| {
        plant.lock().unwrap().instead = Some(instead);
        let mut reading = [Reading::MISSING];
        bus.read(&mut reading, within()).unwrap();
        (reading[0].quality, reading[0].value)
    };
    for (instead, value) in [
        (Variant::Int32(-7), -7.0),
        (Variant::Byte(255), 255.0),
        (Variant::Float(1.5), 1.5),
        (Variant::Boolean(true), 1.0),
    ] {
        assert_eq!(read(instead), (Quality::Good, value));
    }
    for instead in [Variant::from(vec![1.0, 2.0]), Variant::from("7"), Variant::Empty] {
        let (quality, value) = read(instead.clone());
        assert!(quality == Quality::Bad && value.is_nan(), "{instead:?}: {value}");
    }
    assert_eq!(read(Variant::Double(2.5)), (Quality::Good, 2.5), "it comes back");
}
