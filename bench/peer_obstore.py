"""`python peer_obstore.py upload|download FOLDER ENDPOINT BUCKET`: copies a folder with obstore."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import obstore
from obstore.store import S3Store


async def main(what: str, folder: Path, endpoint: str, bucket: str) -> None:
    options = {"client_options": {"allow_http": True}, "virtual_hosted_style_request": False}
    store = S3Store(bucket, endpoint=endpoint, **options)
    limit = asyncio.Semaphore(50)

    async def upload(path: Path) -> None:
        async with limit:
            await obstore.put_async(store, str(path.relative_to(folder)), path)

    async def download(key: str) -> None:
        async with limit:
            target = folder / key
            target.parent.mkdir(parents=True, exist_ok=True)
            reply = await obstore.get_async(store, key)
            with target.open("wb") as file:
                async for chunk in reply.stream(min_chunk_size=1 << 20):
                    file.write(chunk)

    if what == "upload":
        await asyncio.gather(*[upload(path) for path in folder.rglob("*") if path.is_file()])
    else:
        keys = [row["path"] for page in obstore.list(store) for row in page]
        await asyncio.gather(*[download(key) for key in keys])


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2]), *sys.argv[3:5]))
    # All is done by now; obstore 0.12.1 sometimes aborts where the interpreter goes away around its threads.
    os._exit(0)
