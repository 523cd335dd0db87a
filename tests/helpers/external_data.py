"""Models whose weights lie outside their file."""

from __future__ import annotations

from pathlib import Path

import onnx
from onnx import TensorProto, helper


def external_model(path: Path, location: str, where: str) -> None:
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[2], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value=location)
    tensor.external_data.add(key="offset", value="0")
    out = helper.make_tensor_value_info("y", TensorProto.FLOAT, [2])
    if where == "initializer":
        graph = helper.make_graph([helper.make_node("Identity", ["w"], ["y"])], "g", [], [out], [tensor])
    elif where == "attribute":
        graph = helper.make_graph([helper.make_node("Constant", [], ["y"], value=tensor)], "g", [], [out])
    else:
        inner = helper.make_graph([helper.make_node("Identity", ["w"], ["y"])], "inner", [], [out], [tensor])
        condition = helper.make_tensor("c", TensorProto.BOOL, [], [True])
        graph = helper.make_graph(
            [helper.make_node("If", ["c"], ["y"], then_branch=inner, else_branch=inner)], "g", [], [out], [condition]
        )
    onnx.save(helper.make_model(graph), path)
