//! Packets at both ends of the control socket, through real sockets.

use std::os::fd::OwnedFd;
use std::time::Duration;

use rt_control::{Address, CallError, Client, PROTOCOL, Received, Server};
use rustix::net::{
    AddressFamily, SendFlags, SocketAddrUnix, SocketFlags, SocketType, accept, bind, connect, listen, send, socket_with,
};
use tempfile::TempDir;

use super::Verdict;

/// Nothing here waits: what is to be received has been sent.
const PATIENCE: Duration = Duration::from_secs(10);

/// A runtime's socket, and one of an impostor.
struct Stage {
    server: Server,
    impostor: OwnedFd,
    impostors: Address,
    _directory: TempDir,
}

thread_local! {
    static STAGE: Stage = Stage::new();
}

impl Stage {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let address = |agent| Address::new(directory.path(), "site", agent, "main").expect("a short path");
        let server = Server::bind(&address("agent")).expect("a socket");
        let impostors = address("impostor");
        let impostor = seqpacket();
        bind(&impostor, &SocketAddrUnix::new(impostors.socket()).expect("a short path")).expect("a socket");
        listen(&impostor, 1).expect("it listens");
        Self { server, impostor, impostors, _directory: directory }
    }

    /// What a runtime makes of a caller's packet.
    fn call(&self, packet: &[u8]) -> Verdict {
        let caller = seqpacket();
        connect(&caller, &SocketAddrUnix::new(self.server.address().socket()).expect("a short path"))
            .expect("it listens");
        if send(&caller, packet, SendFlags::NOSIGNAL).is_err() {
            return Verdict::Refused;
        }
        let mut conversation = self.server.accept(PATIENCE).expect("the socket works").expect("there is a caller");
        match conversation.receive(PATIENCE) {
            Received::Request(_) => Verdict::Believed,
            Received::Gone => Verdict::Refused,
            Received::Nothing => panic!("a packet that was sent did not arrive"),
        }
    }

    /// What a caller makes of a runtime's packet.
    fn answer(&self, question: u8, packet: &[u8]) -> Verdict {
        let mut client = Client::connect(&self.impostors, PATIENCE).expect("it listens");
        let peer = accept(&self.impostor).expect("there is a caller");
        if send(&peer, packet, SendFlags::NOSIGNAL).is_err() {
            return Verdict::Refused;
        }
        let answered = match question {
            0 => client.describe().map(|description| assert_eq!(description.protocol, PROTOCOL)),
            1 => client.status().map(drop),
            2 => client.segment(1).map(|_| panic!("a descriptor that nobody sent")),
            3 => client.join_as_learner(1).map(|_| panic!("descriptors that nobody sent")),
            6 => client.stand_by().map(|_| panic!("a descriptor that nobody sent")),
            _ => client.hand_back(None, "").map(drop),
        };
        if let Err(CallError::TimedOut(_)) = answered {
            panic!("a packet that was sent did not arrive");
        }
        Verdict::of(answered.is_ok())
    }
}

fn seqpacket() -> OwnedFd {
    socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
        .expect("the system gives sockets")
}

/// The first byte: who is asked what by the rest.
pub(super) fn run(bytes: &[u8]) -> Verdict {
    let [what, packet @ ..] = bytes else { return Verdict::Refused };
    STAGE.with(|stage| match what % 7 {
        5 => stage.call(packet),
        question => stage.answer(question, packet),
    })
}
