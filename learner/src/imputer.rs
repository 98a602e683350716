//! The imputer: a masked autoencoder that learns from whole rows what each tag is by the others.
//!
//! A *row* is the traces of one observation; the trace with decay 0 is the tag's value. From each row in which every tag was
//! read, some tags are hidden as the runtime would miss them ([`ImputerShape`]): at most as many as it permits, and of a
//! hidden tag the traces are those of one or several rows earlier, because a tag that is missing is often missing for a
//! while. The network learns to say how far the hidden values have moved, by the squared error over hidden values alone, each
//! in proportion to how far its tag usually moves: a setpoint that jumps shall not drown a level that creeps.
//!
//! Every row judges the network before the network learns from it. What is published holds the last value of a tag that the
//! network tells no better, and imputes nothing before it tells any tag better: then all parameters are 0.

use std::collections::VecDeque;

use policy::kernels::ParameterCount;
use policy::pipeline::ImputerShape;
use policy::wire::from_columns;
use serde::{Deserialize, Serialize};

use crate::health::Imputation;
use crate::nets::{AdamW, AdamWOptions, Perceptron, PerceptronPass};
use crate::options::OptionsError;
use crate::random::Stream;
use crate::transitions::Step;

/// Rows that are kept: those of late, because sensors drift.
const ROWS_MAX: usize = 8_192;
/// Samples in an update.
const BATCH: usize = 64;
/// Samples of a row that judge the network.
const JUDGING: usize = 8;
/// Updates that a row is worth.
const UPDATES_PER_ROW: usize = 8;
/// Updates that may wait: what comes faster is learnt from less often.
const OWED_MAX: usize = 1_024;
/// Samples that must have judged a tag before it is imputed.
const JUDGED_MIN: u32 = 200;
/// The weight of the latest sample in the errors, in the long run.
const ERROR_RATE: f32 = 1.0 / 256.0;
/// A tag that usually moves less than a hundredth of its range counts as if it moved so far: squared.
const MOVE_MIN: f32 = 1e-4;
/// How the network descends.
const OPTIMISER: AdamWOptions = AdamWOptions { learning_rate: 1e-3, weight_decay: 1e-3 };

/// A network that learns to impute, with what it learns from.
#[derive(Debug)]
pub(crate) struct Imputer {
    net: Perceptron,
    state: ImputerState,
    batch: Samples,
    pass: PerceptronPass<f32>,
    gradient: Vec<f32>,
}

/// What a checkpoint keeps.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ImputerState {
    shape: ImputerShape,
    parameters: Vec<f32>,
    optimiser: AdamW,
    stream: Stream,
    rows: Rows,
    owed: usize,
    judgements: Vec<Judgement>,
}

/// How well a tag is told, squared and normalised, as an average that forgets.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
struct Judgement {
    samples: u32,
    /// By the network.
    error: f32,
    /// By the last value.
    held: f32,
}

/// The rows of late, and which of them can be learnt from.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Rows {
    width: usize,
    numbers: Vec<f32>,
    /// Rows ever taken in; the number of the next one.
    total: u64,
    last_sequence: Option<u64>,
    /// Rows before the next one that connect to it.
    run: usize,
    whole: VecDeque<Whole>,
}

/// A row in which every tag was read.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Whole {
    number: u64,
    /// Rows before it that connect to it; at least one.
    run: usize,
}

/// Rows with hidden tags.
#[derive(Debug)]
struct Samples {
    inputs: Vec<f32>,
    /// How far each tag's value has moved.
    moved: Vec<f32>,
    /// 1 where it is hidden.
    hidden: Vec<f32>,
    /// Room for drawing.
    order: Vec<usize>,
}

/// Whether this shape is one for a state of so many columns.
pub(crate) fn check(shape: &ImputerShape, columns: usize) -> Result<(), OptionsError> {
    let ImputerShape { tags, traces, last, missing_max, horizon } = *shape;
    let refused = |option, value: usize, permitted| Err(OptionsError { option, value: value as f64, permitted });
    if tags == 0 || tags.saturating_mul(traces) > columns {
        return refused("imputer.tags", tags, "one or more, and their traces columns of the state");
    }
    if last >= traces {
        return refused("imputer.last", last, "one of the traces");
    }
    if !(1..=tags).contains(&missing_max) {
        return refused("imputer.missing_max", missing_max, "1 to all tags");
    }
    if horizon == 0 {
        return refused("imputer.horizon", horizon, "1 or more");
    }
    Ok(())
}

impl Rows {
    fn new(width: usize) -> Self {
        Self { width, numbers: Vec::new(), total: 0, last_sequence: None, run: 0, whole: VecDeque::new() }
    }

    fn row(&self, number: u64) -> &[f32] {
        let at = (number % ROWS_MAX as u64) as usize * self.width;
        &self.numbers[at..at + self.width]
    }

    /// The oldest row that is kept.
    fn oldest(&self) -> u64 {
        self.total.saturating_sub(ROWS_MAX as u64)
    }

    /// Takes a row in, and gives it back when it can be learnt from.
    fn push(&mut self, step: &Step<'_>) -> Option<Whole> {
        let row = &step.state[..self.width];
        if !row.iter().all(|x| x.is_finite()) {
            self.last_sequence = None;
            return None;
        }
        let follows = self.last_sequence.is_some_and(|last| !step.gap && step.sequence == last.wrapping_add(1));
        self.run = if follows { self.run + 1 } else { 0 };
        self.last_sequence = Some(step.sequence);
        let whole = Whole { number: self.total, run: self.run };
        if self.total < ROWS_MAX as u64 {
            self.numbers.extend_from_slice(row);
        } else {
            let at = (self.total % ROWS_MAX as u64) as usize * self.width;
            self.numbers[at..at + self.width].copy_from_slice(row);
        }
        self.total += 1;
        // One that the row before has left can be hidden no more.
        let oldest = self.oldest();
        while self.whole.front().is_some_and(|whole| whole.number <= oldest) {
            self.whole.pop_front();
        }
        (step.all_read && whole.run > 0).then(|| {
            self.whole.push_back(whole);
            whole
        })
    }

    fn fits(&self, width: usize) -> bool {
        let kept = self.total.min(ROWS_MAX as u64) as usize;
        let is_kept = |whole: &Whole| {
            (1..=whole.number).contains(&(whole.run as u64)) && (self.oldest() + 1..self.total).contains(&whole.number)
        };
        self.width == width && self.numbers.len() == kept * width && self.whole.iter().all(is_kept)
    }
}

impl Samples {
    fn new(shape: &ImputerShape) -> Self {
        Self {
            inputs: vec![0.0; BATCH * shape.inputs()],
            moved: vec![0.0; BATCH * shape.tags],
            hidden: vec![0.0; BATCH * shape.tags],
            order: vec![0; shape.tags],
        }
    }

    /// Makes the sample `at` from a whole row.
    fn draw(&mut self, at: usize, of: Whole, shape: &ImputerShape, rows: &Rows, stream: &mut Stream) {
        let Self { inputs, moved, hidden, order } = self;
        let (tags, width) = (shape.tags, shape.traces);
        let [traces, values, masks] = shape.parts(&mut inputs[at * shape.inputs()..][..shape.inputs()]);
        let (moved, hidden) = (&mut moved[at * tags..][..tags], &mut hidden[at * tags..][..tags]);
        let now = rows.row(of.number);
        traces.copy_from_slice(rows.row(of.number - 1));
        values.iter_mut().zip(now.iter().skip(shape.last).step_by(width)).for_each(|(value, now)| *value = *now);
        masks.fill(1.0);
        moved.fill(0.0);
        hidden.fill(0.0);
        order.iter_mut().enumerate().for_each(|(place, tag)| *tag = place);
        let connected = of.run.min(shape.horizon).min((of.number - rows.oldest()) as usize);
        for place in 0..1 + stream.below(shape.missing_max) {
            order.swap(place, place + stream.below(tags - place));
            let tag = order[place];
            // Half of them for the first time.
            let age = if stream.uniform() < 0.5 { 1 } else { 1 + stream.below(connected) };
            let before = &rows.row(of.number - age as u64)[tag * width..][..width];
            traces[tag * width..][..width].copy_from_slice(before);
            (values[tag], masks[tag], hidden[tag]) = (0.0, 0.0, 1.0);
            moved[tag] = now[tag * width + shape.last] - before[shape.last];
        }
    }
}

impl Imputer {
    pub(crate) fn new(shape: ImputerShape, seed: u64) -> Self {
        let net = Perceptron::new(&shape.spec());
        let mut parameters = vec![0.0; net.len()];
        net.init(&mut parameters, &mut Stream::new(seed, "imputer initialisation", 0));
        let state = ImputerState {
            shape,
            optimiser: AdamW::new(net.len()),
            stream: Stream::new(seed, "imputer masks", 0),
            rows: Rows::new(shape.tags * shape.traces),
            owed: 0,
            judgements: vec![Judgement::default(); shape.tags],
            parameters,
        };
        Self {
            batch: Samples::new(&shape),
            pass: PerceptronPass::new(&net, BATCH),
            gradient: vec![0.0; net.len()],
            state,
            net,
        }
    }

    /// Takes a step in, and is judged by it when every tag was read.
    pub(crate) fn observe(&mut self, step: &Step<'_>) {
        if let Some(whole) = self.state.rows.push(step) {
            self.judge(whole);
            self.state.owed = (self.state.owed + UPDATES_PER_ROW).min(OWED_MAX);
        }
    }

    /// Updates that one row is worth, if they are due.
    pub(crate) fn update(&mut self) {
        for _ in 0..self.state.owed.min(UPDATES_PER_ROW) {
            self.state.owed -= 1;
            self.learn();
        }
    }

    fn judge(&mut self, whole: Whole) {
        let ImputerState { shape, parameters, stream, rows, judgements, .. } = &mut self.state;
        (0..JUDGING).for_each(|at| self.batch.draw(at, whole, shape, rows, stream));
        self.net.forward(parameters, &self.batch.inputs, JUDGING, &mut self.pass);
        let Samples { moved, hidden, .. } = &self.batch;
        let samples = self.pass.out().0.iter().zip(moved).zip(hidden).take(JUDGING * shape.tags);
        for (((out, moved), hidden), tag) in samples.zip((0..shape.tags).cycle()) {
            if *hidden > 0.0 {
                judgements[tag].note((out - moved).powi(2), moved.powi(2));
            }
        }
    }

    fn learn(&mut self) {
        let ImputerState { shape, parameters, optimiser, stream, rows, judgements, .. } = &mut self.state;
        for at in 0..BATCH {
            let whole = rows.whole[stream.below(rows.whole.len())];
            self.batch.draw(at, whole, shape, rows, stream);
        }
        let Samples { inputs, moved, hidden, .. } = &self.batch;
        self.net.forward(parameters, inputs, BATCH, &mut self.pass);
        let share = 1.0 / hidden.iter().sum::<f32>();
        let (out, gradients) = self.pass.out();
        let samples = out.iter().zip(moved.iter().zip(hidden)).zip(judgements.iter().cycle());
        for (gradient, ((out, (moved, hidden)), judgement)) in gradients.iter_mut().zip(samples) {
            *gradient = hidden * (out - moved) * share / (judgement.held + MOVE_MIN);
        }
        self.gradient.fill(0.0);
        self.net.backward(parameters, inputs, BATCH, &mut self.pass, &mut self.gradient);
        optimiser.step(self.net.kernel, parameters, &self.gradient, OPTIMISER);
    }

    /// How well it tells what it tells better than the last value does; `None` when that is nothing.
    pub(crate) fn imputation(&self) -> Option<Imputation> {
        let told = || self.state.judgements.iter().filter(|judgement| judgement.is_better());
        let tags = told().count();
        let root = |of: fn(&Judgement) -> f32| (told().map(|one| f64::from(of(one))).sum::<f64>() / tags as f64).sqrt();
        (tags > 0).then(|| Imputation { tags, error: root(|one| one.error), held: root(|one| one.held) })
    }

    /// The parameters are finite, all of them.
    pub(crate) fn is_finite(&self) -> bool {
        self.state.parameters.iter().all(|parameter| parameter.is_finite())
    }

    /// The parameters as they are published, in the order of [`policy::kernels::NetSpec`]; all 0 when it knows too little.
    pub(crate) fn published(&self) -> Result<Vec<f32>, ParameterCount> {
        let ImputerState { shape, parameters, judgements, .. } = &self.state;
        let spec = shape.spec();
        let mut rows = from_columns(&spec, &[shape.tags], parameters)?;
        if !judgements.iter().any(Judgement::is_better) {
            rows.fill(0.0);
        }
        // What is too small to be a normal number is refused.
        rows.iter_mut().filter(|parameter| parameter.is_subnormal()).for_each(|parameter| *parameter = 0.0);
        let outputs = spec.layers.last().map_or(0, |layer| layer.parameters());
        let first = rows.len() - outputs;
        let (weights, biases) = rows[first..].split_at_mut(outputs - shape.tags);
        let width = weights.len() / shape.tags;
        for ((weights, bias), judgement) in weights.chunks_exact_mut(width).zip(biases).zip(judgements) {
            if !judgement.is_better() {
                weights.fill(0.0);
                *bias = 0.0;
            }
        }
        Ok(rows)
    }

    pub(crate) fn state(&self) -> &ImputerState {
        &self.state
    }

    /// Takes over a stored state; false, and nothing changed, when it is of other tags or traces.
    pub(crate) fn restore(&mut self, state: ImputerState) -> bool {
        let (shape, kept) = (self.state.shape, &state.shape);
        let fits = (kept.tags, kept.traces, kept.last) == (shape.tags, shape.traces, shape.last)
            && state.parameters.len() == self.net.len()
            && state.optimiser.fits(self.net.len())
            && state.judgements.len() == shape.tags
            && state.rows.fits(shape.tags * shape.traces)
            && (state.owed == 0 || !state.rows.whole.is_empty());
        if fits {
            // How much may be missing is the site's to say.
            self.state = ImputerState { shape, ..state };
        }
        fits
    }
}

#[cfg(test)]
impl Imputer {
    pub(crate) fn parameters(&self) -> &[f32] {
        &self.state.parameters
    }

    pub(crate) fn parameters_mut(&mut self) -> &mut [f32] {
        &mut self.state.parameters
    }
}

impl Judgement {
    fn note(&mut self, error: f32, held: f32) {
        self.samples = self.samples.saturating_add(1);
        let rate = (1.0 / self.samples as f32).max(ERROR_RATE);
        self.error += rate * (error - self.error);
        self.held += rate * (held - self.held);
    }

    /// Enough samples have shown that the network tells the tag better than its last value does.
    fn is_better(&self) -> bool {
        self.samples >= JUDGED_MIN && self.error < self.held
    }
}

#[cfg(test)]
mod tests;
