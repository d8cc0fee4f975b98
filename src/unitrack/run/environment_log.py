"""The environment of a run: what the call knows is logged at once, the rest is asked of a courier."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import msgspec

from unitrack.config import Settings
from unitrack.run.files import FileLog
from unitrack.run.params import ParamLog
from unitrack.run.rank_names import RankNames
from unitrack.run.recorder import Recorder
from unitrack.run.requesting import Requests
from unitrack.validation import ValidationChain

if TYPE_CHECKING:
    from unitrack.environment.request import TreeTerms


class EnvironmentLog:
    """Logs the environment of the process."""

    def __init__(
        self,
        recorder: Recorder,
        settings: Settings,
        validation: ValidationChain,
        params: ParamLog,
        files: FileLog,
        requests: Requests,
    ) -> None:
        self._recorder = recorder
        self._settings = settings
        self._stores = tuple(validation.stores)
        self._params = params
        self._files = files
        self._requests = requests

    def log(self) -> None:
        """See `Run.log_environment`."""
        from unitrack.environment.call import capture_call, search_folders  # noqa: PLC0415  # subprocess costs 4 ms
        from unitrack.environment.record import CALL  # noqa: PLC0415  # the structs cost 3 ms
        from unitrack.environment.request import EnvironmentRequest  # noqa: PLC0415  # beside them
        from unitrack.environment.seeds import latest  # noqa: PLC0415  # random costs 1 ms
        from unitrack.environment.snapshot import call_params  # noqa: PLC0415  # platform costs 2 ms

        self._recorder.check_open()
        secrecy = self._requests.secrecy
        call = capture_call(self._settings.reproducibility.variables, secrecy, latest.as_record())
        params = call_params(call)
        self._params.log(params)
        self._files.log_dict(msgspec.to_builtins(call), CALL)
        request = EnvironmentRequest(
            call=call,
            folders=tuple(map(os.fsencode, search_folders())),
            import_path=tuple(os.fsencode(os.path.abspath(entry)) for entry in sys.path),
            terms=self._tree_terms(),
            secrecy=secrecy,
            prefix=RankNames(self._recorder.rank).prefix,
            logged=tuple(params),
        )
        self._requests.ask(request, "the environment")

    def _tree_terms(self) -> TreeTerms:
        from unitrack.environment.request import TreeTerms  # noqa: PLC0415  # see `log`

        wanted = self._settings.reproducibility
        is_first = self._recorder.rank == 0  # the other ranks run the same code
        return TreeTerms(
            run_id=self._recorder.start.run_id,
            run_name=self._recorder.start.name,
            keep_tree=is_first and wanted.log_git_tree,
            keep_patch=is_first and wanted.log_patch,
            file_bytes=wanted.max_file_bytes,
            total_bytes=wanted.max_tree_bytes,
            stores=self._stores,
        )
