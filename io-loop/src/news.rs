//! What the io thread tells the keeper thread: changes of the connection, in words.

use crossbeam::channel::{Receiver, Sender, bounded};

use crate::bus::{ConnectFailure, FeedState, Loss};

/// News that may wait for the keeper; more are dropped, because the newest state comes again with the next attempt.
const NEWS_WAITING_MAX: usize = 64;

/// A change of the connection.
#[derive(Clone, Debug, PartialEq)]
pub enum News {
    /// It is up.
    Up {
        /// The server that it leads to; empty where there is none.
        server: String,
        /// What an operator may want to read.
        notices: Vec<String>,
        /// The server has kept the session of the connection before.
        resumed: bool,
    },
    /// It was lost.
    Down(Loss),
    /// The plant has begun or ceased to tell by itself what changes. An input is counted as the bus counts them.
    Feed(FeedState),
    /// The plant refuses to take a setpoint. Told when it begins, or gives another reason.
    SetpointRefused {
        /// Its place in the site's list.
        setpoint: u8,
        /// The value that was to be written.
        value: f64,
        /// The status code.
        status: u32,
    },
    /// The plant refuses to write the tag of the claim: nothing is sent as long as it does. Told once per connection.
    ClaimRefused {
        /// Its status code.
        status: u32,
    },
    /// The plant refuses to write the tag of an alarm. Told once per connection, of one of them.
    AlarmRefused {
        /// Its place in the site's list.
        alarm: u8,
        /// The status code.
        status: u32,
    },
    /// An attempt failed; another one follows within a second.
    CannotConnect(ConnectFailure),
}

/// The io thread's end.
#[derive(Clone, Debug)]
pub struct NewsSender(Sender<News>);

impl NewsSender {
    /// Tells, or drops the news when nobody has listened for long.
    pub(crate) fn tell(&self, news: News) {
        let _ = self.0.try_send(news);
    }
}

/// A channel for the news of one connection. Not for the control thread.
pub fn news() -> (NewsSender, Receiver<News>) {
    let (sender, receiver) = bounded(NEWS_WAITING_MAX);
    (NewsSender(sender), receiver)
}
