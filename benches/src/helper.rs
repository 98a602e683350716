//! What other processes do for a benchmark: this program, started again with a duty.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd as _;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::str::FromStr;
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags};
use shm::{Access, Segment, SegmentKind, triple};

/// A duty, as it stands on the command line: its words joined by `:`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Duty {
    /// Publishes values into the triple buffer of this inherited descriptor, so many microseconds apart.
    Write { descriptor: i32, pause_us: u64 },
    /// Answers requests over TCP, each of a size with an answer of a size, in turns.
    Answer { sizes: [(usize, usize); 2] },
}

impl FromStr for Duty {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let words: Vec<_> = text.split(':').collect();
        let number = |word: &str| word.parse::<usize>().map_err(|error| format!("{word}: {error}"));
        match words[..] {
            ["write", descriptor, pause] => {
                let descriptor = descriptor.parse().map_err(|_| "no descriptor".to_owned())?;
                Ok(Self::Write { descriptor, pause_us: number(pause)? as u64 })
            }
            ["answer", a, b, c, d] => Ok(Self::Answer { sizes: [(number(a)?, number(b)?), (number(c)?, number(d)?)] }),
            _ => Err("no duty of this program".to_owned()),
        }
    }
}

impl std::fmt::Display for Duty {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Write { descriptor, pause_us } => write!(f, "write:{descriptor}:{pause_us}"),
            Self::Answer { sizes: [(a, b), (c, d)] } => write!(f, "answer:{a}:{b}:{c}:{d}"),
        }
    }
}

impl Duty {
    /// Does it until the process that started this one is gone, or kills it.
    pub(crate) fn run(self) -> Result<(), String> {
        tether();
        match self {
            Self::Write { descriptor, pause_us } => publish(descriptor, Duration::from_micros(pause_us)),
            Self::Answer { sizes } => match answer(sizes) {
                // The other side has what it wanted.
                Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Ok(()),
                outcome => outcome.map_err(|error| error.to_string()),
            },
        }
    }
}

/// Standard input is a pipe from whoever started this process; when it ends, so does the process.
fn tether() {
    std::thread::spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
}

/// Every value is one number in all words, so that a reader sees whether it is whole.
fn publish(descriptor: i32, pause: Duration) -> Result<(), String> {
    // The inherited descriptor, opened anew: so it needs no adoption by number.
    let path = format!("/proc/self/fd/{descriptor}");
    let descriptor = rustix::fs::open(path, OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
        .map_err(|error| format!("the segment cannot be opened: {error}"))?;
    let segment = Segment::attach(descriptor, Access::ReadWrite, SegmentKind::Weights).map_err(|e| e.to_string())?;
    let mut writer = triple::Writer::new(&segment).map_err(|error| error.to_string())?;
    let mut words = vec![0; writer.slot_words()];
    let mut next = Instant::now();
    for value in 1.. {
        words.fill(value);
        writer.publish(&words).map_err(|error| error.to_string())?;
        if value == 1 {
            say("publishing");
        }
        if !pause.is_zero() {
            next += pause;
            std::thread::sleep(next.saturating_duration_since(Instant::now()));
        }
    }
    Ok(())
}

fn answer(sizes: [(usize, usize); 2]) -> std::io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    say(&listener.local_addr()?.to_string());
    let (mut stream, _) = listener.accept()?;
    stream.set_nodelay(true)?;
    let mut buffers = sizes.map(|(request, answer)| (vec![0; request], vec![0; answer]));
    loop {
        for (request, answer) in &mut buffers {
            stream.read_exact(request)?;
            stream.write_all(answer)?;
        }
    }
}

fn say(line: &str) {
    println!("{line}");
}

/// A process that does a duty; it dies with this value.
pub(crate) struct Helper {
    child: Child,
    line: String,
}

impl Helper {
    /// A writer into `segment` that has published its first value.
    pub(crate) fn writer(segment: &Segment, pause_us: u64) -> Result<Self, String> {
        // Without CLOEXEC: the child inherits it under the same number.
        let inherited = rustix::io::dup(segment.as_fd()).map_err(|error| error.to_string())?;
        Self::start(Duty::Write { descriptor: inherited.as_raw_fd(), pause_us })
    }

    /// A connection to a process that answers so many bytes with so many others.
    pub(crate) fn answering(sizes: [(usize, usize); 2]) -> Result<(Self, TcpStream), String> {
        let helper = Self::start(Duty::Answer { sizes })?;
        let stream = TcpStream::connect(&helper.line).and_then(|stream| stream.set_nodelay(true).map(|()| stream));
        Ok((helper, stream.map_err(|error| error.to_string())?))
    }

    fn start(duty: Duty) -> Result<Self, String> {
        let program = std::env::current_exe().map_err(|error| error.to_string())?;
        let mut command = Command::new(program);
        command.arg("--helper").arg(duty.to_string());
        Self::spawn(command)
    }

    /// Starts a program that says one line when it is ready, and ends when its standard input does.
    pub(crate) fn spawn(command: Command) -> Result<Self, String> {
        Dialogue::spawn(command).map(|dialogue| dialogue.helper)
    }

    /// What it said.
    pub(crate) fn line(&self) -> &str {
        &self.line
    }

    /// Kills it at whatever instruction it is.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A helper that answers lines with lines.
pub(crate) struct Dialogue {
    helper: Helper,
    output: BufReader<ChildStdout>,
}

impl Dialogue {
    /// Starts a program that says one line when it is ready, and ends when its standard input does.
    pub(crate) fn spawn(mut command: Command) -> Result<Self, String> {
        let program = command.get_program().to_string_lossy().into_owned();
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = child.map_err(|error| format!("{program} cannot be started: {error}"))?;
        let output = child.stdout.take().ok_or("a pipe is missing")?;
        let mut dialogue = Self { helper: Helper { child, line: String::new() }, output: BufReader::new(output) };
        dialogue.helper.line = dialogue.hear();
        if dialogue.helper.line.is_empty() { Err(format!("{program} did not get ready")) } else { Ok(dialogue) }
    }

    /// Its answer to a line; empty when it has ended.
    pub(crate) fn ask(&mut self, line: &str) -> String {
        let told = self.helper.child.stdin.as_mut().is_some_and(|input| writeln!(input, "{line}").is_ok());
        if told { self.hear() } else { String::new() }
    }

    fn hear(&mut self) -> String {
        let mut line = String::new();
        let _ = self.output.read_line(&mut line);
        line.trim_end().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dialogue_goes_on_until_one_side_ends() {
        let mut echo = Command::new("sh");
        echo.args(["-c", "echo ready; read line; echo you said $line"]);
        let mut dialogue = Dialogue::spawn(echo).unwrap();
        assert_eq!(dialogue.helper.line(), "ready");
        assert_eq!(dialogue.ask("hello"), "you said hello");
        assert_eq!(dialogue.ask("hello"), "");
        assert!(Dialogue::spawn(Command::new("true")).is_err());
    }

    #[test]
    fn a_duty_survives_the_command_line() {
        for duty in [Duty::Write { descriptor: 5, pause_us: 1000 }, Duty::Answer { sizes: [(1, 2), (3, 4)] }] {
            assert_eq!(duty.to_string().parse(), Ok(duty));
        }
        for text in ["", "write", "write:x:1", "answer:1:2:3", "answer:1:2:3:x"] {
            assert!(text.parse::<Duty>().is_err(), "{text}");
        }
    }
}
