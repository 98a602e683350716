//! Parallel over members, sequential inside: the result does not depend on the number of threads.

use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuildError, ThreadPoolBuilder};

/// Where the members of an ensemble are worked on.
#[derive(Debug)]
pub(crate) struct Threads {
    /// `None`: the calling thread alone.
    pool: Option<ThreadPool>,
}

impl Threads {
    /// Up to `count` threads; 0 and 1 mean the calling thread alone.
    pub(crate) fn new(count: usize) -> Result<Self, ThreadPoolBuildError> {
        let pool = (count > 1)
            .then(|| ThreadPoolBuilder::new().num_threads(count).thread_name(|i| format!("learner-{i}")).build())
            .transpose()?;
        Ok(Self { pool })
    }

    /// Calls `work` on every item.
    pub(crate) fn each<T: Send>(&self, items: &mut [T], work: impl Fn(&mut T) + Send + Sync) {
        match &self.pool {
            Some(pool) => pool.install(|| items.par_iter_mut().for_each(work)),
            None => items.iter_mut().for_each(work),
        }
    }
}
