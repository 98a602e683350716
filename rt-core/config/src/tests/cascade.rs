//! Cascades: an operator's setpoint beside the agent's.

use rt_core::setpoint::{Cascade, ModeWord};
use rt_core::tag::TagId;

use super::{BASE, accepted, complaints};
use crate::{Severity, Site};

/// The base file with tags for an operator's setpoint and modes (tags 4 to 6), and this cascade of PH_SP.
fn text(cascade: &str) -> String {
    let tags = "    - {name: OP_SP, type: meta, node_identifier: ns=2;s=OpSp}
    - {name: MODE, type: meta, node_identifier: ns=2;s=Mode}
    - {name: REMOTE, type: meta, node_identifier: ns=2;s=Remote}
  reward:\n";
    BASE.replacen("  reward:\n", tags, 1).replacen("name: PH_SP,", &format!("name: PH_SP, cascade: {{{cascade}}},"), 1)
}

fn site(cascade: &str) -> Site {
    accepted(&text(cascade)).site
}

fn tag(index: usize) -> TagId {
    TagId::new(index).unwrap()
}

/// The file is refused for this cascade, and for this alone.
#[track_caller]
fn wrong(cascade: &str, needle: &str, message: &str, help: &str) {
    let text = text(cascade);
    let errors: Vec<_> = complaints(&text).into_iter().filter(|said| said.severity == Severity::Error).collect();
    let [error] = errors.as_slice() else { panic!("{errors:#?}") };
    let said = (error.message.contains(message), error.help.as_deref().unwrap_or_default().contains(help));
    assert_eq!((said, error.place), ((true, true), Some(super::place_of(&text, needle))), "{error}");
}

#[test]
fn the_words_are_values_of_a_mode_tag_or_tags_of_their_own() {
    let word = |index, value| Some(ModeWord { tag: tag(index), value });
    let expected = |operator_when, agent_when: Option<ModeWord>| {
        Some(Cascade { operators: tag(4), operator_when, agent_when: agent_when.unwrap() })
    };
    for (cascade, operator_when, agent_when) in [
        ("op_sp: OP_SP, mode: MODE, op_mode: 0, ai_mode: 3", word(5, 0.0), word(5, 3.0)),
        ("op_sp: OP_SP, mode: MODE, op_mode: false, ai_mode: true", word(5, 0.0), word(5, 1.0)),
        ("op_sp: OP_SP, mode: MODE, ai_mode: 3", None, word(5, 3.0)),
        ("op_sp: OP_SP, ai_mode: REMOTE", None, word(6, 1.0)),
        ("op_sp: OP_SP, op_mode: MODE, ai_mode: REMOTE", word(5, 1.0), word(6, 1.0)),
    ] {
        assert_eq!(site(cascade).setpoints[0].settings.cascade, expected(operator_when, agent_when), "{cascade}");
        assert_eq!(site(cascade).cascade_of(0), expected(operator_when, agent_when));
    }
    assert_eq!(accepted(BASE).site.cascade_of(0), None);
    assert_eq!(site("op_sp: OP_SP, ai_mode: REMOTE").cascade_of(4), None);
}

#[test]
fn the_node_that_is_written_is_named_once_or_alike() {
    let cascade = |ai_sp: &str| format!("op_sp: OP_SP, ai_mode: REMOTE, ai_sp: {ai_sp}");
    let node = |text: &str| accepted(text).site.tags[0].source.clone().expect("it is read").node;
    for ai_sp in ["ns=2;s=PhSp", "PH_SP"] {
        assert_eq!(node(&text(&cascade(ai_sp))), "ns=2;s=PhSp");
    }
    let alone = text(&cascade("ns=2;s=AiSp")).replacen("node_identifier: ns=2;s=PhSp, ", "", 1);
    assert_eq!(node(&alone), "ns=2;s=AiSp");
    for other in ["ns=2;s=AiSp", "PH"] {
        wrong(&cascade(other), &format!("{other}}}, type"), "is not the node that is written", "remove `ai_sp`");
    }
}

#[test]
fn a_cascade_that_nobody_could_follow_is_refused_in_its_place() {
    for silent in ["op_sp: OP_SP", "op_sp: OP_SP, mode: MODE", "op_sp: OP_SP, mode: MODE, op_mode: 1"] {
        wrong(silent, "{op_sp", "nothing says when the plant follows the agent", "ai_mode");
    }
    wrong("op_sp: OP_SP, ai_mode: 1", "1}, type", "a value of no tag", "mode: TAG");
    wrong("op_sp: OP_SP, mode: MODE, ai_mode: REMOTE", "REMOTE}, type", "one of its values", "true or false");
    wrong("op_sp: OP_SP, mode: MODE, ai_mode: [1]", "[1]", "a value or a tag belongs", "");
    wrong("op_sp: OP_SP, mode: MODE, op_mode: 1, ai_mode: 1", "1}, type", "the same", "");
    wrong("op_sp: OP_SP, mode: MODES, ai_mode: 1", "MODES", "no tag `MODES`", "`MODE`");
    wrong("op_sp: OPSP, ai_mode: REMOTE", "OPSP", "no tag `OPSP`", "`OP_SP`");
    wrong("op_sp: PH_SP, ai_mode: REMOTE", "PH_SP, ai", "is a setpoint of the agent's", "type: meta");
    wrong("op_sp: OP_SP, mode: PH_SP, ai_mode: 1", "PH_SP, ai", "is a setpoint of the agent's", "type: meta");
    wrong("op_sp: OP_SP, ai_mode: PH_SP", "PH_SP}, type", "is a setpoint of the agent's", "type: meta");
    wrong("op_sp: COST, ai_mode: REMOTE", "COST, ai", "`COST` is computed; a cascade sees measured tags", "");
    wrong("ai_mode: REMOTE", "{ai_mode", "`op_sp` is missing", "operator's setpoint");
    let same = text("op_sp: OP_SP, ai_mode: REMOTE").replacen("ns=2;s=OpSp", "ns=2;s=PhSp", 1);
    assert!(complaints(&same).iter().any(|said| said.message.contains("is the node that the agent writes")));
}
