//! The site of a scenario: one of the plants, under settings that the seed draws. All times are multiples of the period.

use plants::{Plant, Signal};
use rt_config::Site;
use rt_core::setpoint::ScalarKind;

use super::dice::Dice;

/// Control periods from one observation to the next.
pub(crate) const OBSERVE_EVERY: u64 = 10;

/// A plant, and the site that controls it.
pub(crate) struct Place {
    pub(crate) site: Site,
    pub(crate) plant: Box<dyn Plant>,
    /// The data types of the setpoints' nodes.
    pub(crate) kinds: Vec<ScalarKind>,
}

impl Place {
    /// The place of this seed, with a control period of so many nanoseconds.
    pub(crate) fn draw(seed: u64, period_ns: u64) -> Self {
        let mut dice = Dice::new(seed, "place");
        let name = dice.pick(plants::NAMES);
        let plant = plants::by_name(name, seed).expect("one of the known plants");
        let kinds: Vec<_> = plant.inputs().iter().map(|signal| kind_for(signal, &mut dice)).collect();
        let text = site_text(plant.as_ref(), &kinds, &mut dice, seed, period_ns);
        let site = match rt_config::parse(&text, "simulation.yaml".as_ref()) {
            Ok(loaded) => loaded.site,
            Err(refused) => panic!("the site of seed {seed} is refused: {refused}\n{text}"),
        };
        Self { site, plant, kinds }
    }
}

/// Whole numbers only where there are enough of them.
fn kind_for(signal: &Signal, dice: &mut Dice) -> ScalarKind {
    let fine = [ScalarKind::Double, ScalarKind::Double, ScalarKind::Float];
    let coarse = [ScalarKind::Double, ScalarKind::Float, ScalarKind::Int16, ScalarKind::Byte];
    if signal.hi - signal.lo >= 50.0 { dice.pick(&coarse) } else { dice.pick(&fine) }
}

fn site_text(plant: &dyn Plant, kinds: &[ScalarKind], dice: &mut Dice, seed: u64, period_ns: u64) -> String {
    let periods = |count: u64| format!("{}us", count * period_ns / 1_000);
    let observations = |count: u64| periods(count * OBSERVE_EVERY);
    let explore = dice.one_in(2);
    // An explorer moves to and fro by trade.
    let chatter = if explore { "off" } else { "{m: 12, n: 16, stroke: 0.02}" };
    let measured = plant.outputs()[0];
    let (tried, watched) = (dice.pick(&[2, 4, 8]), dice.pick(&[4, 16]));
    let mut text = format!(
        "schema: corerl/1\nlab: true\nagent_name: agent\nis_simulation: true\nseed: {seed}\n\
         coreio:\n  opc_connections:\n    - {{connection_id: plant, opc_conn_url: \"opc.tcp://127.0.0.1:1\"}}\n\
         interaction: {{obs_period: {}, action_period: {}, state_age_tol: {}}}\n\
         agent: {{gamma: 0.9, explore: {explore}}}\npipeline:\n  tags:\n",
        observations(1),
        observations(dice.pick(&[1, 1, 2])),
        observations(5),
    );
    for signal in plant.inputs() {
        text += &setpoint_text(signal);
    }
    for signal in plant.outputs() {
        text += &tag_text(signal);
    }
    text += &format!("  reward: {{value: \"-abs({{{}}} - {:.6})\"}}\n", measured.name, measured.hi / 2.0);
    text += &format!(
        "runtime:\n  site: simulation\n  period: {}\n  t_hold: {}\n  t_recover: {}\n  t_release: {}\n  t_settle: {}\n  \
         max_policy_age: {}\n  overruns: {{m: 8, n: 64}}\n  chatter: {chatter}\n  clamp_limit: 20\n  \
         canary: {{decisions: {tried}}}\n  probation: {{decisions: {watched}}}\n  refresh: {}\n",
        periods(1),
        observations(dice.pick(&[3, 10])),
        observations(5),
        observations(60),
        periods(15),
        observations(60),
        observations(dice.pick(&[1, 3])),
    );
    text += &limits_text(plant, kinds, dice, period_ns);
    text += &format!(
        "  io:\n    plant:\n      pairing: {}\n      phase: {}us\n      call_timeout: {}\n      \
         heartbeat: {{node: \"nsu=urn:corerl:plant;s=Heartbeat\", period: {}}}\n      \
         alarms: [{{node: \"nsu=urn:corerl:plant;s=Alarm\", when: [not_in_charge, hold, fallback], off_delay: {}}}]\n",
        dice.pick(&["fresh", "paired"]),
        period_ns / 1_000 * dice.pick(&[1, 5, 9]) / 10,
        periods(2),
        observations(1),
        observations(2),
    );
    text
}

fn tag_text(signal: &Signal) -> String {
    let Signal { name, lo, hi, .. } = signal;
    format!(
        "    - name: {name}\n      node_identifier: nsu=urn:corerl:plant;s={name}\n      operating_range: [{lo:.6}, {hi:.6}]\n"
    )
}

fn setpoint_text(signal: &Signal) -> String {
    tag_text(signal) + &format!("      type: ai_setpoint\n      nominal_setpoint: {}\n", signal.nominal)
}

fn limits_text(plant: &dyn Plant, kinds: &[ScalarKind], dice: &mut Dice, period_ns: u64) -> String {
    let observation_s = (period_ns * OBSERVE_EVERY) as f64 * 1e-9;
    let measured = plant.outputs()[0];
    let (mut limits, mut fallbacks) = ("  limits:\n".to_owned(), "  fallback:\n".to_owned());
    for (index, (signal, kind)) in plant.inputs().iter().zip(kinds).enumerate() {
        let width = signal.hi - signal.lo;
        // From one end to the other in so many observations. A whole number moves by one in a period, or never.
        let whole = matches!(kind, ScalarKind::Int16 | ScalarKind::Byte);
        let observations = if whole { dice.between(1.0, 1.25) } else { dice.between(5.0, 100.0) };
        let rate = width / (observations * observation_s);
        let slower = rate / 2.0;
        let by_mode =
            if dice.one_in(3) { format!(", by_mode: {{fallback: {{rate: {slower}}}}}") } else { String::new() };
        let interlock = match dice.below(3) {
            0 if index == 0 => format!(
                ", interlocks: [{{when: \"{{{}}} > {:.6}\", then: block_increase}}]",
                measured.name,
                measured.hi * 0.9
            ),
            _ => String::new(),
        };
        limits += &format!("    {}: {{rate: {rate}{by_mode}{interlock}}}\n", signal.name);
        let fallback = match dice.below(4) {
            0 => "hold".to_owned(),
            1 => "nominal".to_owned(),
            2 => format!("{{ramp: {{to: {:.6}, rate: {slower}}}}}", signal.lo + width / 4.0),
            _ => format!(
                "{{pid: {{input: {}, target: {:.6}, gain: {:.6}, integral_time: {}us}}}}",
                measured.name,
                measured.hi / 2.0,
                width / measured.hi / 10.0,
                20 * period_ns * OBSERVE_EVERY / 1_000
            ),
        };
        fallbacks += &format!("    {}: {fallback}\n", signal.name);
    }
    limits + &fallbacks
}
