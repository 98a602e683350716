//! A connection in steady state: it allocates nothing, and it renews its keys without losing a sample.

use std::sync::Arc;
use std::time::Duration;

use io_loop::{FieldBus, Reading, Receipt, WriteResult};
use rt_core::setpoint::ScalarKind;
use rt_core::time::{MonoTime, Span};
use rt_sys::guard;
use ua_session::{Clock, KeyWorker, MessageMode, ReadValue, SecurityPolicy, Session, Target};

use crate::opcua::{TestClock, bus, nodes};
use crate::plant::Plant;
use crate::security::Works;
use crate::server::{Server, Setup};
use crate::subscription::subscribing;

const INPUTS: usize = 50;
const OUTPUTS: [ScalarKind; 8] = [ScalarKind::Double; 8];
const PATIENCE: Span = Span::from_ms(20_000);
/// Cycles until every buffer has grown.
const WARM_UP: usize = 20;

/// Cycles of write and read, or of both at once; what they allocated after warming up.
fn allocations(target: Target, cycles: usize, paired: bool) -> u64 {
    let clock = Arc::new(TestClock::default());
    let mut bus = bus(target, clock.clone(), INPUTS, OUTPUTS.len());
    let within = || MonoTime::from_ns(clock.monotonic_ns()) + PATIENCE;
    bus.connect(within()).unwrap();
    let (mut readings, mut results) = ([Reading::MISSING; INPUTS], [WriteResult::NotAsked; OUTPUTS.len()]);
    let mut cycle = |number: usize| {
        let values = [Some(number as f64); OUTPUTS.len()];
        if paired {
            let outcome = bus.exchange(&values, &mut results, &mut readings, within());
            assert_eq!(outcome, (Ok(()), Ok(())));
        } else {
            bus.write(&values, &mut results, within()).unwrap();
            bus.read(&mut readings, within()).unwrap();
        }
        bus.maintain(within()).unwrap();
    };
    (0..WARM_UP).for_each(&mut cycle);
    guard::arm();
    let before = guard::counts();
    (0..cycles).for_each(&mut cycle);
    let after = guard::counts();
    guard::disarm();
    assert_eq!(results, [WriteResult::Done; OUTPUTS.len()]);
    after.since(before).total()
}

#[test]
fn no_cycle_allocates_in_clear_or_encrypted_sequential_or_paired() {
    assert!(guard::is_installed());
    let works = Works::new();
    let plant = Plant::shared(OUTPUTS.len());
    let server = Server::start(&works.setup(INPUTS, &OUTPUTS), &plant);
    let secured = [
        (SecurityPolicy::Basic256Sha256, MessageMode::Sign),
        (SecurityPolicy::Basic256Sha256, MessageMode::SignAndEncrypt),
        (SecurityPolicy::Aes256Sha256RsaPss, MessageMode::SignAndEncrypt),
    ];
    let targets = secured.map(|(policy, mode)| works.target(&server.url(), policy, mode));
    for target in targets.into_iter().chain([Target::lab(&server.url(), "urn:corerl:test")]) {
        for paired in [false, true] {
            assert_eq!(allocations(target.clone(), 300, paired), 0, "{:?} paired: {paired}", target.security);
        }
    }
}

#[test]
fn no_cycle_allocates_while_the_server_tells_and_a_share_is_read_now_and_then() {
    let works = Works::new();
    let setup = Setup { is_set: true, ..works.setup(INPUTS, &OUTPUTS) };
    let server = Server::start(&setup, &Plant::shared(OUTPUTS.len()));
    let secured = works.target(&server.url(), SecurityPolicy::Basic256Sha256, MessageMode::SignAndEncrypt);
    for (target, paired) in [(Target::lab(&server.url(), "urn:corerl:test"), false), (secured, true)] {
        let clock = Arc::new(TestClock::default());
        // The last input is never told; of the others some are read before long.
        let watch: Vec<_> = (0..INPUTS).map(|input| (input + 1 < INPUTS).then_some(Span::from_ms(50))).collect();
        let mut bus = bus(target, clock.clone(), INPUTS, OUTPUTS.len()).subscribing(Some(subscribing(&watch)));
        let within = || MonoTime::from_ns(clock.monotonic_ns()) + PATIENCE;
        bus.connect(within()).unwrap();
        let (mut readings, mut results) = ([Reading::MISSING; INPUTS], [WriteResult::NotAsked; OUTPUTS.len()]);
        let (mut told, mut asked) = (0, 0);
        let mut cycle = |number: usize| {
            let values = [Some(number as f64); OUTPUTS.len()];
            if paired {
                assert_eq!(bus.exchange(&values, &mut results, &mut readings, within()), (Ok(()), Ok(())));
            } else {
                bus.write(&values, &mut results, within()).unwrap();
                bus.read(&mut readings, within()).unwrap();
            }
            bus.maintain(within()).unwrap();
            told += readings.iter().filter(|reading| matches!(reading.receipt, Receipt::Told { .. })).count();
            asked += readings.iter().filter(|reading| reading.receipt == Receipt::Asked).count();
        };
        let mut allocated = 0;
        for number in 0..400 {
            let changes: Vec<_> = (0..INPUTS / 2).map(|input| (input, number as f64)).collect();
            server.set(&changes, false);
            std::thread::sleep(Duration::from_millis(1));
            guard::arm();
            let before = guard::counts();
            cycle(number);
            let after = guard::counts();
            guard::disarm();
            // The longest message comes first, and every share has been read once.
            allocated += if number < 100 { 0 } else { after.since(before).total() };
        }
        assert_eq!(allocated, 0, "paired: {paired}");
        assert!(told > 400 && asked > 400 + INPUTS, "told {told}, asked {asked}");
    }
}

/// Lifetime of keys at the server: long enough for a renewal on a loaded machine, short enough for it to forget them.
const KEY_LIFETIME: Span = Span::from_ms(4_000);

/// Reads without a pause until the keys were renewed so often, letting three quarters of their life pass after each
/// renewal. Every read must succeed. Gives the number of reads.
fn renew(target: &Target, renewals: u64, pause: Duration) -> u64 {
    let clock = Arc::new(TestClock::default());
    let worker = KeyWorker::start().unwrap();
    let within = || clock.monotonic_ns() + PATIENCE.as_ns();
    let mut session = Session::connect(target, &worker, clock.clone(), within()).unwrap();
    let node = session.resolve(&nodes("in", 1)[0].address).unwrap();
    let mut plan = session.prepare_read(&[node]).unwrap();
    let mut values = [ReadValue::MISSING];
    let (mut renewed, mut last, mut reads) = (None, 0, 0);
    while session.renewals() < renewals {
        if renewed != Some(session.renewals()) {
            renewed = Some(session.renewals());
            clock.put_forward(Span::from_ns(KEY_LIFETIME.as_ns() / 4 * 3));
        }
        session.read(&mut plan, &mut values, within()).unwrap();
        assert!(values[0].status == 0 && values[0].source_time > last, "a sample was lost: {values:?}");
        last = values[0].source_time;
        session.maintain(within()).unwrap();
        std::thread::sleep(pause);
        reads += 1;
    }
    session.close(within());
    reads
}

#[test]
fn f42_keys_are_renewed_many_times_and_no_sample_is_lost() {
    let works = Works::new();
    let plant = Plant::shared(0);
    let token_lifetime = Duration::from_nanos(KEY_LIFETIME.as_ns());
    let server = Server::start(&Setup { token_lifetime, ..works.setup(1, &[]) }, &plant);
    let secured = works.target(&server.url(), SecurityPolicy::Basic256Sha256, MessageMode::SignAndEncrypt);
    let signed = works.target(&server.url(), SecurityPolicy::Aes128Sha256RsaOaep, MessageMode::Sign);
    let open = Target::lab(&server.url(), "urn:corerl:test");
    renew(&open, 50, Duration::ZERO);
    for (target, renewals, pause) in
        [(&secured, 100, Duration::ZERO), (&secured, 10, Duration::from_millis(20)), (&signed, 10, Duration::ZERO)]
    {
        let reads = renew(target, renewals, pause);
        println!("{renewals} renewals, {reads} reads");
        // They go on while the worker seals.
        assert!(reads > renewals, "{reads} reads, {renewals} renewals");
    }
}
