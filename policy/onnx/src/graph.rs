//! The parts of an ONNX model (onnx.proto3, IR version 8, operator set 13), in the words of its specification.

use crate::protobuf::Message;

const IR_VERSION: u64 = 8;
const OPERATOR_SET: u64 = 13;
/// `TensorProto.DataType.FLOAT`.
const FLOAT: u64 = 1;
/// `AttributeProto.AttributeType.INT`.
const INT: u64 = 2;
/// The name of the dimension that may be anything.
const BATCH: &str = "batch";

/// A graph under construction. Values have names; a node's output is its only one.
#[derive(Debug, Default)]
pub(crate) struct Graph {
    nodes: Vec<Message>,
    initializers: Vec<Message>,
    inputs: Vec<Message>,
    outputs: Vec<Message>,
}

impl Graph {
    /// A tensor that is part of the model; its name.
    pub(crate) fn constant<'n>(&mut self, name: &'n str, shape: &[usize], values: &[f32]) -> &'n str {
        let dimensions = shape.iter().fold(Message::new(), |tensor, size| tensor.number(1, *size as u64));
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.initializers.push(dimensions.number(2, FLOAT).text(8, name).bytes(9, &bytes));
        name
    }

    /// A node of this operator; the name of its output.
    pub(crate) fn node(&mut self, operator: &str, inputs: &[&str], attributes: &[(&str, u64)], output: &str) -> String {
        let attribute = |(name, value): &(&str, u64)| Message::new().text(1, name).number(3, *value).number(20, INT);
        let attributes: Vec<_> = attributes.iter().map(attribute).collect();
        let node = Message::new().texts(1, inputs.iter().copied()).text(2, output).text(3, output).text(4, operator);
        self.nodes.push(node.messages(5, &attributes));
        output.to_owned()
    }

    pub(crate) fn input(&mut self, name: &str, width: usize) {
        self.inputs.push(value_info(name, width));
    }

    pub(crate) fn output(&mut self, name: &str, width: usize) {
        self.outputs.push(value_info(name, width));
    }

    /// The model as a file, with what it says of itself.
    pub(crate) fn into_model(self, name: &str, producer: (&str, &str), about: &[(&str, &str)]) -> Vec<u8> {
        let graph = Message::new()
            .messages(1, &self.nodes)
            .text(2, name)
            .messages(5, &self.initializers)
            .messages(11, &self.inputs)
            .messages(12, &self.outputs);
        let entry = |(key, value): &(&str, &str)| Message::new().text(1, key).text(2, value);
        let entries: Vec<_> = about.iter().map(entry).collect();
        Message::new()
            .number(1, IR_VERSION)
            .text(2, producer.0)
            .text(3, producer.1)
            .message(7, &graph)
            .message(8, &Message::new().text(1, "").number(2, OPERATOR_SET))
            .messages(14, &entries)
            .into_bytes()
    }
}

/// A batch of rows of this width.
fn value_info(name: &str, width: usize) -> Message {
    let dimensions = [Message::new().text(2, BATCH), Message::new().number(1, width as u64)];
    let shape = Message::new().messages(1, &dimensions);
    let tensor = Message::new().number(1, FLOAT).message(2, &shape);
    Message::new().text(1, name).message(2, &Message::new().message(1, &tensor))
}
