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
    CallError, Clock,
    channel::{Arrival, Channel, Mark},
    limits::TCP_USER_TIMEOUT_MS,
    services,
};

/// A channel on its socket.
pub(crate) struct Link {
    stream: TcpStream,
    clock: Arc<dyn Clock>,
    pub(crate) channel: Channel,
    /// The two clocks at one moment, so that time of day is read once.
    connected_ns: u64,
    connected_unix_ns: u64,
    last_answer_ns: u64,
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
        channel: Channel,
        deadline_ns: u64,
    ) -> Result<Link, CallError> {
        let mut failure = CallError::Socket { kind: io::ErrorKind::NotFound };
        for address in addresses {
            let left_ns = deadline_ns.saturating_sub(clock.monotonic_ns());
            if left_ns == 0 {
                return Err(CallError::Deadline { sent: false });
            }
            match TcpStream::connect_timeout(address, Duration::from_nanos(left_ns)).and_then(prepare) {
                Ok(stream) => {
                    let (connected_ns, connected_unix_ns) = (clock.monotonic_ns(), clock.unix_ns());
                    return Ok(Link {
                        stream,
                        clock,
                        channel,
                        connected_ns,
                        connected_unix_ns,
                        last_answer_ns: connected_ns,
                        over: false,
                    });
                }
                Err(error) => failure = socket_error(&error),
            }
        }
        Err(failure)
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
            Err(error) => blocked(&error),
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

    /// The next thing from the server.
    pub(crate) fn next_arrival(&mut self, deadline_ns: u64) -> Result<Arrival, CallError> {
        loop {
            let now_ns = self.now_ns();
            if let Some(arrival) = self.channel.next_arrival(now_ns)? {
                return Ok(arrival);
            }
            self.wait(PollFlags::IN, deadline_ns)?;
            self.receive_some()?;
        }
    }

    /// Waits for the answer to this request; whatever else comes is out of date.
    pub(crate) fn answer(&mut self, request_id: u32, deadline_ns: u64) -> Result<(), CallError> {
        loop {
            match self.next_arrival(deadline_ns)? {
                Arrival::Answer(id) if id == request_id => return Ok(()),
                Arrival::Aborted { request_id: id, status } if id == request_id => {
                    return Err(CallError::Refused { status });
                }
                Arrival::Answer(_) | Arrival::Aborted { .. } | Arrival::Opened => {}
            }
        }
    }

    /// Waits for the acknowledgement of Hello.
    pub(crate) fn acknowledged(&mut self, deadline_ns: u64) -> Result<(), CallError> {
        while !self.channel.take_acknowledge()? {
            self.wait(PollFlags::IN, deadline_ns)?;
            self.receive_some()?;
        }
        Ok(())
    }

    /// Waits until the channel is open.
    pub(crate) fn opened(&mut self, deadline_ns: u64) -> Result<(), CallError> {
        while self.next_arrival(deadline_ns)? != Arrival::Opened {}
        Ok(())
    }

    /// Looks after the channel's token: starts a renewal when it is due and waits for its answer until the deadline. An
    /// answer that takes longer is taken in later, while the old token serves.
    ///
    /// Waiting is for servers that forget the old token when they are asked for a new one (async-opcua 0.19 does, from a
    /// channel's second renewal on) and would end the session at the next request under it.
    pub(crate) fn maintain(&mut self, deadline_ns: u64) -> Result<(), CallError> {
        if !self.channel.renewal_is_due(self.now_ns()) {
            return self.take_in_renewal();
        }
        self.ready(deadline_ns)?;
        let timestamp = self.timestamp();
        self.channel.request_open(timestamp)?;
        match self.flush(deadline_ns).and_then(|()| self.opened(deadline_ns)) {
            Err(CallError::Deadline { .. }) | Ok(()) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Takes in the answer to a renewal, if one is pending and has come; waits for nothing.
    fn take_in_renewal(&mut self) -> Result<(), CallError> {
        while self.channel.renewal_is_pending() {
            let now_ns = self.now_ns();
            if self.channel.next_arrival(now_ns)?.is_none()
                && let Progress::WouldBlock = self.receive_some()?
            {
                break;
            }
        }
        Ok(())
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

fn prepare(stream: TcpStream) -> io::Result<TcpStream> {
    stream.set_nodelay(true)?;
    stream.set_nonblocking(true)?;
    sockopt::set_tcp_user_timeout(&stream, TCP_USER_TIMEOUT_MS)?;
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
