//! A PostgreSQL server of one's own: in a temporary directory, on a socket there, killed and removed in the end.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use children::Port;
use historian::{ROLES, Target, migrate};
use postgres::{Client, NoTls};
use tempfile::TempDir;

/// Whoever may do everything, and needs no password.
const OWNER: &str = "owner";
const PASSWORD: &str = "a password with : and \\ in it";
/// Distributions keep the server's programs out of the way.
const PLACES: &str = "/usr/lib/postgresql";

/// A server, which may be killed and started again.
pub(crate) struct Server {
    place: TempDir,
    programs: PathBuf,
    user: Option<(u32, u32)>,
    options: Vec<String>,
    /// Of its socket's name, too.
    port: Port,
    process: Option<Child>,
}

impl Server {
    /// Starts one with these settings; `None`, and a sentence, where PostgreSQL is not installed.
    pub(crate) fn start(test: &str, settings: &[&str]) -> Option<Self> {
        let Some(programs) = programs() else {
            println!("{test} is skipped: there is no PostgreSQL here; apt-get install postgresql");
            return None;
        };
        let place = tempfile::Builder::new().prefix("pg").tempdir().unwrap();
        let user = is_root().then(unprivileged);
        fs::set_permissions(place.path(), Permissions::from_mode(0o755)).unwrap();
        for name in ["data", "socket"] {
            fs::create_dir(place.path().join(name)).unwrap();
            give(&place.path().join(name), 0o700);
        }
        fs::write(place.path().join("password"), format!("{PASSWORD}\n")).unwrap();
        let options = settings.iter().map(|setting| (*setting).to_owned()).collect();
        let port = Port::claim().unwrap();
        let mut server = Self { place, programs, user, options, port, process: None };
        let mut initdb = server.command("initdb");
        initdb.args(["-A", "scram-sha-256", "-U", OWNER, "--no-sync", "-E", "UTF8"]);
        let made = initdb.arg("--pwfile").arg(server.password_file()).arg("-D").arg(server.data()).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let who = format!(
            "local all {OWNER} trust\nlocal all all scram-sha-256\nhostssl all all 127.0.0.1/32 scram-sha-256\n"
        );
        fs::write(server.data().join("pg_hba.conf"), who).unwrap();
        server.go_on();
        Some(server)
    }

    /// With schema and roles.
    pub(crate) fn prepared(test: &str, settings: &[&str]) -> Option<Self> {
        let server = Self::start(test, settings)?;
        assert!(migrate(&server.owner()).unwrap() > 0);
        let mut client = server.client();
        client.batch_execute(ROLES).unwrap();
        client.batch_execute(&format!("ALTER ROLE corerl_historian PASSWORD '{PASSWORD}'")).unwrap();
        Some(server)
    }

    /// It, and all that it had in memory, is gone.
    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    /// Starts again what was killed.
    pub(crate) fn go_on(&mut self) {
        loop {
            let mut command = self.command("postgres");
            command.arg("-D").arg(self.data()).args(["-c", "listen_addresses=", "-c", "fsync=off", "-k"]);
            command
                .arg(self.socket())
                .args(["-p", &self.port.number().to_string()])
                .args(self.options.iter().flat_map(|option| ["-c", option]));
            let log = fs::File::create(self.place.path().join("log")).unwrap();
            let mut process = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap();
            // The one before it may still have children, and then this one does not start.
            while process.try_wait().unwrap().is_none() {
                if Client::connect(&self.text(OWNER), NoTls).is_ok() {
                    self.process = Some(process);
                    return;
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    }

    /// Connected as the owner.
    pub(crate) fn client(&self) -> Client {
        Client::connect(&self.text(OWNER), NoTls).unwrap()
    }

    pub(crate) fn owner(&self) -> Target {
        Target::new(&self.text(OWNER), None, None).unwrap()
    }

    /// As the historian connects.
    pub(crate) fn historian(&self) -> Target {
        Target::new(&self.text("corerl_historian"), Some(self.password_file()), None).unwrap()
    }

    /// As a site file has it: host, port, user and database.
    pub(crate) fn site(&self, user: &str) -> [String; 4] {
        [self.socket().display().to_string(), self.port().to_string(), user.to_owned(), "postgres".to_owned()]
    }

    /// As the command line has it.
    pub(crate) fn text(&self, user: &str) -> String {
        let [host, port, user, database] = self.site(user);
        format!("host={host} port={port} user={user} dbname={database}")
    }

    /// Where it listens on this machine's loopback, if a setting has it do so.
    pub(crate) fn port(&self) -> u16 {
        self.port.number()
    }

    pub(crate) fn password_file(&self) -> PathBuf {
        self.place.path().join("password")
    }

    fn data(&self) -> PathBuf {
        self.place.path().join("data")
    }

    fn socket(&self) -> PathBuf {
        self.place.path().join("socket")
    }

    /// One of its programs, which refuse to be root's.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        command.current_dir(self.place.path());
        if let Some((user, group)) = self.user {
            command.uid(user).gid(group);
        }
        command
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Where the server's programs are; `None` where PostgreSQL is not installed.
pub(crate) fn programs() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let versions = fs::read_dir(PLACES).into_iter().flatten().flatten().map(|entry| entry.path().join("bin"));
    let has_all = |place: &PathBuf| ["initdb", "postgres"].iter().all(|name| place.join(name).is_file());
    versions.chain(std::env::split_paths(&path)).find(has_all)
}

/// Gives a file to whom the server runs as, and to nobody else.
pub(crate) fn give(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    if is_root() {
        let (user, group) = unprivileged();
        chown(path, Some(user), Some(group)).unwrap();
    }
}

fn is_root() -> bool {
    fs::metadata("/proc/self").unwrap().uid() == 0
}

/// The package's own user, or nobody.
fn unprivileged() -> (u32, u32) {
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let ids = |name: &str| {
        let mut fields = users.lines().find(|line| line.split(':').next() == Some(name))?.split(':').skip(2);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    };
    ids("postgres").or_else(|| ids("nobody")).unwrap_or((65_534, 65_534))
}

/// Is so at last. Whoever waits for ever is ended by whoever runs the tests.
pub(crate) fn wait_for(mut holds: impl FnMut() -> bool) {
    while !holds() {
        std::thread::sleep(Duration::from_millis(10));
    }
}
