"""The S3 server of the demo, and the environment that leads AWS clients to it and nowhere else."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path


class Server:
    """s3s-fs, an S3 server that is not ours, on a folder and a free port of 127.0.0.1.

    It ends with the `with` block.

    Args:
        program: The program `s3_fs` (`servers/`).
        folder: Where it keeps its objects.
    """

    def __init__(self, program: Path, folder: Path) -> None:
        self.folder = folder
        # Of its own process group, so that Ctrl-C reaches the demo alone, which then ends the server in order.
        self._process = subprocess.Popen(
            [program, folder],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert self._process.stdout is not None
        self.endpoint = self._process.stdout.readline().strip()
        if not self.endpoint:
            raise OSError(f"{program} printed no address (exit status {self._process.wait()})")

    def create_bucket(self, name: str) -> None:
        """Makes a bucket: this server's buckets are folders."""
        (self.folder / name).mkdir(parents=True)

    def contents(self, bucket: str) -> dict[Path, tuple[int, int]]:
        """What tells whether an object with contents was stored anew: inode and mtime of its file."""
        files = (path for path in (self.folder / bucket).rglob("*/Data/*") if path.is_file())
        return {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in files}

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        # Its standard input closed is what it ends on.
        self._process.stdin.close()
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()


def lead_clients_to(server: Server, home: Path) -> None:
    """Takes the user's AWS settings, proxies and home folder out of this process's environment.

    Args:
        server: Where S3 requests go.
        home: Made by this; caches without a given folder would land in it.
    """
    home.mkdir()
    for name in list(os.environ):
        if name.startswith("AWS_") or name.lower().endswith("_proxy"):
            del os.environ[name]
    os.environ.update(
        HOME=str(home),
        AWS_ACCESS_KEY_ID="test",
        AWS_SECRET_ACCESS_KEY="testsecret",
        AWS_ACCOUNT_ID="123456789012",
        AWS_REGION="us-west-2",
        AWS_DEFAULT_REGION="us-west-2",
        AWS_ENDPOINT_URL=server.endpoint,
        AWS_EC2_METADATA_DISABLED="true",
        AWS_CONFIG_FILE=os.devnull,
        AWS_SHARED_CREDENTIALS_FILE=os.devnull,
    )
