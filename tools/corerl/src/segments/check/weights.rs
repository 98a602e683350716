//! The newest policy that a learner published: whole, by its checksum, and made of numbers.

use std::time::Duration;

use shm::Segment;
use shm_layout::{CONTROL_WORD, TRIPLE_DIRTY, TRIPLE_SLOTS};

use super::super::states::{is_empty, weights_slot};
use super::Findings;
use super::finding::{FOREIGN, LEARNER};

/// The slot may be given back to the writer while it is read: then it is read again.
const LOOKS: usize = 20;
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Only the middle slot is judged. A published policy lies there until the runtime takes it, and what the runtime gave back for
/// it is whole, too; of the other two, one is being written.
pub(super) fn examine(segment: &Segment, findings: &mut Findings) {
    let mut complaint = None;
    for _ in 0..LOOKS {
        let control = segment.word(CONTROL_WORD).unwrap_or(0);
        let middle = usize::try_from(control & !TRIPLE_DIRTY).unwrap_or(usize::MAX);
        if middle >= TRIPLE_SLOTS {
            findings.add(format!("its control word is {control:#x}, which names no slot"), FOREIGN);
            return;
        }
        complaint = judge(&weights_slot(segment, middle), control & TRIPLE_DIRTY != 0);
        if complaint.is_none() {
            return;
        }
        std::thread::sleep(LOOK_EVERY);
    }
    if let Some(complaint) = complaint {
        findings.add(complaint, LEARNER);
    }
}

fn judge(words: &[u64], is_new: bool) -> Option<String> {
    if is_empty(words) {
        return is_new.then(|| "an empty policy was published".to_owned());
    }
    match policy::wire::whole(words) {
        Err(refused) => Some(format!("the newest policy is not whole: {refused}")),
        Ok((header, parameters)) => {
            let wild = parameters.iter().filter(|value| !value.is_finite()).count();
            (wild > 0).then(|| {
                format!(
                    "generation {} has {wild} parameters of {} that are not finite",
                    header.generation,
                    parameters.len()
                )
            })
        }
    }
}
