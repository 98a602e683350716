//! The actor's network, filled from a graph.
//!
//! A hidden layer of the actor hands on both halves of its sums, `relu(s)` and `relu(-s)`. So whatever bends at zero and is
//! straight elsewhere is a sum of halves: ReLU takes the upper one, leaky ReLU a share of the lower one as well, and the sum
//! itself is their difference, exactly. A network with fewer hidden layers passes its sums on in that way; units that are not
//! needed weigh nothing.

use std::collections::BTreeMap;

use policy::kernels::{Activation, NetSpec, PARAMETERS_MAX};

use crate::model::Constant;
use crate::signal::{Row, Signal, Tail};

/// A deviation's logit so low that the deviation is the smallest one.
const NO_DEVIATION_LOGIT: f64 = -20.0;
/// Numbers that reading a model may go through: products, and copies.
const WORK_MAX: usize = PARAMETERS_MAX;

/// The actor's layers under construction.
#[derive(Debug)]
pub(crate) struct Network<'s> {
    spec: &'s NetSpec,
    /// The sums of each hidden layer, as far as there are any.
    hidden: Vec<Vec<Row>>,
    /// The first unit of the sums that were activated, by their origin.
    units: BTreeMap<usize, usize>,
    origins: usize,
    work: usize,
}

impl<'s> Network<'s> {
    /// `None` when the actor's network is none for so many setpoints.
    pub(crate) fn of(spec: &'s NetSpec, setpoints: usize) -> Option<Self> {
        let (heads, torso) = spec.layers.split_last()?;
        let bends = torso.iter().all(|layer| layer.activation == Activation::Crelu);
        let hidden = vec![Vec::new(); torso.len()];
        (bends && heads.activation == Activation::Linear && heads.outputs == 2 * setpoints).then(|| Self {
            spec,
            hidden,
            units: BTreeMap::new(),
            origins: 0,
            work: 0,
        })
    }

    /// The columns of the state, each as the model is given it.
    pub(crate) fn state(&mut self, as_given: impl Iterator<Item = Tail>) -> Signal {
        let row = |place| Row { terms: vec![(place, 1.0)], bias: 0.0 };
        let parts = as_given.enumerate().map(|(place, tail)| (row(place), tail)).collect();
        self.signal(0, parts)
    }

    /// A signal of sums that are like no others.
    pub(crate) fn signal(&mut self, depth: usize, parts: Vec<(Row, Tail)>) -> Signal {
        self.origins += 1;
        Signal { depth, origin: self.origins, is_negated: false, is_squashed: false, parts }
    }

    /// Counts what is to be computed.
    pub(crate) fn spend(&mut self, products: usize) -> Result<(), String> {
        self.work = self.work.saturating_add(products);
        if self.work > WORK_MAX {
            Err(format!("makes this model one that takes more than {WORK_MAX} products to read"))
        } else {
            Ok(())
        }
    }

    /// How many numbers there are at this depth.
    fn width(&self, depth: usize) -> usize {
        self.spec.layers.get(depth).map_or(0, |layer| layer.inputs)
    }

    /// Sums of a signal's numbers, weighed with a matrix of one row (or column, when it is not `by_rows`) for each sum.
    pub(crate) fn weighed(&mut self, signal: &Signal, matrix: &Constant, by_rows: bool) -> Result<Vec<Row>, String> {
        let [rows, columns] = *matrix.shape.as_slice() else {
            return Err(format!("multiplies with numbers of shape {:?}, and needs a matrix", matrix.shape));
        };
        let (outputs, inputs) = if by_rows { (rows, columns) } else { (columns, rows) };
        if inputs != signal.width() {
            return Err(format!("multiplies {} values with a matrix for {inputs}", signal.width()));
        }
        let given = signal.rows()?;
        let width = self.width(signal.depth);
        self.spend(outputs.saturating_mul(signal.size() + width))?;
        let weight = |output: usize, input: usize| {
            let place = if by_rows { output * inputs + input } else { input * outputs + output };
            matrix.values.get(place).map_or(0.0, |weight| f64::from(*weight))
        };
        let sum = |output: usize| {
            let mut sums = vec![None; width];
            let mut bias = 0.0;
            for (input, row) in given.iter().enumerate() {
                let weight = weight(output, input);
                if row.bias != 0.0 {
                    bias += weight * row.bias;
                }
                for (place, term) in &row.terms {
                    let Some(slot) = sums.get_mut(*place) else { continue };
                    let product = weight * term;
                    *slot = Some(slot.map_or(product, |sum: f64| sum + product));
                }
            }
            let terms = sums.into_iter().enumerate().filter_map(|(place, sum)| Some((place, sum?)));
            Row { terms: terms.collect(), bias }
        };
        Ok((0..outputs).map(sum).collect())
    }

    /// A signal bent at zero: this share of what is above it, and of what is below it turned upwards.
    pub(crate) fn bent(&mut self, signal: &Signal, above: f64, below: f64) -> Result<Signal, String> {
        let mut rows = signal.rows()?;
        let first = match self.units.get(&signal.origin) {
            Some(first) => *first,
            None => {
                if signal.is_negated {
                    rows = rows.iter().map(|row| row.with(Tail::NONE.times(-1.0))).collect();
                }
                let first = self.put(signal.depth, rows)?;
                self.units.insert(signal.origin, first);
                first
            }
        };
        let shares = if signal.is_negated { (below, above) } else { (above, below) };
        let parts = self.halves(signal.depth, first, signal.width(), shares);
        Ok(self.signal(signal.depth + 1, parts.map(|row| (row, Tail::NONE)).collect()))
    }

    /// The same signal over a later layer, through units that pass its sums on.
    pub(crate) fn passed_on(&mut self, signal: Signal, depth: usize) -> Result<Signal, String> {
        let mut signal = signal;
        while signal.depth < depth {
            let rows = signal.parts.iter().map(|(row, _)| row.clone()).collect();
            let first = self.put(signal.depth, rows)?;
            let rows = self.halves(signal.depth, first, signal.width(), (1.0, -1.0));
            let parts = rows.zip(signal.parts.iter().map(|(_, tail)| *tail)).collect();
            signal = Signal { is_squashed: signal.is_squashed, ..self.signal(signal.depth + 1, parts) };
        }
        Ok(signal)
    }

    /// Puts sums over this depth into the hidden layer there; the first one's unit.
    fn put(&mut self, depth: usize, rows: Vec<Row>) -> Result<usize, String> {
        let layers = self.hidden.len();
        let room = self.spec.layers.get(depth).map_or(0, |layer| layer.outputs);
        let Some(layer) = self.hidden.get_mut(depth) else {
            return Err(format!("makes hidden layer {}, and a policy has {layers}", depth + 1));
        };
        let first = layer.len();
        layer.extend(rows);
        if layer.len() > room {
            let needed = layer.len();
            return Err(format!("makes {needed} units in hidden layer {}, and a policy has {room}", depth + 1));
        }
        Ok(first)
    }

    /// The halves of units of the hidden layer at this depth, each weighed.
    fn halves(
        &self,
        depth: usize,
        first: usize,
        count: usize,
        shares: (f64, f64),
    ) -> impl Iterator<Item = Row> + use<> {
        let below = self.spec.layers.get(depth).map_or(0, |layer| layer.outputs);
        (first..first + count).map(move |unit| {
            let terms = [(unit, shares.0), (below + unit, shares.1)];
            Row { terms: terms.into_iter().filter(|(_, share)| *share != 0.0).collect(), bias: 0.0 }
        })
    }

    /// Where heads stand: behind all hidden layers.
    pub(crate) fn depth(&self) -> usize {
        self.hidden.len()
    }

    /// The parameters in the order of [`NetSpec`]; without logits, deviations are the smallest.
    pub(crate) fn into_parameters(self, means: Vec<Row>, logits: Option<Vec<Row>>) -> Vec<f32> {
        let none = || vec![Row { terms: Vec::new(), bias: NO_DEVIATION_LOGIT }; means.len()];
        let logits = logits.unwrap_or_else(none);
        let heads = means.into_iter().chain(logits).collect();
        let mut parameters = Vec::with_capacity(self.spec.parameters());
        for (layer, rows) in self.spec.layers.iter().zip(self.hidden.into_iter().chain([heads])) {
            let mut weights = vec![0.0; layer.inputs * layer.outputs];
            let mut biases = vec![0.0; layer.outputs];
            for (output, Row { terms, bias }) in rows.iter().enumerate() {
                for (input, weight) in terms {
                    weights[output * layer.inputs + input] = narrowed(*weight);
                }
                biases[output] = narrowed(*bias);
            }
            parameters.append(&mut weights);
            parameters.append(&mut biases);
        }
        parameters
    }
}

/// In single precision; what is too small for a normal number is nothing, which is what the runtime demands.
fn narrowed(number: f64) -> f32 {
    let number = number as f32;
    if number.is_subnormal() { 0.0 } else { number }
}
