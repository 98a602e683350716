//! The certificates of a scenario: the runtime's own, the plant's, and whom each of them trusts. What people do about them is
//! done with the commands that people have.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::scenario::site::{CERTIFICATE_FILE, KEY_FILE, TRUST_DIR};

/// The simulated plant's directory of certificates.
const PLANT_DIR: &str = "plant-pki";
/// Its own certificate and key: it makes new ones when it starts without.
const PLANT_FILES: [&str; 2] = ["own/cert.der", "private/private.pem"];
/// What a trust directory knows of servers that were decided about.
const TRUST_PARTS: [&str; 3] = ["trusted", "issuers", "crl"];
/// Clients that it takes.
const TAKEN: &str = "trusted";
/// Clients that it takes no more.
const REFUSED: &str = "rejected";

/// The certificates below one directory.
#[derive(Clone, Debug)]
pub(crate) struct Papers<'s> {
    place: PathBuf,
    operator: &'s Path,
    /// The runtime's name of itself.
    application_uri: &'s str,
}

impl<'s> Papers<'s> {
    /// Of a runtime with this name, in this directory; `operator` is the program `corerl`.
    pub(crate) fn new(place: &Path, operator: &'s Path, application_uri: &'s str) -> Self {
        Self { place: place.to_owned(), operator, application_uri }
    }

    /// Where a simulated plant keeps its certificates.
    pub(crate) fn plant_directory(&self) -> PathBuf {
        self.place.join(PLANT_DIR)
    }

    /// Makes the runtime's certificate and key, where its site file names them.
    ///
    /// # Errors
    /// A sentence: they cannot be made.
    pub(crate) fn make_own(&self) -> Result<(), String> {
        self.make(CERTIFICATE_FILE, KEY_FILE)
    }

    /// The runtime trusts those whom this directory trusts, which itself stays as it is.
    ///
    /// # Errors
    /// A sentence: it cannot be copied.
    pub(crate) fn trust_as_in(&self, directory: &Path) -> Result<(), String> {
        let copied = || -> io::Result<()> {
            for part in TRUST_PARTS.iter().filter(|part| directory.join(part).is_dir()) {
                let copies = self.place.join(TRUST_DIR).join(part);
                fs::create_dir_all(&copies)?;
                for file in fs::read_dir(directory.join(part))? {
                    let file = file?;
                    fs::copy(file.path(), copies.join(file.file_name()))?;
                }
            }
            Ok(())
        };
        copied().map_err(|error| format!("the trust directory {} cannot be copied: {error}", directory.display()))
    }

    /// Puts new ones into their place, the key first; the plant takes the old certificate no more.
    ///
    /// # Errors
    /// A sentence: they cannot be made, or be put there.
    pub(crate) fn renew_own(&self) -> Result<(), String> {
        let fresh = |name: &str| format!("new-{name}");
        self.make(&fresh(CERTIFICATE_FILE), &fresh(KEY_FILE))?;
        let put = |name: &str| fs::rename(self.place.join(fresh(name)), self.place.join(name));
        let refuse_old = || -> io::Result<()> {
            let plant = self.plant_directory();
            for old in fs::read_dir(plant.join(TAKEN))? {
                let old = old?;
                fs::rename(old.path(), plant.join(REFUSED).join(old.file_name()))?;
            }
            Ok(())
        };
        let done = put(KEY_FILE).and_then(|()| put(CERTIFICATE_FILE)).and_then(|()| refuse_old());
        done.map_err(|error| format!("the runtime's certificate cannot be replaced: {error}"))
    }

    /// Takes the plant's certificate and key away: it has new ones when it is started the next time.
    ///
    /// # Errors
    /// A sentence: they cannot be taken away.
    pub(crate) fn renew_plants(&self) -> Result<(), String> {
        let plant = self.plant_directory();
        let gone = PLANT_FILES.iter().try_for_each(|name| fs::remove_file(plant.join(name)));
        gone.map_err(|error| format!("the plant's certificate cannot be taken away: {error}"))
    }

    /// The runtime trusts this certificate: a file, or the thumbprint of one that it has put aside.
    ///
    /// # Errors
    /// A sentence: there is none.
    pub(crate) fn trust(&self, certificate: &str) -> Result<(), String> {
        self.operate(&["io", "trust", "add", certificate, "--trust-dir", TRUST_DIR])
    }

    /// The runtime trusts the certificate with this thumbprint no longer.
    ///
    /// # Errors
    /// A sentence: it was not trusted.
    pub(crate) fn distrust(&self, thumbprint: &str) -> Result<(), String> {
        self.operate(&["io", "trust", "remove", thumbprint, "--trust-dir", TRUST_DIR])
    }

    fn make(&self, certificate: &str, key: &str) -> Result<(), String> {
        let named = ["--application-uri", self.application_uri, "--cert", certificate, "--key", key];
        self.operate(&[&["io", "cert", "create"][..], &named].concat())
    }

    /// Runs a command of `corerl` here, as a person would.
    fn operate(&self, words: &[&str]) -> Result<(), String> {
        let done = Command::new(self.operator).args(words).current_dir(&self.place).stdin(Stdio::null()).output();
        let done = done.map_err(|error| format!("`corerl` cannot be started: {error}"))?;
        if done.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&done.stderr).trim().to_owned()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trust_directory_is_copied_without_what_nobody_has_decided_about() {
        let [works, place] = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        for part in ["trusted", "pending"] {
            fs::create_dir_all(works.path().join(part)).unwrap();
            fs::write(works.path().join(part).join("a.der"), part).unwrap();
        }
        Papers::new(place.path(), "true".as_ref(), "urn:test").trust_as_in(works.path()).unwrap();
        let copied = place.path().join(TRUST_DIR);
        assert!(copied.join("trusted/a.der").exists() && !copied.join("pending").exists());
    }

    #[test]
    fn the_plant_takes_an_old_certificate_no_more_and_forgets_its_own() {
        let place = tempfile::tempdir().unwrap();
        let papers = Papers::new(place.path(), "true".as_ref(), "urn:test");
        assert!(papers.renew_plants().unwrap_err().contains("cannot be taken away"));
        let plant = papers.plant_directory();
        for name in PLANT_FILES.into_iter().chain(["trusted/old.der", "rejected/older.der"]) {
            fs::create_dir_all(plant.join(name).parent().unwrap()).unwrap();
            fs::write(plant.join(name), "").unwrap();
        }
        papers.renew_plants().unwrap();
        assert!(PLANT_FILES.iter().all(|name| !plant.join(name).exists()));
        // `true` makes nothing that could be put into place.
        assert!(
            papers.renew_own().unwrap_err().contains("cannot be replaced") && plant.join("trusted/old.der").exists()
        );
        for name in [CERTIFICATE_FILE, KEY_FILE] {
            fs::write(place.path().join(format!("new-{name}")), name).unwrap();
        }
        papers.renew_own().unwrap();
        assert_eq!(fs::read_to_string(place.path().join(KEY_FILE)).unwrap(), KEY_FILE);
        assert!(plant.join("rejected/old.der").exists() && !plant.join("trusted/old.der").exists());
    }
}
