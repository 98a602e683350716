use std::path::Path;

use proptest::prelude::*;
use rt_core::setpoint::Rate;

use super::*;
use crate::{AgentOptions, Severity, parse_to_look_at};

/// A file as the Python services know it.
const THEIRS: &str = r#"# the acid plant
agent_name: "acid"
is_simulation: False
seed: 42
log_path: "outputs"   # where logs go

infra:
  db:
    drivername: "postgresql+psycopg2"
    username: "postgres"
    password: "hunter2"
    db_name: "process_data"

coreio:
  coreio_origin: "tcp://localhost:5559"
  opc_connections:
    - connection_id: "main"
      opc_conn_url: "opc.tcp://192.168.1.100:4840"
      application_uri: "urn:agent"
      security_policy:
        policy: basic256_sha256
        mode: sign_and_encrypt
        client_cert_path: "certs/coreio_cert.der"
        client_key_path: "certs/coreio_key.pem"
        server_cert_path: "certs/opc_server_cert.der"
      authentication_mode:
        username: "opc_user"
        password: "hunter3" # of the plant

interaction:
  obs_period: 00:05:00
  action_period: "01:00:00"
  update_period: "00:00:30"
  setpoint_ping_period: 00:00:10
  heartbeat:
    heartbeat_node_id: "ns=2;s=heartbeat"
    heartbeat_period: 00:00:01
    max_counter: 10
  historical_batch_size: 51840 # 180 days

agent:
  gamma: 0.9727
  loss_threshold: 0.0002
  max_critic_updates: 4
  max_internal_actor_updates: 2
  policy: {ensemble_aggregation: ucb, std_bonus: 0.5}
  critic:
    buffer:
      name: uniform
    # why this one is small
    critic_optimizer: {lr: 0.01}

pipeline:
  tags:
    # what the agent moves
    - name: PH_SP
      type: ai_setpoint
      node_identifier: "ns=3;s=Some.Path.Setpoint"
      operating_range: [9.0, 10.5]
      action_bounds: ["{PH_SP} - 0.2", "{PH_SP} + 0.2"]
    - agg: last
      name: PH
      node_identifier: ns=3;s=Ph
      operating_range: [0.0, 14.0]
      outlier:
      - name: identity
        tag: x
      preprocess:
      - {name: scale, factor: 0.1}
      - name: 'null'
    - {name: COST, is_computed: true, value: "2 * {PH}", expected_range: [0, 28], agg: avg, dtype: float}
  reward:
    priorities:
      - {op: down_to, tag: PH, thresh: 10}
      - {tags: [COST], directions: min}
"#;

fn migrated(text: &str) -> Migration {
    migrate(text, Path::new("acid.yaml"), &[]).unwrap_or_else(|refused| panic!("{refused}"))
}

fn errors(text: &str) -> Vec<String> {
    match parse_to_look_at(text, Path::new("acid.yaml")) {
        Ok(_) => Vec::new(),
        Err(refused) => {
            let errors = refused.complaints.into_iter().filter(|said| said.severity == Severity::Error);
            errors.map(|said| said.to_string()).collect()
        }
    }
}

#[test]
fn what_is_left_is_what_only_a_person_can_say() {
    let migration = migrated(THEIRS);
    let left = errors(&migration.text);
    assert_eq!(left.len(), 1, "{left:#?}\n{}", migration.text);
    assert!(left[0].contains("a rate belongs") && left[0].contains("engineering units per second"), "{left:#?}");
    assert_eq!(migration.setpoints, ["PH_SP"]);
    for rate in [Rate::PerSecond(0.001), Rate::Unlimited] {
        let rated = migrate(THEIRS, Path::new("acid.yaml"), &[("PH_SP".to_owned(), rate)]).unwrap();
        assert_eq!(errors(&rated.text), [""; 0]);
        let site = parse_to_look_at(&rated.text, Path::new("acid.yaml")).unwrap().site;
        assert_eq!(site.setpoints[0].settings.limits.run.rate, rate);
        let AgentOptions { critic_updates, actor_updates, loss_threshold, .. } = site.agent;
        assert_eq!((critic_updates, actor_updates, loss_threshold), (4, 2, 0.0002));
        assert_eq!(site.connections[0].heartbeat.as_ref().map(|beat| beat.node.as_str()), Some("ns=2;s=heartbeat"));
    }
}

#[test]
fn every_change_is_told_with_its_line_and_what_to_write_instead() {
    let migration = migrated(THEIRS);
    let of = |key: &str| migration.changes.iter().filter(|change| change.key == key).collect::<Vec<_>>();
    let line = |needle: &str| THEIRS[..THEIRS.find(needle).unwrap()].matches('\n').count() + 1;
    for (key, done, needle, remark) in [
        ("log_path", Done::LeftOut, "log_path", "JSON lines"),
        ("setpoint_ping_period", Done::LeftOut, "setpoint_ping", "runtime.refresh"),
        ("heartbeat_node_id", Done::Renamed, "heartbeat_node_id", "`node`"),
        ("max_counter", Done::LeftOut, "max_counter", "1000"),
        ("max_critic_updates", Done::Renamed, "max_critic", "`critic_updates`"),
        ("max_internal_actor_updates", Done::Renamed, "max_internal", "`actor_updates`"),
        ("policy", Done::LeftOut, "policy: {", "ensemble_aggregation"),
        ("critic", Done::LeftOut, "critic:", "critic_lr"),
        ("tag", Done::LeftOut, "tag: x", "no such key"),
        ("outlier", Done::Renamed, "outlier", "`filter`"),
        ("preprocess", Done::LeftOut, "preprocess", "agent.traces"),
        ("is_computed", Done::Replaced, "is_computed", "type"),
        ("dtype", Done::LeftOut, "dtype", "server"),
    ] {
        let [change] = of(key)[..] else { panic!("{key}: {:?}", of(key)) };
        assert_eq!((change.line, change.done), (line(needle), done), "{key}");
        assert!(change.remark.contains(remark), "{change:?}");
    }
    let passwords: Vec<_> = of("password").iter().map(|change| (change.line, change.done)).collect();
    assert_eq!(passwords, [(line("\"hunter2"), Done::Replaced), (line("\"hunter3"), Done::Replaced)]);
    assert!(migration.changes.is_sorted_by_key(|change| if change.line == 0 { usize::MAX } else { change.line }));
    assert!(!migration.text.contains("hunter"), "no password is taken along");
}

#[test]
fn comments_and_order_stay_and_what_is_left_out_can_be_read() {
    let text = migrated(THEIRS).text;
    for kept in [
        "# the acid plant\n",
        "# where logs go",
        "# of the plant",
        "# 180 days",
        "# why this one",
        "# what the agent moves",
    ] {
        assert!(text.contains(kept), "{kept}\n{text}");
    }
    assert!(text.contains("    - # Left out: "), "{text}");
    assert!(text.contains("\n      # agg: last\n      name: PH\n"), "{text}");
    assert!(text.contains("\n      # preprocess:\n      # - {name: scale, factor: 0.1}\n"), "{text}");
    assert!(text.contains("- {name: COST, type: computed, value: \"2 * {PH}\", expected_range: [0, 28]}"), "{text}");
    assert!(text.contains("    # agg: avg\n"), "{text}");
    // Twice is once: nothing but what is to be filled in.
    assert_eq!(migrated(&text).changes, []);
    assert_eq!(migrated(&text).text, text);
}

#[test]
fn a_file_of_ours_stays_as_it_is() {
    let migration = migrated(crate::example());
    assert_eq!((migration.text.as_str(), migration.changes), (crate::example(), vec![]));
}

#[test]
fn their_document_marker_goes_unless_the_end_is_marked_too() {
    let migration = migrated(&format!("# head\n---\n{THEIRS}"));
    assert!(
        migration.text.starts_with("# head\n\n# the acid plant\nschema: corerl/1\nagent_name"),
        "{}",
        migration.text
    );
    assert_eq!(migration.changes.iter().find(|change| change.key == "---").map(|change| change.line), Some(2));
    let closed = migrated(&format!("---\n{THEIRS}...\n"));
    assert!(closed.text.starts_with("---\n") && closed.text.ends_with("nominal\n...\n"), "{}", closed.text);
    assert_eq!(errors(&closed.text).len(), 1);
}

#[test]
fn what_is_no_yaml_is_refused_with_the_readers_words() {
    let refused = migrate("agent_name: [", Path::new("acid.yaml"), &[]).unwrap_err();
    assert!(refused.to_string().contains("acid.yaml:"), "{refused}");
}

#[test]
fn a_layout_that_cannot_be_edited_is_refused_rather_than_changed_in_meaning() {
    let refused = migrate("metrics: [\n1\n]\nagent_name: acid\n", Path::new("acid.yaml"), &[]).unwrap_err();
    assert!(refused.to_string().contains("cannot be edited"), "{refused}");
}

#[test]
fn a_key_in_a_place_where_its_new_name_means_nothing_is_left_out() {
    let text = "interaction: {obs_period: 1s, max_critic_updates: 4}\nagent: {max_critic_updates: 5}\n";
    let text = text.replace("{", "\n  ").replace(", ", "\n  ").replace('}', "");
    let migrated = migrate(&text, Path::new("acid.yaml"), &[]).unwrap().text;
    assert!(migrated.contains("  # max_critic_updates: 4") && migrated.contains("\n  critic_updates: 5"), "{migrated}");
    assert_eq!(migrate(&migrated, Path::new("acid.yaml"), &[]).unwrap().text, migrated);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_is_cut_or_shifted_comes_out_as_meant_or_not_at_all(
        cuts in prop::collection::vec((0..90_usize, 0..4_usize), 0..6), crlf: bool,
    ) {
        let mut lines: Vec<String> = THEIRS.lines().map(str::to_owned).collect();
        for (place, what) in cuts {
            let place = place % lines.len();
            match what {
                0 => drop(lines.remove(place)),
                1 => lines.insert(place, "# remark".to_owned()),
                2 => lines[place] = format!("  {}", lines[place]),
                _ => lines[place] = lines[place].replace(':', ": # x\n   "),
            }
        }
        let text = lines.join(if crlf { "\r\n" } else { "\n" });
        // That the tree is the one that was meant is checked inside; here it must not panic, and has to be stable.
        if let Ok(migration) = migrate(&text, Path::new("acid.yaml"), &[]) {
            let again = migrate(&migration.text, Path::new("acid.yaml"), &[]).expect("what came out goes in");
            prop_assert_eq!(again.text, migration.text);
        }
    }

    #[test]
    fn no_mutation_panics_and_what_comes_out_has_no_key_left_that_means_nothing(
        at in 0..THEIRS.len(),
        length in 0..12_usize,
        put in prop_oneof!["[ -~\\n]{0,6}", Just("{".to_owned()), Just("\"out\\u006cier\": 1".to_owned()), "\\PC{0,3}"],
    ) {
        let mut bytes = THEIRS.as_bytes().to_vec();
        bytes.splice(at..(at + length).min(THEIRS.len()), put.bytes());
        let text = String::from_utf8_lossy(&bytes);
        if let Ok(migration) = migrate(&text, Path::new("acid.yaml"), &[]) {
            let again = migrate(&migration.text, Path::new("acid.yaml"), &[]).expect("what came out goes in");
            prop_assert_eq!(again.changes, [], "{}", migration.text);
        }
    }
}
