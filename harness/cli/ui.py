"""`openprune ui`: MLflow's pages over the mirror of the store."""

from __future__ import annotations

import argparse
import os
import socket

from harness.cli.reading import add_store_argument, store_root


def _port(text: str) -> int:
    port = int(text)
    if not 1 <= port <= 65535:
        raise argparse.ArgumentTypeError(f"{port} is not in 1…65535")
    return port


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--port", type=_port, default=5000, help="port on this machine (default: 5000)")
    add_store_argument(parser)


def execute(args: argparse.Namespace) -> int:
    import subprocess

    from harness.cli.output import note
    from harness.util.names import UsageError
    from harness.views.mirror import mirror, ui_command
    from harness.views.results import read_records

    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", args.port))
        except OSError as error:
            raise UsageError(
                f"Port {args.port} cannot be used ({error.strerror}); try another: --port {args.port % 65535 + 1}"
            ) from error
    root = store_root(args)
    command = ui_command(root, args.port)
    mirror(read_records(root).records, root)  # what MLflow lacks, or all of it where its file was lost
    note(f"Starting at http://127.0.0.1:{args.port} (end it with Ctrl-C).")
    try:
        return subprocess.call(command, env={**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"})
    except KeyboardInterrupt:
        return 0  # the usual way to end a server
