"""Reading YAML safely, with the line of each key. Imported only when there is a YAML file."""

from __future__ import annotations

from typing import Any

import yaml

from unitrack.config.layers import MAX_DEPTH, KeyPath
from unitrack.errors import ConfigError

MAX_NODES = 10_000
"""Keys and values of a file. Real ones have a hundred; this bounds the parser's time to about a second."""


_NO_YAML = (yaml.YAMLError, ValueError, OverflowError, RecursionError, AttributeError, TypeError, KeyError)
"""Such as a control character or a 13th month; and what PyYAML comes to by tags on values that don't fit them."""
MAX_DIGITS = 100
"""Of a number. Python writes out 4,300; no key takes more than 20."""


class _Loader(yaml.SafeLoader):
    """The safe loader without aliases, of which YAML bombs are made, and with bounds on depth and size."""

    depth = 0
    nodes = 0
    takes_aliases = False

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent) and not self.takes_aliases:
            raise self._error("aliases (*name) are not supported")
        self.depth += 1
        self.nodes += 1
        if self.depth > MAX_DEPTH or self.nodes > MAX_NODES:
            bound = f"{MAX_NODES} values" if self.nodes > MAX_NODES else f"{MAX_DEPTH} levels"
            raise self._error(f"more than {bound}")
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def construct_yaml_int(self, node: Any) -> Any:
        """Return an integer; refuse one of too many digits, whose cost grows with their square to the base 60."""
        if len(node.value) > MAX_DIGITS:
            raise yaml.MarkedYAMLError(problem=f"more than {MAX_DIGITS} digits", problem_mark=node.start_mark)
        return super().construct_yaml_int(node)

    def construct_yaml_float(self, node: Any) -> Any:
        """Return a float; refuse one with too many digits, as for an integer."""
        if len(node.value) > MAX_DIGITS:
            raise yaml.MarkedYAMLError(problem=f"more than {MAX_DIGITS} digits", problem_mark=node.start_mark)
        return super().construct_yaml_float(node)

    def _error(self, problem: str) -> yaml.MarkedYAMLError:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        return yaml.MarkedYAMLError(problem=problem, problem_mark=event.start_mark)


_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_yaml_int)
_Loader.add_constructor("tag:yaml.org,2002:float", _Loader.construct_yaml_float)


def read_yaml(text: str, name: str, *, aliases: bool = False) -> tuple[Any, dict[KeyPath, int]]:
    """Return the document in `text` and the line of each key, from 1; None for an empty one.

    `aliases`: whether it may have some, which count as often as they are used. Raises `ConfigError` with file (`name`)
    and line for bad syntax, tags other than the standard ones, repeated keys, and documents beyond the bounds.
    """
    lines: dict[KeyPath, int] = {}
    try:
        loader = _Loader(text)
        loader.takes_aliases = aliases
        node = loader.get_single_node()
        if node is None:
            return None, lines
        _index(node, (), lines)
        return loader.construct_document(node), lines
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{name}:{mark.line + 1}" if mark else name
        raise ConfigError(f"{place}: not valid YAML: {error.problem or error.context}") from None
    except (
        yaml.YAMLError,
        ValueError,
        OverflowError,
        RecursionError,
        AttributeError,
        TypeError,
        KeyError,
    ) as error:  # such as a control character, or a 13th month
        raise ConfigError(f"{name}: not valid YAML: {' '.join(str(error).split())}") from None


def _index(node: yaml.Node, path: KeyPath, lines: dict[KeyPath, int]) -> None:
    if len(path) > MAX_DEPTH or len(lines) > MAX_NODES:  # by aliases
        bound = f"{MAX_NODES} values" if len(lines) > MAX_NODES else f"{MAX_DEPTH} levels"
        raise yaml.MarkedYAMLError(problem=f"more than {bound}", problem_mark=node.start_mark)
    if isinstance(node, yaml.SequenceNode):
        for position, item in enumerate(node.value):
            lines[(*path, position)] = item.start_mark.line + 1
            _index(item, (*path, position), lines)
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            here = (*path, str(key.value))
            if here in lines:
                problem = f"the key {key.value!r} appears twice (first in line {lines[here]})"
                raise yaml.MarkedYAMLError(problem=problem, problem_mark=key.start_mark)
            lines[here] = key.start_mark.line + 1
            _index(value, here, lines)
