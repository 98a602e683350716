//! Alarms of a connection, and nodes that two outputs would share.

use rt_core::alarm::{AlarmSettings, Trouble, Troubles};
use rt_core::time::Span;

use super::{BASE, accepted, complaints};
use crate::complaint::Complaint;

fn with(alarms: &str) -> String {
    format!("{BASE}  io:\n    plc:\n      heartbeat: {{node: ns=2;s=Beat}}\n      alarms: {alarms}\n")
}

fn said(alarms: &str) -> Vec<Complaint> {
    complaints(&with(alarms))
}

#[test]
fn alarms_have_troubles_and_delays() {
    let text = with(
        "[{node: ns=2;s=A, when: [hold, fallback]}, {node: ns=2;s=B, when: [tripped], on_delay: 2s, off_delay: 0s}]",
    );
    let site = accepted(&text).site;
    let alarms: Vec<_> = site.alarms().map(|alarm| (alarm.node.as_str(), alarm.settings)).collect();
    let when = |troubles: &[Trouble]| troubles.iter().fold(Troubles::NONE, |all, trouble| all.with_if(true, *trouble));
    let minute = Span::from_ms(60_000);
    let degraded =
        AlarmSettings { when: when(&[Trouble::Hold, Trouble::Fallback]), on_delay: Span::ZERO, off_delay: minute };
    let tripped =
        AlarmSettings { when: when(&[Trouble::Tripped]), on_delay: Span::from_ms(2_000), off_delay: Span::ZERO };
    assert_eq!(alarms, [("ns=2;s=A", degraded), ("ns=2;s=B", tripped)]);
    assert_eq!(site.cycle_lists().alarms, [degraded, tripped]);
}

#[test]
fn every_word_is_a_trouble_of_its_own() {
    let words =
        "not_in_charge hold fallback release tripped input_bad policy_expired operator slots_skipped write_refused";
    let list: Vec<_> =
        words.split(' ').enumerate().map(|(place, word)| format!("{{node: i={place}, when: [{word}]}}")).collect();
    let site = accepted(&with(&format!("[{}]", list.join(", ")))).site;
    let when: Vec<_> = site.alarms().map(|alarm| alarm.settings.when).collect();
    for (place, one) in when.iter().enumerate() {
        assert!(when.iter().enumerate().all(|(other, troubles)| troubles.meet(*one) == (other == place)));
    }
}

#[test]
fn what_cannot_be_an_alarm_is_refused_with_its_place() {
    let cases = [
        ("[{node: ns=2;s=A, when: []}]", "would never be raised"),
        ("[{node: ns=2;s=A, when: [falback]}]", "which is not possible here"),
        ("[{node: ns=2;s=A}]", "`when`"),
        ("[{node: ns=2;s=A, when: [hold]}, {node: ns=2;s=A, when: [release]}]", "to the same node"),
        ("[{node: ns=2;s=Beat, when: [hold]}]", "to the same node"),
        ("[{node: ns=2;s=PhSp, when: [hold]}]", "the heartbeat, the lease or an alarm of the connection"),
        ("[{node: nonsense, when: [hold]}]", "nonsense"),
    ];
    for (alarms, part) in cases {
        let said = said(alarms);
        assert!(said.iter().any(|said| said.message.contains(part)), "{alarms}: {said:?}");
    }
    let many: Vec<_> = (0..33).map(|place| format!("{{node: i={place}, when: [hold]}}")).collect();
    let said = said(&format!("[{}]", many.join(", ")));
    assert!(said.iter().any(|said| said.message.contains("33 alarms; 32 are possible")), "{said:?}");
}

#[test]
fn two_setpoints_do_not_share_a_node() {
    let second =
        "    - {name: B, type: ai_setpoint, node_identifier: ns=2;s=PhSp, operating_range: [6, 8]}\n  reward:\n";
    let text = BASE.replacen("  reward:\n", second, 1) + "    B: {rate: 1}\n";
    let said = complaints(&text);
    assert!(said.iter().any(|said| said.message.contains("write the same node, the other one in line 18")), "{said:?}");
}
