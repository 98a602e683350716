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

    /// How many work at the same time, at most.
    pub(crate) fn count(&self) -> usize {
        self.pool.as_ref().map_or(1, ThreadPool::current_num_threads)
    }

    /// Calls `work` on every item with one of the workspaces, each of which serves one thread: what it holds may be what
    /// another item left there.
    pub(crate) fn each_with<W: Send, T: Send>(
        &self,
        workspaces: &mut [W],
        items: &mut [T],
        work: impl Fn(&mut W, &mut T) + Send + Sync,
    ) {
        assert!(!workspaces.is_empty(), "whoever works needs a workspace");
        let share = items.len().div_ceil(workspaces.len()).max(1);
        let shares = |(workspace, items): (&mut W, &mut [T])| items.iter_mut().for_each(|item| work(workspace, item));
        match &self.pool {
            Some(pool) => pool.install(|| workspaces.par_iter_mut().zip(items.par_chunks_mut(share)).for_each(shares)),
            None => workspaces.iter_mut().zip(items.chunks_mut(share)).for_each(shares),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "needs a workspace")]
    fn work_that_nobody_can_do_is_not_passed_over_in_silence() {
        Threads::new(1).unwrap().each_with(&mut [(); 0], &mut [1], |(), item| *item += 1);
    }
}
