"""The columns of the Parquet files, and the attributes in which unitrack keeps what Neptune has no place for."""

from __future__ import annotations

COLUMNS = {
    "project_id": "VARCHAR",
    "run_id": "VARCHAR",
    "attribute_path": "VARCHAR",
    "attribute_type": "VARCHAR",
    "step": "DECIMAL(18, 6)",
    "timestamp": "TIMESTAMPTZ",
    "int_value": "BIGINT",
    "float_value": "DOUBLE",
    "string_value": "VARCHAR",
    "bool_value": "BOOLEAN",
    "datetime_value": "TIMESTAMPTZ",
    "string_set_value": "VARCHAR[]",
    "file_value": "STRUCT(path VARCHAR)",
    "histogram_value": "STRUCT(type VARCHAR, edges DOUBLE[], values DOUBLE[])",
}
"""Each with its type in DuckDB, in their order."""

SCALARS = ("float", "int", "string", "bool", "datetime", "string_set")
"""The types of attributes with one value."""

STEP_END = 10**12
"""A step in six decimals of eighteen digits is less than this."""

SYS, OWN = "sys/", "unitrack/"
"""The prefixes of Neptune's own attributes, and of those that unitrack adds when it exports."""

FORMAT, FORMAT_VERSION = "unitrack/format", 1
"""Which version of these attributes unitrack has written; a run of neptune-exporter has none."""
RUN_ID, PROJECT, STATUS, ENDED = "unitrack/id", "unitrack/project", "unitrack/status", "unitrack/ended"
TAG, PARAM, ARTIFACT = "unitrack/tags/", "unitrack/params/", "unitrack/artifacts/"
"""Before the name of a tag; of a param whose name begins like Neptune's attributes or these; of an artifact, for what
its record says of it, in JSON."""
AS_JSON = "unitrack/json"
"""The params whose string is JSON: lists, mappings, None."""
NO_PROJECT = "unitrack"
"""The project of a run without one: neptune-exporter's loaders pass over a run whose project has no name."""
