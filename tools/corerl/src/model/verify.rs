//! Whether a policy file may act, check by check.

use std::path::Path;

use policy::file::{self, Check, PolicyFileRefused, Purpose, Trust, Verdict};
use serde::Serialize;

use super::file_refused;
use crate::failure::{Exit, Failure};
use crate::output::{print_json, print_text, table};

/// What is said of one check.
#[derive(Debug, Serialize)]
struct Said {
    check: Check,
    /// Null where nobody can tell.
    ok: Option<bool>,
    detail: String,
}

pub(super) fn run(path: &Path, config: Option<&Path>, json: bool) -> Result<Exit, Failure> {
    #[derive(Serialize)]
    struct Verification<'a> {
        file: &'a Path,
        ok: bool,
        checks: &'a [Said],
    }
    let site = config.map(crate::run::load_site).transpose()?;
    let site = site.map(|site| (Purpose::of(&site), Trust::of(&site)));
    let bytes = match file::read(path) {
        Err(refused @ PolicyFileRefused::Io(_)) => return Err(file_refused(path, &refused)),
        read => read,
    };
    let checks: Vec<Said> = match &bytes {
        Ok(bytes) => {
            let findings = file::examine(bytes, site.as_ref().map(|(purpose, trust)| (purpose, trust)));
            findings.into_iter().map(|(check, verdict)| said(check, &verdict, site.is_some())).collect()
        }
        Err(refused) => vec![Said { check: Check::Format, ok: Some(false), detail: refused.to_string() }],
    };
    let ok = checks.iter().all(|said| said.ok != Some(false));
    if json {
        print_json("corerl.model/1", &Verification { file: path, ok, checks: &checks })?;
    } else {
        print_text(&table(&checks.iter().map(row).collect::<Vec<_>>()))?;
    }
    Ok(if ok { Exit::Fine } else { Exit::CheckFailed })
}

fn said(check: Check, verdict: &Verdict, has_site: bool) -> Said {
    let (ok, detail) = match verdict {
        Verdict::Holds => (Some(true), holding(check, has_site).to_owned()),
        Verdict::Refused(refused) => (Some(false), refused.to_string()),
        Verdict::Unknown => (None, "nobody can tell, because of what was refused before".to_owned()),
        Verdict::NoSite => (None, "name a site with --config".to_owned()),
    };
    Said { check, ok, detail }
}

/// What it means that a check holds.
fn holding(check: Check, has_site: bool) -> &'static str {
    match check {
        Check::Format => "safetensors with a manifest, whole",
        Check::Version => "the manifest is of this program's version, and complete",
        Check::Signature if has_site => "vouched for as the site wants it",
        Check::Signature => "not forged; whose key it is, no site was asked",
        Check::Tags => "columns, setpoints, units, scales and tag list are the site's",
        Check::Shape if has_site => "layers and tensors are those of the site's network",
        Check::Shape => "layers and tensors make a network",
        Check::Checksum => "the parameters are those that were written",
        Check::Finite => "every parameter is a number",
        Check::Normal => "no parameter is denormal",
        Check::Magnitude => "no parameter is too large",
        Check::Answers => "the answers to the golden inputs are bounded",
    }
}

fn row(said: &Said) -> [String; 3] {
    let verdict = match said.ok {
        Some(true) => "holds",
        Some(false) => "REFUSED",
        None => "unknown",
    };
    [said.check.name().to_owned(), verdict.to_owned(), said.detail.clone()]
}
