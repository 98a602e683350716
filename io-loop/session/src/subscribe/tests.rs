use std::{sync::Arc, time::Duration};

use opcua_types::NodeId;

use crate::{
    CallError, Clock, KeyWorker, ReadPlan, ReadValue, Session, Target,
    codec::Put,
    services::type_id,
    testing::{MachineClock, Request, ScriptedServer, answer_head, doubles, told, told_again},
};

const CREATE: u32 = type_id::CREATE_SUBSCRIPTION_REQUEST as u32;
const ADD: u32 = type_id::CREATE_ITEMS_REQUEST as u32;
const DELETE: u32 = type_id::DELETE_SUBSCRIPTIONS_REQUEST as u32;
const PUBLISH: u32 = type_id::PUBLISH_REQUEST as u32;
const REPUBLISH: u32 = type_id::REPUBLISH_REQUEST as u32;
const READ: u32 = type_id::READ_REQUEST as u32;
/// Long enough for a loaded machine.
const PATIENCE_NS: u64 = 20_000_000_000;
const EVERY: Duration = Duration::from_millis(10);
/// BadTooManySubscriptions, BadTooManyMonitoredItems, BadNodeIdUnknown.
const TOO_MANY: u32 = 0x8077_0000;
const TOO_MANY_ITEMS: u32 = 0x80DB_0000;
const UNKNOWN: u32 = 0x8034_0000;

struct Client {
    session: Session,
    clock: Arc<dyn Clock>,
    nodes: Vec<NodeId>,
    read: ReadPlan,
}

impl Client {
    fn connect(url: &str, nodes: u32) -> Client {
        let clock = MachineClock::shared();
        let worker = KeyWorker::start().unwrap();
        let deadline_ns = clock.monotonic_ns() + PATIENCE_NS;
        let session = Session::connect(&Target::lab(url, "urn:test"), &worker, clock.clone(), deadline_ns).unwrap();
        let nodes: Vec<_> = (0..nodes).map(|index| NodeId::new(1, 1_000 + index)).collect();
        let read = session.prepare_read(&nodes[..1]).unwrap();
        Client { session, clock, nodes, read }
    }

    fn within(&self) -> u64 {
        self.clock.monotonic_ns() + PATIENCE_NS
    }

    fn subscribe(&mut self) -> Result<(), CallError> {
        let deadline_ns = self.within();
        self.session.subscribe(&self.nodes, EVERY, deadline_ns)
    }

    fn read(&mut self) -> f64 {
        let (mut out, deadline_ns) = ([ReadValue::MISSING], self.within());
        self.session.read(&mut self.read, &mut out, deadline_ns).unwrap();
        out[0].value
    }

    /// Takes changes until this holds.
    fn until(&mut self, fact: impl Fn(&Session) -> bool) {
        let deadline_ns = self.within();
        while !fact(&self.session) {
            self.session.take_changes(deadline_ns).unwrap();
            assert!(self.clock.monotonic_ns() < deadline_ns);
        }
    }

    fn values(&self) -> Vec<f64> {
        let items = self.session.subscription().unwrap().values();
        items.iter().map(|item| item.value.value).collect()
    }
}

/// The answer to CreateSubscription; its keep-alives come for ever later.
fn created(id: u32) -> Vec<u8> {
    let mut out = answer_head(790, 0);
    out.put_u32(id);
    out.put_f64(20.0);
    out.put_u32(30_000);
    out.put_u32(10_000);
    out
}

/// The answer to CreateMonitoredItems.
fn added(status: &[u32]) -> Vec<u8> {
    let mut out = answer_head(754, 0);
    out.put_count(status.len());
    for status in status {
        out.put_u32(*status);
        out.put_u32(1);
        out.put_f64(50.0);
        out.put_u32(2);
        out.extend_from_slice(&[0, 0, 0]);
    }
    out.put_null();
    out
}

fn deleted() -> Vec<u8> {
    let mut out = answer_head(850, 0);
    out.put_count(1);
    out.put_u32(0);
    out.put_null();
    out
}

impl ScriptedServer {
    /// The next request, which is of this type.
    fn expect(&mut self, type_id: u32) -> Request {
        let request = self.next_request();
        assert_eq!(request.type_id, type_id);
        request
    }

    /// Grants a subscription, and gives the requests to publish.
    fn grant(&mut self, id: u32, status: &[u32]) {
        let create = self.expect(CREATE);
        self.answer(create.id, &created(id));
        let add = self.expect(ADD);
        self.answer(add.id, &added(status));
    }
}

#[test]
fn what_the_server_tells_while_a_read_waits_for_its_answer_is_not_lost_and_not_the_answer() {
    let (url, server) = ScriptedServer::start(|server| {
        server.grant(7, &[0, 0]);
        let publish: Vec<_> = (0..4).map(|_| server.expect(PUBLISH).id).collect();
        let read = server.expect(READ);
        server.answer(publish[0], &told(7, 1, &[(0, 1.0), (1, 1.0)]));
        server.answer(publish[1], &told(7, 2, &[(1, 2.0)]));
        server.answer(read.id, &doubles(&[9.0]));
        server.answer(publish[2], &told(7, 3, &[(0, 3.0)]));
        server.until_closed();
    });
    let mut client = Client::connect(&url, 2);
    client.subscribe().unwrap();
    let deadline_ns = client.within();
    client.session.take_changes(deadline_ns).unwrap();
    assert_eq!(client.read(), 9.0);
    assert_eq!(client.values(), [1.0, 2.0]);
    client.until(|session| session.subscription().unwrap().newest_message() == 3);
    assert_eq!(client.values(), [3.0, 2.0]);
    // 20 ms of publishing and 50 ms of sampling, as the server has revised them.
    assert_eq!(client.session.subscription().unwrap().delay_ns(), 70_000_000);
    drop(client);
    server.join().unwrap();
}

#[test]
fn a_value_is_at_most_as_old_as_the_last_look_at_which_it_was_not_there() {
    let (look, looked) = std::sync::mpsc::channel();
    let (url, server) = ScriptedServer::start(move |server| {
        server.grant(7, &[0]);
        let publish = server.expect(PUBLISH).id;
        looked.recv().unwrap();
        server.answer(publish, &told(7, 1, &[(0, 1.0)]));
        server.until_closed();
    });
    let mut client = Client::connect(&url, 1);
    client.subscribe().unwrap();
    let deadline_ns = client.within();
    client.session.take_changes(deadline_ns).unwrap();
    let before_ns = client.clock.monotonic_ns();
    look.send(()).unwrap();
    // Whoever does not look meanwhile does not make it younger.
    std::thread::sleep(Duration::from_millis(20));
    client.until(|session| session.subscription().unwrap().newest_message() == 1);
    assert!(client.session.subscription().unwrap().values()[0].since_ns <= before_ns);
    drop(client);
    server.join().unwrap();
}

#[test]
fn f44_a_gap_is_filled_over_the_wire() {
    let (url, server) = ScriptedServer::start(|server| {
        server.grant(7, &[0, 0]);
        let publish: Vec<_> = (0..4).map(|_| server.expect(PUBLISH).id).collect();
        server.answer(publish[0], &told(7, 2, &[(0, 2.0)]));
        let again = loop {
            let request = server.next_request();
            if request.type_id == REPUBLISH {
                break request;
            }
        };
        assert!(again.body.ends_with(&[7, 0, 0, 0, 1, 0, 0, 0]));
        server.answer(again.id, &told_again(1, &[(0, 1.0), (1, 1.0)]));
        server.until_closed();
    });
    let mut client = Client::connect(&url, 2);
    client.subscribe().unwrap();
    client.until(|session| session.subscription().unwrap().tally().republished == 1);
    assert_eq!(client.values(), [2.0, 1.0]);
    drop(client);
    server.join().unwrap();
}

#[test]
fn f45_a_server_that_has_no_subscription_to_give_serves_reads_as_before() {
    let (url, server) = ScriptedServer::start(|server| {
        let create = server.expect(CREATE);
        server.answer(create.id, &answer_head(397, TOO_MANY));
        let create = server.expect(CREATE);
        server.answer(create.id, &created(7));
        let add = server.expect(ADD);
        server.answer(add.id, &answer_head(397, TOO_MANY_ITEMS));
        let delete = server.expect(DELETE);
        server.answer(delete.id, &deleted());
        server.grant(8, &[UNKNOWN, UNKNOWN]);
        let delete = server.expect(DELETE);
        server.answer(delete.id, &deleted());
        let read = server.expect(READ);
        server.answer(read.id, &doubles(&[9.0]));
        server.until_closed();
    });
    let mut client = Client::connect(&url, 2);
    for status in [TOO_MANY, TOO_MANY_ITEMS, UNKNOWN] {
        assert_eq!(client.subscribe(), Err(CallError::Refused { status }));
        assert!(client.session.subscription().is_none());
    }
    let deadline_ns = client.within();
    client.session.take_changes(deadline_ns).unwrap();
    assert_eq!(client.read(), 9.0);
    drop(client);
    server.join().unwrap();
}

#[test]
fn f43_another_subscription_takes_the_place_of_one_that_is_over_and_the_session_goes_on() {
    let (url, server) = ScriptedServer::start(|server| {
        server.grant(7, &[0, UNKNOWN]);
        let publish: Vec<_> = (0..4).map(|_| server.expect(PUBLISH).id).collect();
        server.answer(publish[0], &answer_head(397, 0x8079_0000));
        let delete = server.expect(DELETE);
        server.answer(delete.id, &answer_head(397, 0x8079_0000));
        server.grant(8, &[0, 0]);
        // What was asked for before is still good.
        server.answer(publish[1], &told(8, 1, &[(1, 5.0)]));
        assert_eq!([server.expect(PUBLISH).id, server.expect(PUBLISH).id].len(), 2);
        server.until_closed();
    });
    let mut client = Client::connect(&url, 2);
    client.subscribe().unwrap();
    assert_eq!(client.session.subscription().unwrap().accepted(), [0, UNKNOWN]);
    client.until(|session| session.subscription().unwrap().over().is_some());
    client.subscribe().unwrap();
    assert_eq!(client.session.subscription().unwrap().accepted(), [0, 0]);
    client.until(|session| session.subscription().unwrap().newest_message() == 1);
    assert_eq!(client.values()[1], 5.0);
    drop(client);
    server.join().unwrap();
}
