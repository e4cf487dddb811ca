"""A small object store that speaks S3 over HTTP: enough for what obstore sends, with its requests recorded."""

from __future__ import annotations

import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar
from urllib.parse import parse_qs, unquote, urlsplit
from xml.etree import ElementTree
from xml.sax.saxutils import escape

__all__ = ["S3Server"]


class S3Server:
    """``with S3Server() as server``: ``server.objects`` maps ``bucket/key`` to bytes."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.parts: dict[str, dict[int, bytes]] = {}
        self.forbidden = False
        self.failures_left = 0
        self.elsewhere: str | None = None
        """Where every request is redirected to."""
        self.requests: list[str] = []
        handler = type("Handler", (_Handler,), {"store": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def environment(self) -> dict[str, str]:
        return {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self._server.server_port}",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": "us-east-1",
        }

    def __enter__(self) -> S3Server:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Handler(BaseHTTPRequestHandler):
    store: ClassVar[S3Server]
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        pass

    def _answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", headers.pop("length", str(len(body))))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _begin(self) -> tuple[str, dict[str, str], bytes] | None:
        """(key, query, body); None when the request has been refused."""
        url = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(url.query, keep_blank_values=True).items()}
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Content-Encoding") == "aws-chunked" or self.headers.get("Transfer-Encoding"):
            raise NotImplementedError("chunked uploads")
        self.store.requests.append(f"{self.command} {unquote(url.path)}")
        if self.store.forbidden:
            self._answer(403, b"<Error><Code>AccessDenied</Code></Error>")
            return None
        if self.store.elsewhere:
            self._answer(307, Location=f"{self.store.elsewhere}{self.path}")
            return None
        if self.store.failures_left:
            self.store.failures_left -= 1
            self._answer(503, b"<Error><Code>SlowDown</Code></Error>")
            return None
        return unquote(url.path).strip("/"), query, body

    def _object(self, key: str) -> bytes | None:
        data = self.store.objects.get(key)
        if data is None:
            self._answer(404, b"<Error><Code>NoSuchKey</Code></Error>")
        return data

    def do_HEAD(self) -> None:
        if (begun := self._begin()) and (data := self._object(begun[0])) is not None:
            self._answer(200, length=str(len(data)), ETag=_tag(data), Last_Modified=_WHEN)

    def do_GET(self) -> None:
        begun = self._begin()
        if begun is None:
            return
        key, query, _ = begun
        if "list-type" in query:
            self._list(key, query.get("prefix", ""))
            return
        data = self._object(key)
        if data is None:
            return
        wanted = self.headers.get("Range", "").removeprefix("bytes=")
        if not wanted:
            self._answer(200, data, ETag=_tag(data), Last_Modified=_WHEN)
            return
        first, last = (int(number) for number in wanted.split("-"))
        last = min(last, len(data) - 1)
        extent = f"bytes {first}-{last}/{len(data)}"
        self._answer(206, data[first : last + 1], ETag=_tag(data), Last_Modified=_WHEN, Content_Range=extent)

    def _list(self, bucket: str, prefix: str) -> None:
        entries = "".join(
            f"<Contents><Key>{escape(key.removeprefix(f'{bucket}/'))}</Key><Size>{len(data)}</Size>"
            f"<ETag>{escape(_tag(data))}</ETag><LastModified>2025-10-27T12:00:00.000Z</LastModified></Contents>"
            for key, data in sorted(self.store.objects.items())
            if key.startswith(f"{bucket}/{prefix}")
        )
        body = f"<ListBucketResult><IsTruncated>false</IsTruncated>{entries}</ListBucketResult>"
        self._answer(200, body.encode(), Content_Type="application/xml")

    def do_PUT(self) -> None:
        begun = self._begin()
        if begun is None:
            return
        key, query, body = begun
        if "uploadId" in query:
            self.store.parts[query["uploadId"]][int(query["partNumber"])] = body
        else:
            self.store.objects[key] = body
        self._answer(200, ETag=_tag(body))

    def do_POST(self) -> None:
        begun = self._begin()
        if begun is None:
            return
        key, query, body = begun
        if "uploads" in query:
            upload = f"upload-{len(self.store.parts)}"
            self.store.parts[upload] = {}
            answer = f"<InitiateMultipartUploadResult><UploadId>{upload}</UploadId></InitiateMultipartUploadResult>"
        elif "uploadId" in query:
            parts = self.store.parts.pop(query["uploadId"])
            self.store.objects[key] = b"".join(parts[number] for number in sorted(parts))
            tag = escape(_tag(self.store.objects[key]))
            answer = f"<CompleteMultipartUploadResult><ETag>{tag}</ETag></CompleteMultipartUploadResult>"
        else:
            answer = self._delete(key, body)
        self._answer(200, answer.encode(), Content_Type="application/xml")

    def _delete(self, bucket: str, body: bytes) -> str:
        keys = [element.text or "" for element in ElementTree.fromstring(body).iter() if element.tag.endswith("Key")]
        for key in keys:
            self.store.objects.pop(f"{bucket}/{key}", None)
        gone = "".join(f"<Deleted><Key>{escape(key)}</Key></Deleted>" for key in keys)
        return f"<DeleteResult>{gone}</DeleteResult>"

    def do_DELETE(self) -> None:
        if begun := self._begin():
            key, query, _ = begun
            if "uploadId" in query:
                self.store.parts.pop(query["uploadId"], None)
            self.store.objects.pop(key, None)
            self._answer(204)


_WHEN = "Mon, 27 Oct 2025 12:00:00 GMT"


def _tag(data: bytes) -> str:
    return f'"{hashlib.md5(data, usedforsecurity=False).hexdigest()}"'
