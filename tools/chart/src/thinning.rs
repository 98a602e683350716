//! As many points of a line as can be seen.

/// Of the points of each column of the picture the first, the lowest, the highest and the last one, in their order. The line
/// through them goes into and out of every column just as it did and covers the same heights in it; so nothing of it is lost,
/// however unevenly the points lie, and no step is slanted by more than a column.
pub(crate) fn thinned(points: &[(f64, f64)], column: impl Fn(f64) -> i64) -> Vec<(f64, f64)> {
    points.chunk_by(|one, next| column(one.0) == column(next.0)).flat_map(corners).collect()
}

fn corners(points: &[(f64, f64)]) -> impl Iterator<Item = (f64, f64)> {
    let by_height = |one: &usize, other: &usize| points[*one].1.total_cmp(&points[*other].1);
    let lowest = (0..points.len()).min_by(by_height);
    let highest = (0..points.len()).max_by(by_height);
    let mut kept: Vec<_> = [Some(0), lowest, highest, points.len().checked_sub(1)].into_iter().flatten().collect();
    kept.sort_unstable();
    kept.dedup();
    kept.into_iter().map(|at| points[at])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Some columns of a picture that begins at 0.
    const WIDTH: f64 = 10.0;

    fn column(x: f64) -> i64 {
        (x / WIDTH) as i64
    }

    /// Values that hold until the next one: two points for each.
    fn steps() -> impl Strategy<Value = Vec<(f64, f64)>> {
        let held = (prop_oneof![0.0..0.3, 0.0..4.0, 0.0..40.0], -5.0..5.0);
        prop::collection::vec(held, 1..200).prop_map(|held| {
            let mut at = 0.0;
            let mut points = Vec::new();
            for (span, value) in held {
                points.extend([(at, value), (at + span, value)]);
                at += span;
            }
            points
        })
    }

    /// The heights that a line has at a place: one, or all those of a rise.
    fn heights(line: &[(f64, f64)], x: f64) -> (f64, f64) {
        let parts = line.windows(2).filter(|part| part[0].0 <= x && x <= part[1].0);
        let ends = parts.flat_map(|part| {
            let ((x0, y0), (x1, y1)) = (part[0], part[1]);
            if x1 > x0 { [y0 + (y1 - y0) * (x - x0) / (x1 - x0); 2] } else { [y0, y1] }
        });
        ends.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), y| (low.min(y), high.max(y)))
    }

    proptest! {
        #[test]
        fn a_line_read_back_anywhere_is_what_was_held_or_within_what_its_column_saw(line in steps(), shares in prop::collection::vec(0.0..=1.0, 50)) {
            let kept = thinned(&line, column);
            let end = line[line.len() - 1].0;
            for x in shares.into_iter().map(|share| share * end) {
                let (drawn, held) = (heights(&kept, x), heights(&line, x));
                let seen = line.iter().filter(|point| column(point.0) == column(x));
                let is_between = seen.clone().all(|point| point.0 < x) || seen.clone().all(|point| point.0 > x);
                if is_between {
                    prop_assert_eq!(drawn, held, "nothing happened there");
                } else {
                    let (low, high) = seen.fold(held, |(low, high), point| (low.min(point.1), high.max(point.1)));
                    prop_assert!(low - 1e-9 <= drawn.0 && drawn.1 <= high + 1e-9, "{:?} at {x}, seen {:?}", drawn, (low, high));
                }
            }
        }

        #[test]
        fn nothing_runs_backwards_and_both_ends_and_every_columns_extremes_stay(line in steps()) {
            let kept = thinned(&line, column);
            prop_assert!(kept.windows(2).all(|pair| pair[0].0 <= pair[1].0));
            prop_assert_eq!((kept[0], kept[kept.len() - 1]), (line[0], line[line.len() - 1]));
            for points in line.chunk_by(|one, next| column(one.0) == column(next.0)) {
                let kept: Vec<_> = kept.iter().filter(|point| column(point.0) == column(points[0].0)).collect();
                prop_assert!(kept.len() <= 4);
                for extreme in [f64::min, f64::max] {
                    let of = |heights: &mut dyn Iterator<Item = f64>| heights.reduce(extreme);
                    prop_assert_eq!(of(&mut kept.iter().map(|point| point.1)), of(&mut points.iter().map(|point| point.1)));
                }
            }
        }
    }
}
