//! The cases: how a peer's server is secured, who the user is, and what happens.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::peers::Peer;

const SITE_TEMPLATE: &str = include_str!("../../interop/site.yaml");
const USER: &str = "corerl";
const PASSWORD: &str = "interoperability";

/// Lifetime of a channel's keys where they are to be renewed, in milliseconds: not below what any of the servers grants.
pub(super) const TOKEN_LIFETIME_MS: u64 = 3_000;

/// One case.
#[derive(Debug)]
pub(super) struct Case {
    /// For people.
    pub(super) name: &'static str,
    /// A directory's name.
    pub(super) key: &'static str,
    pub(super) security: Security,
    user: User,
    pub(super) ordeal: Ordeal,
}

/// Mode of the channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Security {
    None,
    Sign,
    SignAndEncrypt,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum User {
    Anonymous,
    Password,
    Certificate,
}

/// What the connection has to survive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ordeal {
    /// The server is killed and started again.
    Restart,
    /// The same, and its namespaces come in another order.
    Reordering,
    /// The same, and its certificate is another one, which nobody trusts at first.
    Rotation,
    /// The channel's keys run out again and again.
    Renewal,
    /// The server sends empty nonces, and refuses a server URI that is not its own.
    Quirks,
}

/// All of them.
pub(super) const CASES: &[Case] = &[
    Case {
        name: "None, namespaces reordered",
        key: "reordering",
        security: Security::None,
        user: User::Anonymous,
        ordeal: Ordeal::Reordering,
    },
    Case {
        name: "None, odd server",
        key: "quirks",
        security: Security::None,
        user: User::Anonymous,
        ordeal: Ordeal::Quirks,
    },
    Case {
        name: "Sign, password, renewals",
        key: "sign-renewal",
        security: Security::Sign,
        user: User::Password,
        ordeal: Ordeal::Renewal,
    },
    Case {
        name: "SignAndEncrypt, password, restart",
        key: "encrypt-restart",
        security: Security::SignAndEncrypt,
        user: User::Password,
        ordeal: Ordeal::Restart,
    },
    Case {
        name: "SignAndEncrypt, user certificate, renewals",
        key: "encrypt-renewal",
        security: Security::SignAndEncrypt,
        user: User::Certificate,
        ordeal: Ordeal::Renewal,
    },
    Case {
        name: "SignAndEncrypt, certificate rotated",
        key: "rotation",
        security: Security::SignAndEncrypt,
        user: User::Anonymous,
        ordeal: Ordeal::Rotation,
    },
];

impl Case {
    /// The servers that are programs of a library cannot be made odd; the one in Python can.
    pub(super) fn is_for(&self, peer: Peer) -> bool {
        self.ordeal != Ordeal::Quirks || peer == Peer::Asyncua
    }

    /// Appends the options of the server; `restarted` when it has been there before.
    pub(super) fn put_options(&self, command: &mut Command, pki: &Path, restarted: bool) {
        let security = match self.security {
            Security::None => "none",
            Security::Sign => "sign",
            Security::SignAndEncrypt => "encrypt",
        };
        let users = match self.user {
            User::Anonymous => "anonymous",
            User::Password => "password",
            User::Certificate => "certificate",
        };
        command.args(["--security", security, "--users", users]).arg("--pki").arg(pki);
        if self.user == User::Password {
            command.args(["--user", USER, "--password", PASSWORD]);
        }
        match self.ordeal {
            Ordeal::Reordering if restarted => drop(command.args(["--namespaces-before", "1"])),
            Ordeal::Renewal => drop(command.args(["--token-lifetime", &TOKEN_LIFETIME_MS.to_string()])),
            Ordeal::Quirks => drop(command.arg("--quirks")),
            Ordeal::Reordering | Ordeal::Restart | Ordeal::Rotation => {}
        }
    }

    /// Writes the site file.
    pub(super) fn write_site(&self, path: &Path, pki: &Path, port: u16) -> Result<(), String> {
        let access = [self.security_policy(pki), self.authentication_mode(pki)].concat();
        let text =
            SITE_TEMPLATE.replace("{{url}}", &format!("opc.tcp://127.0.0.1:{port}")).replace("{{access}}", &access);
        fs::write(path, text).map_err(|error| format!("{} cannot be written: {error}", path.display()))
    }

    fn security_policy(&self, pki: &Path) -> String {
        let mode = match self.security {
            Security::None => return "      security_policy: {policy: none}".to_owned(),
            Security::Sign => "sign",
            Security::SignAndEncrypt => "sign_and_encrypt",
        };
        let pki = pki.display();
        // A server whose certificate changes is trusted by a directory, the others by their only one.
        let trust = match self.ordeal {
            Ordeal::Rotation => format!("trust_dir: \"{pki}/trust\""),
            _ => format!("server_cert_path: \"{pki}/server/cert.der\""),
        };
        format!(
            "      security_policy: {{policy: basic256_sha256, mode: {mode}, \
             client_cert_path: \"{pki}/client/cert.der\", client_key_path: \"{pki}/private/client.pem\", {trust}}}"
        )
    }

    fn authentication_mode(&self, pki: &Path) -> String {
        let pki = pki.display();
        let user = match self.user {
            User::Anonymous => return String::new(),
            User::Password => format!("{{username: {USER}, password: {PASSWORD}}}"),
            User::Certificate => {
                format!("{{certificate: \"{pki}/user/cert.der\", certificate_key: \"{pki}/private/user.pem\"}}")
            }
        };
        format!("\n      authentication_mode: {user}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_site_file_has_no_gap_left() {
        let directory = tempfile::tempdir().unwrap();
        for case in CASES {
            let path = directory.path().join("site.yaml");
            case.write_site(&path, Path::new("pki"), 4840).unwrap();
            let text = fs::read_to_string(&path).unwrap();
            let keys: String = text.lines().filter(|line| !line.starts_with('#')).collect();
            assert!(!keys.contains("{{") && keys.contains("opc.tcp://127.0.0.1:4840"));
            assert_eq!(keys.contains("client_cert_path"), case.security != Security::None);
            let refused = rt_config::parse(&text, &path).err();
            assert!(refused.is_none(), "{}", refused.map(|refused| refused.to_string()).unwrap_or_default());
        }
    }

    #[test]
    fn every_case_has_a_directory_of_its_own_and_only_one_server_is_odd() {
        for case in CASES {
            assert_eq!(CASES.iter().filter(|other| other.key == case.key || other.name == case.name).count(), 1);
            assert!(case.is_for(Peer::Asyncua));
            assert_eq!(case.is_for(Peer::Open62541), case.ordeal != Ordeal::Quirks);
        }
    }
}
