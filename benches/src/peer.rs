//! Other people's programs, which `cargo xtask bench` builds when the machine can, and names on the command line.

use std::path::PathBuf;
use std::str::FromStr;

use clap::ValueEnum;

/// What a program of other people is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Role {
    /// The server that everybody's client talks to.
    Open62541Server,
    /// The client in C.
    Open62541Client,
    /// The client on tokio.
    AsyncOpcuaClient,
    /// A Python that has JAX.
    Jax,
    /// A Python that has other people's plants.
    Plants,
}

/// Such a program, as it stands on the command line: `ROLE=PROGRAM`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Peer {
    /// What it is.
    pub(crate) role: Role,
    /// Where it is.
    pub(crate) program: PathBuf,
}

impl FromStr for Peer {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (role, program) = text.split_once('=').ok_or("ROLE=PROGRAM is needed")?;
        Ok(Self { role: Role::from_str(role, false)?, program: program.into() })
    }
}

/// The program with this role, if it takes part.
pub(crate) fn with_role(peers: &[Peer], role: Role) -> Option<&PathBuf> {
    peers.iter().find(|peer| peer.role == role).map(|peer| &peer.program)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_is_a_role_and_a_program() {
        let peer: Peer = "open62541-client=/a=b".parse().unwrap();
        assert_eq!(peer, Peer { role: Role::Open62541Client, program: "/a=b".into() });
        assert_eq!(with_role(std::slice::from_ref(&peer), Role::Open62541Client), Some(&peer.program));
        assert_eq!(with_role(&[peer], Role::Open62541Server), None);
        assert!("open62541-client".parse::<Peer>().is_err() && "other=/a".parse::<Peer>().is_err());
    }
}
