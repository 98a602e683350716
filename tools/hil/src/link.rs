//! The simulated plant's socket for faults: requests, and what it tells of writes.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

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
pub(crate) struct Ledger(Arc<Mutex<Vec<Told>>>);

impl Ledger {
    /// Everything that was heard since the last time.
    pub(crate) fn take(&self) -> Vec<Told> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn enter(&self, told: Told) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(told);
    }
}

/// A connection over which faults are switched.
#[derive(Debug)]
pub(crate) struct Link {
    asking: BufReader<UnixStream>,
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
        std::thread::spawn(move || hear(listening, &ledger));
        Ok(Self { asking: connected()? })
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
fn hear(telling: BufReader<UnixStream>, ledger: &Ledger) {
    for line in telling.lines().map_while(Result::ok) {
        let told: Value = serde_json::from_str(&line).unwrap_or_default();
        let write = &told["write"];
        let (Some(node), Some(status)) = (write["node"].as_str(), write["status"].as_str()) else { continue };
        let at = MonotonicClock::new().now();
        ledger.enter(Told { at, node: node.to_owned(), value: write["value"].as_f64(), status: status.to_owned() });
    }
}
