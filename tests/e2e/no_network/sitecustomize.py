"""Put on PYTHONPATH by the end-to-end tests: a process that reaches for the network dies of it."""

import socket


def _refuse(*args: object, **kwargs: object) -> None:
    raise RuntimeError(f"network access is blocked in tests: {args[:2]}")


socket.socket.connect = _refuse  # type: ignore[assignment,method-assign]
socket.socket.connect_ex = _refuse  # type: ignore[assignment,method-assign]
socket.getaddrinfo = _refuse  # type: ignore[assignment]
