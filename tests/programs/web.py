"""One small answer, as a WSGI application (gunicorn) and as an ASGI one (uvicorn)."""

import os

ANSWER = f"run {os.environ['REBOUND_RESTARTS']}\n".encode()
HEADERS = {"Content-Type": "text/plain", "Content-Length": str(len(ANSWER))}


def wsgi(_environ, start_response):
    start_response("200 OK", list(HEADERS.items()))
    return [ANSWER]


async def asgi(_scope, _receive, send):
    headers = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": ANSWER})
