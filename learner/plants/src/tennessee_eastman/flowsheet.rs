//! The flowsheet: what the state of the plant means at one moment, what flows, and how the state changes.
//!
//! ```text
//!  D, E, A feeds ──> feed zone ──> reactor ──> condenser, separator ──> compressor ──> feed zone
//!                        ^                        │         └──> purge
//!  A and C feed ──> stripper <────────────────────┘ liquid
//!                       └──> product
//! ```
//!
//! As published, the work of the compressor heats the feed zone and is taken from the separator.

use super::components::{self, A, B, D, E, F, Mixture, molar_mass};
use super::conditions::Conditions;
use super::reactor::{self, Reaction};
use super::separator::{self, Compressed};
use super::state::{Rates, State};
use super::streams::{Holdup, Stream};
use super::stripper::{self, Split};
use super::valves::{self, Positions};
use super::vessel::{Base, FeedZone, Vessel};

/// From the feed zone to the reactor, lb/h per root of mmHg.
const REACTOR_INLET: f64 = 1937.6;
/// From the reactor to the separator, lb/h per root of mmHg.
const REACTOR_OUTLET: f64 = 4574.21;
/// Temperature of the feeds of E and A, degC.
const FEED_C: f64 = 45.0;
/// The feed of A and C is never quite nothing, lbmol/h: something to divide by.
const AC_FLOW_MIN: f64 = 1e-10;
/// Flows through open valves: of feeds and liquids lbmol/h, of waters gal/min.
const D_FLOW_MAX: f64 = 400.0;
const E_FLOW_MAX: f64 = 400.0;
const A_FLOW_MAX: f64 = 100.0;
const AC_FLOW_MAX: f64 = 1500.0;
const SEPARATOR_LIQUID_MAX: f64 = 1500.0;
const STRIPPER_LIQUID_MAX: f64 = 1000.0;
const REACTOR_WATER_MAX: f64 = 1000.0;
const CONDENSER_WATER_MAX: f64 = 1200.0;
/// Heat transfer of the stripper under an open steam valve, MMBtu/(h K).
const STEAM_TRANSFER_MAX: f64 = 0.03;
/// From gal/min of water to lb/h; and the water in the coolers of reactor and condenser, lb.
const WATER_FLOW: f64 = 500.53;
const REACTOR_WATER_HELD: f64 = 7060.0;
const CONDENSER_WATER_HELD: f64 = 11_138.0;
/// From MMBtu to the pounds of water that it warms by a kelvin.
const WATER_WARMED: f64 = 1e6 / 1.8;

/// The streams.
#[derive(Debug, Clone, Copy)]
pub(super) struct Streams {
    pub(super) a_feed: Stream,
    pub(super) d_feed: Stream,
    pub(super) e_feed: Stream,
    pub(super) ac_feed: Stream,
    /// From the stripper to the feed zone.
    pub(super) overhead: Stream,
    pub(super) reactor_feed: Stream,
    pub(super) reactor_product: Stream,
    pub(super) recycle: Stream,
    pub(super) purge: Stream,
    /// From the separator to the stripper.
    pub(super) underflow: Stream,
    /// Into the base of the stripper.
    pub(super) bottoms: Stream,
    pub(super) product: Stream,
}

/// Heat that flows into the vessels, MMBtu/h; cooling is negative.
#[derive(Debug, Clone, Copy)]
pub(super) struct Heats {
    pub(super) reactor: f64,
    pub(super) condenser: f64,
    pub(super) stripper: f64,
}

/// The vessels.
#[derive(Debug, Clone, Copy)]
pub(super) struct Units {
    pub(super) reactor: Vessel,
    pub(super) separator: Vessel,
    pub(super) stripper: Base,
    pub(super) feed_zone: FeedZone,
}

/// A state, understood.
#[derive(Debug, Clone, Copy)]
pub(super) struct Flowsheet {
    pub(super) units: Units,
    pub(super) streams: Streams,
    pub(super) heats: Heats,
    /// MMBtu/h.
    pub(super) compressor_work: f64,
    /// Cooling water at the outlets of reactor and condenser, degC.
    pub(super) waters_c: [f64; 2],
    pub(super) rates: Rates,
}

impl Flowsheet {
    /// What `state` means under `conditions`.
    pub(super) fn of(state: &State, conditions: &Conditions) -> Self {
        let units = Units {
            reactor: Vessel::holding(&state.reactor, reactor::VOLUME),
            separator: Vessel::holding(&state.separator, separator::VOLUME),
            stripper: Base::holding(&state.stripper),
            feed_zone: FeedZone::holding(&state.feed_zone),
        };
        let recycle_valve = state.valves.positions[valves::RECYCLE];
        let compressed = separator::compress(&units.separator, units.feed_zone.pressure, recycle_valve);
        let streams = Streams::of(&state.valves.positions, conditions, &units, &compressed);
        let reaction = reactor::react(&units.reactor, conditions);
        let heats = Heats::of(state, conditions, &units, streams.reactor_product.flow);
        let rates =
            Rates { holdups: balances(&streams, &heats, &reaction), waters_c: waters(state, conditions, &heats) };
        let (compressor_work, waters_c) = (compressed.work, state.waters_c);
        Self { units, streams, heats, compressor_work, waters_c, rates }
    }
}

impl Streams {
    /// Under valves at these positions, %.
    fn of(positions: &Positions, conditions: &Conditions, units: &Units, compressed: &Compressed) -> Self {
        let Units { reactor, separator, stripper, feed_zone } = units;
        let [a_feed, d_feed, e_feed, ac_feed] = feeds(positions, conditions);

        let fed = REACTOR_INLET * separator::driven(feed_zone.pressure, reactor.pressure);
        let left = REACTOR_OUTLET * separator::driven(reactor.pressure, separator.pressure) * conditions.reactor_outlet;
        let purged = separator::purged(separator.pressure, positions[valves::PURGE]);
        let vapour = |mass: f64, gas, celsius| Stream::vapour(mass / molar_mass(&gas), gas, celsius);
        let mut recycle = vapour(compressed.delivered, separator.vapour, separator.temperature_c);
        recycle.enthalpy += compressed.work / recycle.flow;

        let drained = positions[valves::SEPARATOR_LIQUID] / 100.0 * SEPARATOR_LIQUID_MAX;
        let underflow = Stream::liquid(drained, separator.liquid, separator.temperature_c);
        let Split { overhead, bottoms } = stripper::strip(&ac_feed, &underflow, stripper.temperature_c);
        let produced = positions[valves::STRIPPER_LIQUID] / 100.0 * STRIPPER_LIQUID_MAX;
        Self {
            a_feed,
            d_feed,
            e_feed,
            ac_feed,
            overhead,
            reactor_feed: vapour(fed, feed_zone.gas, feed_zone.temperature_c),
            reactor_product: vapour(left, reactor.vapour, reactor.temperature_c),
            recycle,
            purge: vapour(purged, separator.vapour, separator.temperature_c),
            underflow,
            bottoms,
            product: Stream::liquid(produced, stripper.liquid, stripper.temperature_c),
        }
    }
}

/// The feeds of A, D, E, and A with C.
fn feeds(positions: &Positions, conditions: &Conditions) -> [Stream; 4] {
    let with_trace = |component: usize, trace: usize| {
        let mut fractions = [0.0; components::COUNT];
        (fractions[component], fractions[trace]) = (0.9999, 0.0001);
        fractions
    };
    let opening = |valve: usize| positions[valve] / 100.0;
    [
        Stream::vapour(opening(valves::A_FEED) * A_FLOW_MAX * conditions.a_supply, with_trace(A, B), FEED_C),
        Stream::vapour(opening(valves::D_FEED) * D_FLOW_MAX, with_trace(D, B), conditions.d_feed_c),
        Stream::vapour(opening(valves::E_FEED) * E_FLOW_MAX, with_trace(E, F), FEED_C),
        Stream::vapour(
            opening(valves::AC_FEED) * AC_FLOW_MAX * conditions.ac_supply + AC_FLOW_MIN,
            conditions.ac_feed,
            conditions.ac_feed_c,
        ),
    ]
}

impl Heats {
    fn of(state: &State, conditions: &Conditions, units: &Units, condensed: f64) -> Self {
        let positions = &state.valves.positions;
        let [reactor_water_c, condenser_water_c] = state.waters_c;
        let reactor_c = units.reactor.temperature_c;
        let steam = positions[valves::STEAM] / 100.0 * STEAM_TRANSFER_MAX * conditions.stripper_surface;
        Self {
            reactor: reactor::warm(&units.reactor, reactor_water_c, positions[valves::AGITATOR], conditions),
            condenser: separator::warm(condensed, reactor_c, condenser_water_c, conditions),
            stripper: stripper::warm(steam, units.stripper.temperature_c),
        }
    }
}

/// How fast the cooling water at the outlets of reactor and condenser warms, K/h.
fn waters(state: &State, conditions: &Conditions, heats: &Heats) -> [f64; 2] {
    let opening = |valve: usize| state.valves.positions[valve] / 100.0;
    let warming = |flow: f64, inlet_c: f64, outlet_c: f64, heat: f64, held: f64| {
        (flow * WATER_FLOW * (inlet_c - outlet_c) - heat * WATER_WARMED) / held
    };
    let reactor_flow = opening(valves::REACTOR_WATER) * REACTOR_WATER_MAX;
    let condenser_flow = opening(valves::CONDENSER_WATER) * CONDENSER_WATER_MAX;
    let [reactor_c, condenser_c] = state.waters_c;
    [
        warming(reactor_flow, conditions.reactor_water_c, reactor_c, heats.reactor, REACTOR_WATER_HELD),
        warming(condenser_flow, conditions.condenser_water_c, condenser_c, heats.condenser, CONDENSER_WATER_HELD),
    ]
}

/// The balances of moles and energy of reactor, separator, stripper and feed zone.
fn balances(streams: &Streams, heats: &Heats, reaction: &Reaction) -> [Holdup; 4] {
    const NOTHING: Mixture = [0.0; components::COUNT];
    let balance = |into: &[&Stream], out: &[&Stream], moles: Mixture, energy: f64| {
        let mut holdup = Holdup { moles, energy };
        into.iter().for_each(|stream| holdup.receive(stream));
        out.iter().for_each(|stream| holdup.release(stream));
        holdup
    };
    let s = streams;
    let base = balance(&[&s.bottoms], &[&s.product], NOTHING, 0.0);
    let column = balance(&[&s.ac_feed, &s.underflow], &[&s.overhead, &s.product], NOTHING, heats.stripper);
    [
        balance(&[&s.reactor_feed], &[&s.reactor_product], reaction.made, reaction.heat + heats.reactor),
        balance(&[&s.reactor_product], &[&s.recycle, &s.purge, &s.underflow], NOTHING, heats.condenser),
        // The column above the base holds nothing, so its energy is the base's.
        Holdup { moles: base.moles, energy: column.energy },
        balance(&[&s.a_feed, &s.d_feed, &s.e_feed, &s.overhead, &s.recycle], &[&s.reactor_feed], NOTHING, 0.0),
    ]
}
