"""Runs a model: evaluate.py MODEL STATES prints a JSON object with what the model gives and says of itself.

STATES is a JSON array of rows."""

import json
import sys

import numpy
import onnxruntime

model, states = sys.argv[1:3]
with open(states, encoding="utf-8") as file:
    rows = numpy.array(json.load(file), dtype=numpy.float32)
session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
outputs = [output.name for output in session.get_outputs()]
given = session.run(outputs, {session.get_inputs()[0].name: rows})
about = session.get_modelmeta().custom_metadata_map
names = {key: [column["name"] for column in json.loads(about[f"corerl.{key}"])]
         for key in ("columns", "actions") if f"corerl.{key}" in about}
print(json.dumps({**{name: values.astype(float).tolist() for name, values in zip(outputs, given)}, **names}))
