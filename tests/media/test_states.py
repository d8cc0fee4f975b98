"""How large the file of a state will be at least."""

import numpy as np
import pytest

from unitrack.media.models import least_bytes as least_bytes_of_model
from unitrack.media.states import least_bytes


def test_least_bytes_are_those_of_arrays_and_of_shared_tensors_once():
    assert least_bytes({"a": np.zeros(10), "b": [np.zeros((2, 2), np.float32)], "step": 3}) == 96
    assert least_bytes({"step": 3}) == 0
    torch = pytest.importorskip("torch", reason="its wheels are large")
    whole = torch.zeros(100)
    assert least_bytes({"whole": whole, "part": whole[:10], "other": torch.zeros(5)}) == 420
    assert least_bytes({"sparse": torch.eye(3).to_sparse()}) == 0
    assert least_bytes_of_model(torch.nn.Linear(10, 2)) == 88
    assert least_bytes_of_model(object()) == 0
