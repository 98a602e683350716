//! The field bus as the I/O loop sees it.

use rt_core::setpoint::ScalarKind;
use rt_core::tag::Quality;
use rt_core::time::MonoTime;

/// One connection to a plant: a fixed list of inputs that are read together and of outputs that are written together.
///
/// Every call is bounded by its deadline. [`FieldBus::connect`] may allocate; the other calls allocate nothing once they
/// have run, because the io thread calls them every period.
pub trait FieldBus {
    /// Connects and makes everything ready: finds the nodes, learns the data types of the outputs.
    ///
    /// # Errors
    /// Says for people what is wrong and what to do; the caller tries again later, for ever.
    fn connect(&mut self, deadline: MonoTime) -> Result<Connected, ConnectFailure>;

    /// Reads every input, or takes what the plant has told of it: [`Reading::receipt`] says which.
    ///
    /// # Errors
    /// See [`BusError`]; what concerns one input is in its [`Reading`].
    fn read(&mut self, inputs: &mut [Reading], deadline: MonoTime) -> Result<(), BusError>;

    /// Writes those outputs that have a value. Outputs without one keep their place in `results` untouched.
    ///
    /// # Errors
    /// See [`BusError`]; what concerns one output is in its [`WriteResult`].
    fn write(
        &mut self,
        outputs: &[Option<f64>],
        results: &mut [WriteResult],
        deadline: MonoTime,
    ) -> Result<(), BusError>;

    /// Writes and reads in one round trip where the bus can; the read need not see the write. The first result is the
    /// write's.
    fn exchange(
        &mut self,
        outputs: &[Option<f64>],
        results: &mut [WriteResult],
        inputs: &mut [Reading],
        deadline: MonoTime,
    ) -> (Result<(), BusError>, Result<(), BusError>) {
        (self.write(outputs, results, deadline), self.read(inputs, deadline))
    }

    /// How the plant tells by itself what changes; [`FeedState::Off`] for a bus that is always asked.
    fn feed(&self) -> Feed {
        Feed::default()
    }

    /// Housekeeping between two cycles, such as the renewal of keys.
    ///
    /// # Errors
    /// See [`BusError`].
    fn maintain(&mut self, deadline: MonoTime) -> Result<(), BusError>;

    /// Takes leave, as far as the deadline permits.
    fn disconnect(&mut self, deadline: MonoTime);
}

/// What a connection brings to light.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Connected {
    /// The server that it leads to; empty where there is none.
    pub server: String,
    /// The data type of every output.
    pub kinds: Vec<ScalarKind>,
    /// What an operator may want to read.
    pub notices: Vec<String>,
    /// The server has kept the session of the connection before.
    pub resumed: bool,
}

/// Why a connection did not come about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectFailure {
    /// Fact, place and remedy, for people.
    pub message: String,
    /// The server's certificate, if that is the reason.
    pub certificate: Option<RefusedCertificate>,
}

/// A server's certificate that is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedCertificate {
    /// SHA-1 of the DER bytes in hexadecimal, as OPC UA names certificates.
    pub thumbprint: String,
    /// The certificate.
    pub der: Vec<u8>,
    /// What is wrong with it; `None` where nobody has decided about it, and a person's trust would settle it.
    pub fault: Option<String>,
}

/// Why a cyclic call failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BusError {
    /// The deadline passed, and the plant has seen nothing of the request.
    NotSent,
    /// The deadline passed; whether a write was carried out is unknown.
    Unknown,
    /// The server refused the whole call.
    Refused {
        /// Its status code.
        status: u32,
    },
    /// The connection is of no use any more.
    Lost(Loss),
}

/// Why a connection was lost. Fixed text, so that it can be made where nothing may be allocated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loss {
    /// What happened.
    pub what: &'static str,
    /// The server's status code, zero when there is none.
    pub status: u32,
}

/// One value as it was read or told.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reading {
    /// The value in the node's own unit; not a number when there is none.
    pub value: f64,
    /// What the server says of it.
    pub quality: Quality,
    /// SourceTimestamp in 100 ns ticks since 1601, zero when there is none.
    pub source_time: i64,
    /// How it came.
    pub receipt: Receipt,
}

/// How a value came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Receipt {
    /// The plant was asked in this call.
    Asked,
    /// The plant told it by itself.
    Told {
        /// It had not come by then.
        since: MonoTime,
    },
    /// It did not come in this call: the rest of the reading means nothing.
    Nothing,
}

/// How a plant tells by itself what changes, and what went amiss with that. Numbers count from the start on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Feed {
    /// At present.
    pub state: FeedState,
    /// Subscriptions that ended before they were given up.
    pub ended: u64,
    /// Messages that were missing and were asked for again.
    pub republished: u64,
    /// Messages that were missing and never came: everything was read instead.
    pub lost: u64,
    /// Values before which the server threw others away, because they came too fast.
    pub overflows: u64,
}

/// Whether a plant tells by itself what changes. While it does not, everything is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FeedState {
    /// It is not asked to.
    #[default]
    Off,
    /// It does.
    Live {
        /// Inputs that it shall tell and refuses to: they are read.
        refused: usize,
    },
    /// It refuses to.
    Refused {
        /// Its status code.
        status: u32,
    },
    /// It has ended.
    Over {
        /// The status code, zero when there is none.
        status: u32,
    },
    /// It says nothing of an input that has changed.
    Mute {
        /// The input.
        input: usize,
    },
}

impl Reading {
    /// Nothing was read.
    pub const MISSING: Self = Self { value: f64::NAN, quality: Quality::Bad, source_time: 0, receipt: Receipt::Asked };

    /// What the plant says of a value; one that is not finite is Bad, whatever the plant says.
    pub fn new(value: f64, quality: Quality, source_time: i64) -> Self {
        let quality = if value.is_finite() { quality } else { Quality::Bad };
        Self { value, quality, source_time, receipt: Receipt::Asked }
    }
}

/// What became of one output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteResult {
    /// It was not part of the request.
    NotAsked,
    /// The plant has it.
    Done,
    /// The plant refused it.
    Refused {
        /// The status code.
        status: u32,
    },
}
