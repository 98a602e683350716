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
