//! What a scope can show: numbers of a cycle record, by name.

use rt_control::Description;
use shm_layout::{CycleHead, CycleRef};

/// Channels at most.
pub(super) const CHANNELS_MAX: usize = 16;

/// What stands before a tag's name where the name alone means something else.
const TAG_PREFIX: &str = "tag:";

/// One number of a cycle record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signal {
    /// A tag's value, by its place in the site file.
    Tag(usize),
    /// A setpoint on its way to the plant, by its place in the site file.
    Setpoint(usize, Station),
    /// A fact about the cycle itself.
    Cycle(Fact),
}

/// Where a setpoint is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Station {
    /// What policy or fallback asked for.
    Raw,
    /// What the envelope let through.
    Sent,
    /// What the plant shows.
    ReadBack,
}

/// A fact about a cycle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fact {
    /// The reward of the latest observation.
    Reward,
    /// Wake-up after the release time, microseconds.
    Lateness,
    /// The cycle's body, microseconds.
    Execution,
    /// Receipt of the newest sample to the setpoint ring, microseconds; nothing in a cycle that writes nothing.
    Response,
    /// The mode's number.
    Mode,
    /// The generation of the policy in use.
    Policy,
}

impl Station {
    const ALL: [Self; 3] = [Self::Raw, Self::Sent, Self::ReadBack];

    const fn suffix(self) -> &'static str {
        match self {
            Self::Raw => ".raw",
            Self::Sent => ".sent",
            Self::ReadBack => ".readback",
        }
    }
}

impl Fact {
    const ALL: [Self; 6] = [Self::Reward, Self::Lateness, Self::Execution, Self::Response, Self::Mode, Self::Policy];

    const fn name(self) -> &'static str {
        match self {
            Self::Reward => "reward",
            Self::Lateness => "lateness",
            Self::Execution => "execution",
            Self::Response => "response",
            Self::Mode => "mode",
            Self::Policy => "policy",
        }
    }

    const fn unit(self) -> &'static str {
        match self {
            Self::Lateness | Self::Execution | Self::Response => "us",
            Self::Reward | Self::Mode | Self::Policy => "",
        }
    }
}

/// The names and units of what one runtime records.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Names {
    tags: Vec<(String, String)>,
    setpoints: Vec<(String, String)>,
}

impl Names {
    pub(super) fn of(description: &Description) -> Self {
        Self {
            tags: description.tags.iter().map(|tag| (tag.name.clone(), tag.unit.clone())).collect(),
            setpoints: description.setpoints.iter().map(|of| (of.name.clone(), of.unit.clone())).collect(),
        }
    }

    #[cfg(test)]
    pub(super) fn for_tests(tags: &[(&str, &str)], setpoints: &[(&str, &str)]) -> Self {
        let owned = |of: &[(&str, &str)]| of.iter().map(|(name, unit)| ((*name).into(), (*unit).into())).collect();
        Self { tags: owned(tags), setpoints: owned(setpoints) }
    }

    /// The signal of this name: a fact, else a tag, else a station of a setpoint. `tag:` before a name makes it a tag's.
    pub(super) fn find(&self, name: &str) -> Option<Signal> {
        let tag = |name: &str| self.tags.iter().position(|(known, _)| known == name).map(Signal::Tag);
        if let Some(name) = name.strip_prefix(TAG_PREFIX) {
            return tag(name);
        }
        let fact = Fact::ALL.into_iter().find(|fact| fact.name() == name).map(Signal::Cycle);
        fact.or_else(|| tag(name)).or_else(|| self.find_station(name))
    }

    fn find_station(&self, name: &str) -> Option<Signal> {
        Station::ALL.into_iter().find_map(|station| {
            let setpoint = name.strip_suffix(station.suffix())?;
            let place = self.setpoints.iter().position(|(known, _)| known == setpoint)?;
            Some(Signal::Setpoint(place, station))
        })
    }

    /// The signal of this name, or a sentence with the nearest names.
    pub(super) fn require(&self, name: &str) -> Result<Signal, String> {
        self.find(name).ok_or_else(|| {
            let all = self.all();
            let known = all.iter().map(String::as_str);
            match rt_config::nearest(name, known) {
                Some(near) => format!("there is no channel `{name}`: did you mean `{near}`?"),
                None => format!("there is no channel `{name}`: there are {}", all.join(", ")),
            }
        })
    }

    /// The names of everything that can be shown.
    pub(super) fn all(&self) -> Vec<String> {
        let stations = self
            .setpoints
            .iter()
            .flat_map(|(name, _)| Station::ALL.into_iter().map(move |station| format!("{name}{}", station.suffix())));
        let facts = Fact::ALL.into_iter().map(|fact| fact.name().to_owned());
        self.tags.iter().map(|(name, _)| self.tag_name(name)).chain(stations).chain(facts).collect()
    }

    /// What somebody who named nothing would look at: what is sent, what comes of it, and how late it is.
    pub(super) fn usual(&self) -> Vec<String> {
        let sent = self.setpoints.iter().take(3).map(|(name, _)| format!("{name}{}", Station::Sent.suffix()));
        let is_setpoint = |name: &str| self.setpoints.iter().any(|(known, _)| known == name);
        let tags = self.tags.iter().filter(|(name, _)| !is_setpoint(name)).take(3);
        let facts = [Fact::Reward, Fact::Lateness].map(|fact| fact.name().to_owned());
        sent.chain(tags.map(|(name, _)| self.tag_name(name))).chain(facts).collect()
    }

    pub(super) fn unit(&self, signal: Signal) -> &str {
        match signal {
            Signal::Tag(place) => self.tags.get(place).map_or("", |(_, unit)| unit),
            Signal::Setpoint(place, _) => self.setpoints.get(place).map_or("", |(_, unit)| unit),
            Signal::Cycle(fact) => fact.unit(),
        }
    }

    /// How a tag is called here, so that [`find`](Self::find) finds it.
    fn tag_name(&self, name: &str) -> String {
        let hidden = Fact::ALL.into_iter().any(|fact| fact.name() == name);
        if hidden { format!("{TAG_PREFIX}{name}") } else { name.to_owned() }
    }
}

/// A channel of the scope: a name that somebody asked for, and what it means to the runtime that is there now.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Channel {
    pub(super) name: String,
    pub(super) unit: String,
    /// `None` while the runtime has nothing of this name.
    pub(super) signal: Option<Signal>,
}

impl Channel {
    /// The channel of this name.
    pub(super) fn new(name: &str, names: &Names) -> Result<Self, String> {
        let signal = names.require(name)?;
        Ok(Self { name: name.to_owned(), unit: names.unit(signal).to_owned(), signal: Some(signal) })
    }

    /// The channels of these names; each may be there once.
    pub(super) fn all(wanted: &[String], names: &Names) -> Result<Vec<Self>, String> {
        if wanted.len() > CHANNELS_MAX {
            return Err(format!("{} channels are too many: a scope shows {CHANNELS_MAX}", wanted.len()));
        }
        if let Some(twice) = wanted.iter().enumerate().find(|(place, name)| wanted[..*place].contains(name)) {
            return Err(format!("the channel `{}` was named twice", twice.1));
        }
        wanted.iter().map(|name| Self::new(name, names)).collect()
    }

    /// Another runtime is there now, and may have other tags.
    pub(super) fn resolve(&mut self, names: &Names) {
        self.signal = names.find(&self.name);
        if let Some(signal) = self.signal {
            self.unit = names.unit(signal).to_owned();
        }
    }

    /// The name with its unit, as in a heading.
    pub(super) fn title(&self) -> String {
        if self.unit.is_empty() { self.name.clone() } else { format!("{} [{}]", self.name, self.unit) }
    }
}

/// Takes signals out of cycle records.
#[derive(Clone, Copy, Debug)]
pub(super) struct Probe {
    reward: f64,
}

impl Probe {
    pub(super) const fn new() -> Self {
        Self { reward: f64::NAN }
    }

    /// A record follows; `gap` where one before it is missing. A reward belongs to an observation and holds until the next
    /// one, unless that may have been missed.
    pub(super) fn look(&mut self, head: &CycleHead, gap: bool) {
        if gap || head.has(CycleHead::OBSERVATION_SLOT) {
            self.reward = head.reward;
        }
    }

    /// The value of a signal in the record that was looked at; NaN for none.
    pub(super) fn value(&self, signal: Signal, record: &CycleRef<'_>) -> f64 {
        match signal {
            Signal::Tag(place) => record.tags.get(place).map_or(f64::NAN, |part| part.value),
            Signal::Setpoint(place, station) => record.setpoints.get(place).map_or(f64::NAN, |part| match station {
                Station::Raw => part.desired,
                Station::Sent => part.sent,
                Station::ReadBack => part.readback,
            }),
            Signal::Cycle(fact) => self.fact(fact, record.head),
        }
    }

    fn fact(&self, fact: Fact, head: &CycleHead) -> f64 {
        match fact {
            Fact::Reward => self.reward,
            Fact::Lateness => microseconds(head.lateness_ns),
            Fact::Execution => microseconds(head.execution_ns),
            Fact::Response if head.response_ns == 0 => f64::NAN,
            Fact::Response => microseconds(head.response_ns),
            Fact::Mode => head.mode.into(),
            // A generation is a count: below 2^53 for longer than a plant lives.
            Fact::Policy => head.policy_generation as f64,
        }
    }
}

fn microseconds(ns: u32) -> f64 {
    f64::from(ns) / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;
    use shm_layout::CycleLayout;

    fn names() -> Names {
        Names::for_tests(&[("level", "m"), ("mode", ""), ("u", "%")], &[("u", "%")])
    }

    #[test]
    fn every_name_that_is_offered_is_found_as_something_else() {
        let names = names();
        let found: Vec<Signal> = names.all().iter().map(|name| names.find(name).unwrap()).collect();
        assert_eq!(found.len(), 3 + 3 + 6);
        assert!(found.iter().enumerate().all(|(place, signal)| !found[..place].contains(signal)));
        assert_eq!(names.find("mode"), Some(Signal::Cycle(Fact::Mode)));
        assert_eq!(names.find("tag:mode"), Some(Signal::Tag(1)));
        assert_eq!(names.find("u.sent"), Some(Signal::Setpoint(0, Station::Sent)));
    }

    #[test]
    fn a_wrong_name_is_answered_with_the_nearest_one() {
        let asked = |names_asked: &[&str]| {
            Channel::all(&names_asked.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>(), &names())
        };
        assert!(asked(&["levl"]).unwrap_err().contains("did you mean `level`?"));
        assert!(asked(&["u.snet"]).unwrap_err().contains("did you mean `u.sent`?"));
        assert!(asked(&["pressure"]).unwrap_err().contains("there are level, tag:mode, u, u.raw"));
        assert!(asked(&["u", "level", "u"]).unwrap_err().contains("`u` was named twice"));
        assert!(asked(&["u"; 17]).unwrap_err().contains("17 channels are too many"));
        assert_eq!(asked(&["level", "lateness"]).unwrap()[1].title(), "lateness [us]");
    }

    #[test]
    fn a_channel_whose_tag_is_gone_keeps_its_name_and_finds_it_again() {
        let mut channel = Channel::new("level", &names()).unwrap();
        channel.resolve(&Names::for_tests(&[("u", "")], &[]));
        assert_eq!((channel.signal, channel.title().as_str()), (None, "level [m]"));
        channel.resolve(&Names::for_tests(&[("u", ""), ("level", "mm")], &[]));
        assert_eq!((channel.signal, channel.title().as_str()), (Some(Signal::Tag(1)), "level [mm]"));
    }

    #[test]
    fn a_reward_holds_until_the_next_observation_and_not_across_what_was_missed() {
        let layout = CycleLayout::new(1, 1).unwrap();
        let mut words = vec![0; layout.words()];
        let mut probe = Probe::new();
        let mut look = |reward: f64, flags: u16, gap: bool| {
            let record = layout.view_mut(&mut words).unwrap();
            (record.head.reward, record.head.flags) = (reward, flags);
            record.setpoints[0].readback = 4.0;
            let record = layout.view(&words).unwrap();
            probe.look(record.head, gap);
            assert_eq!(probe.value(Signal::Setpoint(0, Station::ReadBack), &record), 4.0);
            assert!(
                probe.value(Signal::Tag(7), &record).is_nan()
                    && probe.value(Signal::Setpoint(1, Station::Raw), &record).is_nan()
            );
            assert!(probe.value(Signal::Cycle(Fact::Response), &record).is_nan());
            probe.value(Signal::Cycle(Fact::Reward), &record)
        };
        let observed = CycleHead::OBSERVATION_SLOT;
        assert!(look(f64::NAN, 0, false).is_nan());
        assert_eq!([look(-1.0, observed, false), look(f64::NAN, 0, false)], [-1.0, -1.0]);
        assert!(look(f64::NAN, 0, true).is_nan());
        assert_eq!(look(-2.0, observed, false), -2.0);
        assert!(look(f64::NAN, observed, false).is_nan());
    }

    #[test]
    fn whoever_names_nothing_sees_setpoints_tags_reward_and_lateness() {
        assert_eq!(names().usual(), ["u.sent", "level", "tag:mode", "reward", "lateness"]);
    }
}
