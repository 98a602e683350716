//! Which database, how the way there is secured, and by which password.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use postgres::config::{Config, Host, SslMode};
use postgres::{Client, NoTls};
use rt_config::{Encryption, NoPassword, OwnCertificate, PasswordSource};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::ConnectError;

/// Where the server of this machine listens, unless a host is named.
const SOCKETS: &str = "/var/run/postgresql";
/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A peer that does not acknowledge for so long is gone.
const SILENCE_MAX: Duration = Duration::from_secs(30);
/// What is wrong with a secret that is none, and what to do.
const OPEN: &str = "others can read it, too: chmod 600";
/// libpq's words for a server that shows who it is; there is no other encryption here, so that they mean `require`.
const VERIFIED: [&str; 2] = ["sslmode=verify-full", "sslmode=verify-ca"];

/// A database, how the way there is secured, and where its password is.
#[derive(Clone, Debug)]
pub struct Target {
    config: Config,
    password: Password,
    /// Whoever issued the server's certificate (PEM); without, whom this machine trusts.
    authority: Option<PathBuf>,
    /// What is shown of ourselves, to a server that asks for it.
    own: Option<OwnCertificate>,
}

#[derive(Clone, Debug)]
enum Password {
    /// Where libpq looks for it, or none.
    OfLibpq,
    /// The first line of this file.
    FirstLine(PathBuf),
    /// Where a site file says.
    OfSite(PasswordSource),
}

/// Why a database cannot be meant, or what is needed for it not be had.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// Neither a URL nor pairs of key and value.
    #[error("not understood, {0}: write postgresql://USER@HOST/DATABASE, or host=… user=… dbname=…")]
    Unreadable(String),
    /// Everybody on this machine would see it.
    #[error(
        "it holds a password, which every user of this machine can read in the list of processes: give it by --password-file, PGPASSFILE or PGPASSWORD"
    )]
    Password,
    /// A file with a password.
    #[error("the password cannot be read from {}: {why}", path.display())]
    PasswordFile {
        /// Which.
        path: PathBuf,
        /// Why not.
        why: String,
    },
    /// What a site file refers to.
    #[error(transparent)]
    SitePassword(#[from] NoPassword),
    /// Whoever is to be trusted.
    #[error("nobody can be trusted by {}: {why}", path.display())]
    Authority {
        /// The file, or where this machine has its certificates.
        path: PathBuf,
        /// Why not.
        why: String,
    },
    /// What is to be shown of ourselves.
    #[error("the historian's own certificate cannot be shown: {}: {why}", path.display())]
    Own {
        /// The certificate's file, or its key's.
        path: PathBuf,
        /// Why not.
        why: String,
    },
}

impl Target {
    /// From a URL or pairs of key and value, without a password; that is in a file, or where libpq looks for it. A server that is
    /// not on this machine has a certificate of this authority or, without one, of whom this machine trusts, unless
    /// `sslmode=disable` is said. What is shown of ourselves is where libpq looks for it, too: in the files that `PGSSLCERT` and
    /// `PGSSLKEY` name.
    ///
    /// # Errors
    /// [`TargetError`].
    pub fn new(text: &str, password_file: Option<PathBuf>, authority: Option<PathBuf>) -> Result<Self, TargetError> {
        let text = VERIFIED.iter().fold(text.to_owned(), |text, word| text.replace(word, "sslmode=require"));
        let config = Config::from_str(&text).map_err(|error| TargetError::Unreadable(super::chain(&error)))?;
        if config.get_password().is_some() {
            return Err(TargetError::Password);
        }
        let password = password_file.map_or(Password::OfLibpq, Password::FirstLine);
        let authority = authority.or_else(|| std::env::var_os("PGSSLROOTCERT").map(PathBuf::from));
        let own = |name| std::env::var_os(name).map(PathBuf::from);
        let own = own("PGSSLCERT").zip(own("PGSSLKEY")).map(|(certificate, key)| OwnCertificate { certificate, key });
        Ok(Self::with(config, password, authority, own))
    }

    /// The one that a site file names.
    pub fn of_site(database: &rt_config::Database) -> Self {
        let mut config = Config::new();
        config.host(&database.host).port(database.port).user(&database.user).dbname(&database.name);
        let authority = match &database.encryption {
            Encryption::UnlessHere => None,
            Encryption::Off => {
                config.ssl_mode(SslMode::Disable);
                None
            }
            Encryption::Required { authority } => {
                config.ssl_mode(SslMode::Require);
                authority.clone()
            }
        };
        let password = database.password.clone().map_or(Password::OfLibpq, Password::OfSite);
        Self::with(config, password, authority, database.own.clone())
    }

    fn with(mut config: Config, password: Password, authority: Option<PathBuf>, own: Option<OwnCertificate>) -> Self {
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            config.host_path(SOCKETS);
        }
        // Nothing was said: it must not be that nothing is encrypted and nobody knows.
        if config.get_ssl_mode() == SslMode::Prefer {
            config.ssl_mode(if is_all_here(&config) { SslMode::Disable } else { SslMode::Require });
        }
        if config.get_user().is_none() {
            let user = std::env::var("PGUSER").or_else(|_| std::env::var("USER"));
            config.user(user.as_deref().unwrap_or("corerl_historian"));
        }
        if config.get_application_name().is_none() {
            config.application_name("corerl-historian");
        }
        config.connect_timeout(config.get_connect_timeout().copied().unwrap_or(CONNECT_TIMEOUT));
        config.tcp_user_timeout(config.get_tcp_user_timeout().copied().unwrap_or(SILENCE_MAX));
        config.keepalives_idle(SILENCE_MAX);
        Self { config, password, authority, own }
    }

    /// Connects, with password and certificates as they are now: they may have been changed since the last time.
    pub(super) fn connect(&self) -> Result<Client, ConnectError> {
        let config = self.config()?;
        Ok(match config.get_ssl_mode() {
            SslMode::Disable => config.connect(NoTls)?,
            _ => config.connect(MakeRustlsConnect::new(self.tls()?))?,
        })
    }

    fn config(&self) -> Result<Config, TargetError> {
        let mut config = self.config.clone();
        if let Some(password) = self.password()? {
            config.password(password);
        }
        Ok(config)
    }

    /// A server is believed whose certificate bears the name by which we call it and comes from whom we trust.
    fn tls(&self) -> Result<ClientConfig, TargetError> {
        let trusted = match &self.authority {
            Some(path) => authorities(path)?,
            None => authorities_of_this_machine()?,
        };
        let cryptography = Arc::new(rustls::crypto::ring::default_provider());
        let versions = ClientConfig::builder_with_provider(cryptography).with_safe_default_protocol_versions();
        let config = versions.map_err(|error| untrusted(Path::new("TLS"), &error))?;
        let config = config.with_root_certificates(trusted);
        let Some(own) = &self.own else { return Ok(config.with_no_client_auth()) };
        let shown = certificates(&own.certificate).map_err(|why| not_shown(&own.certificate, &why))?;
        config.with_client_auth_cert(shown, own_key(&own.key)?).map_err(|error| not_shown(&own.certificate, &error))
    }

    fn password(&self) -> Result<Option<String>, TargetError> {
        match &self.password {
            Password::FirstLine(path) => {
                let text = fs::read_to_string(path).map_err(|error| unusable(path, &error))?;
                Ok(Some(text.lines().next().unwrap_or_default().to_owned()))
            }
            Password::OfSite(source) => Ok(Some(source.fetch()?.expose().to_owned())),
            Password::OfLibpq => self.password_of_libpq(),
        }
    }

    fn password_of_libpq(&self) -> Result<Option<String>, TargetError> {
        if let Ok(password) = std::env::var("PGPASSWORD") {
            return Ok(Some(password));
        }
        let Some(path) = std::env::var_os("PGPASSFILE").map(PathBuf::from) else { return Ok(None) };
        let text = fs::read_to_string(&path).map_err(|error| unusable(&path, &error))?;
        if is_open(&path).map_err(|error| unusable(&path, &error))? {
            return Err(unusable(&path, &OPEN));
        }
        Ok(password_of(&text, &self.fields()))
    }

    /// What a line of a password file is compared with: host, port, database, user.
    fn fields(&self) -> [String; 4] {
        let host = self.config.get_hosts().first().map_or_else(|| "localhost".to_owned(), name);
        let host = if host.starts_with('/') { "localhost".to_owned() } else { host };
        let port = self.config.get_ports().first().copied().unwrap_or(5432).to_string();
        let user = self.config.get_user().unwrap_or_default().to_owned();
        let database = self.config.get_dbname().unwrap_or(&user).to_owned();
        [host, port, database, user]
    }
}

/// A database as people are told of it.
impl std::fmt::Display for Target {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [_, port, database, user] = self.fields();
        let host = self.config.get_hosts().first().map_or_else(|| "localhost".to_owned(), name);
        write!(to, "{database} of {user} at {host}:{port}")
    }
}

fn authorities(path: &Path) -> Result<RootCertStore, TargetError> {
    let mut trusted = RootCertStore::empty();
    for certificate in certificates(path).map_err(|why| untrusted(path, &why))? {
        trusted.add(certificate).map_err(|error| untrusted(path, &error))?;
    }
    Ok(trusted)
}

/// Those of a file, at least one.
fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let found = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match found {
        Ok(certificates) if certificates.is_empty() => Err("there is no certificate in it (PEM)".to_owned()),
        found => found.map_err(|error| error.to_string()),
    }
}

fn authorities_of_this_machine() -> Result<RootCertStore, TargetError> {
    let mut trusted = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    trusted.add_parsable_certificates(found.certs);
    let none = "this machine trusts nobody: install its certificates (ca-certificates), or name the server's authority";
    if trusted.is_empty() { Err(untrusted(Path::new("the system's certificates"), &none)) } else { Ok(trusted) }
}

fn own_key(path: &Path) -> Result<PrivateKeyDer<'static>, TargetError> {
    if is_open(path).map_err(|error| not_shown(path, &error))? {
        return Err(not_shown(path, &OPEN));
    }
    PrivateKeyDer::from_pem_file(path).map_err(|error| not_shown(path, &error))
}

/// Whether others can read a secret.
fn is_open(path: &Path) -> std::io::Result<bool> {
    Ok(fs::metadata(path)?.permissions().mode() & 0o077 != 0)
}

fn not_shown(path: &Path, why: &dyn std::fmt::Display) -> TargetError {
    TargetError::Own { path: path.to_owned(), why: why.to_string() }
}

fn untrusted(path: &Path, why: &dyn std::fmt::Display) -> TargetError {
    TargetError::Authority { path: path.to_owned(), why: why.to_string() }
}

fn unusable(path: &Path, why: &dyn std::fmt::Display) -> TargetError {
    TargetError::PasswordFile { path: path.to_owned(), why: why.to_string() }
}

fn name(host: &Host) -> String {
    match host {
        Host::Tcp(name) => name.clone(),
        Host::Unix(path) => path.display().to_string(),
    }
}

/// Whether the way there never leaves this machine.
fn is_all_here(config: &Config) -> bool {
    config.get_hosts().iter().all(is_here) && config.get_hostaddrs().iter().all(std::net::IpAddr::is_loopback)
}

fn is_here(host: &Host) -> bool {
    match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => {
            name == "localhost" || name.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback())
        }
    }
}

/// The password of the first line of `host:port:database:user:password` that fits; `*` fits everything, `\` takes the meaning
/// from what comes behind it.
fn password_of(text: &str, wanted: &[String; 4]) -> Option<String> {
    text.lines().filter(|line| !line.starts_with('#')).find_map(|line| {
        let fields = split(line);
        let (password, keys) = fields.split_last()?;
        let fits = keys.len() == 4 && keys.iter().zip(wanted).all(|(key, wanted)| key == "*" || key == wanted);
        fits.then(|| password.clone())
    })
}

fn split(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut letters = line.chars();
    while let Some(letter) = letters.next() {
        let at = fields.len() - 1;
        match letter {
            ':' => fields.push(String::new()),
            '\\' => fields[at].extend(letters.next()),
            _ => fields[at].push(letter),
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_on_the_command_line_is_refused() {
        for text in ["postgresql://me:secret@localhost/plant", "host=localhost user=me password=secret"] {
            assert!(matches!(Target::new(text, None, None), Err(TargetError::Password)), "{text}");
        }
        let said = Target::new("host=localhost password=secret pasword=x", None, None).unwrap_err().to_string();
        assert!(!said.contains("secret"), "{said}");
    }

    #[test]
    fn whatever_leaves_this_machine_is_encrypted_unless_somebody_said_otherwise() {
        let mode = |text: &str| Target::new(text, None, None).unwrap().config.get_ssl_mode();
        for text in [
            "postgresql://me@db.plant/x",
            "host=10.0.0.7",
            "host=db.plant sslmode=prefer",
            "host=localhost hostaddr=10.0.0.7",
            "host=localhost,db.plant",
            "host=localhost sslmode=require",
            "postgresql://localhost/x?sslmode=verify-full",
        ] {
            assert_eq!(mode(text), SslMode::Require, "{text}");
        }
        for text in [
            "host=db.plant sslmode=disable",
            "host=/run/postgresql",
            "host=::1",
            "postgresql://localhost/x",
            "dbname=plant",
        ] {
            assert_eq!(mode(text), SslMode::Disable, "{text}");
        }
    }

    #[test]
    fn a_site_file_says_which_database_and_how_the_way_there_is_secured() {
        let site = |encryption| {
            let (host, user, name) = ("db.plant".to_owned(), "historian".to_owned(), "process_data".to_owned());
            Target::of_site(&rt_config::Database {
                host,
                port: 5433,
                user,
                name,
                password: None,
                encryption,
                own: None,
            })
        };
        let target = site(Encryption::UnlessHere);
        assert_eq!(target.to_string(), "process_data of historian at db.plant:5433");
        assert_eq!(target.config.get_ssl_mode(), SslMode::Require);
        assert_eq!(site(Encryption::Off).config.get_ssl_mode(), SslMode::Disable);
        let required = site(Encryption::Required { authority: Some("/nowhere.pem".into()) });
        assert!(matches!(required.tls(), Err(TargetError::Authority { .. })));
    }

    #[test]
    fn a_password_file_is_read_as_libpq_reads_it() {
        let wanted = ["localhost", "5432", "plant", "me"].map(str::to_owned);
        let of = |text: &str| password_of(text, &wanted);
        assert_eq!(
            of("#*:*:*:*:no\nother:*:*:*:no\nlocalhost:5432:*:me:a\\:b\\\\c\n*:*:*:*:late"),
            Some("a:b\\c".into())
        );
        assert_eq!(of("localhost:5433:*:*:no\nshort:line\n\n"), None);
    }

    #[test]
    fn a_password_is_read_anew_for_each_connection() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("password");
        fs::write(&path, "first\nnot this\n").unwrap();
        let target = Target::new("host=localhost", Some(path.clone()), None).unwrap();
        let password = || target.config().unwrap().get_password().map(<[u8]>::to_vec);
        assert_eq!(password().unwrap(), b"first");
        fs::write(&path, "second").unwrap();
        assert_eq!(password().unwrap(), b"second");
        fs::remove_file(&path).unwrap();
        assert!(matches!(target.config(), Err(TargetError::PasswordFile { .. })));
    }
}
