"""F32: configurations as boto3 reads them, and mistakes in them."""

from __future__ import annotations

import contextlib
import json
import select
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Callable, Optional

from case import NOT_RUN, Case, Outcome, case, row

row("F32", "configurations, trust stores, proxies, credentials")

KEYS = "aws_access_key_id = test\naws_secret_access_key = testsecret\naws_account_id = 123456789012\n"
#: What the case's environment would say otherwise.
_SET = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ACCOUNT_ID", "AWS_ENDPOINT_URL", "AWS_REGION")
UNSET = dict.fromkeys(_SET, "")
#: Nothing listens here.
DEAD_PROXY = "http://127.0.0.1:9"


def download(this: Case, config: str, **variables: str) -> tuple[dict[str, bytes], Outcome]:
    """A download under a configuration file and variables."""
    file = this.home / "config"
    file.write_text(config, encoding="utf-8")
    contents = {"a.exr": this.bytes(3_000), "b/c.exr": this.bytes(50_000)}
    environment = {
        **UNSET,
        "AWS_CONFIG_FILE": str(file),
        "RUSTY_ATTACHMENTS_RETRY_SECONDS": "20",
        **variables,
    }
    return contents, this.run("download", environment, manifest=this.store(contents))


def works(name: str, config: Callable[[Case], str], **variables: str) -> None:
    """A configuration with which the download works."""

    @case("F32", name, quick=True, patience=60)
    def working(this: Case) -> None:
        this.check_download(*download(this, config(this), **variables), must_succeed=True)


def refused(name: str, config: str, *words: str, **variables: str) -> None:
    """A mistake that the error names, soon."""

    @case("F32", name, quick=True, patience=30)
    def mistaken(this: Case) -> None:
        contents, outcome = download(this, config, **variables)
        this.check_download(contents, outcome)
        this.expect_error(outcome, *words)
        this.surprise_unless("already taken" not in outcome.text, outcome.text[:300])
        this.surprise_unless("DispatchFailure" not in outcome.text, outcome.text[:300])


def by_name(this: Case) -> str:
    """The rig under a name: with buckets in the host's name, nobody would be asked."""
    return f"http://localhost:{this.rig.port}"


works("endpoint of a profile", lambda this: f"[default]\n{KEYS}endpoint_url = {by_name(this)}\n")
works(
    "endpoint of a services section",
    lambda this: f"[default]\n{KEYS}services = lab\n[services lab]\ns3 =\n  endpoint_url = {by_name(this)}\n",
)
works(
    "a quoted name, blanks, colons and words behind a section",
    lambda this: (
        f'[profile "Nächte im Studio"] # lab\n  endpoint_url: {by_name(this)}\n  '
        + KEYS.replace("\n", "\n  ")
    ),
    AWS_PROFILE="Nächte im Studio",
)
works(
    "retry modes of boto3",
    lambda this: f"[default]\n{KEYS}endpoint_url = {by_name(this)}\nretry_mode = legacy\n",
    AWS_RETRY_MODE="legacy",
    AWS_MAX_ATTEMPTS="0",
)
works(
    "NO_PROXY with a range of addresses",
    lambda this: f"[default]\n{KEYS}endpoint_url = {this.rig.endpoint}\n",
    HTTP_PROXY=DEAD_PROXY,
    NO_PROXY="10.0.0.0/8,127.0.0.0/8",
)

ROLE = "role_arn = arn:aws:iam::123456789012:role/r\n"
refused("no such profile", "[profile other]\n", "lightng", "there are other", AWS_PROFILE="lightng")
refused("half a key", "[profile lab]\naws_access_key_id = k\n", "'lab'", "secret", AWS_PROFILE="lab")
refused(
    "sources in a circle",
    f"[profile lab]\n{ROLE}source_profile = b\n[profile b]\n{ROLE}source_profile = lab\n",
    "lab -> b -> lab",
    AWS_PROFILE="lab",
)
refused("a source that is not there", f"[default]\n{ROLE}source_profile = gone\n", "'default'", "'gone'")
refused("no credentials", "[profile lab]\nregion = us-west-2\n", "'lab'", "credentials", AWS_PROFILE="lab")
refused(
    "a line end in the access key",
    "",
    "access key id",
    "line end",
    AWS_ACCESS_KEY_ID="key\n",
    AWS_SECRET_ACCESS_KEY="s",
    AWS_ENDPOINT_URL=DEAD_PROXY,
)
refused(
    "a line end in the session token of a profile",
    f"[default]\n{KEYS}aws_session_token = a\n  b\nendpoint_url = {DEAD_PROXY}\n",
    "'default'",
    "session token",
)


# -- Certificates ------------------------------------------------------------------------------------------------

#: Authority, server signed by it, and two servers that have signed themselves.
_SCRIPT = """
openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 2 -subj /CN=Studio
openssl req -newkey rsa:2048 -nodes -keyout signed.key -out signed.csr -subj /CN=localhost
printf 'subjectAltName=DNS:localhost\\nbasicConstraints=CA:FALSE\\n' > extensions
openssl x509 -req -in signed.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out signed.pem -days 2 -extfile extensions
openssl req -x509 -newkey rsa:2048 -nodes -keyout own.key -out own.pem -days 2 -subj /CN=a \
  -addext subjectAltName=DNS:localhost
openssl req -x509 -newkey rsa:2048 -nodes -keyout other.key -out other.pem -days 2 -subj /CN=a \
  -addext subjectAltName=DNS:localhost
openssl req -x509 -newkey rsa:2048 -nodes -keyout elsewhere.key -out elsewhere.pem -days 2 -subj /CN=a \
  -addext subjectAltName=DNS:elsewhere.example
"""


class Tls:
    """Speaks TLS in front of the rig, until the case ends."""

    def __init__(self, folder: Path, certificate: str, port: int) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / f"{certificate}.pem", folder / f"{certificate}.key")
        self._context, self._behind = context, port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"https://localhost:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        # Closing the listener ends this.
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, plain: socket.socket) -> None:
        # A client that trusts nobody goes away in the handshake.
        with contextlib.suppress(OSError), self._context.wrap_socket(plain, server_side=True) as client:
            with socket.create_connection(("127.0.0.1", self._behind)) as rig:
                self._pass_on(client, rig)

    @staticmethod
    def _pass_on(client: ssl.SSLSocket, rig: socket.socket) -> None:
        while True:
            waiting = client.pending() or select.select([client, rig], [], [])[0]
            source = client if waiting is not True and (client.pending() or client in waiting) else rig
            data = source.recv(65_536)
            if not data:
                return
            (rig if source is client else client).sendall(data)

    def close(self) -> None:
        self._listener.close()


@contextlib.contextmanager
def tls(this: Case, certificate: str) -> Iterator[tuple[Path, Tls]]:
    """A server with the certificate, and the folder with all of them."""
    folder = this.folder / "case-certificates"
    folder.mkdir()
    subprocess.run(["sh", "-e", "-c", _SCRIPT], cwd=folder, check=True, capture_output=True)
    server = Tls(folder, certificate, this.rig.port)
    try:
        yield folder, server
    finally:
        server.close()


def trusted(
    name: str, certificate: str, bundle: Optional[str], *words: str, by: str = "AWS_CA_BUNDLE"
) -> None:
    """A server's certificate, what the client trusts, and the words of the error where it should not trust it."""

    @case("F32", name, quick=True, patience=30)
    def connecting(this: Case) -> None:
        with tls(this, certificate) as (folder, server):
            config = f"[default]\n{KEYS}endpoint_url = {server.url}\n"
            variables = {}
            if bundle and by == "ca_bundle":
                config += f"ca_bundle = {folder / bundle}.pem\n"
            elif bundle:
                variables[by] = str(folder / f"{bundle}.pem")
            contents, outcome = download(this, config, **variables)
            this.check_download(contents, outcome, must_succeed=not words)
            if words:
                this.expect_error(outcome, *words)
                this.score.false_success += int(outcome.ok)


if shutil.which("openssl"):
    trusted("an authority by AWS_CA_BUNDLE", "signed", "ca")
    trusted("an authority by REQUESTS_CA_BUNDLE", "signed", "ca", by="REQUESTS_CA_BUNDLE")
    trusted("an authority by ca_bundle of a profile", "signed", "ca", by="ca_bundle")
    trusted("a certificate that is its own bundle", "own", "own")
    trusted(
        "a certificate beside the one in the bundle", "other", "own", "certificate of localhost", "own.pem"
    )
    trusted(
        "a certificate of another host",
        "elsewhere",
        "elsewhere",
        "certificate of localhost",
        "another host",
    )
    trusted("a certificate that nobody trusts", "signed", None, "certificate of localhost", "AWS_CA_BUNDLE")
else:
    NOT_RUN["F32"] = "openssl is not installed, which makes certificates for some of its cases"


# -- Credentials of a container ----------------------------------------------------------------------------------


@case("F32", "credentials of a container, behind a proxy", quick=True, patience=60)
def container(this: Case) -> None:
    """Only the host itself can be asked for them."""
    body = {
        "AccessKeyId": "test",
        "SecretAccessKey": "testsecret",
        "Token": "t",
        "Expiration": "2099-01-01T00:00:00Z",
    }
    this.rig.put(this.bucket, "credentials", json.dumps(body).encode())
    contents, outcome = download(
        this,
        f"[default]\nendpoint_url = {by_name(this)}\n",
        AWS_CONTAINER_CREDENTIALS_FULL_URI=f"{this.rig.endpoint}/{this.bucket}/credentials",
        HTTP_PROXY=DEAD_PROXY,
        NO_PROXY="localhost",
        AWS_ENDPOINT_URL_STS=DEAD_PROXY,
    )
    this.check_download(contents, outcome, must_succeed=True)
