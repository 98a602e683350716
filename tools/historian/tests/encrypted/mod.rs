//! A server that is called as one elsewhere would be, and shows who it is by a certificate.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use historian::Target;
use rt_config::{Database, Encryption, OwnCertificate};
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
        fs::write(new.path("names"), format!("subjectAltName=DNS:{NAME},DNS:localhost")).unwrap();
        new.openssl(&format!("req -x509 {key} -keyout authority.key -out authority.pem -subj /CN=authority -days 2"));
        new.openssl(&format!("req {key} -keyout server.key -out request.pem -subj /CN={NAME}"));
        let by = "-CA authority.pem -CAkey authority.key -CAcreateserial";
        new.openssl(&format!("x509 -req -in request.pem {by} -out server.pem -days 2 -extfile names"));
        give(&new.path("server.key"), 0o600);
        new.openssl(&format!("req {key} -keyout own.key -out request.pem -subj /CN=corerl_historian"));
        new.openssl(&format!("x509 -req -in request.pem {by} -out own.pem -days 2 -extfile names"));
        fs::set_permissions(new.path("own.key"), Permissions::from_mode(0o600)).unwrap();
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

    /// A server that shows such a certificate, and to which a historian from elsewhere has to show what `method` says.
    fn server(&self, test: &str, method: &str) -> Option<Server> {
        let who = format!("local all owner trust\nhostssl all all 127.0.0.1/32 {method}\n");
        fs::write(self.path("pg_hba.conf"), who).unwrap();
        let files = [
            ("ssl_cert_file", "server.pem"),
            ("ssl_key_file", "server.key"),
            ("ssl_ca_file", "authority.pem"),
            ("hba_file", "pg_hba.conf"),
        ];
        let files = files.map(|(name, file)| self.setting(name, file));
        let files = files.iter().map(String::as_str);
        Server::prepared(test, &["ssl=on", "listen_addresses=127.0.0.1"].into_iter().chain(files).collect::<Vec<_>>())
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
    let Some(server) = certificates.server(test, "scram-sha-256") else { return };
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

#[test]
fn a_server_that_asks_for_a_certificate_is_shown_the_one_that_the_site_file_names() {
    let test = "a_server_that_asks_for_a_certificate_is_shown_the_one_that_the_site_file_names";
    if programs().is_none() {
        println!("{test} is skipped: there is no PostgreSQL here; apt-get install postgresql");
        return;
    }
    let certificates = Certificates::issue();
    let Some(server) = certificates.server(test, "cert") else { return };
    let target = |own: Option<[&str; 2]>| {
        let own = own.map(|[certificate, key]| OwnCertificate {
            certificate: certificates.path(certificate),
            key: certificates.path(key),
        });
        Target::of_site(&Database {
            host: "localhost".to_owned(),
            port: server.port(),
            user: "corerl_historian".to_owned(),
            name: "postgres".to_owned(),
            password: None,
            encryption: Encryption::Required { authority: Some(certificates.path("authority.pem")) },
            own,
        })
    };
    let spill = tempfile::tempdir().unwrap();
    let mut writer = Writer::open(target(Some(["own.pem", "own.key"])), spill.path(), BUDGET, 1);
    writer.put(100);
    writer.arrive();
    assert_eq!(check(&mut server.client(), 100), 0);

    fs::copy(certificates.path("own.key"), certificates.path("open.key")).unwrap();
    fs::set_permissions(certificates.path("open.key"), Permissions::from_mode(0o644)).unwrap();
    for (own, because) in [
        (None, "client certificate"),
        (Some(["server.pem", "own.key"]), "keys may not be consistent"),
        (Some(["own.pem", "open.key"]), "others can read it, too"),
        (Some(["own.pem", "none.key"]), "none.key"),
    ] {
        let why = why_not(target(own));
        assert!(why.contains(because), "{because}: {why}");
    }
}
