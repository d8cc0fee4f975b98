"""The JSON Schema of the configuration file. `python -m unitrack.config.schema` writes schema.json anew."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from unitrack.config.checking import SECTIONS
from unitrack.config.descriptions import field_descriptions
from unitrack.config.settings import Settings
from unitrack.config.sizes import PATTERN

SCHEMA_FILE = Path(__file__).with_name("schema.json")


def make_schema(
    backends: Mapping[str, type[msgspec.Struct]] | None = None, middleware: Iterable[str] = ()
) -> dict[str, Any]:
    """Return the schema, generated from `Settings`. `backends`: the options of each backend, to be checked as well.
    `middleware`: the names of options that every sink takes.

    Any option may be text that holds `${VAR}`.
    """
    types = {"": Settings, **(backends or {})}
    found, definitions = msgspec.json.schema_components(types.values(), ref_template="#/$defs/{name}")
    references = dict(zip(types, found, strict=True))
    top = definitions.pop(Settings.__name__)
    for name, section in SECTIONS.items():
        definition = definitions[section.__name__]
        summary = str(section.__doc__)
        top["properties"][name] = {"$ref": f"#/$defs/{section.__name__}", "description": summary}
        texts = field_descriptions(section)
        for key, schema_of_key in definition["properties"].items():
            schema_of_key |= {"title": f"{name}.{key}", "description": texts[key]}
            if key.endswith("_bytes"):
                known = schema_of_key.pop("anyOf", None) or [{"type": schema_of_key.pop("type")}]
                schema_of_key["anyOf"] = [*known, {"type": "string", "pattern": PATTERN}]
    tags = definitions["Experiment"]["properties"]["tags"]
    listed = {"type": "array", "items": {"type": "string", "minLength": 1}}
    tags["anyOf"] = [
        {key: tags.pop(key) for key in ("type", "additionalProperties", "propertyNames") if key in tags},
        listed,
    ]
    tracking = definitions["Tracking"]["properties"]
    tracking["sinks"] = _sinks_schema(tracking["sinks"], backends or {}, references)
    for backend, options in (backends or {}).items():
        _complete(definitions[references[backend]["$ref"].rpartition("/")[2]], options, middleware)
    top["title"] = "unitrack"
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **top, "$defs": definitions}


def _sinks_schema(
    schema_of_key: dict[str, Any], backends: Iterable[str], references: Mapping[str, dict[str, Any]]
) -> dict[str, Any]:
    """Return the schema of `sinks`: names, mappings of options by name, or a list of both.

    The options of known backends are as those declare them.
    """
    known = {name: {"anyOf": [{"type": "null"}, references[name]]} for name in backends}
    options = {"type": "object", "properties": known, "minProperties": 1}
    options["additionalProperties"] = False if known else {"type": ["object", "null"]}
    name = {"type": "string", "minLength": 1} | ({"enum": sorted(known)} if known else {})
    entry = {"anyOf": [name, options | {"maxProperties": 1}]}
    forms = [name, options, {"type": "array", "items": entry, "minItems": 1}, {"type": "null"}]
    kept = {key: value for key, value in schema_of_key.items() if key in ("title", "description", "default")}
    return {"anyOf": forms, **kept}


def _complete(definition: dict[str, Any], options: type[msgspec.Struct], middleware: Iterable[str]) -> None:
    """Describe a backend's options, and add what any sink may have beside them: its name and middleware."""
    texts = field_descriptions(options)
    for key, value in definition["properties"].items():
        value["description"] = texts.get(key, "")
    definition["properties"] |= {"name": {"type": "string"}} | {name: {} for name in middleware}
    definition["additionalProperties"] = False


def schema_text(backends: Mapping[str, type[msgspec.Struct]] | None = None, middleware: Iterable[str] = ()) -> str:
    """Return the text of schema.json; with `backends` and `middleware`, what `unitrack config schema` prints."""
    return json.dumps(make_schema(backends, middleware), indent=2) + "\n"


if __name__ == "__main__":
    SCHEMA_FILE.write_text(schema_text(), encoding="utf-8")
