//! Which database, and by which password.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use postgres::config::{Config, Host, SslMode};

/// Where the server of this machine listens, unless a host is named.
const SOCKETS: &str = "/var/run/postgresql";
/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A peer that does not acknowledge for so long is gone.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// A database, and where its password is.
#[derive(Clone, Debug)]
pub struct Target {
    config: Config,
    password_file: Option<PathBuf>,
}

/// Why a database cannot be meant, or its password not be had.
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
    /// There is no TLS here.
    #[error(
        "sslmode={0} asks for TLS, which this program does not have: let a proxy on this machine encrypt, and connect to that"
    )]
    Tls(&'static str),
    /// Nobody has said that this is meant.
    #[error(
        "the way to {0} would not be encrypted: say sslmode=disable if that is meant, or let a proxy on this machine encrypt, and connect to that"
    )]
    Plain(String),
    /// A file with a password.
    #[error("the password cannot be read from {}: {why}", path.display())]
    PasswordFile {
        /// Which.
        path: PathBuf,
        /// Why not.
        why: String,
    },
}

impl Target {
    /// From a URL or pairs of key and value, without a password; that is in a file, or where libpq looks for it.
    ///
    /// # Errors
    /// [`TargetError`].
    pub fn new(text: &str, password_file: Option<PathBuf>) -> Result<Self, TargetError> {
        let mut config = Config::from_str(text).map_err(|error| TargetError::Unreadable(super::chain(&error)))?;
        if config.get_password().is_some() {
            return Err(TargetError::Password);
        }
        match config.get_ssl_mode() {
            SslMode::Disable => {}
            // Which is what holds when nothing was said, too. It must not mean that nothing is encrypted and nobody knows.
            SslMode::Prefer => {
                if let Some(host) = config.get_hosts().iter().find(|host| !is_here(host)) {
                    return Err(TargetError::Plain(name(host)));
                }
                if let Some(address) = config.get_hostaddrs().iter().find(|address| !address.is_loopback()) {
                    return Err(TargetError::Plain(address.to_string()));
                }
                config.ssl_mode(SslMode::Disable);
            }
            _ => return Err(TargetError::Tls("require")),
        }
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            config.host_path(SOCKETS);
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
        Ok(Self { config, password_file })
    }

    /// With its password as it is now: it may have been changed since the last time.
    pub(super) fn config(&self) -> Result<Config, TargetError> {
        let mut config = self.config.clone();
        if let Some(password) = self.password()? {
            config.password(password);
        }
        Ok(config)
    }

    fn password(&self) -> Result<Option<String>, TargetError> {
        if let Some(path) = &self.password_file {
            let text = fs::read_to_string(path).map_err(|error| unusable(path, &error))?;
            return Ok(Some(text.lines().next().unwrap_or_default().to_owned()));
        }
        if let Ok(password) = std::env::var("PGPASSWORD") {
            return Ok(Some(password));
        }
        let Some(path) = std::env::var_os("PGPASSFILE").map(PathBuf::from) else { return Ok(None) };
        let text = fs::read_to_string(&path).map_err(|error| unusable(&path, &error))?;
        let mode = fs::metadata(&path).map_err(|error| unusable(&path, &error))?.permissions().mode();
        if mode & 0o077 != 0 {
            return Err(unusable(&path, &"others can read it, too: chmod 600"));
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
            assert!(matches!(Target::new(text, None), Err(TargetError::Password)), "{text}");
        }
        let said = Target::new("host=localhost password=secret pasword=x", None).unwrap_err().to_string();
        assert!(!said.contains("secret"), "{said}");
    }

    #[test]
    fn what_would_not_be_encrypted_is_refused_unless_it_was_said() {
        for text in [
            "postgresql://me@db.plant/x",
            "host=10.0.0.7",
            "host=db.plant sslmode=prefer",
            "host=localhost hostaddr=10.0.0.7",
        ] {
            assert!(matches!(Target::new(text, None), Err(TargetError::Plain(_))), "{text}");
        }
        for text in [
            "host=db.plant sslmode=disable",
            "host=/run/postgresql",
            "host=::1",
            "postgresql://localhost/x",
            "dbname=plant",
        ] {
            Target::new(text, None).unwrap();
        }
        for text in
            ["host=localhost sslmode=require", "host=localhost sslmode=verify-full", "host=localhost sslrootcert=x"]
        {
            Target::new(text, None).unwrap_err();
        }
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
        let target = Target::new("host=localhost", Some(path.clone())).unwrap();
        let password = || target.config().unwrap().get_password().map(<[u8]>::to_vec);
        assert_eq!(password().unwrap(), b"first");
        fs::write(&path, "second").unwrap();
        assert_eq!(password().unwrap(), b"second");
        fs::remove_file(&path).unwrap();
        assert!(matches!(target.config(), Err(TargetError::PasswordFile { .. })));
    }
}
