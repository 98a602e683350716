//! S5: keys and passwords stay in the files that they are in.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use rustix::process::Signal;
use tests::{Place, Plant, SiteFile};

const PASSWORD: &str = "correct-horse-battery-staple";

/// A plant that wants encryption and a password, and a site file that has both by reference.
fn secured(place: &Place) -> (Plant, SiteFile) {
    let password = place.path("password");
    std::fs::write(&password, PASSWORD).unwrap();
    std::fs::set_permissions(&password, Permissions::from_mode(0o600)).unwrap();
    let password = password.display().to_string();
    let user = ["--user", "operator", "--password-file", &password];
    let plant = place.plant_with(&[&["--security", "encrypt", "--trust-all-clients"][..], &user].concat());
    let files = ["--cert", "client.der", "--key", "client.pem"];
    let create = [&["io", "cert", "create", "--application-uri", "urn:corerl:rt"][..], &files].concat();
    assert!(place.command("corerl").args(create).status().unwrap().success());
    std::fs::create_dir_all(place.path("trust/trusted")).unwrap();
    std::fs::copy(place.path("plant-pki/own/cert.der"), place.path("trust/trusted/plant.der")).unwrap();
    let connection = "    - connection_id: plant\n";
    let security =
        "security_policy: {policy: basic256_sha256, client_cert_path: client.der, client_key_path: client.pem}";
    let user = "authentication_mode: {username: operator, password: {file: password}}";
    let secured = format!("{connection}      {security}\n      {user}\n");
    let site = place.site(plant.url(), &[("lab: true\n", ""), (connection, &secured)]);
    (plant, site)
}

/// The files below this directory that hold this text.
fn files_with(directory: &Path, text: &[u8]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files_with(&path, text));
        } else if path.is_file() && holds(&std::fs::read(&path).unwrap(), text) {
            found.push(path);
        }
    }
    found
}

fn holds(bytes: &[u8], text: &[u8]) -> bool {
    bytes.windows(text.len()).any(|window| window == text)
}

#[test]
fn s5_a_password_and_a_key_are_in_no_argument_variable_log_or_file_but_their_own() {
    let place = Place::new();
    let (mut plant, site) = secured(&place);
    let mut runtime = place.runtime(&site, &["--arm"]);
    runtime.wait_for_mode("run");
    let key = std::fs::read_to_string(place.path("client.pem")).unwrap();
    let line_of_the_key = key.lines().nth(3).unwrap().to_owned();
    let shown = |words: &[&str]| place.corerl(words).output().unwrap();
    let status = shown(&["agent", "status", "--json"]);
    assert!(status.status.success());
    let process = format!("/proc/{}", runtime.process.pid());
    let of_process = ["cmdline", "environ"].map(|name| std::fs::read(format!("{process}/{name}")).unwrap());
    assert_eq!(runtime.process.stop(Signal::TERM), 0);
    let audit = shown(&["audit", "show", "--json"]);
    for secret in [PASSWORD, &line_of_the_key] {
        let secret = secret.as_bytes();
        assert!(of_process.iter().all(|bytes| !holds(bytes, secret)));
        assert!(!holds(runtime.process.said().as_bytes(), secret));
        assert!(!holds(&status.stdout, secret) && !holds(&audit.stdout, secret));
    }
    assert_eq!(plant.process.stop(Signal::TERM), 0);
    let below = |text: &str| files_with(&place.path(""), text.as_bytes());
    assert_eq!(below(PASSWORD), [place.path("password")]);
    assert_eq!(below(&line_of_the_key), [place.path("client.pem")]);
}

#[test]
fn s5_a_password_comes_from_the_credentials_of_the_service_manager() {
    let place = Place::new();
    let (_plant, site) = secured(&place);
    let text = std::fs::read_to_string(site.path()).unwrap();
    std::fs::write(site.path(), text.replace("{file: password}", "{credential: plant}")).unwrap();
    std::fs::create_dir(place.path("credentials")).unwrap();
    std::fs::rename(place.path("password"), place.path("credentials/plant")).unwrap();
    let read = |credentials: Option<PathBuf>| {
        let mut command = place.command("corerl");
        command.args(["io", "read", "level", "--config"]).arg(site.path());
        command.envs(credentials.map(|directory| ("CREDENTIALS_DIRECTORY", directory)));
        let output = command.output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, said) = read(Some(place.path("credentials")));
    assert_eq!(code, Some(0), "{said}");
    let (code, said) = read(None);
    assert!(code == Some(78) && said.contains("LoadCredentialEncrypted="), "{said}");
}

#[test]
fn s5_a_key_that_others_may_read_is_refused_with_its_mode() {
    let place = Place::new();
    let (_plant, site) = secured(&place);
    std::fs::set_permissions(place.path("client.pem"), Permissions::from_mode(0o644)).unwrap();
    let output = place.command("corerl-rt").arg("--config").arg(site.path()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(78), "{said}");
    assert!(said.contains("client.pem") && said.contains("644"), "{said}");
}
