"""Runs an exported policy: evaluate.py MODEL STATES prints a JSON object with what the model gives and says of itself.

STATES is a JSON array of rows."""

import json
import sys

import numpy
import onnxruntime

model, states = sys.argv[1:3]
with open(states, encoding="utf-8") as file:
    rows = numpy.array(json.load(file), dtype=numpy.float32)
session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
setpoints, deviations = session.run(["setpoints", "deviations"], {"state": rows})
about = session.get_modelmeta().custom_metadata_map
print(json.dumps({
    "setpoints": setpoints.astype(float).tolist(),
    "deviations": deviations.astype(float).tolist(),
    "columns": [column["name"] for column in json.loads(about["corerl.columns"])],
    "actions": [action["name"] for action in json.loads(about["corerl.actions"])],
}))
