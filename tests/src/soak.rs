//! Counts that a soak raises: a test repeats what it does as often as it is told to.

/// How often: as `CORERL_SOAK_COUNT` says, else as `usual`.
///
/// # Panics
/// It says something that is no number.
pub fn count(usual: u64) -> u64 {
    number("CORERL_SOAK_COUNT").unwrap_or(usual)
}

/// Where chance begins: as `CORERL_SOAK_SEED` says, else at 1.
///
/// # Panics
/// It says something that is no number.
pub fn seed() -> u64 {
    number("CORERL_SOAK_SEED").unwrap_or(1)
}

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is `{text}`, which is no number")))
}

/// Prints how long something took, in a line that `cargo xtask soak` shows: a goal that no test asserts.
pub fn tell_durations(what: &str, mut durations_ns: Vec<u64>) {
    durations_ns.sort_unstable();
    let rank = |share: f64| (durations_ns.len() as f64 * share).ceil() as usize;
    let ms = |share: f64| durations_ns.get(rank(share).saturating_sub(1)).map_or(f64::NAN, |ns| *ns as f64 / 1e6);
    let (count, median, p99, longest) = (durations_ns.len(), ms(0.5), ms(0.99), ms(1.0));
    println!("figures: {what}: {count} times, median {median:.0} ms, p99 {p99:.0} ms, longest {longest:.0} ms");
}
