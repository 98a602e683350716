//! The agent's options: what is absent depends on how it learns.

use super::{number, stages};
use crate::complaint::Complaints;
use crate::form::Field;
use crate::form_special::OrOff;
use crate::raw_agent::{Agent, AggregationName, ImproverName, SweepStartName};
use crate::site::{
    AgentOptions, Aggregation, Candidates, Excursions, GammaSchedule, Improver, Interaction, Sweep, SweepStart,
};
use crate::value::Whole;

use super::TRACES_MAX;

/// What an option is where the site file does not say.
struct Usual {
    batch_size: u64,
    learning_rate: f64,
    critic_updates: u64,
}

impl Usual {
    const fn of(improver: Improver) -> Self {
        match improver {
            Improver::Pathwise => Self { batch_size: 64, learning_rate: 1e-3, critic_updates: 6 },
            Improver::Percentile => Self { batch_size: 256, learning_rate: 1e-4, critic_updates: 10 },
        }
    }
}

/// How much the critics' disagreement widens exploration, if there is a future to explore for.
const CURIOSITY: f64 = 0.5;
/// Unless said otherwise, excursions fade in so many decisions, and so many times what the discount looks ahead.
const FADING_DECISIONS: f64 = 30.0;
const FADING_HORIZONS: f64 = 3.0;
/// Unless said otherwise, the longest excursion has at least, and at most, so many decisions.
const EXCURSION_MIN_DECISIONS: f64 = 10.0;
const EXCURSION_MAX_DECISIONS: f64 = 1_000.0;

const DECAY: &str = "at least 0 and below 1";
const FRACTION: &str = "above 0 and at most 1";
const SHARE: &str = "0 to 1";

fn decay(x: f64) -> bool {
    (0.0..1.0).contains(&x)
}

fn fraction(x: f64) -> bool {
    x > 0.0 && x <= 1.0
}

fn share(x: f64) -> bool {
    (0.0..=1.0).contains(&x)
}

pub(super) fn resolve(
    raw: &Agent,
    interaction: Option<&Interaction>,
    complaints: &mut Complaints<'_>,
) -> Option<AgentOptions> {
    let weight = |x: f64| (0.0..=10.0).contains(&x);
    let improver = raw.improver.value.map(|name| match name {
        ImproverName::Pathwise => Improver::Pathwise,
        ImproverName::Percentile => Improver::Percentile,
    });
    let usual = improver.map(Usual::of);
    let gamma = number(&raw.gamma, decay, DECAY, complaints);
    let gamma_schedule = gamma_schedule(raw, gamma, complaints);
    let candidates = candidates(raw, complaints);
    let effective_episodes = effective_episodes(raw, complaints);
    let online_weight = number(&raw.online_weight, fraction, FRACTION, complaints);
    let weight_decay = number(&raw.weight_decay, decay, DECAY, complaints);
    let loss_threshold = number(&raw.loss_threshold, |x| x >= 0.0, "0 or more", complaints);
    let mut rate = |field: &Field<f64>, otherwise: Option<f64>| match field.given {
        true => number(field, fraction, FRACTION, complaints),
        false => otherwise,
    };
    let critic_lr = rate(&raw.critic_lr, usual.as_ref().map(|usual| usual.learning_rate));
    let actor_lr = rate(&raw.actor_lr, critic_lr);
    let ensemble_probability = number(&raw.ensemble_probability, fraction, FRACTION, complaints);
    let pessimism = number(&raw.pessimism, weight, "0 to 10", complaints);
    let historical_pessimism = number(&raw.historical_pessimism, weight, "0 to 10", complaints);
    let curiosity = match raw.curiosity.given {
        true => number(&raw.curiosity, weight, "0 to 10", complaints),
        false => gamma.map(|gamma| if gamma > 0.0 { CURIOSITY } else { 0.0 }),
    };
    let cloning = number(&raw.cloning, |x| (0.0..=100.0).contains(&x), "0 to 100", complaints);
    let holding = number(&raw.holding, |x| (0.0..=100.0).contains(&x), "0 to 100", complaints);
    let traces = traces(raw, complaints);
    let decision_clock = stages::decision_clock(&raw.decision_clock, interaction, complaints);
    let rate = number(&raw.excursions, share, SHARE, complaints);
    let critic_updates = whole_or(&raw.critic_updates, usual.as_ref()?.critic_updates);
    Some(AgentOptions {
        gamma: gamma?,
        gamma_schedule: gamma_schedule?,
        improver: improver?,
        ensemble: count(raw.ensemble.value?.0)?,
        batch_size: count(whole_or(&raw.batch_size, usual.as_ref()?.batch_size)?)?,
        candidates: candidates?,
        critic_lr: critic_lr?,
        actor_lr: actor_lr?,
        weight_decay: weight_decay?,
        critic_updates: count(critic_updates?)?,
        pessimism: pessimism?,
        historical_pessimism: historical_pessimism?,
        curiosity: curiosity?,
        cloning: cloning?,
        holding: holding?,
        actor_updates: count(raw.actor_updates.value?.0)?,
        loss_threshold: loss_threshold?,
        critic_warmup_updates: raw.critic_warmup_updates.value?.0,
        replay_capacity: count(raw.replay_capacity.value?.0)?,
        online_weight: online_weight?,
        effective_episodes: effective_episodes?,
        ensemble_probability: ensemble_probability?,
        reset_period: raw.reset_period.value.as_ref()?.on().map_or(0, |period| period.0),
        reset_warmup: raw.reset_warmup.value?.0,
        traces: traces?,
        past_values: count(raw.past_values.value?.0)?,
        dead_time: count(raw.dead_time.value?.0)?,
        decision_clock: decision_clock?,
        explore: raw.explore.value?,
        sweep: sweep(raw, critic_updates?, interaction?)?,
        excursions: excursions(raw, rate?, gamma?, critic_updates?, interaction?)?,
        publish_every: count(raw.publish_every.value?.0)?,
    })
}

/// The outer `None` when it was complained of.
fn gamma_schedule(raw: &Agent, gamma: Option<f64>, complaints: &mut Complaints<'_>) -> Option<Option<GammaSchedule>> {
    let Some(schedule) = &raw.gamma_schedule.value else {
        return if raw.gamma_schedule.given { None } else { Some(None) };
    };
    let from = number(&schedule.from, decay, DECAY, complaints);
    let (from, gamma, updates) = (from?, gamma?, schedule.updates.value?.0);
    if from > gamma {
        let message = format!("the discount would fall: it begins at {from}, and `gamma` is {gamma}");
        complaints.error(schedule.from.at, message, format!("write a number from 0 to {gamma}"));
        return None;
    }
    Some(Some(GammaSchedule { from, updates }))
}

fn candidates(raw: &Agent, complaints: &mut Complaints<'_>) -> Option<Candidates> {
    let percentile = number(&raw.ensemble_percentile, share, SHARE, complaints);
    let bonus = number(&raw.std_bonus, |x| (-10.0..=10.0).contains(&x), "-10 to 10", complaints);
    let uniform_weight = number(&raw.uniform_weight, share, SHARE, complaints);
    let actor_percentile = number(&raw.actor_percentile, fraction, FRACTION, complaints);
    let proposal_percentile = number(&raw.proposal_percentile, fraction, FRACTION, complaints);
    if let (Some(actor), Some(proposal)) = (actor_percentile, proposal_percentile)
        && proposal < actor
    {
        let field = if raw.proposal_percentile.given { &raw.proposal_percentile } else { &raw.actor_percentile };
        let message = format!("`proposal_percentile` is {proposal}, below `actor_percentile`, which is {actor}");
        complaints.error(field.at, message, "the proposal looks around the actor: let it follow as many, or more");
        return None;
    }
    let aggregation = match raw.ensemble_aggregation.value? {
        AggregationName::Mean => Aggregation::Mean,
        AggregationName::Percentile => Aggregation::Percentile(percentile?),
        AggregationName::Ucb => Aggregation::Ucb(bonus?),
    };
    Some(Candidates {
        count: count(raw.candidates.value?.0)?,
        aggregation,
        uniform_weight: uniform_weight?,
        actor_percentile: actor_percentile?,
        proposal_percentile: proposal_percentile?,
    })
}

/// The outer `None` when it was complained of.
fn effective_episodes(raw: &Agent, complaints: &mut Complaints<'_>) -> Option<Option<f64>> {
    match raw.effective_episodes.value.as_ref()? {
        OrOff::Off => Some(None),
        OrOff::On(episodes) if *episodes > 0.0 => Some(Some(*episodes)),
        OrOff::On(episodes) => {
            let at = raw.effective_episodes.at;
            complaints.error(at, format!("{episodes} is not above 0"), "write a number above 0, or off");
            None
        }
    }
}

/// The outer `None` when it was complained of.
fn sweep(raw: &Agent, critic_updates: u64, interaction: &Interaction) -> Option<Option<Sweep>> {
    let Some(sweep) = &raw.sweep.value else {
        return if raw.sweep.given { None } else { Some(None) };
    };
    let (decisions, period) = (sweep.decisions.value?.0, sweep.period.value?.0);
    let until_updates = decisions * critic_updates * interaction.observations_per_decision();
    let start = match sweep.start.value? {
        SweepStartName::Nominal => SweepStart::Nominal,
        SweepStartName::Low => SweepStart::Low,
        SweepStartName::High => SweepStart::High,
    };
    Some(Some(Sweep { until_updates, period: u32::try_from(period).ok()?, start }))
}

/// They fade, and end, after as many decisions as is said, or as the discount looks ahead.
fn excursions(
    raw: &Agent,
    rate: f64,
    gamma: f64,
    critic_updates: u64,
    interaction: &Interaction,
) -> Option<Excursions> {
    let every = interaction.observations_per_decision();
    let ahead = 1.0 / (1.0 - gamma) / every as f64;
    let longest = ahead.clamp(EXCURSION_MIN_DECISIONS, EXCURSION_MAX_DECISIONS) as u64;
    let fading = match raw.excursion_fading.given {
        true => raw.excursion_fading.value.as_ref()?.0 as f64,
        false => FADING_DECISIONS + FADING_HORIZONS * ahead,
    };
    Some(Excursions {
        rate,
        fading_updates: (critic_updates * every) as f64 * fading,
        decisions_max: u32::try_from(whole_or(&raw.excursion_decisions, longest)?).ok()?,
    })
}

fn traces(raw: &Agent, complaints: &mut Complaints<'_>) -> Option<Vec<f64>> {
    let traces = raw.traces.value.as_ref()?;
    if !(1..=TRACES_MAX).contains(&traces.len()) {
        complaints.error(raw.traces.at, format!("1 to {TRACES_MAX} traces are possible"), "write [0, 0.75, 0.9, 0.95]");
    }
    for trace in traces.iter().filter(|trace| !decay(trace.value)) {
        complaints.error(trace.at, format!("{} is not a decay", trace.value), "write a number at least 0 and below 1");
    }
    Some(traces.iter().map(|trace| trace.value).collect())
}

fn count(value: u64) -> Option<usize> {
    usize::try_from(value).ok()
}

/// The given number or the usual one; `None` when the given one was complained of.
fn whole_or<const LO: u64, const HI: u64>(field: &Field<Whole<LO, HI>>, usual: u64) -> Option<u64> {
    if field.given { field.value.as_ref().map(|value| value.0) } else { Some(usual) }
}

#[cfg(test)]
mod tests {
    use super::{Sweep, SweepStart};

    fn excursions(agent: &str) -> Result<super::Excursions, String> {
        let text = crate::example().replace("\nagent:\n", &format!("\nagent:\n{agent}"));
        match crate::parse(&text, "site.yaml".as_ref()) {
            Ok(loaded) => Ok(loaded.site.agent.excursions),
            Err(refused) => Err(refused.complaints.iter().map(|said| said.message.clone()).collect()),
        }
    }

    #[test]
    fn excursions_must_be_asked_for_and_fade_with_what_the_agent_learns() {
        assert_eq!(excursions("").unwrap().rate, 0.0);
        let six = excursions("  excursions: 0.1\n  critic_updates: 6\n").unwrap();
        let twelve = excursions("  excursions: 0.1\n  critic_updates: 12\n").unwrap();
        assert_eq!((six.rate, twelve.fading_updates), (0.1, 2.0 * six.fading_updates));
        assert!(six.fading_updates > 6.0 * 30.0 && (10..=1_000).contains(&six.decisions_max));
        assert!(excursions("  excursions: 1.5\n").unwrap_err().contains("0 to 1"));
    }

    #[test]
    fn a_sweep_must_be_asked_for_and_lasts_as_many_updates_as_its_decisions_bring() {
        let sweep = |given: &str| {
            let text = crate::example().replace("\nagent:\n", &format!("\nagent:\n{given}"));
            let text = text.replace("action_period: 10ms", "action_period: 50ms");
            crate::parse(&text, "site.yaml".as_ref()).map(|loaded| loaded.site)
        };
        assert_eq!(sweep("").unwrap().agent.sweep, None);
        let started = |start: &str| {
            let site =
                sweep(&format!("  critic_updates: 7\n  sweep: {{decisions: 100, period: 50{start}}}\n")).unwrap();
            (site.agent.sweep.unwrap(), 700 * site.interaction.observations_per_decision())
        };
        for (said, start) in
            [("", SweepStart::Nominal), (", start: low", SweepStart::Low), (", start: high", SweepStart::High)]
        {
            let (sweep, until_updates) = started(said);
            assert!(until_updates > 700, "several observations lie between decisions");
            assert_eq!(sweep, Sweep { until_updates, period: 50, start });
        }
        for refused in [
            "{decisions: 100}",
            "{period: 50}",
            "{decisions: 0, period: 9}",
            "{decisions: 9, period: 1}",
            "{decisions: 9, period: 9, start: middle}",
        ] {
            assert!(sweep(&format!("  sweep: {refused}\n")).is_err(), "{refused}");
        }
    }

    #[test]
    fn how_long_excursions_are_and_how_long_they_are_made_can_be_said() {
        let said =
            |fading: u32| excursions(&format!("  excursion_decisions: 3\n  excursion_fading: {fading}\n")).unwrap();
        assert_eq!((said(500).decisions_max, said(500).fading_updates), (3, 500.0 * said(1).fading_updates));
        for outside in ["  excursion_decisions: 0\n", "  excursion_decisions: 1001\n", "  excursion_fading: 0\n"] {
            assert!(excursions(outside).is_err(), "{outside}");
        }
    }
}
