"""The JSON Schema of the configuration file. `python -m unitrack.config.schema` writes schema.json anew."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec

from unitrack.config.checking import SECTIONS
from unitrack.config.described import described
from unitrack.config.settings import Settings

SCHEMA_FILE = Path(__file__).with_name("schema.json")


def schema() -> dict[str, Any]:
    """The schema, generated from `Settings`."""
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
    top["title"] = "unitrack"
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **top, "$defs": definitions}


def schema_text() -> str:
    """What schema.json holds."""
    return json.dumps(schema(), indent=2) + "\n"


if __name__ == "__main__":
    SCHEMA_FILE.write_text(schema_text(), encoding="utf-8")
