//! One case: a server, `corerl run`, and what is seen of both.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use shm_layout::Counter;

use super::case::{Case, Ordeal, Security, TOKEN_LIFETIME_MS};
use super::stage::{PATIENCE, Stage};
use crate::demo::Observer;
use crate::peers::{Peer, Server};
use children::Child;

/// The server stays away for so long.
const OUTAGE: Duration = Duration::from_secs(2);

/// Keys have run out at least twice after this time.
const RENEWALS: Duration = Duration::from_millis(3 * TOKEN_LIFETIME_MS);

/// What counts as flowing.
const SAMPLES_MIN: u64 = 100;
const SETPOINTS_MIN: u64 = 10;
const HEARTBEATS_MIN: u64 = 5;

/// Who has a certificate, with their application URIs.
const IDENTITIES: [(&str, &str); 3] =
    [("server", "urn:corerl:interop:server"), ("client", "urn:corerl:rt"), ("user", "urn:corerl:interop:user")];

/// Takes a check: what it is about, whether it passed, what was seen.
pub(super) type Push<'a> = dyn FnMut(&'static str, bool, String) + 'a;

/// Everything that the cases of a peer need.
pub(super) struct Rig {
    pub(super) peer: Peer,
    server: Server,
    stage: Stage,
}

/// What the server has counted.
#[derive(Debug, Default, Clone, Copy)]
struct Counts {
    setpoints: u64,
    heartbeats: u64,
}

impl Rig {
    /// Cases of `peer`, whose server is started like this, with our programs in that directory.
    pub(super) fn new(peer: Peer, server: Server, programs: &Path) -> Result<Self, String> {
        Ok(Self { peer, server, stage: Stage::new(programs)? })
    }

    /// Part of the command line of everything that is started.
    pub(super) fn directory(&self) -> &Path {
        self.stage.directory()
    }

    /// Runs one case; `Err` when it could not come to its checks.
    pub(super) fn examine(&self, case: &Case, push: &mut Push<'_>) -> Result<(), String> {
        let directory = self.directory().join(case.key);
        let pki = directory.join("pki");
        fs::create_dir_all(&pki).map_err(|error| format!("{} cannot be made: {error}", pki.display()))?;
        if case.security != Security::None {
            IDENTITIES.iter().try_for_each(|(name, uri)| self.make_identity(&pki, name, uri))?;
        }
        if case.ordeal == Ordeal::Rotation {
            self.trust_server(&pki)?;
        }
        let (mut server, port) = self.start_server(case, &pki, None)?;
        let site = directory.join("site.yaml");
        case.write_site(&site, &pki, port)?;
        let mut corerl = self.stage.start_corerl(&directory, &site)?;
        let mut observer = self.stage.attach(self.peer.name(), &directory, &mut corerl)?;
        let mut watch = Watch { rig: self, corerl: &mut corerl, observer: &mut observer, push };
        watch.flows(&mut server, ["samples flow in", "setpoints arrive", "heartbeats arrive"])?;
        match case.ordeal {
            Ordeal::Quirks => {}
            Ordeal::Renewal => watch.outlives_keys(&mut server)?,
            Ordeal::Restart | Ordeal::Reordering | Ordeal::Rotation => {
                // An end without farewell is the harder case.
                server.stop(Signal::KILL, PATIENCE);
                server = watch.meets_again(case, &pki, port)?;
            }
        }
        let end = corerl.stop(Signal::INT, PATIENCE);
        let facts = end.map_or("it had to be killed".to_owned(), |status| status.to_string());
        push("SIGINT ends everything with exit code 0", end.is_some_and(|status| status.success()), facts);
        server.let_go(PATIENCE);
        Ok(())
    }

    /// A certificate and its key, made as an operator does it.
    fn make_identity(&self, pki: &Path, name: &str, uri: &str) -> Result<(), String> {
        for place in [pki.join(name), pki.join("private")] {
            fs::create_dir_all(&place).map_err(|error| format!("{} cannot be made: {error}", place.display()))?;
        }
        let mut create = Command::new(self.stage.program("corerl"));
        create.args(["io", "cert", "create", "--host", "127.0.0.1", "--name", name, "--application-uri", uri]);
        create.arg("--cert").arg(certificate(pki, name)).arg("--key").arg(key(pki, name));
        self.finish(&mut create)
    }

    /// Trusts the server's certificate as an operator does it.
    fn trust_server(&self, pki: &Path) -> Result<(), String> {
        let mut add = Command::new(self.stage.program("corerl"));
        add.args(["io", "trust", "add"]).arg(certificate(pki, "server")).arg("--trust-dir").arg(pki.join("trust"));
        self.finish(&mut add)
    }

    fn finish(&self, command: &mut Command) -> Result<(), String> {
        let output = command.output().map_err(|error| format!("corerl cannot be run: {error}"))?;
        let said = String::from_utf8_lossy(&output.stderr);
        if output.status.success() { Ok(()) } else { Err(format!("corerl said: {}", said.trim())) }
    }

    /// Starts the server, at the port where it has been before if there is one; where it listens.
    fn start_server(&self, case: &Case, pki: &Path, before: Option<u16>) -> Result<(Child, u16), String> {
        let name = self.peer.name();
        let mut command = self.server.command();
        command.args(["--port", &before.unwrap_or(0).to_string()]);
        case.put_options(&mut command, pki, before.is_some());
        let mut server = Child::start(name, &mut command)?;
        let facts = self.stage.announced(&mut server)?;
        let port = facts["port"].as_u64().and_then(|port| u16::try_from(port).ok());
        port.map(|port| (server, port)).ok_or_else(|| format!("{name}'s server listens nowhere: {facts}"))
    }
}

fn certificate(pki: &Path, name: &str) -> PathBuf {
    pki.join(name).join("cert.der")
}

fn key(pki: &Path, name: &str) -> PathBuf {
    pki.join("private").join(format!("{name}.pem"))
}

/// A case that is being watched.
struct Watch<'a, 'p> {
    rig: &'a Rig,
    corerl: &'a mut Child,
    observer: &'a mut Observer,
    push: &'a mut Push<'p>,
}

impl Watch<'_, '_> {
    /// Waits until samples, setpoints and heartbeats flow anew; adds a check for each.
    fn flows(&mut self, server: &mut Child, what: [&'static str; 3]) -> Result<(), String> {
        let samples_before = self.count(Counter::SamplesReceived);
        let counts_before = Counts::latest(server).unwrap_or_default();
        let mut counts = counts_before;
        let start = Instant::now();
        loop {
            self.look(server)?;
            counts = Counts::latest(server).unwrap_or(counts);
            let samples = self.count(Counter::SamplesReceived).saturating_sub(samples_before);
            let Counts { setpoints, heartbeats } = counts.since(counts_before);
            let flowing = [samples >= SAMPLES_MIN, setpoints >= SETPOINTS_MIN, heartbeats >= HEARTBEATS_MIN];
            if flowing == [true; 3] || start.elapsed() > PATIENCE {
                let seconds = start.elapsed().as_secs_f64();
                let numbers = [samples, setpoints, heartbeats];
                for ((what, passed), number) in what.into_iter().zip(flowing).zip(numbers) {
                    (self.push)(what, passed, format!("{number} in {seconds:.1} s"));
                }
                if flowing != [true; 3] {
                    let (corerl, server) = (self.corerl.last_lines(), server.last_lines());
                    eprintln!("corerl run said last:\n{corerl}\nthe server said last:\n{server}");
                }
                return Ok(());
            }
        }
    }

    /// Keys run out and are renewed, and the connection stays. A write may miss its deadline meanwhile, since a server on a busy
    /// machine computes for long: that is told, and no failure.
    fn outlives_keys(&mut self, server: &mut Child) -> Result<(), String> {
        let reconnects_before = self.count(Counter::Reconnects);
        let start = Instant::now();
        while start.elapsed() < RENEWALS {
            self.look(server)?;
        }
        let (reconnects, unknown) = (self.count(Counter::Reconnects), self.count(Counter::WritesUnknown));
        let facts = format!("{reconnects} reconnects, {unknown} writes unknown");
        (self.push)("renewals of the keys keep the connection", reconnects == reconnects_before, facts);
        self.flows(server, ["after them samples flow in", "and setpoints arrive", "and heartbeats arrive"])
    }

    /// Starts a server that was there before.
    fn meets_again(&mut self, case: &Case, pki: &Path, port: u16) -> Result<Child, String> {
        std::thread::sleep(OUTAGE);
        self.corerl.check()?;
        if case.ordeal == Ordeal::Rotation {
            let [(name, uri), ..] = IDENTITIES;
            for old in [certificate(pki, name), key(pki, name)] {
                fs::remove_file(&old).map_err(|error| format!("{} cannot be removed: {error}", old.display()))?;
            }
            self.rig.make_identity(pki, name, uri)?;
        }
        let (mut server, _) = self.rig.start_server(case, pki, Some(port))?;
        if case.ordeal == Ordeal::Rotation {
            self.distrusts(&mut server, pki)?;
            self.rig.trust_server(pki)?;
        }
        let what = ["after a restart of the server, samples flow in", "and setpoints arrive", "and heartbeats arrive"];
        self.flows(&mut server, what)?;
        Ok(server)
    }

    /// A certificate that nobody has decided about is kept for a decision, and its server is not spoken with.
    fn distrusts(&mut self, server: &mut Child, pki: &Path) -> Result<(), String> {
        let before = self.count(Counter::SamplesReceived);
        let pending = || fs::read_dir(pki.join("trust/pending")).is_ok_and(|mut files| files.next().is_some());
        let start = Instant::now();
        while !pending() && start.elapsed() < PATIENCE {
            self.look(server)?;
        }
        let samples = self.count(Counter::SamplesReceived) - before;
        let facts = format!("{samples} samples in {:.1} s", start.elapsed().as_secs_f64());
        (self.push)("a new certificate waits for a decision", pending() && samples == 0, facts);
        Ok(())
    }

    /// Waits a moment; whoever has ended meanwhile is an error.
    fn look(&mut self, server: &mut Child) -> Result<(), String> {
        self.rig.stage.pause()?;
        self.corerl.check()?;
        server.check()
    }

    fn count(&mut self, counter: Counter) -> u64 {
        self.observer.drain();
        self.observer.recording().counters.get(counter)
    }
}

impl Counts {
    /// The last ones that the server has printed and that nobody has read.
    fn latest(server: &mut Child) -> Option<Self> {
        std::iter::from_fn(|| server.line(Duration::ZERO)).filter_map(|line| Self::parse(&line)).last()
    }

    /// Reads a line of the server's counts.
    fn parse(line: &str) -> Option<Self> {
        let facts: serde_json::Value = serde_json::from_str(line).ok()?;
        Some(Self { setpoints: facts["setpoints"].as_u64()?, heartbeats: facts["heartbeats"].as_u64()? })
    }

    fn since(self, before: Self) -> Self {
        Self {
            setpoints: self.setpoints.saturating_sub(before.setpoints),
            heartbeats: self.heartbeats.saturating_sub(before.heartbeats),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_counts_is_read_and_another_one_is_not() {
        let counts = Counts::parse(r#"{"setpoints": 12, "heartbeats": 3, "level": 0.5}"#).unwrap();
        assert_eq!((counts.setpoints, counts.heartbeats), (12, 3));
        assert!(Counts::parse(r#"{"url": "opc.tcp://127.0.0.1:1"}"#).is_none());
        assert!(Counts::parse("Traceback").is_none());
    }

    #[test]
    fn only_the_newest_counts_matter_and_only_what_has_come_since() {
        let line = |setpoints, heartbeats| format!(r#"{{"setpoints": {setpoints}, "heartbeats": {heartbeats}}}"#);
        let script = format!("echo '{}'; echo noise; echo '{}'", line(1, 1), line(9, 4));
        let mut server = Child::start("server", Command::new("sh").args(["-c", &script])).unwrap();
        let status = std::iter::from_fn(|| Some(server.ended())).flatten().next().unwrap();
        // Waits until all that it said has been heard.
        server.obituary(status);
        let seen = Counts::latest(&mut server);
        let since = seen.unwrap().since(Counts { setpoints: 2, heartbeats: 4 });
        assert_eq!((since.setpoints, since.heartbeats), (7, 0));
        assert!(Counts::latest(&mut server).is_none());
    }
}
