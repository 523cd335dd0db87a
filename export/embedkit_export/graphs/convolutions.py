"""Convolutions over tokens as products of token vectors.

A convolution of onnxruntime gives a row other last bits beside other rows, and none of the precisions knows it. The same
numbers come from one product: each token's vector, joined with those of its neighbours (zeros beyond the ends), times
the kernel as a matrix. The joined vectors are what the runtime's own convolution makes too, by the name of im2col. With a
stride only every so many tokens are joined.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

Floats = npt.NDArray[np.float32]
_END = np.iinfo(np.int64).max
_WIDE = 16
"""Places of a kernel from which on the neighbours are gathered by their numbers, not cut out one by one."""


def expand(model: ir.Model) -> int:
    """Rewrite the convolutions of ``model`` over one axis, in place; how many."""
    done = 0
    for node in list(model.graph):
        if node.op_type == "Conv" and node.domain == "" and (found := _Convolution.read(node)) is not None:
            found.rewrite(model.graph)
            done += 1
    return done


class _Convolution:
    """A Conv of (batch, channels, tokens) with a constant (out, channels / groups, kernel)."""

    def __init__(self, node: ir.Node, weight: Floats, pads: list[int], steps: tuple[int, int], groups: int) -> None:
        self.node, self.weight, self.pads, self.groups = node, weight, pads, groups
        self.dilation, self.stride = steps
        self.graph: ir.Graph
        self.made = 0

    @classmethod
    def read(cls, node: ir.Node) -> _Convolution | None:
        """None where the node is of another kind."""
        source, kernel = node.inputs[0], node.inputs[1]
        weight = kernel.const_value.numpy() if kernel is not None and kernel.const_value is not None else None
        if source is None or source.shape is None or weight is None or weight.ndim != 3 or weight.dtype != np.float32:
            return None
        given = {name: list(value.as_ints()) for name in ("strides", "dilations", "pads") if (value := _of(node, name))}
        auto, groups = _of(node, "auto_pad"), _of(node, "group")
        dilation = given.get("dilations", [1])[0]
        pads = given.get("pads", [0, 0])
        if min(pads) < 0 or (auto is not None and auto.as_string() != "NOTSET"):
            return None
        steps = dilation, given.get("strides", [1])[0]
        return cls(node, weight, pads, steps, groups.as_int() if groups is not None else 1)

    def rewrite(self, graph: ir.Graph) -> None:
        """Put the products in the place of the node."""
        self.graph = graph
        source, out = self.node.inputs[0], self.node.outputs[0]
        assert source is not None
        assert source.shape is not None
        batch = source.shape[0]
        lead = [batch, source.shape[2] if self._keeps else None if out.shape is None else out.shape[2]]
        before = source.producer()
        if before is not None and before.op_type == "Transpose" and _swaps(before):
            tokens = before.inputs[0]
            assert tokens is not None
        else:
            tokens = self._op("Transpose", [source], [batch, source.shape[2], self._channels], perm=[0, 2, 1])
        tokens = self._padded(tokens, batch)
        wide = self.weight.shape[2] >= _WIDE and self.weight.shape[1] > 1
        last = self._gathered(tokens, lead) if wide else self._product(self._shifted(tokens, lead), lead)
        if len(self.node.inputs) > 2 and self.node.inputs[2] is not None:
            last = self._op("Add", [last, self.node.inputs[2]], [*lead, len(self.weight)])
        for user, _ in list(out.uses()):
            if user.op_type == "Transpose" and _swaps(user):
                user.outputs[0].replace_all_uses_with(last, replace_graph_outputs=True)
                graph.remove(user, safe=True)
        if list(out.uses()) or out.is_graph_output():
            back = self._op("Transpose", [last], [lead[0], len(self.weight), lead[1]], perm=[0, 2, 1])
            out.replace_all_uses_with(back, replace_graph_outputs=True)
        graph.remove(self.node, safe=True)

    @property
    def _keeps(self) -> bool:
        """Whether there are as many tokens behind it as before."""
        return self.stride == 1 and sum(self.pads) == self.dilation * (self.weight.shape[2] - 1)

    @property
    def _channels(self) -> int:
        return int(self.weight.shape[1]) * self.groups

    def _shifted(self, tokens: ir.Value, lead: list[Any]) -> list[ir.Value]:
        """For each place of the kernel, the vectors that it meets."""
        kernel = self.weight.shape[2]
        if kernel == 1 and self.stride == 1:
            return [tokens]
        stops = [-self.dilation * (kernel - 1 - place) or _END for place in range(kernel)]
        return [
            self._op(
                "Slice",
                [
                    tokens,
                    self._ints([place * self.dilation]),
                    self._ints([stop]),
                    self._ints([1]),
                    self._ints([self.stride]),
                ],
                [*lead, self._channels],
            )
            for place, stop in enumerate(stops)
        ]

    def _padded(self, tokens: ir.Value, batch: Any) -> ir.Value:
        if not any(self.pads):
            return tokens
        ends = self._ints([0, self.pads[0], 0, 0, self.pads[1], 0])
        return self._op("Pad", [tokens, ends], [batch, None, self._channels])

    def _gathered(self, tokens: ir.Value, lead: list[Any]) -> ir.Value:
        """The products of a wide kernel: the numbers of each token's neighbours are counted once, and a group's neighbours are
        in memory only while its product is computed."""
        out, width, kernel = self.weight.shape
        reach = self.dilation * (kernel - 1)
        count = self._op(
            "Gather",
            [self._op("Shape", [tokens], [3], ir.DataType.INT64), self._whole(1)],
            [],
            ir.DataType.INT64,
            axis=0,
        )
        ends = self._op("Sub", [count, self._whole(reach)], [], ir.DataType.INT64)
        first = self._op("Range", [self._whole(0), ends, self._whole(self.stride)], [None], ir.DataType.INT64)
        column = self._op("Unsqueeze", [first, self._ints([1])], [None, 1], ir.DataType.INT64)
        places = self._op(
            "Add", [column, self._ints(list(range(0, reach + 1, self.dilation)))], [None, kernel], ir.DataType.INT64
        )
        products = []
        for group, kernels in enumerate(np.split(self.weight, self.groups)):
            own = tokens
            if self.groups > 1:
                begin, end = (self._ints([width * (group + i)]) for i in (0, 1))
                own = self._op("Slice", [tokens, begin, end, self._ints([2])], [lead[0], None, width])
            seen = self._op("Gather", [own, places], [*lead, kernel, width], axis=1)
            joined = self._op("Reshape", [seen, self._ints([0, 0, kernel * width])], [*lead, kernel * width])
            matrix = kernels.transpose(2, 1, 0).reshape(-1, len(kernels))
            products.append(self._op("MatMul", [joined, self._constant(matrix)], [*lead, len(kernels)]))
        return self._op("Concat", products, [*lead, out], axis=-1) if self.groups > 1 else products[0]

    def _product(self, shifted: list[ir.Value], lead: list[Any]) -> ir.Value:
        out, width, _ = self.weight.shape
        if width == 1 and out == self.groups:  # a number a channel and place
            parts = [
                self._op("Mul", [value, self._constant(self.weight[:, 0, place])], [*lead, out])
                for place, value in enumerate(shifted)
            ]
            total = parts[0]
            for part in parts[1:]:
                total = self._op("Add", [total, part], [*lead, out])
            return total
        products = []
        for group, kernels in enumerate(np.split(self.weight, self.groups)):
            seen = shifted
            if self.groups > 1:
                begin, end = (self._ints([width * (group + i)]) for i in (0, 1))
                seen = [self._op("Slice", [value, begin, end, self._ints([2])], [*lead, width]) for value in shifted]
            joined = self._op("Concat", seen, [*lead, width * len(seen)], axis=-1) if len(seen) > 1 else seen[0]
            matrix = kernels.transpose(2, 1, 0).reshape(-1, len(kernels))
            products.append(self._op("MatMul", [joined, self._constant(matrix)], [*lead, len(kernels)]))
        return self._op("Concat", products, [*lead, out], axis=-1) if self.groups > 1 else products[0]

    def _op(
        self, kind: str, inputs: list[Any], shape: list[Any], type_: ir.DataType = ir.DataType.FLOAT, **attributes: Any
    ) -> ir.Value:
        node = ir.node(kind, inputs, attributes, name=f"{self.node.name}/{self.made}/{kind}")
        self.graph.insert_before(self.node, node)
        made = node.outputs[0]
        made.name = f"{self.node.outputs[0].name}/{self.made}"
        made.shape, made.type = ir.Shape(shape), ir.TensorType(type_)
        self.made += 1
        return made

    def _constant(self, array: npt.NDArray[Any]) -> ir.Value:
        name = f"{self.node.outputs[0].name}/constant{self.made}"
        self.made += 1
        tensor = ir.tensor(np.ascontiguousarray(array), name=name)
        value = ir.Value(name=name, shape=ir.Shape(array.shape), type=ir.TensorType(tensor.dtype), const_value=tensor)
        self.graph.register_initializer(value)
        return value

    def _whole(self, number: int) -> ir.Value:
        return self._constant(np.array(number, np.int64))

    def _ints(self, numbers: list[int]) -> ir.Value:
        return self._constant(np.array(numbers, np.int64))


def _of(node: ir.Node, name: str) -> ir.Attr | None:
    return node.attributes.get(name)


def _swaps(node: ir.Node) -> bool:
    order = node.attributes.get("perm")
    return order is not None and list(order.as_ints()) == [0, 2, 1]
