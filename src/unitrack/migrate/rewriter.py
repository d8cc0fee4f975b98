"""The script, call by call."""

from __future__ import annotations

import libcst as cst

from unitrack.migrate import mlflow_rules, tensorboard_rules, wandb_rules
from unitrack.migrate.artifacts import OneCallArtifacts
from unitrack.migrate.call import Call, LeftAlone, Rule, as_arguments, source_of
from unitrack.migrate.libraries import LIBRARIES, root_of
from unitrack.migrate.migration import Remark
from unitrack.migrate.statements import emptied, without_empty
from unitrack.migrate.uses import EXPERIMENT, Names, Uses


class Rewriter(cst.CSTTransformer):
    """Rewrites a script. It sees each node as it was and with what is inside it rewritten."""

    def __init__(self, uses: Uses, names: Names, artifacts: OneCallArtifacts) -> None:
        super().__init__()
        self._artifacts = artifacts
        self._names = names
        self._uses = uses
        self._done: set[int] = set()
        """The `id` of each name that was rewritten, as it was."""
        self._why: dict[int, str] = {}
        self._left: list[tuple[str, Remark]] = []
        self._statements: set[int] = set()
        """The `id` of each expression that is a statement."""
        self._called: set[int] = set()
        """The `id` of what is called."""
        self._removed: set[int] = set()
        self._inside: list[str] = []
        self.changed = 0
        self.dropped: list[Remark] = []
        self.first_logging: int | None = None
        """The number of the top-level statement that begins to log to MLflow, which starts a run by itself."""
        self._statement = -1

    # -- where we are ------------------------------------------------------------------------------------------------

    def on_visit(self, node: cst.CSTNode) -> bool:
        if isinstance(node, cst.Module):
            self._numbers = {id(statement): number for number, statement in enumerate(node.body)}
        self._statement = self._numbers.get(id(node), self._statement)
        if isinstance(node, cst.FunctionDef | cst.ClassDef | cst.Lambda):
            self._inside.append("")
        return super().on_visit(node)

    def on_leave(self, original_node: cst.CSTNode, updated_node: cst.CSTNode) -> cst.CSTNode:  # type: ignore[override]
        if isinstance(original_node, cst.FunctionDef | cst.ClassDef | cst.Lambda):
            self._inside.pop()
        found: cst.CSTNode = super().on_leave(original_node, updated_node)  # type: ignore[assignment]
        return found

    # -- calls and names ---------------------------------------------------------------------------------------------

    def visit_Call(self, node: cst.Call) -> None:
        self._called.add(id(node.func))

    def leave_Call(self, original_node: cst.Call, updated_node: cst.Call) -> cst.BaseExpression:
        if id(original_node) in self._artifacts.removed:
            self._done.add(id(original_node.func))
            self._removed.add(id(original_node))
            self.changed += 1
            return updated_node
        if (given := self._artifacts.logged.get(id(original_node))) is not None:
            updated_node = updated_node.with_changes(args=as_arguments(given))
        found = self._rule_of(original_node, updated_node)
        if found is None:
            return updated_node
        rule, receiver, name = found
        line, code = self._names.line_of(original_node), source_of(original_node.func)
        noted: list[Remark] = []

        def remark(argument: str, why: str) -> None:
            noted.append(Remark(line, f"{code}({argument})" if argument else code, why))

        try:
            made = rule(Call(updated_node, remark), receiver)
            if made is None and id(original_node) not in self._statements:
                raise LeftAlone("its result is used, and it has no counterpart")
            if id(original_node) in self._uses.used and name.rpartition(".")[2] in _RESULTS:
                raise LeftAlone("its result is used, and its counterpart returns nothing")
        except LeftAlone as reason:
            self._leave_alone(original_node.func, name, line, code, str(reason))
            return updated_node
        self._done.add(id(original_node.func))
        self.dropped += noted
        self.changed += 1
        if made is None:
            self._removed.add(id(original_node))
            return updated_node
        if name.removeprefix("mlflow.") in mlflow_rules.LOGGING and not self._uses.starts_run:
            self._begin_run(line, code)
        return made

    def _rule_of(self, original: cst.Call, updated: cst.Call) -> tuple[Rule, str, str] | None:
        """Return the rule for a call, the text of its receiver, and its qualified name."""
        name = self._names.name_of(original.func)
        if name == EXPERIMENT and self._uses.project and self._uses.starts_run:
            return _moved_into_start_run, "", name
        if name:
            library = LIBRARIES[root_of(name)]
            if name in library.functions:
                return library.functions[name], self._uses.project if name == "mlflow.start_run" else "", name
            method = name.removeprefix(f"{library.run}.") if library.run else name
            if method != name and method in library.methods:
                return library.methods[method], wandb_rules.CURRENT, name
            return None
        if not isinstance(original.func, cst.Attribute) or not isinstance(updated.func, cst.Attribute):
            return None
        receiver, method = source_of(original.func.value), original.func.attr.value
        handle = self._uses.handles.get(receiver)
        if handle is None:
            return None
        if method in handle.methods:
            return handle.methods[method], receiver, ""
        if method not in handle.attributes.values() and id(original) not in self._artifacts.removed:
            self._leave_alone(
                original.func, "", self._names.line_of(original), source_of(original.func), "it has no counterpart"
            )
        return None

    def _leave_alone(self, node: cst.CSTNode, name: str, line: int, code: str, why: str) -> None:
        if name:
            self._why[id(node)] = why
        else:
            self._left.append(("", Remark(line, code, why)))

    def _begin_run(self, line: int, code: str) -> None:
        if self._inside:
            why = "MLflow starts a run by itself: call `unitrack.start_run()` before this"
            self._left.append(("", Remark(line, code, why)))
        elif self.first_logging is None:
            self.first_logging = self._statement
            self.dropped.append(Remark(line, code, "MLflow starts a run by itself: `unitrack.start_run()` was added"))

    def leave_Attribute(self, original_node: cst.Attribute, updated_node: cst.Attribute) -> cst.BaseExpression:
        if id(original_node) in self._uses.kept:
            return updated_node
        if (fact := self._fact_of_active_run(original_node, updated_node)) is not None:
            return fact
        name = self._names.name_of(original_node)
        if name:
            value = LIBRARIES[root_of(name)].values.get(name)
            if value is not None:
                self._done.add(id(original_node))
                self.changed += 1
                return cst.parse_expression(value)
            run = LIBRARIES[root_of(name)].run
            ours = LIBRARIES[root_of(name)].attributes.get(name.removeprefix(f"{run}.")) if run else None
            if ours is not None and id(original_node) not in self._uses.assigned:
                self._done.add(id(original_node))
                return updated_node.with_changes(attr=cst.Name(ours))
            return updated_node
        for receiver, handle in self._uses.handles.items():
            for theirs, ours in handle.attributes.items():
                if theirs != ours and source_of(original_node) == f"{receiver}.{theirs}":
                    self.changed += 1
                    return cst.parse_expression(f"{receiver}.{ours}")
            known = {name.partition(".")[0] for name in (*handle.attributes, *handle.methods)}
            is_read = source_of(original_node.value) == receiver and id(original_node) not in self._called
            is_set = id(original_node) in self._uses.assigned and original_node.attr.value not in ("config", "summary")
            if is_read and (is_set or original_node.attr.value not in known):
                code = source_of(original_node)
                self._left.append(("", Remark(self._names.line_of(original_node), code, "it has no counterpart")))
        return updated_node

    def _fact_of_active_run(self, original: cst.Attribute, updated: cst.Attribute) -> cst.BaseExpression | None:
        """Return `unitrack.current_run().id` for `mlflow.active_run().info.run_id`, and the like."""
        info, ours = original.value, mlflow_rules.ATTRIBUTES.get(f"info.{original.attr.value}")
        if ours is None or not isinstance(info, cst.Attribute) or not isinstance(info.value, cst.Call):
            return None
        if self._names.name_of(info.value.func) != "mlflow.active_run" or not isinstance(updated.value, cst.Attribute):
            return None
        return updated.with_changes(value=updated.value.value, attr=cst.Name(ours))

    def leave_Name(self, original_node: cst.Name, updated_node: cst.Name) -> cst.BaseExpression:
        name = self._names.name_of(original_node)
        value = LIBRARIES[root_of(name)].values.get(name) if name else None
        if value is None or isinstance(updated_node, cst.ImportAlias):
            return updated_node
        self._done.add(id(original_node))
        self.changed += 1
        return cst.parse_expression(value)

    def visit_Import(self, node: cst.Import) -> bool:
        return False

    def visit_ImportFrom(self, node: cst.ImportFrom) -> bool:
        return False

    def leave_Annotation(self, original_node: cst.Annotation, updated_node: cst.Annotation) -> cst.Annotation:
        if self._names.name_of(original_node.annotation) not in tensorboard_rules.WRITERS:
            return updated_node
        self._done.add(id(original_node.annotation))
        self.changed += 1
        return updated_node.with_changes(annotation=cst.parse_expression("unitrack.Run"))

    def visit_Expr(self, node: cst.Expr) -> None:
        self._statements.add(id(node.value))

    def leave_Expr(self, original_node: cst.Expr, updated_node: cst.Expr) -> cst.Expr | cst.RemovalSentinel:
        return cst.RemoveFromParent() if id(original_node.value) in self._removed else updated_node

    def leave_SimpleStatementLine(
        self, original_node: cst.SimpleStatementLine, updated_node: cst.SimpleStatementLine
    ) -> cst.SimpleStatementLine:
        return updated_node if updated_node.body else emptied(updated_node)

    def leave_Assign(self, original_node: cst.Assign, updated_node: cst.Assign) -> cst.Assign | cst.RemovalSentinel:
        return cst.RemoveFromParent() if id(original_node.value) in self._removed else updated_node

    def leave_IndentedBlock(self, original_node: cst.IndentedBlock, updated_node: cst.IndentedBlock) -> cst.BaseSuite:
        return updated_node.with_changes(body=without_empty(updated_node.body))

    def leave_Module(self, original_node: cst.Module, updated_node: cst.Module) -> cst.Module:
        return updated_node.with_changes(body=without_empty(updated_node.body))

    # -- what is left ------------------------------------------------------------------------------------------------

    def left_over(self, still_there: set[str]) -> list[tuple[str, Remark]]:
        """Return what still refers to a library, each with its qualified name; "" for methods of runs.

        `still_there`: the qualified names in the rewritten script, which lacks those in arguments that were dropped.
        """
        found = list(self._left)
        for name, node in self._uses.references:
            if not self._is_done(node) and (name in still_there or self._is_done(getattr(node, "value", node))):
                why = self._why.get(id(node), "it has no counterpart")
                found.append((name, Remark(self._names.line_of(node), source_of(node), why)))
        return found

    def _is_done(self, node: cst.CSTNode) -> bool:
        while id(node) not in self._done:
            if not isinstance(node, cst.Attribute) or self._names.name_of(node.value) in _RUNS:
                return False
            node = node.value
        return True


_RESULTS = ("log_model", "log_artifact", "save", "watch", "log_table")
"""Functions whose results scripts use."""
_RUNS = {library.run for library in LIBRARIES.values() if library.run}


def _moved_into_start_run(call: Call, receiver: str) -> None:
    call.remark("", "it is the `project` of `start_run` now")
