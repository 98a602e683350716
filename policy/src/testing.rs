//! The example site and its plant, for the tests.

use rt_config::Site;
use rt_core::carry::Carrier;
use rt_core::image::Image;
use rt_core::ports::Moment;
use rt_core::tag::{Quality, Sample, TagId};
use rt_core::time::{MonoTime, Span};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

pub(crate) const FEED_SP: usize = 0;
pub(crate) const DOSE_SP: usize = 1;
pub(crate) const LEVEL: usize = 2;
pub(crate) const QUALITY: usize = 3;
pub(crate) const LEVEL_ERROR: usize = 4;
pub(crate) const PUMP_RUNNING: usize = 5;

pub(crate) fn site() -> Site {
    let site = rt_config::parse(rt_config::example(), "site.yaml".as_ref()).expect("the example is valid").site;
    let names: Vec<&str> = site.tags.iter().map(|tag| tag.name.as_str()).collect();
    assert_eq!(names, ["FEED_SP", "DOSE_SP", "LEVEL", "QUALITY", "LEVEL_ERROR", "PUMP_RUNNING"]);
    site
}

pub(crate) fn tag(index: usize) -> TagId {
    TagId::new(index).unwrap()
}

/// The image of a site, fed by hand, 10 ms per observation.
pub(crate) struct Plant {
    pub(crate) image: Image,
    pub(crate) cycle: u64,
}

impl Plant {
    pub(crate) fn of(site: &Site) -> Self {
        let settings: Vec<_> = site.tags.iter().map(|tag| tag.settings).collect();
        Self { image: Image::new(&settings).unwrap(), cycle: 0 }
    }

    pub(crate) fn now(&self) -> MonoTime {
        MonoTime::ZERO + Span::from_ms(10 * self.cycle)
    }

    pub(crate) fn step(&mut self) {
        self.cycle += 1;
        self.image.advance(self.now());
    }

    pub(crate) fn set_with(&mut self, index: usize, value: f64, quality: Quality) {
        let source_time = self.cycle as i64 + 1;
        self.image.receive(&Sample { tag: tag(index), value, quality, received: self.now(), source_time });
    }

    pub(crate) fn set(&mut self, index: usize, value: f64) {
        self.set_with(index, value, Quality::Good);
    }

    /// A new observation with all tags good.
    pub(crate) fn read(&mut self, feed: f64, dose: f64, level: f64, quality: f64) {
        self.step();
        let values = [(FEED_SP, feed), (DOSE_SP, dose), (LEVEL, level), (QUALITY, quality), (PUMP_RUNNING, 1.0)];
        values.into_iter().for_each(|(index, value)| self.set(index, value));
    }

    pub(crate) fn moment(&self) -> Moment {
        Moment { cycle: self.cycle, release: self.now(), decision: true, gap: false, mode: 2 }
    }
}

/// What one hands over to its successor, value by value.
#[derive(Default)]
pub(crate) struct Luggage {
    values: Vec<Value>,
    /// Where the next value is taken from; none while packing.
    at: Option<usize>,
}

impl Luggage {
    /// From now on values are taken out.
    pub(crate) fn arrive(&mut self) {
        self.at = Some(0);
    }

    pub(crate) fn is_unpacked(&self) -> bool {
        self.at == Some(self.values.len())
    }
}

impl Carrier for Luggage {
    fn carry<T: Serialize + DeserializeOwned>(&mut self, value: &mut T) {
        match &mut self.at {
            None => self.values.push(serde_json::to_value(value).expect("a value")),
            Some(at) => {
                *value = serde_json::from_value(self.values[*at].clone()).expect("the value that was packed");
                *at += 1;
            }
        }
    }
}
