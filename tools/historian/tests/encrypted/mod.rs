//! A server that is called as one elsewhere would be, and shows who it is by a certificate.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use historian::Target;
use tempfile::TempDir;

use super::server::{Server, give, programs, wait_for};
use super::{BUDGET, Writer, check};

/// What the server is called in its certificate.
const NAME: &str = "db.plant";

/// An authority, and a server's certificate of it.
struct Certificates(TempDir);

impl Certificates {
    fn issue() -> Self {
        let new = Self(tempfile::tempdir().unwrap());
        fs::set_permissions(new.0.path(), Permissions::from_mode(0o755)).unwrap();
        let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
        fs::write(new.path("names"), format!("subjectAltName=DNS:{NAME}")).unwrap();
        new.openssl(&format!("req -x509 {key} -keyout authority.key -out authority.pem -subj /CN=authority -days 2"));
        new.openssl(&format!("req {key} -keyout server.key -out request.pem -subj /CN={NAME}"));
        let by = "-CA authority.pem -CAkey authority.key -CAcreateserial";
        new.openssl(&format!("x509 -req -in request.pem {by} -out server.pem -days 2 -extfile names"));
        give(&new.path("server.key"), 0o600);
        new
    }

    fn openssl(&self, words: &str) {
        let output = Command::new("openssl").args(words.split(' ')).current_dir(self.0.path()).output();
        let output = output.expect("PostgreSQL's package needs openssl's");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn setting(&self, name: &str, file: &str) -> String {
        format!("{name}={}", self.path(file).display())
    }
}

/// Why nothing arrives there.
fn why_not(target: Target) -> String {
    let spill = tempfile::tempdir().unwrap();
    let writer = Writer::open(target, spill.path(), BUDGET, 2);
    let mut why = None;
    wait_for(|| {
        why = writer.keeper.status().away;
        why.is_some()
    });
    why.unwrap_or_default()
}

#[test]
fn a_server_elsewhere_is_believed_when_it_shows_who_it_is_and_nothing_goes_there_in_clear() {
    let test = "a_server_elsewhere_is_believed_when_it_shows_who_it_is_and_nothing_goes_there_in_clear";
    if programs().is_none() {
        println!("{test} is skipped: there is no PostgreSQL here; apt-get install postgresql");
        return;
    }
    let certificates = Certificates::issue();
    let files =
        [certificates.setting("ssl_cert_file", "server.pem"), certificates.setting("ssl_key_file", "server.key")];
    let Some(server) = Server::prepared(test, &["ssl=on", "listen_addresses=127.0.0.1", &files[0], &files[1]]) else {
        return;
    };
    let authority = certificates.path("authority.pem");
    let called = |name: &str, more: &str, authority: Option<&Path>| {
        let port = server.port();
        let text = format!("host={name} hostaddr=127.0.0.1 port={port} user=corerl_historian dbname=postgres {more}");
        Target::new(&text, Some(server.password_file()), authority.map(Path::to_owned)).unwrap()
    };

    let spill = tempfile::tempdir().unwrap();
    let mut writer = Writer::open(called(NAME, "", Some(&authority)), spill.path(), BUDGET, 1);
    writer.put(100);
    writer.arrive();
    let mut client = server.client();
    assert_eq!(check(&mut client, 100), 0);
    let sql = "SELECT count(*), bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
               WHERE application_name = 'corerl-historian'";
    let row = client.query_one(sql, &[]).unwrap();
    assert_eq!((row.get::<_, i64>(0), row.get::<_, Option<bool>>(1)), (1, Some(true)));

    for (target, because) in [
        (called("other.plant", "", Some(&authority)), "not valid for name"),
        (called(NAME, "sslmode=verify-full", None), "UnknownIssuer"),
        (called(NAME, "sslmode=disable", Some(&authority)), "no encryption"),
        (called(NAME, "", Some(&certificates.path("names"))), "no certificate in it"),
    ] {
        let why = why_not(target);
        assert!(why.contains(because), "{because}: {why}");
    }
}
