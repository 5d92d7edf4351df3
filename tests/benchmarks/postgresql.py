"""A PostgreSQL server to throw away, where its programs are installed."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class NotInstalled(Exception):
    """PostgreSQL's server programs are not here."""


class Cluster:
    """A running server, and a new database for each who asks."""

    def __init__(self, programs: Path, port: int, postmaster: int) -> None:
        self._programs = programs
        self._port = port
        self.pid = postmaster
        self._made = 0

    def new_database(self) -> str:
        """The address of a database that is empty."""
        self._made += 1
        name = f"bench_{self._made}"
        psql = [str(self._programs / "psql"), "-h", "127.0.0.1", "-p", str(self._port), "-U", "postgres", "-qc"]
        subprocess.run([*psql, f"CREATE DATABASE {name}", "postgres"], check=True, capture_output=True)
        return f"postgresql://postgres@127.0.0.1:{self._port}/{name}"


@contextmanager
def cluster() -> Iterator[Cluster]:
    """A server on a free port with its usual durability, gone when the block is left. Raises `NotInstalled`."""
    programs = _programs()
    with tempfile.TemporaryDirectory(prefix="bench-postgresql-") as name:
        folder = Path(name)
        account: dict[str, str] = {}
        if os.geteuid() == 0:  # initdb refuses root
            try:
                owner = pwd.getpwnam("postgres")
            except KeyError:
                raise NotInstalled("run by root, PostgreSQL needs an account named postgres") from None
            os.chown(folder, owner.pw_uid, owner.pw_gid)
            account = {"user": "postgres"}
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        data = folder / "data"
        quiet = {"check": True, "cwd": folder, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, **account}
        subprocess.run([programs / "initdb", "-D", data, "-A", "trust", "-U", "postgres"], **quiet)
        options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c max_connections=100"
        control = [programs / "pg_ctl", "-D", data, "-w"]
        subprocess.run([*control, "-o", options, "-l", folder / "log", "start"], **quiet)
        try:
            yield Cluster(programs, port, int((data / "postmaster.pid").read_text().split()[0]))
        finally:
            subprocess.run([*control, "-m", "immediate", "stop"], **quiet)


def _programs() -> Path:
    found = shutil.which("initdb")
    candidates = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    if found:
        candidates.append(Path(found).resolve().parent)
    for folder in candidates:
        if all((folder / name).exists() for name in ("initdb", "pg_ctl", "psql")):
            return folder
    raise NotInstalled("the PostgreSQL programs (initdb, pg_ctl, psql) are not installed")
