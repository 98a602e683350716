//! One setpoint's way to the plant: what it moves from, who has it, what the mode's law asks for, and what the envelope
//! makes of it.

use serde::{Deserialize, Serialize};

use crate::carry::Carrier;
use crate::envelope::{Acted, Envelope, Limits, LimitsByMode, Verdict, Withheld};
use crate::expression::Program;
use crate::fallback::Fallback;
use crate::image::Image;
use crate::mode::Mode;
use crate::record::{Reply, SetpointRow};
use crate::reference::{Patience, Reference, Settled};
use crate::setpoint::{Cascade, ScalarKind, SetpointSettings};
use crate::tag::TagId;
use crate::time::{MonoTime, Span};
use crate::trips::{OutOf, Reversals, Streak};

#[derive(Clone, Copy, Debug)]
pub(crate) struct Channel {
    tag: TagId,
    operator_when: Option<Program>,
    cascade: Option<Cascade>,
    envelope: Envelope,
    /// The range in RUN at the start: what the policy was made for.
    original: Limits,
    fallback: Fallback,
    fallback_output: Option<f64>,
    reference: Reference,
    custody: Custody,
    refused: Streak,
    /// What the plant answered last, while it is connected.
    reply: Option<Reply>,
    reversals: Reversals,
    stroke: f64,
}

/// Whether a person has the setpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Custody {
    /// When it was moved by another hand; only a command gives it back.
    taken: Option<MonoTime>,
    /// Its mode tag says so, or cannot be read.
    by_tag: bool,
}

/// What a channel found out at the beginning of a cycle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Finding {
    /// A person took the setpoint.
    Taken,
    /// The mode tag gave it back.
    Returned,
    /// The plant ignores what is written.
    Ignored,
}

/// What judging needs of the cycle.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Instant {
    pub(crate) cycle: u64,
    pub(crate) now: MonoTime,
    /// The time that a change may take.
    pub(crate) dt: Span,
}

impl Channel {
    /// `stroke` is the part of the range in RUN that makes a reversal.
    pub(crate) fn new(settings: &SetpointSettings, envelope: Envelope, stroke: f64) -> Self {
        Self {
            tag: settings.tag,
            operator_when: settings.operator_when,
            cascade: settings.cascade,
            original: envelope.limits().run,
            envelope,
            fallback: Fallback::new(settings.fallback),
            fallback_output: None,
            reference: Reference::UNKNOWN,
            custody: Custody::default(),
            refused: Streak::default(),
            reply: None,
            reversals: Reversals::default(),
            stroke,
        }
    }

    pub(crate) const fn envelope(&self) -> &Envelope {
        &self.envelope
    }

    /// Learns the data type of the plant's node; whether that is news.
    pub(crate) fn learn_kind(&mut self, kind: ScalarKind) -> bool {
        let news = self.envelope.kind() != Some(kind);
        self.envelope.set_kind(Some(kind));
        news
    }

    /// Other limits and another nominal value from this cycle on. Limits that are none leave the old ones.
    pub(crate) fn tune(&mut self, limits: LimitsByMode, nominal: f64) {
        if self.envelope.set_limits(limits).is_ok() {
            self.fallback.set_nominal(nominal);
        }
    }

    pub(crate) fn carry(&mut self, carrier: &mut impl Carrier) {
        let Self {
            tag: _,
            original: _,
            operator_when: _,
            cascade: _,
            stroke: _,
            envelope,
            fallback,
            fallback_output,
            reference,
            custody,
            refused,
            reply,
            reversals,
        } = self;
        envelope.carry(carrier);
        fallback.carry(carrier);
        carrier.carry(fallback_output);
        carrier.carry(reference);
        carrier.carry(custody);
        carrier.carry(refused);
        carrier.carry(reply);
        carrier.carry(reversals);
    }

    pub(crate) fn take_outcome(&mut self, cycle: u64, written: bool, refused: bool, now: MonoTime) {
        if refused {
            self.refused.note(true);
            self.reply = Some(Reply::Refused);
            self.reference.lose();
        } else if written {
            self.refused.note(false);
            self.reply = Some(Reply::Accepted);
            self.reference.confirm(cycle, now);
        }
    }

    /// Outstanding writes have an unknown outcome, and the node may be another one when the plant comes back.
    pub(crate) fn disconnect(&mut self) {
        self.reference.lose();
        self.reply = None;
        self.envelope.set_kind(None);
    }

    /// Until this instant the plant was somebody else's.
    pub(crate) fn begin_anew(&mut self, now: MonoTime) {
        self.reference.begin_anew(now);
    }

    /// Finds what the next value moves from, and whether it is ours to move.
    pub(crate) fn settle(&mut self, image: &Image, link: bool, previous: Mode, patience: Patience) -> Option<Finding> {
        let followed = self.followed(image);
        let settled = self.settle_reference(followed, image, link, patience);
        if settled != Settled::Written || previous != Mode::Fallback {
            self.fallback.track(self.reference.value());
        }
        if settled == Settled::Ignored {
            return Some(Finding::Ignored);
        }
        let before = self.with_operator();
        if settled == Settled::Foreign {
            self.custody.taken = self.custody.taken.or(Some(image.now()));
        }
        let said = self.operator_when.is_some_and(|when| when.holds(image).unwrap_or(true));
        let by_tag = previous.policy_runs() && (said || followed != Some(self.tag));
        if by_tag && !self.custody.by_tag && followed.is_some_and(|tag| tag != self.tag) {
            // The plant's half of a switch to the operator moves ours, which may be seen before the switch itself.
            self.custody.taken = self.custody.taken.filter(|taken| image.now().since(*taken) > patience.settle);
        }
        self.custody.by_tag = by_tag;
        match (before, self.with_operator()) {
            (false, true) => Some(Finding::Taken),
            (true, false) => Some(Finding::Returned),
            _ => None,
        }
    }

    /// The tag of the value that the plant follows, ours or the operator's of a cascade; `None` when it cannot be told.
    fn followed(&self, image: &Image) -> Option<TagId> {
        self.cascade.map_or(Some(self.tag), |cascade| cascade.followed(self.tag, image))
    }

    fn settle_reference(&mut self, followed: Option<TagId>, image: &Image, link: bool, patience: Patience) -> Settled {
        let read_back = |tag: TagId| if link { image.read_back(tag) } else { None };
        if followed != Some(self.tag) {
            // What we wrote is nothing to compare another setpoint with.
            self.reference.lose();
        }
        self.reference.settle(followed.and_then(read_back), image.now(), patience)
    }

    /// A person has it.
    pub(crate) const fn with_operator(&self) -> bool {
        self.custody.taken.is_some() || self.custody.by_tag
    }

    /// A person gives it back; whether that changes anything. A mode tag that says otherwise has the last word.
    pub(crate) fn hand_back(&mut self) -> bool {
        let changed = self.custody.taken.is_some() && !self.custody.by_tag;
        self.custody.taken = None;
        changed
    }

    /// It may be written as far as its value on the plant and its node are known; a person's setpoint need not be.
    pub(crate) fn is_known(&self) -> bool {
        self.with_operator() || self.reference.value().is_some() && self.envelope.kind().is_some()
    }

    pub(crate) fn compute_fallback(&mut self, dt: Span, image: &Image) {
        self.fallback_output = self.fallback.step(self.reference.value(), dt, image);
    }

    pub(crate) const fn fallback_usable(&self) -> bool {
        self.with_operator() || self.fallback_output.is_some()
    }

    pub(crate) fn refused_more_than(&self, max: u32) -> bool {
        self.refused.exceeds(max)
    }

    pub(crate) fn reverses(&self, limit: OutOf) -> bool {
        self.reversals.reach(limit)
    }

    pub(crate) fn reset_counts(&mut self) {
        self.refused = Streak::default();
        self.reversals = Reversals::default();
    }

    pub(crate) fn next_decision(&mut self) {
        self.reversals.next_decision();
    }

    /// Whether the policy asks for more than it may have. Limits that were narrowed since then curb it, but are no fault of
    /// the policy, which does not know them.
    pub(crate) fn out_of_range(&self, value: f64) -> bool {
        let (now, original) = (self.envelope.limits().run, self.original);
        value < now.lo.min(original.lo) || value > now.hi.max(original.hi)
    }

    /// What becomes of this setpoint in this cycle: a value that is sent, or a reason why not.
    pub(crate) fn judge(&mut self, mode: Mode, action: f64, at: Instant, image: &Image) -> SetpointRow {
        let last = self.reference.value();
        let desired = self.desired(mode, action);
        let verdict = if mode.writes() && self.with_operator() {
            Verdict::Withhold(Withheld::Operator)
        } else {
            self.envelope.judge(mode, desired, last, at.dt, image)
        };
        let read_back = self.followed(image).and_then(|tag| image.read_back(tag)).map(|read_back| read_back.value);
        let (sent, acted, withheld) = match verdict {
            Verdict::Write { value, acted } => {
                self.reference.wrote(value, at.cycle, at.now);
                (Some(value), acted, None)
            }
            Verdict::Withhold(reason) => {
                self.reference.rested();
                (None, Acted::NOTHING, Some(reason))
            }
        };
        self.follow(mode, sent, acted);
        SetpointRow { desired, sent, last, read_back, acted, withheld, reply: self.reply }
    }

    /// What the law of the mode asks for.
    fn desired(&self, mode: Mode, action: f64) -> f64 {
        let hold = self.reference.value().unwrap_or(f64::NAN);
        match mode {
            Mode::Startup | Mode::Release => f64::NAN,
            Mode::Shadow => action,
            Mode::Run if action.is_finite() => action,
            Mode::Run | Mode::Hold => hold,
            // While its inputs are missing the last value stays, until the mode machine gives up.
            Mode::Fallback => self.fallback_output.unwrap_or(hold),
        }
    }

    /// What was written is where the fallback goes on from, and what may chatter.
    fn follow(&mut self, mode: Mode, sent: Option<f64>, acted: Acted) {
        if acted.curbed() {
            self.fallback.track(sent);
        }
        let Limits { lo, hi, .. } = self.envelope.limits().run;
        match sent.filter(|_| mode == Mode::Run) {
            Some(value) => self.reversals.follow(value, self.stroke * (hi - lo)),
            None => self.reversals.pause(),
        }
    }
}
