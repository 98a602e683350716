//! For tests alone: a clock, certificates, and a scripted server without security.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    sync::Arc,
    thread::{self, JoinHandle},
    time::{Instant, SystemTime},
};

use crate::{
    ApplicationInstance, Clock, Names,
    codec::{Put, Reader},
    transport::set_size,
};

/// The machine's clocks.
pub(crate) struct MachineClock(Instant);

impl MachineClock {
    pub(crate) fn shared() -> Arc<dyn Clock> {
        Arc::new(MachineClock(Instant::now()))
    }
}

impl Clock for MachineClock {
    fn monotonic_ns(&self) -> u64 {
        u64::try_from(self.0.elapsed().as_nanos()).unwrap()
    }

    fn unix_ns(&self) -> u64 {
        unix_ns()
    }
}

pub(crate) fn unix_ns() -> u64 {
    u64::try_from(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos()).unwrap()
}

/// A fresh certificate with its key.
pub(crate) fn application(der: &Path, pem: &Path, uri: &str) -> ApplicationInstance {
    application_of(2048, der, pem, uri)
}

/// The same with a key of this length.
pub(crate) fn application_of(bits: u32, der: &Path, pem: &Path, uri: &str) -> ApplicationInstance {
    let hosts = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    let names = Names { application_uri: uri, common_name: "test", organization: "", hosts: &hosts, valid_days: 2 };
    ApplicationInstance::generate_of(bits, der, pem, &names).unwrap()
}

/// Type and header of an answer.
pub(crate) fn answer_head(type_id: u16, status: u32) -> Vec<u8> {
    let mut out = Vec::new();
    out.put_type_id(type_id);
    out.put_i64(0);
    out.put_u32(1);
    out.put_u32(status);
    out.put_u8(0);
    out.put_null();
    out.extend_from_slice(&[0, 0, 0]);
    out
}

/// One request as the scripted server sees it.
pub(crate) struct Request {
    pub(crate) id: u32,
    pub(crate) type_id: u32,
    pub(crate) body: Vec<u8>,
}

/// A server that opens a channel and a session without security, and leaves every Read and Write after the first Read
/// to its script.
pub(crate) struct ScriptedServer {
    stream: TcpStream,
    sequence: u32,
}

const CHANNEL: u32 = 9;

impl ScriptedServer {
    /// Serves one connection; gives its URL and the thread.
    pub(crate) fn start(script: impl FnOnce(&mut ScriptedServer) + Send + 'static) -> (String, JoinHandle<()>) {
        Self::start_with(|listener| {
            let mut server = Self::accept(listener);
            server.set_up();
            script(&mut server);
        })
    }

    /// The same, with as many connections as the script accepts.
    pub(crate) fn start_with(script: impl FnOnce(&TcpListener) + Send + 'static) -> (String, JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("opc.tcp://{}", listener.local_addr().unwrap());
        (url, thread::spawn(move || script(&listener)))
    }

    /// The next connection, with nothing said on it.
    pub(crate) fn accept(listener: &TcpListener) -> ScriptedServer {
        ScriptedServer { stream: listener.accept().unwrap().0, sequence: 0 }
    }

    /// Opens a channel and a session.
    pub(crate) fn set_up(&mut self) {
        self.set_channel_up();
        // CreateSession, ActivateSession, Read.
        for answer in [created(), activated(), namespaces()] {
            let request = self.next_request();
            self.answer(request.id, &answer);
        }
    }

    /// Opens a channel and says what there is.
    pub(crate) fn set_channel_up(&mut self) {
        self.chunk();
        let mut acknowledge = b"ACKF\0\0\0\0".to_vec();
        for value in [0, 65_536, 65_536, 0, 0] {
            acknowledge.put_u32(value);
        }
        self.send(acknowledge);
        self.chunk();
        self.open(1, 1);
        let request = self.next_request();
        self.answer(request.id, &endpoints());
    }

    fn open(&mut self, token: u32, request_id: u32) {
        self.sequence += 1;
        let mut out = b"OPNF\0\0\0\0".to_vec();
        out.put_u32(CHANNEL);
        out.put_bytes(crate::crypto::POLICY_NONE_URI.as_bytes());
        out.put_null();
        out.put_null();
        out.put_u32(self.sequence);
        out.put_u32(request_id);
        out.extend(answer_head(449, 0));
        for value in [0, CHANNEL, token, 0, 0, 3_600_000] {
            out.put_u32(value);
        }
        out.put_null();
        self.send(out);
    }

    fn send(&mut self, mut bytes: Vec<u8>) {
        set_size(&mut bytes, 0);
        self.stream.write_all(&bytes).unwrap();
    }

    fn chunk(&mut self) -> Vec<u8> {
        let mut bytes = vec![0; 8];
        self.stream.read_exact(&mut bytes).unwrap();
        let size = u32::from_le_bytes(bytes[4..8].try_into().unwrap());
        bytes.resize(size as usize, 0);
        self.stream.read_exact(&mut bytes[8..]).unwrap();
        bytes
    }

    /// The next request, which fits one chunk.
    pub(crate) fn next_request(&mut self) -> Request {
        let chunk = self.chunk();
        let id = u32::from_le_bytes(chunk[20..24].try_into().unwrap());
        Request { id, type_id: Reader::new(&chunk[24..]).type_id().unwrap(), body: chunk[24..].to_vec() }
    }

    /// Sends an answer.
    pub(crate) fn answer(&mut self, request_id: u32, body: &[u8]) {
        self.sequence += 1;
        let mut out = b"MSGF\0\0\0\0".to_vec();
        for number in [CHANNEL, 1, self.sequence, request_id] {
            out.put_u32(number);
        }
        out.extend_from_slice(body);
        self.send(out);
    }

    /// Waits until the client has gone.
    pub(crate) fn until_closed(&mut self) {
        let mut rest = Vec::new();
        let _ = self.stream.read_to_end(&mut rest);
    }
}

fn put_endpoints(out: &mut Vec<u8>) {
    out.put_count(1);
    out.put_bytes(b"opc.tcp://elsewhere:4840");
    out.put_bytes(b"urn:server");
    out.put_null();
    out.put_u8(0);
    out.put_i32(0);
    for _ in 0..4 {
        out.put_null();
    }
    out.put_i32(1);
    out.put_bytes(crate::crypto::POLICY_NONE_URI.as_bytes());
    out.put_count(1);
    out.put_bytes(b"anon");
    out.put_i32(0);
    for _ in 0..4 {
        out.put_null();
    }
    out.put_u8(0);
}

fn endpoints() -> Vec<u8> {
    let mut out = answer_head(431, 0);
    put_endpoints(&mut out);
    out
}

fn created() -> Vec<u8> {
    let mut out = answer_head(464, 0);
    out.extend_from_slice(&[0, 5, 0, 6]);
    out.put_f64(60_000.0);
    out.put_null();
    out.put_null();
    put_endpoints(&mut out);
    for _ in 0..3 {
        out.put_null();
    }
    out.put_u32(0);
    out
}

fn activated() -> Vec<u8> {
    let mut out = answer_head(470, 0);
    for _ in 0..3 {
        out.put_null();
    }
    out
}

/// Two namespaces, and no limits.
fn namespaces() -> Vec<u8> {
    let mut out = answer_head(634, 0);
    out.put_count(5);
    out.extend_from_slice(&[1, 0x8C]);
    out.put_count(2);
    out.put_bytes(b"http://opcfoundation.org/UA/");
    out.put_bytes(b"urn:plant");
    for _ in 0..4 {
        out.put_u8(2);
        out.put_u32(0x8034_0000);
    }
    out.put_null();
    out
}

/// An answer to a Read of doubles.
pub(crate) fn doubles(values: &[f64]) -> Vec<u8> {
    let mut out = answer_head(634, 0);
    out.put_count(values.len());
    for value in values {
        out.extend_from_slice(&[1, 11]);
        out.put_f64(*value);
    }
    out.put_null();
    out
}

/// An answer to a Write.
pub(crate) fn statuses(values: &[u32]) -> Vec<u8> {
    let mut out = answer_head(676, 0);
    out.put_count(values.len());
    for value in values {
        out.put_u32(*value);
    }
    out.put_null();
    out
}

/// A NotificationMessage that tells values, each with the handle of its node; without any, one that keeps alive.
pub(crate) fn put_message(out: &mut Vec<u8>, number: u32, values: &[(u32, f64)]) {
    out.put_u32(number);
    out.put_i64(0);
    out.put_count(usize::from(!values.is_empty()));
    if values.is_empty() {
        return;
    }
    let mut inside = Vec::new();
    inside.put_count(values.len());
    for (handle, value) in values {
        inside.put_u32(*handle);
        inside.extend_from_slice(&[1, 11]);
        inside.put_f64(*value);
    }
    inside.put_null();
    out.put_type_id(811);
    out.put_u8(1);
    out.put_bytes(&inside);
}

/// An answer to Publish.
pub(crate) fn told(subscription: u32, number: u32, values: &[(u32, f64)]) -> Vec<u8> {
    let mut out = answer_head(829, 0);
    out.put_u32(subscription);
    out.put_null();
    out.put_u8(0);
    put_message(&mut out, number, values);
    out.put_null();
    out.put_null();
    out
}

/// An answer to Republish.
pub(crate) fn told_again(number: u32, values: &[(u32, f64)]) -> Vec<u8> {
    let mut out = answer_head(835, 0);
    put_message(&mut out, number, values);
    out
}
