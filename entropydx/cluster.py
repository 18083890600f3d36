"""Workers on a Ray cluster: an actor each, on a GPU each where there are GPUs.

Replies are asked for and not streamed: an actor that is asked hands over what it has completed since, at most
`REPLY_S` after the first. So a lost node loses no more than that, and what waits for the driver waits in the actor.
An actor that is lost is not started again: its work goes to the others, and a cluster that grows is used by the next
command. Ray's own words go to its log files: stdout is the document's.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from entropydx.errors import CheckpointError, ConfigError
from entropydx.fleet import Fleet
from entropydx.workers import LAST, Crashed, Failed, Host, Order, Reply, WorkerLostError

REPLY_S = 0.1
"""Seconds over which an actor gathers replies: one call costs about a millisecond, a scored passage not much more."""
CPUS_EACH = 2
"""Of an actor without a GPU, where nobody says how many actors there are to be."""
REACH_S = 10.0
"""Seconds within which a cluster's address has to take a connection."""
PASSED_ON = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
"""Switches of the driver's environment that hold in the actors too; paths do not, as nodes have their own."""

# ── on a node ─────────────────────────────────────────────────────────────────────────────────────


class Actor:
    """A `Host` whose replies are fetched."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        os.environ.update(environment)
        self._host = Host()
        self._replies: Iterator[Reply] = iter(())

    def where(self) -> str:
        """Return the node's address."""
        from ray.util import get_node_ip_address  # noqa: PLC0415 - an extra

        return str(get_node_ip_address())

    def begin(self, order: Order) -> None:
        """Take an order; whatever was left of the one before is dropped."""
        self._replies = self._host.serve(order)

    def replies(self) -> list[Reply]:
        """Return the next replies, at least one; the last one of the order is the last of the list."""
        found: list[Reply] = []
        for reply in self._replies:
            if not found:
                enough = time.monotonic() + REPLY_S
            found.append(reply)
            if isinstance(reply, LAST) or time.monotonic() > enough:
                break
        return found


# ── the driver's side ─────────────────────────────────────────────────────────────────────────────


class RayWorker:
    """An actor as `workers.Worker` has it."""

    def __init__(self, name: str, actor: Any) -> None:
        self.name, self._actor = name, actor

    def await_ready(self) -> None:
        """Return when the cluster has placed the actor, which may take as long as others hold its GPUs."""
        self.name += f" ({self._get(self._actor.where)})"

    def call(self, order: Order) -> Iterator[Reply]:
        """Yield the replies to an order, see `Worker`."""
        try:
            self._get(self._actor.begin, order)
            while True:
                for reply in self._get(self._actor.replies):
                    yield self._located(reply, order)
                    if isinstance(reply, LAST):
                        return
        except _BugError as bug:
            yield Crashed(str(bug))

    def stop(self) -> None:
        """Kill the actor, unless Ray itself is gone."""
        import ray  # noqa: PLC0415

        if ray.is_initialized():
            ray.kill(self._actor)

    @staticmethod
    def _get(method: Any, *arguments: object) -> Any:
        import ray  # noqa: PLC0415
        from ray.exceptions import RayError, RayTaskError  # noqa: PLC0415

        try:
            return ray.get(method.remote(*arguments))
        except RayTaskError as error:  # the actor lives, and its code does not
            raise _BugError(str(error)) from None
        except RayError as error:
            raise WorkerLostError(_in_one_line(str(error))) from None

    def _located(self, reply: Reply, order: Order) -> Reply:
        """Say on which node a checkpoint cannot be read that this process can read."""
        ref = order.opening.ref
        if not isinstance(reply, Failed) or not isinstance(reply.error, CheckpointError) or not os.path.exists(ref):
            return reply
        hint = f"{ref} must be readable at this path on every node, as on a shared file system"
        return Failed(
            CheckpointError(f"{self.name}: {reply.error.message}", f"{hint}; {reply.error.hint}".rstrip("; "))
        )


class _BugError(Exception):
    """The traceback of an actor."""


def _in_one_line(message: str) -> str:
    """Return what Ray says of an end in one line, without the identifiers that stand before it and its advice."""
    lines = [line.strip() for line in message.splitlines() if line.strip() and not line.startswith(("\t", " "))]
    telling = [line for line in lines if "Error" in line] or lines
    if not telling:
        return "Ray gives no reason"
    return telling[-1].rpartition(" is unavailable: ")[2].partition(". The task may")[0]


def allotment(nodes: Sequence[Mapping[str, float]], asked: int | None, device: str) -> tuple[int, dict[str, float]]:
    """Return how many actors there are to be, and what each takes.

    Parameters
    ----------
    nodes : sequence of mapping
        `CPU` and `GPU` of every living node.
    asked : int, optional
        Number of actors; None is one for each GPU, else one for `CPUS_EACH` CPUs, at least one.
    device : str
        As the user set it: `cpu` leaves GPUs alone.

    Raises
    ------
    ConfigError
        The cluster cannot hold so many.
    """
    gpus = 0 if device == "cpu" else int(sum(node.get("GPU", 0) for node in nodes))
    if gpus:
        _check_fits(asked, gpus, "GPU")
        # A GPU node that offers no CPUs still takes its actor.
        return asked or gpus, {"num_gpus": 1, "num_cpus": float(all(n.get("CPU", 0) for n in nodes if n.get("GPU")))}
    cpus = [int(node.get("CPU", 0)) for node in nodes]
    if asked is None:
        each = min(CPUS_EACH, max(cpus, default=0)) or 1
        return max(1, sum(n // each for n in cpus)), {"num_cpus": each}
    _check_fits(asked, sum(cpus), "CPU")
    each = max(c for c in range(1, max(cpus) + 1) if sum(n // c for n in cpus) >= asked)
    return asked, {"num_cpus": each}


def _check_fits(asked: int | None, n: int, what: str) -> None:
    if asked is not None and asked > n:
        raise ConfigError(f"{asked} workers need a {what} each, and the cluster has {n}", f"use --workers {n} or less")


def hire(address: str, n_workers: int | None, device: str) -> Fleet:
    """Connect to a Ray cluster, unless this process is connected already, and return a fleet of actors.

    Parameters
    ----------
    address : str
        `auto` for the cluster of this machine or of RAY_ADDRESS, `local` to start one here for this run, or HOST:PORT.
    n_workers : int, optional
        See `allotment`.
    device : str
        As the user set it.

    Raises
    ------
    ConfigError
        Ray is not installed, no cluster answers, or it cannot hold so many actors.
    """
    try:
        import ray  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise ConfigError("--ray needs a package that is not installed", "pip install 'entropydx[ray]'") from error
    farewell = None if ray.is_initialized() else _connect(ray, address)
    try:
        living = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        n, each = allotment(living, n_workers, device)
    except ConfigError:
        if farewell is not None:
            farewell()
        raise
    environment = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    kind = ray.remote(**each, max_restarts=0, scheduling_strategy="SPREAD")(Actor)
    workers = [RayWorker(f"actor {i} of {n}", kind.remote(environment)) for i in range(1, n + 1)]
    needs = " and ".join(f"{amount:g} {name.removeprefix('num_').upper()}" for name, amount in each.items() if amount)
    alone = "num_gpus" in each or n <= len(living)
    return Fleet(
        workers,
        has_room=lambda _: alone,
        waits_for=f"each actor needs {needs} of the cluster, which others may hold (`ray status` tells)",
        farewell=farewell,
    )


def _connect(ray: Any, address: str) -> Callable[[], None]:
    """Connect, with Ray's own words kept out of stdout and stderr; return what disconnects."""
    own = {"include_dashboard": False} if address == "local" else {}
    kept = sys.stdout
    sys.stdout = shield = _WithoutRay(kept)
    try:
        _check_reachable(os.environ.get("RAY_ADDRESS", address) if address == "auto" else address)
        ray.init(address=address, logging_level=logging.ERROR, log_to_driver=False, namespace="entropydx", **own)
    except (OSError, RuntimeError, ValueError) as error:
        sys.stdout = kept
        raise ConfigError(
            f"no Ray cluster answers at '{address}': {_in_one_line(str(error))}",
            "start one with `ray start --head`, give its HOST:PORT, or use --ray local or --workers N on this machine",
        ) from error

    def disconnect() -> None:
        with contextlib.redirect_stdout(io.StringIO()):  # it repeats there what its listener has held back
            ray.shutdown()
        if sys.stdout is shield:
            sys.stdout = kept

    return disconnect


def _check_reachable(address: str) -> None:
    """Raise an OSError when nobody listens at HOST:PORT: Ray itself would try for minutes."""
    host, _, port = address.rpartition(":")
    if host and port.isdigit() and "://" not in address:
        socket.create_connection((host, int(port)), REACH_S).close()


class _WithoutRay:
    """Standard output for everyone but Ray, whose listener prints the last words of lost nodes there, many lines each.

    The worker that is lost is named by the fleet's own remark.
    """

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def write(self, text: str) -> int:
        """Write, unless it is one of Ray's threads that wants to."""
        if threading.current_thread().name.startswith("ray_"):
            return len(text)
        return int(self._inner.write(text))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)
