"""A server that writes down every request and grants none. Usage: production.py DIRECTORY; prints its port."""

from __future__ import annotations

import http.server
import ssl
import sys
from pathlib import Path


class Handler(http.server.BaseHTTPRequestHandler):
    """Writes the first line of each request into the file `requests`."""

    place = Path(sys.argv[1])

    def note(self) -> None:
        """Note a request and refuse it."""
        with (self.place / "requests").open("a") as file:
            file.write(f"{self.requestline}\n")
        self.send_error(403)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_CONNECT = note


def main() -> None:
    """Serve on a free port of loopback until killed."""
    (Handler.place / "requests").touch()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(Handler.place / "server.crt", Handler.place / "server.key")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    print(server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
