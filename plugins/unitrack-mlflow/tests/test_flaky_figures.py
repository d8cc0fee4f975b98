"""A server that refuses requests all day: everything arrives once through unitrack, and what the plain client does."""

from __future__ import annotations

from pathlib import Path

import pytest
from mlflow_loads import TROUBLES, Client, deliver
from mlflow_proxy import Proxy
from unitrack_tests.faults import FULL, figure

TABLE = "Flaky server, MLflow"
COUNT = 200 if FULL else 20
LIMIT_S = 120.0
SHORT = ["503 for 5 %", "503 for 25 %"]


@pytest.mark.faults
@pytest.mark.timeout(3 * LIMIT_S + 60)
@pytest.mark.parametrize("name", TROUBLES if FULL else SHORT)
def test_texts_and_points_in_turn(proxy: Proxy, tmp_path: Path, name: str) -> None:
    """In the long form the plain client gets the same load, for the figures: nothing is asserted of it."""
    clients: dict[Client, str] = {"unitrack": "unitrack"} | ({"MLflow": "MLflow by itself"} if FULL else {})
    for client, title in clients.items():
        make = TROUBLES[name]
        trouble = make() if make else None
        got = deliver(client, proxy, tmp_path / client, trouble, "alternating", COUNT, LIMIT_S)
        says = "all is there" if got.says == "complete" else got.says
        figure(
            TABLE,
            f"{name}: {title}",
            requests_refused=got.refused,
            texts=got.texts,
            points=got.points,
            doubled=got.doubled,
            says=says,
            seconds=f"{got.seconds:.1f}",
        )
        if client == "unitrack":
            assert (got.says, got.dead) == ("complete", 0)
            assert (got.runs, got.texts, got.points, got.doubled) == (1, COUNT, COUNT, 0)
            assert trouble is None or trouble.refused
