"""`python peer_awscrt.py upload|download FOLDER ENDPOINT BUCKET`: copies a folder with the S3 client of the AWS CRT."""

from __future__ import annotations

import os
import sys
import urllib.request
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from urllib.parse import quote, urlsplit
from xml.etree import ElementTree

from awscrt.auth import AwsCredentialsProvider
from awscrt.http import HttpHeaders, HttpRequest
from awscrt.io import ClientBootstrap, DefaultHostResolver, EventLoopGroup
from awscrt.s3 import S3Client, S3RequestTlsMode, S3RequestType

_S3 = "{http://s3.amazonaws.com/doc/2006-03-01/}"


def keys_of(endpoint: str, bucket: str) -> Iterator[str]:
    """All keys. The CRT lists nothing by itself, and the rig takes requests that nobody signed."""
    token = ""
    while True:
        query = "list-type=2" + (f"&continuation-token={quote(token, safe='')}" if token else "")
        with urllib.request.urlopen(f"{endpoint}/{bucket}?{query}") as reply:
            page = ElementTree.parse(reply).getroot()
        for key in page.iter(f"{_S3}Key"):
            yield str(key.text)
        token = page.findtext(f"{_S3}NextContinuationToken") or ""
        if not token:
            return


def client() -> S3Client:
    """A client with the CRT's defaults, and plain HTTP."""
    loops = EventLoopGroup()
    bootstrap = ClientBootstrap(loops, DefaultHostResolver(loops))
    return S3Client(
        bootstrap=bootstrap,
        region=os.environ.get("AWS_DEFAULT_REGION", "us-west-2"),
        tls_mode=S3RequestTlsMode.DISABLED,
        credential_provider=AwsCredentialsProvider.new_environment(),
    )


def main(what: str, folder: Path, endpoint: str, bucket: str) -> None:
    crt = client()
    host = urlsplit(endpoint).netloc

    def upload(path: Path) -> Future[None]:
        target = f"/{bucket}/{quote(str(path.relative_to(folder)))}"
        headers = HttpHeaders([("Host", host), ("Content-Length", str(path.stat().st_size))])
        request = HttpRequest("PUT", target, headers)
        asked = crt.make_request(type=S3RequestType.PUT_OBJECT, request=request, send_filepath=str(path))
        return asked.finished_future

    def download(key: str) -> Future[None]:
        path = folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        request = HttpRequest("GET", f"/{bucket}/{quote(key)}", HttpHeaders([("Host", host)]))
        asked = crt.make_request(type=S3RequestType.GET_OBJECT, request=request, recv_filepath=str(path))
        return asked.finished_future

    if what == "upload":
        under_way = [upload(path) for path in folder.rglob("*") if path.is_file()]
    else:
        under_way = [download(key) for key in keys_of(endpoint, bucket)]
    for future in under_way:
        future.result()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), *sys.argv[3:5])
