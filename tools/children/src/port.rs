//! TCP ports for children that are started again where they were.

use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener};

/// Below the range from which Linux takes ports for whoever asks for any (`ip_local_port_range`, from 32768 where nobody has
/// changed it), so that neither a listener on port 0 nor an outgoing connection is given one of them in between.
const FIRST: u16 = 20_000;
const PORTS: u16 = 10_000;

/// A port of this machine's loopback that nobody listens on, and that no other holder of a `Port` is given while this one lives.
///
/// A port that the kernel chose is free for anybody as soon as its server has ended: whoever starts that server again may find
/// it taken.
#[derive(Debug)]
pub struct Port {
    number: u16,
    /// A name in the kernel's abstract namespace: it is ours as long as this is open, and gone with this process, however it ends.
    _claim: UnixListener,
}

impl Port {
    /// Claims one.
    ///
    /// # Errors
    /// All of the ten thousand are claimed or listened on, or sockets cannot be made.
    pub fn claim() -> io::Result<Self> {
        // Programs that begin at the same time begin to look at different places.
        let begin = u16::try_from(u64::from(std::process::id()) * 61 % u64::from(PORTS)).unwrap_or_default();
        for step in 0..PORTS {
            let number = FIRST + (begin + step) % PORTS;
            let name = SocketAddr::from_abstract_name(format!("corerl-port-{number}"))?;
            match UnixListener::bind_addr(&name) {
                Ok(claim) if TcpListener::bind((Ipv4Addr::LOCALHOST, number)).is_ok() => {
                    return Ok(Self { number, _claim: claim });
                }
                Err(error) if error.kind() != io::ErrorKind::AddrInUse => return Err(error),
                _ => {}
            }
        }
        Err(io::Error::new(io::ErrorKind::AddrInUse, format!("ports {FIRST} to {} are all in use", FIRST + PORTS - 1)))
    }

    /// Its number.
    pub fn number(&self) -> u16 {
        self.number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_else_is_given_a_port_that_is_held_and_it_can_be_listened_on_again_and_again() {
        let held: Vec<Port> = (0..50).map(|_| Port::claim().unwrap()).collect();
        let mut numbers: Vec<u16> = held.iter().map(Port::number).collect();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), held.len());
        for _ in 0..3 {
            drop(TcpListener::bind((Ipv4Addr::LOCALHOST, held[0].number())).unwrap());
        }
    }

    #[test]
    fn a_port_that_somebody_listens_on_without_a_claim_is_not_given() {
        let claimed = Port::claim().unwrap();
        let number = claimed.number();
        let _listening = TcpListener::bind((Ipv4Addr::LOCALHOST, number)).unwrap();
        drop(claimed);
        assert_ne!(Port::claim().unwrap().number(), number);
    }
}
