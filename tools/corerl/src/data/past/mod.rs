//! What the historian has kept of agents, for people: `corerl data query`, `tags`, `gaps`, `events`, `at`, `plot`, `export`,
//! and how the historian is: `status`.

pub(super) mod clock;
pub(super) mod events;
pub(super) mod export;
pub(super) mod gaps;
pub(super) mod inventory;
pub(super) mod moment;
mod place;
pub(super) mod plot;
pub(super) mod query;
mod series;
mod sheet;
pub(super) mod status;
pub(super) mod time;
pub(super) mod verify;

pub(super) use place::Where;

/// A number for people: as few digits as say it, six at most, a dash for none.
fn number(value: f64) -> String {
    if value.is_nan() {
        return "-".to_owned();
    }
    let size = value.abs();
    if size != 0.0 && !(1e-4..1e9).contains(&size) {
        return format!("{value:.5e}");
    }
    let digits = if size < 1.0 { 6 } else { 5 - size.log10().floor().min(5.0) as usize };
    let text = format!("{value:.digits$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn numbers_have_no_more_digits_than_a_person_reads() {
        let told = [0.0, 0.5, 1.0, -12.345_678_9, 123_456.789, 2e9, 1.5e-7, f64::NAN].map(number);
        assert_eq!(told, ["0", "0.5", "1", "-12.3457", "123457", "2.00000e9", "1.50000e-7", "-"]);
    }
}
