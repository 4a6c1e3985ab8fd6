"""The command for a worker that programs find by its socket: worker."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from perceptum.errors import UsageError

__all__ = ["add_to"]


def add_to(app: typer.Typer) -> None:
    app.command()(worker)


def worker(
    socket: Annotated[
        Path, typer.Option("--socket", metavar="PATH", help="Where to listen; only this user may connect.")
    ],
) -> None:
    """Wait for programs that run a model here, by Uber's option control_queue_name, and start a process for each.

    It listens until Ctrl-C or SIGTERM, which end its processes too. What runs here has this command's environment: its
    variables, its limits, its GPUs, its container.
    """
    from perceptum.neuropod.process.attached import listen

    if socket.exists() and not socket.is_socket():
        raise UsageError(
            f"--socket {socket}: a {'folder' if socket.is_dir() else 'file'} is there already; name another"
        )
    listen(socket)
