"""Makes a policy as somebody else would have trained it: perceptron.py MODEL SITE writes a ReLU perceptron with a normaliser.

SITE is a JSON object with `columns` and `actions`, each an array of [zero, one]: what the ends of the scale stand for."""

import json
import sys

import numpy
import onnx
from onnx import TensorProto, helper, numpy_helper

HIDDEN = (96, 64)

model, site = sys.argv[1:3]
with open(site, encoding="utf-8") as file:
    site = json.load(file)
columns, actions = (numpy.array(site[key], dtype=numpy.float64) for key in ("columns", "actions"))
random = numpy.random.default_rng(20)
constants = []


def constant(name, values):
    constants.append(numpy_helper.from_array(numpy.asarray(values, dtype=numpy.float32), name))
    return name


def weights(name, outputs, inputs):
    return constant(name, random.normal(0.0, 1.0 / numpy.sqrt(inputs), (outputs, inputs)))


mean, spread = columns.mean(axis=1), 0.5 * (columns[:, 1] - columns[:, 0])
low, width = actions[:, 0], actions[:, 1] - actions[:, 0]
first, second = HIDDEN
nodes = [
    helper.make_node("Sub", ["observation", constant("mean", mean)], ["centred"]),
    helper.make_node("Div", ["centred", constant("spread", spread)], ["normal"]),
    # As PyTorch writes a layer.
    helper.make_node("Gemm", ["normal", weights("w0", first, len(columns)), constant("b0", random.normal(0, 0.1, first))],
                     ["s0"], transB=1, alpha=0.5, beta=2.0),
    helper.make_node("Relu", ["s0"], ["h0"]),
    # As TensorFlow does.
    helper.make_node("MatMul", ["h0", constant("w1", random.normal(0, 0.1, (first, second)))], ["p1"]),
    helper.make_node("Add", ["p1", constant("b1", random.normal(0, 0.1, second))], ["s1"]),
    helper.make_node("LeakyRelu", ["s1"], ["h1"], alpha=0.125),
    helper.make_node("Gemm", ["h1", weights("w2", len(actions), second), constant("b2", numpy.full(len(actions), 0.5))],
                     ["share"], transB=1),
    helper.make_node("Clip", ["share", constant("least", 0.0), constant("most", 1.0)], ["within"]),
    helper.make_node("Mul", ["within", constant("width", width)], ["scaled"]),
    helper.make_node("Add", ["scaled", constant("low", low)], ["action"]),
]
graph = helper.make_graph(
    nodes, "actor",
    [helper.make_tensor_value_info("observation", TensorProto.FLOAT, ["batch", len(columns)])],
    [helper.make_tensor_value_info("action", TensorProto.FLOAT, ["batch", len(actions)])],
    constants,
)
made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8, producer_name="perceptron.py")
onnx.checker.check_model(made)
onnx.save(made, model)
