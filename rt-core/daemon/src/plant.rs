//! From the site's words to one connection's bus: which tags are read, which setpoints written, with which security.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use io_loop::{BoundNode, Demand, OpcUa, Pace, Scale, Settings, Subscribing, TOKEN_MAX};
use rt_config::{Connection, Identity, Security, Setpoint, Site};
use rt_core::envelope::LimitsByMode;
use rt_core::ports::Clock as _;
use rt_core::setpoint::Rate;
use rt_core::tag::TagId;
use rt_sys::MonotonicClock;
use ua_session::{ApplicationInstance, Clock, HostMismatch, MessageMode, Revocation, SecurityPolicy, Target, Trust};

use crate::failure::Failure;

/// How long the server shall keep a session that says nothing.
const SESSION_TIMEOUT: Duration = Duration::from_secs(60);
/// The lifetime that is asked for the channel's keys.
const CHANNEL_LIFETIME: Duration = Duration::from_secs(3600);

/// The tags that come from this connection.
fn inputs(site: &Site, index: usize) -> impl Iterator<Item = (usize, &str, &str)> {
    site.tags.iter().enumerate().filter_map(move |(place, tag)| {
        let source = tag.source.as_ref().filter(|source| source.connection == index)?;
        Some((place, tag.name.as_str(), source.node.as_str()))
    })
}

/// The setpoints that are written over this connection.
fn outputs(site: &Site, index: usize) -> impl Iterator<Item = (usize, &Setpoint, &str, &str)> {
    site.setpoints.iter().enumerate().filter_map(move |(place, setpoint)| {
        let tag = site.tags.get(setpoint.tag.index())?;
        let source = tag.source.as_ref().filter(|source| source.connection == index)?;
        Some((place, setpoint, tag.name.as_str(), source.node.as_str()))
    })
}

/// The places of this connection's alarms among the site's.
fn alarms(site: &Site, index: usize, connection: &Connection) -> Vec<u8> {
    let before: usize = site.connections.iter().take(index).map(|before| before.alarms.len()).sum();
    (before..).zip(&connection.alarms).filter_map(|(place, _)| u8::try_from(place).ok()).collect()
}

/// How the io loop drives this connection.
pub(crate) fn settings(site: &Site, index: usize, connection: &Connection) -> Settings {
    Settings {
        inputs: inputs(site, index).filter_map(|(place, ..)| TagId::new(place)).collect(),
        outputs: outputs(site, index)
            .filter_map(|(place, setpoint, ..)| Some((u8::try_from(place).ok()?, setpoint.settings.refresh)))
            .collect(),
        heartbeat_every: connection.heartbeat.as_ref().map(|heartbeat| heartbeat.period),
        alarms: alarms(site, index, connection),
        claim_term: connection.lease.as_ref().map(|lease| lease.term),
        call_timeout: connection.call_timeout,
        paired: connection.paired,
        seed: site.seed.wrapping_add(index as u64),
    }
}

/// The bus of this connection.
///
/// # Errors
/// Certificate or key cannot be used; a node is no address; there are no more threads.
pub(crate) fn bus(site: &Site, index: usize, connection: &Connection) -> Result<OpcUa, Failure> {
    let number = |(place, name, text): (usize, &str, &str)| {
        Ok(BoundNode { scale: measured(site, place), ..bound(name, text, Demand::Number)? })
    };
    let mut read: Vec<_> = inputs(site, index).map(number).collect::<Result<_, Failure>>()?;
    let steps = |(_, setpoint, name, text): (usize, &Setpoint, &str, &str)| {
        let demand = pace(site, setpoint).map_or(Demand::Number, Demand::Steps);
        Ok(BoundNode { scale: written_to(site, setpoint), ..bound(name, text, demand)? })
    };
    let mut written: Vec<_> = outputs(site, index).map(steps).collect::<Result<_, Failure>>()?;
    if let Some(heartbeat) = &connection.heartbeat {
        written.push(bound("heartbeat", &heartbeat.node, Demand::Number)?);
    }
    for alarm in &connection.alarms {
        written.push(bound("alarm", &alarm.node, Demand::Number)?);
    }
    if let Some(lease) = &connection.lease {
        let tag = bound("lease", &lease.node, Demand::Whole(TOKEN_MAX))?;
        read.push(tag.clone());
        written.push(tag);
    }
    let subscribing = subscribing(site, index, connection);
    OpcUa::new(target(site, connection)?, &connection.failover_urls, Arc::new(Clocks::default()), read, written)
        .map(|bus| bus.subscribing(subscribing).spinning(connection.spin))
        .map_err(Failure::resource("the thread that renews keys"))
}

fn bound(name: &str, node: &str, demand: Demand) -> Result<BoundNode, Failure> {
    let address = node.parse().map_err(|error| Failure::Config(format!("tag `{name}`: {error}")))?;
    Ok(BoundNode { name: name.to_owned(), address, demand, scale: Scale::default() })
}

/// What the site file says of a tag's numbers.
fn measured(site: &Site, tag: usize) -> Scale {
    let Some(tag) = site.tags.get(tag) else { return Scale::default() };
    let range = tag.operating_range.map(|range| (range.lo, range.hi));
    Scale { range, unit: Some(tag.unit.clone()).filter(|unit| !unit.is_empty()) }
}

/// The same of a setpoint, which goes as far as its limits in any mode let it.
fn written_to(site: &Site, setpoint: &Setpoint) -> Scale {
    let LimitsByMode { run, hold, fallback } = setpoint.settings.limits;
    let each = [run, hold, fallback];
    let (lo, hi) = each.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(lo, hi), of| (of.lo.min(lo), of.hi.max(hi)));
    Scale { range: Some((lo, hi)), ..measured(site, setpoint.tag.index()) }
}

/// What the server of this connection shall tell by itself. The lease's tag, which comes behind the others, is looked at.
fn subscribing(site: &Site, index: usize, connection: &Connection) -> Option<Subscribing> {
    let subscribe = connection.subscribe.as_ref()?;
    let watch = |place: usize| {
        let watched = subscribe.watch.iter().find(|(tag, _)| tag.index() == place)?;
        Some(watched.1)
    };
    let watch = inputs(site, index).map(|(place, ..)| watch(place)).collect();
    Some(Subscribing { every: subscribe.every, io_period: connection.io_period, watch })
}

/// The names of what is read over this connection, in the order of the bus's inputs.
pub(crate) fn input_names(site: &Site, index: usize) -> Vec<String> {
    inputs(site, index).map(|(_, name, _)| name.to_owned()).collect()
}

/// How fast a setpoint may be moved in the mode that permits least.
fn pace(site: &Site, setpoint: &Setpoint) -> Option<Pace> {
    let LimitsByMode { run, hold, fallback } = setpoint.settings.limits;
    let rates = [run, hold, fallback].into_iter().filter_map(|limits| match limits.rate {
        Rate::PerSecond(rate) => Some(rate),
        Rate::Unlimited => None,
    });
    let rate = rates.min_by(f64::total_cmp)?;
    Some(Pace { rate, period: site.runtime.period.span() })
}

/// Where this connection leads, as whom, and whom it trusts.
///
/// # Errors
/// Certificate or key cannot be used.
pub fn target(site: &Site, connection: &Connection) -> Result<Target, Failure> {
    let (security, trust) = match &connection.security {
        Security::None => (ua_session::Security::None, Trust::default()),
        Security::Secured { policy, encrypt, client_cert, client_key, server_cert, revocation, trust_dir } => {
            let security = ua_session::Security::Secured {
                policy: algorithms(*policy),
                mode: if *encrypt { MessageMode::SignAndEncrypt } else { MessageMode::Sign },
                application: application(client_cert, client_key)?,
            };
            let trust = Trust {
                pinned: server_cert.clone(),
                directory: Some(trust_dir.clone()),
                revocation: match revocation {
                    rt_config::Revocation::Required => Revocation::Required,
                    rt_config::Revocation::Optional => Revocation::Optional,
                },
                host_mismatch: HostMismatch::Report,
            };
            (security, trust)
        }
    };
    let identity = match &connection.identity {
        Identity::Anonymous => ua_session::Identity::Anonymous,
        Identity::Password { username, password } => {
            ua_session::Identity::UserPassword { user: username.clone(), password: password.expose().to_owned() }
        }
        Identity::Certificate { certificate, key } => {
            let loaded = ApplicationInstance::load(certificate, key);
            ua_session::Identity::Certificate(Arc::new(loaded.map_err(|error| Failure::Config(error.to_string()))?))
        }
    };
    Ok(Target {
        url: connection.url.clone(),
        application_uri: connection.application_uri.clone(),
        server_uris: connection.server_uris.clone(),
        session_name: format!("{}/{}", site.name, site.agent_name),
        security,
        identity,
        trust,
        session_timeout: SESSION_TIMEOUT,
        channel_lifetime: CHANNEL_LIFETIME,
    })
}

fn algorithms(policy: rt_config::SecurityPolicy) -> SecurityPolicy {
    match policy {
        rt_config::SecurityPolicy::Basic256Sha256 => SecurityPolicy::Basic256Sha256,
        rt_config::SecurityPolicy::Aes128Sha256RsaOaep => SecurityPolicy::Aes128Sha256RsaOaep,
        rt_config::SecurityPolicy::Aes256Sha256RsaPss => SecurityPolicy::Aes256Sha256RsaPss,
    }
}

fn application(certificate: &Path, key: &Path) -> Result<Arc<ApplicationInstance>, Failure> {
    match ApplicationInstance::load(certificate, key) {
        Ok(application) => Ok(Arc::new(application)),
        Err(error) => Err(Failure::Config(format!(
            "{error}; make a certificate with: corerl io cert create --cert {} --key {}",
            certificate.display(),
            key.display()
        ))),
    }
}

/// Both clocks of a session: monotonic for deadlines, wall time for the validity of certificates.
#[derive(Debug, Default)]
pub struct Clocks(MonotonicClock);

impl Clock for Clocks {
    fn monotonic_ns(&self) -> u64 {
        self.0.now().as_ns()
    }

    fn unix_ns(&self) -> u64 {
        rt_sys::unix_time().as_ns()
    }
}
