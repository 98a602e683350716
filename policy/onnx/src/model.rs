//! A model that somebody else wrote, taken apart (onnx.proto3): what there is, and what each part claims. What the parts
//! compute is not looked at here.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use crate::import::{ImportRefused, shown};
use crate::protobuf::{Field, Fields};

/// Operator sets in which the operators that are read mean the same.
pub(crate) const OPERATOR_SETS: RangeInclusive<u64> = 11..=25;
/// A network of a few layers has a few dozen.
const NODES_MAX: usize = 1 << 12;
/// Constants at most.
const TENSORS_MAX: usize = 1 << 12;
/// Entries of the metadata, inputs, outputs, a node's inputs or attributes at most.
const ENTRIES_MAX: usize = 1 << 8;
/// Dimensions of a tensor at most: more than any that is read has.
const RANK_MAX: usize = 8;
/// `TensorProto.DataType.FLOAT`.
const FLOAT: u64 = 1;
/// `TensorProto.DataLocation.EXTERNAL`.
const EXTERNAL: u64 = 1;

/// The parts of a model.
#[derive(Debug, Default)]
pub(crate) struct Model<'b> {
    /// The program that made it, and its version.
    pub(crate) producer: (&'b str, &'b str),
    pub(crate) metadata: BTreeMap<&'b str, &'b str>,
    /// In the order in which they compute.
    pub(crate) nodes: Vec<Node<'b>>,
    pub(crate) tensors: Vec<Tensor<'b>>,
    pub(crate) inputs: Vec<Port<'b>>,
    pub(crate) outputs: Vec<Port<'b>>,
}

/// One step of the computation.
#[derive(Debug, Default)]
pub(crate) struct Node<'b> {
    pub(crate) name: &'b str,
    pub(crate) operator: &'b str,
    pub(crate) domain: &'b str,
    pub(crate) inputs: Vec<&'b str>,
    pub(crate) outputs: Vec<&'b str>,
    pub(crate) attributes: Vec<Attribute<'b>>,
}

/// A setting of a node.
#[derive(Debug, Default)]
pub(crate) struct Attribute<'b> {
    pub(crate) name: &'b str,
    pub(crate) float: Option<f32>,
    pub(crate) int: Option<i64>,
    pub(crate) tensor: Option<Tensor<'b>>,
    pub(crate) floats: Vec<f32>,
}

/// Numbers in the model.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tensor<'b> {
    pub(crate) name: &'b str,
    shape: Vec<u64>,
    data_type: u64,
    raw: Option<&'b [u8]>,
    floats: Vec<f32>,
    is_external: bool,
}

/// An input or output of the whole.
#[derive(Debug, Default)]
pub(crate) struct Port<'b> {
    pub(crate) name: &'b str,
    element: Option<u64>,
    /// Its dimensions, `None` for one that may be anything; nothing when it does not say.
    shape: Option<Vec<Option<u64>>>,
}

/// Numbers of which all facts hold.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Constant {
    pub(crate) shape: Vec<usize>,
    pub(crate) values: Vec<f32>,
}

impl<'b> Model<'b> {
    pub(crate) fn parse(bytes: &'b [u8]) -> Result<Self, ImportRefused> {
        let mut model = Self::default();
        let (mut graph, mut operator_set) = (None, None);
        for field in Fields::of(bytes) {
            let field = field?;
            match field.number {
                2 => model.producer.0 = field.text()?,
                3 => model.producer.1 = field.text()?,
                7 if graph.is_some() => return Err(ImportRefused::Graphs),
                7 => graph = Some(field.fields()?),
                8 => {
                    let (domain, version) = operator_set_of(field.fields()?)?;
                    operator_set = if is_standard(domain) { Some(version) } else { operator_set };
                }
                14 => {
                    let (key, value) = entry_of(field.fields()?)?;
                    if model.metadata.insert(key, value).is_some() {
                        return Err(ImportRefused::Twice { name: shown(key) });
                    }
                    most("entries of metadata", model.metadata.len(), ENTRIES_MAX)?;
                }
                _ => {}
            }
        }
        let graph = graph.ok_or(ImportRefused::NoGraph)?;
        let found = operator_set.ok_or(ImportRefused::NoOperatorSet)?;
        if !OPERATOR_SETS.contains(&found) {
            return Err(ImportRefused::OperatorSet { found });
        }
        model.take_graph(graph)?;
        Ok(model)
    }

    fn take_graph(&mut self, graph: Fields<'b>) -> Result<(), ImportRefused> {
        for field in graph {
            let field = field?;
            match field.number {
                1 => push("nodes", NODES_MAX, &mut self.nodes, Node::of(field.fields()?)?)?,
                5 => push("initialisers", TENSORS_MAX, &mut self.tensors, Tensor::of(field.fields()?)?)?,
                11 => push("inputs", TENSORS_MAX, &mut self.inputs, Port::of(field.fields()?)?)?,
                12 => push("outputs", ENTRIES_MAX, &mut self.outputs, Port::of(field.fields()?)?)?,
                15 => return Err(ImportRefused::Sparse),
                _ => {}
            }
        }
        Ok(())
    }
}

/// The standard operators have two names for their domain.
pub(crate) fn is_standard(domain: &str) -> bool {
    matches!(domain, "" | "ai.onnx")
}

fn most(what: &'static str, found: usize, most: usize) -> Result<(), ImportRefused> {
    if found > most { Err(ImportRefused::TooMany { what, most }) } else { Ok(()) }
}

fn push<T>(what: &'static str, limit: usize, list: &mut Vec<T>, item: T) -> Result<(), ImportRefused> {
    list.push(item);
    most(what, list.len(), limit)
}

fn operator_set_of(fields: Fields<'_>) -> Result<(&str, u64), ImportRefused> {
    let (mut domain, mut version) = ("", 0);
    for field in fields {
        let field = field?;
        match field.number {
            1 => domain = field.text()?,
            2 => version = field.varint()?,
            _ => {}
        }
    }
    Ok((domain, version))
}

fn entry_of(fields: Fields<'_>) -> Result<(&str, &str), ImportRefused> {
    let (mut key, mut value) = ("", "");
    for field in fields {
        let field = field?;
        match field.number {
            1 => key = field.text()?,
            2 => value = field.text()?,
            _ => {}
        }
    }
    Ok((key, value))
}

impl<'b> Node<'b> {
    fn of(fields: Fields<'b>) -> Result<Self, ImportRefused> {
        let mut node = Self::default();
        for field in fields {
            let field = field?;
            match field.number {
                1 => push("inputs of a node", ENTRIES_MAX, &mut node.inputs, field.text()?)?,
                2 => push("outputs of a node", ENTRIES_MAX, &mut node.outputs, field.text()?)?,
                3 => node.name = field.text()?,
                4 => node.operator = field.text()?,
                5 => {
                    let attribute = Attribute::of(field.fields()?)?;
                    push("attributes of a node", ENTRIES_MAX, &mut node.attributes, attribute)?;
                }
                7 => node.domain = field.text()?,
                _ => {}
            }
        }
        Ok(node)
    }

    /// The setting of this name.
    pub(crate) fn attribute(&self, name: &str) -> Option<&Attribute<'b>> {
        self.attributes.iter().find(|attribute| attribute.name == name)
    }
}

impl<'b> Attribute<'b> {
    fn of(fields: Fields<'b>) -> Result<Self, ImportRefused> {
        let mut attribute = Self::default();
        for field in fields {
            let field = field?;
            match field.number {
                1 => attribute.name = field.text()?,
                2 => attribute.float = Some(field.float()?),
                // Two's complement.
                3 => attribute.int = Some(field.varint()? as i64),
                5 => attribute.tensor = Some(Tensor::of(field.fields()?)?),
                7 => field.floats(&mut attribute.floats)?,
                _ => {}
            }
        }
        Ok(attribute)
    }
}

impl<'b> Tensor<'b> {
    fn of(fields: Fields<'b>) -> Result<Self, ImportRefused> {
        let mut tensor = Self::default();
        for field in fields {
            let field = field?;
            match field.number {
                1 => field.varints(&mut tensor.shape, RANK_MAX)?,
                2 => tensor.data_type = field.varint()?,
                4 => field.floats(&mut tensor.floats)?,
                8 => tensor.name = field.text()?,
                9 => tensor.raw = Some(field.bytes()?),
                13 => tensor.is_external = true,
                14 => tensor.is_external |= field.varint()? == EXTERNAL,
                _ => {}
            }
        }
        Ok(tensor)
    }

    /// Its numbers, when all of them are there, single precision, and finite.
    pub(crate) fn constant(&self) -> Result<Constant, ImportRefused> {
        let refuse = |what: String| ImportRefused::Tensor { name: shown(self.name), what };
        if self.is_external {
            return Err(refuse("lies in another file: save the model with everything in one".to_owned()));
        }
        if self.data_type != FLOAT {
            let found = self.data_type;
            return Err(refuse(format!(
                "is of data type {found}, only single precision ({FLOAT}) is read: convert it"
            )));
        }
        let shape: Option<Vec<usize>> = self.shape.iter().map(|size| usize::try_from(*size).ok()).collect();
        let sized = shape.and_then(|shape| {
            let count = shape.iter().try_fold(1_usize, |count, size| count.checked_mul(*size))?;
            Some((shape, count))
        });
        let Some((shape, expected)) = sized else { return Err(refuse("is larger than any file".to_owned())) };
        let raw = self.raw.unwrap_or_default();
        let (words, rest) = raw.as_chunks();
        let found = words.len().max(self.floats.len());
        if found != expected || !rest.is_empty() || (self.raw.is_some() && !self.floats.is_empty()) {
            return Err(refuse(format!("has {found} numbers, its shape {shape:?} needs {expected}")));
        }
        let values = words.iter().map(|bytes| f32::from_le_bytes(*bytes)).chain(self.floats.iter().copied());
        Constant::of(shape, values.collect()).map_err(refuse)
    }
}

impl Constant {
    /// What is wrong with them, when they are not all finite.
    pub(crate) fn of(shape: Vec<usize>, values: Vec<f32>) -> Result<Self, String> {
        match values.iter().position(|value| !value.is_finite()) {
            Some(index) => Err(format!("is {} at place {index}: no weight may be", values[index])),
            None => Ok(Self { shape, values }),
        }
    }
}

impl<'b> Port<'b> {
    fn of(fields: Fields<'b>) -> Result<Self, ImportRefused> {
        let mut port = Self::default();
        for field in fields {
            let field = field?;
            match field.number {
                1 => port.name = field.text()?,
                2 => port.take_type(field.fields()?)?,
                _ => {}
            }
        }
        Ok(port)
    }

    fn take_type(&mut self, fields: Fields<'b>) -> Result<(), ImportRefused> {
        for tensor in numbered(1, fields) {
            for field in tensor?.fields()? {
                let field = field?;
                match field.number {
                    1 => self.element = Some(field.varint()?),
                    2 => self.take_shape(field.fields()?)?,
                    _ => {}
                }
            }
        }
        Ok(())
    }

    fn take_shape(&mut self, fields: Fields<'b>) -> Result<(), ImportRefused> {
        let shape = self.shape.insert(Vec::new());
        for dimension in numbered(1, fields) {
            let mut size = None;
            for field in numbered(1, dimension?.fields()?) {
                size = Some(field?.varint()?);
            }
            push("dimensions", RANK_MAX, shape, size)?;
        }
        Ok(())
    }

    /// A batch of rows of this many single-precision numbers, as far as it says anything.
    pub(crate) fn expect_rows(&self, width: usize) -> Result<(), ImportRefused> {
        let refuse = |what: String| ImportRefused::Input { name: shown(self.name), what };
        if let Some(found) = self.element.filter(|found| *found != FLOAT) {
            return Err(refuse(format!("is of data type {found}, and has to be single precision ({FLOAT})")));
        }
        match self.shape.as_deref() {
            None | Some([_, None]) => Ok(()),
            Some([_, Some(found)]) if *found == width as u64 => Ok(()),
            Some([_, Some(found)]) => Err(refuse(format!(
                "has {found} values, but the state of this site has {width} columns: a policy is for one list of columns, \
                 in its order (`corerl model inspect` shows that of a policy file)"
            ))),
            Some(other) => Err(refuse(format!("has {} dimensions, and has to have two: a batch of rows", other.len()))),
        }
    }
}

/// The fields with this number.
fn numbered<'b>(
    number: u64,
    fields: Fields<'b>,
) -> impl Iterator<Item = Result<Field<'b>, crate::protobuf::Malformed>> {
    fields.filter(move |field| field.as_ref().map_or(true, |field| field.number == number))
}
