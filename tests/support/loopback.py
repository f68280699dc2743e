"""A web server on this machine alone, which fails in the ways that a test sets."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Behaviour:
    """The content and the failures of the server. `serve` makes it; tests set its attributes and read `asked`.

    Attributes:
        content: bytes by path.
        cut_after: bytes after which the connection is cut, one entry for each request, None for no cut; later requests
            are not cut.
        ranges: whether the server can answer from the middle of a file.
        status: errors that are answered instead, one entry for each request.
        asked: the Range header of every request; None if it had none.
    """

    def __init__(self, content: dict[str, bytes]) -> None:
        self.content = content
        self.cut_after: list[int | None] = []
        self.ranges = True
        self.status: list[int] = []
        self.asked: list[str | None] = []
        self.url = ""


@contextmanager
def serve(content: dict[str, bytes]) -> Iterator[Behaviour]:
    """Serves the content until the context ends."""
    behaviour = Behaviour(content)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            _answer(self, behaviour)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    behaviour.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield behaviour
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _answer(request: BaseHTTPRequestHandler, behaviour: Behaviour) -> None:
    asked = request.headers.get("Range")
    behaviour.asked.append(asked)
    content = behaviour.content.get(request.path)
    if content is None or behaviour.status:
        request.send_error(behaviour.status.pop(0) if behaviour.status else 404)
        return
    start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and behaviour.ranges else 0
    if start >= len(content) > 0 and asked:
        request.send_response(416)
        request.send_header("Content-Range", f"bytes */{len(content)}")
        request.send_header("Content-Length", "0")
        request.end_headers()
        return
    request.send_response(206 if start else 200)
    request.send_header("Content-Length", str(len(content) - start))
    request.end_headers()
    cut = behaviour.cut_after.pop(0) if behaviour.cut_after else None
    request.wfile.write(content[start:] if cut is None else content[start : start + cut])
