//! What a value of a graph is, as a function of the layer before it.

use crate::model::Constant;

/// An affine function of one layer, for each number of the value: its row, possibly squashed by a sigmoid, then its tail.
/// The tail is kept apart, so that scaling forth and back changes no bit of the row.
#[derive(Debug, Clone)]
pub(crate) struct Signal {
    /// Over what: 0 stands for the columns of the state, above it for the halves of that hidden layer.
    pub(crate) depth: usize,
    /// Which sums these are: activated once more, they are the same units.
    pub(crate) origin: usize,
    /// They are those sums with the other sign.
    pub(crate) is_negated: bool,
    pub(crate) is_squashed: bool,
    pub(crate) parts: Vec<(Row, Tail)>,
}

/// A weighted sum.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Row {
    /// Which number of the layer counts how much.
    pub(crate) terms: Vec<(usize, f64)>,
    pub(crate) bias: f64,
}

/// What becomes of a number before anybody uses it: scaled, moved, and clipped.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Tail {
    pub(crate) scale: f64,
    pub(crate) offset: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
}

impl Tail {
    pub(crate) const NONE: Self = Self { scale: 1.0, offset: 0.0, low: f64::NEG_INFINITY, high: f64::INFINITY };

    pub(crate) fn plus(self, number: f64) -> Self {
        let Self { scale, offset, low, high } = self;
        Self { scale, offset: offset + number, low: low + number, high: high + number }
    }

    pub(crate) fn times(self, factor: f64) -> Self {
        self.mapped(|number| number * factor, factor)
    }

    /// `divisor` is not zero.
    pub(crate) fn over(self, divisor: f64) -> Self {
        self.mapped(|number| number / divisor, divisor)
    }

    fn mapped(self, map: impl Fn(f64) -> f64, sign: f64) -> Self {
        // Zero times infinite is no limit.
        let limit = |limit: f64| if limit.is_infinite() && sign == 0.0 { limit } else { map(limit) };
        let (low, high) = (limit(self.low), limit(self.high));
        let (low, high) = if sign < 0.0 { (high, low) } else { (low, high) };
        Self { scale: map(self.scale), offset: map(self.offset), low, high }
    }

    pub(crate) fn at_least(self, least: f64) -> Self {
        Self { low: self.low.max(least), high: self.high.max(least), ..self }
    }

    pub(crate) fn at_most(self, most: f64) -> Self {
        Self { low: self.low.min(most), high: self.high.min(most), ..self }
    }

    pub(crate) fn is_clipped(self) -> bool {
        self.low > f64::NEG_INFINITY || self.high < f64::INFINITY
    }
}

impl Row {
    /// The row and what follows it, as one row.
    pub(crate) fn with(&self, tail: Tail) -> Self {
        let moved = self.bias * tail.scale;
        let terms = self.terms.iter().map(|(place, weight)| (*place, weight * tail.scale)).collect();
        // Adding nothing would turn a negative zero.
        Self { terms, bias: if tail.offset == 0.0 { moved } else { moved + tail.offset } }
    }
}

impl Signal {
    pub(crate) fn width(&self) -> usize {
        self.parts.len()
    }

    /// How many numbers it is made of.
    pub(crate) fn size(&self) -> usize {
        self.parts.iter().map(|(row, _)| row.terms.len() + 1).sum()
    }

    /// All rows with what follows them, when that is affine.
    pub(crate) fn rows(&self) -> Result<Vec<Row>, String> {
        if self.is_squashed {
            return Err("uses what comes out of a Sigmoid, which stands before deviations alone".to_owned());
        }
        if self.parts.iter().any(|(_, tail)| tail.is_clipped()) {
            let why = "uses what was clipped (Clip, Max, Min): only setpoints are, and only scaling may follow";
            return Err(why.to_owned());
        }
        Ok(self.parts.iter().map(|(row, tail)| row.with(*tail)).collect())
    }

    /// The same signal with other tails.
    pub(crate) fn map(self, mut map: impl FnMut(usize, Tail) -> Tail) -> Self {
        let parts = self.parts.into_iter().enumerate().map(|(place, (row, tail))| (row, map(place, tail))).collect();
        Self { parts, ..self }
    }
}

/// One number of a constant for each of so many: it has as many, or one for all.
pub(crate) fn broadcast(constant: &Constant, width: usize) -> Result<Vec<f64>, String> {
    let Constant { shape, values } = constant;
    match (shape.as_slice(), values.as_slice()) {
        ([] | [1] | [1, 1], [one]) => Ok(vec![f64::from(*one); width]),
        ([size] | [1, size], values) if *size == width => Ok(values.iter().map(|value| f64::from(*value)).collect()),
        _ => Err(format!("puts numbers of shape {shape:?} to {width} values")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tails_scale_move_and_clip_as_the_operators_do_one_after_another() {
        let apply = |tail: Tail, row: f64| (tail.scale * row + tail.offset).max(tail.low).min(tail.high);
        let tail = Tail::NONE.times(-2.0).plus(1.0).at_least(-3.0).at_most(5.0).over(-4.0).plus(0.5);
        for row in [-10.0, -2.0, 0.0, 1.5, 2.0, 10.0_f64] {
            let expected = (row * -2.0 + 1.0).clamp(-3.0, 5.0) / -4.0 + 0.5;
            assert!((apply(tail, row) - expected).abs() < 1e-12, "{row}: {tail:?}");
        }
        let nothing = Tail::NONE.at_least(0.0).times(0.0);
        assert!(!nothing.low.is_nan() && !nothing.high.is_nan() && nothing.is_clipped());
        let both = Tail::NONE.at_least(0.0).at_most(1.0).at_least(2.0).at_most(3.0);
        assert_eq!((both.low, both.high), (2.0, 2.0));
    }

    #[test]
    fn scaling_forth_and_back_changes_no_bit() {
        for width in [0.1_f32, 3.7, 1e6] {
            let width = f64::from(width);
            for weight in [-0.0_f32, 0.3, -1.25e-7] {
                let row = Row { terms: vec![(3, f64::from(weight))], bias: f64::from(weight) };
                let back = row.with(Tail::NONE.times(width).plus(1e6).plus(-1e6).over(width));
                assert_eq!(back.bias.to_bits(), row.bias.to_bits());
                assert_eq!(back.terms[0].1.to_bits(), row.terms[0].1.to_bits());
            }
        }
    }
}
