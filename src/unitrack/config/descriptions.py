"""The descriptions of keys, read from the source, for the JSON Schema and the documentation. Not used at run time.

`python -m unitrack.config.descriptions docs/reference/configuration.md` renews the tables there.
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
from pathlib import Path
from typing import Any

import msgspec

from unitrack.config.checking import SECTIONS
from unitrack.config.wording import expected


def field_descriptions(struct: type[msgspec.Struct]) -> dict[str, str]:
    """Return the text under each field of a struct, those of its bases included, as one line."""
    texts: dict[str, str] = {}
    for base in reversed([one for one in struct.__mro__ if one.__module__.startswith("unitrack")]):
        [definition] = ast.parse(inspect.getsource(base)).body
        assert isinstance(definition, ast.ClassDef)
        for field, text in zip(definition.body, definition.body[1:], strict=False):
            match field, text:
                case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(doc))):
                    texts[name] = " ".join(doc.split())
    return texts


def key_table(section: str) -> str:
    """Return the keys of a section as a Markdown table: key, type, default, meaning."""
    struct = SECTIONS[section]
    texts = field_descriptions(struct)
    rows = ["| key | type | default | meaning |", "|---|---|---|---|"]
    for field in msgspec.structs.fields(struct):
        rows.append(f"| `{field.name}` | {expected(field.type)} | {_shown(field)} | {texts[field.name]} |")
    return "\n".join(rows)


def _shown(field: msgspec.structs.FieldInfo) -> str:
    default: Any = field.default if field.default is not msgspec.NODEFAULT else field.default_factory()
    return "not set" if default is None else f"`{msgspec.json.encode(default).decode()}`"


def with_tables(page: str) -> str:
    """Return a Markdown page with the table of each section renewed, below its marker `<!-- keys: SECTION -->`."""
    return re.sub(
        r"(<!-- keys: (\w+) -->\n)(?:\|.*\n)*",
        lambda marker: f"{marker[1]}{key_table(marker[2])}\n",
        page,
    )


if __name__ == "__main__":
    file = Path(sys.argv[1])
    file.write_text(with_tables(file.read_text(encoding="utf-8")), encoding="utf-8")
