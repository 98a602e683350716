//! Times observation and decision of a site with 58 tags, 8 of them setpoints, against a bare forward pass.
//! `cargo run --release -p policy --example cycle_speed`
#![allow(missing_docs)]

use std::hint::black_box;
use std::time::Instant;

use policy::kernels::{Kernel, PackedNet};
use policy::{AdoptedPolicy, Agent, PolicySource, actor_spec};
use rt_config::{Site, Source, TagKind};
use rt_core::image::Image;
use rt_core::ports::{Moment, Policy};
use rt_core::setpoint::SETPOINTS_MAX;
use rt_core::tag::{Quality, Sample, TagId};
use rt_core::time::{MonoTime, Span};

struct Fixed(AdoptedPolicy);

impl PolicySource for Fixed {
    fn refresh(&mut self) -> bool {
        false
    }

    fn current(&self) -> Option<&AdoptedPolicy> {
        Some(&self.0)
    }
}

/// The example site, its first setpoint and its first measured tag many times.
fn site() -> Site {
    let mut site = rt_config::parse(rt_config::example(), "site.yaml".as_ref()).unwrap().site;
    let (tag, measured) = (site.tags[0].clone(), site.tags[2].clone());
    let setpoint = site.setpoints[0].clone();
    let renamed = |tag: &rt_config::Tag, index: usize| rt_config::Tag {
        name: format!("TAG_{index}"),
        source: Some(Source { connection: 0, node: format!("ns=2;i={index}") }),
        ..tag.clone()
    };
    for index in site.tags.len()..58 {
        let as_setpoint = site.setpoints.len() < 8;
        site.tags.push(renamed(if as_setpoint { &tag } else { &measured }, index));
        if as_setpoint {
            let mut more = setpoint.clone();
            more.tag = TagId::new(index).unwrap();
            more.settings.tag = more.tag;
            site.setpoints.push(more);
        }
    }
    site.tags.iter_mut().for_each(|tag| tag.in_state = true);
    site.tags.iter_mut().for_each(|tag| tag.normal_range = tag.normal_range.or(measured.normal_range));
    site
}

fn main() {
    let site = site();
    let columns = policy::pipeline::Columns::of(&site).len();
    let spec = actor_spec(columns, site.setpoints.len());
    let policy = AdoptedPolicy::nominal(&spec, &site).unwrap();
    let net: PackedNet = policy.net().clone();
    let kernel = Kernel::best();
    let mut agent = Agent::new(&site, Fixed(policy), kernel).unwrap();
    let mut image = Image::new(&site.tags.iter().map(|tag| tag.settings).collect::<Vec<_>>()).unwrap();
    let (mut scratch, mut out) = (net.scratch(), vec![0.0; spec.outputs()]);
    let state: Vec<f32> = (0..columns).map(|i| (i % 7) as f32 * 0.1).collect();
    let mut times = [Vec::new(), Vec::new(), Vec::new()];
    for cycle in 0..20_000_u64 {
        let release = MonoTime::ZERO + Span::from_ms(cycle);
        for (index, tag) in site.tags.iter().enumerate() {
            if !matches!(tag.kind, TagKind::Computed(_)) {
                let tag = TagId::new(index).unwrap();
                let (value, source_time) = (0.3, cycle as i64 + 1);
                image.receive(&Sample { tag, value, quality: Quality::Good, received: release, source_time });
            }
        }
        image.advance(release);
        let moment = Moment { cycle, release, decision: true, gap: false, mode: 2 };
        let start = Instant::now();
        let observed = agent.observe(black_box(&image), &moment);
        let observed_at = Instant::now();
        assert!(observed.complete);
        agent.decide(true, black_box(&mut [0.0; SETPOINTS_MAX])).unwrap();
        let decided_at = Instant::now();
        net.forward(kernel, black_box(&state), &mut scratch, black_box(&mut out));
        let end = Instant::now();
        let spans = [observed_at - start, decided_at - observed_at, end - decided_at];
        times.iter_mut().zip(spans).for_each(|(times, span)| times.push(span.as_nanos()));
    }
    println!("{} tags, {columns} columns, {:?}", site.tags.len(), kernel.kind());
    for (name, times) in ["observe", "decide", "bare forward pass"].into_iter().zip(&mut times) {
        times.sort_unstable();
        println!("{name:18} p50 {} ns, p99 {} ns", times[times.len() / 2], times[times.len() * 99 / 100]);
    }
}
