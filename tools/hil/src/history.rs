//! What a historian has kept of a scenario.

use std::path::Path;

use archive::{Reader, StoreError, TrackKind};

use crate::take::HistorySeen;

/// Reads what lies there; `None` when nothing does.
///
/// # Errors
/// A sentence: it cannot be read, or what is in it is not what was kept.
pub(crate) fn look(directory: &Path) -> Result<Option<HistorySeen>, String> {
    if !directory.is_dir() {
        return Ok(None);
    }
    let findings = archive::verify(directory).map_err(|error| said(&error))?.findings;
    if let Some(finding) = findings.first() {
        return Err(format!(
            "{} findings in the history, the first: {}: {}",
            findings.len(),
            finding.place,
            finding.what
        ));
    }
    counted(directory).map(Some).map_err(|error| said(&error))
}

fn counted(directory: &Path) -> Result<HistorySeen, StoreError> {
    let reader = Reader::open(directory)?;
    let mut rewards = 0;
    for track in reader.tracks(None)?.iter().filter(|track| track.name.kind == TrackKind::Reward) {
        rewards += reader.points(track.run, track.id, 0..=i64::MAX as u64)?.len() as u64;
    }
    let lost = reader.gaps(0, i64::MAX as u64)?.iter().map(|(_, _, gap)| gap.count).sum();
    Ok(HistorySeen { rewards, lost })
}

fn said(error: &StoreError) -> String {
    format!("the history cannot be read: {error}")
}
