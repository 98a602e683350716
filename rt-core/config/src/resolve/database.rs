//! The historian's database. The runtime does not use it: what is complained of is what the historian could not use either.

use super::Context;
use super::connections::password_source;
use crate::complaint::{Complaints, quoted};
use crate::raw::{Database as RawDatabase, SiteFile, SslMode};
use crate::site::{Database, Encryption, OwnCertificate};

/// How the driver of a PostgreSQL database is called, whoever makes it.
const DRIVERS: [&str; 2] = ["postgres", "timescaledb"];

/// The database that a site file names; outer `None` with complaints.
pub(crate) fn resolve(
    raw: &SiteFile,
    context: &Context<'_>,
    complaints: &mut Complaints<'_>,
) -> Option<Option<Database>> {
    let Some(infra) = &raw.infra.value else { return (!raw.infra.given).then_some(None) };
    let Some(raw) = &infra.db.value else { return (!infra.db.given).then_some(None) };
    if let Some(driver) = &raw.drivername.value
        && !DRIVERS.iter().any(|known| driver.starts_with(known))
    {
        let message = format!("the historian cannot keep by way of {}", quoted(driver));
        complaints.error(raw.drivername.at, message, "it keeps in files, without `infra.db`, or in `postgresql`");
    }
    let given = raw.password.value.as_ref();
    let password = given.and_then(|password| password_source(password, raw.password.at, context, complaints));
    if password.is_none() && raw.password.given {
        return None;
    }
    let user = raw.username.value.clone().unwrap_or_else(|| "corerl_historian".to_owned());
    Some(Some(Database {
        host: raw.ip.value.clone().unwrap_or_else(|| "localhost".to_owned()),
        port: u16::try_from(raw.port.value.as_ref()?.0).ok()?,
        name: raw.db_name.value.clone().unwrap_or_else(|| user.clone()),
        user,
        password,
        encryption: encryption(raw, context, complaints),
        own: own(raw, context, complaints),
    }))
}

fn encryption(raw: &RawDatabase, context: &Context<'_>, complaints: &mut Complaints<'_>) -> Encryption {
    let authority = raw.sslrootcert.value.as_ref();
    match raw.sslmode.value {
        Some(SslMode::Disable) => {
            if authority.is_some() {
                let help = "leave out `sslrootcert`, or write `sslmode: verify-full`";
                complaints.error(raw.sslrootcert.at, "nobody is asked for a certificate", help);
            }
            Encryption::Off
        }
        Some(SslMode::VerifyFull) => Encryption::Required { authority: authority.map(|path| context.path(path)) },
        None => match authority {
            Some(path) => Encryption::Required { authority: Some(context.path(path)) },
            None => Encryption::UnlessHere,
        },
    }
}

/// A certificate and its key belong together.
fn own(raw: &RawDatabase, context: &Context<'_>, complaints: &mut Complaints<'_>) -> Option<OwnCertificate> {
    let alone = |complaints: &mut Complaints<'_>, at, missing: &str| {
        complaints.error(at, format!("without `{missing}` nobody is shown anything"), format!("give `{missing}`, too"));
        None
    };
    match (&raw.sslcert.value, &raw.sslkey.value) {
        (Some(_), Some(_)) if raw.sslmode.value == Some(SslMode::Disable) => {
            let help = "leave out `sslcert` and `sslkey`, or write `sslmode: verify-full`";
            complaints.error(raw.sslcert.at, "nobody is shown a certificate in clear", help);
            None
        }
        (Some(certificate), Some(key)) => {
            Some(OwnCertificate { certificate: context.path(certificate), key: context.path(key) })
        }
        (Some(_), None) => alone(complaints, raw.sslcert.at, "sslkey"),
        (None, Some(_)) => alone(complaints, raw.sslkey.at, "sslcert"),
        (None, None) => None,
    }
}
