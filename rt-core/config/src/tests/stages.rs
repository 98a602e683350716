//! The pipeline's optional stages: delta and seasonal tags, filters, the decision clock, guardrails.

use super::{BASE, accepted, assert_error, assert_errors};
use crate::example;
use crate::{DecisionClock, Filter, Guardrail, Range, Season, SeasonPart, Site, TagKind};
use rt_core::time::Span;

/// The base site with these keys of the tag PH.
fn ph(keys: &str) -> Site {
    accepted(&BASE.replacen("name: PH,", &format!("name: PH, {keys},"), 1)).site
}

/// The file is refused for these keys of the tag PH.
#[track_caller]
fn wrong(keys: &str, needle: &str, message: &str, help: &str) {
    assert_error("name: PH,", &format!("name: PH, {keys},"), needle, message, help);
}

/// The base file with one tag more, which comes first.
fn first(tag: &str) -> String {
    format!("tags:\n    - {tag}\n")
}

fn with_first(tag: &str) -> Site {
    accepted(&BASE.replacen("tags:\n", &first(tag), 1)).site
}

#[test]
fn a_delta_tag_is_read_like_any_other_and_is_no_condition_of_the_image() {
    let site = with_first("{name: D, type: delta, node_identifier: ns=2;s=Ph, expected_range: [-1, 1]}");
    let tag = &site.tags[0];
    assert_eq!(tag.kind, TagKind::Delta);
    assert!(tag.source.is_some() && tag.in_state && tag.settings.required);
    let delta = "{name: D, type: delta, node_identifier: ns=2;s=Ph, expected_range: [-1, 1]}";
    let text = first(delta);
    let refused = |text: &str, message: &str| {
        let said = super::complaints(text);
        assert!(said.iter().any(|said| said.message.contains(message)), "{said:?}");
    };
    let base = BASE.replacen("tags:\n", &text, 1);
    accepted(&base.replacen("{COST} > 1", "{PH} > 1", 1));
    refused(&base.replacen("{COST} > 1", "{D} > 1", 1), "`D` is made by the pipeline");
    // Through a computed tag, too.
    refused(&base.replacen("abs({PH} - 7)", "abs({D})", 1), "`D` is made by the pipeline");
    let pid = "fallback: {PH_SP: {pid: {input: D, target: 7, gain: 1}}}\n  limits:\n";
    refused(&base.replacen("limits:\n", pid, 1), "`D` is a change");
    assert_error("tags:\n", &first("{name: D, type: delta, expected_range: [-1, 1]}"), "{name: D", "no `node_id", "");
    assert_error("tags:\n", &first("{name: D, type: delta, node_identifier: i=1}"), "{name: D", "no range", "");
}

#[test]
fn a_seasonal_tag_is_two_tags_that_expressions_can_name() {
    let seasons = [
        ("second_in_hour", Season::Hour),
        ("time_of_day", Season::Day),
        ("day_of_week", Season::Week),
        ("day_of_year", Season::Year),
    ];
    for (word, season) in seasons {
        let named = with_first(&format!("{{name: {word}, type: seasonal}}"));
        let said = with_first(&format!("{{name: T, type: seasonal, seasonal: {word}}}"));
        for (site, name) in [(named, word), (said, "T")] {
            for (tag, (part, end)) in site.tags.iter().zip([(SeasonPart::Sin, "sin"), (SeasonPart::Cos, "cos")]) {
                assert_eq!((&tag.name, &tag.kind), (&format!("{name}.{end}"), &TagKind::Seasonal(season, part)));
                assert_eq!(tag.normal_range, Some(Range { lo: 0.0, hi: 1.0 }));
                assert!(tag.source.is_none() && tag.in_state && !tag.settings.required);
            }
            // Whoever refers to a later tag means the right one.
            assert_eq!(site.setpoints[0].tag.index(), 2);
            assert_eq!(site.computed.iter().map(|tag| tag.index()).collect::<Vec<_>>(), [5, 4]);
            assert!(site.setpoints[0].interlocks[0].condition.tags().all(|tag| tag.index() == 3));
        }
    }
    let text = BASE.replacen("tags:\n", &first("{name: T, type: seasonal, seasonal: time_of_day}"), 1);
    let text = text.replacen("2 * {ERROR}", "{T.sin} * {T.cos}", 1).replacen("{COST} > 1", "{PH} > 1", 1);
    let site = accepted(&text).site;
    let TagKind::Computed(program) = site.tags[4].kind else { panic!("the cost is computed") };
    assert_eq!(program.tags().map(|tag| tag.index()).collect::<Vec<_>>(), [0, 1]);
}

#[test]
fn what_a_seasonal_tag_cannot_have_is_said_once() {
    let wrong = |keys: &str, needle: &str, message: &str, help: &str| {
        assert_error("tags:\n", &first(&format!("{{name: T, type: seasonal{keys}}}")), needle, message, help);
    };
    wrong("", "{name: T,", "does not say what it tells", "seasonal: time_of_day");
    wrong(", seasonal: noon", "noon", "not possible here", "time_of_day");
    let day = ", seasonal: time_of_day";
    wrong(&format!("{day}, required: true"), "true}", "no `required`", "remove");
    wrong(&format!("{day}, expected_range: [0, 1]"), "[0, 1]", "no `expected_range`", "remove");
    wrong(&format!("{day}, filter: {{name: identity}}"), "{name: identity", "no `filter`", "remove");
    wrong(&format!("{day}, imputer: {{name: copy}}"), "{name: copy", "no `imputer`", "remove");
    wrong(&format!("{day}, node_identifier: i=1"), "i=1}", "is not read, but has a `node_identifier`", "");
    wrong(&format!("{day}, value: 1"), "1}", "only a computed tag", "");
    wrong(&format!("{day}, nominal_setpoint: 1"), "1}", "only a setpoint", "");
    let clash =
        "{name: T, type: seasonal, seasonal: time_of_day}\n    - {name: T.cos, type: meta, node_identifier: i=1}";
    assert_error("tags:\n", &first(clash), "T.cos", "`T.cos` is there twice", "");
    self::wrong("seasonal: time_of_day", "time_of_day", "only a seasonal tag", "type: seasonal");
    let text = first("{name: T, type: seasonal, seasonal: time_of_day}");
    let pid = "fallback: {PH_SP: {pid: {input: T.cos, target: 7, gain: 1}}}\n  limits:\n";
    for (from, to, message) in
        [("{COST} > 1", "{T.sin} > 1", "`T.sin` is made by the pipeline"), ("limits:\n", pid, "`T.cos` is seasonal")]
    {
        let said = super::complaints(&BASE.replacen("tags:\n", &text, 1).replacen(from, to, 1));
        assert!(said.iter().any(|said| said.message.contains(message)), "{said:?}");
    }
}

#[test]
fn filters_have_the_names_and_defaults_that_users_bring_along() {
    let filters = |text: &str| ph(&format!("filter: {text}")).tags[1].filters.clone();
    assert_eq!(accepted(BASE).site.tags[1].filters, []);
    assert_eq!(filters("{name: identity}"), []);
    // A hundredth of the red bounds' width.
    let usual = Filter::MovingAverage { decay: 0.99, tolerance: 2.0, deviation_min: 0.035, warmup: 10 };
    assert_eq!(filters("{name: exp_moving}"), [usual]);
    let moving = Filter::MovingAverage { decay: 0.5, tolerance: 3.0, deviation_min: 0.25, warmup: 4 };
    assert_eq!(filters("{name: exp_moving, alpha: 0.5, tolerance: 3, deviation_min: 0.25, warmup: 4}"), [moving]);
    assert_eq!(filters("{name: stuck_detector}"), [Filter::Stuck { within: 0.001, observations: 10 }]);
    let stuck = Filter::Stuck { within: 0.0, observations: 3 };
    let two = filters("[{name: stuck_detector, eps: 0, step_tol: 3}, {name: conditional, condition: \"{PH_SP} < 7\"}]");
    let [found, Filter::Conditional(program)] = two.as_slice() else { panic!("{two:?}") };
    assert_eq!((found, program.eval_with(|_| Some(6.5))), (&stuck, Some(1.0)));
}

#[test]
fn filters_that_cannot_work_are_complained_of_at_their_place() {
    let wrong = |filter: &str, needle: &str, message: &str, help: &str| {
        wrong(&format!("filter: {filter}"), needle, message, help);
    };
    wrong("{name: ema}", "ema}", "not possible here", "");
    wrong("{name: exp_moving, alpha: 1}", "1},", "1 is not at least 0 and below 1", "");
    wrong("{name: exp_moving, tolerance: 0}", "0},", "0 is not above 0", "");
    wrong("{name: exp_moving, deviation_min: 0}", "0},", "0 is not above 0", "");
    wrong("{name: exp_moving, warmup: 1}", "1},", "whole number", "from 2");
    wrong("{name: exp_moving, eps: 1}", "1},", "`eps` belongs to the filter stuck_detector", "");
    wrong("{name: stuck_detector, eps: -1}", "-1},", "-1 is not at least 0", "");
    wrong("{name: stuck_detector, condition: \"1\"}", "\"1\"},", "`condition` belongs to the filter conditional", "");
    wrong("{name: conditional}", "{name: conditional", "needs a `condition`", "{TAG} < 1");
    wrong("{name: conditional, condition: \"{PX} < 1\"}", "{PX}", "no tag `PX`", "");
    let twice = "[{name: conditional, condition: 0}, {name: exp_moving}, {name: conditional, condition: 1}]";
    wrong(twice, "conditional, condition: 1", "is there twice", "`or`");
    let setpoint = |filter: &str| format!("name: PH_SP, filter: {filter},");
    assert_error("name: PH_SP,", &setpoint("{name: exp_moving}"), "exp_moving", "nothing odd", "conditional");
    assert_error("name: PH_SP,", &setpoint("{name: stuck_detector}"), "stuck_detector", "nothing odd", "");
    let text = BASE.replacen("name: PH_SP,", &setpoint("{name: conditional, condition: \"{PH} > 9\"}"), 1);
    assert_eq!(accepted(&text).site.tags[0].filters.len(), 1);
    let meta = "{name: M, type: meta, node_identifier: i=1, filter: {name: exp_moving}}";
    assert_error("tags:\n", &first(meta), "{name: exp_moving", "no range", "deviation_min");
    // A range that was complained of is not missing as well.
    let reversed = "{name: M, node_identifier: i=1, filter: {name: exp_moving}, expected_range: [1, 0]}";
    assert_error("tags:\n", &first(reversed), "[1, 0]", "reversed", "");
}

#[test]
fn the_decision_clock_is_off_unless_the_file_says_otherwise() {
    let clock = |agent: &str| accepted(&BASE.replacen("seed: 7", &format!("seed: 7\n{agent}"), 1)).site;
    assert_eq!(clock("").agent.decision_clock, DecisionClock::Off);
    assert_eq!(clock("agent: {decision_clock: off}").agent.decision_clock, DecisionClock::Off);
    let one_hot = clock("agent: {decision_clock: one_hot}");
    assert_eq!((one_hot.agent.decision_clock, one_hot.observations_per_decision()), (DecisionClock::OneHot, 2));
    assert_eq!(clock("agent: {decision_clock: countdown}").agent.decision_clock, DecisionClock::Countdown);
    let at_most = |period: &str, word: &str| {
        let text = BASE.replacen("seed: 7", &format!("seed: 7\nagent: {{decision_clock: {word}}}"), 1);
        text.replacen("action_period: \"00:00:10\"", &format!("action_period: {period}"), 1)
    };
    accepted(&at_most("320s", "one_hot"));
    accepted(&at_most("325s", "countdown"));
    let said = super::complaints(&at_most("325s", "one_hot"));
    assert!(said.iter().any(|said| said.message.contains("65 columns; 64 are possible")), "{said:?}");
    assert_error("seed: 7", "seed: 7\nagent: {decision_clock: on}", "on}", "not possible here", "");
}

#[test]
fn a_policy_for_changes_or_with_a_clock_is_one_for_another_site() {
    let hash = |text: &str| accepted(text).site.tag_list_hash();
    let level = BASE.replacen("tags:\n", &first("{name: D, node_identifier: i=1, expected_range: [-1, 1]}"), 1);
    let change = level.replacen("name: D,", "name: D, type: delta,", 1);
    assert_ne!(hash(&level), hash(&change));
    let with = |word: &str| hash(&BASE.replacen("seed: 7", &format!("seed: 7\nagent: {{decision_clock: {word}}}"), 1));
    assert_eq!(with("off"), hash(BASE));
    assert_ne!(with("one_hot"), hash(BASE));
    assert_ne!(with("countdown"), hash(BASE));
    assert_ne!(with("countdown"), with("one_hot"));
}

#[test]
fn a_guardrail_widens_from_around_the_nominal_setpoint_to_the_operating_range() {
    let key = |guardrail: &str| format!("name: PH_SP, guardrail_schedule: {guardrail},");
    let guardrail = |text: &str| accepted(&BASE.replacen("name: PH_SP,", &key(text), 1)).site.setpoints[0].guardrail;
    assert_eq!(accepted(BASE).site.setpoints[0].guardrail, None);
    let start = Range { lo: 6.5, hi: 7.25 };
    let of = |observations| Some(Guardrail { start, observations });
    assert_eq!(guardrail("{starting_range: [6.5, 7.25], duration: \"01:00:00\"}"), of(720));
    // The last observation may be begun only.
    assert_eq!(guardrail("{starting_range: [6.5, 7.25], duration: 11s}"), of(3));
    assert_eq!(guardrail("{starting_range: [6.5, 7.25], duration: 1ms}"), of(1));
    assert_eq!(
        guardrail("{starting_range: [6, 8], duration: 1h}").map(|of| of.start),
        Some(Range { lo: 6.0, hi: 8.0 })
    );
    let wrong = |text: &str, needle: &str, message: &str| {
        assert_error("name: PH_SP,", &key(text), needle, message, "write a");
    };
    wrong("{starting_range: [5.5, 7.5], duration: 1h}", "[5.5,", "wider than the operating range [6, 8]");
    wrong("{starting_range: [6.5, 8.5], duration: 1h}", "[6.5,", "wider than the operating range [6, 8]");
    wrong("{starting_range: [6, 6.5], duration: 1h}", "[6, 6.5]", "the nominal setpoint 7 is outside");
    wrong("{starting_range: [6.5, 7.5], duration: 0s}", "0s}", "zero is not possible");
    let fast = BASE.replacen("\"00:00:05\"", "5ms", 1);
    let said = super::complaints(&fast.replacen("name: PH_SP,", &key("{starting_range: [6, 8], duration: 9000d}"), 1));
    assert!(said.iter().any(|said| said.message.contains("more than 4294967295 observations")), "{said:?}");
    assert_errors(1, "name: PH_SP,", &key("{starting_range: [6, 8]}"), "{starting", "`duration` is missing", "");
    let whose = "only a setpoint has `guardrail_schedule`";
    self::wrong("guardrail_schedule: {starting_range: [1, 2], duration: 1h}", "{starting", whose, "");
}

#[test]
fn what_the_example_shows_in_remarks_is_accepted_without_them() {
    let keys =
        ["decision_clock:", "guardrail_schedule:", "filter:", "trigger:", "- {name: LEVEL_CH", "- {name: time_of_day"];
    let text = keys.iter().fold(example().to_owned(), |text, key| {
        let remark = format!("# {key}");
        assert!(text.contains(&remark), "{key}");
        text.replacen(&remark, key, 1)
    });
    let site = accepted(&text).site;
    assert_eq!(site.tags.len(), accepted(example()).site.tags.len() + 3);
    assert_eq!(site.agent.decision_clock, DecisionClock::Countdown);
    assert!(site.setpoints[0].guardrail.is_some() && site.tags[2].filters.len() == 1 && site.tags[2].trigger.is_some());
}

#[test]
fn a_trigger_is_a_condition_and_a_distance() {
    let trigger = |keys: &str| ph(&format!("trigger: {{{keys}}}")).tags[1].trigger.clone().expect("a trigger");
    assert_eq!(accepted(BASE).site.tags[1].trigger, None);
    let usual = trigger("condition: \"{ERROR} > 1\"");
    assert_eq!(usual.min_distance, Span::ZERO);
    assert_eq!(usual.condition.eval_with(|tag| Some(if tag.index() == 3 { 2.0 } else { 0.0 })), Some(1.0));
    let rare = trigger("condition: \"{PH} > 8\", min_distance: 1min, event: step_emit_action");
    assert_eq!(rare.min_distance, Span::from_ms(60_000));
    // What it is judged on, the pipeline has made before.
    let delta = "{name: D, type: delta, node_identifier: ns=2;s=Ph, expected_range: [-1, 1], trigger: {condition: \"{D} > 1\"}}";
    assert!(with_first(delta).tags[0].trigger.is_some());
}

#[test]
fn a_trigger_that_cannot_be_is_refused_in_its_place() {
    wrong("trigger: {min_distance: 1s}", "{min_distance", "`condition` is missing", "becomes true");
    wrong("trigger: {condition: \"{PHI} > 1\"}", "{PHI}", "no tag `PHI`", "{PH}");
    wrong("trigger: {condition: [{name: greater}]}", "[{name: greater", "a list where an expression", "");
    wrong(
        "trigger: {condition: \"{PH} > 1\", event: agent_save}",
        "agent_save",
        "not possible here",
        "step_emit_action",
    );
    let reset = "trigger: {condition: \"{PH} > 1\", event: action_period_reset}";
    wrong(reset, "action_period_reset", "not what this one asks for", "step_emit_action");
    let both = "name: PH, trigger: {condition: \"{PH} > 1\", event: [step_emit_action, action_period_reset]},";
    super::assert_notice("name: PH,", both, "`action_period_reset` has no effect");
    let seasonal = first("{name: T, type: seasonal, seasonal: time_of_day, trigger: {condition: 1}}");
    assert_error("tags:\n", &seasonal, "{condition: 1}", "no `trigger`", "remove");
}
