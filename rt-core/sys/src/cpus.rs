//! Which CPUs there are, and who gets which.

/// The CPUs on which the calling thread may run, in ascending order; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cpus(Vec<usize>);

impl Cpus {
    /// Asks the kernel. Call it before anything is pinned: a pinned thread sees only its own CPU.
    pub fn allowed() -> Self {
        let found = core_affinity::get_core_ids().unwrap_or_default();
        Self::from_list(found.into_iter().map(|core| core.id))
    }

    /// The given CPUs, sorted; CPU 0 when there are none.
    pub fn from_list(cpus: impl IntoIterator<Item = usize>) -> Self {
        let mut list: Vec<usize> = cpus.into_iter().collect();
        list.sort_unstable();
        list.dedup();
        if list.is_empty() {
            list.push(0);
        }
        Self(list)
    }

    /// The CPUs' numbers, ascending.
    pub fn list(&self) -> &[usize] {
        &self.0
    }

    /// Who runs where, with the site's own choices (`control`, `io`) respected.
    ///
    /// With three CPUs or more, control and io have one each, counted from the end, since interrupts prefer the first;
    /// everything else gets the rest. With two, control is alone on the second. With one, all share it.
    pub fn placement(&self, control: Option<usize>, io: Option<usize>) -> Placement {
        let free = |taken: Option<usize>| self.0.iter().rev().copied().find(move |&cpu| Some(cpu) != taken);
        let control = control.or_else(|| free(io)).or_else(|| self.0.last().copied());
        let io = io.or_else(|| free(control)).or(control);
        let without = |taken: &[Option<usize>]| -> Vec<usize> {
            self.0.iter().copied().filter(|&cpu| !taken.contains(&Some(cpu))).collect()
        };
        let others = [without(&[control, io]), without(&[control])].into_iter().find(|cpus| !cpus.is_empty());
        Placement { control, io, others: others.unwrap_or_else(|| self.0.clone()) }
    }
}

/// Who runs on which CPU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement {
    /// The control thread's.
    pub control: Option<usize>,
    /// The io threads'.
    pub io: Option<usize>,
    /// Everybody else's: keeper, learner, tools. Never empty.
    pub others: Vec<usize>,
}

impl Placement {
    /// The control thread has a CPU that the project gives to nothing else.
    pub fn control_is_alone(&self) -> bool {
        self.control != self.io && self.control.is_some_and(|cpu| !self.others.contains(&cpu))
    }

    /// The io threads have a CPU that the project gives to nothing else.
    pub fn io_is_alone(&self) -> bool {
        self.control != self.io && self.io.is_some_and(|cpu| !self.others.contains(&cpu))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(cpus: &[usize], control: Option<usize>, io: Option<usize>) -> (Option<usize>, Option<usize>, Vec<usize>) {
        let placement = Cpus::from_list(cpus.iter().copied()).placement(control, io);
        (placement.control, placement.io, placement.others)
    }

    #[test]
    fn with_three_or_more_control_and_io_have_one_each() {
        assert_eq!(place(&[0, 1, 2, 3], None, None), (Some(3), Some(2), vec![0, 1]));
        assert_eq!(place(&[4, 5, 9], None, None), (Some(9), Some(5), vec![4]));
    }

    #[test]
    fn with_two_control_is_alone_on_the_second() {
        assert_eq!(place(&[0, 1], None, None), (Some(1), Some(0), vec![0]));
        let placement = Cpus::from_list([0, 1]).placement(None, None);
        assert!(placement.control_is_alone() && !placement.io_is_alone());
    }

    #[test]
    fn with_one_all_share_it() {
        assert_eq!(place(&[0], None, None), (Some(0), Some(0), vec![0]));
        assert_eq!(place(&[], None, None), (Some(0), Some(0), vec![0]));
        assert!(!Cpus::from_list([0]).placement(None, None).control_is_alone());
    }

    #[test]
    fn the_sites_own_choice_is_respected() {
        assert_eq!(place(&[0, 1, 2, 3], Some(1), None), (Some(1), Some(3), vec![0, 2]));
        assert_eq!(place(&[0, 1, 2, 3], None, Some(3)), (Some(2), Some(3), vec![0, 1]));
        assert_eq!(place(&[0, 1], Some(0), Some(1)), (Some(0), Some(1), vec![1]));
        assert_eq!(place(&[0, 1, 2], Some(1), Some(1)), (Some(1), Some(1), vec![0, 2]));
    }

    #[test]
    fn a_cpu_outside_the_set_is_passed_on_for_the_kernel_to_judge() {
        assert_eq!(place(&[0, 1], Some(7), None), (Some(7), Some(1), vec![0]));
    }

    #[test]
    fn the_process_has_at_least_one() {
        assert!(!Cpus::allowed().list().is_empty());
    }
}
