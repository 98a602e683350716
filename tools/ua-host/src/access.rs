//! What a server listens on, whom it lets in, and the limits it keeps.

use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use opcua_crypto::SecurityPolicy;
use opcua_server::{ANONYMOUS_USER_TOKEN_ID, ServerBuilder, ServerEndpoint, ServerUserToken};
use opcua_types::MessageSecurityMode;
use tokio::net::TcpListener;
use tracing_subscriber::filter::LevelFilter;

use crate::identity::{CERTIFICATE_FILE, Identity, IdentityError, KEY_FILE, load_or_create};
use crate::process::Failure;

/// The library's name for the one user.
const USER_TOKEN_ID: &str = "user";
/// At most this many clients at a time.
const SESSIONS_MAX: usize = 16;
/// Subscriptions are looked at this often.
const SUBSCRIPTION_POLL_MS: u64 = 100;

/// What a server calls itself.
#[derive(Clone, Copy, Debug)]
pub struct Application {
    /// Its name for people, and the common name of its certificate.
    pub name: &'static str,
    /// Its URI, in its certificate as well.
    pub uri: &'static str,
}

/// How connections are secured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Security {
    /// In clear.
    None,
    /// Basic256Sha256, signed and encrypted.
    Encrypt,
}

/// What every server can be told on its command line.
#[derive(Clone, Debug, clap::Args)]
pub struct HostArguments {
    /// The only user that is let in; without it everybody is, without a name.
    #[arg(long, requires = "password_file")]
    user: Option<String>,

    /// A file with the user's password in its first line.
    #[arg(long, requires = "user")]
    password_file: Option<PathBuf>,

    /// Accept any client certificate that is valid: for the lab.
    #[arg(long)]
    trust_all_clients: bool,

    /// Exit when standard input is closed, that is, when the program that started this one is gone.
    #[arg(long)]
    pub tether: bool,

    /// Messages of the OPC UA server on standard error: error, warn, info, debug or trace.
    #[arg(long, default_value = "error")]
    pub log: LevelFilter,
}

impl HostArguments {
    /// Whom they let in, with this security and this directory.
    ///
    /// # Errors
    /// The password cannot be read.
    pub fn access(&self, security: Security, pki: &Path) -> Result<Access, Failure> {
        let user = match (&self.user, &self.password_file) {
            (Some(user), Some(file)) => Some((user.clone(), password_in(file)?)),
            _ => None,
        };
        let (pki, trust_all_clients) = (pki.to_owned(), self.trust_all_clients);
        Ok(Access { security, pki, trust_all_clients, user, certificate_lifetime: None, key_lifetime: None })
    }
}

/// Who may connect, and how.
#[derive(Clone, Debug)]
pub struct Access {
    /// How connections are secured.
    pub security: Security,
    /// Directory of the server's certificate and key, and of the clients' certificates (`trusted/`, `rejected/`).
    pub pki: PathBuf,
    /// Any client certificate that is valid is accepted.
    pub trust_all_clients: bool,
    /// Name and password of the only user; `None` lets everybody in.
    pub user: Option<(String, String)>,
    /// How long a certificate is valid that is made; the usual ten years without it.
    pub certificate_lifetime: Option<Duration>,
    /// How long the keys of a channel live at most; as long as a client asks for without it.
    pub key_lifetime: Option<Duration>,
}

impl Access {
    /// The server's certificate, made if there is none; `None` in clear.
    ///
    /// # Errors
    /// It cannot be read or made.
    pub fn identity(&self, application: &Application) -> Result<Option<Identity>, IdentityError> {
        match self.security {
            Security::None => Ok(None),
            Security::Encrypt => load_or_create(&self.pki, application, self.certificate_lifetime).map(Some),
        }
    }

    /// A server of this application with this access, at `host` and `port`, without nodes.
    pub fn server(&self, application: &Application, host: &str, port: u16) -> ServerBuilder {
        // The library makes its directories at once; without encryption there is nothing to keep, so there it shall fail.
        let pki = match self.security {
            Security::None => Path::new("/dev/null"),
            Security::Encrypt => &self.pki,
        };
        let mut builder = ServerBuilder::new()
            .application_name(application.name)
            .application_uri(application.uri)
            .product_uri(application.uri)
            .host(host)
            .port(port)
            .pki_dir(pki)
            .trust_client_certs(self.trust_all_clients)
            .discovery_urls(vec!["/".to_owned()])
            .diagnostics_enabled(false)
            .max_sessions(SESSIONS_MAX)
            .subscription_poll_interval_ms(SUBSCRIPTION_POLL_MS);
        if let Some(lifetime) = self.key_lifetime {
            let lifetime_ms = u32::try_from(lifetime.as_millis()).unwrap_or(u32::MAX);
            builder = builder.max_secure_channel_token_lifetime_ms(lifetime_ms);
        }
        let token = match &self.user {
            Some((user, password)) => {
                let user = ServerUserToken::user_pass(user.as_str(), password.as_str());
                builder = builder.add_user_token(USER_TOKEN_ID, user);
                USER_TOKEN_ID
            }
            None => ANONYMOUS_USER_TOKEN_ID,
        };
        let (id, policy, mode) = match self.security {
            Security::None => ("none", SecurityPolicy::None, MessageSecurityMode::None),
            Security::Encrypt => {
                builder = builder.certificate_path(CERTIFICATE_FILE).private_key_path(KEY_FILE);
                ("basic256sha256", SecurityPolicy::Basic256Sha256, MessageSecurityMode::SignAndEncrypt)
            }
        };
        let endpoint = ServerEndpoint::new("/", policy, mode, &[token.to_owned()]);
        builder.default_endpoint(id).add_endpoint(id, endpoint)
    }
}

/// Takes `port` of this address; 0 takes a free one.
///
/// TCP_NODELAY is set on the listener, and Linux hands it on to accepted connections: without it, two requests in
/// flight wait 40 ms for a delayed acknowledgement.
///
/// # Errors
/// The port is taken, or not permitted.
pub async fn listen(address: IpAddr, port: u16) -> Result<TcpListener, Failure> {
    let taken = async || -> io::Result<TcpListener> {
        let listener = TcpListener::bind((address, port)).await?;
        rustix::net::sockopt::set_tcp_nodelay(&listener, true)?;
        Ok(listener)
    };
    taken().await.map_err(|error| {
        Failure::unavailable(format!(
            "port {port} of {address} cannot be used: {error}; choose another one, or --port 0 for any"
        ))
    })
}

fn password_in(file: &Path) -> Result<String, Failure> {
    let text = std::fs::read_to_string(file).map_err(|error| {
        Failure::configuration(format!("the password file {} cannot be read: {error}", file.display()))
    })?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}
