//! The connected session and its cyclic calls.

use std::{sync::Arc, time::Duration};

use opcua_types::NodeId;

use crate::{
    CallError, ChildNode, Clock, ConnectError, KeyWorker, NodeAddress, PrepareError, ReadPlan, ReadValue, ResolveError,
    ScalarKind, Step, Target, ValueId, WritePlan, browse,
    connect::{self, Membership, Remains},
    crypto,
    describe::{self, Limits, NodeDescription},
    link::Link,
    plan::{ReadBatch, WriteBatch, decode_read, decode_write},
    scale::{self, Scale, ScalePlan},
    services, subscribe,
    subscription::Subscription,
};

/// The two outcomes of [`Session::exchange`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Exchange {
    /// Of the write.
    pub write: Result<(), CallError>,
    /// Of the read.
    pub read: Result<(), CallError>,
}

/// A connected, activated session. Dropping it closes the socket without a word; [`Session::close`] takes leave.
pub struct Session {
    link: Link,
    membership: Membership,
    resumed: bool,
    /// Tells plans of this session from those of others.
    serial: u64,
    namespaces: Vec<String>,
    limits: Limits,
    notices: Vec<String>,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("channel", &self.link.channel).finish_non_exhaustive()
    }
}

impl Session {
    /// Discovers the endpoint, checks the server's certificate, opens the channel, creates and activates the session,
    /// and reads the server's namespaces. The worker computes the RSA of the channel's renewals.
    ///
    /// # Errors
    /// See [`ConnectError`]; a certificate that is not trusted is in the error.
    pub fn connect(
        target: &Target,
        worker: &KeyWorker,
        clock: Arc<dyn Clock>,
        deadline_ns: u64,
    ) -> Result<Session, ConnectError> {
        Self::reconnect(&mut None, target, worker, clock, deadline_ns)
    }

    /// Connects again after a connection was lost: goes on with what remains of its session where the server still has it
    /// (Part 4, 6.7), and makes a new one where it has not, or where nothing remains. What was offered to a server is gone, also
    /// when that fails. Nodes are to be resolved and plans prepared anew, because a server may have changed meanwhile.
    ///
    /// # Errors
    /// As [`Session::connect`].
    pub fn reconnect(
        remains: &mut Option<Remains>,
        target: &Target,
        worker: &KeyWorker,
        clock: Arc<dyn Clock>,
        deadline_ns: u64,
    ) -> Result<Session, ConnectError> {
        let mut connected = connect::connect(target, worker, clock, remains, deadline_ns)?;
        let (namespaces, limits) = describe::read_server(&mut connected.link, &connected.membership.token, deadline_ns)
            .map_err(|source| ConnectError::Step {
                url: target.url.clone(),
                step: Step::ReadNamespaces,
                reason: connected.link.channel.reason().to_owned(),
                source,
            })?;
        let [a, b, c, d, e, f, g, h, ..] = crypto::nonce();
        Ok(Session {
            link: connected.link,
            membership: connected.membership,
            resumed: connected.resumed,
            serial: u64::from_le_bytes([a, b, c, d, e, f, g, h]),
            namespaces,
            limits,
            notices: connected.notices,
        })
    }

    /// The server's namespace URIs; a NodeId's namespace index points into them.
    pub fn namespaces(&self) -> &[String] {
        &self.namespaces
    }

    /// What an operator might want to know: a certificate that does not name the host, a shortened session timeout.
    pub fn notices(&self) -> &[String] {
        &self.notices
    }

    /// Lets every call look for its answer for this long before it sleeps. That takes two wake-ups out of a cycle, and the CPU
    /// from whoever shares it.
    pub fn spin_for(&mut self, spin: Duration) {
        self.link.spin_ns = u64::try_from(spin.as_nanos()).unwrap_or(u64::MAX);
    }

    /// Whether this is the session that there was before the connection was lost.
    pub fn is_resumed(&self) -> bool {
        self.resumed
    }

    /// What is left when the connection is lost: enough for [`Session::reconnect`].
    pub fn into_remains(self) -> Remains {
        Remains(self.membership)
    }

    /// When the last bytes came from the server, in nanoseconds of the clock.
    pub fn last_answer_ns(&self) -> u64 {
        self.link.last_answer_ns()
    }

    /// How often the channel's keys were renewed.
    pub fn renewals(&self) -> u64 {
        self.link.channel.renewals()
    }

    /// The node id behind an address on this server. Whether there is such a node, [`Session::describe`] tells.
    ///
    /// # Errors
    /// When the server does not have the namespace.
    pub fn resolve(&self, address: &NodeAddress) -> Result<NodeId, ResolveError> {
        address.resolve(&self.namespaces).ok_or_else(|| ResolveError::Namespace {
            address: Box::new(address.clone()),
            offered: self.namespaces.clone(),
        })
    }

    /// The value behind an address on this server.
    ///
    /// # Errors
    /// As [`Session::resolve`].
    pub fn locate(&self, address: &NodeAddress) -> Result<ValueId, ResolveError> {
        Ok(ValueId { node: self.resolve(address)?, element: address.element() })
    }

    /// Data type, rank and access of nodes, in their order.
    ///
    /// # Errors
    /// See [`CallError`]; what concerns one node is in its description.
    pub fn describe(&mut self, nodes: &[NodeId], deadline_ns: u64) -> Result<Vec<NodeDescription>, CallError> {
        let described =
            describe::describe(&mut self.link, &self.membership.token, nodes, &mut self.limits, deadline_ns);
        self.link.note(described)
    }

    /// Where the ranges and units of nodes are found.
    ///
    /// # Errors
    /// See [`CallError`].
    pub fn find_scales(&mut self, nodes: &[NodeId], deadline_ns: u64) -> Result<ScalePlan, CallError> {
        let found = scale::find(&mut self.link, &self.membership.token, nodes, self.limits, deadline_ns);
        self.link.note(found)
    }

    /// The present ranges and units, in the order of the nodes.
    ///
    /// # Errors
    /// See [`CallError`].
    pub fn read_scales(&mut self, plan: &ScalePlan, deadline_ns: u64) -> Result<Vec<Scale>, CallError> {
        let read = scale::read(&mut self.link, &self.membership.token, plan, self.limits, deadline_ns);
        self.link.note(read)
    }

    /// The objects and variables right below a node, in the server's order; at most [`crate::limits::REFERENCES_MAX`] and a
    /// page.
    ///
    /// # Errors
    /// See [`CallError`].
    pub fn browse(&mut self, node: &NodeId, deadline_ns: u64) -> Result<Vec<ChildNode>, CallError> {
        let browsed = browse::browse(&mut self.link, &self.membership.token, node, deadline_ns);
        self.link.note(browsed)
    }

    /// Makes a read of these values ready: of variables, or of elements of them.
    ///
    /// # Errors
    /// When there are too many.
    pub fn prepare_read<V: Clone + Into<ValueId>>(&self, values: &[V]) -> Result<ReadPlan, PrepareError> {
        let values: Vec<_> = values.iter().cloned().map(Into::into).collect();
        ReadPlan::new(self.serial, &self.membership.token, &values, self.limits.read)
    }

    /// Makes a write to these nodes' values ready.
    ///
    /// # Errors
    /// When there are too many nodes.
    pub fn prepare_write<V: Clone + Into<ValueId>>(
        &self,
        values: &[(V, ScalarKind)],
    ) -> Result<WritePlan, PrepareError> {
        let values: Vec<_> = values.iter().cloned().map(|(value, kind)| (value.into(), kind)).collect();
        WritePlan::new(self.serial, &self.membership.token, &values, self.limits.write)
    }

    /// Reads all nodes of the plan into `out`, which has the plan's length.
    ///
    /// # Errors
    /// See [`CallError`]; what concerns one node is in its [`ReadValue`]. On an error `out` may be partly new.
    ///
    /// # Real-time
    /// Blocks at most until the deadline; allocates nothing once a call with this plan has succeeded.
    pub fn read(&mut self, plan: &mut ReadPlan, out: &mut [ReadValue], deadline_ns: u64) -> Result<(), CallError> {
        let result = self.try_read(plan, out, deadline_ns);
        self.link.note(result)
    }

    fn try_read(&mut self, plan: &mut ReadPlan, out: &mut [ReadValue], deadline_ns: u64) -> Result<(), CallError> {
        plan.check(self.serial, out.len())?;
        let mut rest = out;
        for batch in &mut plan.batches {
            let (slots, tail) = rest.split_at_mut(batch.shapes.len().min(rest.len()));
            rest = tail;
            self.link.ready(deadline_ns)?;
            let mark = self.link.channel.mark();
            let request_id = self.seal_read(batch)?;
            self.link.send(mark, deadline_ns)?;
            self.link.answer(request_id, deadline_ns)?;
            decode_read(self.link.channel.body(), &batch.shapes, slots)?;
        }
        Ok(())
    }

    /// Writes the values that are there. `None` leaves that node, and its place in `status`, alone; with no value at all
    /// nothing is sent. All three slices have the plan's length.
    ///
    /// Every value is checked before anything is sent: it must be finite and exactly representable in the node's data
    /// type. A write that missed its deadline unsent is never sent later.
    ///
    /// # Errors
    /// See [`CallError`]; what concerns one node is in `status`. When a plan needs more than one request and a later one
    /// fails, the earlier ones have taken effect.
    ///
    /// # Real-time
    /// Blocks at most until the deadline; allocates nothing once a call with this plan has succeeded.
    pub fn write(
        &mut self,
        plan: &mut WritePlan,
        values: &[Option<f64>],
        status: &mut [u32],
        deadline_ns: u64,
    ) -> Result<(), CallError> {
        let result = self.try_write(plan, values, status, deadline_ns);
        self.link.note(result)
    }

    fn try_write(
        &mut self,
        plan: &mut WritePlan,
        values: &[Option<f64>],
        status: &mut [u32],
        deadline_ns: u64,
    ) -> Result<(), CallError> {
        plan.check(self.serial, values, status.len())?;
        let mut first = 0;
        while let Some(batch) = plan.encode(values, first)? {
            first = batch.end;
            self.link.ready(deadline_ns)?;
            let mark = self.link.channel.mark();
            let request_id = self.send_write(plan)?;
            self.link.send(mark, deadline_ns)?;
            self.link.answer(request_id, deadline_ns)?;
            decode_write(self.link.channel.body(), batch, values, status)?;
        }
        Ok(())
    }

    /// Writes and reads in one round trip: both requests leave in one send, and the answers may come in any order. The
    /// read may or may not see the write. Plans that need several requests are carried out one after the other.
    ///
    /// # Errors
    /// Each half has its own, as of [`Session::write`] and [`Session::read`].
    ///
    /// # Real-time
    /// Blocks at most until the deadline; allocates nothing once a call with these plans has succeeded.
    pub fn exchange(
        &mut self,
        (write_plan, values, status): (&mut WritePlan, &[Option<f64>], &mut [u32]),
        (read_plan, out): (&mut ReadPlan, &mut [ReadValue]),
        deadline_ns: u64,
    ) -> Exchange {
        let one_each = write_plan.check(self.serial, values, status.len()).is_ok()
            && read_plan.check(self.serial, out.len()).is_ok()
            && write_plan.fits_one(values);
        let encoded = if one_each { write_plan.encode(values, 0) } else { Ok(None) };
        match (encoded, read_plan.batches.as_mut_slice()) {
            (Ok(Some(write_batch)), [read_batch]) => {
                self.pair((write_plan, write_batch, values, status), (read_batch, out), deadline_ns)
            }
            // One after the other; each half reports what is wrong with it.
            _ => Exchange {
                write: self.write(write_plan, values, status, deadline_ns),
                read: self.read(read_plan, out, deadline_ns),
            },
        }
    }

    fn pair(
        &mut self,
        (write_plan, write_batch, values, status): (&mut WritePlan, WriteBatch, &[Option<f64>], &mut [u32]),
        (read_batch, out): (&mut ReadBatch, &mut [ReadValue]),
        deadline_ns: u64,
    ) -> Exchange {
        let sent = self.send_pair(write_plan, read_batch, deadline_ns);
        let (write_id, read_id) = match self.link.note(sent) {
            Ok(ids) => ids,
            Err(error) => return Exchange { write: Err(error), read: Err(error) },
        };
        let (mut write, mut read) = (None, None);
        while write.is_none() || read.is_none() {
            let (id, answered) = match self.link.next_answer(deadline_ns) {
                Ok((id, answered)) => (id, answered.map(|()| self.link.channel.body())),
                Err(error) => {
                    write.get_or_insert(Err(error));
                    read.get_or_insert(Err(error));
                    break;
                }
            };
            if id == write_id {
                write = Some(answered.and_then(|body| decode_write(body, write_batch, values, status)));
            } else if id == read_id {
                read = Some(answered.and_then(|body| decode_read(body, &read_batch.shapes, out)));
            }
        }
        // The loop ends with both answered.
        let over = Err(CallError::SessionOver);
        let exchange = Exchange { write: write.unwrap_or(over), read: read.unwrap_or(over) };
        let _ = self.link.note(exchange.write);
        let _ = self.link.note(exchange.read);
        exchange
    }

    fn send_pair(
        &mut self,
        write_plan: &mut WritePlan,
        read_batch: &mut ReadBatch,
        deadline_ns: u64,
    ) -> Result<(u32, u32), CallError> {
        self.link.ready(deadline_ns)?;
        let mark = self.link.channel.mark();
        let write_id = self.send_write(write_plan)?;
        let read_id = match self.seal_read(read_batch) {
            Ok(id) => id,
            Err(error) => {
                self.link.channel.take_back(mark);
                return Err(error);
            }
        };
        self.link.send(mark, deadline_ns)?;
        Ok((write_id, read_id))
    }

    fn seal_read(&mut self, batch: &mut ReadBatch) -> Result<u32, CallError> {
        let timestamp = self.link.timestamp();
        let request_id = self.link.channel.next_request_id()?;
        self.link.channel.seal(request_id, batch.request(request_id, timestamp))?;
        Ok(request_id)
    }

    /// The one function in the tree that sends an OPC UA Write.
    fn send_write(&mut self, plan: &mut WritePlan) -> Result<u32, CallError> {
        let timestamp = self.link.timestamp();
        let request_id = self.link.channel.next_request_id()?;
        self.link.channel.seal(request_id, plan.request(request_id, timestamp))?;
        Ok(request_id)
    }

    /// Lets the server tell what changes of these values, looking at them and telling it this often, in place of what it
    /// told before. What it has told comes in with every other call, and is in [`Session::subscription`].
    ///
    /// # Errors
    /// When the server refuses, [`CallError::Refused`] with its status: BadTooManySubscriptions, BadServiceUnsupported, or
    /// that of a node when it takes none of them. Then there is no subscription, and the session goes on. Which
    /// nodes it does not take when it takes others, [`Subscription::accepted`] says.
    pub fn subscribe<V: Clone + Into<ValueId>>(
        &mut self,
        values: &[V],
        every: Duration,
        deadline_ns: u64,
    ) -> Result<(), CallError> {
        let values: Vec<_> = values.iter().cloned().map(Into::into).collect();
        let request = (&*values, every, self.limits.subscribe);
        let subscribed = subscribe::subscribe(&mut self.link, &self.membership.token, request, deadline_ns);
        self.link.note(subscribed)
    }

    /// Takes in what has come, and keeps the server asked for more; to be called in every cycle. It does not wait for
    /// anything to come.
    ///
    /// # Errors
    /// See [`CallError`]. That the subscription is over is no error: [`Subscription::over`] says it.
    ///
    /// # Real-time
    /// Waits, at most until the deadline, only where the socket has no room for the requests; allocates nothing once the
    /// longest message has come. Bounded by [`crate::limits::PUBLISH_REQUESTS_MAX`] messages.
    pub fn take_changes(&mut self, deadline_ns: u64) -> Result<(), CallError> {
        let result = self.link.take_changes(deadline_ns);
        self.link.note(result)
    }

    /// The subscription, with the last value of every node.
    pub fn subscription(&self) -> Option<&Subscription> {
        self.link.subscription()
    }

    /// Renews the channel's keys when three quarters of their life have passed; to be called between cycles. The worker
    /// signs and encrypts the request while cycles go on under the old keys; a later call sends it and waits for the
    /// answer until the deadline. An answer that takes longer is taken in by later calls, while the old keys serve.
    ///
    /// # Errors
    /// See [`CallError`]. A renewal whose answer is still out is no error.
    ///
    /// # Real-time
    /// Blocks at most until the deadline, and only in the one call that sends a renewal; otherwise it is bounded by the
    /// bytes that have come. A renewal allocates.
    pub fn maintain(&mut self, deadline_ns: u64) -> Result<(), CallError> {
        let result = self.link.maintain(deadline_ns);
        self.link.note(result)
    }

    /// Closes session, channel and connection, as far as that is possible before the deadline.
    pub fn close(self, deadline_ns: u64) {
        let Session { mut link, membership, .. } = self;
        let closed = link.request(deadline_ns, |out, handle, timestamp| {
            services::put_close_session(out, &membership.token, handle, timestamp);
        });
        if link.note(closed).is_ok() {
            link.close(deadline_ns);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{MachineClock, ScriptedServer, answer_head, doubles, statuses};

    const READ: u32 = services::type_id::READ_REQUEST as u32;
    const WRITE: u32 = services::type_id::WRITE_REQUEST as u32;
    /// Long enough for a loaded machine; only tests of a missed deadline wait shorter.
    const PATIENCE_NS: u64 = 20_000_000_000;
    const IMPATIENCE_NS: u64 = 1_000_000_000;

    struct Client {
        session: Session,
        clock: Arc<dyn Clock>,
        read: ReadPlan,
        write: WritePlan,
    }

    impl Client {
        fn connect(url: &str) -> Client {
            let clock = MachineClock::shared();
            let target = Target::lab(url, "urn:test");
            let worker = KeyWorker::start().unwrap();
            let session =
                Session::connect(&target, &worker, clock.clone(), clock.monotonic_ns() + PATIENCE_NS).unwrap();
            let node = session.resolve(&"nsu=urn:plant;s=A".parse().unwrap()).unwrap();
            assert_eq!(node, NodeId::new(1, "A"));
            let read = session.prepare_read(&[node.clone(), node.clone()]).unwrap();
            let write = session.prepare_write(&[(node, ScalarKind::Double)]).unwrap();
            Client { session, clock, read, write }
        }

        fn read(&mut self, within_ns: u64) -> Result<[f64; 2], CallError> {
            let mut out = [ReadValue::MISSING; 2];
            let deadline_ns = self.clock.monotonic_ns() + within_ns;
            self.session.read(&mut self.read, &mut out, deadline_ns).map(|()| out.map(|value| value.value))
        }

        fn exchange(&mut self) -> (Exchange, u32, f64) {
            let (mut status, mut out) = ([1], [ReadValue::MISSING; 2]);
            let deadline_ns = self.clock.monotonic_ns() + PATIENCE_NS;
            let exchange = self.session.exchange(
                (&mut self.write, &[Some(4.5)], &mut status),
                (&mut self.read, &mut out),
                deadline_ns,
            );
            (exchange, status[0], out[0].value)
        }
    }

    #[test]
    fn f37_a_late_answer_is_discarded_and_the_session_goes_on() {
        let (url, server) = ScriptedServer::start(|server| {
            let late = server.next_request();
            let timely = server.next_request();
            server.answer(late.id, &doubles(&[1.0, 1.0]));
            server.answer(timely.id, &doubles(&[2.0, 2.0]));
            server.until_closed();
        });
        let mut client = Client::connect(&url);
        assert_eq!(client.read(IMPATIENCE_NS), Err(CallError::Deadline { sent: true }));
        assert_eq!(client.read(PATIENCE_NS), Ok([2.0, 2.0]));
        drop(client);
        server.join().unwrap();
    }

    #[test]
    fn the_answers_of_an_exchange_may_come_in_any_order() {
        let (url, server) = ScriptedServer::start(|server| {
            for swapped in [false, true] {
                let (write, read) = (server.next_request(), server.next_request());
                assert_eq!((write.type_id, read.type_id), (WRITE, READ));
                let mut answers = [(write.id, statuses(&[7])), (read.id, doubles(&[3.0, 3.0]))];
                if swapped {
                    answers.reverse();
                }
                for (id, body) in answers {
                    server.answer(id, &body);
                }
            }
            server.until_closed();
        });
        let mut client = Client::connect(&url);
        for _ in 0..2 {
            let (exchange, status, value) = client.exchange();
            assert_eq!(exchange, Exchange { write: Ok(()), read: Ok(()) });
            assert_eq!((status, value), (7, 3.0));
        }
        drop(client);
        server.join().unwrap();
    }

    #[test]
    fn half_an_exchange_may_be_refused() {
        let (url, server) = ScriptedServer::start(|server| {
            let (write, read) = (server.next_request(), server.next_request());
            server.answer(write.id, &answer_head(397, 0x8010_0000));
            server.answer(read.id, &doubles(&[3.0, 3.0]));
            server.until_closed();
        });
        let mut client = Client::connect(&url);
        let (exchange, _, value) = client.exchange();
        assert_eq!(exchange, Exchange { write: Err(CallError::Refused { status: 0x8010_0000 }), read: Ok(()) });
        assert_eq!(value, 3.0);
        drop(client);
        server.join().unwrap();
    }

    #[test]
    fn f50_a_server_that_takes_less_than_it_says_is_asked_for_less_from_then_on() {
        const TOO_MANY_OPERATIONS: u32 = 0x8010_0000;
        let (url, server) = ScriptedServer::start(|server| {
            // Five attributes of each of four nodes: 20, 10, and then 5 at once.
            for _ in 0..2 {
                let request = server.next_request();
                server.answer(request.id, &answer_head(397, TOO_MANY_OPERATIONS));
            }
            for _ in 0..4 {
                let request = server.next_request();
                server.answer(request.id, &doubles(&[0.0; 5]));
            }
            server.until_closed();
        });
        let mut client = Client::connect(&url);
        let nodes = vec![NodeId::new(1, "A"); 4];
        let deadline_ns = client.clock.monotonic_ns() + PATIENCE_NS;
        assert_eq!(client.session.describe(&nodes, deadline_ns).unwrap().len(), 4);
        assert_eq!(client.session.prepare_read(&vec![nodes[0].clone(); 11]).unwrap().batches.len(), 3);
        drop(client);
        server.join().unwrap();
    }

    #[test]
    fn f41_a_session_is_offered_once_so_that_a_server_that_hangs_up_on_it_is_asked_for_a_new_one() {
        const ACTIVATE: u32 = services::type_id::ACTIVATE_SESSION_REQUEST as u32;
        let (url, server) = ScriptedServer::start_with(|listener| {
            ScriptedServer::accept(listener).set_up();
            let mut again = ScriptedServer::accept(listener);
            again.set_channel_up();
            assert_eq!(again.next_request().type_id, ACTIVATE);
            drop(again);
            ScriptedServer::accept(listener).set_up();
        });
        let Client { session, clock, .. } = Client::connect(&url);
        let (target, worker) = (Target::lab(&url, "urn:test"), KeyWorker::start().unwrap());
        let mut remains = Some(session.into_remains());
        let mut reconnect = || {
            let deadline_ns = clock.monotonic_ns() + PATIENCE_NS;
            Session::reconnect(&mut remains, &target, &worker, clock.clone(), deadline_ns)
        };
        assert!(matches!(reconnect(), Err(ConnectError::Step { step: Step::ActivateSession, .. })));
        assert!(!reconnect().unwrap().is_resumed());
        server.join().unwrap();
    }

    #[test]
    fn f41_a_fault_of_the_session_ends_it_for_every_later_call() {
        let (url, server) = ScriptedServer::start(|server| {
            let request = server.next_request();
            server.answer(request.id, &answer_head(397, 0x8025_0000));
            server.until_closed();
        });
        let mut client = Client::connect(&url);
        let ended = client.read(PATIENCE_NS).unwrap_err();
        assert_eq!(ended, CallError::Ended { status: 0x8025_0000 });
        assert!(ended.needs_reconnect());
        assert_eq!(client.read(PATIENCE_NS), Err(CallError::SessionOver));
        drop(client);
        server.join().unwrap();
    }

    #[test]
    fn a_server_that_goes_away_is_noticed() {
        let (url, server) = ScriptedServer::start(|server| {
            server.next_request();
        });
        let mut client = Client::connect(&url);
        let error = client.read(PATIENCE_NS).unwrap_err();
        assert!(error.needs_reconnect(), "{error}");
        server.join().unwrap();
    }

    #[test]
    fn a_deadline_in_the_past_sends_nothing() {
        let (url, server) = ScriptedServer::start(|server| {
            let request = server.next_request();
            assert_eq!(request.type_id, READ);
            server.answer(request.id, &doubles(&[5.0, 5.0]));
            server.until_closed();
        });
        let mut client = Client::connect(&url);
        let refused = client.session.write(&mut client.write, &[Some(1.0)], &mut [0], 0);
        assert_eq!(refused, Err(CallError::Deadline { sent: false }));
        let refused = client.session.write(&mut client.write, &[Some(f64::NAN)], &mut [0], u64::MAX);
        assert!(matches!(refused, Err(CallError::Value { index: 0, .. })));
        assert_eq!(client.session.write(&mut client.write, &[None], &mut [0], u64::MAX), Ok(()));
        // The first thing the server sees is this read.
        assert_eq!(client.read(PATIENCE_NS), Ok([5.0, 5.0]));
        drop(client);
        server.join().unwrap();
    }

    #[test]
    fn f40_a_server_that_never_answers_hello_is_left_at_the_deadline() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let target = Target::lab(&format!("opc.tcp://{}", listener.local_addr().unwrap()), "urn:test");
        let clock = MachineClock::shared();
        let deadline_ns = clock.monotonic_ns() + IMPATIENCE_NS;
        let error = Session::connect(&target, &KeyWorker::start().unwrap(), clock, deadline_ns).unwrap_err();
        assert!(matches!(error, ConnectError::Step { step: Step::Hello, source: CallError::Deadline { .. }, .. }));
        assert!(error.is_temporary());
    }
}
