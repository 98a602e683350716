//! Connections: endpoints, security, who we are, and how each is served.

use rt_core::alarm::ALARMS_MAX;
use rt_core::time::Span;

use super::service::Service;
use super::{Context, Passwords};
use crate::complaint::{Complaints, Place, quoted};
use crate::form::{At, Field};
use crate::form_special::{PASSWORD_HELP, Password};
use crate::password::PasswordSource;
use crate::raw::{
    Authentication, Connection as RawConnection, PolicyName, RevocationName, SecurityMode, SecurityPolicy as RawPolicy,
    SiteFile,
};
use crate::site::{Connection, Identity, Revocation, Secret, Security, SecurityPolicy, Subscribe};
use crate::spelling::nearest;

/// The connections, with places for those that were complained of: indices stay what the file says.
pub(crate) struct Connections {
    pub(crate) names: Vec<String>,
    /// The I/O periods, as far as known.
    pub(crate) periods: Vec<Option<Span>>,
    resolved: Vec<Option<Connection>>,
}

impl Connections {
    /// All of them, when none was complained of.
    pub(crate) fn complete(self) -> Option<Vec<Connection>> {
        if self.resolved.is_empty() { None } else { self.resolved.into_iter().collect() }
    }

    /// The connection in this place, if it was not complained of.
    pub(crate) fn get(&self, index: usize) -> Option<&Connection> {
        self.resolved.get(index)?.as_ref()
    }

    /// What the server of a connection tells by itself.
    pub(crate) fn set_subscribe(&mut self, index: usize, subscribe: Option<Subscribe>) {
        if let Some(Some(connection)) = self.resolved.get_mut(index) {
            connection.subscribe = subscribe;
        }
    }

    /// The connection that a tag or a heartbeat means: the named one, or the only one.
    pub(crate) fn index_of(&self, id: &Field<String>, whose: &str, complaints: &mut Complaints<'_>) -> Option<usize> {
        match (&id.value, self.names.len()) {
            (Some(name), _) => {
                let found = self.names.iter().position(|known| known == name);
                if found.is_none() {
                    complain_of_unknown(name, id.at, "connection", &self.names, complaints);
                }
                found
            }
            (None, 1) if !id.given => Some(0),
            (None, 0) => None,
            (None, _) => {
                if !id.given {
                    let help = format!("write `connection_id:` with one of: {}", self.names.join(", "));
                    complaints.error(id.at, format!("{whose} does not say its connection"), help);
                }
                None
            }
        }
    }
}

/// Complains of a name that nothing has.
pub(crate) fn complain_of_unknown(
    name: &str,
    at: Place,
    what: &str,
    known: &[String],
    complaints: &mut Complaints<'_>,
) {
    let help = nearest(name, known.iter().map(String::as_str)).map_or_else(
        || if known.is_empty() { String::new() } else { format!("known: {}", known.join(", ")) },
        |near| format!("did you mean `{near}`?"),
    );
    complaints.error(at, format!("there is no {what} {}", quoted(name)), help);
}

/// Complains of an entry that is there twice.
pub(crate) fn complain_of_twice<'f>(
    what: &str,
    fields: impl Iterator<Item = &'f Field<String>>,
    complaints: &mut Complaints<'_>,
) {
    let mut seen = std::collections::BTreeMap::new();
    for field in fields {
        let Some(name) = &field.value else { continue };
        if let Some(line) = seen.insert(name.clone(), field.at.line) {
            let message = format!("the {what} {} is there twice, first in line {line}", quoted(name));
            complaints.error(field.at, message, "rename or remove one of the two");
        }
    }
}

pub(crate) fn resolve(raw: &SiteFile, context: &Context<'_>, complaints: &mut Complaints<'_>) -> Connections {
    let none = Connections { names: Vec::new(), periods: Vec::new(), resolved: Vec::new() };
    let Some(core_io) = &raw.coreio.value else { return none };
    let Some(list) = &core_io.opc_connections.value else { return none };
    if list.is_empty() {
        let help = "add an entry with `connection_id` and `opc_conn_url`";
        complaints.error(core_io.opc_connections.at, "there is no connection to the plant", help);
        return none;
    }
    let ids = || list.iter().map(|connection| &connection.value.connection_id);
    complain_of_twice("connection", ids(), complaints);
    let mut connections = Connections {
        names: ids().map(|id| id.value.clone().unwrap_or_default()).collect(),
        periods: Vec::new(),
        resolved: Vec::new(),
    };
    let no_io = Vec::new();
    let io = raw.runtime.value.as_ref().and_then(|runtime| runtime.io.value.as_ref()).map_or(&no_io, |io| &io.0);
    for (name, _) in io {
        if !connections.names.contains(&name.value) {
            complain_of_unknown(&name.value, name.at, "connection", &connections.names, complaints);
        }
    }
    let general = raw.interaction.value.as_ref().and_then(|interaction| interaction.heartbeat.value.as_ref());
    let general =
        general.and_then(|beat| Some((connections.index_of(&beat.connection_id, "the heartbeat", complaints)?, beat)));
    let ingress = core_io.data_ingress.value.as_ref().map(|ingress| &ingress.ingress_period);
    for (index, connection) in list.iter().enumerate() {
        let id = connection.value.connection_id.value.as_deref().unwrap_or_default();
        let io = io.iter().find(|(name, _)| name.value == id).map(|(_, io)| io);
        let general = general.filter(|(of, _)| *of == index).map(|(_, beat)| beat);
        let service = Service::of(io, ingress, general, context, complaints);
        connections.periods.push(service.period);
        connections.resolved.push(self::connection(connection, service, context, complaints));
    }
    let alarms: usize = connections.resolved.iter().flatten().map(|connection| connection.alarms.len()).sum();
    if alarms > ALARMS_MAX {
        complaints.error(
            core_io.opc_connections.at,
            format!("{alarms} alarms; {ALARMS_MAX} are possible"),
            "merge some",
        );
    }
    connections
}

fn connection(
    raw: &At<RawConnection>,
    service: Service,
    context: &Context<'_>,
    complaints: &mut Complaints<'_>,
) -> Option<Connection> {
    let connection = &raw.value;
    let address = &connection.opc_conn_url;
    let url = address.value.as_ref().and_then(|url| self::url(url, address.at, complaints));
    let failover_urls = failover_urls(connection, complaints);
    let application_uri = uri(connection.application_uri.value.as_deref(), connection.application_uri.at, complaints);
    let server_uris = server_uris(connection, complaints);
    let security = security(&connection.security_policy, raw.at, context, complaints);
    let identity = identity(&connection.authentication_mode, context, complaints);
    let is_named = !matches!(identity, None | Some(Identity::Anonymous));
    if is_named && matches!(security, Some(Security::None)) {
        let help = "secure the connection with `security_policy`, or leave `authentication_mode` out";
        complaints.error(connection.authentication_mode.at, "a user needs a secured connection", help);
    }
    Some(Connection {
        id: connection.connection_id.value.clone()?,
        url: url?,
        failover_urls: failover_urls?,
        application_uri: application_uri?,
        server_uris: server_uris?,
        security: security?,
        identity: identity?,
        io_period: service.period?,
        io_phase: service.phase?,
        call_timeout: service.call_timeout?,
        spin: service.spin?,
        paired: service.paired,
        heartbeat: service.heartbeat?,
        lease: service.lease?,
        alarms: service.alarms?,
        // The tags are not known yet.
        subscribe: None,
    })
}

fn url(url: &str, at: Place, complaints: &mut Complaints<'_>) -> Option<String> {
    if let Err(help) = check_url(url) {
        complaints.error(at, format!("{} is not the address of an OPC UA server", quoted(url)), help);
        return None;
    }
    Some(url.to_owned())
}

/// Each is another address than the first one and the ones before it.
fn failover_urls(raw: &RawConnection, complaints: &mut Complaints<'_>) -> Option<Vec<String>> {
    let mut known: Vec<_> = raw.opc_conn_url.value.iter().collect();
    let mut urls = Vec::new();
    for At { value, at } in raw.failover_urls.value.as_ref()? {
        if known.contains(&value) {
            complaints.error(*at, format!("{} is named twice", quoted(value)), "name every server once");
        }
        known.push(value);
        urls.push(url(value, *at, complaints));
    }
    urls.into_iter().collect()
}

/// `opc.tcp://host:port[/path]`; the error is what to write.
fn check_url(url: &str) -> Result<(), &'static str> {
    const FORM: &str = "write opc.tcp://host:port, with a path behind it if the server wants one";
    let rest = url.strip_prefix("opc.tcp://").ok_or(FORM)?;
    if rest.chars().any(|c| c.is_whitespace() || matches!(c, '@' | '?' | '#')) {
        return Err(FORM);
    }
    let authority = rest.split('/').next().unwrap_or("");
    let (host, port) = match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, port)) => {
            address.parse::<std::net::Ipv6Addr>().map_err(|_| FORM)?;
            (address, port.strip_prefix(':').ok_or("add the port, usually :4840")?)
        }
        None => authority.rsplit_once(':').ok_or("add the port, usually :4840")?,
    };
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '.' | '_' | ':');
    if host.is_empty() || !host.chars().all(plain) || (host.contains(':') && !authority.starts_with('[')) {
        return Err(FORM);
    }
    match port.parse::<u16>() {
        Ok(1..) if port.bytes().all(|b| b.is_ascii_digit()) => Ok(()),
        _ => Err("the port is a number from 1 to 65535"),
    }
}

fn server_uris(raw: &RawConnection, complaints: &mut Complaints<'_>) -> Option<Vec<String>> {
    let uris = raw.server_application_uris.value.as_ref()?.iter();
    let uris: Vec<_> = uris.map(|At { value, at }| uri(Some(value), *at, complaints)).collect();
    uris.into_iter().collect()
}

fn uri(uri: Option<&str>, at: Place, complaints: &mut Complaints<'_>) -> Option<String> {
    let uri = uri?;
    if uri.contains(':') && !uri.chars().any(char::is_whitespace) {
        return Some(uri.to_owned());
    }
    complaints.error(at, format!("{} is not a URI", quoted(uri)), "write one such as urn:plant:corerl");
    None
}

fn security(
    field: &Field<RawPolicy>,
    connection: Place,
    context: &Context<'_>,
    complaints: &mut Complaints<'_>,
) -> Option<Security> {
    let none = |at: Place, complaints: &mut Complaints<'_>| {
        if context.lab {
            return Some(Security::None);
        }
        let help =
            "write `security_policy` with `policy: basic256_sha256` and certificates, or `lab: true` in a laboratory";
        complaints.error(at, "this connection is in clear, which is permitted in a laboratory only", help);
        None
    };
    if !field.given {
        return none(connection, complaints);
    }
    let raw = field.value.as_ref()?;
    let policy = match raw.policy.value? {
        PolicyName::None => return none(raw.policy.at, complaints),
        PolicyName::Basic256Sha256 => SecurityPolicy::Basic256Sha256,
        PolicyName::Aes128Sha256RsaOaep => SecurityPolicy::Aes128Sha256RsaOaep,
        PolicyName::Aes256Sha256RsaPss => SecurityPolicy::Aes256Sha256RsaPss,
        PolicyName::Basic128Rsa15 | PolicyName::Basic256 => {
            let message = "this policy rests on SHA-1 and can be broken: it is not used";
            complaints.error(raw.policy.at, message, "write `policy: basic256_sha256`, and enable it at the server");
            return None;
        }
    };
    let mut needed = |path: &Field<String>, what: &str| {
        if !path.given {
            let message = format!("`{what}` is missing: a secured connection needs our certificate and its key");
            complaints.error(raw.at, message, format!("write `{what}: PATH`"));
        }
        path.value.as_ref().map(|path| context.path(path))
    };
    let client_cert = needed(&raw.client_cert_path, "client_cert_path");
    let client_key = needed(&raw.client_key_path, "client_key_path");
    Some(Security::Secured {
        policy,
        encrypt: raw.mode.value? == SecurityMode::SignAndEncrypt,
        client_cert: client_cert?,
        client_key: client_key?,
        server_cert: raw.server_cert_path.value.as_ref().map(|path| context.path(path)),
        revocation: match raw.revocation.value? {
            RevocationName::Required => Revocation::Required,
            RevocationName::Optional => Revocation::Optional,
        },
        trust_dir: context.path(raw.trust_dir.value.as_ref()?),
    })
}

fn identity(field: &Field<Authentication>, context: &Context<'_>, complaints: &mut Complaints<'_>) -> Option<Identity> {
    if !field.given {
        return Some(Identity::Anonymous);
    }
    let raw = field.value.as_ref()?;
    if raw.certificate.given || raw.certificate_key.given {
        return user_certificate(raw, context, complaints);
    }
    if !raw.username.given || !raw.password.given {
        let help = "write both `username` and `password`, or leave `authentication_mode` out";
        complaints.error(raw.at, "a user needs a name and a password", help);
    }
    let password =
        raw.password.value.as_ref().and_then(|password| secret(password, raw.password.at, context, complaints));
    Some(Identity::Password { username: raw.username.value.clone()?, password: password? })
}

fn user_certificate(raw: &Authentication, context: &Context<'_>, complaints: &mut Complaints<'_>) -> Option<Identity> {
    if raw.username.given || raw.password.given {
        let help = "write either `username` and `password`, or `certificate` and `certificate_key`";
        complaints.error(raw.at, "a user has a password or a certificate, not both", help);
    }
    if !raw.certificate.given || !raw.certificate_key.given {
        let help = "write both `certificate: PATH` and `certificate_key: PATH`";
        complaints.error(raw.at, "a user's certificate needs its key", help);
    }
    Some(Identity::Certificate {
        certificate: context.path(raw.certificate.value.as_ref()?),
        key: context.path(raw.certificate_key.value.as_ref()?),
    })
}

/// Where a password is, if it may be there: in clear in the laboratory alone.
pub(crate) fn password_source(
    password: &Password,
    at: Place,
    context: &Context<'_>,
    complaints: &mut Complaints<'_>,
) -> Option<PasswordSource> {
    Some(match password {
        Password::Plain(plain) if context.lab => {
            complaints.notice(at, "this password stands in clear in the file", PASSWORD_HELP);
            PasswordSource::Plain(Secret(plain.clone()))
        }
        Password::Plain(_) => {
            complaints.error(at, "a password must not stand in the file", PASSWORD_HELP);
            return None;
        }
        Password::Env(name) => PasswordSource::Env(name.clone()),
        Password::File(path) => PasswordSource::File(context.path(path)),
        Password::Credential(name) => PasswordSource::Credential(name.clone()),
    })
}

/// Fetches a password from where the file says it is.
fn secret(password: &Password, at: Place, context: &Context<'_>, complaints: &mut Complaints<'_>) -> Option<Secret> {
    let source = password_source(password, at, context, complaints)?;
    if context.passwords == Passwords::LeftAlone && !matches!(source, PasswordSource::Plain(_)) {
        return Some(Secret(String::new()));
    }
    match source.fetch() {
        Ok(secret) => Some(secret),
        Err(none) => {
            complaints.error(at, none.message, none.help);
            None
        }
    }
}

/// A node identifier.
pub(crate) fn node(field: &Field<String>, complaints: &mut Complaints<'_>) -> Option<String> {
    let node = field.value.as_ref()?;
    if let Err(help) = check_node(node) {
        complaints.error(field.at, format!("{} is not a node identifier", quoted(node)), help);
        return None;
    }
    Some(node.clone())
}

/// `[element=N;][ns=N;|nsu=URI;](s=…|i=…|g=…|b=…)`; the error is what to write.
fn check_node(node: &str) -> Result<(), &'static str> {
    let Some(rest) = node.strip_prefix("element=") else { return check_variable(node) };
    let (element, node) = rest.split_once(';').ok_or("write the node behind it: element=0;ns=2;s=Path")?;
    element.parse::<u32>().map_err(|_| "the element after element= is a number from 0 on")?;
    check_variable(node)
}

fn check_variable(node: &str) -> Result<(), &'static str> {
    const FORM: &str = "write ns=2;s=Path, or nsu=URI;s=Path, which survives a change of the server's namespaces";
    let identifier = if let Some(rest) = node.strip_prefix("nsu=") {
        // A URI may contain semicolons: the first one that opens an identifier ends it.
        let opens = |rest: &str| ["i=", "s=", "g=", "b="].iter().any(|kind| rest.starts_with(kind));
        let mut splits = rest.match_indices(';').map(|(at, _)| rest.split_at(at));
        let (uri, identifier) = splits
            .find_map(|(uri, rest)| Some((uri, rest.strip_prefix(';').filter(|rest| opens(rest))?)))
            .ok_or(FORM)?;
        if uri.is_empty() { return Err("the namespace URI after nsu= is empty") } else { identifier }
    } else if let Some(rest) = node.strip_prefix("ns=") {
        let (index, identifier) = rest.split_once(';').ok_or(FORM)?;
        index.parse::<u16>().map_err(|_| "the namespace index after ns= is a number from 0 to 65535")?;
        identifier
    } else {
        node
    };
    let (kind, value) = identifier.split_once('=').ok_or(FORM)?;
    match kind {
        "s" if value.is_empty() => Err("the name after s= is empty"),
        "s" => Ok(()),
        "i" => value.parse::<u32>().map(|_| ()).map_err(|_| "the identifier after i= is a whole number"),
        "g" if is_guid(value) => Ok(()),
        "g" => Err("the identifier after g= is a GUID such as 09087e75-8e5e-499b-954f-f2a9603db28a"),
        "b" if is_base64(value) => Ok(()),
        "b" => Err("the identifier after b= is Base64"),
        _ => Err(FORM),
    }
}

fn is_guid(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    parts.iter().map(|part| part.len()).eq([8, 4, 4, 4, 12])
        && parts.iter().all(|part| part.bytes().all(|b| b.is_ascii_hexdigit()))
}

fn is_base64(text: &str) -> bool {
    let body = text.trim_end_matches('=');
    !body.is_empty()
        && text.len() - body.len() <= 2
        && text.len().is_multiple_of(4)
        && body.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_a_scheme_a_host_and_a_port() {
        for url in ["opc.tcp://localhost:4840", "opc.tcp://10.0.0.7:4840/plant/a", "opc.tcp://[::1]:4840"] {
            assert_eq!(check_url(url), Ok(()), "{url}");
        }
        for url in [
            "",
            "http://a:1",
            "opc.tcp://a",
            "opc.tcp://:1",
            "opc.tcp://a:0",
            "opc.tcp://a:99999",
            "opc.tcp://a b:1",
            "opc.tcp://::1:4840",
            "opc.tcp://[::g]:4840",
            "opc.tcp://user@a:1",
        ] {
            assert!(check_url(url).is_err(), "{url}");
        }
    }

    #[test]
    fn node_identifiers_follow_part_6() {
        for node in [
            "ns=2;s=Path",
            "nsu=urn:plant;s=A;B=C",
            "nsu=urn:plant;v=1;i=7",
            "i=2258",
            "ns=0;i=85",
            "ns=1;g=09087e75-8e5e-499b-954f-f2a9603db28a",
            "ns=1;b=M/RbKBsRVkePCePcx24oRA==",
            "element=3;nsu=urn:plant;s=A",
        ] {
            assert_eq!(check_node(node), Ok(()), "{node}");
        }
        for node in [
            "",
            "Path",
            "ns=2",
            "ns=x;s=A",
            "ns=70000;s=A",
            "nsu=;s=A",
            "ns=2;s=",
            "ns=2;i=x",
            "ns=2;g=1",
            "ns=2;b=?",
            "ns=2;q=1",
            "element=3",
            "element=x;ns=2;s=A",
            "element=1;ns=2;q=1",
        ] {
            assert!(check_node(node).is_err(), "{node}");
        }
    }
}
