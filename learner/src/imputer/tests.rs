use policy::kernels::{Kernel, PackedNet};

use super::*;

/// Three tags with two traces each; the third one is a function of the others, and they wander.
const SHAPE: ImputerShape = ImputerShape { tags: 3, traces: 2, last: 0, missing_max: 1, horizon: 10 };
const WIDTH: usize = 6;

struct Plant {
    stream: Stream,
    sequence: u64,
    state: [f32; WIDTH],
}

impl Plant {
    fn new() -> Self {
        Self { stream: Stream::new(5, "plant", 0), sequence: 0, state: [0.5; WIDTH] }
    }

    /// Values of the tags, and the traces that go with them.
    fn turn(&mut self) {
        let mut jump = || self.stream.uniform();
        let (a, b) = (jump(), jump());
        for (tag, value) in [a, b, 0.6 * a + 0.4 * b * b].into_iter().enumerate() {
            self.state[2 * tag] = value;
            self.state[2 * tag + 1] = 0.9 * self.state[2 * tag + 1] + 0.1 * value;
        }
        self.sequence += 1;
    }

    fn step(&self, all_read: bool) -> Step<'_> {
        Step {
            sequence: self.sequence,
            complete: all_read,
            all_read,
            reward: None,
            decision: true,
            gap: false,
            terminal: false,
            state: &self.state,
            action: &[],
            lo: &[],
            hi: &[],
        }
    }
}

/// An imputer after so many rows.
fn taught(rows: usize) -> Imputer {
    let (mut imputer, mut plant) = (Imputer::new(SHAPE, 1), Plant::new());
    for _ in 0..rows {
        plant.turn();
        imputer.observe(&plant.step(true));
        imputer.update();
    }
    imputer
}

#[test]
fn a_tag_that_is_a_function_of_the_others_is_told_far_better_than_by_its_last_value() {
    let imputer = taught(600);
    let mut net = PackedNet::new(&SHAPE.spec()).unwrap();
    net.pack(&imputer.published().unwrap()).unwrap();
    // Rows that it has not seen, as the runtime asks it.
    let mut plant = Plant { stream: Stream::new(6, "plant", 0), ..Plant::new() };
    plant.turn();
    let (mut scratch, mut out, mut inputs) = (net.scratch(), [0.0; 3], vec![0.0; SHAPE.inputs()]);
    let (mut error, mut held) = (0.0, 0.0);
    for _ in 0..300 {
        let before = plant.state;
        plant.turn();
        let [traces, values, masks] = SHAPE.parts(&mut inputs);
        traces.copy_from_slice(&before);
        values.copy_from_slice(&[plant.state[0], plant.state[2], 0.0]);
        masks.copy_from_slice(&[1.0, 1.0, 0.0]);
        net.forward(Kernel::best(), &inputs, &mut scratch, &mut out);
        error += (before[4] + out[2] - plant.state[4]).powi(2);
        held += (before[4] - plant.state[4]).powi(2);
    }
    assert!(error < 0.02 * held, "{error} against {held}");
}

#[test]
fn what_is_not_known_better_is_held_and_before_that_nothing_is_imputed() {
    assert_eq!(taught(1).imputation(), None);
    assert!(taught(30).published().unwrap().iter().all(|parameter| *parameter == 0.0));
    let mut imputer = taught(300);
    let Imputation { tags, error, held } = imputer.imputation().unwrap();
    assert!(tags == 3 && error < 0.9 * held, "{tags} tags: {error} against {held}");
    let known = imputer.published().unwrap();
    assert!(known.iter().any(|parameter| *parameter != 0.0));
    // The last layer's biases are the last parameters, its weights of the second tag those before.
    let hidden = SHAPE.spec().layers[2].inputs;
    let second = known.len() - SHAPE.tags - 2 * hidden;
    assert!(known[second..second + hidden].iter().any(|weight| *weight != 0.0));
    imputer.state.judgements[1].error = 2.0 * imputer.state.judgements[1].held;
    let held = imputer.published().unwrap();
    assert!(held[second..second + hidden].iter().all(|weight| *weight == 0.0));
    assert_eq!(held[known.len() - SHAPE.tags + 1], 0.0);
    assert_eq!(held[..second], known[..second]);
    imputer.state.judgements.iter_mut().for_each(|judgement| judgement.error = 1.0);
    assert!(imputer.published().unwrap().iter().all(|parameter| *parameter == 0.0));
}

#[test]
fn rows_that_were_not_read_whole_or_do_not_connect_teach_nothing() {
    let (mut imputer, mut plant) = (Imputer::new(SHAPE, 1), Plant::new());
    let mut owed = |imputer: &mut Imputer, change: fn(&mut Step<'_>)| {
        plant.turn();
        let mut step = plant.step(true);
        change(&mut step);
        imputer.observe(&step);
        std::mem::take(&mut imputer.state.owed)
    };
    assert_eq!(owed(&mut imputer, |_| ()), 0, "nothing lies before the first one");
    assert_eq!(owed(&mut imputer, |_| ()), UPDATES_PER_ROW);
    assert_eq!(owed(&mut imputer, |step| step.all_read = false), 0);
    assert_eq!(owed(&mut imputer, |_| ()), UPDATES_PER_ROW, "what lies before need not be whole");
    assert_eq!(owed(&mut imputer, |step| step.gap = true), 0);
    assert_eq!(owed(&mut imputer, |_| ()), UPDATES_PER_ROW);
    assert_eq!(owed(&mut imputer, |step| step.sequence += 1), 0);
    assert_eq!(owed(&mut imputer, |step| step.state = &[f32::NAN; WIDTH]), 0);
}

#[test]
fn a_hidden_tag_shows_what_an_earlier_row_left_and_the_others_the_row_before() {
    let imputer = taught(40);
    let ImputerState { rows, .. } = &imputer.state;
    let (mut samples, mut stream) = (Samples::new(&SHAPE), Stream::new(3, "test", 0));
    let mut ages = [0; 11];
    for _ in 0..200 {
        let whole = rows.whole[20];
        samples.draw(1, whole, &SHAPE, rows, &mut stream);
        let [traces, values, masks] = SHAPE.parts(&mut samples.inputs[SHAPE.inputs()..][..SHAPE.inputs()]);
        let (now, before) = (rows.row(whole.number), rows.row(whole.number - 1));
        let (moved, hidden) = (&samples.moved[3..6], &samples.hidden[3..6]);
        assert_eq!(hidden.iter().sum::<f32>(), 1.0);
        for tag in 0..SHAPE.tags {
            let own = 2 * tag..2 * tag + 2;
            if hidden[tag] == 0.0 {
                assert_eq!((values[tag], masks[tag], moved[tag]), (now[2 * tag], 1.0, 0.0));
                assert_eq!(traces[own.clone()], before[own]);
            } else {
                assert_eq!((values[tag], masks[tag]), (0.0, 0.0));
                let age = (1..11).find(|age| rows.row(whole.number - *age as u64)[own.clone()] == traces[own.clone()]);
                ages[age.expect("one of the rows before")] += 1;
                assert_eq!(moved[tag], now[2 * tag] - traces[2 * tag]);
            }
        }
    }
    assert!(ages[1] > 70 && ages[2..].iter().all(|count| *count > 0), "{ages:?}");
}

#[test]
fn old_rows_make_room_and_are_learnt_from_no_more() {
    let mut rows = Rows::new(WIDTH);
    let mut plant = Plant::new();
    for _ in 0..ROWS_MAX + 50 {
        plant.turn();
        rows.push(&plant.step(true));
        assert!(rows.fits(WIDTH));
    }
    assert_eq!(rows.whole.front().map(|whole| whole.number), Some(51));
    assert_eq!(rows.row(rows.total - 1), plant.state);
    assert_eq!(rows.numbers.len(), ROWS_MAX * WIDTH);
    let mut cut = rows.clone();
    cut.numbers.truncate(WIDTH);
    assert!(!cut.fits(WIDTH));
    rows.whole.push_front(Whole { number: 50, run: 1 });
    assert!(!rows.fits(WIDTH));
}
