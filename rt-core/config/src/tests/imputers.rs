//! What stands in for missing values.

use super::{BASE, accepted, complaints};
use crate::{Imputer, ImputerRule};

fn with(imputer: &str) -> String {
    BASE.replacen("name: PH,", &format!("name: PH, imputer: {imputer},"), 1)
}

#[test]
fn imputers_have_the_names_that_users_bring_along() {
    let imputer = |text: &str| accepted(&with(text)).site.tags[1].imputer;
    let copy = Imputer { rule: ImputerRule::Copy, horizon: 60 };
    assert_eq!(imputer("{name: copy, imputation_horizon: 60}"), copy);
    assert_eq!(imputer("{name: linear}"), Imputer { rule: ImputerRule::Linear, horizon: 10 });
    assert_eq!(imputer("{name: identity}").rule, ImputerRule::None);
    assert_eq!(accepted(BASE).site.tags[1].imputer.rule, ImputerRule::None);
    let network = |missing_max| ImputerRule::MaskedAutoencoder { missing_max };
    assert_eq!(imputer("{name: masked-ae, missing_max: 0.5}"), Imputer { rule: network(0.5), horizon: 10 });
    let short = "{name: masked-ae, missing_max: 0.6, imputation_horizon: 3}";
    assert_eq!(imputer(short), Imputer { rule: network(0.6), horizon: 3 });
}

#[test]
fn a_network_that_could_never_stand_in_is_refused_with_what_would_make_it_useful() {
    let said = |text: &str| complaints(text).iter().map(|said| format!("{said:?}")).collect::<String>();
    let alone = said(&with("{name: masked-ae, missing_max: 0.2}"));
    assert!(alone.contains("a single one is more than 0.2 of them") && alone.contains("missing_max: 0.25"), "{alone}");
    let traces = said(&with("{name: masked-ae}").replacen("pipeline:", "agent: {traces: [0.5]}\npipeline:", 1));
    assert!(traces.contains("trace with decay 0") && traces.contains("agent.traces"), "{traces}");
    let meta = said(&with("{name: masked-ae}, type: meta"));
    assert!(meta.contains("no part of"), "{meta}");
}

#[test]
fn what_cannot_be_done_online_is_refused_with_what_to_use_instead() {
    for (imputer, part) in [
        ("{name: backfill}", "not known when a decision is due"),
        ("{name: masked-ae, missing_max: 0}", "above 0 and below 1"),
        ("{name: masked-ae, missing_max: 1}", "above 0 and below 1"),
        ("{name: copy, missing_max: 0.25}", "only a network"),
        ("{name: spline}", "not possible here"),
        ("{name: copy, imputation_horizon: 0}", "0"),
        ("copy", "copy"),
    ] {
        let said = complaints(&with(imputer));
        assert!(said.iter().any(|said| said.message.contains(part)), "{imputer}: {said:?}");
    }
}
