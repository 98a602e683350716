//! Backups in an object store that nobody here wrote: moto's, in Python, which speaks S3.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use children::Child;
use serde_json::Value;

use super::stage::Stage;
use super::{Absence, Check};
use crate::demo::build_release;
use crate::peers::{Prepared, objects, scripts};

const NAME: &str = "objects";
const CASE: &str = "backups in a bucket";
const PLACE: &str = "s3://plant/backups/works";
/// More than a part, and nothing that a compressor could make less.
const BYTES: usize = 40 << 20;

/// Puts backups into a bucket, and gets them back.
pub(super) fn examine(checks: &mut Vec<Check>, absent: &mut Vec<Absence>) -> Result<(), String> {
    let python = match objects()? {
        Prepared::There(python) => python,
        Prepared::Absent(why) => {
            eprintln!("{NAME} is not there: {why}");
            absent.push(Absence { peer: NAME, why });
            return Ok(());
        }
    };
    eprintln!("{NAME}: {CASE}");
    let stage = Stage::new(&build_release()?)?;
    let mut server = Child::start("moto", Command::new(&python).arg(scripts(NAME).join("server.py")))?;
    let port = stage.announced(&mut server)?["port"].to_string();
    let bucket = Bucket { stage: &stage, endpoint: format!("http://127.0.0.1:{port}") };
    let flight = bucket.site()?;
    let mut push = |what: &'static str, passed: bool, facts: String| {
        checks.push(Check { peer: NAME, case: CASE, what: what.into(), passed, facts });
    };
    bucket.keep_and_restore(&flight, &mut push)?;
    bucket.spoil(&python, &mut push)
}

/// What a check is told to.
type Push<'a> = &'a mut dyn FnMut(&'static str, bool, String);

/// The bucket, and a site that is kept in it.
struct Bucket<'a> {
    stage: &'a Stage,
    endpoint: String,
}

impl Bucket<'_> {
    fn path(&self, name: &str) -> PathBuf {
        self.stage.directory().join(name)
    }

    /// A site file, and beside it what a flight recorder may have left.
    fn site(&self) -> Result<Vec<u8>, String> {
        let example = self.corerl(&["config", "example"])?;
        let mut bytes = vec![0; BYTES];
        let mut state = 1_u64;
        for chunk in bytes.chunks_mut(8) {
            // xorshift64: the same bytes every time.
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            chunk.copy_from_slice(&state.to_le_bytes()[..chunk.len()]);
        }
        let flight = self.path("state/flight");
        let written = fs::create_dir_all(&flight)
            .and_then(|()| fs::write(flight.join("trip.cap"), &bytes))
            .and_then(|()| fs::write(self.path("site.yaml"), &example.stdout));
        written.map_err(|error| format!("the site cannot be written: {error}"))?;
        Ok(bytes)
    }

    fn corerl(&self, words: &[&str]) -> Result<Output, String> {
        let mut command = Command::new(self.stage.program("corerl"));
        command.args(words).current_dir(self.stage.directory()).stdin(Stdio::null());
        command.env("AWS_ENDPOINT_URL", &self.endpoint).env("AWS_REGION", "us-east-1");
        command.env("AWS_ACCESS_KEY_ID", "interop").env("AWS_SECRET_ACCESS_KEY", "interop");
        command.output().map_err(|error| format!("corerl cannot be started: {error}"))
    }

    fn create(&self) -> Result<Output, String> {
        self.corerl(&["backup", "create", "--config", "site.yaml", "--to", PLACE, "--keep", "1"])
    }

    fn keep_and_restore(&self, flight: &[u8], push: Push<'_>) -> Result<(), String> {
        let created = self.create()?;
        push("an archive of several parts is put there", created.status.success(), said(&created));
        let again = self.create()?;
        push("a second one takes its place", again.status.success(), said(&again));
        let listed = self.corerl(&["backup", "list", PLACE, "--json"])?;
        let listed: Value = serde_json::from_slice(&listed.stdout).unwrap_or_default();
        let backups = listed["backups"].as_array().map_or(0, Vec::len);
        push("one is listed", backups == 1, listed["backups"].to_string());
        let verified = self.corerl(&["backup", "verify", PLACE])?;
        push("every byte is as it was written", verified.status.success(), said(&verified));
        let restored = self.corerl(&["backup", "restore", PLACE, "--to", "back"])?;
        let is_same = fs::read(self.path("back/state/flight/trip.cap")).is_ok_and(|bytes| bytes == flight);
        push("it comes back", restored.status.success() && is_same, said(&restored));
        let other = self.corerl(&["backup", "list", "s3://nobodys/backups"])?;
        let is_told = other.status.code() == Some(69) && said(&other).contains("NoSuchBucket");
        push("a bucket that is not there is told", is_told, said(&other));
        Ok(())
    }

    /// One bit changes in the store.
    fn spoil(&self, python: &Path, push: Push<'_>) -> Result<(), String> {
        let listed = self.corerl(&["backup", "list", PLACE, "--json"])?;
        let listed: Value = serde_json::from_slice(&listed.stdout).unwrap_or_default();
        let address = listed["backups"][0]["backup"].as_str().unwrap_or_default();
        let key = address.strip_prefix("s3://plant/").unwrap_or_default();
        let mut spoil = Command::new(python);
        spoil.arg(scripts(NAME).join("spoil.py")).args([self.endpoint.as_str(), key]).stdin(Stdio::null());
        let answer = spoil.output().map_err(|error| format!("python cannot be started: {error}"))?;
        let answer: Value = serde_json::from_slice(&answer.stdout).unwrap_or_default();
        push("no upload is left unfinished", answer["unfinished"] == 0, answer.to_string());
        let verified = self.corerl(&["backup", "verify", PLACE])?;
        push("a bit that changed there is found", verified.status.code() == Some(1), said(&verified));
        let restored = self.corerl(&["backup", "restore", PLACE, "--to", "spoilt"])?;
        let is_nothing = restored.status.code() == Some(1) && !self.path("spoilt").exists();
        push("and nothing is restored of it", is_nothing, said(&restored));
        Ok(())
    }
}

/// The first line of what a command said.
fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).lines().next().unwrap_or_default().to_owned()
}
