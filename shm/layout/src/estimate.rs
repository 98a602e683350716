//! What the critics expected of one decision: said by the learner afterwards, and an input of nothing.

/// Words of an [`EstimateRecord`].
pub const ESTIMATE_WORDS: usize = size_of::<EstimateRecord>() / size_of::<u64>();

abi_struct! {
    /// The critics' estimates for the state and the action of one decision. A value is the discounted sum of the rewards that
    /// are expected from there on.
    pub struct EstimateRecord: 40 {
        /// Control cycle of the decision.
        pub cycle: u64,
        /// Updates that the critics had made.
        pub updates: u64,
        /// The action's value: the mean over the ensemble.
        pub value: f64,
        /// How far the critics disagree about it: the standard deviation over the ensemble.
        pub spread: f64,
        /// The value of the nominal action instead, inside the same bounds.
        pub nominal_value: f64,
    }
}

impl EstimateRecord {
    /// The record in its words.
    pub fn to_words(&self) -> [u64; ESTIMATE_WORDS] {
        zerocopy::transmute!(*self)
    }

    /// The record in these words; every number may be anything.
    pub fn from_words(words: &[u64; ESTIMATE_WORDS]) -> Self {
        zerocopy::transmute!(*words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_estimate_survives_its_words() {
        let record = EstimateRecord { cycle: 7, updates: 8, value: -1.5, spread: 0.25, nominal_value: -2.0 };
        assert_eq!(EstimateRecord::from_words(&record.to_words()), record);
    }
}
