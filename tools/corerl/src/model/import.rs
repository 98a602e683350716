//! Policies that were trained elsewhere.

use std::path::{Path, PathBuf};

use clap::Args;
use onnx::{Imported, Reading, Scale};
use policy::file::{self, Purpose, Trust};
use serde::Serialize;

use super::{file_refused, internal, save_policy};
use crate::failure::{Exit, Failure};
use crate::output::print_json;

#[derive(Debug, Args)]
pub(super) struct ImportArguments {
    /// The ONNX model.
    file: PathBuf,
    /// The site file of the agent.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Where to put the policy.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// The model counts in shares of the scales in the site file, 0 to 1, and not in engineering units.
    #[arg(long)]
    normalised: bool,
    /// The output that has the setpoints, when there are several and none is called `setpoints`.
    #[arg(long, value_name = "NAME")]
    output: Option<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &ImportArguments) -> Result<Exit, Failure> {
    let site = crate::run::load_site(&arguments.config)?;
    let purpose = Purpose::of(&site);
    let path = &arguments.file;
    let model = file::read(path).map_err(|refused| file_refused(path, &refused))?;
    let scale = if arguments.normalised { Scale::Shares } else { Scale::Engineering };
    let reading = Reading { scale, output: arguments.output.as_deref() };
    let imported = onnx::from_model(&model, &purpose, &reading)
        .map_err(|refused| Failure::new(Exit::CheckFailed, format_args!("{}: {refused}", path.display())))?;
    let bytes = file::to_bytes(&purpose, &imported.origin, &imported.parameters).map_err(internal)?;
    // As a runtime will judge it, but for the signature that it does not have yet.
    let anybody = Trust { keys: Vec::new(), lab: true };
    file::from_bytes(&bytes, &purpose, &anybody).map_err(|refused| file_refused(path, &refused))?;
    save_policy(&arguments.out, &bytes)?;
    tell(arguments, &imported, &arguments.config)
}

fn tell(arguments: &ImportArguments, imported: &Imported, config: &Path) -> Result<Exit, Failure> {
    #[derive(Serialize)]
    struct Told<'a> {
        file: &'a Path,
        origin: &'a file::Origin,
        columns_named: bool,
        deviations: bool,
        outputs_left_out: &'a [String],
    }
    let Imported { origin, is_named, has_deviations, ignored, .. } = imported;
    if arguments.json {
        let (columns_named, deviations) = (*is_named, *has_deviations);
        let told = Told { file: &arguments.out, origin, columns_named, deviations, outputs_left_out: ignored };
        print_json("corerl.model/1", &told)?;
        return Ok(Exit::Fine);
    }
    eprintln!("{}: generation {}, not signed yet", arguments.out.display(), origin.generation);
    if !is_named {
        eprintln!(
            "  the model names no columns: that they are those of {}, in its order, is for you to know",
            config.display()
        );
    }
    if !has_deviations {
        eprintln!("  the model has no output `{}`: the policy hardly explores", onnx::DEVIATIONS);
    }
    if !ignored.is_empty() {
        eprintln!("  outputs that were left out: {}", ignored.join(", "));
    }
    Ok(Exit::Fine)
}
