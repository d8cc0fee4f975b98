"""The imports of a script that was rewritten, and the run that MLflow would start by itself."""

from __future__ import annotations

from collections.abc import Sequence

import libcst as cst
from libcst.helpers import get_full_name_for_node

from unitrack.migrate.statements import emptied, without_empty

_IMPORT = "import unitrack"


def with_imports(
    module: cst.Module, roots: Sequence[str], still_used: set[str], start_before: int | None
) -> cst.Module:
    """Return a script with `import unitrack` where it imported a library first, and without those not used any more.

    `start_before`: the number of the top-level statement before which a run is started; None for none.
    """
    if start_before is not None:
        module = _started(module, start_before)
    has_ours = any(line == _IMPORT for line in module.code.splitlines())
    return module.visit(_Imports(roots, still_used, has_ours=has_ours))


def _started(module: cst.Module, number: int) -> cst.Module:
    statement = module.body[number]
    start = cst.parse_statement("unitrack.start_run()\n")
    if isinstance(statement, cst.If) and isinstance(statement.body, cst.IndentedBlock):  # `if __name__ == "__main__":`
        inside = statement.body.with_changes(body=[start, *statement.body.body])
        return module.with_changes(
            body=[*module.body[:number], statement.with_changes(body=inside), *module.body[number + 1 :]]
        )
    return module.with_changes(body=[*module.body[:number], start, *module.body[number:]])


class _Imports(cst.CSTTransformer):
    def __init__(self, roots: Sequence[str], still_used: set[str], *, has_ours: bool) -> None:
        super().__init__()
        self._roots = roots
        self._still_used = still_used
        self._has_ours = has_ours
        self._depth = 0

    def visit_FunctionDef(self, node: cst.FunctionDef) -> None:
        self._depth += 1

    def leave_FunctionDef(self, original_node: cst.FunctionDef, updated_node: cst.FunctionDef) -> cst.FunctionDef:
        self._depth -= 1
        return updated_node

    def leave_SimpleStatementLine(
        self, original_node: cst.SimpleStatementLine, updated_node: cst.SimpleStatementLine
    ) -> cst.BaseStatement | cst.FlattenSentinel[cst.BaseStatement]:
        kept: list[cst.BaseSmallStatement] = []
        found = False
        for one in updated_node.body:
            part, is_theirs = self._without(one)
            found = found or is_theirs
            kept += [] if part is None else [part]
        if not found:
            return updated_node
        rest = updated_node.with_changes(body=kept) if kept else emptied(updated_node)
        if self._has_ours:
            return rest
        self._has_ours = not self._depth  # an import in a function is for that alone
        [small] = cst.ensure_type(cst.parse_statement(_IMPORT), cst.SimpleStatementLine).body
        ours = updated_node.with_changes(body=[small])
        return cst.FlattenSentinel([ours, rest.with_changes(leading_lines=[])]) if kept else ours

    def leave_IndentedBlock(self, original_node: cst.IndentedBlock, updated_node: cst.IndentedBlock) -> cst.BaseSuite:
        return updated_node.with_changes(body=without_empty(updated_node.body))

    def leave_Module(self, original_node: cst.Module, updated_node: cst.Module) -> cst.Module:
        return updated_node.with_changes(body=without_empty(updated_node.body))

    def _without(self, one: cst.BaseSmallStatement) -> tuple[cst.BaseSmallStatement | None, bool]:
        """Return an import without what is not used any more, and whether it imports one of the libraries."""
        if isinstance(one, cst.Import):
            names = [(alias, get_full_name_for_node(alias.name) or "") for alias in one.names]
        elif isinstance(one, cst.ImportFrom) and one.module is not None and not isinstance(one.names, cst.ImportStar):
            base = get_full_name_for_node(one.module) or ""
            names = [(alias, f"{base}.{get_full_name_for_node(alias.name)}") for alias in one.names]
        else:
            return one, False
        theirs = [alias for alias, name in names if self._root(name)]
        kept = [alias for alias, name in names if not self._root(name) or self._is_used(name)]
        if not theirs:
            return one, False
        if not kept:
            return None, True
        last = kept[-1].with_changes(comma=cst.MaybeSentinel.DEFAULT)
        return one.with_changes(names=[*kept[:-1], last]), True

    def _is_used(self, name: str) -> bool:
        """Return whether a module, or something in it, is still used."""
        return any(used == name or used.startswith(f"{name}.") for used in self._still_used)

    def _root(self, name: str) -> str:
        return next((root for root in self._roots if name == root or name.startswith(f"{root}.")), "")
