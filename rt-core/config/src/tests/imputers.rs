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
}

#[test]
fn what_cannot_be_done_online_is_refused_with_what_to_use_instead() {
    for (imputer, part) in [
        ("{name: backfill}", "not known when a decision is due"),
        ("{name: masked-ae}", "no network"),
        ("{name: spline}", "not possible here"),
        ("{name: copy, imputation_horizon: 0}", "0"),
        ("copy", "copy"),
    ] {
        let said = complaints(&with(imputer));
        assert!(said.iter().any(|said| said.message.contains(part)), "{imputer}: {said:?}");
    }
}
