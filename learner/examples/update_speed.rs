//! Times the learner's updates: ten of the critics and thirty of the actor per observation, in wall and CPU time.
//!
//! `cargo run --release -p learner --example update_speed -- 2`
#![forbid(unsafe_code)]

use std::time::Instant;

use learner::yardstick::{MULTIPLY_ADDS_PER_STEP, Yardstick, multiply_add};
use learner::{Agent, AgentOptions, AgentShape, Step};
use rustix::time::{ClockId, clock_gettime};

/// Observations that are timed.
const OBSERVATIONS: u64 = 8;

fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

fn observe(agent: &mut Agent, sequence: u64) {
    let AgentShape { state, action } = agent.shape();
    let number = |i: usize| ((sequence as usize * 31 + i * 17) % 101) as f32 / 101.0;
    let state: Vec<f32> = (0..state).map(number).collect();
    let nominal: Vec<f32> = (0..action).map(number).collect();
    agent.observe(&Step {
        sequence,
        complete: true,
        reward: Some(-number(3)),
        decision: true,
        gap: false,
        state: &state,
        action: &nominal,
        lo: &vec![0.0; action],
        hi: &vec![1.0; action],
    });
}

fn time(shape: AgentShape, threads: usize) -> Result<(), Box<dyn std::error::Error>> {
    let options = AgentOptions { loss_threshold: 0.0, nominal_critic_steps: 200, ..AgentOptions::default() };
    let mut agent = Agent::new(shape, options, &vec![0.5; shape.action], threads)?;
    let (wall, cpu) = (Instant::now(), cpu_seconds());
    agent.learn_nominal(|| true);
    let (nominal_wall, nominal_cpu) = (wall.elapsed().as_secs_f64(), cpu_seconds() - cpu);
    for sequence in 0..1_000 {
        observe(&mut agent, sequence);
    }
    // Lets go of the updates that are owed so far, but for the last ten.
    agent.update();
    let mut best = (f64::INFINITY, f64::INFINITY);
    for _ in 0..OBSERVATIONS {
        let (wall, cpu) = (Instant::now(), cpu_seconds());
        for _ in 0..10 {
            agent.update();
        }
        best.0 = f64::min(best.0, wall.elapsed().as_secs_f64());
        best.1 = f64::min(best.1, cpu_seconds() - cpu);
    }
    println!(
        "{:3} -> {} {threads} threads: nominal 200+100 steps {:.3} s wall {:.3} s CPU, 10+30 updates {:.4} s wall {:.4} s CPU; {:?}",
        shape.state,
        shape.action,
        nominal_wall,
        nominal_cpu,
        best.0,
        best.1,
        agent.counts()
    );
    Ok(())
}

fn yardstick() -> Result<(), Box<dyn std::error::Error>> {
    for threads in [1, 2] {
        let mut it = Yardstick::new(threads)?;
        it.step();
        let mut shares = Vec::new();
        for _ in 0..9 {
            let start = cpu_seconds();
            let done = multiply_add(20_000_000_000);
            let peak = done as f64 / (cpu_seconds() - start);
            let (start, wall) = (cpu_seconds(), Instant::now());
            for _ in 0..20 {
                it.step();
            }
            let (cpu, wall) = (cpu_seconds() - start, wall.elapsed().as_secs_f64());
            let done = 20.0 * MULTIPLY_ADDS_PER_STEP as f64;
            shares.push((done / cpu / peak, peak * 2e-9, 20.0 / wall));
        }
        shares.sort_by(|a, b| a.0.total_cmp(&b.0));
        println!("yardstick, {threads} threads: share of the peak by CPU time, peak GF, steps/s: {:?}", shares);
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    yardstick()?;
    if std::env::args().count() > 1 {
        return Ok(());
    }
    for threads in [1, 2] {
        time(AgentShape { state: 10, action: 1 }, threads)?;
        time(AgentShape { state: 248, action: 8 }, threads)?;
    }
    Ok(())
}
