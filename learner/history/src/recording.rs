//! Observations as a runtime has made and recorded them.

use std::io::Read;

use rt_config::Site;
use rt_recording::{Next, Reader};
use shm_layout::{StepHead, StepLayout};

use crate::observation::Observation;

/// Why a recording holds no observations for an agent.
#[derive(Debug, thiserror::Error)]
pub enum UnfitRecording {
    /// It cannot be read.
    #[error("{0}")]
    Refused(#[from] rt_recording::RecordingRefused),
    /// It cannot be read on.
    #[error("it cannot be read: {0}")]
    Io(#[from] std::io::Error),
    /// It is of another site.
    #[error("it is of a site with other tags or ranges: use the site file that it was recorded with")]
    OtherSite,
}

/// Takes the observations that a runtime has made and recorded, as far as the recording is whole.
///
/// # Errors
/// It is no recording, or one of another site.
pub fn observe_recording(
    site: &Site,
    input: impl Read,
    mut take: impl FnMut(&Observation),
) -> Result<(), UnfitRecording> {
    let mut reader = Reader::open(input)?;
    let columns = policy::pipeline::Columns::of(site).len();
    let size = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    let layout = StepLayout::new(size(columns), size(site.setpoints.len())).ok_or(UnfitRecording::OtherSite)?;
    if reader.opening().tag_list_hash != site.tag_list_hash() {
        return Err(UnfitRecording::OtherSite);
    }
    while let Next::Frame(frame) = reader.next_frame()? {
        let rt_recording::Frame::Cycle(cycle) = frame else { continue };
        if cycle.step.is_empty() {
            continue;
        }
        let view = layout.view(&cycle.step).map_err(|_| UnfitRecording::OtherSite)?;
        let usable = StepHead::STATE_COMPLETE | StepHead::ACTION_READ_BACK;
        take(&Observation {
            at_ns: i64::try_from(view.head.time_ns).unwrap_or(i64::MAX),
            complete: view.head.has(usable),
            all_read: view.head.has(StepHead::ALL_READ),
            gap: view.head.has(StepHead::GAP_BEFORE),
            decision: view.head.has(StepHead::DECISION_SLOT),
            reward: view.head.has(StepHead::REWARD_VALID).then_some(view.head.reward),
            state: view.state.to_vec(),
            action: view.action.to_vec(),
            lo: view.lo.to_vec(),
            hi: view.hi.to_vec(),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_recording_is_refused() {
        let site = rt_config::parse(rt_config::example(), "site.yaml".as_ref()).unwrap().site;
        let refused = observe_recording(&site, &b"time,u,level"[..], |_| ()).unwrap_err();
        assert!(matches!(refused, UnfitRecording::Refused(_)), "{refused}");
    }
}
