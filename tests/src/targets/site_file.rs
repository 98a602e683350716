//! The text of a site file.

use rt_config::Severity;
use rt_core::cycle::Cycle;

use super::{Verdict, with_room};

/// The bytes are the text.
pub(super) fn run(bytes: &[u8]) -> Verdict {
    let Ok(text) = std::str::from_utf8(bytes) else { return Verdict::Refused };
    if let Ok(migration) = rt_config::migrate(text, "site.yaml".as_ref(), &[]) {
        assert!(rt_config::migrate(&migration.text, "site.yaml".as_ref(), &[]).is_ok(), "{}", migration.text);
    }
    match rt_config::parse_to_look_at(text, "site.yaml".as_ref()) {
        Ok(loaded) => {
            assert!(loaded.notices.iter().all(|notice| notice.severity == Severity::Notice));
            let site = loaded.site;
            // Valid by construction: whoever holds a site need not check anything again.
            let lists = site.cycle_lists();
            let cycle = with_room(|| Cycle::new(&site.cycle_settings(&lists)).map(|cycle| cycle.generation()));
            assert!(cycle.is_ok(), "{cycle:?} of a site that was accepted");
            Verdict::Believed
        }
        Err(refused) => {
            assert!(refused.complaints.iter().any(|complaint| complaint.severity == Severity::Error), "{refused}");
            // As YAML counts them.
            let lines = text.replace("\r\n", "\n").matches(['\n', '\r']).count() + 1;
            let places = refused.complaints.iter().filter_map(|complaint| complaint.place);
            places.for_each(|place| assert!(place.line <= lines, "{place:?} is behind line {lines}"));
            assert!(!refused.to_string().is_empty());
            Verdict::Refused
        }
    }
}
