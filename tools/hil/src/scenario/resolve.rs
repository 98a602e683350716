//! From the scenario as written to the scenario as meant: what its values say together, and what they say of the site.

use std::path::Path;
use std::time::Duration;

use rt_config::Site;
use rt_config::document::{At, Complaints, Field, Form, Named, Place, nearest, quoted, read};
use rt_core::mode::Mode;
use rt_core::tag::Quality;
use rt_core::time::Span;
use serde_json::{Value, json};
use shm_layout::EventKind;

use super::raw::{self, MeasureName, ModeName, ProgramName, QualityName, Raw, ScenarioFile, SecurityName};
use super::site::Template;
use super::{
    Act, After, Cable, Certified, DURATION_MAX, DURATION_MIN, Expectation, Forgery, LIFETIME_MAX, Plant, PlantFault,
    Program, Scenario, Secured, Step, Wanted, seconds,
};

/// The scenario of the text under examination.
pub(super) fn scenario(file: &Path, complaints: &mut Complaints<'_>) -> Option<Scenario> {
    let tree = read(complaints)?;
    let raw = ScenarioFile::decode(&tree, complaints)?;
    let base = file.parent().unwrap_or(Path::new(""));
    let name = name(&raw, file, complaints);
    let faults = faults(&raw.faults, complaints);
    let plant = plant(&raw.plant, base, complaints);
    let duration = duration(&raw.duration, complaints);
    let steps = steps(&raw, duration, plant.as_ref(), complaints);
    let is_secured = plant.as_ref().is_some_and(|plant| plant.secured().is_some());
    let (template, site) = site(&raw, base, is_secured, complaints)?;
    if let Some(steps) = &steps {
        check_setpoints(steps, &raw.timeline, &site, complaints);
    }
    let steps = steps.unwrap_or_default();
    let expectations = expectations(&raw.expect, &steps, duration, &site, complaints);
    check_what_is_told(&raw.expect, plant.as_ref(), complaints);
    Some(Scenario {
        name: name?,
        about: raw.about.value?,
        faults,
        file: file.to_owned(),
        plant: plant?,
        learner: raw.learner.value?,
        historian: raw.historian.value?,
        begin: mode(raw.begin.value?),
        duration: duration?,
        steps,
        expectations,
        arm: raw.arm.value?,
        disk_full: raw.disk_full.value?,
        adopted: raw.adopted.value?.0,
        seed: raw.seed.value?.0,
        site,
        template,
    })
}

pub(super) fn schema() -> Value {
    let mut schema = ScenarioFile::schema();
    schema["$schema"] = json!("http://json-schema.org/draft-07/schema#");
    schema["title"] = json!("CoreRL hardware-in-the-loop scenario");
    schema
}

fn name(raw: &ScenarioFile, file: &Path, complaints: &mut Complaints<'_>) -> Option<String> {
    let of_file = || file.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let name = raw.name.value.clone().or_else(|| (!raw.name.given).then(of_file))?;
    let fits = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c));
    if !fits {
        let message = format!("{} is no name of a scenario: it names a directory, too", quoted(&name));
        complaints.error(raw.name.at, message, "write letters, digits, `_` and `-`");
    }
    fits.then_some(name)
}

fn faults(raw: &Field<Vec<At<String>>>, complaints: &mut Complaints<'_>) -> Vec<String> {
    let rows = raw.value.iter().flatten();
    let is_row = |row: &str| row.strip_prefix('F').is_some_and(|n| n.len() == 2 && n.parse::<u8>().is_ok());
    for row in rows.clone().filter(|row| !is_row(&row.value)) {
        let message = format!("{} is no number of the catalogue of faults", quoted(&row.value));
        complaints.error(row.at, message, "write F and two digits, such as F01");
    }
    rows.map(|row| row.value.clone()).collect()
}

const fn mode(name: ModeName) -> Mode {
    match name {
        ModeName::Startup => Mode::Startup,
        ModeName::Shadow => Mode::Shadow,
        ModeName::Run => Mode::Run,
        ModeName::Hold => Mode::Hold,
        ModeName::Fallback => Mode::Fallback,
        ModeName::Release => Mode::Release,
    }
}

const fn program(name: ProgramName) -> Program {
    match name {
        ProgramName::Plant => Program::Plant,
        ProgramName::Runtime => Program::Runtime,
        ProgramName::Standby => Program::Standby,
        ProgramName::Learner => Program::Learner,
        ProgramName::Historian => Program::Historian,
    }
}

const fn time(span: Span) -> Duration {
    Duration::from_nanos(span.as_ns())
}

/// The one of several keys that a mapping has.
struct OneOf<T>(Vec<(&'static str, Place, Option<T>)>);

impl<T> OneOf<T> {
    const fn new() -> Self {
        Self(Vec::new())
    }

    /// One of the keys, and what it means.
    fn or<F>(mut self, key: &'static str, field: &Field<F>, meaning: impl FnOnce(&F) -> T) -> Self {
        if field.given {
            self.0.push((key, field.at, field.value.as_ref().map(meaning)));
        }
        self
    }

    /// What the one that there is means; `None` with a complaint when there is none or another one, too.
    fn only(self, at: Place, known: &str, complaints: &mut Complaints<'_>) -> Option<T> {
        let Self(mut found) = self;
        match found.as_slice() {
            [] => complaints.error(at, "nothing is said here", format!("write one of: {known}")),
            [_] => return found.pop()?.2,
            [(first, ..), (second, at, _), ..] => {
                let message = format!("`{first}` and `{second}` exclude each other");
                complaints.error(*at, message, "write one of them, and the other one in an entry of its own");
            }
        }
        None
    }
}

fn plant(raw: &Field<raw::PlantChoice>, base: &Path, complaints: &mut Complaints<'_>) -> Option<Plant> {
    let choice = raw.value.as_ref()?;
    let plant = OneOf::new()
        .or("simulated", &choice.simulated, |raw| simulated(raw, complaints))
        .or("external", &choice.external, |raw| external(raw, base))
        .or("existing", &choice.existing, |raw| Some(Plant::Existing { rig: raw.rig.value.clone()? }));
    plant.only(choice.at, "simulated, external, existing", complaints).flatten()
}

fn simulated(raw: &raw::Simulated, complaints: &mut Complaints<'_>) -> Option<Plant> {
    complain_of_security(raw, complaints);
    Some(Plant::Simulated {
        name: raw.name.value.clone()?,
        step: time(raw.step.value?),
        heartbeat_timeout: raw.heartbeat_timeout.value.map(time),
        secured: (raw.security.value? == SecurityName::Encrypt).then_some(Secured {
            trusted: raw.trusted.value?,
            certificate_lifetime: raw.certificate_lifetime.value.map(time),
            key_lifetime: raw.key_lifetime.value.map(time),
        }),
    })
}

/// What belongs to certificates makes no sense without any, and nothing of it takes longer than an hour.
fn complain_of_security(raw: &raw::Simulated, complaints: &mut Complaints<'_>) {
    let is_secured = raw.security.value == Some(SecurityName::Encrypt);
    let lifetimes = [&raw.certificate_lifetime, &raw.key_lifetime];
    let places = lifetimes.map(|lifetime| (lifetime.given, lifetime.at));
    let unsecured = places.into_iter().chain([(raw.trusted.given, raw.trusted.at)]).find(|(given, _)| *given);
    if let Some((_, at)) = unsecured.filter(|_| !is_secured) {
        complaints.error(at, "the plant has no certificate", "write `security: encrypt` beside it");
    }
    let long = lifetimes.into_iter().find(|lifetime| lifetime.value.is_some_and(|value| time(value) > LIFETIME_MAX));
    if let Some(long) = long {
        complaints.error(
            long.at,
            "this is longer than a scenario can wait for",
            "write at most 3600s, or leave it out",
        );
    }
}

fn external(raw: &raw::External, base: &Path) -> Option<Plant> {
    Some(Plant::External {
        start: raw.start.value.as_ref()?.iter().map(|word| word.value.clone()).collect(),
        endpoint: raw.endpoint.value.clone()?,
        ready: raw.ready.value.clone(),
        timeout: time(raw.timeout.value?),
        directory: raw.directory.value.as_ref().map(|directory| base.join(directory)),
    })
}

fn duration(raw: &Field<Span>, complaints: &mut Complaints<'_>) -> Option<Duration> {
    let duration = time(raw.value?);
    let fits = (DURATION_MIN..=DURATION_MAX).contains(&duration);
    if !fits {
        let message = format!("a timeline of {} is not possible", seconds(duration));
        complaints.error(raw.at, message, "write a time from 100ms to 600s");
    }
    fits.then_some(duration)
}

fn values(named: &Named<Raw>) -> Vec<(String, Value)> {
    named.0.iter().map(|(path, Raw(value))| (path.value.clone(), value.clone())).collect()
}

/// The site file with the scenario's values; a site file that is refused is a complaint of where it is named.
fn site(
    raw: &ScenarioFile,
    base: &Path,
    is_secured: bool,
    complaints: &mut Complaints<'_>,
) -> Option<(Template, Site)> {
    let with = values(raw.with.value.as_ref()?);
    let checked = Template::read(&base.join(raw.site.value.as_ref()?), &with)
        .map(|template| if is_secured { template.secured() } else { template })
        .and_then(|template| template.site().map(|site| (template, site)).map_err(|refused| refused.to_string()));
    match checked {
        Ok((_, site)) if site.connections.len() != 1 => {
            let message = format!("the site has {} connections; a scenario has one plant", site.connections.len());
            complaints.error(raw.site.at, message, "name a site file with one connection");
            None
        }
        Ok(checked) => Some(checked),
        Err(refused) => {
            let message = format!("the site is refused: {refused}");
            complaints.error(raw.site.at, message, "correct the site file, or the values below `with`");
            None
        }
    }
}

fn steps(
    raw: &ScenarioFile,
    duration: Option<Duration>,
    plant: Option<&Plant>,
    complaints: &mut Complaints<'_>,
) -> Option<Vec<Step>> {
    let mut steps: Vec<Step> = Vec::new();
    for At { value: raw, at } in raw.timeline.value.as_ref()? {
        let Some(step) = step(raw, *at, plant, complaints) else { continue };
        if duration.is_some_and(|duration| step.at + step.lasts.unwrap_or_default() > duration) {
            complaints.error(raw.when.at, "this ends after the timeline", "begin earlier, or lengthen `duration`");
        }
        if step.label.is_some() && steps.iter().any(|other| other.label == step.label) {
            complaints.error(raw.r#as.at, "another step has this name", "give each its own");
        }
        if let Some(claim) = steps.iter().find_map(|other| other.collides_with(&step)) {
            let message = format!("another step has {claim} at the same time");
            complaints.error(*at, message, "let one end before the other begins: its end would end both");
        }
        steps.push(step);
    }
    steps.sort_by_key(|step| step.at);
    Some(steps)
}

fn step(raw: &raw::Step, at: Place, plant: Option<&Plant>, complaints: &mut Complaints<'_>) -> Option<Step> {
    let known = "frozen, stale, nan, forced, offset, noise, quality, skewed, refuse, ignore, load, set, cable, delay, \
                 loss, kill, pause, start, publish, busy, clock_jump, command, trust, distrust, certify, hand_back, apply";
    let act = disturbing(acting(OneOf::new(), raw), raw).only(at, known, complaints).flatten()?;
    let lasts = raw.r#for.value.map(time);
    complain_of_length(&act, lasts, raw, complaints);
    if matches!(act, Act::Plant(_)) && plant.is_some_and(|plant| !matches!(plant, Plant::Simulated { .. })) {
        complaints.error(at, "only a simulated plant does this on command", "leave it out, or simulate the plant");
    }
    let is_of_certificates = matches!(act, Act::Trust | Act::Distrust | Act::Certify(_));
    if is_of_certificates && plant.is_some_and(|plant| plant.secured().is_none()) {
        complaints.error(at, "the plant has no certificate", "write `security: encrypt` below `simulated`");
    }
    let label = raw.r#as.value.clone();
    Some(Step { at: time(raw.when.value?), lasts, label, refused: raw.refused.value?, act })
}

/// What can last does so for a time; what must end, too.
fn complain_of_length(act: &Act, lasts: Option<Duration>, raw: &raw::Step, complaints: &mut Complaints<'_>) {
    let must = matches!(act, Act::Pause(_) | Act::Busy(_));
    let can = must
        || match act {
            Act::Plant(fault) => fault.request["do"] != "set",
            Act::Cable(cable) => !matches!(cable, Cable::Reset | Cable::Forgotten),
            Act::Kill(_) => true,
            _ => false,
        };
    if must && !raw.r#for.given {
        complaints.error(raw.when.at, "this has to end", "say how long it lasts: `for: 500ms`");
    }
    if lasts.is_some() && !can {
        complaints.error(raw.r#for.at, "this happens in an instant", "leave `for` out");
    }
}

fn acting(choice: OneOf<Option<Act>>, raw: &raw::Step) -> OneOf<Option<Act>> {
    choice
        .or("cable", &raw.cable, |name| {
            Some(Act::Cable(match name {
                raw::CableName::Pulled => Cable::Pulled,
                raw::CableName::Reset => Cable::Reset,
                raw::CableName::Silent => Cable::Silent,
                raw::CableName::Forgotten => Cable::Forgotten,
            }))
        })
        .or("delay", &raw.delay, |by| Some(Act::Cable(Cable::Delay(time(*by)))))
        .or("loss", &raw.loss, |percent| Some(Act::Cable(Cable::Loss(u32::try_from(percent.0).ok()?))))
        .or("kill", &raw.kill, |name| Some(Act::Kill(program(*name))))
        .or("pause", &raw.pause, |name| Some(Act::Pause(program(*name))))
        .or("start", &raw.start, |name| Some(Act::Start(program(*name))))
        .or("publish", &raw.publish, |name| Some(Act::Publish(forgery(*name))))
        .or("busy", &raw.busy, |count| Some(Act::Busy(u32::try_from(count.0).ok()?)))
        .or("clock_jump", &raw.clock_jump, |by| Some(Act::ClockJump(time(*by))))
        .or("command", &raw.command, |name| Some(Act::Command(command(*name))))
        .or("trust", &raw.trust, |raw::TrustName::Plant| Some(Act::Trust))
        .or("distrust", &raw.distrust, |raw::TrustName::Plant| Some(Act::Distrust))
        .or("certify", &raw.certify, |name| {
            Some(Act::Certify(match name {
                raw::CertifiedName::Plant => Certified::Plant,
                raw::CertifiedName::Runtime => Certified::Runtime,
            }))
        })
        .or("hand_back", &raw.hand_back, |setpoint| Some(Act::HandBack(setpoint.clone())))
        .or("apply", &raw.apply, |named| Some(Act::Apply(values(named))))
}

/// Adds what only a simulated plant does.
fn disturbing(choice: OneOf<Option<Act>>, raw: &raw::Step) -> OneOf<Option<Act>> {
    let fault = |what: &str, node: &str, how: Value| {
        let mut request = json!({ "do": what, "node": node });
        if let (Some(request), Value::Object(how)) = (request.as_object_mut(), how) {
            request.extend(how);
        }
        Some(Act::Plant(PlantFault { node: node.to_owned(), request }))
    };
    let by =
        |what: &str, key: &str, raw: &raw::NodeBy| fault(what, raw.node.value.as_ref()?, json!({ key: raw.by.value? }));
    let value =
        |what: &str, raw: &raw::NodeValue| fault(what, raw.node.value.as_ref()?, json!({ "value": raw.value.value? }));
    let status = |what: &str, raw: &raw::NodeStatus| {
        fault(what, raw.node.value.as_ref()?, json!({ "status": raw.status.value.as_ref()? }))
    };
    choice
        .or("frozen", &raw.frozen, |node| fault("frozen", node, Value::Null))
        .or("stale", &raw.stale, |node| fault("stale", node, Value::Null))
        .or("nan", &raw.nan, |node| fault("nan", node, Value::Null))
        .or("forced", &raw.forced, |raw| value("forced", raw))
        .or("offset", &raw.offset, |raw| by("offset", "by", raw))
        .or("noise", &raw.noise, |raw| by("noise", "deviation", raw))
        .or("quality", &raw.quality, |raw| status("quality", raw))
        .or("skewed", &raw.skewed, |raw| {
            let direction = if raw.back.value? { -1.0 } else { 1.0 };
            let by_s = direction * raw.by.value?.as_seconds();
            fault("skewed", raw.node.value.as_ref()?, json!({ "by_s": by_s }))
        })
        .or("refuse", &raw.refuse, |raw| status("refuse", raw))
        .or("ignore", &raw.ignore, |node| fault("ignore", node, Value::Null))
        .or("load", &raw.load, |raw| by("load", "by", raw))
        .or("set", &raw.set, |raw| value("set", raw))
}

const fn forgery(name: raw::ForgeryName) -> Forgery {
    match name {
        raw::ForgeryName::Nan => Forgery::Parameter(f32::NAN),
        raw::ForgeryName::Infinite => Forgery::Parameter(f32::INFINITY),
        raw::ForgeryName::Huge => Forgery::Parameter(f32::MAX),
        raw::ForgeryName::Overflowing => Forgery::Overflowing,
        raw::ForgeryName::BitsFlipped => Forgery::BitsFlipped,
        raw::ForgeryName::Torn => Forgery::Torn,
        raw::ForgeryName::HeaderDamaged => Forgery::HeaderDamaged,
        raw::ForgeryName::OtherShape => Forgery::OtherShape,
        raw::ForgeryName::Saturating => Forgery::Saturating,
        raw::ForgeryName::Sound => Forgery::Sound,
    }
}

const fn command(name: raw::CommandName) -> rt_control::Act {
    match name {
        raw::CommandName::Arm => rt_control::Act::Arm,
        raw::CommandName::Disarm => rt_control::Act::Disarm,
        raw::CommandName::Release => rt_control::Act::Release,
        raw::CommandName::Reset => rt_control::Act::Reset,
        raw::CommandName::Hold => rt_control::Act::Hold,
        raw::CommandName::HandOver => rt_control::Act::HandOver,
    }
}

fn check_setpoints(steps: &[Step], raw: &Field<Vec<At<raw::Step>>>, site: &Site, complaints: &mut Complaints<'_>) {
    let handed = raw.value.iter().flatten().map(|step| &step.value.hand_back);
    for field in handed.filter(|field| field.given) {
        if let Some(name) = &field.value {
            setpoint(name, field.at, site, complaints);
        }
    }
    let hand_over = |step: &&Step| step.act == Act::Command(rt_control::Act::HandOver);
    let has_standby = steps.iter().any(|step| step.act == Act::Start(Program::Standby));
    if steps.iter().find(hand_over).is_some() && !has_standby {
        complaints.error(raw.at, "nobody is there to take over", "start the standby first: `start: standby`");
    }
}

fn setpoint(name: &str, at: Place, site: &Site, complaints: &mut Complaints<'_>) -> Option<usize> {
    let names = || site.setpoints.iter().filter_map(|setpoint| site.tags.get(setpoint.tag.index()));
    let found = names().position(|tag| tag.name == name);
    if found.is_none() {
        complain_of_name("setpoint", name, at, names().map(|tag| tag.name.as_str()), complaints);
    }
    found
}

fn tag(name: &str, at: Place, site: &Site, complaints: &mut Complaints<'_>) -> Option<usize> {
    let found = site.tags.iter().position(|tag| tag.name == name);
    if found.is_none() {
        complain_of_name("tag", name, at, site.tags.iter().map(|tag| tag.name.as_str()), complaints);
    }
    found
}

fn complain_of_name<'n>(
    what: &str,
    name: &str,
    at: Place,
    known: impl Iterator<Item = &'n str> + Clone,
    complaints: &mut Complaints<'_>,
) {
    let help = nearest(name, known.clone()).map_or_else(
        || format!("it has {}", known.collect::<Vec<_>>().join(", ")),
        |name| format!("did you mean `{name}`?"),
    );
    complaints.error(at, format!("the site has no {what} {}", quoted(name)), help);
}

fn expectations(
    raw: &Field<Vec<At<raw::Expectation>>>,
    steps: &[Step],
    duration: Option<Duration>,
    site: &Site,
    complaints: &mut Complaints<'_>,
) -> Vec<Expectation> {
    let entries = raw.value.iter().flatten();
    entries.filter_map(|At { value, at }| expectation(value, *at, steps, duration, site, complaints)).collect()
}

/// Of what reaches it a simulated plant tells, and no other.
fn check_what_is_told(raw: &Field<Vec<At<raw::Expectation>>>, plant: Option<&Plant>, complaints: &mut Complaints<'_>) {
    let asked = raw.value.iter().flatten().map(|entry| &entry.value.no_write).find(|no_write| no_write.given);
    let tells = plant.is_none_or(|plant| matches!(plant, Plant::Simulated { .. }));
    if let Some(asked) = asked.filter(|_| !tells) {
        complaints.error(asked.at, "this plant tells nobody what is written to it", "write `untouched`");
    }
}

fn expectation(
    raw: &raw::Expectation,
    at: Place,
    steps: &[Step],
    duration: Option<Duration>,
    site: &Site,
    complaints: &mut Complaints<'_>,
) -> Option<Expectation> {
    let known = "mode, stays, never, settles, modes, event, error, reward, lost_slots, history_lost, untouched, no_write, quality, \
                 value";
    let wanted = OneOf::new()
        .or("mode", &raw.mode, |name| Asked::Plain(Wanted::Reaches(mode(*name))))
        .or("stays", &raw.stays, |name| Asked::Plain(Wanted::Stays(mode(*name))))
        .or("never", &raw.never, |name| Asked::Plain(Wanted::Never(mode(*name))))
        .or("settles", &raw.settles, |name| Asked::Plain(Wanted::Settles(mode(*name))))
        .or("modes", &raw.modes, |names| {
            Asked::Plain(Wanted::Passes(names.iter().map(|name| mode(name.value)).collect()))
        })
        .or("reward", &raw.reward, |at_least| Asked::Plain(Wanted::Reward(*at_least)))
        .or("lost_slots", &raw.lost_slots, |at_most| Asked::Plain(Wanted::LostSlots(at_most.0)))
        .or("history_lost", &raw.history_lost, |at_most| Asked::Plain(Wanted::HistoryLost(at_most.0)))
        .or("event", &raw.event, |event| Asked::Named(OfName::Event(event.clone())))
        .or("error", &raw.error, |error| Asked::Named(OfName::Error(error.clone())))
        .or("untouched", &raw.untouched, |name| Asked::Named(OfName::Untouched(name.clone(), raw.untouched.at)))
        .or("no_write", &raw.no_write, |name| Asked::Named(OfName::NoWrite(name.clone(), raw.no_write.at)))
        .or("quality", &raw.quality, |quality| Asked::Named(OfName::Quality(quality.clone())))
        .or("value", &raw.value, |value| Asked::Named(OfName::Value(value.clone())))
        .only(at, known, complaints)?;
    let wanted = match wanted {
        Asked::Plain(wanted) => wanted,
        Asked::Named(named) => named.find(site, complaints)?,
    };
    let after = after(&raw.after, steps, complaints)?;
    let (within, from, to) = (raw.within.value.map(time), raw.from.value.map(time), raw.to.value.map(time));
    complain_of_times(&wanted, raw, complaints);
    let origin = after.as_ref().map_or(Duration::ZERO, |after| after.origin(steps));
    if let (Some(to), Some(duration)) = (to, duration)
        && (origin.saturating_add(to) > duration || to <= from.unwrap_or_default())
    {
        complaints.error(raw.to.at, "the window ends after the timeline, or before it begins", "write an earlier `to`");
    }
    let (from, tolerance) = (from.unwrap_or_default(), raw.tolerance.value?);
    if tolerance < 0.0 {
        complaints.error(raw.tolerance.at, "a tolerance is not below 0", "write how far a bound may be missed");
    }
    Some(Expectation { after, within, from, to, tolerance, wanted })
}

/// `within` belongs to what is reached, a window to what holds.
fn complain_of_times(wanted: &Wanted, raw: &raw::Expectation, complaints: &mut Complaints<'_>) {
    let reaches = matches!(
        wanted,
        Wanted::Reaches(_) | Wanted::Settles(_) | Wanted::Quality { .. } | Wanted::Value { .. } | Wanted::Passes(_)
    );
    let is_event = matches!(wanted, Wanted::Event { .. });
    if reaches && !raw.within.given {
        complaints.error(raw.at, "it is not said until when", "add `within: 5s`, generously");
    }
    if raw.within.given && !reaches && !is_event {
        complaints.error(raw.within.at, "`within` has no meaning here", "give a window: `from: 1s, to: 3s`");
    }
    if let Some(window) = [&raw.from, &raw.to].into_iter().find(|field| field.given && (reaches || raw.within.given)) {
        complaints.error(window.at, "a window has no meaning here", "write `within`, and perhaps `after`");
    }
}

/// What times count from; `None` with a complaint.
fn after(raw: &Field<String>, steps: &[Step], complaints: &mut Complaints<'_>) -> Option<Option<After>> {
    let Some(name) = &raw.value else { return Some(None) };
    let (label, end) = name.strip_suffix("/end").map_or((name.as_str(), false), |label| (label, true));
    let labels = steps.iter().map(|step| step.label.as_deref());
    if let Some(step) = labels.clone().position(|known| known == Some(label)) {
        if end && steps.get(step).is_some_and(|step| step.lasts.is_none()) {
            complaints.error(raw.at, format!("{} has no end", quoted(label)), "give it one: `for: 1s`");
        }
        return Some(Some(After { step, end, name: name.clone() }));
    }
    let help = nearest(label, labels.flatten())
        .map_or_else(|| "name a step with `as:`".to_owned(), |known| format!("did you mean `{known}`?"));
    complaints.error(raw.at, format!("no step is called {}", quoted(label)), help);
    None
}

/// What is expected, and whether it names something that has to be looked up.
enum Asked {
    Plain(Wanted),
    Named(OfName),
}

/// What is expected of something with a name, which the site or the runtime has to know.
enum OfName {
    Event(raw::EventWanted),
    Error(raw::ErrorWanted),
    Untouched(String, Place),
    NoWrite(String, Place),
    Quality(raw::QualityWanted),
    Value(raw::ValueWanted),
}

impl OfName {
    fn find(self, site: &Site, complaints: &mut Complaints<'_>) -> Option<Wanted> {
        Some(match self {
            Self::Event(raw) => event(&raw, complaints)?,
            Self::Error(raw) => Wanted::Error {
                tag: tag(raw.tag.value.as_ref()?, raw.tag.at, site, complaints)?,
                target: raw.target.value?,
                below: raw.below.value?,
                mean: raw.measure.value? == MeasureName::Mean,
            },
            Self::Untouched(name, at) => Wanted::Untouched(setpoint(&name, at, site, complaints)?),
            Self::NoWrite(name, at) => Wanted::NoWrite(setpoint(&name, at, site, complaints)?),
            Self::Quality(raw) => Wanted::Quality {
                tag: tag(raw.tag.value.as_ref()?, raw.tag.at, site, complaints)?,
                quality: match raw.is.value? {
                    QualityName::Good => Quality::Good,
                    QualityName::Uncertain => Quality::Uncertain,
                    QualityName::Bad => Quality::Bad,
                },
            },
            Self::Value(raw) => Wanted::Value {
                setpoint: setpoint(raw.setpoint.value.as_ref()?, raw.setpoint.at, site, complaints)?,
                is: raw.is.value?,
            },
        })
    }
}

fn event(raw: &raw::EventWanted, complaints: &mut Complaints<'_>) -> Option<Wanted> {
    let name = raw.kind.value.as_ref()?;
    let Some(kind) = EventKind::from_name(name) else {
        let known = EventKind::ALL.iter().map(|kind| kind.name());
        let help = nearest(name, known.clone()).map_or_else(
            || format!("there are {}", known.collect::<Vec<_>>().join(", ")),
            |known| format!("did you mean `{known}`?"),
        );
        complaints.error(raw.kind.at, format!("there is no event {}", quoted(name)), help);
        return None;
    };
    let (at_least, at_most) = (raw.at_least.value?.0, raw.at_most.value.map(|most| most.0));
    // Whoever writes only the most means that there may be none.
    let at_least = if at_most.is_some_and(|most| most < at_least) && !raw.at_least.given { 0 } else { at_least };
    Some(Wanted::Event { kind, says: raw.says.value.clone().unwrap_or_default(), at_least, at_most })
}
