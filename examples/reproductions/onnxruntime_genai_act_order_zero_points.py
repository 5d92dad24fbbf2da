"""ONNX Runtime's MatMulNBits on the CPU takes every zero point for 8 once there is a g_idx.

onnxruntime-genai's model builder writes such nodes for act-order GPTQ checkpoints, asymmetric ones too.
"""

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

inputs, outputs, block, q, z = 64, 1, 32, 9, 5
given = {
    "B": np.full((outputs, 2, block // 2), q * 17, np.uint8),
    "scales": np.array([1.0, 2.0], np.float32),
    "zero_points": np.array([z * 17], np.uint8),
    "g_idx": np.arange(inputs, dtype=np.int32) // block,  # the groups that it would have without a g_idx, too
}
constants = [numpy_helper.from_array(value, name) for name, value in given.items()]
a, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["M", "N"]) for name in "AY")
print("expected", [(q - z) * 1.0, (q - z) * 2.0])
for names in (["B", "scales", "zero_points"], list(given)):
    options = {"domain": "com.microsoft", "K": inputs, "N": outputs, "bits": 4, "block_size": block}
    node = helper.make_node("MatMulNBits", ["A", *names], ["Y"], **options)
    graph = helper.make_graph([node], "graph", [a], [y], [c for c in constants if c.name in names])
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=imports, ir_version=9).SerializeToString()
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    weight = session.run(None, {"A": np.eye(inputs, dtype=np.float32)})[0][:, 0]
    print(f"got      {[float(weight[0]), float(weight[-1])]} from inputs A, {', '.join(names)}")
