//! corerl-historian: keeps what running agents publish.
//!
//! # Contract
//! - It reads: control sockets and read-only descriptors of shared memory. No runtime waits for it or notices when it is gone.
//! - What it has read is kept, or its loss is a row that says from where to where and why. A historian that is killed goes on
//!   where it stopped, as long as the runtime's rings reach back; nothing is kept twice. What a runtime left behind when it ended
//!   waits in memory while it cannot be kept; of more than eight such runs the oldest is given up, which only the log tells.
//! - It keeps in an archive of its own, or in PostgreSQL. A database that is away costs nothing as long as the spill log is not
//!   full.
//! - It runs as a batch process on the CPUs that a runtime leaves to others, if no site file has chosen another one for its control
//!   thread, so that its beginning and its end, too, are seen as little as possible there.
//! - It answers what it has kept, and how it is, on a socket in the runtime directory; whoever asks cannot make it late.
//! - SIGTERM, SIGINT and, with `--tether`, the end of standard input end it with exit code 0. Other exit codes: 2 usage, 69
//!   neither archive nor spill log can be opened, or the database cannot be migrated, 70 internal, 78 site files or rules are wrong.
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use archive::{Limit, Retention, Store};
use clap::Parser;
use historian::{
    BUDGET_MIN, Board, Desk, Keeper, Keeping, Kept, KeptFor, Postgres, ROLES, Rules, Sites, TagRule, Target,
    look_after_days, migrate,
};
use recall::{Address, Host, Server};
use rt_sys::{Cpus, Lifeline, become_batch};
use watch::{Agents, From};

/// How often rings are read and commits made.
const TURN: Duration = Duration::from_secs(1);

/// Keeps what running agents publish: samples, setpoints, rewards and events.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Examples:\n  \
        corerl-historian --history /var/lib/corerl/history\n  \
        corerl-historian --config /etc/corerl/site.yaml\n  \
        corerl-historian --rule PH=0.02 --rule FLOW=0.5,10s --rule works/ph:LEVEL=every\n  \
        corerl-historian --postgres postgresql://owner@localhost/plant --migrate\n  \
        corerl-historian --postgres postgresql://owner@localhost/plant --migrate --keep-samples 90d,200GB --keep-hours 3650d\n  \
        corerl-historian --print-roles | psql postgresql://owner@localhost/plant\n  \
        corerl-historian --postgres 'host=localhost dbname=plant user=corerl_historian' --password-file /etc/corerl/db\n\n\
        `corerl data query` reads what is kept in files, also while this runs, or asks this program, wherever it keeps; `corerl data \
        status` shows how it is."
)]
struct Arguments {
    /// A site file that says how its agent is kept: its tags' `kept`, `infra.db`, `learner.history`. May be given once for each
    /// agent; agents without one are kept, too.
    #[arg(long, value_name = "FILE")]
    config: Vec<PathBuf>,
    /// Where the history is kept [default: what the site files say, or `history`].
    #[arg(long, value_name = "DIRECTORY")]
    history: Option<PathBuf>,
    /// Where the agents' control sockets are.
    #[arg(long, value_name = "DIRECTORY")]
    runtime_dir: Option<PathBuf>,
    /// What this historian is called, if several run here.
    #[arg(long, value_name = "NAME", default_value = "main")]
    name: String,
    /// Keep in this PostgreSQL database instead, whatever site files say: a URL or pairs of key and value, without a password. A
    /// server that is not on this machine has to show who it is, unless `sslmode=disable` is said.
    #[arg(long, value_name = "TARGET")]
    postgres: Option<String>,
    /// Who issues such a server's certificate (PEM); otherwise PGSSLROOTCERT says it, or whom this machine trusts. A server that asks
    /// for one is shown ours, which PGSSLCERT and PGSSLKEY name.
    #[arg(long, value_name = "FILE", requires = "postgres")]
    authority: Option<PathBuf>,
    /// The database's password is this file's first line; otherwise PGPASSWORD and PGPASSFILE say it.
    #[arg(long, value_name = "FILE", requires = "postgres")]
    password_file: Option<PathBuf>,
    /// What the database does not have yet is here; `spill` below the history unless said.
    #[arg(long, value_name = "DIRECTORY")]
    spill: Option<PathBuf>,
    /// How long that may become; then the oldest of it is dropped, and a gap.
    #[arg(long, value_name = "BYTES", default_value_t = 1 << 30,
          value_parser = clap::value_parser!(u64).range(BUDGET_MIN..))]
    spill_budget: u64,
    /// Bring the database's schema up to date and exit; its owner does this.
    #[arg(long)]
    migrate: bool,
    /// Print roles for the historian and for readers, as SQL for the schema's owner, and exit.
    #[arg(long, exclusive = true)]
    print_roles: bool,
    /// When a tag's value is kept: when it differs by more than so much from what was kept last, in its unit, and after so many
    /// seconds all the same; or every one. May be given several times [default: every change, and once in 60s].
    #[arg(long, value_name = "[SITE/AGENT:]TAG=DEADBAND[,SECONDSs]|every")]
    rule: Vec<TagRule>,
    /// More such rules, one in each line of this file.
    #[arg(long, value_name = "FILE")]
    rules: Option<PathBuf>,
    /// How long samples of days that are over are kept, and how much of them: 90d, 50GB, or both as 90d,50GB [default: for ever].
    /// Of a database its owner says this, with --migrate.
    #[arg(long, value_name = "LIMIT")]
    keep_samples: Option<Limit>,
    /// The same for events.
    #[arg(long, value_name = "LIMIT")]
    keep_events: Option<Limit>,
    /// The same for what each minute was like.
    #[arg(long, value_name = "LIMIT")]
    keep_minutes: Option<Limit>,
    /// The same for what each hour was like.
    #[arg(long, value_name = "LIMIT")]
    keep_hours: Option<Limit>,
    /// End when standard input is closed.
    #[arg(long)]
    tether: bool,
}

const USAGE: u8 = 2;
/// The archive cannot be opened, or the database not be reached.
const UNAVAILABLE: u8 = 69;
const INTERNAL: u8 = 70;
/// Site files or rules are wrong.
const BAD_CONFIGURATION: u8 = 78;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.print_roles {
        print!("{ROLES}");
        return ExitCode::SUCCESS;
    }
    rt_sys::start_logging("corerl-historian", None);
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err((code, message)) => {
            rt_sys::say_failure("corerl-historian", &message);
            code.into()
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), (u8, String)> {
    let sites = Sites::load(&arguments.config).map_err(|error| (BAD_CONFIGURATION, error.to_string()))?;
    // Before there is any other thread, which would stay where it was born. How nice it is, whoever starts it says.
    let refused = become_batch(0, &sites.free_cpus(&Cpus::allowed())).err();
    if let Some(refused) = refused {
        tracing::info!("this process may be in the way of a runtime: {refused}");
    }
    let lifeline =
        Lifeline::new(arguments.tether).map_err(|error| (INTERNAL, format!("cannot watch for signals: {error}")))?;
    let directory = arguments.runtime_dir.clone().unwrap_or_else(rt_control::default_runtime_dir);
    let target = target(arguments, &sites)?;
    let history = history(arguments, &sites);
    let rules = Rules::read(&[&sites.rules[..], &arguments.rule].concat(), arguments.rules.as_deref());
    let rules = rules.map_err(|error| (BAD_CONFIGURATION, error.to_string()))?;
    let kept_for = match target {
        Some(_) => KeptFor::new(&retention(arguments)).map_err(|error| (USAGE, error.to_string()))?,
        None => KeptFor::default(),
    };
    if let (Some(target), true) = (&target, arguments.migrate) {
        let steps = migrate(target).map_err(|error| (UNAVAILABLE, format!("{target} stays as it is: {error}")))?;
        kept_for
            .write(target)
            .map_err(|error| (UNAVAILABLE, format!("{target} keeps for as long as before: {error}")))?;
        tracing::info!("{target} is up to date after {steps} steps");
        return Ok(());
    }
    if target.is_none() && (arguments.migrate || arguments.spill.is_some()) {
        let message =
            "--migrate and --spill are for a database: name it by --postgres, or by --config in a site file's infra.db";
        return Err((USAGE, message.to_owned()));
    }
    if target.is_some() && kept_for != KeptFor::default() {
        let message =
            "the owner of a database says how long it keeps what: give --keep-samples and the like with --migrate";
        return Err((USAGE, message.to_owned()));
    }
    let address = Address::new(&directory, &arguments.name).map_err(|error| (USAGE, format!("--name: {error}")))?;
    let (_running, stop) = mpsc::channel();
    let (keeper, kept): (Box<dyn Keeper>, _) = match target {
        Some(target) => (Box::new(postgres(arguments, &history, target.clone())?), Kept::Database(Box::new(target))),
        None => {
            let (store, retention, days) = (store(&history)?, retention(arguments), history.clone());
            // Nobody waits for it at the end: a day that is half sealed is as hot as it was.
            std::thread::spawn(move || look_after_days(&days, &retention, &stop));
            (Box::new(store), Kept::Archive(history))
        }
    };
    let board = Arc::new(Board::new(keeper.status()));
    let _answering = Answering::start(&address, Desk::new(Arc::clone(&board), kept));
    tracing::info!("keeping agents below {}", directory.display());
    let mut keeping = Keeping::new(Agents::below(directory, From::Oldest), keeper, rules, board);
    loop {
        keeping.turn();
        if lifeline.wait(TURN).asks_to_stop() {
            keeping.turn();
            return Ok(());
        }
    }
}

/// A thread that answers whoever asks. At its end the socket is removed.
struct Answering {
    stop: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Answering {
    /// Answers there. Without an address everything is kept all the same, and nobody can ask.
    fn start(address: &Address, desk: Desk) -> Self {
        let (stop, stopped) = mpsc::channel();
        let thread = match Server::bind(address) {
            Ok(server) => std::thread::Builder::new().name("answering".to_owned()).spawn(move || {
                let host: Arc<dyn Host> = Arc::new(desk);
                if let Err(error) = server.serve(&host, &stopped) {
                    tracing::error!("nobody can ask this historian any more: {error}");
                }
            }),
            Err(error) => {
                tracing::warn!("nobody can ask this historian: {error}; give it another --name");
                return Self { stop: None, thread: None };
            }
        };
        let thread = thread.inspect_err(|error| tracing::error!("nobody can ask this historian: {error}")).ok();
        Self { stop: Some(stop), thread }
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn target(arguments: &Arguments, sites: &Sites) -> Result<Option<Target>, (u8, String)> {
    let Some(text) = &arguments.postgres else { return Ok(sites.database.as_ref().map(Target::of_site)) };
    let target = Target::new(text, arguments.password_file.clone(), arguments.authority.clone());
    target.map(Some).map_err(|error| (USAGE, format!("--postgres: {error}")))
}

fn history(arguments: &Arguments, sites: &Sites) -> PathBuf {
    let said = arguments.history.clone().or_else(|| sites.history.clone());
    said.unwrap_or_else(|| "history".into())
}

fn retention(arguments: &Arguments) -> Retention {
    let of = |limit: Option<Limit>| limit.unwrap_or_default();
    Retention {
        samples: of(arguments.keep_samples),
        events: of(arguments.keep_events),
        minutes: of(arguments.keep_minutes),
        hours: of(arguments.keep_hours),
    }
}

fn store(history: &Path) -> Result<Store, (u8, String)> {
    let store = Store::open(history)
        .map_err(|why| (UNAVAILABLE, format!("cannot keep anything in {}: {why}", history.display())))?;
    tracing::info!("keeping in {}", history.display());
    Ok(store)
}

fn postgres(arguments: &Arguments, history: &Path, target: Target) -> Result<Postgres, (u8, String)> {
    let spill = arguments.spill.clone().unwrap_or_else(|| history.join("spill"));
    let kept = format!("keeping in {target}, through the spill log in {}", spill.display());
    let postgres = Postgres::open(target, &spill, arguments.spill_budget);
    let postgres = postgres.map_err(|error| (UNAVAILABLE, format!("cannot keep anything: {error}")))?;
    tracing::info!("{kept}");
    Ok(postgres)
}
