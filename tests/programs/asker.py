"""A client of an HTTP server: a new connection for each question.

    asker.py ADDRESS METHOD PATH    HOST:PORT, or the path of a Unix socket; asks once
    asker.py ADDRESS                asks GET /status again and again, until stdin is closed

Prints a line of JSON for each question: the name of the error or null, the answer, and the time.
"""

import json
import select
import socket
import sys
import time

TIMEOUT = 20.0


def ask(address, method, path):
    host, _, port = address.rpartition(":")
    kind = socket.AF_INET if host else socket.AF_UNIX
    with socket.socket(kind) as connection:
        connection.settimeout(TIMEOUT)
        connection.connect((host, int(port)) if host else address)
        connection.sendall(f"{method} {path} HTTP/1.0\r\n\r\n".encode())
        answer = b"".join(iter(lambda: connection.recv(4096), b""))
    body = answer.partition(b"\r\n\r\n")[2]
    if not body.endswith(b"\n"):
        raise ConnectionResetError  # no answer, or not all of it
    return json.loads(body)


def tell(*question):
    answer, error = None, None
    began = time.monotonic()
    try:
        answer = ask(*question)
    except BrokenPipeError:  # the same, but while we ask
        error = "ConnectionResetError"
    except OSError as caught:
        error = type(caught).__name__
    seconds = round(time.monotonic() - began, 6)
    print(json.dumps({"error": error, "answer": answer, "seconds": seconds}), flush=True)


if len(sys.argv) > 2:
    tell(*sys.argv[1:])
else:
    while not select.select([sys.stdin], [], [], 0)[0]:
        tell(sys.argv[1], "GET", "/status")
