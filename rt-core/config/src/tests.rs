//! The crate from outside: what a site file may say, and what is said about one that is wrong.

mod alarms;
mod cascade;
mod history;
mod improvers;
mod imputers;
mod inherited;
mod mutation;
mod runtime;
mod schema;
mod stages;

use std::path::Path;

use rt_core::fallback::FallbackLaw;
use rt_core::pacing::Spin;
use rt_core::setpoint::Rate;
use rt_core::tag::TagId;
use rt_core::time::Span;

use crate::site::{Goal, Identity, Revocation, Reward, Security, SecurityPolicy, TagKind};
use crate::{Complaint, LeaseTag, Loaded, Place, Severity, Subscribe, example, load, parse};

/// A small valid file in CoreRL's manner.
const BASE: &str = r#"agent_name: acid
seed: 7
lab: true
coreio:
  coreio_origin: tcp://localhost:5557
  opc_connections:
    - connection_id: plc
      opc_conn_url: opc.tcp://localhost:4840/server
      application_uri: urn:acid
      security_policy: {policy: none}
  data_ingress: {ingress_period: "00:00:01"}
interaction:
  obs_period: "00:00:05"
  action_period: "00:00:10"
  state_age_tol: "00:01:00"
pipeline:
  tags:
    - {name: PH_SP, type: ai_setpoint, connection_id: plc, node_identifier: ns=2;s=PhSp, operating_range: [6, 8], action_bounds: ["{PH_SP} - 0.2", 7.5]}
    - {name: PH, connection_id: plc, node_identifier: ns=2;s=Ph, operating_range: [0, 14], red_bounds: [5.5, 9], yellow_bounds: [6, 8.5]}
    - {name: COST, type: computed, value: "2 * {ERROR}", expected_range: [0, 2]}
    - {name: ERROR, type: computed, value: "abs({PH} - 7)", expected_range: [0, 1]}
  reward:
    priorities:
      - {op: and, goals: [{op: up_to, tag: PH, thresh: 6.5}, {op: down_to, tag: PH, thresh: "{PH_SP} + 1"}]}
      - {tags: [COST, PH], directions: [min, max]}
runtime:
  period: 5ms
  limits:
    PH_SP: {range: [6, 8], rate: 0.1, interlocks: [{when: "{COST} > 1", then: release}]}
"#;

fn complaints(text: &str) -> Vec<Complaint> {
    match parse(text, Path::new("site.yaml")) {
        Ok(Loaded { notices, .. }) => notices,
        Err(refused) => refused.complaints,
    }
}

fn accepted(text: &str) -> Loaded {
    parse(text, Path::new("/etc/corerl/site.yaml")).unwrap_or_else(|refused| panic!("{refused}"))
}

/// The place of `needle`'s first byte in `text`.
fn place_of(text: &str, needle: &str) -> Place {
    let before = &text[..text.find(needle).unwrap_or_else(|| panic!("{needle} is in the text"))];
    let line_start = before.rfind('\n').map_or(0, |end| end + 1);
    Place { line: before.matches('\n').count() + 1, column: before[line_start..].chars().count() + 1 }
}

/// With `from` replaced by `to`, the base file gets exactly one error, at `needle`.
#[track_caller]
fn assert_error(from: &str, to: &str, needle: &str, message: &str, help: &str) {
    assert_errors(1, from, to, needle, message, help);
}

/// With `from` replaced by `to`, the base file gets `count` errors, one of them this one at `needle`.
#[track_caller]
fn assert_errors(count: usize, from: &str, to: &str, needle: &str, message: &str, help: &str) {
    assert!(BASE.contains(from), "{from}");
    let text = BASE.replacen(from, to, 1);
    let errors: Vec<_> = complaints(&text).into_iter().filter(|said| said.severity == Severity::Error).collect();
    let shown = errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    let place = Some(place_of(&text, needle));
    let fits = |error: &&Complaint| {
        error.place == place
            && error.message.contains(message)
            && error.help.as_deref().unwrap_or_default().contains(help)
    };
    assert!(errors.iter().any(|error| fits(&error)), "expected `{message}` (`{help}`) at {place:?}:\n{shown}");
    assert_eq!(errors.len(), count, "{shown}");
}

#[track_caller]
fn assert_notice(from: &str, to: &str, message: &str) {
    let text = BASE.replacen(from, to, 1);
    let notices = accepted(&text).notices;
    assert!(notices.iter().any(|notice| notice.message.contains(message)), "{notices:#?}");
}

#[test]
fn a_file_in_corerls_manner_is_read_as_meant() {
    let Loaded { site, notices, .. } = accepted(BASE);
    assert_eq!((site.name.as_str(), site.agent_name.as_str(), site.instance.as_str()), ("site", "acid", "main"));
    assert_eq!(site.interaction.obs_period, Span::from_ms(5_000));
    assert_eq!(site.interaction.action_period, Span::from_ms(10_000));
    assert_eq!((site.obs_every().get(), site.act_every().get()), (1000, 2000));
    let connection = &site.connections[0];
    assert_eq!(connection.io_period, Span::from_ms(1000));
    assert_eq!(connection.io_phase, Span::from_ns(2_500_000));
    assert!(matches!((&connection.security, &connection.identity), (Security::None, Identity::Anonymous)));
    let setpoint = &site.setpoints[0];
    assert_eq!(setpoint.settings.limits.run.rate, Rate::PerSecond(0.1));
    assert_eq!(setpoint.settings.fallback, FallbackLaw::Hold);
    assert!((setpoint.nominal - 7.0).abs() < 1e-12);
    let (lo, hi) = setpoint.action_bounds.expect("bounds were given");
    assert_eq!((lo.eval_with(|_| Some(7.0)), hi.eval_with(|_| None)), (Some(6.8), Some(7.5)));
    assert_eq!(site.tags[1].normal_range.map(|range| (range.lo, range.hi)), Some((5.5, 9.0)));
    assert_eq!(site.tags[1].settings.stale_after, Span::from_ms(15_000));
    assert!(site.tags[1].settings.required && !site.tags[2].settings.required);
    assert!(matches!(site.tags[2].kind, TagKind::Computed(_)));
    assert_eq!(site.computed.iter().map(|tag| tag.index()).collect::<Vec<_>>(), [3, 2]);
    // The interlock rests on the measured tag alone.
    assert!(setpoint.interlocks[0].condition.tags().all(|tag| tag.index() == 1));
    assert_eq!(setpoint.interlocks[0].condition.eval_with(|_| Some(8.0)), Some(1.0));
    let Reward::Priorities { goals, optimise } = &site.reward else { panic!("priorities were given") };
    assert!(matches!(goals.as_slice(), [Goal::All(parts)] if parts.len() == 2));
    assert!(optimise[0].minimise && !optimise[1].minimise);
    assert!(notices.iter().any(|notice| notice.message.contains("coreio_origin")));
}

#[test]
fn the_example_is_accepted_and_its_remarks_too() {
    let Loaded { site, notices, .. } = accepted(example());
    assert_eq!(site.name, "example");
    assert_eq!(site.setpoints.len(), 2);
    assert!(notices.iter().all(|notice| notice.message.contains("laboratory")), "{notices:#?}");
    // The commented-out alternative of the reward.
    let marker = "    value: \"-{LEVEL_ERROR}";
    let (head, tail) = example().split_once(marker).expect("the reward");
    let tail: Vec<&str> = tail.lines().skip(2).collect();
    let alternative = format!("{head}{}\n", format!("\n{}", tail.join("\n")).replace("\n    # ", "\n    "));
    assert!(matches!(accepted(&alternative).site.reward, Reward::Priorities { ref goals, .. } if goals.len() == 2));
}

#[test]
fn f84_every_truncation_of_the_example_is_refused() {
    let text = example();
    for end in (0..text.trim_end().len()).filter(|end| text.is_char_boundary(*end)) {
        let refused = parse(&text[..end], Path::new("site.yaml")).expect_err("a part is no site");
        assert!(refused.complaints.iter().any(|said| said.severity == Severity::Error));
    }
}

#[test]
fn every_truncation_of_a_file_without_an_end_mark_is_answered() {
    for end in 0..BASE.len() {
        if let Ok(loaded) = parse(&BASE[..end], Path::new("site.yaml")) {
            assert!(loaded.notices.iter().any(|notice| notice.message.contains("no line break")), "{}", &BASE[..end]);
        }
    }
}

#[test]
fn what_is_no_yaml_is_refused_at_its_place() {
    assert_error("seed: 7", "seed: [7", ": true", "not YAML", "");
    assert_error("seed: 7", "\tseed: 7", "acid", "not YAML", "spaces");
    assert_error("seed: 7", "seed: !int 7", "7\n", "tags", "remove");
    assert_error("seed: 7", "seed: 7\nseed: 8", "seed: 8", "`seed` is given twice, first in line 2", "one of the two");
    assert_error("seed: 7", "[a]: 7", "[a]", "a key must be a word", "");
    assert_error("seed: 7", "seed: *x", "*x", "not YAML", "define the anchor");
    assert_error("[6, 8], action", "&a [6, *a], action", "*a", "inside its own anchor", "");
    assert_error("runtime:\n", "---\nruntime:\n", "---\nruntime", "second document", "");
    assert!(complaints("").iter().any(|said| said.message == "the file is empty"));
    assert!(complaints("# nothing\n").iter().any(|said| said.message.contains("empty")));
    assert!(complaints("- a\n").iter().any(|said| said.message.contains("a list where a mapping belongs")));
}

#[test]
fn depth_size_and_aliases_are_bounded() {
    let error = |text: &str| complaints(text).iter().map(ToString::to_string).collect::<String>();
    assert!(error(&"[".repeat(10_000)).contains("error"));
    assert!(error(&"- ".repeat(100)).contains("nested deeper"));
    assert!(error(&"a".repeat((1 << 20) + 1)).contains("limit"));
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let items = vec![format!("*a{}", level - 1); 10].join(", ");
        bomb += &format!("a{level}: &a{level} [{items}]\n");
    }
    assert!(error(&bomb).contains("more than 100000 values"));
}

#[test]
fn aliases_stand_for_their_anchors() {
    let text =
        BASE.replacen("operating_range: [0, 14]", "operating_range: &wide [0, 14]", 1).replacen("[0, 2]", "*wide", 1);
    assert_eq!(accepted(&text).site.tags[2].normal_range.map(|range| range.hi), Some(14.0));
}

#[test]
fn f84_unknown_keys_are_answered_with_the_nearest_known_one() {
    assert_error(
        "obs_period:",
        "obs_perod: 1s\n  obs_period:",
        "obs_perod",
        "unknown key `obs_perod`",
        "did you mean `obs_period`?",
    );
    assert_error("agent_name", "agent_nmae", "agent_nmae", "unknown key", "did you mean `agent_name`?");
    assert_error("seed: 7", "zzz: 7", "zzz", "unknown key `zzz`", "known here: schema, lab");
    assert_error("name: PH,", "name: PH, Unit: m,", "Unit", "unknown key `Unit`", "did you mean `unit`?");
    assert_error("seed: 7", "seed: 7\n<<: {lab: true}", "<<", "unknown key", "merge keys");
}

#[test]
fn values_of_the_wrong_form_are_answered_with_the_right_one() {
    assert_error("\"00:00:05\"", "5", "5\n  action", "`5` is a number without a unit", "5s or 5ms");
    assert_error("\"00:00:05\"", "five", "five", "`five` is not a duration", "00:00:05");
    assert_error("seed: 7", "seed: \"7\"", "\"7\"", "where a whole number belongs", "from 0");
    assert_error("seed: 7", "seed: -1", "-1", "where a whole number belongs", "from 0");
    assert_error("lab: true", "lab: \"true\"", "\"true\"", "where `true` or `false` belongs", "without quotes");
    assert_error("agent_name: acid", "agent_name: 5", "5\nseed", "the number `5` where text", "in quotes");
    assert_error("agent_name: acid", "agent_name: a/b", "a/b", "cannot be part of a file name", "letters");
    assert_error("agent_name: acid\n", "", "seed", "`agent_name` is missing", "name");
    assert_error("rate: 0.1", "rate: 0", "0, interlocks", "where a rate belongs", "unlimited");
    assert_error("rate: 0.1", "rate: .inf", ".inf", "where a rate belongs", "unlimited");
    assert_error(
        "type: ai_setpoint",
        "type: ai_setpiont",
        "ai_setpiont",
        "not possible here",
        "did you mean `ai_setpoint`?",
    );
    assert_error("then: release", "then: {push: 1}", "{push", "an interlock's action", "force");
    assert_error("value: \"abs({PH} - 7)\"", "value: {PH}", "{PH}, ", "a mapping where an expression", "quotes");
}

#[test]
fn f84_another_schema_is_refused_alone_and_names_both_versions() {
    let text = format!("schema: corerl/9\nnew_key: 1\n{BASE}");
    let said = complaints(&text);
    let [only] = said.as_slice() else { panic!("{said:?}") };
    assert!(only.message.contains("`corerl/9`") && only.message.contains("corerl/1"), "{only}");
    assert_eq!(only.place, Some(Place { line: 1, column: 9 }));
    accepted(&format!("schema: corerl/1\n{BASE}"));
}

#[test]
fn periods_are_exact_multiples_and_possible() {
    assert_error("\"00:00:05\"", "12ms", "12ms", "no multiple of `runtime.period` (5ms)", "write 10ms or 15ms");
    assert_error("\"00:00:10\"", "7s", "7s", "no multiple of `obs_period` (5s)", "write 5s or 10s");
    assert_error("\"00:00:10\"", "1s", "1s\n", "no multiple", "write 5s");
    assert_error("period: 5ms", "period: 0s", "0s", "below what a machine can do", "50us or more");
    assert_error("period: 5ms", "period: 49us", "49us", "below what a machine can do", "50us or more");
    assert_error("\"00:00:01\"", "1001ms", "1001ms", "the I/O period", "write 1s or 1005ms");
}

#[test]
fn ranges_and_setpoints_are_checked() {
    assert_error("range: [6, 8], rate", "range: [8, 6], rate", "[8, 6]", "reversed", "write [6, 8]");
    assert_error("range: [6, 8], rate", "range: [6, 6], rate", "[6, 6]", "no usable width", "");
    assert_error("range: [6, 8], rate", "range: [6], rate", "[6]", "a range belongs", "two numbers");
    assert_error("rate: 0.1, ", "", "{range", "`rate` is missing", "unlimited");
    assert_errors(2, "    PH_SP: {", "    PHSP: {", "PHSP", "there is no setpoint `PHSP`", "did you mean `PH_SP`?");
    assert_error("    PH_SP: {", "    PH: {rate: 1}\n    PH_SP: {", "PH: {rate", "`PH` is not a setpoint", "");
    assert_error("action_bounds", "nominal_setpoint: 9, action_bounds", "9, action", "outside the operating range", "");
    assert_error(
        "range: [6, 8], rate",
        "range: [6, 6.5], rate",
        "PH_SP: {range",
        "nominal setpoint 7 is outside the limits",
        "",
    );
    assert_error("operating_range: [6, 8], ", "", "{name: PH_SP", "no operating range", "");
    assert_error("[\"{PH_SP} - 0.2\", 7.5]", "[7.5, 7]", "[7.5", "reversed", "lower bound first");
    assert_error("limits:\n", "fallback: {PH_SP: {ramp: {to: 9, rate: 1}}}\n  limits:\n", "9, rate", "ends at 9", "");
    assert_error("limits:\n", "fallback: {PH_SP: {ramp: {to: 7, rate: 0}}}\n  limits:\n", "0}}", "rate above 0", "");
    assert_error("then: release", "then: {force: 9}", "{force", "forced value 9", "");
    assert_notice("range: [6, 8], rate", "range: [5, 9], rate", "wider than the operating range");
    assert_notice("7.5]", "8.5]", "outside the operating range");
    for (from, to) in [
        ("range: [6, 8], rate", "range: [6, 7.2], rate"),
        ("\"{PH_SP} - 0.2\", 7.5]", "6, 7.5]"),
        (", action_bounds: [\"{PH_SP} - 0.2\", 7.5]", ""),
        ("action_bounds: [\"{PH_SP} - 0.2\", 7.5]", "red_bounds: [6.5, 7.5]"),
    ] {
        let text =
            BASE.replacen(from, to, 1).replacen("rate: 0.1,", "rate: 0.1, by_mode: {run: {range: [6.9, 7.4]}},", 1);
        let beyond = complaints(&text).into_iter().any(|said| said.message.contains("the agent may choose"));
        assert!(beyond, "{text}");
    }
    assert!(
        !complaints(BASE).iter().any(|said| said.message.contains("the agent may choose")),
        "the bounds are inside"
    );
    let entry = "{when: \"{PH} > 1\", then: release}";
    let five = [entry; 5].join(", ");
    assert_error(
        "{when: \"{COST} > 1\", then: release}",
        &five,
        &format!("{entry}]"),
        "5 interlocks; 4 are possible",
        "or",
    );
}

#[test]
fn tags_are_checked() {
    assert_errors(2, "name: ERROR", "name: PH", "PH, type: computed", "the tag `PH` is there twice", "rename");
    assert_error("name: PH,", "name: \"{PH}\",", "\"{PH}\"", "cannot be a tag's name", "braces");
    assert_error(", expected_range: [0, 1]}", "}", "{name: ERROR", "no range", "expected_range");
    assert_error("node_identifier: ns=2;s=Ph,", "", "{name: PH,", "no `node_identifier`", "ns=2");
    assert_error("ns=2;s=Ph,", "2:Ph,", "2:Ph", "not a node identifier", "ns=2;s=Path");
    assert_error(
        "plc, node_identifier: ns=2;s=Ph,",
        "pcl, node_identifier: ns=2;s=Ph,",
        "pcl",
        "no connection `pcl`",
        "`plc`",
    );
    assert_error(
        "type: computed, value: \"2",
        "type: meta, node_identifier: i=1, value: \"2",
        "\"2 *",
        "only a computed tag",
        "",
    );
    assert_error("name: PH,", "name: PH, nominal_setpoint: 1,", "1, conn", "only a setpoint", "");
    assert_error("name: PH,", "name: PH, cascade: {op_sp: PH},", "{op_sp", "only a setpoint has `cascade`", "remove");
    assert_error("name: PH,", "name: PH, outlier: [],", "outlier", "unknown key `outlier`", "write `filter`");
    assert_error("name: PH,", "name: PH, stale_after: 10ms,", "10ms", "every reading would be stale", "1s or more");
    let tag = "    - {name: T, type: meta, node_identifier: i=1}\n";
    let many: String = (0..520).map(|index| tag.replace("T,", &format!("T{index},"))).collect();
    assert_error("  reward:\n", &format!("{many}  reward:\n"), "{name: T508", "524 tags; 512 are possible", "");
    let tag = "    - {name: S, type: ai_setpoint, node_identifier: i=9, operating_range: [0, 1]}\n";
    let many: String =
        (0..32).map(|index| tag.replace("S,", &format!("S{index},")).replace("i=9", &format!("i={index}"))).collect();
    let limits: String = (0..32).map(|index| format!("    S{index}: {{rate: 1}}\n")).collect();
    let text = BASE.replacen("  reward:\n", &format!("{many}  reward:\n"), 1) + &limits;
    let said = complaints(&text);
    assert!(said.iter().any(|said| said.message.contains("33 setpoints; 32 are possible")), "{said:?}");
}

#[test]
fn empty_lists_are_not_enough() {
    assert!(
        complaints(&BASE.replace("{name: PH_SP, type: ai_setpoint", "{name: PH_SP, type: default"))
            .iter()
            .any(|said| said.message.contains("no setpoint to move"))
    );
    let text = "agent_name: a\ncoreio: {opc_connections: []}\ninteraction: {obs_period: 1s}\npipeline: {tags: [], reward: {value: 0}}\n";
    let said = complaints(text);
    for message in ["no connection to the plant", "there are no tags"] {
        assert!(said.iter().any(|said| said.message.contains(message)), "{said:?}");
    }
}

#[test]
fn expressions_are_answered_at_the_place_of_the_mistake() {
    assert_error("abs({PH} - 7)", "abs({PHH} - 7)", "{PHH}", "no tag `PHH`", "did you mean {PH}?");
    assert_error("abs({PH} - 7)", "abs({PH} - 7", "\", expected_range: [0, 1]", "`)` is missing", "");
    assert_error("{COST} > 1", "{COST} => 1", "=> 1", "not expected", "==");
    assert_error("thresh: \"{PH_SP} + 1\"", "thresh: \"{PH_SP} + x\"", "x\"}", "`x` is not known", "braces");
    assert_error("abs({PH} - 7)", "abs({COST} - 7)", "\"2 * {ERROR}\"", "in a circle: `COST -> ERROR -> COST`", "");
    assert_error("2 * {ERROR}", "2 * {COST}", "\"2 * {COST}\"", "in a circle: `COST -> COST`", "");
}

#[test]
fn the_reward_is_checked() {
    assert_error("thresh: 6.5", "thresh: 5", "5}, {op", "outside the tag's range", "");
    assert_error("tag: PH, thresh: 6.5", "tag: HP, thresh: 6.5", "HP", "no tag `HP`", "`PH`");
    assert_error("op: up_to, ", "", "{tag: PH, thresh: 6.5", "no `op`", "up_to");
    assert_error("directions: [min, max]", "directions: [min]", "[min]", "1 directions for 2 tags", "one per tag");
    assert_error("directions: [min, max]", "directions: min, weights: [1, 0]", "0]}", "not a weight", "");
    assert_error("      - {tags: [COST, PH], directions: [min, max]}\n", "", "{op: and", "must be an optimisation", "");
    assert_error(
        "  reward:\n",
        "  reward:\n    value: \"{PH}\"\n",
        "value: \"{PH}\"",
        "both `value` and `priorities`",
        "",
    );
}

#[test]
fn connections_are_checked() {
    assert_error(
        "opc.tcp://localhost:4840/server",
        "http://localhost",
        "http",
        "not the address",
        "opc.tcp://host:port",
    );
    assert_error(
        "opc.tcp://localhost:4840/server",
        "opc.tcp://localhost",
        "opc.tcp",
        "not the address",
        "add the port",
    );
    assert_error("urn:acid", "acid", "acid\n      sec", "not a URI", "urn:");
    assert_error("policy: none", "policy: basic256_sha", "basic256_sha", "not possible here", "basic256_sha256");
    for refused in ["basic256", "basic128_rsa15"] {
        assert_error("policy: none", &format!("policy: {refused}"), refused, "can be broken", "basic256_sha256");
    }
    let secured = "security_policy: {policy: basic256_sha256, client_key_path: k}";
    assert_error("security_policy: {policy: none}", secured, "{policy: basic", "`client_cert_path` is missing", "PATH");
    assert_error("runtime:\n", "runtime:\n  io: {plx: {}}\n", "plx", "no connection `plx`", "`plc`");
    let io = "runtime:\n  io: {plc: {phase: 1s}}\n";
    assert_error("runtime:\n", io, "1s}", "the phase is not below", "");
}

#[test]
fn a_secured_connection_has_a_policy_and_a_user_with_a_password_or_a_certificate() {
    let with = |policy: &str, user: &str| {
        let secured = format!(
            "security_policy: {{policy: {policy}, client_cert_path: c.der, client_key_path: k.pem}}\n      {user}"
        );
        BASE.replacen("security_policy: {policy: none}", &secured, 1)
    };
    let user = "authentication_mode: {certificate: u.der, certificate_key: u.pem}";
    for (name, expected) in [
        ("basic256_sha256", SecurityPolicy::Basic256Sha256),
        ("aes128_sha256_rsaoaep", SecurityPolicy::Aes128Sha256RsaOaep),
        ("aes256_sha256_rsapss", SecurityPolicy::Aes256Sha256RsaPss),
    ] {
        let connection = accepted(&with(name, user)).site.connections.remove(0);
        assert!(matches!(connection.security, Security::Secured { policy, .. } if policy == expected), "{name}");
        let Identity::Certificate { certificate, key } = connection.identity else { panic!("{name}") };
        assert_eq!((certificate, key), ("/etc/corerl/u.der".into(), "/etc/corerl/u.pem".into()));
    }
    for (user, complaint) in [
        ("authentication_mode: {certificate: u.der}", "needs its key"),
        ("authentication_mode: {certificate: u.der, certificate_key: k, username: u}", "not both"),
    ] {
        let said = complaints(&with("basic256_sha256", user));
        assert!(said.iter().any(|said| said.message.contains(complaint)), "{said:?}");
    }
}

#[test]
fn f55_authorities_need_revocation_lists_unless_the_site_says_otherwise() {
    let with = |revocation: &str| {
        let secured = format!(
            "security_policy: {{policy: basic256_sha256, client_cert_path: c.der, client_key_path: k.pem{revocation}}}"
        );
        BASE.replacen("security_policy: {policy: none}", &secured, 1)
    };
    for (written, expected) in [
        ("", Revocation::Required),
        (", revocation: required", Revocation::Required),
        (", revocation: optional", Revocation::Optional),
    ] {
        let security = accepted(&with(written)).site.connections.remove(0).security;
        assert!(matches!(security, Security::Secured { revocation, .. } if revocation == expected), "{written}");
    }
    let said = complaints(&with(", revocation: optonal"));
    assert!(said.iter().any(|said| said.message.contains("optonal")), "{said:?}");
}

#[test]
fn a_site_can_be_looked_at_where_its_passwords_are_not() {
    let text = BASE.replace(
        "security_policy: {policy: none}",
        "security_policy: {policy: basic256_sha256, client_cert_path: c.der, client_key_path: k.pem}\n      \
         authentication_mode: {username: u, password: {env: CORERL_CONFIG_TEST_IS_NOT_SET}}",
    );
    assert_ne!(text, BASE);
    assert!(crate::parse(&text, Path::new("site.yaml")).is_err());
    let Loaded { site, text: kept, .. } = crate::parse_to_look_at(&text, Path::new("site.yaml")).expect("a site");
    assert_eq!((site.connections.len(), kept), (1, text));
}

#[test]
fn the_laboratory_alone_speaks_in_clear() {
    assert_error("lab: true\n", "", "none}", "permitted in a laboratory only", "lab: true");
    let user = "security_policy: {policy: none}\n      authentication_mode: {username: u, password: PASSWORD}";
    let with = |password: &str| user.replace("PASSWORD", password);
    assert_error("security_policy: {policy: none}", &with("geheim"), "{username", "needs a secured", "security_policy");
    let missing = with("{env: CORERL_CONFIG_TEST_IS_NOT_SET}");
    assert_error("security_policy: {policy: none}", &missing, "{env", "holds no password", "environment");
    let missing = with("{file: is-not-there}");
    assert_error("security_policy: {policy: none}", &missing, "{file", "no password can be read", "");
    let secured = "security_policy: {policy: basic256_sha256, client_cert_path: c.der, client_key_path: /k.pem}";
    let text = BASE.replacen("lab: true\n", "", 1).replacen("security_policy: {policy: none}", secured, 1);
    let site = accepted(&text).site;
    let Security::Secured { client_cert, client_key, encrypt, .. } = &site.connections[0].security else { panic!() };
    assert_eq!((client_cert.as_path(), client_key.as_path()), (Path::new("/etc/corerl/c.der"), Path::new("/k.pem")));
    assert!(encrypt);
    let plain = text.replacen(
        "application_uri",
        "authentication_mode: {username: u, password: geheim}\n      application_uri",
        1,
    );
    let said = complaints(&plain);
    assert!(said.iter().any(|said| said.message == "a password must not stand in the file"), "{said:?}");
    assert!(said.iter().all(|said| !said.message.contains("geheim")));
}

#[test]
fn s8_a_policy_file_needs_a_trusted_key_outside_the_laboratory() {
    let secured = "security_policy: {policy: basic256_sha256, client_cert_path: c.der, client_key_path: /k.pem}";
    let text = BASE.replacen("lab: true\n", "", 1).replacen("security_policy: {policy: none}", secured, 1);
    let with = |line: &str| text.replacen("runtime:\n", &format!("runtime:\n  {line}\n"), 1);
    let said = complaints(&with("policy_file: best.safetensors"));
    assert!(said.iter().any(|said| said.message.contains("no key is trusted")), "{said:?}");
    let key = "0123456789abcdef".repeat(4);
    let upper = key.to_uppercase();
    let site = accepted(&with(&format!("policy_file: best.safetensors\n  policy_keys: [\"{upper}\"]"))).site;
    assert_eq!(site.runtime.policy_keys, [key]);
    assert_eq!(site.runtime.policy_file.as_deref(), Some(Path::new("/etc/corerl/best.safetensors")));
    assert_error("runtime:\n", "runtime:\n  policy_keys: [abc]\n", "abc]", "is no public key", "corerl model keygen");
    assert!(
        accepted(&BASE.replacen("runtime:\n", "runtime:\n  policy_file: p\n", 1)).site.runtime.policy_keys.is_empty()
    );
}

#[test]
fn s5_a_password_is_read_from_its_file_and_never_shown() {
    let path = std::env::temp_dir().join(format!("corerl-config-test-{}", std::process::id()));
    std::fs::write(&path, "geheim\n").expect("a temporary file");
    let user =
        format!("authentication_mode: {{username: u, password: {{file: {}}}}}\n      application_uri", path.display());
    let secured = "security_policy: {policy: basic256_sha256, client_cert_path: c.der, client_key_path: k.pem}";
    let text = BASE.replacen("security_policy: {policy: none}", secured, 1);
    let site = accepted(&text.replacen("application_uri", &user, 1)).site;
    std::fs::remove_file(&path).expect("the temporary file");
    assert!(
        matches!(&site.connections[0].identity, Identity::Password { password, .. } if password.expose() == "geheim")
    );
    assert!(!format!("{site:?}").contains("geheim"));
}

#[test]
fn every_fallback_is_read_as_meant() {
    let law = |text: &str| {
        let to = format!("fallback: {{PH_SP: {text}}}\n  limits:\n");
        accepted(&BASE.replacen("limits:\n", &to, 1)).site.setpoints[0].settings.fallback
    };
    assert_eq!(law("nominal"), FallbackLaw::Nominal(7.0));
    assert_eq!(law("{ramp: {to: 6.5, rate: 0.05}}"), FallbackLaw::Ramp { target: 6.5, per_second: 0.05 });
    let FallbackLaw::Pid(pid) = law("{pid: {input: PH, target: \"7 + 0\", gain: -2, integral_time: 30s}}") else {
        panic!()
    };
    assert_eq!((pid.input.index(), pid.gain, pid.integral_time), (1, -2.0, Some(Span::from_ms(30_000))));
    let FallbackLaw::StateSpace(controller) = law(CONTROLLER) else { panic!() };
    assert_eq!(
        (controller.period, controller.inputs[0].map(|(tag, target)| (tag.index(), target))),
        (Span::from_ms(1_000), Some((1, 7.0)))
    );
    assert_eq!((controller.a[(0, 0)], controller.a[(1, 0)], controller.b[(1, 0)]), (1.0, 0.25, -0.1));
    assert_eq!((controller.c[1], controller.d[0], controller.tracking[0], controller.offset), (0.0, 0.0, 0.5, 6.5));
}

const CONTROLLER: &str = "{state_space: {period: 1s, inputs: [{tag: PH, target: 7}], a: [[1, 0], [0.25, 0.5]], b: [[-0.5], [-0.1]], c: [1, 0], tracking: [0.5, 0], offset: 6.5}}";

#[test]
fn fallbacks_that_cannot_work_are_complained_of_at_their_place() {
    let error = |text: &str, needle: &str, message: &str| {
        let to = format!("fallback: {{PH_SP: {text}}}\n  limits:\n");
        assert_error("limits:\n", &to, needle, message, "");
    };
    error("{pid: {input: PHX, target: 7, gain: 1}}", "PHX", "no tag `PHX`");
    error("{pid: {input: ERROR, target: 7, gain: 1}}", "ERROR, target", "`ERROR` is computed");
    error("{pid: {input: PH, target: \"{X}\", gain: 1}}", "{X}", "no tag `X`");
    error("{pid: {input: PH, target: 7, gain: 0}}", "0}}}", "the gain 0");
    error("{pid: {input: PH, target: 7, gain: 1, integral_time: 0s}}", "0s}}}", "integral time of zero");
    error("{pd: {input: PH}}", "{pd", "a fallback belongs");
    let wrong =
        |from: &str, to: &str, needle: &str, message: &str| error(&CONTROLLER.replace(from, to), needle, message);
    wrong("period: 1s", "period: 7ms", "7ms", "no multiple of `runtime.period`");
    wrong("period: 1s", "period: 0s", "0s, inputs", "zero is not possible");
    wrong("[0.25, 0.5]]", "[0.25]]", "[0.25]]", "A has 1 columns, expected 2");
    wrong("[-0.1]]", "[-0.1], [1]]", "[[-0.5]", "B has 3 rows, expected 2");
    wrong("c: [1, 0]", "c: [1]", "[1], tracking", "C has 1 numbers, expected 2");
    wrong("tracking: [0.5, 0]", "tracking: [0, 0]", "[0, 0], offset", "A - L C is not stable");
    wrong("offset: 6.5", "d: [1, 1]", "[1, 1]}", "D has 2 numbers, expected 1");
    wrong("[{tag: PH, target: 7}]", "[]", "[], a:", "0 inputs");
    wrong("tag: PH,", "tag: COST,", "COST, target", "`COST` is computed");
}

#[test]
fn limits_of_single_modes_are_narrower() {
    let with = |by_mode: &str| BASE.replacen("rate: 0.1, ", &format!("rate: 0.1, by_mode: {by_mode}, "), 1);
    let limits =
        accepted(&with("{run: {range: [6.5, 7.5]}, fallback: {rate: 0.05}}")).site.setpoints[0].settings.limits;
    assert_eq!((limits.run.lo, limits.run.hi, limits.run.rate), (6.5, 7.5, Rate::PerSecond(0.1)));
    assert_eq!((limits.fallback.lo, limits.fallback.hi, limits.fallback.rate), (6.0, 8.0, Rate::PerSecond(0.05)));
    assert_eq!((limits.hold.lo, limits.hold.hi), (6.0, 8.0));
    let error = |by_mode: &str, needle: &str, message: &str| {
        assert_error("rate: 0.1, ", &format!("rate: 0.1, by_mode: {by_mode}, "), needle, message, "");
    };
    error("{run: {range: [5, 7]}}", "[5, 7]", "wider than the setpoint's own [6, 8]");
    error("{hold: {rate: 0.2}}", "0.2}}", "above the setpoint's own");
    error("{hold: {rate: unlimited}}", "unlimited}}", "above the setpoint's own");
    error("{shadow: {}}", "shadow", "unknown key `shadow`");
}

#[test]
fn a_mode_tag_and_the_rules_for_samples_are_read_as_meant() {
    let text = BASE.replacen("rate: 0.1, ", "rate: 0.1, operator_when: \"{PH} > 13\", ", 1).replacen(
        "name: PH,",
        "name: PH, sensor_span: [0, 16], spike: {step: 0.5}, frozen_after: 30s,",
        1,
    );
    let site = accepted(&text).site;
    let when = site.setpoints[0].settings.operator_when.expect("it was given");
    assert_eq!(when.eval_with(|_| Some(13.5)), Some(1.0));
    let settings = site.tags[1].settings;
    assert_eq!((settings.sound, settings.frozen_after), (Some((-0.2, 16.5)), Some(Span::from_ms(30_000))));
    assert_eq!(settings.spike.map(|spike| (spike.step, spike.samples)), Some((0.5, 3)));
    let setpoint = &site.tags[site.setpoints[0].tag.index()];
    assert_eq!(setpoint.operating_range.map(|range| (range.lo, range.hi)), Some((6.0, 8.0)));
    assert_eq!(setpoint.settings.sound, Some((4.0, 10.0)), "a read-back far beyond is not believed");
    assert_error("name: PH,", "name: PH, spike: {step: 0},", "0}, connection", "0 is not above 0", "");
    assert_error("name: PH,", "name: PH, spike: {step: 1, samples: 1},", "1}, connection", "whole number", "2 to 255");
    assert_error("name: PH,", "name: PH, frozen_after: 0s,", "0s, connection", "zero is not possible", "");
    assert_error("name: PH,", "name: PH, sensor_span: [1],", "[1]", "a range belongs", "");
    assert_error("name: PH,", "name: PH, sensor_span: [null, 1],", "[null", "one end", "never reached");
    assert_error("rate: 0.1, ", "rate: 0.1, operator_when: \"{PX}\", ", "{PX}", "no tag `PX`", "");
}

#[test]
fn the_spin_margin_is_a_word_or_a_duration() {
    let spin = |line: &str| accepted(&BASE.replacen("runtime:\n", &format!("runtime:\n{line}"), 1)).site.runtime.spin;
    assert_eq!(spin(""), Spin::Auto);
    assert_eq!(spin("  spin: auto\n"), Spin::Auto);
    assert_eq!(spin("  spin: off\n"), Spin::Off);
    assert_eq!(spin("  spin: 0us\n"), Spin::Off);
    assert_eq!(spin("  spin: 50us\n"), Spin::Margin(Span::from_ns(50_000)));
}

#[test]
fn a_learner_begins_anew_unless_the_file_says_where_its_past_is_kept() {
    let with = |line: &str| accepted(&BASE.replacen("runtime:\n", &format!("{line}runtime:\n"), 1)).site;
    let site = with("");
    assert_eq!((site.learner.rebuilds, site.cycle_settings(&site.cycle_lists()).first_policy_waits), (false, false));
    let site = with("learner: {rebuild: true, history: past}\n");
    assert_eq!((site.learner.rebuilds, site.learner.history.ends_with("past")), (true, true));
    assert!(site.cycle_settings(&site.cycle_lists()).first_policy_waits);
    let off = "learner: {rebuild: true}\nruntime:\n  max_policy_age: off\n";
    assert_notice("runtime:\n", off, "the runtime does not wait for the learner");
}

#[test]
fn the_lease_has_a_term_that_cycles_can_renew_and_arming_is_an_operators_unless_the_file_says_so() {
    let with = |line: &str| accepted(&BASE.replacen("runtime:\n", &format!("runtime:\n{line}"), 1)).site.runtime;
    assert_eq!((with("").lease_term, with("").rearms), (Span::from_ms(1_000), false));
    assert_eq!(with("  lease: {term: 40ms}\n").lease_term, Span::from_ms(40));
    assert!(with("  rearm: after_gates\n").rearms);
    let wrong = |line: &str, needle: &str, message: &str| {
        assert_error("runtime:\n", &format!("runtime:\n{line}"), needle, message, "");
    };
    wrong("  lease: {term: 39ms}\n", "39ms}", "not one in which cycles can renew");
    wrong("  lease: {term: 2h}\n", "2h}", "not one in which cycles can renew");
    wrong("  rearm: always\n", "always", "");
    let restarts = |line: &str| with(line).restarts.map(|of| (of.n, of.within));
    assert_eq!(restarts(""), Some((4, Span::from_ms(600_000))));
    assert_eq!(restarts("  restarts: {n: 1, within: 1h}\n"), Some((1, Span::from_ms(3_600_000))));
    assert_eq!(restarts("  restarts: off\n"), None);
    wrong("  restarts: {n: 0}\n", "0}", "");
    wrong("  restarts: {within: 0s}\n", "0s}", "zero is not possible");
}

#[test]
fn a_redundant_set_names_every_server_once() {
    let line = |urls: &str| format!("opc_conn_url: opc.tcp://localhost:4840/server\n      failover_urls: {urls}");
    let with = |urls: &str| accepted(&BASE.replacen("opc_conn_url: opc.tcp://localhost:4840/server", &line(urls), 1));
    assert_eq!(with("[]").site.connections[0].failover_urls, Vec::<String>::new());
    let two = with("[opc.tcp://b:4840, \"opc.tcp://c:4840\"]").site;
    assert_eq!(two.connections[0].failover_urls, ["opc.tcp://b:4840", "opc.tcp://c:4840"]);
    let wrong = |urls: &str, needle: &str, message: &str| {
        assert_error("opc_conn_url: opc.tcp://localhost:4840/server", &line(urls), needle, message, "");
    };
    wrong("[http://b]", "http://b", "not the address of an OPC UA server");
    wrong("[opc.tcp://b:1, opc.tcp://b:1]", "opc.tcp://b:1]", "named twice");
    wrong("[opc.tcp://localhost:4840/server]", "opc.tcp://localhost:4840/server]", "named twice");
}

#[test]
fn the_servers_that_may_be_there_are_named_by_their_uris() {
    let line = |uris: &str| format!("server_application_uris: {uris}\n      application_uri: urn:acid");
    let with = |uris: &str| accepted(&BASE.replacen("application_uri: urn:acid", &line(uris), 1));
    assert_eq!(accepted(BASE).site.connections[0].server_uris, Vec::<String>::new());
    assert_eq!(with("[urn:a, urn:b]").site.connections[0].server_uris, ["urn:a", "urn:b"]);
    assert_error("application_uri: urn:acid", &line("[plant]"), "plant]", "`plant` is not a URI", "");
}

/// The beginning of the runtime section when the connection is served like this.
fn io(how: &str) -> String {
    format!("runtime:\n  io: {{plc: {{{how}}}}}\n")
}

/// The connection of the base file with this beginning of the runtime section.
fn served(runtime: &str) -> crate::Connection {
    accepted(&BASE.replacen("runtime:\n", runtime, 1)).site.connections.remove(0)
}

#[test]
fn an_io_thread_looks_for_answers_for_a_quarter_of_its_period_at_most() {
    let line = |spin: &str| io(&format!("period: 40ms, spin: {spin}"));
    assert_eq!(accepted(BASE).site.connections[0].spin, Span::ZERO);
    assert_eq!(served(&line("10ms")).spin, Span::from_ms(10));
    assert_error("runtime:\n", &line("11ms"), "11ms", "longer than a quarter of its period", "shorter");
}

#[test]
fn a_lease_tag_has_a_term_in_which_a_runtime_can_look_at_it() {
    let line = |lease: &str| io(&format!("period: 40ms, lease: {lease}"));
    let tag = |term| Some(LeaseTag { node: "ns=2;s=L".into(), term });
    assert_eq!(accepted(BASE).site.connections[0].lease, None);
    assert_eq!(served(&line("{node: ns=2;s=L}")).lease, tag(Span::from_ms(1_280)));
    assert_eq!(served(&line("{node: ns=2;s=L, term: 2s}")).lease, tag(Span::from_ms(2_000)));
    let wrong = |lease: &str, needle: &str, message: &str, help: &str| {
        assert_error("runtime:\n", &line(lease), needle, message, help);
    };
    wrong("{node: ns=2;s=L, term: 1279ms}", "1279ms", "not one in which a runtime sees the others", "1280ms to");
    wrong("{node: ns=2;s=L, term: 2h}", "2h", "not one in which a runtime sees the others", "32 I/O periods");
    wrong("{node: L}", "L}", "L", "");
    wrong("{term: 2s}", "{term", "node", "");
}

#[test]
fn complaints_are_collected_and_sorted() {
    let text = BASE.replace("lab: true", "lab: maybe").replace("rate: 0.1, ", "").replace("[0, 14]", "[14, 0]");
    let errors: Vec<_> = complaints(&text).into_iter().filter(|said| said.severity == Severity::Error).collect();
    assert!(errors.len() >= 3 && errors.is_sorted_by_key(|error| error.place), "{errors:#?}");
}

#[test]
fn files_that_cannot_be_read_get_one_sentence() {
    let missing = load(Path::new("/is/not/there.yaml")).expect_err("there is no such file");
    assert!(missing.to_string().starts_with("/is/not/there.yaml: error: the file cannot be read"), "{missing}");
    let path = std::env::temp_dir().join(format!("corerl-config-bytes-{}.yaml", std::process::id()));
    std::fs::write(&path, b"agent_name: a\nseed: \xff\n").expect("a temporary file");
    let refused = load(&path).expect_err("not UTF-8");
    std::fs::remove_file(&path).expect("the temporary file");
    assert!(refused.to_string().contains("not UTF-8 text (line 2)"), "{refused}");
    assert!(load(Path::new("/")).is_err());
}

#[test]
fn what_is_subscribed_is_no_setpoint_comes_from_here_and_is_watched_before_it_is_stale() {
    let line = |subscribe: &str| io(&format!("period: 1s, subscribe: {subscribe}"));
    let with = |subscribe: &str| served(&line(subscribe)).subscribe.expect("it was written");
    let ph = TagId::new(1).expect("a small number");
    assert_eq!(accepted(BASE).site.connections[0].subscribe, None);
    // 15 s, after which the tag is stale, and the I/O period.
    let all = Subscribe { every: Span::from_ms(1_000), watch: vec![(ph, Span::from_ms(7_500))] };
    assert_eq!(with("{tags: all}"), all);
    let named = with("{tags: [PH], every: 2s, watchdog: 3s}");
    assert_eq!(named, Subscribe { every: Span::from_ms(2_000), watch: vec![(ph, Span::from_ms(3_000))] });
    let wrong = |subscribe: &str, needle: &str, message: &str, help: &str| {
        assert_error("runtime:\n", &line(subscribe), needle, message, help);
    };
    wrong("{every: 2s}", "{every", "`tags` is missing", "");
    wrong("{tags: al}", "al}", "not possible here", "`all`");
    wrong("{tags: [PHH]}", "PHH]", "no tag `PHH`", "`PH`");
    wrong("{tags: [PH_SP]}", "PH_SP]}", "is a setpoint", "");
    wrong("{tags: [COST]}", "COST]}", "does not come from the connection `plc`", "");
    wrong("{tags: [PH, PH]}", "PH]}", "named twice", "");
    wrong("{tags: all, every: 500ms}", "500ms", "shorter than the I/O period", "1s or more");
    wrong("{tags: all, every: 0s}", "0s}", "zero", "");
    wrong("{tags: all, watchdog: 8s}", "8s}", "`PH` would be stale after 15s", "at most 7500ms");
}
