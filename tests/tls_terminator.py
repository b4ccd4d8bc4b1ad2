"""TLS before a plain server, as balancers do it. In threads: asyncio's own TLS server closes where it should alert."""

import socket
import ssl
import threading
from contextlib import suppress
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit


class TlsTerminator:
    """Decrypts for `upstream` (a base URL on loopback); `url` is where it listens. `context` may be replaced."""

    def __init__(self, upstream: str, context: ssl.SSLContext) -> None:
        self.context = context
        self._upstream = ("127.0.0.1", urlsplit(upstream).port or 80)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]

    @property
    def port(self) -> int:
        return int(self._listening.getsockname()[1])

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end(self._listening)
        self._threads[0].join()
        for one in self._open:
            self._end(one)
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                accepted, _ = self._listening.accept()
                self._open.append(accepted)
                self._start(self._serve, accepted)

    def _serve(self, accepted: socket.socket) -> None:
        try:
            inside = self.context.wrap_socket(accepted.dup(), server_side=True)
        except OSError:
            # What the client has sent meanwhile is read, or the reset at the close would overtake the alert.
            with suppress(OSError):
                accepted.shutdown(socket.SHUT_WR)
                while accepted.recv(1 << 16):
                    pass
            return
        self._open.append(inside)
        outside = socket.create_connection(self._upstream)
        self._open.append(outside)
        self._start(self._pump, outside, inside)
        self._pump(inside, outside)

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 16):
                sink.sendall(data)
        self._end(source)
        self._end(sink)

    def _start(self, target: object, *arguments: socket.socket) -> None:
        thread = threading.Thread(target=target, args=arguments)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _end(self, one: socket.socket) -> None:
        with suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)
        one.close()
