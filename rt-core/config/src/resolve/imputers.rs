//! What stands in for missing values.

use super::{number, tags::Tags};
use crate::complaint::Complaints;
use crate::form::Field;
use crate::raw::{Imputer as RawImputer, ImputerName};
use crate::site::{AgentOptions, Imputer, ImputerRule, Tag, TagKind};

/// The imputer of a tag; `None` when it was complained of.
pub(super) fn resolve(field: &Field<RawImputer>, in_state: bool, complaints: &mut Complaints<'_>) -> Option<Imputer> {
    if !field.given {
        return Some(Imputer { rule: ImputerRule::None, horizon: 0 });
    }
    let raw = field.value.as_ref()?;
    let name = raw.name.value?;
    if raw.missing_max.given && name != ImputerName::MaskedAutoencoder {
        let message = "only a network looks at how many tags are missing";
        complaints.error(raw.missing_max.at, message, "write `name: masked-ae` or remove `missing_max`");
    }
    let rule = match name {
        ImputerName::Identity => ImputerRule::None,
        ImputerName::Copy => ImputerRule::Copy,
        ImputerName::Linear => ImputerRule::Linear,
        ImputerName::Backfill => {
            let message = "the value that comes next is not known when a decision is due";
            complaints.error(raw.name.at, message, "use copy, linear or masked-ae");
            return None;
        }
        ImputerName::MaskedAutoencoder if !in_state => {
            let message = "the network learns from the state, which this tag is no part of";
            complaints.error(raw.name.at, message, "use copy or linear");
            return None;
        }
        ImputerName::MaskedAutoencoder => {
            let share = |share: f64| share > 0.0 && share < 1.0;
            let missing_max = number(&raw.missing_max, share, "above 0 and below 1", complaints)?;
            ImputerRule::MaskedAutoencoder { missing_max }
        }
    };
    Some(Imputer { rule, horizon: u32::try_from(raw.imputation_horizon.value.as_ref()?.0).unwrap_or(u32::MAX) })
}

/// What a network needs of the other tags and of the agent: a trace that is the value itself, and so many tags that one of
/// them is no larger share than may be missing.
pub(super) fn complain_of_idle(tags: &Tags<'_>, agent: &AgentOptions, complaints: &mut Complaints<'_>) {
    let traced = |tag: &&Tag| tag.in_state && !matches!(tag.kind, TagKind::Seasonal(..));
    let count = (0..tags.raw.len()).filter_map(|index| tags.get(index)).filter(traced).count();
    for (index, raw) in tags.raw.iter().enumerate() {
        let Some(ImputerRule::MaskedAutoencoder { missing_max }) = tags.get(index).map(|tag| tag.imputer.rule) else {
            continue;
        };
        let Some(imputer) = &raw.value.imputer.value else { continue };
        if !agent.traces.contains(&0.0) {
            let message = "the network learns values from the trace with decay 0, and there is none";
            complaints.error(imputer.name.at, message, "add 0 to `agent.traces`, or use copy or linear");
        }
        if missing_max * (count as f64) < 1.0 {
            let message = format!("of the state's {count} tags, a single one is more than {missing_max} of them");
            let help = format!("write `missing_max: {:.2}` or more, or use copy or linear", rounded_up(count));
            complaints.error(imputer.missing_max.at, message, help);
        }
    }
}

/// The share that one tag is, to hundredths.
fn rounded_up(count: usize) -> f64 {
    (100.0 / count.max(1) as f64).ceil() / 100.0
}
