"""The source of neptune-exporter's files, on files with its schema, layout and spelling of names."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import unitrack
import unitrack.sources.neptune_export
from unitrack.errors import SourceError
from unitrack.records import metric_definitions
from unitrack.testing import Contents, SourceConformance

pytest.importorskip("duckdb", reason="neptune-exporter's files are read by DuckDB: unitrack-core[sql]")
pa = pytest.importorskip("pyarrow", reason="neptune-exporter writes its files with pyarrow, and so do these tests")
pq = pytest.importorskip("pyarrow.parquet")

CREATED = datetime(2025, 3, 1, 12, tzinfo=UTC)
MODIFIED = CREATED + timedelta(hours=2)
MS = 1_740_830_400_000
"""CREATED."""
SCHEMA = pa.schema(
    [
        ("project_id", pa.string()),
        ("run_id", pa.string()),
        ("attribute_path", pa.string()),
        ("attribute_type", pa.string()),
        ("step", pa.decimal128(18, 6)),
        ("timestamp", pa.timestamp("ms", tz="UTC")),
        ("int_value", pa.int64()),
        ("float_value", pa.float64()),
        ("string_value", pa.string()),
        ("bool_value", pa.bool_()),
        ("datetime_value", pa.timestamp("ms", tz="UTC")),
        ("string_set_value", pa.list_(pa.string())),
        ("file_value", pa.struct([("path", pa.string())])),
        (
            "histogram_value",
            pa.struct([("type", pa.string()), ("edges", pa.list_(pa.float64())), ("values", pa.list_(pa.float64()))]),
        ),
    ]
)
"""`neptune_exporter.model.SCHEMA`."""


def attribute(path: str, kind: str, value: Any, step: Any = None, time: datetime | None = None) -> dict[str, Any]:
    column = {"float_series": "float", "string_series": "string", "histogram_series": "histogram"}.get(kind, kind)
    column = "file" if kind in ("file_series", "file_set", "artifact") else column
    step = None if step is None else Decimal(step).quantize(Decimal("1.000000"))
    return {
        "attribute_path": path,
        "attribute_type": kind,
        "step": step,
        "timestamp": time,
        f"{column}_value": {"path": value} if column == "file" else value,
    }


def write(root: Path, run_id: str, *parts: list[dict[str, Any]], project_id: str = "team/vision") -> None:
    from unitrack.sources.neptune_export.layout import folder_name

    for number, rows in enumerate(parts):
        path = root / "data" / folder_name(project_id) / f"{folder_name(run_id)}_part_{number}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        table = pa.Table.from_pylist([{"project_id": project_id, "run_id": run_id, **row} for row in rows], SCHEMA)
        pq.write_table(table, path, compression="snappy")


def write_file(root: Path, path: str, content: bytes, project_id: str = "team/vision") -> None:
    from unitrack.sources.neptune_export.layout import folder_name

    file = root / "files" / folder_name(project_id) / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)


def second(number: int) -> datetime:
    return CREATED + timedelta(seconds=number)


def sys_of(name: str, **more: Any) -> list[dict[str, Any]]:
    kinds = {str: "string", bool: "bool", list: "string_set", datetime: "datetime", float: "float", int: "int"}
    known = {"name": name, "creation_time": CREATED, "modification_time": MODIFIED, "state": "Inactive", **more}
    return [attribute(f"sys/{key}", kinds[type(value)], value) for key, value in known.items()]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("exports")
    losses = [(0, 0.5), (1, math.nan), (2, math.inf), (3, 0.1 + 0.2), (4, -0.0), (5, 5e-324)]
    write(
        root,
        "SAN-1",
        [
            *sys_of("baseline", description="the first", tags=["a", "b c"], owner="ada", group_tags=["g"]),
            attribute("parameters/lr", "float", 0.1),
            attribute("parameters/epochs", "int", 2**60),
            attribute("parameters/optimizer", "string", "adam"),
            attribute("parameters/amp", "bool", value=True),
            attribute("parameters/layers", "string_set", ["x", "y"]),
            attribute("parameters/when", "datetime", CREATED),
            *(attribute("metrics/loss", "float_series", value, step, second(step)) for step, value in losses[:3]),
        ],
        [
            *(attribute("metrics/loss", "float_series", value, step, second(step)) for step, value in losses[3:]),
            *(
                attribute("metrics/acc", "float_series", value, step, second(step))
                for step, value in ((4, 2.0), (2, 1.0))
            ),
            attribute("monitoring/stdout", "string_series", "hello\n", 0, second(0)),
            attribute("monitoring/stdout", "string_series", "bye", 1, second(1)),
            attribute("model/best", "file", "SAN-1/model/best"),
            attribute("samples", "file_series", "SAN-1/samples/0.png", 0, second(0)),
            attribute("samples", "file_series", "SAN-1/samples/1.png", 1, second(1)),
            attribute("code", "file_set", "SAN-1/code"),
        ],
    )
    for path, content in {
        "SAN-1/model/best": b"weights",
        "SAN-1/samples/0.png": b"0",
        "SAN-1/samples/1.png": b"11",
        "SAN-1/code/files.zip": b"PK",
    }.items():
        write_file(root, path, content)
    write(root, "SAN-2", [*sys_of("live", state="Active"), attribute("x", "float_series", 1.0, 7)])
    write(root, "SAN-3", [*sys_of("broken", failed=True)])
    return root


SAN_1 = Contents(
    name="baseline",
    project="team/vision",
    description="the first",
    tags={"a": "", "b c": "", "unitrack.group": "g", "sys/owner": "ada", "sys/state": "Inactive"}
    | {"sys/modification_time": "2025-03-01T14:00:00.000Z"},
    params={
        "parameters/lr": 0.1,
        "parameters/epochs": 2**60,
        "parameters/optimizer": "adam",
        "parameters/amp": True,
        "parameters/layers": ["x", "y"],
        "parameters/when": "2025-03-01T12:00:00.000Z",
    },
    points={
        "metrics/loss": [(0, 0.5), (1, math.nan), (2, math.inf), (3, 0.1 + 0.2), (4, -0.0), (5, 5e-324)],
        "metrics/acc": [(4, 2.0), (2, 1.0)],
    },
    times={"metrics/loss": [MS + 1000 * step for step in range(6)], "metrics/acc": [MS + 4000, MS + 2000]},
    files={
        "model/best": b"weights",
        "samples/0.png": b"0",
        "samples/1.png": b"11",
        "code/files.zip": b"PK",
        "monitoring/stdout.jsonl": b'{"step":0.0,"time":1740830400000,"value":"hello\\n"}\n'
        b'{"step":1.0,"time":1740830401000,"value":"bye"}\n',
    },
    status="finished",
)
LIVE = Contents(
    name="live",
    project="team/vision",
    tags={"sys/state": "Active", "sys/modification_time": "2025-03-01T14:00:00.000Z"},
    points={"x": [(7, 1.0)]},
    times={"x": [MS]},
)
BROKEN = Contents(
    name="broken",
    project="team/vision",
    tags={"sys/state": "Inactive", "sys/modification_time": "2025-03-01T14:00:00.000Z", "sys/failed": "true"},
    status="failed",
)


class TestNeptuneExport(SourceConformance):
    """The conformance suite."""

    plugin = unitrack.sources.neptune_export

    @pytest.fixture
    def location(self, store: Path) -> str:
        return str(store)

    @pytest.fixture
    def expected(self) -> Mapping[str, Contents]:
        return {"SAN-1": SAN_1, "SAN-2": LIVE, "SAN-3": BROKEN}


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("org/project", "org_project-ea8dfac2f8d8c39c"),
        ("my-project_123", "my-project_123-b1846f7fea709615"),
        ("test@#$%", "test____-8f40bd1cc2c0cd5a"),
    ],
)
def test_folders_are_spelled_as_neptune_exporter_spells_them(name: str, folder: str) -> None:
    """As its `sanitize_path_part` gives them, version of 2026-02-27."""
    from unitrack.sources.neptune_export.layout import folder_name

    assert folder_name(name) == folder


def test_the_data_folder_alone_is_a_location(store: Path) -> None:
    found = unitrack.runs(f"neptune-export:{store / 'data'}").find("baseline")
    assert (found.ended, found.group) == (MS + 7_200_000, "g")
    assert Path(next(one.file for one in found.artifacts if one.name == "model/best")).read_bytes() == b"weights"


def test_a_run_without_its_first_part_was_not_exported_to_the_end(tmp_path: Path) -> None:
    write(tmp_path, "SAN-1", sys_of("whole"))
    write(tmp_path, "SAN-2", sys_of("cut"), [attribute("x", "float_series", 1.0, 0)])
    [part] = tmp_path.glob("data/*/SAN-2*_part_0.parquet")
    part.unlink()
    assert [run.name for run in unitrack.runs(f"neptune-export:{tmp_path}")] == ["whole"]


def test_fractional_steps_keep_their_order_and_their_exact_values(tmp_path: Path) -> None:
    """The steps of such a metric are numbered; the exact ones are a metric of their own, the x-axis of the others."""
    halves = [("0.5", 1.0), ("0", 0.0), ("1.5", 3.0), ("1", 2.0)]
    write(
        tmp_path,
        "SAN-1",
        [
            *sys_of("halves"),
            *(attribute("val", "float_series", value, step, second(0)) for step, value in halves),
            attribute("deep", "float_series", 9.0, "0.5", second(1)),
            attribute("whole", "float_series", 5.0, "12", second(1)),
        ],
    )
    [run] = unitrack.runs(f"neptune-export:{tmp_path}")
    points = {name: [(point.step, point.value) for point in one] for name, one in run.histories().items()}
    assert points == {
        "val": [(1, 1.0), (0, 0.0), (3, 3.0), (2, 2.0)],
        "deep": [(1, 9.0)],
        "whole": [(12, 5.0)],
        "neptune/step": [(0, 0.0), (1, 0.5), (2, 1.0), (3, 1.5)],
    }
    axes = {metric: one.step_metric for metric, one in metric_definitions(run.tags).items()}
    assert axes == {"val": "neptune/step", "deep": "neptune/step"}
    assert run.summary == {"val": 3.0, "deep": 9.0, "whole": 5.0, "neptune/step": 1.5}


def test_points_without_a_step_are_numbered(tmp_path: Path) -> None:
    write(
        tmp_path, "SAN-1", [*sys_of("n"), *(attribute("x", "float_series", float(n), None, second(n)) for n in (3, 4))]
    )
    [run] = unitrack.runs(f"neptune-export:{tmp_path}")
    assert [(point.step, point.value) for point in run.history("x")] == [(0, 3.0), (1, 4.0)]


def test_histograms_come_back_with_their_steps(tmp_path: Path) -> None:
    values = [{"type": "COUNTING", "edges": [0.0, 1.0, 2.0], "values": [3.0, float(step)]} for step in range(2)]
    rows = [attribute("weights", "histogram_series", value, step, second(step)) for step, value in enumerate(values)]
    write(tmp_path, "SAN-1", [*sys_of("h"), *rows])
    [run] = unitrack.runs(f"neptune-export:{tmp_path}")
    found = [record for record in run.records() if getattr(record, "type", None) == "histogram"]
    assert [(one.name, one.step) for one in found] == [("weights.json", 0), ("weights.json", 1)]
    content = run.fetch(found[1], tmp_path / "out").read_text()
    assert json.loads(content) == {"counts": [3.0, 1.0], "edges": [0.0, 1.0, 2.0]}


def test_two_projects_with_a_run_of_one_id(tmp_path: Path) -> None:
    for project in ("team/a", "team/b"):
        write(tmp_path, "SAN-1", sys_of(project), project_id=project)
    assert {run.id for run in unitrack.runs(f"neptune-export:{tmp_path}")} == {"SAN-1", "team/b/SAN-1"}


def test_a_file_that_is_not_there_or_lies_elsewhere_is_named_and_not_read(tmp_path: Path) -> None:
    """An export may come from a stranger."""
    (tmp_path / "secret").write_text("x")
    rows = [attribute("gone", "file", "SAN-1/gone"), attribute("../out", "file", "../../secret")]
    write(tmp_path / "export", "SAN-1", [*sys_of("f"), *rows])
    [run] = unitrack.runs(f"neptune-export:{tmp_path / 'export'}")
    assert {one.name: one.file for one in run.artifacts} == {"gone": "SAN-1/gone", "out": "../../secret"}
    for name in ("gone", "out"):
        with pytest.raises(SourceError, match="is not in the folder of files of the export"):
            run.fetch(name, tmp_path / "to")


@pytest.mark.parametrize(
    ("place", "why"),
    [("nowhere", "there is no folder"), (".", "there are no runs of neptune-exporter in")],
)
def test_a_place_without_an_export_says_what_to_give(root: Path, place: str, why: str) -> None:
    with pytest.raises(SourceError, match=rf"{why}.*give the folder that holds data/ and files/"):
        unitrack.runs(f"neptune-export:{place}")
