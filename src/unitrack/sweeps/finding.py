"""Finding the studies of sweeps that are there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from unitrack.config import resolve
from unitrack.errors import NotFoundError
from unitrack.names import nearest
from unitrack.plugins.registry import installed
from unitrack.sweeps.engine import load_optuna, quiet_optuna
from unitrack.sweeps.place import SWEEPS, StudyPlace, open_storage, place_of


def configured_root() -> Path:
    """Return the folder that holds the runs, and the studies of sweeps, as configured here."""
    return Path(resolve(shared_options=installed().shared_options).settings.tracking.root)


def find_place(name: str, storage: str | None) -> StudyPlace:
    """Return where a sweep of this name lies, or would lie."""
    return place_of(configured_root(), name, storage)


def load_study(place: StudyPlace) -> Any:
    """Return Optuna's study of a place. Raises `NotFoundError`, which names those that are there, if there is none."""
    if not place.url and not place.journal.exists():
        raise NotFoundError(_no_sweep(place))
    with quiet_optuna():
        try:
            return load_optuna().load_study(study_name=place.name, storage=open_storage(place))
        except KeyError:
            raise NotFoundError(_no_sweep(place)) from None


def names_of_sweeps(storage: str | None = None) -> list[str]:
    """Return the names of the sweeps whose study lies below the root, or of all studies of a database."""
    if storage is None:
        return sorted(found.parent.name for found in (configured_root() / SWEEPS).glob("*/study.journal"))
    with quiet_optuna():
        return sorted(load_optuna().get_all_study_names(open_storage(find_place("all", storage))))


def _no_sweep(place: StudyPlace) -> str:
    names = names_of_sweeps(place.url or None)
    close = nearest(place.name, names)
    hint = f"did you mean {close!r}?" if close else f"there are {', '.join(names[:10]) or 'none'}"
    return f"there is no sweep {place.name!r} in {'the database' if place.url else place.folder.parent}: {hint}"
