//! As much of HTTP/1.1 as a scraper needs: GET and HEAD, one request per connection.
//!
//! Everything that comes in and goes out is bounded: so many connections at a time, the others wait in the kernel's queue; a
//! deadline for each request and for each answer; a length for the request line and for the headers. How long an answer takes to
//! be made is up to whoever makes it.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Connections that are served at the same time.
const CONNECTIONS_MAX: usize = 8;
/// A request may take so long to come in whole, and so may its answer to be taken.
const TRANSFER_TIMEOUT: Duration = Duration::from_secs(10);
/// A peer that was answered gets so long to close its end.
const FAREWELL: Duration = Duration::from_millis(500);
/// The request line and the headers together, bytes.
const HEAD_BYTES_MAX: usize = 8 * 1024;
/// The request line, bytes.
const LINE_BYTES_MAX: usize = 1024;
/// When no connection can be taken, out of descriptors say, it is tried again after this pause.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

const _: () = assert!(LINE_BYTES_MAX < HEAD_BYTES_MAX);

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Response {
    status: Status,
    content_type: &'static str,
    body: String,
}

/// Codes of answers, with their reasons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    Ok,
    BadRequest,
    NotFound,
    MethodNotAllowed,
    Timeout,
    Unavailable,
}

impl Status {
    const fn line(self) -> &'static str {
        match self {
            Self::Ok => "200 OK",
            Self::BadRequest => "400 Bad Request",
            Self::NotFound => "404 Not Found",
            Self::MethodNotAllowed => "405 Method Not Allowed",
            Self::Timeout => "408 Request Timeout",
            Self::Unavailable => "503 Service Unavailable",
        }
    }
}

impl Response {
    /// A body of this type.
    pub(super) fn new(status: Status, content_type: &'static str, body: String) -> Self {
        Self { status, content_type, body }
    }

    /// A sentence.
    pub(super) fn sentence(status: Status, sentence: &str) -> Self {
        Self::new(status, "text/plain; charset=utf-8", format!("{sentence}\n"))
    }

    fn head(&self) -> String {
        let Self { status, content_type, body } = self;
        let allow = if *status == Status::MethodNotAllowed { "Allow: GET, HEAD\r\n" } else { "" };
        format!(
            "HTTP/1.1 {}\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n{allow}Cache-Control: no-store\r\nConnection: close\r\n\r\n",
            status.line(),
            body.len()
        )
    }
}

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Request {
    /// Without what follows a question mark.
    path: String,
    /// HEAD: the answer's headers alone.
    head_only: bool,
}

/// Serves for ever, on threads of its own.
///
/// # Errors
/// The kernel gives no thread.
pub(super) fn serve(
    listener: TcpListener,
    answer: impl Fn(&str) -> Response + Send + Sync + 'static,
) -> io::Result<()> {
    let shared = Arc::new((listener, answer));
    for _ in 0..CONNECTIONS_MAX {
        let shared = Arc::clone(&shared);
        std::thread::Builder::new().name("http".to_owned()).spawn(move || {
            let (listener, answer) = &*shared;
            loop {
                match listener.accept() {
                    Ok((stream, _)) => converse(&stream, answer),
                    Err(_) => std::thread::sleep(ACCEPT_PAUSE),
                }
            }
        })?;
    }
    Ok(())
}

/// One request, one answer. A peer that goes away meanwhile is its own affair.
fn converse(stream: &TcpStream, answer: &impl Fn(&str) -> Response) {
    let limit = Instant::now() + TRANSFER_TIMEOUT;
    let (response, head_only) = match read_head(&mut Timed { stream, limit }) {
        Ok(head) => match parse(&head) {
            Ok(Request { path, head_only }) => (answer(&path), head_only),
            Err(response) => (response, false),
        },
        Err(Some(response)) => (response, false),
        Err(None) => return,
    };
    let mut text = response.head();
    if !head_only {
        text.push_str(&response.body);
    }
    let sent = Timed { stream, limit: Instant::now() + TRANSFER_TIMEOUT }.write_all(text.as_bytes());
    if sent.is_ok() && stream.shutdown(Shutdown::Write).is_ok() {
        // What is still coming in would otherwise take the answer away from the peer.
        let mut timed = Timed { stream, limit: Instant::now() + FAREWELL };
        let mut rest = [0; 1024];
        let mut left = HEAD_BYTES_MAX;
        while let Ok(count @ 1..) = timed.read(&mut rest) {
            left = left.saturating_sub(count);
            if left == 0 {
                break;
            }
        }
    }
}

/// Reads up to the empty line; `Err(None)` when the peer has gone.
fn read_head(stream: &mut impl Read) -> Result<Vec<u8>, Option<Response>> {
    let mut head = Vec::new();
    let mut part = [0; 1024];
    loop {
        match stream.read(&mut part) {
            Ok(0) if head.is_empty() => return Err(None),
            Ok(0) => return Err(Some(bad("the request ends before its empty line"))),
            Ok(count) => head.extend_from_slice(part.get(..count).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                return Err(Some(Response::sentence(Status::Timeout, "the request did not come in time")));
            }
            Err(_) => return Err(None),
        }
        if let Some(end) = head.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            head.truncate(end);
            return Ok(head);
        }
        if head.len() > HEAD_BYTES_MAX {
            return Err(Some(bad("request line and headers are longer than 8192 bytes")));
        }
    }
}

fn parse(head: &[u8]) -> Result<Request, Response> {
    let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
    if line.len() > LINE_BYTES_MAX {
        return Err(bad("the request line is longer than 1024 bytes"));
    }
    let line = std::str::from_utf8(line).map_err(|_| bad("the request line is not text"))?;
    let mut words = line.split(' ');
    let (Some(method), Some(target), Some(version), None) = (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(bad("the request line is not: method, path, version"));
    };
    if !matches!(version, "HTTP/1.0" | "HTTP/1.1") {
        return Err(bad("only HTTP/1.0 and HTTP/1.1 are understood"));
    }
    if !target.starts_with('/') {
        return Err(bad("the path does not begin with /"));
    }
    let head_only = match method {
        "GET" => false,
        "HEAD" => true,
        _ => {
            return Err(Response::sentence(
                Status::MethodNotAllowed,
                "only GET and HEAD are served: nothing can be changed here",
            ));
        }
    };
    let path = target.split('?').next().unwrap_or_default().to_owned();
    Ok(Request { path, head_only })
}

fn bad(sentence: &str) -> Response {
    Response::sentence(Status::BadRequest, sentence)
}

/// A stream with one deadline for all that is read and written.
struct Timed<'a> {
    stream: &'a TcpStream,
    limit: Instant,
}

impl Timed<'_> {
    fn left(&self) -> io::Result<Duration> {
        let left = self.limit.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
    }
}

impl Read for Timed<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(Some(self.left()?))?;
        self.stream.read(into)
    }
}

impl Write for Timed<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(Some(self.left()?))?;
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_read_to_its_empty_line_and_no_farther() {
        let mut stream: &[u8] = b"GET /metrics?x=1 HTTP/1.1\r\nHost: here\r\n\r\nmore";
        let request = parse(&read_head(&mut stream).unwrap()).unwrap();
        assert_eq!(request, Request { path: "/metrics".to_owned(), head_only: false });
    }

    #[test]
    fn what_is_not_understood_is_refused_with_the_code_that_fits() {
        let code = |line: &str| parse(line.as_bytes()).map_err(|response| response.status);
        assert_eq!(code("HEAD / HTTP/1.0").map(|request| request.head_only), Ok(true));
        assert_eq!(code("POST /metrics HTTP/1.1"), Err(Status::MethodNotAllowed));
        for line in ["", "GET", "GET /", "GET  / HTTP/1.1", "GET / HTTP/2", "GET metrics HTTP/1.1", "GET / HTTP/1.1 x"]
        {
            assert_eq!(code(line), Err(Status::BadRequest), "{line:?}");
        }
        assert_eq!(code(&format!("GET /{} HTTP/1.1", "x".repeat(LINE_BYTES_MAX))), Err(Status::BadRequest));
        assert_eq!(parse(b"GET /\xff HTTP/1.1").unwrap_err().status, Status::BadRequest);
    }

    #[test]
    fn headers_without_an_end_are_cut_off_and_a_peer_that_says_nothing_is_told_nothing() {
        let endless = [b'x'; 4 * HEAD_BYTES_MAX];
        let refused = read_head(&mut &endless[..]).unwrap_err();
        assert_eq!(refused.map(|response| response.status), Some(Status::BadRequest));
        assert_eq!(read_head(&mut b"".as_slice()).unwrap_err(), None);
    }

    #[test]
    fn an_answer_goes_over_a_real_connection_and_a_head_has_no_body() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        serve(listener, |path| Response::sentence(Status::Ok, path)).unwrap();
        let ask = |request: &str| {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.write_all(request.as_bytes()).unwrap();
            let mut text = String::new();
            stream.read_to_string(&mut text).unwrap();
            text
        };
        let answer = ask("GET /here HTTP/1.1\r\n\r\n");
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\n/here\n"), "{answer}");
        assert!(answer.contains("\r\nContent-Length: 6\r\n"), "{answer}");
        assert!(ask("HEAD /here HTTP/1.1\r\n\r\n").ends_with("\r\n\r\n"));
        assert!(ask("PUT /here HTTP/1.1\r\n\r\n").contains("\r\nAllow: GET, HEAD\r\n"));
    }
}
