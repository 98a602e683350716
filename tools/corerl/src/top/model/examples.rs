//! Agents that nobody runs, for the tests of model and view.

use rt_control::{
    AuditStatus, ConnectionStatus, Description, LearnerStatus, LeaseStatus, PROTOCOL, SetpointInfo, Status, TagInfo,
    Wishes,
};
use shm_layout::{CycleHead, CycleLayout};

use super::Model;

/// Cycles of a second each ten, RUN and armed; the last tag never had a value.
pub(in crate::top) fn cycles(model: &mut Model, setpoints: u32, tags: u32, count: u64) {
    let layout = CycleLayout::new(setpoints, tags).unwrap();
    let mut words = vec![0; layout.words()];
    for cycle in 1..=count {
        let record = layout.view_mut(&mut words).unwrap();
        record.head.cycle = cycle;
        record.head.release_ns = cycle * 100_000_000;
        record.head.lateness_ns = 1_000 + 100 * cycle as u32;
        record.head.execution_ns = 20_000;
        record.head.response_ns = 300_000;
        record.head.reward = -0.5;
        (record.head.mode, record.head.flags) = (2, CycleHead::ARMED);
        for (index, part) in record.setpoints.iter_mut().enumerate() {
            let value = 7.0 + index as f64;
            (part.desired, part.sent, part.last, part.readback) = (value + 0.5, value, value - 0.25, f64::NAN);
            part.acted = 1 << 1;
            part.reply = 1;
        }
        for (index, part) in record.tags.iter_mut().enumerate() {
            part.value = index as f64 + cycle as f64 / 10.0;
            part.age_ns = 1_500_000_000;
        }
        if let Some(part) = record.tags.last_mut() {
            (part.value, part.age_ns, part.quality) = (f64::NAN, u64::MAX, 2);
        }
        model.cycle(&layout.view(&words).unwrap());
    }
}

pub(in crate::top) fn description(pid: u32, setpoints: &[&str], tags: &[&str]) -> Description {
    let unit = || "m3/h".to_owned();
    Description {
        protocol: PROTOCOL,
        version: "0.1.0".into(),
        site: "works".into(),
        agent: "ph".into(),
        instance: "main".into(),
        pid,
        run: pid.into(),
        lab: false,
        period_ns: 1_000_000,
        obs_period_ns: 10_000_000,
        action_period_ns: 10_000_000,
        tags: tags.iter().map(|name| TagInfo { name: (*name).into(), unit: unit(), has_zones: false }).collect(),
        setpoints: setpoints
            .iter()
            .map(|name| SetpointInfo { name: (*name).into(), unit: unit(), lo: 5.0, hi: 9.0, scale: [5.0, 9.0] })
            .collect(),
        columns: Vec::new(),
        tag_list_hash: 1,
    }
}

pub(in crate::top) fn status() -> Status {
    Status {
        mode: "RUN".into(),
        armed: true,
        lease: LeaseStatus { leads: true, epoch: 3, partner: None },
        latched: None,
        latched_since: None,
        flight: None,
        with_operator: Vec::new(),
        degraded: vec!["the control thread has no FIFO priority: Operation not permitted".into()],
        preemption: "PREEMPT_DYNAMIC full".into(),
        cycles: 1000,
        slots_skipped: 2,
        policy_generation: 0,
        on_trial: None,
        on_probation: None,
        learner: LearnerStatus { epoch: 1, pid: 78, alive: true, stalled: false, rebuilding: None, health: None },
        wishes: Wishes { goals_judged: 8, goals_met: 7, zones_judged: 0, zones_clear: 0 },
        connections: vec![ConnectionStatus {
            id: "plant".into(),
            url: "opc.tcp://localhost:4840".into(),
            up: true,
            last_error: None,
            claimed: None,
        }],
        audit: AuditStatus { path: "state/works.ph.main.audit".into(), head: None, trouble: None },
        applied: None,
        uptime_s: 61.0,
    }
}
