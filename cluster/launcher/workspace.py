"""The folders of one start, with the secrets, the certificates and the logs in them."""

import os
import re
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from cluster.errors import StackError
from cluster.launcher.data_folder import open_data_folder, private_files
from cluster.launcher.driver_log import DriverLog
from cluster.launcher.environment import child_environment, gateway_settings
from cluster.launcher.folder_lock import FolderLock
from cluster.launcher.process_log import ProcessLog
from cluster.launcher.temp_folder import make_temp_folder, remove_abandoned

if TYPE_CHECKING:
    from cluster.launcher.certificates import Certificates

_LOCK_WITHIN_S = 15.0
_KEPT_STARTS = 20  # whose logs are kept, this start's included
_LOGS_NAME = re.compile(r"\d{8}T\d{6}Z-\d+")

Say = Callable[[str], None]


@dataclass(frozen=True)
class Workspace:
    """The folders of one start.

    temp: removed at the end. data: the data folder, which is `temp` where nothing is kept. logs:
    a folder of this start alone. gateway_settings: the variables of `gateway.env`. certificates:
    None in plain HTTP. data_lock: None where nothing is kept.
    """

    temp: Path
    data: Path
    logs: Path
    gateway_settings: Mapping[str, str]
    certificates: "Certificates | None"
    temp_lock: FolderLock
    data_lock: FolderLock | None

    @property
    def ca(self) -> Path | None:
        """Return the certificate that the gateway's clients trust; None in plain HTTP."""
        return None if self.certificates is None else self.certificates.ca

    @property
    def scheme(self) -> str:
        """Return the scheme of both hops."""
        return "http" if self.certificates is None else "https"

    @property
    def serve_log(self) -> DriverLog:
        return DriverLog(self.logs / "serve.log", is_kept=self.data_lock is not None)

    @property
    def gateway_log(self) -> ProcessLog:
        return ProcessLog(self.logs / "gateway.log", is_kept=self.data_lock is not None)

    def log_of(self, name: str) -> ProcessLog:
        """Return the log of a process that has no log of its own kind."""
        return ProcessLog(self.logs / f"{name}.log", is_kept=self.data_lock is not None)

    @property
    def ray_folder(self) -> Path:
        return self.temp / "ray"

    @property
    def lock_descriptors(self) -> list[int]:
        """Return the descriptors that children inherit, so that they hold the locks, too."""
        locks = [self.temp_lock, *([] if self.data_lock is None else [self.data_lock])]
        return [lock.descriptor for lock in locks]

    def child_environment(self, **changes: str) -> dict[str, str]:
        return child_environment(os.environ, self.temp, changes)

    def gateway_environment(self, upstream_url: str) -> dict[str, str]:
        changes = {
            "LESIONSERVE_UPSTREAM_URL": upstream_url,
            "LESIONSERVE_HTTPS_ONLY": str(self.certificates is not None),
        }
        if self.ca is not None:
            changes["LESIONSERVE_UPSTREAM_CA"] = str(self.ca)
        return self.child_environment(**self.gateway_settings, **changes)

    def probe_settings(self, key: str, port: int) -> dict[str, str]:
        """Return the variables by which the gateway on this port probes itself."""
        url = f"{self.scheme}://127.0.0.1:{port}"
        settings = {"LESIONSERVE_PROBE_KEY": key, "LESIONSERVE_PROBE_URL": url}
        if self.ca is not None:
            settings["LESIONSERVE_PROBE_CA"] = str(self.ca)
        return settings

    def keep_serve_logs(self, say: Say) -> None:
        """Copy the logs of Ray Serve beside the others: Ray's own folder is removed."""
        written = self.ray_folder / "session_latest/logs/serve"
        if self.data_lock is None or not written.is_dir():
            return
        try:
            shutil.copytree(written, self.logs / "serve")
        except OSError as error:  # such as a full disk; the rest is still cleaned up
            say(f"the logs of Ray Serve cannot be kept: {error.strerror or error}")


@contextmanager
def open_workspace(
    data: Path | None,
    *,
    tls: bool,
    say: Say,
    secrets: Mapping[str, str] = MappingProxyType({}),
) -> Iterator[Workspace]:
    """Make the folders of a start and lock them; at the end remove the temporary one.

    `secrets` are used in place of those that are made.
    The temporary folders of starts that were killed are removed first. Raise StackError for a data
    folder that cannot be used.
    """
    remove_abandoned()
    with ExitStack() as cleanup:
        temp, temp_lock = make_temp_folder()
        cleanup.callback(temp_lock.release)
        cleanup.callback(shutil.rmtree, temp, ignore_errors=True)
        with private_files():
            folder, logs, data_lock = (data or temp).resolve(), temp, None
            if data is not None:
                data_lock, logs = _open_data(folder, say, cleanup)
            workspace = Workspace(
                temp=temp,
                data=folder,
                logs=logs,
                gateway_settings={**gateway_settings(folder), **secrets},
                certificates=_certificates(folder / "tls", say) if tls else None,
                temp_lock=temp_lock,
                data_lock=data_lock,
            )
        yield workspace


def _certificates(folder: Path, say: Say) -> "Certificates":
    from cluster.launcher.certificates import Certificates  # here: few starts need cryptography

    return Certificates.issue(folder, say)


def _open_data(folder: Path, say: Say, cleanup: ExitStack) -> tuple[FolderLock, Path]:
    try:
        remarks = open_data_folder(folder)
        lock = FolderLock.wait(folder, _LOCK_WITHIN_S)
        cleanup.callback(lock.release)
        for remark in remarks:
            say(remark)
        logs = _new_folder(folder / "logs")
        _remove_old_logs(folder / "logs")
        return lock, logs
    except OSError as error:
        raise StackError(f"{folder}: {error.strerror}", exit_status=2) from error


def _new_folder(parent: Path) -> Path:
    """Make a folder that is named by the time; no start writes into another one's."""
    folder = parent / f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{os.getpid()}"
    folder.mkdir(parents=True, mode=0o700)
    return folder


def _remove_old_logs(parent: Path) -> None:
    """Remove the logs of all but the last starts; other things in the folder stay.

    The caller holds the data folder's lock, so that no other start writes there.
    """
    logs = [path for path in parent.iterdir() if _LOGS_NAME.fullmatch(path.name)]
    for path in sorted(logs, key=lambda path: path.name)[:-_KEPT_STARTS]:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
