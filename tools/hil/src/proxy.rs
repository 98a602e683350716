//! The cable between a runtime and its plant, which does on command what cables and networks do by themselves.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::num::NonZeroU32;
use std::ops::Range;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use socket2::{SockFilter, SockRef};

/// A chunk's header up to its size: three letters of type, one of kind, the whole length (Part 6, 7.1.2.2).
const HEADER_BYTES: usize = 8;
/// Where the body of an unencrypted message begins: after the ids of channel and token, sequence and request numbers
/// (Part 6, 6.7.2.3 and 6.7.2.4), and how the one of a write begins (WriteRequest_Encoding_DefaultBinary, i=673).
const BODY: usize = 24;
const WRITE_REQUEST: [u8; 4] = [1, 0, 0xA1, 0x02];
/// PublishResponse_Encoding_DefaultBinary, i=829.
const PUBLISH_ANSWER: [u8; 4] = [1, 0, 0x3D, 0x03];
/// Where its sequence number is.
const SEQUENCE_NUMBER: Range<usize> = 16..20;
/// No peer of ours sends longer ones.
const CHUNK_BYTES_MAX: usize = 1 << 20;
/// A server that has not answered by then is not there; others who connect wait meanwhile.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Nothing is worth sending after so long.
const HOLD_MAX: Duration = Duration::from_secs(3_600);

/// A proxy between a runtime and a server. It passes OPC UA on chunk by chunk, one after the other
/// in each direction, undisturbed until it is told otherwise. Every command but [`Proxy::reset`] counts from the next chunk on,
/// for all connections, and holds until it is taken back. Dropping it ends all connections.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    cable: Arc<Cable>,
    acceptor: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Cable {
    server: SocketAddr,
    listener: TcpListener,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    delay: Duration,
    bytes_per_s: Option<NonZeroU32>,
    swallows: bool,
    loss_percent: u32,
    cuts: bool,
    loses_notification: bool,
    /// Bytes towards the client before the one to be flipped, and its bit.
    flip: Option<(usize, u8)>,
    lines: Vec<Weak<Line>>,
    /// Those who are never answered.
    mute: Vec<TcpStream>,
    connections: u64,
    writes: u64,
    ended: bool,
}

/// One connection, from both sides. Closed by the last thread that lets go of it.
#[derive(Debug)]
struct Line {
    client: TcpStream,
    server: TcpStream,
    forgotten: Mutex<bool>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Towards {
    Server,
    Client,
}

impl Proxy {
    /// A proxy before the server on this port. The server may come and go.
    ///
    /// # Panics
    /// This machine has no free port.
    pub fn before(port: u16) -> Self {
        Self::before_server(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
    }

    /// A proxy before a server that may be elsewhere.
    ///
    /// # Panics
    /// This machine has no free port.
    pub fn before_server(server: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let own = listener.local_addr().expect("it is bound").port();
        let cable = Arc::new(Cable { server, listener, state: Mutex::default(), changed: Condvar::new() });
        let accepting = Arc::clone(&cable);
        let acceptor = std::thread::spawn(move || accept(&accepting));
        Self { port: own, cable, acceptor: Some(acceptor) }
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("opc.tcp://127.0.0.1:{}", self.port)
    }

    /// Connections so far, those included that the server did not accept.
    pub fn connections(&self) -> u64 {
        self.cable.state().connections
    }

    /// Write requests so far from clients, of unencrypted connections. What a client has sent before it was stopped is counted
    /// whether or not it learns the answer.
    pub fn writes(&self) -> u64 {
        self.cable.state().writes
    }

    /// Each chunk is passed on so much later, in both directions.
    pub fn delay(&self, by: Duration) {
        self.set(|state| state.delay = by);
    }

    /// So many bytes are passed on in a second, in each direction; `None`: as many as come.
    pub fn slow(&self, bytes_per_s: Option<NonZeroU32>) {
        self.set(|state| state.bytes_per_s = bytes_per_s);
    }

    /// What comes is acknowledged and goes nowhere: the peer seems to be there. Whoever connects meanwhile is never answered.
    pub fn swallow(&self, swallows: bool) {
        self.set(|state| state.swallows = swallows);
    }

    /// What comes over the present connections is acknowledged and goes nowhere, for good; new ones work. That is what is left
    /// of a connection that a firewall or a server has forgotten.
    pub fn forget(&self) {
        self.set(|state| {
            let lines = state.lines.iter().filter_map(Weak::upgrade);
            lines.for_each(|line| *line.forgotten() = true);
        });
    }

    /// So many of a hundred packets from either side are lost, of new connections, too. 100 is a cable that was pulled:
    /// nothing is even acknowledged.
    ///
    /// # Panics
    /// The kernel filters no packets.
    pub fn lose(&self, percent: u32) {
        self.try_lose(percent).expect("the kernel filters packets");
    }

    /// The same where the kernel may be one that filters no packets.
    ///
    /// # Errors
    /// It does not; then none is lost.
    pub(crate) fn try_lose(&self, percent: u32) -> io::Result<()> {
        let mut lost = Ok(());
        self.set(|state| {
            lost = state.lose(&self.cable.listener, percent);
            if lost.is_err() {
                // Taking a filter away needs nothing that is not there.
                let _ = state.lose(&self.cable.listener, 0);
            }
        });
        lost
    }

    /// Resets all connections: each side gets RST.
    ///
    /// # Panics
    /// The kernel refuses to linger.
    pub fn reset(&self) {
        self.set(|state| state.lines.drain(..).filter_map(|line| line.upgrade()).for_each(|line| line.reset()));
    }

    /// The next chunk from the server is swallowed, and no other one.
    pub fn cut_response(&self) {
        self.set(|state| state.cuts = true);
    }

    /// The next answer to Publish on an unencrypted connection is lost, and no other one; the server's later messages are
    /// numbered as if it had never been there, so that the channel lives on.
    pub fn lose_notification(&self) {
        self.set(|state| state.loses_notification = true);
    }

    /// One bit is flipped, once, on the way from the server: of the byte that comes after so many others.
    pub fn flip_bit(&self, after_bytes: usize, bit: u8) {
        self.set(|state| state.flip = Some((after_bytes, bit)));
    }

    fn set(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.cable.state());
        self.cable.changed.notify_all();
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.lose(0);
        self.set(|state| state.ended = true);
        self.reset();
        // The acceptor looks up once more.
        drop(TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)));
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
    }
}

impl Cable {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits as long as so many bytes take at present.
    fn hold(&self, bytes: usize) {
        let begin = Instant::now();
        let mut state = self.state();
        while let Some(left) = state.time_of(bytes).checked_sub(begin.elapsed()).filter(|left| !left.is_zero()) {
            (state, _) = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn lay(self: &Arc<Self>, client: TcpStream, server: TcpStream) {
        let line = Arc::new(Line { client, server, forgotten: Mutex::new(false) });
        let mut state = self.state();
        if line.lose(state.loss_percent).is_err() {
            // Over a cable that loses packets there is no connection that loses none.
            return;
        }
        state.lines.retain(|line| line.strong_count() > 0);
        state.lines.push(Arc::downgrade(&line));
        for towards in [Towards::Server, Towards::Client] {
            let (cable, line) = (Arc::clone(self), Arc::clone(&line));
            std::thread::spawn(move || line.pass_on(&cable, towards));
        }
    }
}

impl State {
    fn lose(&mut self, listener: &TcpListener, percent: u32) -> io::Result<()> {
        self.loss_percent = percent;
        filter(listener, percent)?;
        self.lines.iter().filter_map(Weak::upgrade).try_for_each(|line| line.lose(percent))
    }

    fn time_of(&self, bytes: usize) -> Duration {
        let transfer = self.bytes_per_s.map_or(0.0, |rate| bytes as f64 / f64::from(rate.get()));
        if self.ended { Duration::ZERO } else { self.delay + Duration::from_secs_f64(transfer).min(HOLD_MAX) }
    }

    /// Whether this is the notification that shall be lost.
    fn takes_notification(&mut self, chunk: &[u8]) -> bool {
        let is_one = chunk.get(BODY..).is_some_and(|body| body.starts_with(&PUBLISH_ANSWER));
        is_one && std::mem::take(&mut self.loses_notification)
    }

    /// Whether the chunk is passed on; it may be another one afterwards.
    fn treat(&mut self, chunk: &mut [u8], towards: Towards) -> bool {
        if self.swallows || towards == Towards::Server {
            return !self.swallows;
        }
        if std::mem::take(&mut self.cuts) {
            return false;
        }
        if let Some((after, bit)) = self.flip {
            self.flip = after.checked_sub(chunk.len()).map(|left| (left, bit));
            chunk.iter_mut().skip(after).take(1).for_each(|byte| *byte ^= 1 << bit);
        }
        true
    }
}

/// Takes so many off the sequence number of a message in clear.
fn renumber(chunk: &mut [u8], lost: u32) {
    if let Some(number) = chunk.get_mut(SEQUENCE_NUMBER).and_then(|bytes| bytes.first_chunk_mut()) {
        *number = u32::from_le_bytes(*number).wrapping_sub(lost).to_le_bytes();
    }
}

impl Line {
    fn forgotten(&self) -> MutexGuard<'_, bool> {
        self.forgotten.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pass_on(&self, cable: &Cable, towards: Towards) {
        let (mut from, mut to) = match towards {
            Towards::Server => (&self.client, &self.server),
            Towards::Client => (&self.server, &self.client),
        };
        let mut lost = 0;
        while let Ok(mut chunk) = next_chunk(&mut from) {
            let writes =
                towards == Towards::Server && chunk.get(BODY..).is_some_and(|body| body.starts_with(&WRITE_REQUEST));
            cable.state().writes += u64::from(writes);
            if towards == Towards::Client && cable.state().takes_notification(&chunk) {
                lost += 1;
                continue;
            }
            renumber(&mut chunk, lost);
            cable.hold(chunk.len());
            let passes = cable.state().treat(&mut chunk, towards) && !*self.forgotten();
            if passes && to.write_all(&chunk).is_err() {
                break;
            }
        }
        self.end();
    }

    /// Wakes both threads up. The client is told by closing, or it would see an orderly end before a reset.
    fn end(&self) {
        // Whoever is gone needs no waking.
        let _ = self.client.shutdown(Shutdown::Read);
        let _ = self.server.shutdown(Shutdown::Both);
    }

    fn reset(&self) {
        SockRef::from(&self.client).set_linger(Some(Duration::ZERO)).expect("a socket may close at once");
        self.end();
    }

    fn lose(&self, percent: u32) -> io::Result<()> {
        filter(&self.client, percent)?;
        filter(&self.server, percent)
    }
}

fn accept(cable: &Arc<Cable>) {
    while let Ok((client, _)) = cable.listener.accept() {
        let mut state = cable.state();
        if state.ended {
            return;
        }
        state.connections += 1;
        if state.swallows {
            state.mute.push(client);
            continue;
        }
        drop(state);
        // Who is not let in by the server is not let in here.
        if let Ok(server) = TcpStream::connect_timeout(&cable.server, CONNECT_TIMEOUT)
            && client.set_nodelay(true).and_then(|()| server.set_nodelay(true)).is_ok()
        {
            cable.lay(client, server);
        }
    }
}

fn next_chunk(from: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut header = [0; HEADER_BYTES];
    from.read_exact(&mut header)?;
    let [.., a, b, c, d] = header;
    let bytes = usize::try_from(u32::from_le_bytes([a, b, c, d])).unwrap_or(usize::MAX);
    if !(HEADER_BYTES..=CHUNK_BYTES_MAX).contains(&bytes) {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut chunk = vec![0; bytes];
    let (head, rest) = chunk.split_at_mut(HEADER_BYTES);
    head.copy_from_slice(&header);
    from.read_exact(rest)?;
    Ok(chunk)
}

/// Lets the kernel throw so many of a hundred packets away before TCP sees them: the peer gets no acknowledgement, as behind
/// a pulled cable, and no privileges are needed.
fn filter(socket: &impl std::os::fd::AsFd, loss_percent: u32) -> io::Result<()> {
    const LOAD: u16 = 0x20;
    const JUMP_AT_LEAST: u16 = 0x35;
    const RETURN: u16 = 0x06;
    /// Where the kernel keeps a random word for filters (SKF_AD_RANDOM).
    const RANDOM: u32 = 0xFFFF_F000 + 56;
    let socket = SockRef::from(socket);
    if loss_percent == 0 {
        // There may be none.
        let _ = socket.detach_filter();
        return Ok(());
    }
    socket.attach_filter(&[
        SockFilter::new(LOAD, 0, 0, RANDOM),
        SockFilter::new(JUMP_AT_LEAST, 0, 1, (u32::MAX / 100).saturating_mul(loss_percent)),
        SockFilter::new(RETURN, 0, 0, u32::MAX),
        SockFilter::new(RETURN, 0, 0, 0),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Longer than anything takes that comes.
    const PATIENCE: Duration = Duration::from_secs(20);
    /// Long enough to say that nothing comes.
    const IMPATIENCE: Duration = Duration::from_millis(200);

    /// A proxy and both ends of one connection through it.
    struct Ends {
        proxy: Proxy,
        client: TcpStream,
        server: TcpStream,
        listener: TcpListener,
    }

    impl Ends {
        fn new() -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let proxy = Proxy::before(listener.local_addr().unwrap().port());
            let client = TcpStream::connect(("127.0.0.1", proxy.port)).unwrap();
            let (server, _) = listener.accept().unwrap();
            let mut ends = Self { proxy, client, server, listener };
            // Once something has passed, both ends are known to the proxy.
            ends.answer(b'0');
            receive(&mut ends.client, PATIENCE).unwrap();
            ends
        }

        fn answer(&mut self, letter: u8) {
            self.server.write_all(&chunk(letter)).unwrap();
        }
    }

    /// A chunk of 16 bytes.
    fn chunk(letter: u8) -> Vec<u8> {
        [b"MSGF", &16_u32.to_le_bytes()[..], &[letter; 8]].concat()
    }

    fn receive(from: &mut TcpStream, within: Duration) -> io::Result<Vec<u8>> {
        from.set_read_timeout(Some(within)).unwrap();
        let mut chunk = vec![0; 16];
        from.read_exact(&mut chunk).map(|()| chunk)
    }

    #[test]
    fn chunks_pass_in_both_directions_and_an_end_does_too() {
        let mut ends = Ends::new();
        ends.client.write_all(&[chunk(b'a'), chunk(b'b')].concat()).unwrap();
        assert_eq!(receive(&mut ends.server, PATIENCE).unwrap(), chunk(b'a'));
        assert_eq!(receive(&mut ends.server, PATIENCE).unwrap(), chunk(b'b'));
        ends.answer(b'c');
        assert_eq!(receive(&mut ends.client, PATIENCE).unwrap(), chunk(b'c'));
        drop(ends.server);
        assert_eq!(receive(&mut ends.client, PATIENCE).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn write_requests_are_counted_and_nothing_else_is() {
        let mut ends = Ends::new();
        for request in [WRITE_REQUEST, [1, 0, 0x77, 0x02]] {
            ends.client.write_all(&[b"MSGF", &28_u32.to_le_bytes()[..], &[0; 16], &request].concat()).unwrap();
            ends.client.write_all(&chunk(b'a')).unwrap();
        }
        for _ in 0..2 {
            ends.server.read_exact(&mut [0; 28 + 16]).unwrap();
        }
        assert_eq!(ends.proxy.writes(), 1);
    }

    #[test]
    fn what_is_held_back_comes_when_the_delay_or_the_narrowness_ends() {
        let mut ends = Ends::new();
        let delayed: [fn(&Proxy); 2] = [|proxy| proxy.delay(HOLD_MAX), |proxy| proxy.delay(Duration::ZERO)];
        let slow: [fn(&Proxy); 2] = [|proxy| proxy.slow(NonZeroU32::new(1)), |proxy| proxy.slow(None)];
        for [begin, end] in [delayed, slow] {
            begin(&ends.proxy);
            ends.answer(b'a');
            assert!(receive(&mut ends.client, IMPATIENCE).is_err());
            end(&ends.proxy);
            assert_eq!(receive(&mut ends.client, PATIENCE).unwrap(), chunk(b'a'));
        }
    }

    #[test]
    fn what_is_swallowed_never_comes_and_what_follows_does() {
        let mut ends = Ends::new();
        ends.proxy.swallow(true);
        ends.client.write_all(&chunk(b'a')).unwrap();
        assert!(receive(&mut ends.server, IMPATIENCE).is_err());
        let mut stranger = TcpStream::connect(("127.0.0.1", ends.proxy.port)).unwrap();
        stranger.write_all(&chunk(b'x')).unwrap();
        assert_eq!(receive(&mut stranger, IMPATIENCE).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        assert_eq!(ends.proxy.connections(), 2);
        ends.proxy.swallow(false);
        ends.proxy.cut_response();
        for letter in *b"bcd" {
            ends.answer(letter);
        }
        assert_eq!(receive(&mut ends.client, PATIENCE).unwrap(), chunk(b'c'));
        assert_eq!(receive(&mut ends.client, PATIENCE).unwrap(), chunk(b'd'));
    }

    #[test]
    fn a_connection_that_was_forgotten_stays_silent_and_a_new_one_is_not() {
        let mut ends = Ends::new();
        ends.proxy.forget();
        ends.client.write_all(&chunk(b'a')).unwrap();
        assert_eq!(receive(&mut ends.server, IMPATIENCE).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        ends.answer(b'b');
        assert_eq!(receive(&mut ends.client, IMPATIENCE).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        let mut client = TcpStream::connect(("127.0.0.1", ends.proxy.port)).unwrap();
        client.write_all(&chunk(b'c')).unwrap();
        let (mut server, _) = ends.listener.accept().unwrap();
        assert_eq!(receive(&mut server, PATIENCE).unwrap(), chunk(b'c'));
    }

    #[test]
    fn a_notification_is_lost_without_a_trace_and_nothing_else_is() {
        let mut ends = Ends::new();
        let message = |number: u32, body: [u8; 4]| {
            [b"MSGF", &28_u32.to_le_bytes()[..], &[0; 8], &number.to_le_bytes(), &[0; 4], &body].concat()
        };
        let mut pass = |sent: Vec<u8>| {
            ends.server.write_all(&sent).unwrap();
            let mut received = vec![0; 28];
            ends.client.read_exact(&mut received).map(|()| received).unwrap()
        };
        assert_eq!(pass(message(1, PUBLISH_ANSWER)), message(1, PUBLISH_ANSWER));
        ends.proxy.lose_notification();
        assert_eq!(pass(message(2, WRITE_REQUEST)), message(2, WRITE_REQUEST));
        let lost = [message(3, PUBLISH_ANSWER), message(4, PUBLISH_ANSWER)].concat();
        assert_eq!(pass(lost), message(3, PUBLISH_ANSWER));
        assert_eq!(pass(message(5, WRITE_REQUEST)), message(4, WRITE_REQUEST));
    }

    #[test]
    fn one_bit_is_flipped_once_in_the_byte_that_was_named() {
        let mut ends = Ends::new();
        ends.proxy.flip_bit(16 + 9, 3);
        let received = (0..3).flat_map(|_| {
            ends.answer(0);
            receive(&mut ends.client, PATIENCE).unwrap()
        });
        let mut expected = [chunk(0), chunk(0), chunk(0)].concat();
        expected[16 + 9] = 8;
        assert_eq!(received.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_reset_is_no_orderly_end() {
        let mut ends = Ends::new();
        ends.proxy.reset();
        assert_eq!(receive(&mut ends.client, PATIENCE).unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    }

    #[test]
    fn behind_a_pulled_cable_nothing_is_acknowledged_and_tcp_repeats_it_when_the_cable_is_back() {
        let mut ends = Ends::new();
        ends.proxy.lose(100);
        ends.client.write_all(&chunk(b'a')).unwrap();
        assert!(receive(&mut ends.server, IMPATIENCE).is_err());
        let connected = TcpStream::connect_timeout(&([127, 0, 0, 1], ends.proxy.port).into(), IMPATIENCE);
        assert_eq!(connected.unwrap_err().kind(), io::ErrorKind::TimedOut);
        ends.proxy.lose(0);
        assert_eq!(receive(&mut ends.server, PATIENCE).unwrap(), chunk(b'a'));
    }
}
