"""`openprune store`: remove what no record needs, or take in the records of another store."""

from __future__ import annotations

import argparse
from pathlib import Path

from harness.cli.reading import add_store_argument, store_root


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    gc = actions.add_parser("gc", help="remove stages that no record refers to; records always stay")
    gc.add_argument("-n", "--dry-run", action="store_true", help="only say what would go")
    gc.add_argument("--cells", action="store_true", help="remove the cells of studies too; their results stay")
    add_store_argument(gc)
    merge = actions.add_parser("merge", help="copy the records and stages of another store into this one")
    merge.add_argument("other", type=Path, metavar="OTHER", help="folder of the other store; it is not changed")
    add_store_argument(merge)


def execute(args: argparse.Namespace) -> int:
    from harness.store.store import Store
    from harness.util.names import UsageError

    root = store_root(args)
    if args.action == "gc":
        if not root.is_dir():
            raise UsageError(f"There is no store at {root}.")
        removed = Store(root).gc(dry_run=args.dry_run, cells=args.cells)
        for path in removed:
            print(path)
        print(f"{'Would remove' if args.dry_run else 'Removed'} {len(removed)} folders.")
        return 0
    other = args.other.expanduser().resolve()
    if other == root:
        raise UsageError(f"{other} is this store itself; name another.")
    before = _cells(root)
    records = Store(root).merge(other)
    print(f"{records} new records in {root}, and {_cells(root) - before} new cells of studies.")
    return 0


def _cells(root: Path) -> int:
    return len(list((root / "cell").glob("*/stage.json")))
