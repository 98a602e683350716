//! `corerl report`: what happened in a recording, on one page.

use std::io::Write as _;
use std::path::PathBuf;

use clap::Args;
use footage::report::{Report, page};

use crate::export::open;
use crate::failure::{Exit, Failure};
use crate::fresh::FreshFile;
use crate::output::print_text;
use crate::reading::Progress;

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
                        corerl report flight.cap                     flight.cap.html\n  \
                        corerl report site.rec --out monday.html\n\n\
                        Reads recordings (`corerl run --record`) and captures (`corerl record`, and the flight \
                        recorder, whose files are in `flight` below `runtime.state_dir`). The page needs nothing from elsewhere: \
                        trips with what came before them, modes, lost slots, limits that acted, the quality of \
                        tags, trends, rewards, the loop's times, events. It can be mailed and printed.\n\n\
                        Exit codes: 0 written, 1 nothing in the file can be read, 2 the page is there already, 69 the file is not.")]
pub(crate) struct ReportArguments {
    /// The recording or capture.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Where the page is written [default: FILE with .html added].
    #[arg(long, value_name = "PATH")]
    out: Option<PathBuf>,
    /// Replace the page if it is there.
    #[arg(long)]
    force: bool,
}

pub(crate) fn run(arguments: &ReportArguments) -> Result<Exit, Failure> {
    let ReportArguments { file, out, force } = arguments;
    let out = out.clone().unwrap_or_else(|| file.with_added_extension("html"));
    let mut footage = open(file)?;
    let fresh = FreshFile::begin(&out, *force)?;
    let progress = Progress::new(file, footage.progress().1);
    let report = Report::read(&mut footage, |bytes| progress.at(bytes));
    progress.end();
    let report = report.map_err(|error| Failure::io(format_args!("cannot read {}", file.display()), &error))?;
    if report.cycles() == 0 {
        let why = report.warnings().join("; ");
        return Err(Failure::new(Exit::CheckFailed, format_args!("no cycle in it can be read: {why}")).about(file));
    }
    let written = fresh.file()?.write_all(page(&report, &file.display().to_string()).as_bytes());
    written.map_err(|error| Failure::io(format_args!("cannot write {}", out.display()), &error))?;
    fresh.keep()?;
    report.warnings().iter().for_each(|warning| eprintln!("warning: {}: {warning}", file.display()));
    print_text(&format!("{}: {} cycles\n", out.display(), report.cycles()))?;
    Ok(Exit::Fine)
}
