//! What has to hold of a policy file, one thing after another.

use safetensors::tensor::{SafeTensorError, SafeTensors};
use serde::{Serialize, Serializer};

use super::{MANIFEST_KEY, Manifest, PolicyFileRefused, Purpose, Trust, hash_of, parameters_of, read_manifest};
use crate::kernels::Kernel;
use crate::probe::{Probe, finite, moderate, normal};
use crate::spec::PolicySpec;

/// One thing that has to hold of a policy file before it may act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// It is safetensors, whole, and has a manifest.
    Format,
    /// The manifest is of this program's version, and complete.
    Version,
    /// Somebody vouches for every byte whom the site trusts.
    Signature,
    /// Columns and setpoints are the site's own: names, units, scales, order, and the hash of the tag list.
    Tags,
    /// Layers and tensors are those of the site's network.
    Shape,
    /// The parameters are those that were written.
    Checksum,
    /// Every parameter is a number.
    Finite,
    /// No parameter is denormal.
    Normal,
    /// No parameter is beyond [`PARAMETER_MAX`](crate::wire::PARAMETER_MAX).
    Magnitude,
    /// The answers to the golden inputs are within [`OUTPUT_MAX`](crate::wire::OUTPUT_MAX).
    Answers,
}

impl Check {
    /// All of them, in the order in which they are looked at. The signature comes before anything that is said of a site:
    /// what nobody vouches for may say anything.
    pub const ALL: [Self; 10] = [
        Self::Format,
        Self::Version,
        Self::Signature,
        Self::Tags,
        Self::Shape,
        Self::Checksum,
        Self::Finite,
        Self::Normal,
        Self::Magnitude,
        Self::Answers,
    ];

    /// Its name, as JSON has it, too.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Format => "format",
            Self::Version => "version",
            Self::Signature => "signature",
            Self::Tags => "tags",
            Self::Shape => "shape",
            Self::Checksum => "checksum",
            Self::Finite => "finite",
            Self::Normal => "normal",
            Self::Magnitude => "magnitude",
            Self::Answers => "answers",
        }
    }
}

impl Serialize for Check {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// What was found of a check.
#[derive(Debug)]
pub enum Verdict {
    /// It holds.
    Holds,
    /// It does not.
    Refused(PolicyFileRefused),
    /// Nobody can tell, because something before it does not hold.
    Unknown,
    /// It depends on a site, and none was named.
    NoSite,
}

/// What holds of the bytes of a policy file and what does not: everything that [`from_bytes`](super::from_bytes) asks before
/// it believes them, to its end. Without a site nobody knows whose tags and signatures count: then a signature has to fit, and
/// a network has to be one.
pub fn examine(bytes: &[u8], site: Option<(&Purpose, &Trust)>) -> [(Check, Verdict); Check::ALL.len()] {
    let mut file = Allegation::of(bytes, site);
    let mut verdict = |check| match file.look(check) {
        _ if check == Check::Tags && site.is_none() => Verdict::NoSite,
        Some(Ok(())) => Verdict::Holds,
        Some(Err(refused)) => Verdict::Refused(refused),
        None => Verdict::Unknown,
    };
    Check::ALL.map(|check| (check, verdict(check)))
}

/// A file of which more is known after each check that it passes.
#[derive(Debug)]
pub(super) struct Allegation<'b> {
    bytes: &'b [u8],
    site: Option<(&'b Purpose, &'b Trust)>,
    opened: Option<(String, SafeTensors<'b>)>,
    pub(super) manifest: Option<Manifest>,
    pub(super) spec: Option<PolicySpec>,
    pub(super) parameters: Option<Vec<f32>>,
}

impl<'b> Allegation<'b> {
    fn of(bytes: &'b [u8], site: Option<(&'b Purpose, &'b Trust)>) -> Self {
        Self { bytes, site, opened: None, manifest: None, spec: None, parameters: None }
    }

    /// The file after these checks, as far as the first that does not hold.
    pub(super) fn followed(
        bytes: &'b [u8],
        checks: &[Check],
        site: Option<(&'b Purpose, &'b Trust)>,
    ) -> Result<Self, PolicyFileRefused> {
        let mut file = Self::of(bytes, site);
        checks.iter().try_for_each(|check| file.look(*check).unwrap_or(Err(PolicyFileRefused::NoManifest)))?;
        Ok(file)
    }

    /// Whether a check holds; `None` when something is missing that an earlier one would have found.
    fn look(&mut self, check: Check) -> Option<Result<(), PolicyFileRefused>> {
        Some(match check {
            Check::Format => open(self.bytes).map(|opened| self.opened = Some(opened)),
            Check::Version => read_manifest(&self.opened.as_ref()?.0).map(|manifest| self.manifest = Some(manifest)),
            Check::Signature => {
                let anybody = Trust { keys: Vec::new(), lab: true };
                let trust = self.site.map_or(&anybody, |(_, trust)| trust);
                trust.check(self.bytes, self.manifest.as_ref()?.signature.as_ref())
            }
            Check::Tags => match self.site {
                Some((expected, _)) => self.manifest.as_ref()?.purpose.check_tags(expected),
                None => Ok(()),
            },
            Check::Shape => self.shape()?,
            Check::Checksum => {
                let is_same = self.manifest.as_ref()?.parameters_hash == hash_of(self.parameters.as_ref()?);
                if is_same { Ok(()) } else { Err(PolicyFileRefused::Hash) }
            }
            Check::Finite => finite(self.parameters.as_ref()?).map_err(Into::into),
            Check::Normal => normal(self.parameters.as_ref()?).map_err(Into::into),
            Check::Magnitude => moderate(self.parameters.as_ref()?).map_err(Into::into),
            Check::Answers => {
                let (spec, parameters) = (self.spec.as_ref()?, self.parameters.as_ref()?);
                match Probe::new(spec, Kernel::best()) {
                    Ok(mut probe) => probe.answers(parameters).map_err(Into::into),
                    Err(refused) => Err(refused.into()),
                }
            }
        })
    }

    fn shape(&mut self) -> Option<Result<(), PolicyFileRefused>> {
        let ((_, tensors), purpose) = (self.opened.as_ref()?, &self.manifest.as_ref()?.purpose);
        let found = || {
            if let Some((expected, _)) = self.site {
                purpose.check_layers(expected)?;
            }
            let spec = purpose.spec().ok_or(PolicyFileRefused::Activation)?;
            spec.check()?;
            let parameters = parameters_of(tensors, &spec)?;
            Ok((spec, parameters))
        };
        let found = found();
        Some(found.map(|(spec, parameters)| (self.spec, self.parameters) = (Some(spec), Some(parameters))))
    }
}

fn open(bytes: &[u8]) -> Result<(String, SafeTensors<'_>), PolicyFileRefused> {
    let cut = PolicyFileRefused::Cut { found_bytes: bytes.len() };
    let parsed = SafeTensors::read_metadata(bytes).and_then(|(_, head)| Ok((head, SafeTensors::deserialize(bytes)?)));
    let (head, tensors) = match parsed {
        Ok(parsed) => parsed,
        Err(
            SafeTensorError::HeaderTooSmall
            | SafeTensorError::InvalidHeaderLength
            | SafeTensorError::MetadataIncompleteBuffer,
        ) => return Err(cut),
        Err(other) => return Err(PolicyFileRefused::Format(other)),
    };
    let text = head.metadata().as_ref().and_then(|entries| entries.get(MANIFEST_KEY));
    Ok((text.ok_or(PolicyFileRefused::NoManifest)?.clone(), tensors))
}
