//! `corerl data import --undo`: taking back what an import has brought in.

use archive::{Reader, Store, Turn};

use super::{ImportArguments, unusable};
use crate::failure::{Exit, Failure};
use crate::output::{print_json, print_text};

/// The number of a run, as an import has told it.
pub(super) fn number(text: &str) -> Result<u64, String> {
    u64::from_str_radix(text, 16)
        .map_err(|_| "a run's number has 16 hexadecimal digits, as the import told it".to_owned())
}

pub(super) fn run(arguments: &ImportArguments, number: u64) -> Result<Exit, Failure> {
    #[derive(serde::Serialize)]
    struct Printed {
        taken_back: String,
    }
    let in_history = |error| unusable(error, &arguments.history);
    // Whoever names a wrong directory shall not find a new history there.
    Reader::open(&arguments.history).map_err(in_history)?;
    let turn = Turn::take(&arguments.history).map_err(in_history)?;
    let mut store = Store::open(&arguments.history).map_err(in_history)?;
    let (site, agent) = &arguments.agent;
    if !store.take_back(&turn, (site, agent), number).map_err(in_history)? {
        let why = format!("no import of {site}/{agent} has become run {number:016x}: nothing is taken back");
        return Err(Failure::new(Exit::Unavailable, why).about(&arguments.history));
    }
    if arguments.json {
        print_json("corerl.data-import-undo/1", &Printed { taken_back: format!("{number:016x}") })?;
    } else {
        print_text(&format!("taken back: run {number:016x}\n"))?;
    }
    Ok(Exit::Fine)
}
