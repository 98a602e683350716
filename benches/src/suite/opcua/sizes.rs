//! How many bytes a cycle sends and receives.

use std::time::Duration;

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use super::client::Client;
use super::server::Server;

/// Bytes of a request and of its answer.
pub(super) type Sizes = (usize, usize);

/// The sizes of a Write and of a Read with their answers, counted on their way through a relay.
pub(super) fn sizes(server: &Server) -> Result<(Sizes, Sizes), String> {
    let behind = server.url.trim_start_matches("opc.tcp://").to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").map_err(|error| error.to_string())?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    let (count, counted) = channel();
    thread::spawn(move || relay(&listener, &behind, &count));
    let mut client = Client::connect(server, &format!("opc.tcp://{address}"), Duration::ZERO)?;
    total(&counted);
    let mut size_of =
        |call: fn(&mut Client) -> bool| if call(&mut client) { Ok(total(&counted)) } else { Err("a call failed") };
    Ok((size_of(Client::write)?, size_of(Client::read)?))
}

/// Passed on by the relay: to the server, or from it.
enum Passed {
    Request(usize),
    Answer(usize),
}

/// What was passed on since the last look. An answer is counted before it is passed on, so all of it is there.
fn total(counted: &Receiver<Passed>) -> Sizes {
    counted.try_iter().fold((0, 0), |(requests, answers), passed| match passed {
        Passed::Request(bytes) => (requests + bytes, answers),
        Passed::Answer(bytes) => (requests, answers + bytes),
    })
}

/// Passes on whatever comes in; a client connects more than once, first to discover the endpoints.
fn relay(listener: &TcpListener, server: &str, count: &Sender<Passed>) {
    for client in listener.incoming() {
        let Ok((client, server)) = client.and_then(|client| Ok((client, TcpStream::connect(server)?))) else { return };
        let (Ok(client_too), Ok(server_too)) = (client.try_clone(), server.try_clone()) else { return };
        let (requests, answers) = (count.clone(), count.clone());
        thread::spawn(move || pass_on(client_too, server_too, |bytes| drop(requests.send(Passed::Request(bytes)))));
        thread::spawn(move || pass_on(server, client, |bytes| drop(answers.send(Passed::Answer(bytes)))));
    }
}

fn pass_on(mut from: TcpStream, mut to: TcpStream, count: impl Fn(usize)) {
    let mut buffer = [0; 64 * 1024];
    let mut pass = || -> io::Result<usize> {
        let bytes = from.read(&mut buffer)?;
        count(bytes);
        to.write_all(&buffer[..bytes])?;
        Ok(bytes)
    };
    while pass().is_ok_and(|bytes| bytes > 0) {}
    let _ = to.shutdown(Shutdown::Write);
}
