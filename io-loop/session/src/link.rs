//! The socket under a channel: blocking by deadline, never without one.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    sync::Arc,
    time::Duration,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    net::sockopt,
};

use crate::{
    CallError, Clock, KeyWorker,
    channel::{Arrival, Channel, Mark},
    key_worker::Desk,
    limits::{CALL_PATIENCE, TCP_PROBE_AFTER, TCP_USER_TIMEOUT_MS},
    services,
    subscription::{Came, Subscription},
};

/// A channel on its socket.
pub(crate) struct Link {
    stream: TcpStream,
    clock: Arc<dyn Clock>,
    pub(crate) channel: Channel,
    /// How long bytes are looked for before the thread sleeps.
    pub(crate) spin_ns: u64,
    desk: Desk,
    /// The two clocks at one moment, so that time of day is read once.
    connected_ns: u64,
    connected_unix_ns: u64,
    last_answer_ns: u64,
    /// The last time when nothing had come that was not taken in.
    empty_ns: u64,
    subscription: Option<Subscription>,
    over: bool,
}

/// What a socket operation that did not block amounted to.
enum Progress {
    Done,
    WouldBlock,
}

impl Link {
    /// Connects to the first address that answers.
    pub(crate) fn connect(
        addresses: &[SocketAddr],
        clock: Arc<dyn Clock>,
        (channel, worker): (Channel, Option<KeyWorker>),
        deadline_ns: u64,
    ) -> Result<Link, CallError> {
        let stream = dial(addresses, &*clock, deadline_ns)?;
        let (connected_ns, connected_unix_ns) = (clock.monotonic_ns(), clock.unix_ns());
        Ok(Link {
            stream,
            clock,
            channel,
            spin_ns: 0,
            desk: Desk::new(worker),
            connected_ns,
            connected_unix_ns,
            last_answer_ns: connected_ns,
            empty_ns: connected_ns,
            subscription: None,
            over: false,
        })
    }

    pub(crate) fn now_ns(&self) -> u64 {
        self.clock.monotonic_ns()
    }

    pub(crate) fn last_answer_ns(&self) -> u64 {
        self.last_answer_ns
    }

    /// The present time for a request header.
    pub(crate) fn timestamp(&self) -> i64 {
        services::ticks(self.connected_unix_ns + self.now_ns().saturating_sub(self.connected_ns))
    }

    /// Remembers an error that ends the session, and hands every result on.
    pub(crate) fn note<T>(&mut self, result: Result<T, CallError>) -> Result<T, CallError> {
        if let Err(error) = &result {
            self.over |= error.needs_reconnect();
        }
        result
    }

    /// Makes sure that the session lives, that time is left, and that nothing of an earlier call is still unsent.
    pub(crate) fn ready(&mut self, deadline_ns: u64) -> Result<(), CallError> {
        if self.over {
            return Err(CallError::SessionOver);
        }
        if self.now_ns() >= deadline_ns {
            return Err(CallError::Deadline { sent: false });
        }
        match self.flush(deadline_ns) {
            Err(CallError::Deadline { .. }) => Err(CallError::Deadline { sent: false }),
            result => result,
        }
    }

    /// Sends everything that was sealed. What was sealed since the mark and has not begun to leave when the deadline
    /// passes is taken back, and never sent later.
    pub(crate) fn send(&mut self, mark: Mark, deadline_ns: u64) -> Result<(), CallError> {
        match self.flush(deadline_ns) {
            Err(CallError::Deadline { .. }) => Err(CallError::Deadline { sent: !self.channel.take_back(mark) }),
            result => result,
        }
    }

    /// Sends what is in the outbox.
    pub(crate) fn flush(&mut self, deadline_ns: u64) -> Result<(), CallError> {
        while !self.channel.to_send().is_empty() {
            if let Progress::WouldBlock = self.send_some()? {
                self.wait(PollFlags::OUT, deadline_ns)?;
            }
        }
        Ok(())
    }

    fn send_some(&mut self) -> Result<Progress, CallError> {
        match (&self.stream).write(self.channel.to_send()) {
            Ok(0) => Err(CallError::Closed),
            Ok(count) => {
                self.channel.sent(count);
                Ok(Progress::Done)
            }
            Err(error) => blocked(&error),
        }
    }

    /// Takes bytes from the socket, if there are any.
    fn receive_some(&mut self) -> Result<Progress, CallError> {
        match (&self.stream).read(self.channel.room()) {
            Ok(0) => Err(CallError::Closed),
            Ok(count) => {
                self.channel.received(count);
                self.last_answer_ns = self.clock.monotonic_ns();
                Ok(Progress::Done)
            }
            Err(error) => {
                let progress = blocked(&error)?;
                if let Progress::WouldBlock = progress {
                    self.empty_ns = self.clock.monotonic_ns();
                }
                Ok(progress)
            }
        }
    }

    /// Waits until the socket is ready.
    fn wait(&self, flags: PollFlags, deadline_ns: u64) -> Result<(), CallError> {
        loop {
            let left_ns = deadline_ns.saturating_sub(self.now_ns());
            if left_ns == 0 {
                return Err(CallError::Deadline { sent: true });
            }
            let left = Timespec::try_from(Duration::from_nanos(left_ns)).ok();
            match poll(&mut [PollFd::new(&self.stream, flags)], left.as_ref()) {
                Ok(0) | Err(Errno::INTR) => {}
                Ok(_) => return Ok(()),
                Err(error) => return Err(socket_error(&error.into())),
            }
        }
    }

    /// The next answer from the server: which request it belongs to, and whether it was aborted. The channel's body holds
    /// it.
    pub(crate) fn next_answer(&mut self, deadline_ns: u64) -> Result<(u32, Result<(), CallError>), CallError> {
        loop {
            match self.advance(deadline_ns)? {
                Some(Arrival::Answer(id)) => return Ok((id, Ok(()))),
                Some(Arrival::Aborted { request_id, status }) => {
                    return Ok((request_id, Err(CallError::Refused { status })));
                }
                Some(Arrival::Open | Arrival::Blocked) | None => {}
            }
        }
    }

    /// Waits for the answer to this request; whatever else comes is out of date.
    pub(crate) fn answer(&mut self, request_id: u32, deadline_ns: u64) -> Result<(), CallError> {
        loop {
            let (id, outcome) = self.next_answer(deadline_ns)?;
            if id == request_id {
                return outcome;
            }
        }
    }

    /// What has come from the server. What answers the subscription's requests goes there, whoever else waits for something.
    fn next_arrival(&mut self) -> Result<Option<Arrival>, CallError> {
        loop {
            let now_ns = self.now_ns();
            let arrival = self.channel.next_arrival(now_ns)?;
            let (id, answer) = match arrival {
                Some(Arrival::Answer(id)) => (id, Ok(self.channel.body())),
                Some(Arrival::Aborted { request_id, status }) => (request_id, Err(CallError::Refused { status })),
                Some(Arrival::Open | Arrival::Blocked) | None => return Ok(arrival),
            };
            let came = Came { now_ns, since_ns: self.empty_ns };
            let Some(subscription) = &mut self.subscription else { return Ok(arrival) };
            if !subscription.take(id, answer, came)? {
                return Ok(arrival);
            }
        }
    }

    /// One step: gives what has arrived, or waits for the socket or the worker, whichever holds things up.
    fn advance(&mut self, deadline_ns: u64) -> Result<Option<Arrival>, CallError> {
        let arrival = self.next_arrival()?;
        match arrival {
            Some(Arrival::Open) => self.look_after_work(0)?,
            Some(Arrival::Blocked) => self.wait_for_work(deadline_ns)?,
            Some(Arrival::Answer(_) | Arrival::Aborted { .. }) => {}
            None => self.await_bytes(deadline_ns)?,
        }
        Ok(arrival)
    }

    /// Waits for bytes and takes them: for a while by looking, if that was wanted, then asleep.
    fn await_bytes(&mut self, deadline_ns: u64) -> Result<(), CallError> {
        let asleep_from_ns = self.now_ns().saturating_add(self.spin_ns).min(deadline_ns);
        while self.spin_ns > 0 && self.now_ns() < asleep_from_ns {
            if let Progress::Done = self.receive_some()? {
                return Ok(());
            }
            std::hint::spin_loop();
        }
        self.wait(PollFlags::IN, deadline_ns)?;
        self.receive_some().map(drop)
    }

    /// Hands over the channel's work and takes in what has been done, waiting for it as long as this.
    fn look_after_work(&mut self, patience_ns: u64) -> Result<(), CallError> {
        if let Some(work) = self.channel.take_work() {
            self.desk.leave(work);
        }
        match self.desk.wait(Duration::from_nanos(patience_ns))? {
            Some(done) => self.channel.finish_work(done, self.clock.monotonic_ns()),
            None => Ok(()),
        }
    }

    /// The same, until the deadline.
    fn wait_for_work(&mut self, deadline_ns: u64) -> Result<(), CallError> {
        self.look_after_work(deadline_ns.saturating_sub(self.now_ns()))?;
        if self.now_ns() >= deadline_ns { Err(CallError::Deadline { sent: true }) } else { Ok(()) }
    }

    /// Waits for the acknowledgement of Hello.
    pub(crate) fn acknowledged(&mut self, deadline_ns: u64) -> Result<(), CallError> {
        while !self.channel.take_acknowledge()? {
            self.wait(PollFlags::IN, deadline_ns)?;
            self.receive_some()?;
        }
        Ok(())
    }

    /// Opens the channel.
    pub(crate) fn open(&mut self, deadline_ns: u64) -> Result<(), CallError> {
        let timestamp = self.timestamp();
        self.channel.begin_open(timestamp)?;
        while !self.channel.place_open() {
            self.wait_for_work(deadline_ns)?;
        }
        self.flush(deadline_ns)?;
        self.await_token(deadline_ns)
    }

    /// Waits until the new token is there. Answers that come meanwhile are out of date.
    fn await_token(&mut self, deadline_ns: u64) -> Result<(), CallError> {
        while self.channel.is_renewing() {
            if self.desk.is_busy() {
                self.wait_for_work(deadline_ns)?;
            } else {
                self.advance(deadline_ns)?;
            }
        }
        Ok(())
    }

    /// Looks after the channel's token. A renewal that is due is sealed by the worker while requests go on; when its place
    /// in the sequence has come it is sent, and its answer is waited for until the deadline. An answer that takes longer is
    /// taken in later, while the old token serves.
    ///
    /// Waiting is for servers that forget the old token when they are asked for a new one (async-opcua 0.19 does, from a
    /// channel's second renewal on) and would end the session at the next request under it.
    pub(crate) fn maintain(&mut self, deadline_ns: u64) -> Result<(), CallError> {
        if self.channel.renewal_is_due(self.now_ns()) {
            self.ready(deadline_ns)?;
            let timestamp = self.timestamp();
            self.channel.begin_open(timestamp)?;
        }
        self.look_after_work(0)?;
        if self.channel.renewal_must_not_miss() {
            self.look_after_work(deadline_ns.saturating_sub(self.now_ns()))?;
        }
        if !self.channel.place_open() {
            return if self.channel.is_renewing() { self.take_in() } else { Ok(()) };
        }
        match self.flush(deadline_ns).and_then(|()| self.await_token(deadline_ns)) {
            Err(CallError::Deadline { .. }) | Ok(()) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Takes in what has come; waits for nothing. Whoever else's answers these are has given up waiting for them.
    fn take_in(&mut self) -> Result<(), CallError> {
        loop {
            match self.next_arrival()? {
                Some(Arrival::Blocked) => return Ok(()),
                Some(Arrival::Open) => self.look_after_work(0)?,
                Some(Arrival::Answer(_) | Arrival::Aborted { .. }) => {}
                None => {
                    if let Progress::WouldBlock = self.receive_some()? {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Takes in what the subscription has been told, and asks for more.
    pub(crate) fn take_changes(&mut self, deadline_ns: u64) -> Result<(), CallError> {
        self.ready(deadline_ns)?;
        self.take_in()?;
        let (now_ns, timestamp, mark) = (self.now_ns(), self.timestamp(), self.channel.mark());
        let Some(subscription) = &mut self.subscription else { return Ok(()) };
        subscription.watch(now_ns);
        let asked = subscription.asked();
        while subscription.has_request() {
            let id = self.channel.next_request_id()?;
            self.channel.seal(id, subscription.request(id, timestamp, now_ns))?;
        }
        let sent = self.send(mark, deadline_ns);
        if let (Err(CallError::Deadline { sent: false }), Some(subscription)) = (&sent, &mut self.subscription) {
            subscription.take_back(asked);
        }
        sent
    }

    pub(crate) fn subscription(&self) -> Option<&Subscription> {
        self.subscription.as_ref()
    }

    pub(crate) fn set_subscription(&mut self, subscription: Option<Subscription>) {
        self.subscription = subscription;
    }

    /// The last answer, and the subscription that is set up by it.
    pub(crate) fn body_and_subscription(&mut self) -> (&[u8], Option<&mut Subscription>) {
        (self.channel.body(), self.subscription.as_mut())
    }

    /// One request of the set-up kind: encodes, sends, waits; the answer is in the channel's body.
    pub(crate) fn request(
        &mut self,
        deadline_ns: u64,
        encode: impl FnOnce(&mut Vec<u8>, u32, i64),
    ) -> Result<(), CallError> {
        self.ready(deadline_ns)?;
        let mark = self.channel.mark();
        let request_id = self.channel.next_request_id()?;
        let mut body = Vec::new();
        encode(&mut body, request_id, self.timestamp());
        self.channel.seal(request_id, &body)?;
        self.send(mark, deadline_ns)?;
        self.answer(request_id, deadline_ns)
    }

    /// Closes the channel without waiting for anything but room to send.
    pub(crate) fn close(&mut self, deadline_ns: u64) {
        let timestamp = self.timestamp();
        let Ok(request_id) = self.channel.next_request_id() else { return };
        let mut body = Vec::new();
        services::put_close_channel(&mut body, request_id, timestamp);
        if self.channel.seal_close(request_id, &body).is_ok() {
            // Whatever goes wrong now, the socket is closed next.
            let _ = self.flush(deadline_ns);
        }
    }
}

/// Calls the addresses in turn until one answers, or all refuse. Who does not answer is called again: TCP alone repeats itself
/// after one second, three and seven, and a cable that was plugged in again would have to wait for that.
fn dial(addresses: &[SocketAddr], clock: &dyn Clock, deadline_ns: u64) -> Result<TcpStream, CallError> {
    let mut patience = CALL_PATIENCE;
    loop {
        let mut failure = None;
        for address in addresses {
            let left = Duration::from_nanos(deadline_ns.saturating_sub(clock.monotonic_ns()));
            if left.is_zero() {
                return Err(CallError::Deadline { sent: false });
            }
            match TcpStream::connect_timeout(address, left.min(patience)).and_then(prepare) {
                Ok(stream) => return Ok(stream),
                Err(error) if error.kind() == io::ErrorKind::TimedOut => {}
                Err(error) => failure = Some(error),
            }
        }
        if let Some(failure) = failure {
            return Err(socket_error(&failure));
        }
        patience *= 2;
    }
}

fn prepare(stream: TcpStream) -> io::Result<TcpStream> {
    stream.set_nodelay(true)?;
    stream.set_nonblocking(true)?;
    sockopt::set_tcp_user_timeout(&stream, TCP_USER_TIMEOUT_MS)?;
    // An answer may be waited for with nothing left to be acknowledged: then only a probe finds out that nobody is there.
    sockopt::set_socket_keepalive(&stream, true)?;
    sockopt::set_tcp_keepidle(&stream, TCP_PROBE_AFTER)?;
    sockopt::set_tcp_keepintvl(&stream, TCP_PROBE_AFTER)?;
    Ok(stream)
}

fn socket_error(error: &io::Error) -> CallError {
    CallError::Socket { kind: error.kind() }
}

fn blocked(error: &io::Error) -> Result<Progress, CallError> {
    match error.kind() {
        io::ErrorKind::WouldBlock => Ok(Progress::WouldBlock),
        io::ErrorKind::Interrupted => Ok(Progress::Done),
        _ => Err(socket_error(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_sends_at_once_never_blocks_and_gives_up_what_is_not_acknowledged_within_two_seconds() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = prepare(TcpStream::connect(listener.local_addr().unwrap()).unwrap()).unwrap();
        assert_eq!(sockopt::tcp_user_timeout(&stream).unwrap(), 1_500);
        assert!(stream.nodelay().unwrap() && sockopt::socket_keepalive(&stream).unwrap());
        assert_eq!(sockopt::tcp_keepidle(&stream).unwrap(), Duration::from_secs(1));
        let mut byte = [0];
        assert_eq!((&stream).read(&mut byte).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }
}
