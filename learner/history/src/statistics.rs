//! What a table says of each tag by itself, and of how tags go together.

use serde::Serialize;

use crate::table::{Cell, Column, Table};

/// Quantiles that are told, beside the extremes.
const LOW: f64 = 0.01;
const HIGH: f64 = 0.99;
/// How many rows one tag may follow another one.
const LAG_MAX: usize = 60;
/// Rows that a correlation is taken over, at most: more of them, evenly apart.
const CORRELATED_ROWS_MAX: usize = 20_000;
/// Of a mean square, what rounding may leave of nothing.
const ROUNDING: f64 = 1e-20;
/// Fewer pairs say nothing of a correlation.
const PAIRS_MIN: usize = 30;

/// What is known of one tag.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TagFacts {
    /// Its name.
    pub name: String,
    /// Rows with a value.
    pub values: usize,
    /// Rows that say there is none.
    pub bad: usize,
    /// Rows that say nothing.
    pub empty: usize,
    /// The lowest value; none without values, like what follows.
    pub min: Option<f64>,
    /// The highest value.
    pub max: Option<f64>,
    /// The mean.
    pub mean: Option<f64>,
    /// The standard deviation.
    pub deviation: Option<f64>,
    /// One value in a hundred is lower.
    pub low: Option<f64>,
    /// One value in a hundred is higher.
    pub high: Option<f64>,
    /// It never changes.
    pub constant: bool,
    /// The longest time without a value, seconds.
    pub longest_gap_s: f64,
}

/// How two tags go together.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Correlation {
    /// The one that leads.
    pub one: String,
    /// The one that follows.
    pub other: String,
    /// By so many rows.
    pub lag_rows: usize,
    /// Pearson's coefficient at that lag.
    pub coefficient: f64,
}

impl TagFacts {
    /// What this column says.
    #[must_use]
    pub fn of(table: &Table, column: &Column) -> Self {
        let mut values: Vec<f64> = column.cells().filter_map(Cell::value).collect();
        let bad = column.cells().filter(|cell| *cell == Cell::Bad).count();
        let count = values.len();
        let mean = values.iter().sum::<f64>() / count as f64;
        let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count as f64;
        values.sort_by(f64::total_cmp);
        let at = |share: f64| values.get(((count.saturating_sub(1)) as f64 * share).round() as usize).copied();
        let there = |number: f64| Some(number).filter(|_| count > 0);
        Self {
            name: column.name.clone(),
            values: count,
            bad,
            empty: column.cells().len() - count - bad,
            min: at(0.0),
            max: at(1.0),
            mean: there(mean),
            deviation: there(variance.sqrt()),
            low: at(LOW),
            high: at(HIGH),
            constant: count > 0 && at(0.0) == at(1.0),
            longest_gap_s: longest_gap_ns(table, column) as f64 / 1e9,
        }
    }
}

fn longest_gap_ns(table: &Table, column: &Column) -> i64 {
    let with_value = column.cells().zip(&table.times_ns).filter(|(cell, _)| cell.value().is_some());
    let ends = [table.times_ns.first(), table.times_ns.last()];
    let [first, last] = ends.map(|time| time.copied().unwrap_or(0));
    let (mut before, mut longest) = (first, 0);
    for time in with_value.map(|(_, time)| *time).chain([last]) {
        (longest, before) = (longest.max(time - before), time);
    }
    longest
}

/// The strongest correlation of each pair of tags at any lag of up to 60 rows, in either direction, strongest first. Of a long
/// table some of the rows are taken, evenly apart.
#[must_use]
pub fn correlations(table: &Table) -> Vec<Correlation> {
    let stride = table.times_ns.len().div_ceil(CORRELATED_ROWS_MAX).max(1);
    let rows = |column: &Column| -> Vec<f64> {
        column.cells().step_by(stride).map(|cell| cell.value().unwrap_or(f64::NAN)).collect()
    };
    let columns: Vec<Vec<f64>> = table.columns.iter().map(rows).collect();
    let mut found = Vec::new();
    for one in 0..columns.len() {
        for other in 0..columns.len() {
            if one == other {
                continue;
            }
            // Without a lag the order of a pair says nothing.
            let lags = usize::from(one > other)..=LAG_MAX;
            let best = lags.filter_map(|lag| Some((lag, correlation(&columns[one], &columns[other], lag)?)));
            let best = best.max_by(|a, b| a.1.abs().total_cmp(&b.1.abs()));
            found.extend(best.map(|(lag, coefficient)| Correlation {
                one: table.columns[one].name.clone(),
                other: table.columns[other].name.clone(),
                lag_rows: lag * stride,
                coefficient,
            }));
        }
    }
    found.sort_by(|a, b| b.coefficient.abs().total_cmp(&a.coefficient.abs()));
    strongest_of_each_pair(found)
}

fn strongest_of_each_pair(sorted: Vec<Correlation>) -> Vec<Correlation> {
    let mut seen = std::collections::BTreeSet::new();
    let is_first = |found: &Correlation| {
        let (one, other) = (found.one.clone().min(found.other.clone()), found.one.clone().max(found.other.clone()));
        seen.insert((one, other))
    };
    let mut is_first = is_first;
    sorted.into_iter().filter(|found| is_first(found)).collect()
}

/// Pearson's coefficient of `one` with what `other` is `lag` rows later; `None` where one of them does not change.
pub(crate) fn correlation(one: &[f64], other: &[f64], lag: usize) -> Option<f64> {
    let pairs = || one.iter().zip(other.iter().skip(lag)).filter(|(x, y)| x.is_finite() && y.is_finite());
    let count = pairs().count();
    if count < PAIRS_MIN {
        return None;
    }
    let share = 1.0 / count as f64;
    let (mean_x, mean_y) = pairs().fold((0.0, 0.0), |(sx, sy), (x, y)| (sx + x * share, sy + y * share));
    let (xx, yy, xy) = pairs().fold((0.0, 0.0, 0.0), |(xx, yy, xy), (x, y)| {
        let (x, y) = (x - mean_x, y - mean_y);
        (xx + x * x, yy + y * y, xy + x * y)
    });
    // What rounding leaves of a tag that never changes is no change.
    let moves = |squares: f64, mean: f64| squares > ROUNDING * count as f64 * mean * mean && squares > 0.0;
    (moves(xx, mean_x) && moves(yy, mean_y)).then(|| xy / (xx * yy).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(rows: impl Iterator<Item = Vec<String>>, names: &str) -> Table {
        let text = rows
            .enumerate()
            .fold(format!("time,{names}\n"), |text, (at, cells)| text + &format!("{at},{}\n", cells.join(",")));
        Table::parse(text.as_bytes(), b',').unwrap()
    }

    #[test]
    fn facts_of_a_tag_count_every_row_once() {
        let cells = ["1", "", "bad", "3", "2", "", "", ""];
        let table = table(cells.iter().map(|cell| vec![(*cell).to_owned()]), "A");
        let facts = TagFacts::of(&table, &table.columns[0]);
        assert_eq!((facts.values, facts.bad, facts.empty), (3, 1, 4));
        assert_eq!((facts.min, facts.max, facts.mean), (Some(1.0), Some(3.0), Some(2.0)));
        assert!((facts.deviation.unwrap() - (2.0_f64 / 3.0).sqrt()).abs() < 1e-12);
        assert!((facts.longest_gap_s - 3.0).abs() < 1e-12, "from row 0 to row 3, and from row 4 to the end");
        assert!(!facts.constant);
    }

    #[test]
    fn a_tag_without_values_and_one_that_never_changes_are_told_apart() {
        let table = table((0..5).map(|_| vec!["bad".to_owned(), "7".to_owned()]), "A,B");
        let [nothing, constant] = [0, 1].map(|column: usize| TagFacts::of(&table, &table.columns[column]));
        assert_eq!((nothing.values, nothing.min, nothing.mean, nothing.constant), (0, None, None, false));
        assert_eq!((constant.constant, constant.deviation), (true, Some(0.0)));
        assert!((nothing.longest_gap_s - 4.0).abs() < 1e-12);
    }

    #[test]
    fn a_tag_that_follows_another_one_is_found_with_its_lag() {
        let value = |at: i64| (at as f64 * 0.37).sin() + (at as f64 * 0.11).cos();
        let rows = (0..500).map(|at| {
            let noise = (at as f64 * 12.9898).sin() * 43_758.545;
            vec![
                value(at).to_string(),
                (-2.0 * value(at - 7)).to_string(),
                (noise - noise.floor()).to_string(),
                "1".to_owned(),
            ]
        });
        let found = correlations(&table(rows, "u,y,noise,constant"));
        let Correlation { one, other, lag_rows, coefficient } = &found[0];
        assert_eq!((one.as_str(), other.as_str(), *lag_rows), ("u", "y", 7));
        assert!(*coefficient < -0.999, "{coefficient}");
        assert_eq!(found.len(), 3, "a tag that never changes goes with none");
        assert!(found.iter().skip(1).all(|other| other.coefficient.abs() < 0.4), "{found:?}");
    }
}
