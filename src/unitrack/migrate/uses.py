"""What a script uses of the libraries, before anything is rewritten."""

from __future__ import annotations

import re

import libcst as cst
from libcst.metadata import MetadataWrapper, PositionProvider, QualifiedNameProvider, QualifiedNameSource

from unitrack.migrate import tensorboard_rules
from unitrack.migrate.call import source_of
from unitrack.migrate.libraries import LIBRARIES, Library, root_of

EXPERIMENT = "mlflow.set_experiment"


class Names:
    """What the names in a script mean, and where they stand."""

    def __init__(self, wrapper: MetadataWrapper) -> None:
        self._names = wrapper.resolve(QualifiedNameProvider)
        self._positions = wrapper.resolve(PositionProvider)

    def name_of(self, node: cst.CSTNode) -> str:
        """Return the qualified name of what was imported from one of the libraries; "" for anything else."""
        value = self._names.get(node, ())
        for found in value() if callable(value) else value:
            if found.source is QualifiedNameSource.IMPORT and root_of(found.name):
                return str(found.name)
        return ""

    def line_of(self, node: cst.CSTNode) -> int:
        """Return the line on which a node begins."""
        return int(self._positions[node].start.line)


class Uses(cst.CSTVisitor):
    """What a script uses of the libraries, before anything is rewritten."""

    def __init__(self, names: Names) -> None:
        super().__init__()
        self._names = names
        self.handles: dict[str, Library] = {}
        """The runs and writers, by the text of what they are assigned to."""
        self.references: list[tuple[str, cst.CSTNode]] = []
        """Each outermost name of a library, with its qualified name."""
        self.made: set[int] = set()
        """The `id` of each call that makes an artifact of W&B."""
        self.experiments: list[cst.BaseExpression | None] = []
        """What `mlflow.set_experiment` was given in each call."""
        self.assigned: set[int] = set()
        """The `id` of what something is assigned to."""
        self.kept: set[int] = set()
        """The `id` of names that are not rewritten."""
        self.used: set[int] = set()
        """The `id` of what is assigned, returned, or asked for an attribute."""
        self.starts_run = False
        """Whether MLflow's `start_run` is called anywhere."""

    def visit_Import(self, node: cst.Import) -> bool:
        return False

    def visit_ImportFrom(self, node: cst.ImportFrom) -> bool:
        return False

    def visit_Assign(self, node: cst.Assign) -> None:
        self.used.add(id(node.value))
        for target in node.targets:
            self.assigned.add(id(target.target))
            self._keep(target.target)
            self._take(target.target, node.value)

    def _keep(self, target: cst.CSTNode) -> None:
        """Leave what is assigned to a library's own names as it is, but for values of `config` and `summary`."""
        name = self._names.name_of(target)
        if name and not re.search(r"\.(config|summary)\.", name):
            while isinstance(target, cst.Attribute):
                self.kept.add(id(target))
                target = target.value

    def visit_Return(self, node: cst.Return) -> None:
        self.used.add(id(node.value))

    def visit_AnnAssign(self, node: cst.AnnAssign) -> None:
        self._take(node.target, node.value)

    def visit_WithItem(self, node: cst.WithItem) -> None:
        if node.asname is not None:
            self._take(node.asname.name, node.item)

    def visit_Param(self, node: cst.Param) -> None:
        if node.annotation is not None and self._names.name_of(node.annotation.annotation) in tensorboard_rules.WRITERS:
            self.handles[node.name.value] = LIBRARIES["tensorboardX"]

    def _take(self, target: cst.CSTNode, value: cst.BaseExpression | None) -> None:
        called = self._names.name_of(value.func) if isinstance(value, cst.Call) else ""
        for library in LIBRARIES.values():
            if called in library.starts:
                self.handles[source_of(target)] = library

    def visit_Call(self, node: cst.Call) -> None:
        name = self._names.name_of(node.func)
        if name == EXPERIMENT:
            self.experiments.append(node.args[0].value if len(node.args) == 1 else None)
        if name in ("wandb.Artifact", "trackio.Artifact"):
            self.made.add(id(node))
        self.starts_run = self.starts_run or name == "mlflow.start_run"

    def visit_Attribute(self, node: cst.Attribute) -> bool:
        self.used.add(id(node.value))
        return not self._refer(node)

    def visit_Name(self, node: cst.Name) -> None:
        self._refer(node)

    def _refer(self, node: cst.CSTNode) -> bool:
        inner = node
        while isinstance(inner, cst.Attribute):
            inner = inner.value
        name = self._names.name_of(node) if isinstance(inner, cst.Name) else ""
        if name:
            self.references.append((name, node))
        return bool(name)

    @property
    def project(self) -> str:
        """The text of the one experiment that is set; "" if there is none, or if it can't be moved into a call."""
        [found] = self.experiments if len(self.experiments) == 1 else [None]
        return source_of(found) if isinstance(found, cst.SimpleString) else ""
