"""A script, rewritten."""

from __future__ import annotations

import libcst as cst
from libcst.metadata import MetadataWrapper

from unitrack.errors import InvalidValueError
from unitrack.migrate.artifacts import OneCallArtifacts
from unitrack.migrate.imports import with_imports
from unitrack.migrate.libraries import ROOTS
from unitrack.migrate.migration import Migration
from unitrack.migrate.rewriter import Rewriter
from unitrack.migrate.uses import Names, Uses


def migrate_script(text: str) -> Migration:
    """Return a script with the calls of other trackers rewritten. Raises `InvalidValueError` if it is no Python."""
    try:
        wrapper = MetadataWrapper(cst.parse_module(text))
    except cst.ParserSyntaxError as error:
        raise InvalidValueError(f"it is no Python that can be read: line {error.raw_line}: {error.message}") from None
    names = Names(wrapper)
    uses = Uses(names)
    wrapper.module.visit(uses)
    rewriter = Rewriter(uses, names, OneCallArtifacts(wrapper, uses.made))
    module = wrapper.module.visit(rewriter)
    again = MetadataWrapper(module)
    there = Uses(Names(again))
    again.module.visit(there)
    still_there = {name for name, _ in there.references}  # not what stood in an argument that was dropped
    left = rewriter.left_over(still_there)
    if rewriter.changed or rewriter.dropped:
        still_used = {name for name, _ in left if name}
        module = with_imports(module, ROOTS, still_used, start_before=rewriter.first_logging)
    remarks = (remark for _, remark in left)
    return Migration(
        before=text,
        after=module.code,
        changed=rewriter.changed,
        left=tuple(sorted(remarks, key=lambda remark: remark.line)),
        dropped=tuple(rewriter.dropped),
    )
