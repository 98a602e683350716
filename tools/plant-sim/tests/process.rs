//! The program as a process: what it says, and how it ends. No OPC UA beyond the first handshake is spoken here; the
//! system tests do that with a real client.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Longer than any honest answer takes, on any machine.
const PATIENCE: Duration = Duration::from_secs(20);

struct Plant {
    child: Child,
    line: String,
}

impl Plant {
    fn start(arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_corerl-plant"))
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self { child, line }
    }

    fn port(&self) -> u16 {
        let (_, after) = self.line.split_once("127.0.0.1:").unwrap();
        let digits = after.split(|c: char| !c.is_ascii_digit()).next().unwrap();
        digits.parse().unwrap()
    }

    /// The exit code, waited for.
    fn exit_code(&mut self) -> Option<i32> {
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        None
    }
}

impl Drop for Plant {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Says hello as Part 6, 7.1.2 has it, and returns the type of the answer.
fn hello(port: u16) -> [u8; 3] {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let url = format!("opc.tcp://127.0.0.1:{port}");
    let mut message = b"HELF".to_vec();
    message.extend(u32::try_from(32 + url.len()).unwrap().to_le_bytes());
    for number in [0_u32, 65_536, 65_536, 0, 0] {
        message.extend(number.to_le_bytes());
    }
    message.extend(u32::try_from(url.len()).unwrap().to_le_bytes());
    message.extend(url.as_bytes());
    stream.write_all(&message).unwrap();
    let mut answer = [0; 3];
    stream.read_exact(&mut answer).unwrap();
    answer
}

#[test]
fn it_says_where_it_listens_answers_there_and_ends_when_its_parent_closes_standard_input() {
    let mut plant = Plant::start(&["--port", "0", "--json", "--tether"]);
    assert!(plant.line.starts_with('{') && plant.line.contains("\"url\""), "{}", plant.line);
    assert_eq!(&hello(plant.port()), b"ACK");
    drop(plant.child.stdin.take());
    assert_eq!(plant.exit_code(), Some(0));
}

#[test]
fn sigterm_and_sigint_end_it_with_exit_code_0_with_a_client_connected() {
    for name in ["TERM", "INT"] {
        let mut plant = Plant::start(&["--port", "0"]);
        let _client = TcpStream::connect(("127.0.0.1", plant.port())).unwrap();
        let sent = Command::new("sh").args(["-c", &format!("kill -{name} {}", plant.child.id())]).status();
        assert!(sent.unwrap().success());
        assert_eq!(plant.exit_code(), Some(0), "{name}");
    }
}

#[test]
fn a_port_that_is_taken_is_a_sentence_and_exit_code_69() {
    let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let output = Command::new(env!("CARGO_BIN_EXE_corerl-plant")).args(["--port", &port]).output().unwrap();
    assert_eq!(output.status.code(), Some(69));
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(message.contains(&port) && message.contains("--port 0"), "{message}");
    assert_eq!(message.lines().count(), 1);
}

#[test]
fn an_unknown_plant_and_a_missing_password_file_have_their_exit_codes() {
    for (arguments, code, word) in [
        (&["--plant", "boiler"][..], 2, "three_tanks"),
        (&["--user", "a", "--password-file", "does/not/exist"][..], 78, "does/not/exist"),
    ] {
        let output =
            Command::new(env!("CARGO_BIN_EXE_corerl-plant")).args(["--port", "0"]).args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(code));
        assert!(String::from_utf8(output.stderr).unwrap().contains(word));
    }
}

#[test]
fn the_nodes_are_listed_as_a_table_and_as_json() {
    for (arguments, start) in [(&["--list"][..], "node"), (&["--list", "--json"][..], "[")] {
        let output = Command::new(env!("CARGO_BIN_EXE_corerl-plant")).args(arguments).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.starts_with(start) && text.contains("ns=2;s=saturation.u"), "{text}");
    }
}

#[test]
fn without_encryption_nothing_is_written_and_nothing_is_complained_of() {
    let directory = tempfile::tempdir().unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_corerl-plant"))
        .args(["--port", "0", "--tether"])
        .current_dir(directory.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(said, "");
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
}

#[test]
fn an_encrypting_plant_names_its_certificate_and_thumbprint() {
    let pki = tempfile::tempdir().unwrap();
    let directory = pki.path().to_str().unwrap();
    let plant = Plant::start(&["--port", "0", "--security", "encrypt", "--pki", directory, "--json"]);
    assert!(plant.line.contains("cert.der") && plant.line.contains("thumbprint"), "{}", plant.line);
    assert_eq!(&hello(plant.port()), b"ACK");
}

#[test]
fn a_line_that_is_too_long_is_the_last_one_and_the_socket_goes_with_the_program() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("faults");
    let mut plant = Plant::start(&["--port", "0", "--tether", "--faults", path.to_str().unwrap()]);
    let mut stream = UnixStream::connect(&path).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(&[&[b'x'; 4096][..], b"{\"do\": \"clear\"}\n"].concat()).unwrap();
    let mut answers = Vec::new();
    // What was not read of the line makes a reset of the end.
    let _ = stream.read_to_end(&mut answers);
    let answers = String::from_utf8(answers).unwrap();
    assert_eq!(answers.lines().count(), 1, "{answers}");
    assert!(answers.contains("4096 bytes at most"), "{answers}");
    drop(plant.child.stdin.take());
    assert_eq!(plant.exit_code(), Some(0));
    assert!(!path.exists());
}
