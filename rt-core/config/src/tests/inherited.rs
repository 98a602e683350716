//! Keys that users bring along from the Python services.

use super::{accepted, complaints};
use crate::Severity;

/// Each of their keys once, in the meaning that it has there.
const THEIRS: &str = r#"agent_name: acid
is_simulation: False
seed: 7
log_path: outputs
lab: true
infra:
  db:
    drivername: postgresql+psycopg2
    username: postgres
    password: {env: PATH}
    ip: localhost
    port: 5432
    db_name: process_data
coreio:
  coreio_origin: tcp://localhost:5557
  opc_connections:
    - connection_id: plc
      opc_conn_url: opc.tcp://localhost:4840/server
      application_uri: urn:acid
      security_policy:
        policy: basic256_sha256
        mode: sign_and_encrypt
        client_cert_path: cert.der
        client_key_path: key.pem
        server_cert_path: plc.der
      authentication_mode: {username: opc, password: {env: PATH}}
  data_ingress: {enabled: true, ingress_period: 00:00:01}
interaction:
  obs_period: 00:00:05
  action_period: 00:01:00
  update_period: 00:00:05
  warmup_period: 00:10:00
  state_age_tol: 00:01:00
  historical_batch_size: 10000
  checkpoint_freq: 01:00:00
  heartbeat: {node: ns=2;s=Heartbeat, period: 00:00:01}
agent: {gamma: 0.97}
pipeline:
  tags:
    - name: PH_SP
      type: ai_setpoint
      connection_id: plc
      node_identifier: ns=2;s=PhAiSp
      operating_range: [6, 8]
      action_bounds: ["{PH_SP} - 0.2", "{PH_SP} + 0.2"]
      guardrail_schedule: {starting_range: [6.9, 7.1], duration: 24:00:00}
      nominal_setpoint: 7
      cascade: {op_sp: PH_OP_SP, ai_sp: ns=2;s=PhAiSp, op_mode: PH_BY_HAND, ai_mode: PH_BY_AGENT}
    - name: PH
      node_identifier: ns=2;s=Ph
      operating_range: [0, 14]
      expected_range: [5, 9]
      yellow_bounds: [5.5, 8.5]
      red_bounds: [5, 9]
      trigger: {condition: "{PH} > 8", event: step_emit_action}
      imputer: {name: linear, imputation_horizon: 3}
      filter: [{name: exp_moving, alpha: 0.99, tolerance: 2.0, warmup: 10}]
      reward_constructor: [{name: identity}]
    - {name: ERROR, type: computed, value: "abs({PH} - 7)", expected_range: [0, 1]}
    - {name: PH_CHANGE, type: delta, node_identifier: ns=2;s=Ph, expected_range: [-1, 1]}
    - {name: time_of_day, type: seasonal}
    - {name: PH_OP_SP, type: meta, node_identifier: ns=2;s=PhOpSp}
    - {name: PH_BY_HAND, type: meta, node_identifier: ns=2;s=PhByHand}
    - {name: PH_BY_AGENT, type: meta, node_identifier: ns=2;s=PhByAgent}
  reward:
    priorities:
      - {op: and, goals: [{op: up_to, tag: PH, thresh: 6.5}, {op: down_to, tag: PH, thresh: "{PH_SP} + 1"}]}
      - {tags: [ERROR, PH], directions: [min, max], weights: [2, 1]}
runtime:
  limits: {PH_SP: {rate: 0.1}}
"#;

#[test]
fn each_key_is_read_and_those_without_effect_are_told() {
    let mut told: Vec<_> = accepted(THEIRS).notices.iter().map(|notice| notice.message.clone()).collect();
    told.retain(|message| message.contains("no effect"));
    let unused =
        ["log_path", "coreio_origin", "enabled", "update_period", "historical_batch_size", "reward_constructor"];
    assert_eq!(told, unused.map(|key| format!("`{key}` has no effect here")));
}

#[test]
fn keys_of_theirs_that_are_not_ours_are_named_with_what_to_write() {
    for (from, to, help) in [
        ("operating_range: [0, 14]", "operating_range: [0, 14]\n      agg: last", "the last value counts"),
        ("op_mode: PH_BY_HAND", "op_mode_val: PH_BY_HAND", "write `op_mode`"),
        ("{node: ns=2;s=Heartbeat", "{max_counter: 10, node: ns=2;s=Heartbeat", "modulo 1000"),
        ("filter: [", "outlier: [", "write `filter`"),
        ("seed: 7", "seed: 7\nexperiment: {seed: 1}", "`agent.gamma`"),
        ("{gamma: 0.97}", "{gamma: 0.97, max_critic_updates: 10}", "write `critic_updates`"),
        ("{gamma: 0.97}", "{gamma: 0.97, policy: {std_bonus: 1.0}}", "`agent` itself"),
        ("{gamma: 0.97}", "{gamma: 0.97, gamma_schedule: {updates: 9, max_gamma: 0.9}}", "grows to `agent.gamma`"),
    ] {
        assert!(THEIRS.contains(from), "{from}");
        let said = complaints(&THEIRS.replacen(from, to, 1));
        let errors: Vec<_> = said.iter().filter(|said| said.severity == Severity::Error).collect();
        let [error] = errors[..] else { panic!("{errors:#?}") };
        assert!(error.message.starts_with("unknown key"), "{error}");
        assert!(error.help.as_deref().unwrap_or_default().contains(help), "{error}");
    }
}
