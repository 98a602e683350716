//! From the file as written to the site as meant: what the values say together.
//!
//! Every function here complains of all it finds and returns `None` when something of its own is missing, so one run
//! reports everything.

mod agent;
mod cascade;
mod connections;
mod database;
mod fallback;
mod imputers;
mod recorder;
mod reward;
mod runtime;
mod service;
mod setpoints;
mod stages;
mod subscribe;
mod tags;

use std::path::{Path, PathBuf};

use rt_core::time::{Period, Span};

use crate::complaint::{Complaints, quoted};
use crate::duration::written;
use crate::form::Field;
use crate::form_special::Identifier;
use crate::raw::{self, SiteFile};
use crate::site::{Interaction, Learner, Runtime, Site};

/// The shortest control period that is accepted.
pub(crate) const PERIOD_MIN: Span = Span::from_ns(50_000);
/// The most trace decays.
const TRACES_MAX: usize = 8;

/// What becomes of passwords to which the file refers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Passwords {
    /// They are fetched from where the file says they are.
    Fetched,
    /// They are left where they are, and empty.
    LeftAlone,
}

/// What every part of the resolution looks at.
pub(crate) struct Context<'a> {
    pub(crate) lab: bool,
    pub(crate) passwords: Passwords,
    pub(crate) period: Option<Period>,
    pub(crate) obs_period: Option<Span>,
    /// The site file's directory: what relative paths are relative to.
    pub(crate) base: &'a Path,
}

impl Context<'_> {
    /// `count` observation periods.
    pub(crate) fn observations(&self, count: u64) -> Option<Span> {
        self.obs_period.map(|span| span.times(count))
    }

    /// A path of the file, relative to the file.
    pub(crate) fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        self.base.join(path)
    }
}

/// The site that `raw` describes; `None` with complaints.
pub(crate) fn resolve(
    raw: &SiteFile,
    path: &Path,
    passwords: Passwords,
    complaints: &mut Complaints<'_>,
) -> Option<Site> {
    let runtime_raw = raw.runtime.value.as_ref();
    let interaction_raw = raw.interaction.value.as_ref();
    let period = runtime_raw.and_then(|runtime| control_period(&runtime.period, complaints));
    let obs_period = interaction_raw.and_then(|interaction| {
        multiple(&interaction.obs_period, "obs_period", period.map(Period::span), "runtime.period", complaints)
    });
    let context = Context {
        // A flag that could not be read has been complained of; what follows from it would be noise.
        lab: raw.lab.value.unwrap_or(raw.lab.given),
        passwords,
        period,
        obs_period,
        base: path.parent().unwrap_or(Path::new("")),
    };
    if raw.lab.value == Some(true) {
        complaints.notice(raw.lab.at, "laboratory mode: connections in clear and unsigned policies are permitted", "");
    }
    let database = database::resolve(raw, &context, complaints);

    let interaction = interaction_raw.and_then(|interaction| self::interaction(interaction, &context, complaints));
    let mut connections = connections::resolve(raw, &context, complaints);
    let tags =
        raw.pipeline.value.as_ref().and_then(|pipeline| tags::resolve(pipeline, &connections, &context, complaints));
    if let Some(tags) = &tags {
        subscribe::resolve(raw, tags, &mut connections, complaints);
    }
    let setpoints = match (&tags, runtime_raw) {
        (Some(tags), Some(runtime)) => setpoints::resolve(tags, &connections, runtime, &context, complaints),
        _ => None,
    };
    let reward = match (&tags, raw.pipeline.value.as_ref().and_then(|pipeline| pipeline.reward.value.as_ref())) {
        (Some(tags), Some(reward)) => reward::resolve(tags, reward, complaints),
        _ => None,
    };
    let agent = raw.agent.value.as_ref().and_then(|agent| agent::resolve(agent, interaction.as_ref(), complaints));
    if let (Some(tags), Some(agent)) = (&tags, &agent) {
        imputers::complain_of_idle(tags, agent, complaints);
    }
    let runtime = runtime_raw.and_then(|runtime| runtime::resolve(runtime, &connections, &context, complaints));
    let learner = raw.learner.value.as_ref().and_then(|raw| learner(raw, runtime.as_ref(), &context, complaints));
    let name = runtime_raw.and_then(|runtime| site_name(&runtime.site, path, complaints));

    let tags = tags?;
    Some(Site {
        name: name?,
        agent_name: raw.agent_name.value.clone()?.0,
        instance: runtime_raw?.instance.value.clone()?.0,
        lab: context.lab,
        seed: raw.seed.value?.0,
        connections: connections.complete()?,
        computed: tags.order.clone()?,
        tags: tags.complete()?,
        setpoints: setpoints?,
        interaction: interaction?,
        reward: reward?,
        agent: agent?,
        learner: learner?,
        database: database?,
        runtime: runtime?,
    })
}

fn learner(
    raw: &raw::Learner,
    runtime: Option<&Runtime>,
    context: &Context<'_>,
    complaints: &mut Complaints<'_>,
) -> Option<Learner> {
    if raw.rebuild.value == Some(true) && runtime.is_some_and(|runtime| runtime.max_policy_age.is_none()) {
        let help = "give `runtime.max_policy_age` a duration";
        complaints.notice(raw.rebuild.at, "the runtime does not wait for the learner, whom it never asks", help);
    }
    Some(Learner { rebuilds: raw.rebuild.value?, history: context.path(raw.history.value.as_ref()?) })
}

fn control_period(field: &Field<Span>, complaints: &mut Complaints<'_>) -> Option<Period> {
    let span = field.value?;
    if span < PERIOD_MIN {
        complaints.error(
            field.at,
            format!("a control period of {} is below what a machine can do", written(span)),
            format!("write {} or more; 1ms is usual", written(PERIOD_MIN)),
        );
        return None;
    }
    Period::from_ns(span.as_ns())
}

/// A span that is an exact multiple of another one, and not zero.
pub(crate) fn multiple(
    field: &Field<Span>,
    name: &str,
    of: Option<Span>,
    of_name: &str,
    complaints: &mut Complaints<'_>,
) -> Option<Span> {
    let span = field.value?;
    let unit = of?;
    let unit_ns = unit.as_ns().max(1);
    if span > Span::ZERO && span.as_ns().is_multiple_of(unit_ns) {
        return Some(span);
    }
    let below = unit.times(span.as_ns() / unit_ns);
    let above = below + unit;
    let help = if below == Span::ZERO {
        format!("write {}", written(above))
    } else {
        format!("write {} or {}", written(below), written(above))
    };
    complaints.error(
        field.at,
        format!("`{name}` is {}, which is no multiple of `{of_name}` ({})", written(span), written(unit)),
        help,
    );
    None
}

/// A span that must not be zero.
pub(crate) fn positive(field: &Field<Span>, complaints: &mut Complaints<'_>) -> Option<Span> {
    let span = field.value?;
    if span == Span::ZERO {
        complaints.error(field.at, "a duration of zero is not possible here", "write a longer one");
        return None;
    }
    Some(span)
}

/// The given value or what stands for it; `None` when the given one was complained of.
pub(crate) fn given_or<T: Copy>(field: &Field<T>, otherwise: Option<T>) -> Option<T> {
    if field.given { field.value } else { otherwise }
}

/// The given value, or none; the outer `None` when the given one was complained of.
pub(crate) fn given_or_none<T: Copy>(field: &Field<T>) -> Option<Option<T>> {
    if field.given { field.value.map(Some) } else { Some(None) }
}

fn interaction(
    raw: &crate::raw::Interaction,
    context: &Context<'_>,
    complaints: &mut Complaints<'_>,
) -> Option<Interaction> {
    let obs_period = context.obs_period;
    let action_period = if raw.action_period.given {
        multiple(&raw.action_period, "action_period", obs_period, "obs_period", complaints)
    } else {
        obs_period
    };
    let state_age_tol =
        if raw.state_age_tol.given { positive(&raw.state_age_tol, complaints) } else { context.observations(3) };
    let checkpoint_every = positive(&raw.checkpoint_freq, complaints);
    Some(Interaction {
        obs_period: obs_period?,
        action_period: action_period?,
        warmup_period: raw.warmup_period.value?,
        state_age_tol: state_age_tol?,
        checkpoint_every: checkpoint_every?,
    })
}

fn site_name(field: &Field<Identifier>, path: &Path, complaints: &mut Complaints<'_>) -> Option<String> {
    if field.given {
        return field.value.clone().map(|name| name.0);
    }
    let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    if Identifier::fits(&stem) {
        return Some(stem);
    }
    complaints.error(
        field.at,
        format!("the file's name {} cannot be the site's name", quoted(&stem)),
        "write `runtime.site: NAME` with letters, digits, `-`, `_` or `.`",
    );
    None
}

/// A number that must satisfy a condition.
pub(crate) fn number(
    field: &Field<f64>,
    fits: impl Fn(f64) -> bool,
    condition: &str,
    complaints: &mut Complaints<'_>,
) -> Option<f64> {
    let value = field.value?;
    if !fits(value) {
        complaints.error(field.at, format!("{value} is not {condition}"), format!("write a number {condition}"));
        return None;
    }
    Some(value)
}
