//! The local socket: a request a line, an answer a line, and writes as they come for whoever has asked for them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::sync::broadcast::error::RecvError;
use ua_host::Failure;

use super::book::Book;
use super::request::Request;

/// Connections at the same time; further ones wait.
const CONNECTIONS_MAX: usize = 4;
/// The longest line, bytes.
const LINE_BYTES_MAX: u64 = 4096;

/// A socket that is there as long as this is.
#[derive(Debug)]
pub(crate) struct Listening {
    path: PathBuf,
}

impl Drop for Listening {
    fn drop(&mut self) {
        // Whoever has removed it already has done no harm.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Listens at `path`, which is this user's alone, until the program ends; the socket is removed with what is returned.
pub(crate) fn listen(path: &Path, book: Arc<Book>) -> Result<Listening, Failure> {
    let refused = |error: std::io::Error| {
        let path = path.display();
        Failure::unavailable(format!("cannot listen for faults at {path}: {error}; name a path that is not there yet"))
    };
    let listener = UnixListener::bind(path).map_err(refused)?;
    let listening = Listening { path: path.to_owned() };
    let own = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(path, own).map_err(refused)?;
    tokio::spawn(serve(listener, book));
    Ok(listening)
}

async fn serve(listener: UnixListener, book: Arc<Book>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else { continue };
        let book = Arc::clone(&book);
        tokio::spawn(async move {
            // Whoever hangs up has heard enough.
            let _ = converse(stream, &book).await;
            drop(place);
        });
    }
}

async fn converse(stream: UnixStream, book: &Book) -> std::io::Result<()> {
    let (reading, mut writing) = stream.into_split();
    let mut lines = BufReader::new(reading);
    while let Some(line) = next_line(&mut lines).await? {
        let is_last = line.is_err();
        let request = line.and_then(|line| Request::parse(&line));
        let answer = match request.as_ref().map_err(String::clone).and_then(|request| book.take(request)) {
            Ok(done) => json!({ "done": done }),
            Err(refused) => json!({ "refused": refused }),
        };
        let hears = request == Ok(Request::Writes);
        let written = hears.then(|| book.listen());
        say(&mut writing, &answer).await?;
        if is_last {
            break;
        }
        if let Some(mut written) = written {
            loop {
                match written.recv().await {
                    Ok(write) => say(&mut writing, &json!({ "write": write })).await?,
                    Err(RecvError::Lagged(count)) => say(&mut writing, &json!({ "lost": count })).await?,
                    Err(RecvError::Closed) => return Ok(()),
                }
            }
        }
    }
    Ok(())
}

/// The next line; one that is too long is an error to be answered, and the last one.
async fn next_line(lines: &mut BufReader<OwnedReadHalf>) -> std::io::Result<Option<Result<String, String>>> {
    let mut line = String::new();
    let read = (&mut *lines).take(LINE_BYTES_MAX).read_line(&mut line).await?;
    if read == 0 {
        return Ok(None);
    }
    let whole = line.ends_with('\n') || (read as u64) < LINE_BYTES_MAX;
    let too_long = format!("a line has {LINE_BYTES_MAX} bytes at most");
    Ok(Some(if whole { Ok(line) } else { Err(too_long) }))
}

async fn say(writing: &mut OwnedWriteHalf, what: &Value) -> std::io::Result<()> {
    writing.write_all(format!("{what}\n").as_bytes()).await
}
