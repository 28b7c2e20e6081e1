"""The test rig's S3 server (`servers/src/rig`) for Python tests and drivers: start, steer, look into."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

REPOSITORY = Path(__file__).resolve().parents[2]

#: Names a built binary; without it, the newest in target/{release,debug} is taken.
BINARY_VARIABLE = "RUSTY_ATTACHMENTS_RIG"

ACCOUNT = "123456789012"


#: For tests any build will do. What is measured must not be a debug build, however new it is.
ANY_PROFILE = ("release", "debug")
RELEASE = ("release",)


def built_program(
    name: str, variable: str = "", profiles: tuple[str, ...] = ANY_PROFILE, is_example: bool = False
) -> Path:
    """The newest build of a program in one of the profiles; built in the last of them where there is none.

    Args:
        name: `s3_rig` or `s3_fs`, or the name of an example.
        variable: environment variable that may name a built binary.
        profiles: the folders of `target/` to look in.
        is_example: an example of the crate, rather than one of its servers.
    """
    named = os.environ.get(variable) if variable else None
    if named:
        return Path(named)
    target = Path(os.environ.get("CARGO_TARGET_DIR", REPOSITORY / "target"))
    folder = "examples" if is_example else ""
    candidates = [target / profile / folder / name for profile in profiles]
    built = [path for path in candidates if path.exists()]
    if built:
        return max(built, key=lambda path: path.stat().st_mtime)
    release = ["--release"] if profiles[-1] == "release" else []
    what = ["--example", name] if is_example else ["--package", "rusty-attachments-servers", "--bin", name]
    subprocess.run(["cargo", "build", "--quiet", *release, *what], cwd=REPOSITORY, check=True)
    return candidates[-1]


class StartedServer:
    """A server process that prints its address and ends when its standard input closes."""

    def __init__(self, command: list[str]) -> None:
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.endpoint = self.process.stdout.readline().strip()
        if not self.endpoint:
            raise RuntimeError(f"{command[0]} printed no address (exit status {self.process.wait()})")

    def close(self) -> None:
        """Ends the process."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        try:
            self.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()

    def __enter__(self):
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class RigServer(StartedServer):
    """The rig: `servers/src/rig/control.rs` says what can be asked of it, `faults.rs` what rules are."""

    def __init__(self, *options: str, profiles: tuple[str, ...] = ANY_PROFILE) -> None:
        super().__init__([str(built_program("s3_rig", BINARY_VARIABLE, profiles)), *options])
        address = urlsplit(self.endpoint)
        self.host, self.port = str(address.hostname), int(address.port or 80)

    # -- steering ------------------------------------------------------------

    def request(self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None):
        """One request, unsigned; returns (status, headers, body)."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=60)
        try:
            connection.request(method, path, body=body, headers=headers or {})
            reply = connection.getresponse()
            return reply.status, dict(reply.getheaders()), reply.read()
        finally:
            connection.close()

    def control(self, method: str, what: str, value: Any = None) -> Any:
        """`/_rig/<what>` with JSON both ways."""
        body = b"" if value is None else json.dumps(value).encode()
        status, _, reply = self.request(method, f"/_rig/{what}", body)
        answer = json.loads(reply)
        if status != 200:
            raise ValueError(answer["error"])
        return answer

    def rules(self, *rules: dict[str, Any]) -> None:
        """Replaces the fault rules."""
        self.control("PUT", "rules", list(rules))

    def config(self, **changes: Any) -> dict[str, Any]:
        """Changes some settings, returns all."""
        return self.control("PUT", "config", changes)

    def reset(self, objects: bool = False) -> None:
        """No rules, counts at zero, the settings of the start; with `objects`, no buckets either."""
        self.control("POST", "reset?objects=1" if objects else "reset")

    # -- looking ------------------------------------------------------------

    def stats(self) -> dict[str, Any]:
        """Counts since the last reset."""
        return self.control("GET", "stats")

    def count(self, operation: str) -> int:
        """Requests of one operation since the last reset."""
        return self.stats()["operations"].get(operation, 0)

    def connections(self) -> int:
        """Connections of clients. The question has one of its own, which does not count."""
        return self.stats()["open_connections"] - 1

    def wait_until_idle(self, seconds: float = 30, others: int = 0) -> None:
        """Waits for the connections of clients that are gone: what they have asked is counted only once it is read.

        Args:
            seconds: For how long at most.
            others: How many connections clients hold that are still there.
        """
        until = time.monotonic() + seconds
        while self.connections() > others:
            if time.monotonic() > until:
                raise TimeoutError("a client still holds a connection to the rig")
            time.sleep(0.01)

    def log(self) -> list[dict[str, Any]]:
        """Requests since `config(log=True)`."""
        return self.control("GET", "log")

    def objects(self, bucket: str, prefix: str = "", hashed: bool = False) -> list[dict[str, Any]]:
        """Objects with size and metadata; with `hashed`, their xxh128."""
        query = {"bucket": bucket, "prefix": prefix, **({"hash": "1"} if hashed else {})}
        return self.control("GET", "objects?" + urlencode(query))

    def uploads(self, bucket: str) -> list[dict[str, Any]]:
        """Unfinished multipart uploads."""
        return self.control("GET", "uploads?" + urlencode({"bucket": bucket}))

    # -- objects, without a client ------------------------------------------------------------

    def create_bucket(self, name: str) -> str:
        """Makes the bucket, and returns its name."""
        self.request("PUT", f"/{name}")
        return name

    def put(self, bucket: str, key: str, body: bytes, headers: dict[str, str] | None = None) -> None:
        """Stores an object as it is, whatever its key says."""
        status, _, reply = self.request("PUT", f"/{bucket}/{quote(key)}", body, headers)
        if status != 200:
            raise RuntimeError(f"{status}: {reply!r}")

    def store(self, body: bytes, bucket: str = "", prefix: str = "") -> str:
        """Stores contents under the key that their hash spells; without a bucket only hashes. The hash."""
        query = urlencode({"bucket": bucket, "prefix": prefix} if bucket else {})
        _, _, reply = self.request("PUT", f"/_rig/cas?{query}", body)
        return json.loads(reply)["xxh128"]

    def get(self, bucket: str, key: str) -> bytes:
        """The bytes of an object."""
        status, _, reply = self.request("GET", f"/{bucket}/{quote(key)}")
        if status != 200:
            raise KeyError(f"{bucket}/{key}: {status}")
        return reply

    def delete(self, bucket: str, key: str) -> None:
        """Removes an object."""
        self.request("DELETE", f"/{bucket}/{quote(key)}")

    # -- clients ------------------------------------------------------------

    def environment(self) -> dict[str, str]:
        """Environment variables that lead the AWS SDKs here and nowhere else."""
        return aws_environment(self.endpoint)


def aws_environment(endpoint: str) -> dict[str, str]:
    """Environment variables that lead boto3 and the SDK for Rust to the endpoint, with s3s-fs's keys.

    The account is named, so that neither side asks STS for it.
    """
    return {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "testsecret",
        "AWS_ACCOUNT_ID": ACCOUNT,
        "AWS_REGION": "us-west-2",
        "AWS_DEFAULT_REGION": "us-west-2",
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "DEADLINE_CLOUD_TELEMETRY_OPT_OUT": "true",
    }


if __name__ == "__main__":
    with RigServer(*sys.argv[1:]) as server:
        print(server.endpoint, flush=True)
        sys.stdin.read()
