//! The simulated plant's socket for faults: requests, and what it tells of writes.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use children::next_line;
use rt_core::ports::Clock as _;
use rt_core::time::MonoTime;
use rt_sys::MonotonicClock;
use serde_json::{Value, json};

/// How long the plant may take for an answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// A write as the plant told of it: when it was heard, what, and how it was answered.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    pub(crate) at: MonoTime,
    pub(crate) node: String,
    pub(crate) value: Option<f64>,
    pub(crate) status: String,
}

/// What was heard of writes so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ledger(Arc<Mutex<Heard>>);

/// Writes that were told, and how many the plant could not tell.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    pub(crate) writes: Vec<Told>,
    pub(crate) lost: u64,
}

impl Ledger {
    /// Everything that was heard since the last time.
    pub(crate) fn take(&self) -> Heard {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Enters what the plant says in a line.
    fn enter(&self, line: &str) {
        let said: Value = serde_json::from_str(line).unwrap_or_default();
        let mut heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        heard.lost += said["lost"].as_u64().unwrap_or_default();
        let write = &said["write"];
        let (Some(node), Some(status)) = (write["node"].as_str(), write["status"].as_str()) else { return };
        let (at, value) = (MonotonicClock::new().now(), write["value"].as_f64());
        heard.writes.push(Told { at, node: node.to_owned(), value, status: status.to_owned() });
    }
}

/// A connection over which faults are switched.
#[derive(Debug)]
pub(crate) struct Link {
    asking: BufReader<UnixStream>,
    hearing: JoinHandle<()>,
}

impl Link {
    /// Connects to a plant's socket. What it tells of writes goes into the ledger from now on.
    pub(crate) fn connect(path: &Path, ledger: &Ledger) -> io::Result<Self> {
        let connected = || -> io::Result<_> {
            let stream = UnixStream::connect(path)?;
            stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
            Ok(BufReader::new(stream))
        };
        let mut listening = connected()?;
        // Asked before anything else can be written.
        exchange(&mut listening, &json!({ "do": "writes" }))?;
        listening.get_ref().set_read_timeout(None)?;
        let ledger = ledger.clone();
        let asking = connected()?;
        Ok(Self { asking, hearing: std::thread::spawn(move || hear(listening, &ledger)) })
    }

    /// Waits until everything is in the ledger that a plant has told before its end.
    pub(crate) fn hear_out(self) {
        // Whoever hears has nothing that could panic.
        let _ = self.hearing.join();
    }

    /// Asks for something; what was done.
    ///
    /// # Errors
    /// A sentence: it is refused, or nobody answers.
    pub(crate) fn ask(&mut self, request: &Value) -> Result<String, String> {
        let answer =
            exchange(&mut self.asking, request).map_err(|error| format!("the plant does not answer: {error}"))?;
        match (&answer["done"], &answer["refused"]) {
            (Value::String(done), _) => Ok(done.clone()),
            (_, Value::String(refused)) => Err(refused.clone()),
            _ => Err(format!("the plant's answer was not understood: {answer}")),
        }
    }
}

fn exchange(stream: &mut BufReader<UnixStream>, request: &Value) -> io::Result<Value> {
    stream.get_mut().write_all(format!("{request}\n").as_bytes())?;
    let mut line = String::new();
    if stream.read_line(&mut line)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(serde_json::from_str(&line)?)
}

/// Writes down what the plant tells, until it ends.
fn hear(mut telling: BufReader<UnixStream>, ledger: &Ledger) {
    while let Some(line) = next_line(&mut telling) {
        ledger.enter(&line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ledger_has_every_write_and_how_many_could_not_be_told() {
        let ledger = Ledger::default();
        let (plant, listening) = UnixStream::pair().unwrap();
        let said = b"{\"write\": {\"node\": \"u\", \"value\": 0.5, \"status\": \"Good\"}}\n\xff\n{\"lost\": 7}\n{\"lost\": 2}\n";
        (&plant).write_all(said).unwrap();
        drop(plant);
        hear(BufReader::new(listening), &ledger);
        let heard = ledger.take();
        assert_eq!((heard.writes.len(), heard.writes[0].value, heard.lost), (1, Some(0.5), 9));
        assert_eq!(ledger.take().lost, 0);
    }
}
