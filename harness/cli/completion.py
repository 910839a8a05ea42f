"""`openprune completion`: the script that lets a shell complete commands, options and names."""

from __future__ import annotations

import argparse

HINT = """\
bash:  openprune completion bash > ~/.local/share/bash-completion/completions/openprune
zsh:   openprune completion zsh > a folder of $fpath, as _openprune
fish:  openprune completion fish > ~/.config/fish/completions/openprune.fish"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", choices=("bash", "zsh", "fish"))
    parser.epilog = HINT


def execute(args: argparse.Namespace) -> int:
    from argcomplete import shell_integration

    print(shell_integration.shellcode(["openprune"], shell=args.shell))
    return 0
