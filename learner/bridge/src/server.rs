//! One of our environments for somebody else.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileTypeExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::thread;

use plants::{Environment, Plant, Signal};
use serde::Serialize;
use serde_json::Value;

use crate::channel::{Broken, Channel};
use crate::protocol::{Answer, Beginning, Description, Happened, PROTOCOL, Question, Variable, read, written};

/// The largest whole number of which JSON's readers all know the next one.
const SEED_MAX: u64 = (1 << 53) - 1;

/// Answers for an environment until the other side ends.
///
/// A plant goes on for ever: no step terminates or truncates an episode.
///
/// # Errors
/// The socket fails. What is asked wrongly is answered with a sentence.
pub fn serve(stream: UnixStream, environment: &Environment) -> Result<(), Broken> {
    let mut channel = Channel::new(stream)?;
    let mut served = Served { environment, plant: None };
    loop {
        let question = match channel.receive(None) {
            Ok(Some(question)) => question,
            Ok(None) => return Ok(()),
            Err(Broken::Nonsense(reason)) => {
                channel.send(&refused(format!("this is no question of {PROTOCOL}: {reason}")))?;
                continue;
            }
            Err(broken) => return Err(broken),
        };
        channel.send(&served.answer(&question).unwrap_or_else(refused))?;
    }
}

/// A socket on this path. One that somebody has left behind is replaced.
///
/// # Errors
/// It cannot be listened on: another server does, or the directory may not be written.
pub fn listen(socket: &Path) -> Result<UnixListener, Broken> {
    bind(socket).map_err(|source| Broken::Listen { socket: socket.to_owned(), source })
}

/// Serves an environment to all who connect, each in a thread of its own with a plant of its own, until the process ends.
///
/// # Errors
/// The socket fails.
pub fn serve_all(listener: &UnixListener, environment: &Environment) -> Result<(), Broken> {
    thread::scope(|scope| {
        for stream in listener.incoming() {
            let stream = stream?;
            scope.spawn(|| {
                if let Err(broken) = serve(stream, environment) {
                    eprintln!("a peer is let go: {broken}");
                }
            });
        }
        Ok(())
    })
}

fn bind(socket: &Path) -> io::Result<UnixListener> {
    match UnixListener::bind(socket) {
        Err(error) if error.kind() == ErrorKind::AddrInUse && is_left_behind(socket) => {
            fs::remove_file(socket)?;
            UnixListener::bind(socket)
        }
        bound => bound,
    }
}

/// A socket on which nobody listens; another file refuses connections, too.
fn is_left_behind(path: &Path) -> bool {
    let is_socket = fs::symlink_metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket());
    is_socket && UnixStream::connect(path).is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
}

fn refused(error: String) -> Value {
    value(&Answer::<()>::Refused { error })
}

fn value(answer: &impl Serialize) -> Value {
    serde_json::to_value(answer).unwrap_or_default()
}

/// An environment, and the plant of the episode that runs.
struct Served<'a> {
    environment: &'a Environment,
    plant: Option<Box<dyn Plant>>,
}

impl Served<'_> {
    fn answer(&mut self, question: &Question) -> Result<Value, String> {
        match question {
            Question::Describe { protocol } if protocol == PROTOCOL => self.describe(),
            Question::Describe { protocol } => Err(format!("you speak `{protocol}`, and here {PROTOCOL} is spoken")),
            Question::Reset { seed } => self.reset(*seed),
            Question::Step { action } => self.step(action),
        }
    }

    fn build(&self, seed: u64) -> Result<Box<dyn Plant>, String> {
        self.environment.build(seed).map_err(|error| error.to_string())
    }

    fn describe(&self) -> Result<Value, String> {
        let plant = self.build(0)?;
        let all = |signals: &[Signal]| signals.iter().map(Variable::from).collect();
        Ok(value(&Description {
            protocol: PROTOCOL.to_owned(),
            name: plant.name().to_owned(),
            observations: all(plant.outputs()),
            actions: all(plant.inputs()),
        }))
    }

    fn reset(&mut self, seed: u64) -> Result<Value, String> {
        if seed > SEED_MAX {
            return Err(format!("the seed is {seed}: give one of at most {SEED_MAX}"));
        }
        let plant = self.build(seed)?;
        let mut readings = vec![f64::NAN; plant.outputs().len()];
        plant.observe(&mut readings);
        self.plant = Some(plant);
        Ok(value(&Beginning { observation: written(&readings) }))
    }

    fn step(&mut self, action: &[Option<f64>]) -> Result<Value, String> {
        let plant = self.plant.as_mut().ok_or("there is no step before the first reset")?;
        let width = plant.inputs().len();
        if action.len() != width {
            return Err(format!("the action has {} numbers instead of {width}", action.len()));
        }
        let inputs: Vec<f64> = action.iter().copied().map(read).collect();
        let mut readings = vec![f64::NAN; plant.outputs().len()];
        plant.step(&inputs, &mut readings);
        let reward = Some(plant.reward()).filter(|reward| reward.is_finite());
        let observation = written(&readings);
        Ok(value(&Happened { observation, reward, terminated: false, truncated: false }))
    }
}

impl From<&Signal> for Variable {
    fn from(signal: &Signal) -> Self {
        let Signal { name, unit, lo, hi, nominal } = *signal;
        Self { name: name.to_owned(), unit: unit.to_owned(), lo: Some(lo), hi: Some(hi), nominal }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Remote;
    use std::time::Duration;

    fn ask(channel: &mut Channel, question: &str) -> Value {
        channel.send(&serde_json::from_str::<Value>(question).unwrap()).unwrap();
        channel.receive(Some(Duration::from_secs(10))).unwrap().unwrap()
    }

    #[test]
    fn every_environment_of_ours_gives_the_bits_of_its_plant_and_a_seed_its_episode() {
        for name in Environment::NAMES {
            let environment = Environment::named(name).unwrap();
            let (ours, theirs) = UnixStream::pair().unwrap();
            let served = environment.clone();
            let serving = thread::spawn(move || serve(theirs, &served));
            let mut remote = Remote::over(ours).unwrap();
            let (outputs, inputs) = (remote.observations().len(), remote.actions().len());
            for seed in [3, 4, 3] {
                let mut plant = environment.build(seed).unwrap();
                let (mut found, mut expected) = (vec![0.0; outputs], vec![0.0; outputs]);
                remote.reset(seed, &mut found).unwrap();
                plant.observe(&mut expected);
                assert_eq!(found, expected, "{name}");
                for step in 0..20 {
                    let action: Vec<f64> =
                        plant.inputs().iter().map(|s| s.lo + f64::from(step) / 19.0 * (s.hi - s.lo)).collect();
                    assert_eq!(action.len(), inputs);
                    let outcome = remote.step(&action, &mut found).unwrap();
                    plant.step(&action, &mut expected);
                    assert_eq!((&found, outcome.reward), (&expected, plant.reward()), "{name} {seed} {step}");
                }
            }
            drop(remote);
            serving.join().unwrap().unwrap();
        }
    }

    #[test]
    fn what_is_asked_wrongly_is_answered_with_a_sentence_and_the_next_question_as_usual() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        thread::spawn(move || serve(theirs, &Environment::named("saturation").unwrap()));
        let mut channel = Channel::new(ours).unwrap();
        let mut refusal = |question: &str| ask(&mut channel, question)["error"].as_str().unwrap().to_owned();
        assert_eq!(refusal(r#"{"do": "step", "action": [0]}"#), "there is no step before the first reset");
        assert!(refusal(r#"{"do": "describe", "protocol": "x/9"}"#).contains("you speak `x/9`"));
        assert!(refusal(r#"{"do": "dance"}"#).contains("no question of corerl.environment/1"));
        assert!(refusal(r#"{"do": "reset", "seed": 9007199254740992}"#).contains("at most 9007199254740991"));
        assert_eq!(ask(&mut channel, r#"{"do": "reset", "seed": 1}"#)["observation"].as_array().unwrap().len(), 2);
        assert_eq!(
            ask(&mut channel, r#"{"do": "step", "action": []}"#)["error"],
            "the action has 0 numbers instead of 1"
        );
    }

    #[test]
    fn a_path_is_served_to_several_at_once_and_a_socket_left_behind_is_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("plant.socket");
        drop(UnixListener::bind(&socket).unwrap());
        let listener = listen(&socket).unwrap();
        // It serves until the process ends.
        thread::spawn(move || serve_all(&listener, &Environment::named("saturation").unwrap()));
        let mut first = Remote::connect(&socket).unwrap();
        let mut second = Remote::connect(&socket).unwrap();
        let (mut one, mut other) = ([0.0; 2], [0.0; 2]);
        first.reset(1, &mut one).unwrap();
        second.reset(1, &mut other).unwrap();
        first.step(&[0.5], &mut one).unwrap();
        second.step(&[0.5], &mut other).unwrap();
        assert_eq!(one, other);
        let refused = listen(&socket).unwrap_err().to_string();
        assert!(refused.contains("cannot be listened on"), "{refused}");
        let file = directory.path().join("notes");
        fs::write(&file, "precious").unwrap();
        assert!(listen(&file).is_err());
        assert_eq!(fs::read_to_string(&file).unwrap(), "precious", "it is no socket");
    }
}
