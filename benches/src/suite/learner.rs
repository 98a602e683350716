//! What an update costs, at the defaults and with the largest ensemble, on one thread and on two.
//!
//! The networks are the agent's own. An update is one of all critics; "with actor" adds one of actor and proposal, each
//! with its candidates judged by the critics. An observation is worth ten updates with three of the actor after each.
//!
//! The yardstick is a task on which other programs have been measured, against as many multiplications and additions in
//! registers, and against the same task in JAX, on the same CPUs, as many as there are threads.

mod jax;

use learner::yardstick::{MULTIPLY_ADDS_PER_STEP, Yardstick, multiply_add};
use learner::{Agent, AgentOptions, AgentShape, ENSEMBLE_MAX, Step};

use crate::harness::{Contest, Estimate, Row, Seats, nanoseconds_of};
use crate::peer::{Peer, Role, with_role};
use jax::Jax;

const ROUNDS: usize = 20;
/// The 58-tag site of the cycle's benchmark.
const SHAPE: AgentShape = AgentShape { state: 248, action: 8 };
/// More than two batches.
const EXPERIENCE: u64 = 600;
/// By the number of threads: so much of what bare multiplications and additions reach is reached by a full step, at least.
const YARDSTICK_SHARES_MIN: [(usize, f64); 2] = [(1, 0.68), (2, 0.62)];
/// And as many times as fast as JAX, at least.
const JAX_RATIO_MIN: f64 = 1.3;
/// Steps in a row of the yardstick's contestants: what the first one finds in the caches is another one's.
const STEPS: usize = 5;

/// One kind of agent to be timed.
struct Case {
    name: &'static str,
    ensemble: usize,
    actor_updates: usize,
    threads: usize,
}

pub(super) fn run(peers: &[Peer]) -> Result<Vec<Row>, String> {
    let case = |name, ensemble, actor_updates, threads| Case { name, ensemble, actor_updates, threads };
    let product = AgentOptions::default().actor_updates;
    let few = AgentOptions::default().ensemble;
    let cases = [
        case("defaults (2 critics), critics", few, 0, 1),
        case("defaults (2 critics), critics and actor", few, 1, 1),
        case("defaults (2 critics), critics and actor, 2 threads", few, 1, 2),
        case("defaults (2 critics), critics and 3 of the actor", few, product, 1),
        case("defaults (2 critics), critics and 3 of the actor, 2 threads", few, product, 2),
        case("10 critics, critics and actor", ENSEMBLE_MAX, 1, 1),
        case("10 critics, critics and actor, 2 threads", ENSEMBLE_MAX, 1, 2),
    ];
    let mut agents = cases.iter().map(agent).collect::<Result<Vec<_>, _>>()?;
    let mut contest = Contest::of_samples(ROUNDS, 1);
    for (case, agent) in cases.iter().zip(&mut agents) {
        contest = contest.sample(case.name, || update(agent));
    }
    let standings = contest.run();
    let mut rows = Vec::new();
    for case in &cases {
        let ns = standings.p50(case.name);
        rows.push(Row::measured(case.name, ns.times(1e-6), "ms"));
        rows.push(Row::measured(format!("{}, rate", case.name), per_second(ns), "/s"));
    }
    rows.push(Row::ratio("control", standings.control()).note("the first against itself"));
    for (threads, share) in YARDSTICK_SHARES_MIN {
        rows.extend(yardstick(threads, 1.0 / share, peers)?);
    }
    Ok(rows)
}

/// A full step of the yardstick against as many multiplications and additions on as many threads, and against JAX.
fn yardstick(threads: usize, ratio_max: f64, peers: &[Peer]) -> Result<Vec<Row>, String> {
    let _seats = Seats::share(threads);
    let mut task = Yardstick::new(threads).map_err(|error| error.to_string())?;
    let mut jax = with_role(peers, Role::Jax).map(|python| Jax::start(python)).transpose()?;
    let mut contest = Contest::of_series(ROUNDS, STEPS)
        .sample("multiply-add", || nanoseconds_of(|| multiply_adds(threads)))
        .sample("step", || nanoseconds_of(|| task.step()));
    if let Some(jax) = &mut jax {
        contest = contest.series("JAX", |steps| jax.steps(steps));
    }
    let standings = contest.run();
    let row = |what: &str| format!("yardstick, {threads} threads, {what}");
    let mut rows = vec![
        Row::measured(row("full steps"), per_second(standings.p50("step")), "/s"),
        Row::ratio(row("full step : multiply-add"), standings.ratio("step", "multiply-add")).at_most(ratio_max),
        Row::ratio(row("control"), standings.control()).note("multiply-add against itself"),
    ];
    match jax {
        None => rows.push(Row::not_measured(row("full step : JAX")).note("JAX cannot be had here")),
        Some(jax) if jax.failed => return Err("JAX's process has ended, or gave no times".to_owned()),
        Some(_) => rows.extend([
            Row::measured(row("JAX, full steps"), per_second(standings.p50("JAX")), "/s"),
            Row::ratio(row("JAX, full step : multiply-add"), standings.ratio("JAX", "multiply-add")),
            Row::ratio(row("full step : JAX"), standings.ratio("step", "JAX")).at_most(1.0 / JAX_RATIO_MIN),
        ]),
    }
    Ok(rows)
}

/// What a full step multiplies and adds, on so many threads.
fn multiply_adds(threads: usize) {
    let each = MULTIPLY_ADDS_PER_STEP / threads as u64;
    std::thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(move || multiply_add(each));
        }
        multiply_add(each);
    });
}

fn per_second(ns: Estimate) -> Estimate {
    let [lo, hi] = ns.interval;
    Estimate { median: 1e9 / ns.median, interval: [1e9 / hi, 1e9 / lo] }
}

/// An agent with some experience and no end of updates to make.
fn agent(case: &Case) -> Result<Agent, String> {
    let options = AgentOptions {
        ensemble: case.ensemble,
        actor_updates: case.actor_updates,
        critic_updates: 1_000,
        // No update is let go because the loss has settled.
        loss_threshold: 0.0,
        ..AgentOptions::default()
    };
    let nominal = vec![0.5; SHAPE.action];
    let mut agent = Agent::new(SHAPE, options, &nominal, case.threads).map_err(|error| error.to_string())?;
    for sequence in 0..EXPERIENCE {
        observe(&mut agent, sequence);
    }
    Ok(agent)
}

fn observe(agent: &mut Agent, sequence: u64) {
    let level = |i: usize| ((sequence as usize * 31 + i * 17) % 101) as f32 / 100.0;
    let state: Vec<f32> = (0..SHAPE.state).map(level).collect();
    let action: Vec<f32> = (0..SHAPE.action).map(level).collect();
    agent.observe(&Step {
        sequence,
        complete: true,
        all_read: false,
        reward: Some(-level(3)),
        decision: true,
        gap: false,
        terminal: false,
        state: &state,
        action: &action,
        lo: &[0.0; SHAPE.action],
        hi: &[1.0; SHAPE.action],
    });
}

/// What one update takes, nanoseconds.
fn update(agent: &mut Agent) -> f64 {
    let mut done = None;
    let took = nanoseconds_of(|| done = agent.update());
    assert!(done.is_some(), "an update was due");
    took
}
