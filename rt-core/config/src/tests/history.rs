//! What the historian takes from a site file.

use super::{BASE, accepted, assert_error};
use crate::site::{Database, Encryption, Kept, OwnCertificate};
use crate::{PasswordSource, Secret};

fn with(infra: &str) -> String {
    BASE.replacen("lab: true\n", &format!("lab: true\ninfra: {infra}\n"), 1)
}

fn database(infra: &str) -> Option<Database> {
    accepted(&with(infra)).site.database
}

#[test]
fn a_database_is_named_and_its_password_left_where_it_is() {
    let whole = "{db: {drivername: postgresql+psycopg2, username: u, password: {env: CORERL_CONFIG_TEST_IS_NOT_SET}, ip: db.plant, \
                 port: 5433, db_name: process_data, sslmode: verify-full, sslrootcert: ca.pem, sslcert: us.pem, sslkey: us.key}}";
    let password = PasswordSource::Env("CORERL_CONFIG_TEST_IS_NOT_SET".to_owned());
    assert_eq!(
        database(whole),
        Some(Database {
            host: "db.plant".to_owned(),
            port: 5433,
            user: "u".to_owned(),
            name: "process_data".to_owned(),
            password: Some(password.clone()),
            encryption: Encryption::Required { authority: Some("/etc/corerl/ca.pem".into()) },
            own: Some(OwnCertificate { certificate: "/etc/corerl/us.pem".into(), key: "/etc/corerl/us.key".into() }),
        })
    );
    assert!(password.fetch().unwrap_err().to_string().contains("holds no password"));
    let least = database("{db: {}}").unwrap();
    assert_eq!(
        (least.host.as_str(), least.user.as_str(), least.name.as_str()),
        ("localhost", "corerl_historian", "corerl_historian")
    );
    assert_eq!((least.password, least.encryption, least.own), (None, Encryption::UnlessHere, None));
    assert_eq!(database("{db: {sslmode: disable}}").unwrap().encryption, Encryption::Off);
    let plain = database("{db: {password: geheim}}").unwrap().password;
    assert_eq!(plain, Some(PasswordSource::Plain(Secret("geheim".to_owned()))));
    assert_eq!((accepted(BASE).site.database, database("{}")), (None, None));
}

#[test]
fn a_database_that_could_not_be_used_is_refused() {
    let infra = |of: &str| format!("infra: {{db: {of}}}\nlab: true\n");
    for (of, needle, message, help) in [
        ("{drivername: sqlite}", "sqlite", "cannot keep by way of `sqlite`", "without `infra.db`"),
        ("{sslmode: prefer}", "prefer", "prefer", "verify-full"),
        ("{sslmode: disable, sslrootcert: ca.pem}", "ca.pem", "nobody is asked", "leave out"),
        ("{sslcert: us.pem}", "us.pem", "without `sslkey`", "give `sslkey`, too"),
        ("{sslkey: us.key}", "us.key", "without `sslcert`", "give `sslcert`, too"),
        ("{sslmode: disable, sslcert: us.pem, sslkey: us.key}", "us.pem", "in clear", "verify-full"),
        ("{port: 0}", "0}", "0", ""),
    ] {
        assert_error("lab: true\n", &infra(of), needle, message, help);
    }
}

#[test]
fn a_tag_says_how_it_is_kept() {
    let kept = |words: &str| {
        let text = BASE.replacen("name: PH,", &format!("name: PH, kept: {words},"), 1);
        accepted(&text).site.tags[1].kept
    };
    let by_exception = |deadband, ms| {
        let heartbeat = rt_core::time::Span::from_ms(ms);
        Some(Kept::ByException { deadband, heartbeat })
    };
    assert_eq!(kept("every"), Some(Kept::Every));
    assert_eq!(kept("{deadband: 0.05}"), by_exception(0.05, 60_000));
    assert_eq!(kept("{deadband: 0.05, heartbeat: 10s}"), by_exception(0.05, 10_000));
    assert_eq!(kept("{}"), by_exception(0.0, 60_000));
    assert_eq!(accepted(BASE).site.tags[1].kept, None);
    let wrong = |words: &str| format!("name: PH, kept: {words},");
    for (words, needle, message) in [
        ("{deadband: -1}", "-1", "-1 is not a finite number from 0 on"),
        ("{heartbeat: 61s}", "61s", "at most 60s"),
        ("{heartbeat: 0s}", "0s", "not above zero"),
        ("always", "always", "what is kept"),
    ] {
        assert_error("name: PH,", &wrong(words), needle, message, "");
    }
}
