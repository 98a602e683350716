//! Recency weighting: which of many transitions is replayed, the newest more often than the older ones.
//!
//! The weight of a transition falls geometrically with its age, which is the number of newer ones. With `n` transitions of
//! ages `0..n` and `m` the number of transitions in which the weight falls by the factor e:
//! ```text
//! P(age) = (1 - u) e^(-age/m) (1 - e^(-1/m)) / (1 - e^(-n/m)) + u / n        u = 0.01
//! ```
//! The uniform part keeps what is old from being forgotten for ever. The cumulative of the geometric part is inverted in
//! closed form, so drawing takes constant time however many there are, and nothing has to be kept.

use crate::random::Stream;

/// The part of what is drawn that is uniform.
const UNIFORM: f32 = 0.01;

/// The law by which ages are drawn.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Recency {
    memory: f64,
}

impl Recency {
    /// The weight falls by the factor e in `memory` transitions, a positive number.
    pub(crate) fn new(memory: f64) -> Self {
        Self { memory }
    }

    /// The same law for somebody who sees this `share` of all transitions: ages then count what is seen.
    pub(crate) fn thinned(self, share: f64) -> Self {
        Self { memory: self.memory * share }
    }

    /// The age of one of `count` transitions; there must be one at least.
    pub(crate) fn draw(self, count: usize, stream: &mut Stream) -> usize {
        if stream.uniform() < UNIFORM {
            return stream.below(count);
        }
        let below_all = libm::expm1(-(count as f64) / self.memory);
        let age = -self.memory * libm::log1p(below_all * stream.uniform_f64());
        // Rounding may lead to the number itself.
        (age as usize).min(count - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pearson's statistic of the drawn ages against a law, divided by its degrees of freedom: about 1 if the law is
    /// right. Ages are put together into cells of at least 50 expected draws.
    fn misfit(recency: Recency, count: usize, law: impl Fn(usize) -> f64) -> f64 {
        const DRAWS: usize = 200_000;
        let (mut stream, mut drawn) = (Stream::new(7, "test", 0), vec![0.0; count]);
        (0..DRAWS).for_each(|_| drawn[recency.draw(count, &mut stream)] += 1.0);
        let (mut cells, mut statistic, mut cell) = (0.0, 0.0, (0.0, 0.0));
        for (age, drawn) in drawn.iter().enumerate() {
            cell = (cell.0 + drawn, cell.1 + law(age) * DRAWS as f64);
            if cell.1 >= 50.0 {
                statistic += (cell.0 - cell.1).powi(2) / cell.1;
                cells += 1.0;
                cell = (0.0, 0.0);
            }
        }
        statistic / cells
    }

    /// The law as weights, added up one by one.
    fn law(memory: f64, count: usize, uniform: f64) -> impl Fn(usize) -> f64 {
        let weight = move |age: usize| (-(age as f64) / memory).exp();
        let all: f64 = (0..count).map(weight).sum();
        move |age| (1.0 - uniform) * weight(age) / all + uniform / count as f64
    }

    #[test]
    fn ages_are_drawn_by_the_law_whatever_the_memory_and_the_number() {
        for (memory, count) in [(5.0, 1_000), (40.0, 1_000), (300.0, 1_000), (1e6, 1_000), (0.5, 300), (30.0, 7)] {
            let misfit = misfit(Recency::new(memory), count, law(memory, count, 0.01));
            assert!(misfit < 1.5, "memory {memory} of {count}: {misfit}");
        }
    }

    #[test]
    fn laws_that_are_nearly_the_same_do_not_fit() {
        let fits = |law: &dyn Fn(usize) -> f64| misfit(Recency::new(40.0), 1_000, law) < 1.5;
        assert!(fits(&law(40.0, 1_000, 0.01)));
        for wrong in [law(42.0, 1_000, 0.01), law(40.0, 1_000, 0.0), law(40.0, 1_000, 0.02), law(40.0, 50, 0.01)] {
            assert!(!fits(&wrong));
        }
    }

    #[test]
    fn whoever_sees_a_part_remembers_as_far_back() {
        let seen = Recency::new(400.0).thinned(0.1);
        assert!(misfit(seen, 1_000, law(40.0, 1_000, 0.01)) < 1.5);
    }

    #[test]
    fn the_only_one_is_drawn_whatever_the_memory() {
        let mut stream = Stream::new(1, "test", 0);
        for memory in [1e-300, 1e-3, 1.0, 1e300] {
            assert!((0..1_000).all(|_| Recency::new(memory).draw(1, &mut stream) == 0));
            assert!((0..1_000).all(|_| Recency::new(memory).draw(3, &mut stream) < 3));
        }
    }
}
