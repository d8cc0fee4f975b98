"""What log calls ask of a courier: the second half of the capture of an environment, the content of a dataset."""

from __future__ import annotations

from unitrack.environment.record import Environment, Part


class Secrecy(Part, frozen=True, kw_only=True):
    """What is secret beside the built-in rules: `safeguards.redact` and `safeguards.redact_patterns`."""

    keys: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()


class TreeTerms(Part, frozen=True, kw_only=True):
    """What is wanted of the code."""

    run_id: str
    run_name: str
    keep_tree: bool = True
    """Whether the tree is kept in the repository."""
    keep_patch: bool = True
    file_bytes: int
    total_bytes: int
    stores: tuple[str, ...] = ()


class EnvironmentRequest(Part, frozen=True, kw_only=True, tag="environment"):
    """The capture of the second half of an environment: what the first one found, and what is wanted."""

    call: Environment
    folders: tuple[bytes, ...]
    """Where to look for the repository: the working directory, then the program's folder."""
    import_path: tuple[bytes, ...]
    terms: TreeTerms
    secrecy: Secrecy = Secrecy()
    prefix: str = ""
    """Of a rank: "rank1"."""
    logged: tuple[str, ...] = ()
    """Params that the call has logged."""


class DatasetRequest(Part, frozen=True, kw_only=True, tag="dataset"):
    """The description of a dataset on disk."""

    path: bytes
    """Absolute."""
    name: str
    context: str = ""
    source: str = ""
    """Where it is from, if that is not its path."""
    secrecy: Secrecy = Secrecy()
    prefix: str = ""
