//! An environment that somebody else has.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::channel::{Broken, Channel};
use crate::protocol::{
    Answer, Beginning, COLUMNS_MAX, Description, Happened, Outcome, PROTOCOL, Question, Variable, read, written,
};

/// An interpreter with its libraries may take so long to be there.
const THERE_WITHIN: Duration = Duration::from_secs(120);
/// A reset or a step may take so long.
const ANSWERS_WITHIN: Duration = Duration::from_secs(30);
/// A process whose socket has ended may take so long to end.
const ENDS_WITHIN: Duration = Duration::from_secs(2);

/// An environment at the other end of a socket.
#[derive(Debug)]
pub struct Remote {
    channel: Channel,
    description: Description,
    child: Option<Child>,
}

impl Remote {
    /// Starts a program with the socket as its standard input. What it prints goes to standard error.
    ///
    /// # Errors
    /// It cannot be started, or is no environment.
    ///
    /// # Panics
    /// If there are no words.
    pub fn start(command: &[String]) -> Result<Self, Broken> {
        let (program, arguments) = command.split_first().expect("a command has a first word");
        let (ours, theirs) = UnixStream::pair()?;
        let child = Command::new(program)
            .args(arguments)
            .stdin(OwnedFd::from(theirs))
            .stdout(Stdio::from(io::stderr().as_fd().try_clone_to_owned()?))
            .spawn()
            .map_err(|source| Broken::Start { program: program.clone(), source })?;
        Self::greet(ours, Some(child))
    }

    /// Connects to a server that is there.
    ///
    /// # Errors
    /// There is none, or it has no environment.
    pub fn connect(socket: &Path) -> Result<Self, Broken> {
        let stream =
            UnixStream::connect(socket).map_err(|source| Broken::Connect { socket: socket.to_owned(), source })?;
        Self::greet(stream, None)
    }

    /// The environment at the other end of a socket that is connected.
    ///
    /// # Errors
    /// There is none.
    pub fn over(stream: UnixStream) -> Result<Self, Broken> {
        Self::greet(stream, None)
    }

    fn greet(stream: UnixStream, child: Option<Child>) -> Result<Self, Broken> {
        let description =
            Description { protocol: String::new(), name: String::new(), observations: vec![], actions: vec![] };
        let mut remote = Self { channel: Channel::new(stream)?, description, child };
        let question = Question::Describe { protocol: PROTOCOL.to_owned() };
        remote.description = remote.ask(&question, THERE_WITHIN)?;
        let Description { protocol, observations, actions, .. } = &remote.description;
        if protocol != PROTOCOL {
            return Err(Broken::Nonsense(format!("it speaks `{protocol}`")));
        }
        for (what, variables) in [("observations", observations), ("actions", actions)] {
            if !(1..=COLUMNS_MAX).contains(&variables.len()) {
                return Err(Broken::Nonsense(format!("it has {} {what}, not 1 to {COLUMNS_MAX}", variables.len())));
            }
        }
        Ok(remote)
    }

    /// What it calls itself.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.description.name
    }

    /// What is observed.
    #[must_use]
    pub fn observations(&self) -> &[Variable] {
        &self.description.observations
    }

    /// What is set.
    #[must_use]
    pub fn actions(&self) -> &[Variable] {
        &self.description.actions
    }

    /// Begins an episode, which `seed` determines, and writes what is observed first; what is missing is NaN.
    ///
    /// # Errors
    /// The environment is gone, or refuses.
    pub fn reset(&mut self, seed: u64, readings: &mut [f64]) -> Result<(), Broken> {
        let Beginning { observation } = self.ask(&Question::Reset { seed }, ANSWERS_WITHIN)?;
        self.show(&observation, readings)
    }

    /// Makes a step, and writes what is observed after it; what is missing is NaN.
    ///
    /// # Errors
    /// The environment is gone, or refuses.
    pub fn step(&mut self, action: &[f64], readings: &mut [f64]) -> Result<Outcome, Broken> {
        let question = Question::Step { action: written(action) };
        let Happened { observation, reward, terminated, truncated } = self.ask(&question, ANSWERS_WITHIN)?;
        self.show(&observation, readings)?;
        Ok(Outcome { reward: read(reward), terminated, truncated })
    }

    fn show(&self, observation: &[Option<f64>], readings: &mut [f64]) -> Result<(), Broken> {
        let expected = self.description.observations.len();
        if observation.len() != expected {
            return Err(Broken::Nonsense(format!("{} numbers are observed instead of {expected}", observation.len())));
        }
        readings.iter_mut().zip(observation).for_each(|(reading, number)| *reading = read(*number));
        Ok(())
    }

    fn ask<T: Serialize + DeserializeOwned>(&mut self, question: &Question, within: Duration) -> Result<T, Broken> {
        let sent = self.channel.send(question);
        // Whoever refuses and goes may have said why before it could be asked.
        let answer = match (sent, self.channel.receive(Some(within))) {
            (_, Ok(Some(answer))) => answer,
            (Err(broken), _) | (Ok(()), Err(broken)) => return Err(self.with_status(broken)),
            (Ok(()), Ok(None)) => return Err(self.with_status(Broken::Ended { how: None })),
        };
        match answer {
            Answer::Given(answer) => Ok(answer),
            Answer::Refused { error } => Err(Broken::Refused(error)),
        }
    }

    /// Of a child that has ended, how.
    fn with_status(&mut self, broken: Broken) -> Broken {
        let (Broken::Ended { .. }, Some(child)) = (&broken, &mut self.child) else { return broken };
        let begun = Instant::now();
        while begun.elapsed() < ENDS_WITHIN {
            if let Ok(Some(status)) = child.try_wait() {
                return Broken::Ended { how: Some(status.to_string()) };
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        broken
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It has nothing to lose. That it has ended already is no error.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader, Write as _};

    use super::*;

    const DESCRIPTION: &str = concat!(
        r#"{"protocol": "corerl.environment/1", "name": "fake", "#,
        r#""observations": [{"name": "x", "unit": "1", "lo": null, "hi": 1, "nominal": 0}], "#,
        r#""actions": [{"name": "u", "unit": "1", "lo": -1, "hi": 1, "nominal": 0}]}"#
    );

    /// A peer that answers with these lines and goes.
    fn peer(answers: &[&str]) -> UnixStream {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let answers: Vec<_> = answers.iter().map(|answer| (*answer).to_owned()).collect();
        std::thread::spawn(move || {
            let mut questions = BufReader::new(theirs.try_clone().unwrap()).lines();
            for answer in answers {
                questions.next();
                let _ = writeln!(theirs, "{answer}");
            }
        });
        ours
    }

    fn shell(script: &str) -> Result<Remote, Broken> {
        Remote::start(&["sh", "-c", script].map(str::to_owned))
    }

    #[test]
    fn an_episode_goes_from_its_reset_to_its_end() {
        let mut remote = Remote::over(peer(&[
            DESCRIPTION,
            r#"{"observation": [0.5]}"#,
            r#"{"observation": [null], "reward": -1, "terminated": false, "truncated": true}"#,
        ]))
        .unwrap();
        assert_eq!((remote.name(), remote.observations()[0].lo, remote.actions()[0].hi), ("fake", None, Some(1.0)));
        let mut readings = [0.0];
        remote.reset(1, &mut readings).unwrap();
        assert_eq!(readings, [0.5]);
        let outcome = remote.step(&[0.25], &mut readings).unwrap();
        assert_eq!(outcome, Outcome { reward: -1.0, terminated: false, truncated: true });
        assert!(readings[0].is_nan());
        let gone = remote.step(&[0.25], &mut readings).unwrap_err();
        assert!(matches!(gone, Broken::Ended { .. }), "{gone}");
    }

    #[test]
    fn what_is_no_environment_is_refused_with_the_reason() {
        let refused = |answers: &[&str]| Remote::over(peer(answers)).unwrap_err().to_string();
        assert!(refused(&[r#"{"error": "there is no NoSuch-v1"}"#]).ends_with("refuses: there is no NoSuch-v1"));
        assert!(refused(&["HTTP/1.1 400 Bad Request"]).contains("cannot be understood"));
        let other = r#"{"protocol": "other/2", "name": "x", "observations": [], "actions": []}"#;
        assert!(refused(&[other]).contains("it speaks `other/2`"));
        let empty = r#"{"protocol": "corerl.environment/1", "name": "x", "observations": [], "actions": []}"#;
        assert!(refused(&[empty]).contains("it has 0 observations"));
    }

    #[test]
    fn an_observation_of_another_width_is_refused() {
        let mut remote = Remote::over(peer(&[DESCRIPTION, r#"{"observation": [1, 2]}"#])).unwrap();
        let refused = remote.reset(1, &mut [0.0]).unwrap_err().to_string();
        assert!(refused.contains("2 numbers are observed instead of 1"), "{refused}");
    }

    #[test]
    fn a_program_that_is_not_there_or_ends_is_told_with_its_status() {
        let absent = Remote::start(&["no-such-program".to_owned()]).unwrap_err().to_string();
        assert!(absent.starts_with("`no-such-program` cannot be started"), "{absent}");
        let ended = shell("exit 3").unwrap_err().to_string();
        assert!(ended.contains("has ended (exit status: 3)"), "{ended}");
        let refused = shell(r#"echo '{"error": "no such thing"}' >&0; exit 1"#).unwrap_err().to_string();
        assert_eq!(refused, "the environment refuses: no such thing");
    }

    #[test]
    fn a_program_is_gone_when_its_environment_is_dropped() {
        let script = format!("read line; echo '{DESCRIPTION}' >&0; exec sleep 1000");
        let remote = shell(&script).unwrap();
        let process = format!("/proc/{}", remote.child.as_ref().unwrap().id());
        assert!(Path::new(&process).exists());
        drop(remote);
        assert!(!Path::new(&process).exists());
    }

    #[test]
    fn nobody_behind_a_path_is_told_with_the_path() {
        let absent = Remote::connect("no/such.socket".as_ref()).unwrap_err().to_string();
        assert!(absent.contains("on no/such.socket") && absent.contains("start the server"), "{absent}");
    }
}
