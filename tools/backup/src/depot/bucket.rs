//! Archives in a bucket of an object store that speaks S3: AWS's own, MinIO, Ceph and others.
//!
//! An archive comes in parts and has its name once all of them are there. Only the keys of requests are signed, not what they
//! carry: TLS protects that on its way, and the archive's own digest beyond it.

use std::io::{self, Read, Write};
use std::sync::Arc;
use std::time::Duration;

use rusty_s3::actions::{
    AbortMultipartUpload, CompleteMultipartUpload, CompleteMultipartUploadResponse, CreateMultipartUpload,
    DeleteObject, GetObject, ListObjectsV2, S3Action as _, UploadPart,
};
use rusty_s3::{Credentials, UrlStyle};
use ureq::http::Response;
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Body};

use super::{DepotError, PutError};

/// Bytes of a part: so much is held in memory.
pub const PART_BYTES: usize = 32 << 20;
/// The object stores' own limit. An archive can have 335 GB.
const PARTS_MAX: u16 = 10_000;
/// How long a signed request may be used.
const VALID: Duration = Duration::from_secs(3600);
/// How often a part is sent, at most; and how long is waited before it is sent again.
const ATTEMPTS: u32 = 4;
const PAUSE: Duration = Duration::from_millis(500);
/// Without a sign of life for so long the store is taken for gone.
const SILENCE: Duration = Duration::from_secs(60);
/// Of what is said in words, which is short.
const ANSWER_BYTES_MAX: u64 = 16 << 20;

/// A bucket, and the part of its names that is ours.
pub(super) struct Bucket {
    bucket: rusty_s3::Bucket,
    credentials: Credentials,
    prefix: String,
    agent: Agent,
}

impl Bucket {
    /// With what the environment says, as AWS's own tools understand it.
    pub(super) fn new(name: String, prefix: String, endpoint: Option<&str>) -> Result<Self, DepotError> {
        let credentials = Credentials::from_env().ok_or(DepotError::NoCredentials)?;
        let region = ["AWS_REGION", "AWS_DEFAULT_REGION"].into_iter().find_map(set);
        let region = region.unwrap_or_else(|| "us-east-1".to_owned());
        let given = endpoint.map(str::to_owned);
        let given = given.or_else(|| ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"].into_iter().find_map(set));
        // A name with dots has no certificate as a host; and other stores seldom have hosts for buckets.
        let style = if given.is_some() || name.contains('.') { UrlStyle::Path } else { UrlStyle::VirtualHost };
        let endpoint = given.unwrap_or_else(|| format!("https://s3.{region}.amazonaws.com"));
        let unfit = |why: String| DepotError::Unreachable { place: endpoint.clone(), why };
        let url = endpoint.parse().map_err(|_| unfit("it is no URL".to_owned()))?;
        let bucket = rusty_s3::Bucket::new(url, style, name, region).map_err(|error| unfit(error.to_string()))?;
        Ok(Self { bucket, credentials, prefix, agent: agent()? })
    }

    pub(super) fn address_of(&self, name: &str) -> String {
        format!("s3://{}/{}{name}", self.bucket.name(), self.prefix)
    }

    pub(super) fn list(&self) -> Result<Vec<(String, u64)>, DepotError> {
        let place = self.address_of("");
        let mut found = Vec::new();
        let mut next: Option<String> = None;
        loop {
            let mut action = ListObjectsV2::new(&self.bucket, Some(&self.credentials));
            action.with_prefix(self.prefix.clone());
            action.with_delimiter("/");
            if let Some(token) = next.take() {
                action.with_continuation_token(token);
            }
            let answer = text(&place, self.agent.get(action.sign(VALID).as_str()).call())?;
            let answer = ListObjectsV2::parse_response(&answer).map_err(|error| not_understood(&place, &error))?;
            found.extend(answer.contents.into_iter().filter_map(|object| {
                Some((object.key.strip_prefix(&self.prefix)?.to_owned(), object.size.unwrap_or(0)))
            }));
            next = answer.next_continuation_token;
            if next.is_none() {
                return Ok(found);
            }
        }
    }

    pub(super) fn open(&self, name: &str) -> Result<Box<dyn Read>, DepotError> {
        let key = self.key(name);
        let action = GetObject::new(&self.bucket, Some(&self.credentials), &key);
        let answer = accepted(&self.address_of(name), self.agent.get(action.sign(VALID).as_str()).call())?;
        Ok(Box::new(answer.into_body().into_with_config().limit(u64::MAX).reader()))
    }

    pub(super) fn remove(&self, name: &str) -> Result<(), DepotError> {
        let key = self.key(name);
        let action = DeleteObject::new(&self.bucket, Some(&self.credentials), &key);
        accepted(&self.address_of(name), self.agent.delete(action.sign(VALID).as_str()).call()).map(|_| ())
    }

    /// In parts, that become one object when all of them are there.
    pub(super) fn put<T>(
        &self,
        name: &str,
        fill: impl FnOnce(&mut dyn Write) -> Result<T, PutError>,
    ) -> Result<T, PutError> {
        if self.list()?.iter().any(|(known, _)| known == name) {
            return Err(DepotError::Exists(self.address_of(name)).into());
        }
        let mut upload = Upload::begin(self, name)?;
        let filled = fill(&mut upload).and_then(|filled| {
            upload.complete()?;
            Ok(filled)
        });
        match (filled, upload.failed.take()) {
            (Ok(filled), _) => Ok(filled),
            // What was told as a failure to write has its reason here.
            (Err(_), Some(failed)) => Err(upload.abort(failed.into())),
            (Err(error), None) => Err(upload.abort(error)),
        }
    }

    fn key(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }
}

/// An object that comes in parts.
struct Upload<'a> {
    bucket: &'a Bucket,
    key: String,
    place: String,
    id: String,
    etags: Vec<String>,
    part: Vec<u8>,
    failed: Option<DepotError>,
}

impl<'a> Upload<'a> {
    fn begin(bucket: &'a Bucket, name: &str) -> Result<Self, DepotError> {
        let (key, place) = (bucket.key(name), bucket.address_of(name));
        let action = CreateMultipartUpload::new(&bucket.bucket, Some(&bucket.credentials), &key);
        let answer = text(&place, bucket.agent.post(action.sign(VALID).as_str()).send_empty())?;
        let answer = CreateMultipartUpload::parse_response(&answer).map_err(|error| not_understood(&place, &error))?;
        let id = answer.upload_id().to_owned();
        Ok(Self { bucket, key, place, id, etags: Vec::new(), part: Vec::new(), failed: None })
    }

    /// Sends what has gathered, more than once if the store is in trouble.
    fn send(&mut self) -> Result<(), DepotError> {
        let number = u16::try_from(self.etags.len() + 1).ok().filter(|number| *number <= PARTS_MAX);
        let number = number.ok_or_else(|| {
            let why =
                format!("an archive has {PARTS_MAX} parts of {PART_BYTES} bytes at most: keep this one in a directory");
            DepotError::Unreachable { place: self.place.clone(), why }
        })?;
        let mut attempt = 1;
        let etag = loop {
            match self.send_once(number) {
                Err(error) if attempt < ATTEMPTS && error.may_pass() => std::thread::sleep(PAUSE * attempt),
                result => break result?,
            }
            attempt += 1;
        };
        self.etags.push(etag);
        self.part.clear();
        Ok(())
    }

    fn send_once(&self, number: u16) -> Result<String, DepotError> {
        let Bucket { bucket, credentials, agent, .. } = self.bucket;
        let action = UploadPart::new(bucket, Some(credentials), &self.key, number, &self.id);
        let answer = accepted(&self.place, agent.put(action.sign(VALID).as_str()).send(&self.part[..]))?;
        let etag = answer.headers().get("etag").and_then(|etag| etag.to_str().ok());
        etag.map(str::to_owned).ok_or_else(|| not_understood(&self.place, &"a part has no ETag"))
    }

    /// The object has its name when this returns.
    fn complete(&mut self) -> Result<(), DepotError> {
        if !self.part.is_empty() {
            self.send()?;
        }
        let Bucket { bucket, credentials, agent, .. } = self.bucket;
        let etags = self.etags.iter().map(String::as_str);
        let action = CompleteMultipartUpload::new(bucket, Some(credentials), &self.key, &self.id, etags);
        let url = action.sign(VALID);
        let answer = text(&self.place, agent.post(url.as_str()).send(action.body()))?;
        // A store may begin its answer with 200 and end it with an error.
        let completed = CompleteMultipartUploadResponse::parse(&answer);
        completed.map(|_| ()).map_err(|_| not_understood(&self.place, &code_in(&answer)))
    }

    /// Parts of what was never finished cost room. A store that is away forgets them by its own rules.
    fn abort(self, error: PutError) -> PutError {
        let Bucket { bucket, credentials, agent, .. } = self.bucket;
        let action = AbortMultipartUpload::new(bucket, Some(credentials), &self.key, &self.id);
        let _ = agent.delete(action.sign(VALID).as_str()).call();
        error
    }
}

impl Write for Upload<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.part.len() >= PART_BYTES
            && let Err(error) = self.send()
        {
            let told = io::Error::other(error.to_string());
            self.failed = Some(error);
            return Err(told);
        }
        let taken = bytes.len().min(PART_BYTES - self.part.len());
        self.part.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl DepotError {
    /// Whether trying again may help.
    fn may_pass(&self) -> bool {
        match self {
            Self::Refused { status, .. } => matches!(status, 408 | 429 | 500..),
            Self::Unreachable { .. } => true,
            _ => false,
        }
    }
}

/// A variable of the environment that says something.
fn set(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Statuses are judged here. Whom TLS believes the machine says; or `AWS_CA_BUNDLE`, for a store with authorities of its own.
fn agent() -> Result<Agent, DepotError> {
    let roots = match set("AWS_CA_BUNDLE") {
        Some(path) => {
            let pem = std::fs::read(&path).map_err(|source| DepotError::File { path: path.into(), source })?;
            let certificate = |item| match item {
                Ok(PemItem::Certificate(certificate)) => Some(certificate),
                _ => None,
            };
            RootCerts::new_with_certs(&parse_pem(&pem).filter_map(certificate).collect::<Vec<_>>())
        }
        None => RootCerts::PlatformVerifier,
    };
    let cryptography = Arc::new(rustls::crypto::ring::default_provider());
    let tls = TlsConfig::builder().root_certs(roots).unversioned_rustls_crypto_provider(cryptography).build();
    let config = Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .timeout_connect(Some(SILENCE))
        .timeout_per_read(Some(SILENCE))
        .timeout_per_write(Some(SILENCE))
        .tls_config(tls);
    Ok(config.build().new_agent())
}

type Answer = Result<Response<Body>, ureq::Error>;

/// An answer that says yes.
fn accepted(place: &str, answer: Answer) -> Result<Response<Body>, DepotError> {
    let unreachable = |error: ureq::Error| DepotError::Unreachable { place: place.to_owned(), why: error.to_string() };
    let answer = answer.map_err(unreachable)?;
    let status = answer.status();
    if status.is_success() {
        return Ok(answer);
    }
    let said = answer.into_body().into_with_config().limit(ANSWER_BYTES_MAX).read_to_string().unwrap_or_default();
    Err(DepotError::Refused { place: place.to_owned(), status: status.as_u16(), said: code_in(&said) })
}

/// What such an answer says.
fn text(place: &str, answer: Answer) -> Result<String, DepotError> {
    let body = accepted(place, answer)?.into_body();
    let text = body.into_with_config().limit(ANSWER_BYTES_MAX).read_to_string();
    text.map_err(|error| DepotError::Unreachable { place: place.to_owned(), why: error.to_string() })
}

/// The code of an error in a store's answer, such as `NoSuchBucket`.
fn code_in(answer: &str) -> String {
    let code = answer.split_once("<Code>").and_then(|(_, rest)| rest.split_once("</Code>"));
    code.map_or_else(|| "it does not say why".to_owned(), |(code, _)| code.to_owned())
}

fn not_understood(place: &str, error: &dyn std::fmt::Display) -> DepotError {
    DepotError::Unreachable { place: place.to_owned(), why: format!("its answer is not understood: {error}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_of_a_refusal_is_told_and_only_trouble_is_tried_again() {
        assert_eq!(code_in("<Error><Code>NoSuchBucket</Code></Error>"), "NoSuchBucket");
        assert_eq!(code_in("<html>"), "it does not say why");
        let refused = |status| DepotError::Refused { place: String::new(), status, said: String::new() };
        assert_eq!([403, 404, 429, 503].map(|status| refused(status).may_pass()), [false, false, true, true]);
    }
}
