"""The JSON Schema of the configuration file. `python -m unitrack.config.schema` writes schema.json anew."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from unitrack.config.checking import SECTIONS
from unitrack.config.described import described
from unitrack.config.settings import Settings
from unitrack.config.sizes import PATTERN

SCHEMA_FILE = Path(__file__).with_name("schema.json")


def schema(backends: Mapping[str, type[msgspec.Struct]] | None = None) -> dict[str, Any]:
    """The schema, generated from `Settings`. `backends`: the options of each backend, to be checked as well.

    Any option may be text that holds `${VAR}`.
    """
    generated = msgspec.json.schema(Settings)
    definitions = generated["$defs"]
    top = definitions.pop("Settings")
    for name, section in SECTIONS.items():
        definition = definitions[section.__name__]
        summary = str(section.__doc__)
        top["properties"][name] = {"$ref": f"#/$defs/{section.__name__}", "description": summary}
        texts = described(section)
        for key, described_key in definition["properties"].items():
            described_key |= {"title": f"{name}.{key}", "description": texts[key]}
            if key.endswith("_bytes"):
                described_key["anyOf"] = [{"type": described_key.pop("type")}, {"type": "string", "pattern": PATTERN}]
    tracking = definitions["Tracking"]["properties"]
    tracking["sinks"] = _sinks_schema(tracking["sinks"], backends or {}, definitions)
    top["title"] = "unitrack"
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **top, "$defs": definitions}


def _sinks_schema(
    described_key: dict[str, Any], backends: Mapping[str, type[msgspec.Struct]], definitions: dict[str, Any]
) -> dict[str, Any]:
    """Names, mappings of options by name, or a list of both; the options of known backends as they declare them."""
    known = {name: {"anyOf": [{"type": "null"}, _options_schema(one, definitions)]} for name, one in backends.items()}
    options = {"type": "object", "properties": known, "minProperties": 1}
    if backends:
        options["additionalProperties"] = False
    else:
        options["additionalProperties"] = {"type": ["object", "null"]}
    name = {"type": "string", "minLength": 1} | ({"enum": sorted(backends)} if backends else {})
    entry = {"anyOf": [name, options | {"maxProperties": 1}]}
    forms = [name, options, {"type": "array", "items": entry, "minItems": 1}, {"type": "null"}]
    kept = {key: value for key, value in described_key.items() if key in ("title", "description", "default")}
    return {"anyOf": forms, **kept}


def _options_schema(options: type[msgspec.Struct], definitions: dict[str, Any]) -> dict[str, Any]:
    """The options of a backend, and what any sink may have beside them: its name and middleware."""
    generated = msgspec.json.schema(options)
    definitions |= {name: one for name, one in generated["$defs"].items() if name != options.__name__}
    own = generated["$defs"][options.__name__]
    texts = described(options)
    for key, value in own["properties"].items():
        value["description"] = texts.get(key, "")
    from unitrack.plugins import installed

    own["properties"] |= {"name": {"type": "string"}} | {name: {} for name in installed().middleware}
    own["additionalProperties"] = False
    definitions[options.__name__] = own
    return {"$ref": f"#/$defs/{options.__name__}"}


def schema_text(backends: Mapping[str, type[msgspec.Struct]] | None = None) -> str:
    """What schema.json holds; with `backends`, what `unitrack config schema` prints."""
    return json.dumps(schema(backends), indent=2) + "\n"


if __name__ == "__main__":
    SCHEMA_FILE.write_text(schema_text(), encoding="utf-8")
