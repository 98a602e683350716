//! The programs of one scenario: started in a directory of their own, disturbed on command, ended in order.

use std::net::{SocketAddr, TcpStream, ToSocketAddrs as _};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use children::{Child, Port};
use rt_config::Security;
use rt_control::{Address, Client};
use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::forger::Forger;
use crate::history;
use crate::link::{Ledger, Link};
use crate::papers::Papers;
use crate::programs::Programs;
use crate::proxy::Proxy;
use crate::rig::Rig;
use crate::run::{Circumstances, STOPPED, Stop};
use crate::scenario::{Cable, Forgery, Plant, Program, Scenario};
use crate::take::HistorySeen;

/// How long a program of ours may take until it serves: ten times what it needs on a machine that does other things, too.
const START_PATIENCE: Duration = Duration::from_secs(60);
/// How long one may take to end in order before it is killed.
const END_PATIENCE: Duration = Duration::from_secs(10);
/// How long the runtime may take for an answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// How often it is looked whether something serves.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// What the runtime records as the cause of what is asked of it.
const CAUSE: &str = "hardware in the loop";

/// Starts a program that knows nothing of tethers, and ends it when the tether is cut.
const TETHERED: &str =
    "exec 3<&0; \"$@\" 3<&- & child=$!; { cat <&3; kill \"$child\"; } >/dev/null 2>&1 & wait \"$child\"";
/// Computes at full speed until its parent has ended.
const BUSY: &str = "while kill -0 \"$PPID\"; do i=0; while [ \"$i\" -lt 10000 ]; do i=$((i + 1)); done; done";

/// The programs of a scenario and what lies between them. Dropping it ends them all.
#[derive(Debug)]
pub(crate) struct Crew<'s> {
    scenario: &'s Scenario,
    programs: &'s Programs,
    stop: &'s Stop,
    place: TempDir,
    address: Address,
    /// The path behind the plant's port.
    path: String,
    port: u16,
    /// Holds the plant's port for it while it is down.
    claim: Option<Port>,
    /// The certificate that the plant says is its own.
    certificate: Option<Shown>,
    cable: Option<Proxy>,
    ledger: Ledger,
    link: Option<Link>,
    links: u32,
    plant: Option<Child>,
    runtime: Option<Child>,
    standby: Option<Child>,
    learner: Option<Child>,
    historian: Option<Child>,
    busy: Vec<Child>,
    forger: Option<Forger>,
}

impl<'s> Crew<'s> {
    /// Starts plant, cable, runtime, historian and learner, in this order, and waits until each serves.
    ///
    /// # Errors
    /// A sentence: one of them does not start, or it was stopped.
    pub(crate) fn start(scenario: &'s Scenario, with: &'s Circumstances) -> Result<Self, String> {
        let said = |error: std::io::Error| format!("no temporary directory can be made: {error}");
        let place = tempfile::Builder::new().prefix("corerl-hil-").tempdir().map_err(said)?;
        let site = &scenario.site;
        let address = Address::new(&place.path().join("run"), &site.name, &site.agent_name, &site.instance)
            .map_err(|error| error.to_string())?;
        let mut crew = Self {
            scenario,
            programs: &with.programs,
            stop: &with.stop,
            address,
            path: String::new(),
            port: 0,
            claim: None,
            certificate: None,
            cable: None,
            ledger: Ledger::default(),
            link: None,
            links: 0,
            plant: None,
            runtime: None,
            standby: None,
            learner: None,
            historian: None,
            busy: Vec::new(),
            forger: None,
            place,
        };
        let secured = scenario.plant.secured();
        if secured.is_some() {
            // First, because it takes its time, and a certificate of the plant's may have little.
            crew.papers().make_own()?;
        } else if let Some(Security::Secured { trust_dir, .. }) = site.connections.first().map(|of| &of.security) {
            crew.papers().trust_as_in(trust_dir)?;
        }
        crew.reach_plant(with.rig.as_ref())?;
        if secured.is_some_and(|secured| secured.trusted) {
            crew.papers().trust(&crew.certificate()?.file)?;
        }
        crew.write_site()?;
        if scenario.disk_full {
            symlink("/dev/full", crew.file("full.rec"))
                .map_err(|error| format!("no full disk can be made: {error}"))?;
        }
        crew.start_program(Program::Runtime)?;
        if scenario.historian {
            crew.start_program(Program::Historian)?;
        }
        if scenario.learner {
            crew.start_program(Program::Learner)?;
        }
        Ok(crew)
    }

    /// Where the runtime listens that leads.
    pub(crate) fn address(&self) -> &Address {
        &self.address
    }

    /// What the plant told of writes.
    pub(crate) fn ledger(&self) -> Option<&Ledger> {
        self.link.is_some().then_some(&self.ledger)
    }

    /// A client of the runtime that leads.
    ///
    /// # Errors
    /// A sentence: nobody leads.
    fn client(&self) -> Result<Client, String> {
        Client::connect(&self.address, ANSWER_TIMEOUT).map_err(|error| error.to_string())
    }

    /// An error when a program has ended that nobody ended.
    ///
    /// # Errors
    /// A sentence: which one, how, and what it said last.
    pub(crate) fn check(&mut self) -> Result<(), String> {
        let all = [&mut self.plant, &mut self.runtime, &mut self.standby, &mut self.learner, &mut self.historian];
        all.into_iter().flatten().try_for_each(Child::check)
    }

    /// The last messages of each program.
    pub(crate) fn last_words(&self) -> Vec<(String, String)> {
        let all = [&self.plant, &self.runtime, &self.standby, &self.learner, &self.historian];
        all.into_iter().flatten().map(|child| (child.name().to_owned(), child.last_lines())).collect()
    }

    /// Asks the simulated plant for something.
    ///
    /// # Errors
    /// A sentence: it is refused.
    pub(crate) fn ask_plant(&mut self, request: &Value) -> Result<String, String> {
        self.link.as_mut().ok_or("only a simulated plant does this on command")?.ask(request)
    }

    /// Lets the cable do something, or nothing any more.
    ///
    /// # Errors
    /// A sentence: this machine has no such cables.
    pub(crate) fn set_cable(&self, what: Cable, begins: bool) -> Result<(), String> {
        let Some(cable) = &self.cable else { return Ok(()) };
        let lose = |percent| {
            let lost = cable.try_lose(if begins { percent } else { 0 });
            lost.map_err(|error| format!("this machine's kernel filters no packets: {error}"))
        };
        match what {
            Cable::Pulled => lose(100)?,
            Cable::Loss(percent) => lose(percent)?,
            Cable::Silent => cable.swallow(begins),
            Cable::Delay(by) => cable.delay(if begins { by } else { Duration::ZERO }),
            Cable::Reset => cable.reset(),
            Cable::Forgotten => cable.forget(),
        }
        Ok(())
    }

    /// Starts a program and waits until it serves.
    ///
    /// # Errors
    /// A sentence: it runs already, or does not start.
    pub(crate) fn start_program(&mut self, program: Program) -> Result<(), String> {
        if self.slot(program).is_some() {
            return Err(format!("{} runs already", program.name()));
        }
        let child = match program {
            Program::Plant => return self.start_plant(),
            Program::Runtime | Program::Standby => self.started_runtime(program)?,
            Program::Learner => self.started_learner()?,
            Program::Historian => self.started_historian()?,
        };
        *self.slot(program) = Some(child);
        if matches!(program, Program::Runtime | Program::Learner) {
            // It has another runtime now, or none: it would publish into memory that nobody reads.
            self.forger = None;
        }
        Ok(())
    }

    /// Kills a program, and waits until the kernel has forgotten it.
    ///
    /// # Errors
    /// A sentence: it does not run.
    pub(crate) fn kill(&mut self, program: Program) -> Result<(), String> {
        let child = self.slot(program).take();
        drop(child.ok_or_else(|| format!("{} does not run", program.name()))?);
        if program == Program::Plant {
            self.link = None;
        }
        if program == Program::Runtime {
            self.forger = None;
        }
        Ok(())
    }

    /// Stops a program, or lets it go on.
    ///
    /// # Errors
    /// A sentence: it does not run.
    pub(crate) fn pause(&mut self, program: Program, begins: bool) -> Result<(), String> {
        let child = self.slot(program).as_ref().ok_or_else(|| format!("{} does not run", program.name()))?;
        child.signal_group(if begins { Signal::STOP } else { Signal::CONT });
        Ok(())
    }

    /// Starts processes that compute, or ends them.
    ///
    /// # Errors
    /// A sentence: they do not start.
    pub(crate) fn busy(&mut self, count: u32) -> Result<(), String> {
        let one = |_| Child::start("a process that computes", Command::new("sh").args(["-c", BUSY]));
        self.busy = (0..count).map(one).collect::<Result<_, _>>()?;
        Ok(())
    }

    /// A hostile learner takes the place of the present one, unless it has it already, and publishes.
    ///
    /// # Errors
    /// A sentence: it is not admitted.
    pub(crate) fn publish(&mut self, forgery: Forgery) -> Result<(), String> {
        let mut forger = match self.forger.take() {
            Some(forger) => forger,
            None => Forger::join(&mut self.client()?, &self.scenario.site)?,
        };
        forger.forge(forgery);
        self.forger = Some(forger);
        Ok(())
    }

    /// An operator's command to the runtime that leads.
    ///
    /// # Errors
    /// A sentence: it is refused, or nobody leads.
    pub(crate) fn command(&self, act: rt_control::Act) -> Result<(), String> {
        self.client()?.act(act, CAUSE).map(drop).map_err(|error| error.to_string())
    }

    /// A person trusts the certificate that the plant says is its own, out of those that the runtime has put aside.
    ///
    /// # Errors
    /// A sentence: the runtime has not put it aside, or the plant has none.
    pub(crate) fn trust_plant(&self) -> Result<(), String> {
        self.papers().trust(&self.certificate()?.thumbprint)
    }

    /// A person takes the plant's certificate out of those that the runtime trusts.
    ///
    /// # Errors
    /// A sentence: it was not trusted, or the plant has none.
    pub(crate) fn distrust_plant(&self) -> Result<(), String> {
        self.papers().distrust(&self.certificate()?.thumbprint)
    }

    /// The certificates, and who trusts whom.
    pub(crate) fn papers(&self) -> Papers<'s> {
        let connection = self.scenario.site.connections.first();
        let uri = connection.map_or("", |connection| connection.application_uri.as_str());
        Papers::new(self.place.path(), &self.programs.operator, uri)
    }

    fn certificate(&self) -> Result<&Shown, String> {
        self.certificate.as_ref().ok_or_else(|| "the plant names no certificate".to_owned())
    }

    /// A setpoint goes back to the policy.
    ///
    /// # Errors
    /// A sentence: it is refused, or nobody leads.
    pub(crate) fn hand_back(&self, setpoint: &str) -> Result<(), String> {
        self.client()?.hand_back(Some(setpoint), CAUSE).map(drop).map_err(|error| error.to_string())
    }

    /// The runtime that stands by shall lead.
    ///
    /// # Errors
    /// A sentence: it is refused.
    pub(crate) fn hand_over(&mut self) -> Result<(), String> {
        self.forger = None;
        let standby = Client::connect(&self.address.standby(), ANSWER_TIMEOUT).map_err(|error| error.to_string())?;
        let mut standby = standby;
        standby.act(rt_control::Act::HandOver, CAUSE).map(drop).map_err(|error| error.to_string())
    }

    /// Applies values of the site file live.
    ///
    /// # Errors
    /// A sentence: they are refused.
    pub(crate) fn apply(&self, values: &[(String, Value)]) -> Result<(), String> {
        let text = self.scenario.template.clone().with(values)?.text(&self.url());
        self.client()?.configure(&text, CAUSE).map(drop).map_err(|error| error.to_string())
    }

    /// Where it all happens.
    pub(crate) fn place(&self) -> &Path {
        self.place.path()
    }

    /// Ends everything in order: learner, runtimes, the historian, which keeps what they left, plant. What was kept, and sentences
    /// about those that did not end so.
    pub(crate) fn end(mut self) -> (Option<HistorySeen>, Vec<String>) {
        self.busy.clear();
        let mut troubles = Vec::new();
        for program in [Program::Learner, Program::Standby, Program::Runtime, Program::Historian] {
            let Some(child) = self.slot(program) else { continue };
            child.signal_group(Signal::CONT);
            match child.stop(Signal::TERM, END_PATIENCE) {
                Some(status) if status.success() => {}
                Some(status) => troubles.push(child.obituary(status)),
                None => troubles.push(format!("{} did not end when it was asked to, and was killed", program.name())),
            }
        }
        if let Some(plant) = &mut self.plant {
            plant.signal_group(Signal::CONT);
            if plant.let_go(END_PATIENCE).is_none() {
                troubles.push("the plant did not end when it was let go, and was killed".to_owned());
            }
        }
        if let Some(link) = self.link.take() {
            link.hear_out();
        }
        let history = history::look(&self.file("history")).unwrap_or_else(|why| {
            troubles.push(why);
            None
        });
        (history, troubles)
    }

    fn slot(&mut self, program: Program) -> &mut Option<Child> {
        match program {
            Program::Plant => &mut self.plant,
            Program::Runtime => &mut self.runtime,
            Program::Standby => &mut self.standby,
            Program::Learner => &mut self.learner,
            Program::Historian => &mut self.historian,
        }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    /// Starts the plant, unless it is there, and lays a cable to it.
    fn reach_plant(&mut self, rig: Option<&Rig>) -> Result<(), String> {
        let server = if let (Plant::Existing { .. }, Some(rig)) = (&self.scenario.plant, rig) {
            let (server, path) = server_of(&rig.endpoint)?;
            self.path = path;
            server
        } else {
            self.start_plant()?;
            SocketAddr::from(([127, 0, 0, 1], self.port))
        };
        self.cable = Some(Proxy::before_server(server));
        Ok(())
    }

    fn start_plant(&mut self) -> Result<(), String> {
        match &self.scenario.plant {
            Plant::Simulated { .. } => self.start_simulated(),
            Plant::External { .. } => self.start_external(),
            Plant::Existing { rig } => Err(format!("`{rig}` is no program of ours")),
        }
    }

    /// The plant comes back, when it was down, to the port where it was.
    fn claim_port(&mut self) -> Result<(), String> {
        if self.claim.is_none() {
            let claim = Port::claim().map_err(|error| format!("the plant can be given no port: {error}"))?;
            self.port = claim.number();
            self.claim = Some(claim);
        }
        Ok(())
    }

    fn start_simulated(&mut self) -> Result<(), String> {
        self.claim_port()?;
        let Plant::Simulated { name, step, heartbeat_timeout, secured } = &self.scenario.plant else { return Ok(()) };
        self.links += 1;
        let socket = self.file(&format!("faults-{}", self.links));
        let mut command = Command::new(&self.programs.plant);
        command.args(["--plant", name, "--json", "--tether"]).arg("--faults").arg(&socket);
        command.args(["--step", &milliseconds(*step), "--port", &self.port.to_string()]);
        command.args(["--seed", &self.scenario.seed.to_string()]).arg("--pki").arg(self.papers().plant_directory());
        if let Some(timeout) = heartbeat_timeout {
            command.args(["--heartbeat-timeout", &milliseconds(*timeout)]);
        }
        if let Some(secured) = secured {
            // The runtime is the one whose trust is tried.
            command.args(["--security", "encrypt", "--trust-all-clients"]);
            // Whoever gets a new certificate gets one for good.
            let lifetime = secured.certificate_lifetime.filter(|_| self.links == 1);
            let lifetimes = [("--certificate-lifetime", lifetime), ("--key-lifetime", secured.key_lifetime)];
            let given =
                lifetimes.into_iter().filter_map(|(option, time)| Some([option.to_owned(), milliseconds(time?)]));
            command.args(given.flatten());
        }
        let mut child = Child::start("the plant", command.current_dir(self.place.path()))?;
        let mut line = None;
        wait_until(START_PATIENCE, self.stop, &mut child, "it says where it listens", |child| {
            line = child.line(LOOK_EVERY);
            line.is_some()
        })?;
        let line = line.unwrap_or_default();
        let said: Value = serde_json::from_str(&line).unwrap_or_default();
        let Some(url) = said["url"].as_str() else {
            child.check()?;
            return Err(format!("the plant did not say where it listens; it said: {line}"));
        };
        self.path = server_of(url)?.1;
        self.certificate = Shown::of(&said);
        let link = Link::connect(&socket, &self.ledger);
        self.link = Some(link.map_err(|error| format!("the plant's socket for faults does not answer: {error}"))?);
        self.plant = Some(child);
        Ok(())
    }

    fn start_external(&mut self) -> Result<(), String> {
        self.claim_port()?;
        let Plant::External { start, endpoint, ready, timeout, directory } = &self.scenario.plant else {
            return Ok(());
        };
        let filled = |text: &str| text.replace("{port}", &self.port.to_string());
        let mut command = Command::new("sh");
        command.args(["-c", TETHERED, "sh"]).args(start.iter().map(|word| filled(word)));
        command.current_dir(directory.as_deref().unwrap_or(self.place.path()));
        let mut child = Child::start("the plant", rt_sys::without_blocked_signals(&mut command))?;
        let (server, path) = server_of(&filled(endpoint))?;
        wait_until(*timeout, self.stop, &mut child, "the plant listens", |child| match ready {
            Some(ready) => child.line(LOOK_EVERY).is_some_and(|line| line.contains(ready)),
            None => TcpStream::connect_timeout(&server, LOOK_EVERY).is_ok(),
        })?;
        (self.port, self.path) = (server.port(), path);
        self.plant = Some(child);
        Ok(())
    }

    /// Where the runtime finds the plant.
    fn url(&self) -> String {
        self.cable.as_ref().map(Proxy::url).unwrap_or_default() + &self.path
    }

    fn write_site(&self) -> Result<(), String> {
        let text = self.scenario.template.text(&self.url());
        std::fs::write(self.file("site.yaml"), text)
            .map_err(|error| format!("the site file cannot be written: {error}"))
    }

    fn started_runtime(&self, program: Program) -> Result<Child, String> {
        let mut command = Command::new(&self.programs.runtime);
        command.arg("--config").arg(self.file("site.yaml")).arg("--runtime-dir").arg(self.file("run")).arg("--tether");
        if self.scenario.arm {
            command.arg("--arm");
        }
        if self.scenario.disk_full && program == Program::Runtime {
            command.arg("--record").arg(self.file("full.rec"));
        }
        let mut child = Child::start(program.name(), command.current_dir(self.place.path()))?;
        let pid = child.pid();
        let places = [self.address.clone(), self.address.standby()];
        wait_until(START_PATIENCE, self.stop, &mut child, "its control socket answers", |_| {
            places.iter().any(|address| answers(address, pid))
        })?;
        Ok(child)
    }

    fn started_learner(&self) -> Result<Child, String> {
        let mut command = Command::new(&self.programs.learner);
        command.arg("--config").arg(self.file("site.yaml")).arg("--runtime-dir").arg(self.file("run")).arg("--tether");
        command.arg("--checkpoint-dir").arg(self.file("checkpoints")).args(["--threads", "1"]);
        Child::start("the learner", command.current_dir(self.place.path()))
    }

    fn started_historian(&self) -> Result<Child, String> {
        let mut command = Command::new(&self.programs.historian);
        command.arg("--history").arg(self.file("history")).arg("--runtime-dir").arg(self.file("run")).arg("--tether");
        Child::start("the historian", command.current_dir(self.place.path()))
    }
}

fn answers(address: &Address, pid: u32) -> bool {
    Client::connect(address, ANSWER_TIMEOUT)
        .ok()
        .and_then(|mut client| client.describe().ok())
        .is_some_and(|described| described.pid == pid)
}

/// A certificate as a plant tells of it.
#[derive(Clone, Debug)]
struct Shown {
    file: String,
    thumbprint: String,
}

impl Shown {
    fn of(said: &Value) -> Option<Self> {
        let [file, thumbprint] = ["certificate", "thumbprint"].map(|key| said[key].as_str().map(str::to_owned));
        Some(Self { file: file?, thumbprint: thumbprint? })
    }
}

/// Waits until `serves` is true; an error when the child ends or does not come to it, or when it was stopped.
fn wait_until(
    patience: Duration,
    stop: &Stop,
    child: &mut Child,
    what: &str,
    mut serves: impl FnMut(&mut Child) -> bool,
) -> Result<(), String> {
    let begin = Instant::now();
    while !serves(child) {
        child.check()?;
        if stop.is_asked() {
            return Err(STOPPED.to_owned());
        }
        if begin.elapsed() >= patience {
            let (name, last) = (child.name(), child.last_lines());
            return Err(format!("{name} was started, and {what} not even after {patience:?}; it said last:\n{last}"));
        }
        std::thread::sleep(LOOK_EVERY);
    }
    Ok(())
}

/// Address and path of `opc.tcp://host:port/path`.
fn server_of(url: &str) -> Result<(SocketAddr, String), String> {
    let refused = || format!("`{url}` is no address of a server: write opc.tcp://HOST:PORT/PATH");
    let rest = url.strip_prefix("opc.tcp://").ok_or_else(refused)?;
    let (place, path) = rest.find('/').map_or((rest, ""), |slash| rest.split_at(slash));
    let server = place.to_socket_addrs().map_err(|error| format!("{}: {error}", refused()))?.next();
    Ok((server.ok_or_else(refused)?, path.to_owned()))
}

fn milliseconds(time: Duration) -> String {
    format!("{}ms", time.as_secs_f64() * 1e3)
}

/// The processes that have the scenario's directory in their command lines, for those who look for leftovers.
pub(crate) fn leftovers(place: &Path) -> Vec<String> {
    children::processes_left(&place.display().to_string())
}
