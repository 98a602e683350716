//! `corerl model`: policy files, what is in them, and who vouches for them.

mod import;
mod looks;
mod verify;

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::{Args, Subcommand};
use policy::file::{self, KeyRefused, Origin, PolicyFileRefused, Purpose, SecretKey, SignError, Trust};
use policy::kernels::Kernel;
use policy::wire::Verifier;
use rt_config::Site;
use rt_control::Client;
use serde::Serialize;
use shm::{Segment, SegmentKind};
use shm_layout::WeightsHeader;

use crate::failure::{Exit, Failure};
use crate::output::{print_json, print_text};
use crate::segments::published_weights;
use crate::target::Target;

/// How long the policy in use may take to be found among those that a learner publishes meanwhile.
const EXPORT_PATIENCE: Duration = Duration::from_secs(2);
/// Time between two looks at them.
const EXPORT_PAUSE: Duration = Duration::from_millis(20);
/// Whoever may read a policy learns setpoints from it, and no secret.
const POLICY_FILE_MODE: u32 = 0o644;

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  corerl model export --config site.yaml --from best.safetensors best.onnx\n  corerl model import actor.onnx --config site.yaml --out actor.safetensors\n  corerl model verify actor.safetensors --config site.yaml\n  corerl model sign actor.safetensors --key policy.key"
)]
pub(crate) struct ModelArguments {
    #[command(subcommand)]
    command: ModelCommand,
}

#[derive(Debug, Subcommand)]
enum ModelCommand {
    /// Make a key to sign policy files with, and print its public half.
    #[command(
        after_help = "Example:\n  corerl model keygen --key policy.key\n\nPut the line that is printed into `runtime.policy_keys` of the site file. The key file is readable for its owner alone and never\noverwritten; keep it where policies are approved, and not on the plant's machine."
    )]
    Keygen {
        /// Where to put the secret key (PEM).
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Write the policy that a running agent uses, or one from a policy file, into a file: unsigned, or as an ONNX model.
    #[command(
        after_help = "Examples:\n  corerl model export --config site.yaml best.safetensors\n  corerl model export --config site.yaml --from best.safetensors best.onnx\n\nA name that ends in .onnx makes a model that takes the columns of the state and gives setpoints, both in engineering units; what\nthe columns are is in its metadata. Without --from the policy is taken from the memory into which the agent's learner published it. So there is nothing to export where the agent uses the nominal policy, one from `policy_file`, or one that came back because a newer one failed on probation.\n\nExit codes: 69 the agent uses the nominal policy, 75 the policy in use was not found in that memory."
    )]
    Export(ExportArguments),
    /// Show what a policy file says of itself: where it comes from, columns, setpoints, layers.
    #[command(
        after_help = "Example:\n  corerl model inspect best.safetensors\n\nNothing of it is believed: `corerl model verify` does that."
    )]
    Inspect {
        /// The policy file.
        file: PathBuf,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Say what is different in two policy files.
    #[command(
        after_help = "Example:\n  corerl model diff before.safetensors after.safetensors\n\nExit codes: 0 the parameters are the same, 1 they are not."
    )]
    Diff {
        /// A policy file.
        one: PathBuf,
        /// Another one.
        other: PathBuf,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Sign a policy file in place: every byte of it.
    #[command(after_help = "Example:\n  corerl model sign best.safetensors --key policy.key")]
    Sign {
        /// The policy file.
        file: PathBuf,
        /// The secret key, which must be readable for its owner alone.
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Make a policy file from an ONNX model: one that was exported, or a perceptron that was trained elsewhere.
    #[command(
        after_help = "Examples:\n  corerl model import best.onnx --config site.yaml --out best.safetensors\n  corerl model import actor.onnx --config site.yaml --out actor.safetensors --normalised --output action\n\nThe model takes a batch of rows with the columns of the site's state, in their order, and gives the setpoints; both in engineering\nunits, or with --normalised as shares of their scales in the site file. Where its metadata names columns (`corerl.columns`), they\nhave to be the site's; where not, their number has to agree, and nobody can check more than that.\n\nWhat can be read: up to two hidden layers of ReLU, leaky ReLU or CReLU, up to 128 units each, before linear setpoints: Gemm,\nMatMul, Add, Sub, Mul, Div, Relu, LeakyRelu, Abs, Neg, Concat, Flatten, Identity, Constant, and Clip, Max, Min for setpoints. They\nbecome a policy like any other, with the same answers to rounding. Without an output `deviations` it hardly explores.\n\nExit codes: 0 made, 1 the model cannot be a policy of this site, 69 it cannot be read, 78 the site file is refused."
    )]
    Import(import::ImportArguments),
    /// Say of each check that a runtime makes of a policy file whether it holds.
    #[command(
        after_help = "Examples:\n  corerl model verify best.safetensors --config site.yaml\n  corerl model verify best.safetensors\n\nWith a site file: whether that site's runtime would start with it. Without one, nobody asks for tags or for a trusted key; a\nsignature has to fit all the same.\n\nExit codes: 0 everything holds, 1 something does not, 69 the file cannot be read, 78 the site file is refused."
    )]
    Verify {
        /// The policy file.
        file: PathBuf,
        /// The site file: its tags, and the keys that it trusts.
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Args)]
struct ExportArguments {
    /// Where to put the policy.
    file: PathBuf,
    /// The site file of the agent.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// A policy file, instead of a running agent's policy.
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
    #[command(flatten)]
    target: Target,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &ModelArguments) -> Result<Exit, Failure> {
    match &arguments.command {
        ModelCommand::Keygen { key, json } => keygen(key, *json),
        ModelCommand::Export(arguments) => export(arguments),
        ModelCommand::Inspect { file, json } => looks::inspect(file, *json),
        ModelCommand::Diff { one, other, json } => looks::diff(one, other, *json),
        ModelCommand::Sign { file, key, json } => sign(file, key, *json),
        ModelCommand::Import(arguments) => import::run(arguments),
        ModelCommand::Verify { file, config, json } => verify::run(file, config.as_deref(), *json),
    }
}

fn keygen(path: &Path, json: bool) -> Result<Exit, Failure> {
    #[derive(Serialize)]
    struct Made<'a> {
        public: &'a str,
        key: &'a Path,
    }
    const RANDOM: &str = "/dev/urandom";
    let mut seed = [0; 32];
    File::open(RANDOM)
        .and_then(|mut random| random.read_exact(&mut seed))
        .map_err(|error| Failure::io(RANDOM, &error))?;
    let key = SecretKey::from_seed(seed);
    key.save(path).map_err(|error| Failure::io(path.display(), &error))?;
    let public = &key.public();
    if json {
        print_json("corerl.key/1", &Made { public, key: path })?;
    } else {
        print_text(&format!("{public}\n"))?;
        eprintln!("made {}; policies signed with it are used where the site file has this public key", path.display());
    }
    Ok(Exit::Fine)
}

fn sign(path: &Path, key: &Path, json: bool) -> Result<Exit, Failure> {
    let key = SecretKey::load(key).map_err(|refused| key_refused(&refused))?;
    let unsigned = file::read(path).map_err(|refused| file_refused(path, &refused))?;
    let signed = file::sign(&unsigned, &key).map_err(|error| match &error {
        SignError::Refused(refused) => file_refused(path, refused),
        SignError::Write(error) => Failure::new(Exit::Internal, error),
    })?;
    save_policy(path, &signed)?;
    told(path, &format!("signed with the key {}", key.public()), json)
}

fn export(arguments: &ExportArguments) -> Result<Exit, Failure> {
    let site = crate::run::load_site(&arguments.config)?;
    let purpose = Purpose::of(&site);
    let (origin, parameters) = match &arguments.from {
        Some(path) => {
            let loaded =
                file::load(path, &purpose, &Trust::of(&site)).map_err(|refused| file_refused(path, &refused))?;
            (loaded.manifest().origin.clone(), loaded.weights().parameters().to_vec())
        }
        None => policy_in_use(&site, &mut arguments.target.connect()?.1)?,
    };
    let is_model = arguments.file.extension().is_some_and(|extension| extension == "onnx");
    let (bytes, what) = if is_model {
        (onnx::to_model(&purpose, &origin, &parameters).map_err(internal)?, "an ONNX model")
    } else {
        (file::to_bytes(&purpose, &origin, &parameters).map_err(internal)?, "not signed yet")
    };
    save_policy(&arguments.file, &bytes)?;
    told(&arguments.file, &format!("generation {}, {what}", origin.generation), arguments.json)
}

/// The policy that the runtime adopted, from the memory into which the learner published it, and verified once more.
fn policy_in_use(site: &Site, client: &mut Client) -> Result<(Origin, Vec<f32>), Failure> {
    let deadline = Instant::now() + EXPORT_PATIENCE;
    loop {
        let adopted = client.status()?.policy_generation;
        if adopted == 0 {
            let message = "the agent uses the nominal policy of its site file: there is nothing to export";
            return Err(Failure::new(Exit::Unavailable, message));
        }
        let found = match watch::segment(client, SegmentKind::Weights) {
            // No learner has joined that could have published it.
            Err(blind) if blind.is_too_early() => None,
            segment => published(site, &segment?, adopted)?,
        };
        if let Some(found) = found {
            return Ok(found);
        }
        if Instant::now() > deadline {
            return Err(Failure::new(Exit::Temporary, not_published(adopted)));
        }
        std::thread::sleep(EXPORT_PAUSE);
    }
}

/// The policy of this generation, if it is among those that the learner published last and is whole.
fn published(site: &Site, segment: &Segment, generation: u64) -> Result<Option<(Origin, Vec<f32>)>, Failure> {
    let spec = Purpose::of(site).spec().ok_or_else(|| internal("the site has no network"))?;
    for words in published_weights(segment) {
        let header = WeightsHeader::from_words(&words).filter(|header| header.generation == generation);
        let Some(header) = header else { continue };
        let mut verifier = Verifier::new(&spec, site.tag_list_hash(), Kernel::best()).map_err(internal)?;
        verifier.grant(header.epoch);
        let Ok(weights) = verifier.verify(&words) else { continue };
        let publication = weights.publication();
        let origin = Origin {
            created_by: format!("corerl {}", env!("CARGO_PKG_VERSION")),
            generation: publication.generation,
            updates: publication.updates,
            nominal: publication.nominal,
        };
        return Ok(Some((origin, weights.parameters().to_vec())));
    }
    Ok(None)
}

fn not_published(generation: u64) -> String {
    format!(
        "generation {generation}, which the agent uses, is not among those that its learner published last: it is from \
         `policy_file`, or came back because a newer one failed on probation, and will not be found here then; or \
         its learner was started again or published newer ones meanwhile: try again when the agent uses one of them"
    )
}

/// Writes a policy file, whole or not at all.
pub(crate) fn save_policy(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    rt_state::replace(path, POLICY_FILE_MODE, bytes)
        .map_err(|error| Failure::io(format_args!("cannot write {}", path.display()), &error))
}

fn told(path: &Path, what: &str, json: bool) -> Result<Exit, Failure> {
    #[derive(Serialize)]
    struct Told<'a> {
        file: &'a Path,
        message: &'a str,
    }
    if json {
        print_json("corerl.model/1", &Told { file: path, message: what })?;
    } else {
        eprintln!("{}: {what}", path.display());
    }
    Ok(Exit::Fine)
}

fn key_refused(refused: &KeyRefused) -> Failure {
    match refused {
        KeyRefused::Io { path, source } => Failure::io(path.display(), source),
        KeyRefused::Mode { .. } => Failure::new(Exit::NoPermission, refused),
        KeyRefused::Format { .. } => Failure::new(Exit::CheckFailed, refused),
    }
}

fn file_refused(path: &Path, refused: &PolicyFileRefused) -> Failure {
    match refused {
        PolicyFileRefused::Io(error) => Failure::io(path.display(), error),
        _ => Failure::new(Exit::CheckFailed, format_args!("{}: {refused}", path.display())),
    }
}

fn internal(error: impl std::fmt::Display) -> Failure {
    Failure::new(Exit::Internal, error)
}
