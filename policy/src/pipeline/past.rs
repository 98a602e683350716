//! The tags' past: their values of the observations before the present one, each by itself.
//!
//! Traces tell slow from fast. What exactly happened ten observations ago they do not tell, and of a plant that answers after
//! a dead time of ten the state is not complete without it (Katsikopoulos and Engelbrecht 2003, "Markov decision processes with
//! delays and asynchronous cost collection"). Where a value was missing, the one before it stands.

use rt_core::carry::Carrier;

/// The past of all tags of the state, as far back as the site says.
#[derive(Clone, Debug)]
pub(super) struct Past(Vec<TagPast>);

/// Normalised values of one tag.
#[derive(Clone, Debug)]
struct TagPast {
    present: Option<f64>,
    /// Those of one observation before, of two, and so on.
    before: Vec<f64>,
}

impl Past {
    /// That of so many tags, so many observations back. Without depth it keeps nothing, and takes no time.
    pub(super) fn new(tags: usize, depth: usize) -> Self {
        let tags = if depth == 0 { 0 } else { tags };
        Self(vec![TagPast { present: None, before: vec![0.0; depth] }; tags])
    }

    /// How many columns of the state it fills.
    pub(super) fn len(&self) -> usize {
        self.0.iter().map(|tag| tag.before.len()).sum()
    }

    /// Takes one observation in: each tag's normalised value, or nothing. The first one is as if it had always been there.
    pub(super) fn update(&mut self, values: impl Iterator<Item = Option<f64>>) {
        for (TagPast { present, before }, value) in self.0.iter_mut().zip(values) {
            match (*present, value) {
                (Some(mut moving), _) => before.iter_mut().for_each(|before| std::mem::swap(before, &mut moving)),
                (None, Some(first)) => before.fill(first),
                (None, None) => {}
            }
            *present = value.or(*present);
        }
    }

    /// Writes it into the state: for each tag one column per observation, the latest first.
    pub(super) fn write(&self, columns: &mut [f32]) {
        for (column, value) in columns.iter_mut().zip(self.0.iter().flat_map(|tag| &tag.before)) {
            *column = *value as f32;
        }
    }

    pub(super) fn carry(&mut self, carrier: &mut impl Carrier) {
        for TagPast { present, before } in &mut self.0 {
            carrier.carry(present);
            before.iter_mut().for_each(|value| carrier.carry(value));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(past: &Past) -> Vec<f32> {
        let mut columns = vec![f32::NAN; past.len()];
        past.write(&mut columns);
        columns
    }

    proptest! {
        #[test]
        fn a_column_has_the_value_of_so_many_observations_before(
            history in prop::collection::vec((prop::option::weighted(0.7, 0.0_f64..1.0), 0.0_f64..1.0), 1..40),
            depth in 0_usize..6,
        ) {
            let mut past = Past::new(2, depth);
            history.iter().for_each(|(one, other)| past.update([*one, Some(*other)].into_iter()));
            let first = history.iter().find_map(|(one, _)| *one).unwrap_or(0.0);
            let held = |until: usize| history[..until].iter().rev().find_map(|(one, _)| *one).unwrap_or(first);
            let other = |until: usize| until.checked_sub(1).map_or(history[0].1, |last| history[last].1);
            let until = |age: usize| history.len().saturating_sub(age);
            let ones = (1..=depth).map(|age| held(until(age)) as f32);
            let others = (1..=depth).map(|age| other(until(age)) as f32);
            prop_assert_eq!(written(&past), ones.chain(others).collect::<Vec<_>>());
        }
    }
}
