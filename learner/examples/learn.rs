//! Learns one of the simulated plants offline and prints the mean of the first and the last 100 rewards per seed.
//!
//! `cargo run --release -p learner --example learn -- --plant saturation --steps 600 --seeds 3`
#![forbid(unsafe_code)]

use std::time::Instant;

use clap::Parser;
use learner::AgentOptions;
use learner::experiment::{Experiment, Run};

/// Agent and plant in one process, in simulated time.
#[derive(Parser)]
struct Arguments {
    #[arg(long, default_value = "saturation")]
    plant: String,
    #[arg(long, default_value_t = 600)]
    steps: u64,
    #[arg(long, default_value_t = 3)]
    seeds: u64,
    #[arg(long, default_value_t = 1)]
    first_seed: u64,
    /// Permitted change per step, normalised.
    #[arg(long, default_value_t = 0.2)]
    delta: f32,
    #[arg(long, default_value_t = 0.99)]
    gamma: f64,
    #[arg(long, default_value_t = 2)]
    ensemble: usize,
    #[arg(long, default_value_t = 0.5)]
    ensemble_probability: f64,
    #[arg(long, default_value_t = 256)]
    batch_size: usize,
    #[arg(long, default_value_t = 128)]
    candidates: usize,
    #[arg(long, default_value_t = 10)]
    next_actions: usize,
    #[arg(long, default_value_t = 1e-4)]
    critic_lr: f64,
    #[arg(long, default_value_t = 1e-4)]
    actor_lr: f64,
    #[arg(long, default_value_t = 10)]
    critic_updates: usize,
    #[arg(long, default_value_t = 3)]
    actor_updates: usize,
    #[arg(long, default_value_t = 1e-4)]
    loss_threshold: f64,
    /// Updates that the CPU allows per step.
    #[arg(long, default_value_t = 10.0)]
    updates_per_step: f64,
    #[arg(long, default_value_t = 1000)]
    nominal_critic_steps: usize,
    /// Print the mean of every n rewards.
    #[arg(long)]
    every: Option<usize>,
}

fn mean(rewards: &[f64]) -> f64 {
    rewards.iter().sum::<f64>() / rewards.len().max(1) as f64
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let a = Arguments::parse();
    for seed in a.first_seed..a.first_seed + a.seeds {
        let mut plant = plants::by_name(&a.plant, seed)?;
        let experiment = Experiment {
            steps: a.steps,
            delta: a.delta,
            updates_per_step_max: a.updates_per_step,
            options: AgentOptions {
                seed,
                gamma: a.gamma,
                ensemble: a.ensemble,
                ensemble_probability: a.ensemble_probability,
                batch_size: a.batch_size,
                candidates: a.candidates,
                next_actions: a.next_actions,
                critic_lr: a.critic_lr,
                actor_lr: a.actor_lr,
                critic_updates: a.critic_updates,
                actor_updates: a.actor_updates,
                loss_threshold: a.loss_threshold,
                nominal_critic_steps: a.nominal_critic_steps,
                ..AgentOptions::default()
            },
        };
        let start = Instant::now();
        let mut run = Run::new(plant.as_mut(), &experiment)?;
        let mut rewards = Vec::new();
        for step in 1..=a.steps {
            rewards.push(run.step());
            if a.every.is_some_and(|every| step.is_multiple_of(every as u64)) {
                let recent = &rewards[rewards.len() - a.every.unwrap_or(1)..];
                println!("  {step}: {:.4}, gate {:?}", mean(recent), run.agent().pass_gate());
            }
        }
        let end = rewards.len();
        println!(
            "{} seed {seed}: first 100 {:.4}, last 100 {:.4}, {:.1} s",
            a.plant,
            mean(&rewards[..end.min(100)]),
            mean(&rewards[end.saturating_sub(100)..]),
            start.elapsed().as_secs_f64()
        );
    }
    Ok(())
}
