"""W&B's artifacts: `Artifact(...)`, one `add_file` or `add_dir`, and `log_artifact` are one call of unitrack.

Only these three statements of one block, in this order, are: then what the artifact holds is known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import libcst as cst
from libcst.metadata import MetadataWrapper, ParentNodeProvider

from unitrack.migrate.call import source_of

_ADDS = ("add_file", "add_dir")
_TAKES = ("name", "type")


class BuiltArtifact:
    """The calls that have to do with one variable that holds an artifact."""

    def __init__(self) -> None:
        self.made: list[cst.Call] = []
        self.added: list[cst.Call] = []
        self.logged: list[cst.Call] = []
        self.mentions = 0

    def arguments(self, parents: Mapping[cst.CSTNode, cst.CSTNode]) -> dict[str, str] | None:
        """Return path, name and aliases of the one call, as text; None if it can't be one."""
        if not (len(self.made) == len(self.added) == len(self.logged) == 1) or self.mentions != 3:
            return None
        [made], [added], [logged] = self.made, self.added, self.logged
        places = [_place(call, parents) for call in (made, added, logged)]
        if len({id(block) for block, _ in places}) != 1 or [at for _, at in places] != sorted(at for _, at in places):
            return None
        found = {"path": _only(added.args, ("local_path",)), "name": _first_of(made.args)}
        aliases = [one for one in logged.args[1:] if one.keyword is not None and one.keyword.value == "aliases"]
        if None in found.values() or len(logged.args) != 1 + len(aliases):
            return None
        if aliases:
            found["aliases"] = source_of(aliases[0].value)
        return {name: text for name, text in found.items() if text is not None}


class ArtifactFinder(cst.CSTVisitor):
    """Finds the variables that hold artifacts. `is_artifact`: whether a call makes one."""

    def __init__(self, made: set[int]) -> None:
        """`made`: the `id` of each call that makes one."""
        super().__init__()
        self._made = made
        self.found: dict[str, BuiltArtifact] = {}
        self._names: dict[str, int] = {}

    def visit_Assign(self, node: cst.Assign) -> None:
        [target, *more] = node.targets
        if id(node.value) in self._made and isinstance(target.target, cst.Name) and not more:
            self._of(target.target.value).made.append(cst.ensure_type(node.value, cst.Call))

    def visit_Name(self, node: cst.Name) -> None:
        self._names[node.value] = self._names.get(node.value, 0) + 1

    def visit_Call(self, node: cst.Call) -> None:
        if not isinstance(node.func, cst.Attribute):
            return
        if node.func.attr.value in _ADDS and isinstance(node.func.value, cst.Name):
            self._of(node.func.value.value).added.append(node)
        if node.func.attr.value == "log_artifact" and node.args and isinstance(node.args[0].value, cst.Name):
            self._of(node.args[0].value.value).logged.append(node)

    def leave_Module(self, original_node: cst.Module) -> None:
        for name, artifact in self.found.items():
            artifact.mentions = self._names.get(name, 0)

    def _of(self, name: str) -> BuiltArtifact:
        return self.found.setdefault(name, BuiltArtifact())


class OneCallArtifacts:
    """The artifacts of a script that become one call: what to remove, and what to log instead."""

    def __init__(self, wrapper: MetadataWrapper, made: set[int]) -> None:
        finder = ArtifactFinder(made)
        wrapper.module.visit(finder)
        self.removed: set[int] = set()
        """The `id` of the calls that are not needed any more."""
        self.logged: dict[int, dict[str, str]] = {}
        """Of each call that logs one: path, name and perhaps aliases, as text."""
        parents = wrapper.resolve(ParentNodeProvider) if finder.found else {}
        for artifact in finder.found.values():
            arguments = artifact.arguments(parents)
            if arguments is not None:
                self.removed |= {id(artifact.made[0]), id(artifact.added[0])}
                self.logged[id(artifact.logged[0])] = arguments


def _place(call: cst.Call, parents: Mapping[cst.CSTNode, cst.CSTNode]) -> tuple[cst.CSTNode, int]:
    """Return the block that a statement is in, and its number there. A part of a larger statement has a place alone."""
    node: cst.CSTNode = call
    while not isinstance(node, cst.SimpleStatementLine):
        node = parents[node]
        if isinstance(node, cst.BaseCompoundStatement | cst.Module):
            return call, 0
    block = parents[node]
    body = block.body if isinstance(block, cst.Module | cst.IndentedBlock) else ()
    return block, next((number for number, one in enumerate(body) if one is node), 0)


def _only(args: Sequence[cst.Arg], names: tuple[str, ...]) -> str | None:
    """Return the one argument of a call as text."""
    if len(args) != 1 or args[0].star or (args[0].keyword is not None and args[0].keyword.value not in names):
        return None
    return source_of(args[0].value)


def _first_of(args: Sequence[cst.Arg]) -> str | None:
    """Return the name that an artifact is made with, as text; None if it is made with more than name and type."""
    named = {
        _TAKES[number] if one.keyword is None else one.keyword.value: source_of(one.value)
        for number, one in enumerate(args[:2])
    }
    is_known = len(args) <= 2 and named.keys() <= set(_TAKES) and not any(one.star for one in args)
    return named.get("name") if is_known else None
