"""What the rules look at: every module of the packages, parsed, with its imports and calls resolved to full names."""

from __future__ import annotations

import ast
import functools
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]


class Import(NamedTuple):
    """One imported module: its full name and where; `typing_only` under `if TYPE_CHECKING`."""

    name: str
    line: int
    typing_only: bool


class Call(NamedTuple):
    """One call by its full name (`datetime.datetime.now`), as far as imports tell it."""

    name: str
    line: int
    keywords: frozenset[str]


class Module(NamedTuple):
    """One source file."""

    path: str
    """From the repository's root, with slashes."""
    text: str
    tree: ast.Module

    @property
    def package(self) -> str:
        return self.path.split("/", 1)[0]

    @property
    def name(self) -> str:
        """The dotted name under which it is imported."""
        return self.path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")

    def imports(self) -> list[Import]:
        """All imports, those inside functions too."""
        typing_lines = set(_typing_only_lines(self.tree))
        found = []
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                base = self._base(node)
                names = [_module_or_name(base, alias.name) for alias in node.names]
            else:
                continue
            found += [Import(name, node.lineno, node.lineno in typing_lines) for name in names]
        return found

    def calls(self) -> list[Call]:
        """All calls whose function is a plain or dotted name, local aliases resolved."""
        aliases = self._aliases()
        found = []
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Call) and (dotted := _dotted(node.func)):
                first, _, rest = dotted.partition(".")
                full = aliases.get(first, first) + (f".{rest}" if rest else "")
                found.append(Call(full, node.lineno, frozenset(word.arg for word in node.keywords if word.arg)))
        return found

    def functions(self) -> list[tuple[str, int, int]]:
        """Name, line and number of lines of each function."""
        return [
            (node.name, node.lineno, (node.end_lineno or node.lineno) - node.lineno + 1)
            for node in ast.walk(self.tree)
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        ]

    def raises_in_star(self) -> list[int]:
        """Lines within `except*` that raise anything but what was caught."""
        handlers = [each for node in ast.walk(self.tree) if isinstance(node, ast.TryStar) for each in node.handlers]
        inside = [node for handler in handlers for node in ast.walk(handler)]
        return [node.lineno for node in inside if isinstance(node, ast.Raise) and node.exc is not None]

    def _base(self, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        here = self.name.split(".") if self.path.endswith("/__init__.py") else self.name.split(".")[:-1]
        here = here[: len(here) - node.level + 1]
        return ".".join([*here, node.module] if node.module else here)

    def _aliases(self) -> dict[str, str]:
        aliases: dict[str, str] = {}
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                aliases |= {alias.asname: alias.name for alias in node.names if alias.asname}
            elif isinstance(node, ast.ImportFrom):
                base = self._base(node)
                aliases |= {alias.asname or alias.name: f"{base}.{alias.name}" for alias in node.names}
        return aliases


def parse(path: str, text: str) -> Module:
    """A module from its text."""
    return Module(path, text, ast.parse(text, path))


@functools.cache
def modules(*folders: str) -> tuple[Module, ...]:
    """Every Python file below `folders`, in order."""
    paths = [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]
    return tuple(parse(path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")) for path in paths)


@functools.cache
def held_files() -> tuple[Path, ...]:
    """Every file that git holds or would add."""
    listed = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    return tuple(path for name in listed.stdout.split("\0") if name and (path := ROOT / name).is_file())


def is_within(name: str, outer: str, separator: str = ".") -> bool:
    """Whether dotted `name` is `outer` or lies in it; the same for paths with the separator "/"."""
    return name == outer or name.startswith(outer + separator)


def _dotted(node: ast.expr) -> str | None:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        before = _dotted(node.value)
        return f"{before}.{node.attr}" if before else None
    return None


def _module_or_name(base: str, name: str) -> str:
    """`from base import name`: base.name where that is a module, else base.

    An `__init__.py` of ours holds no name, so whatever is imported from one of our folders is a module.
    """
    return f"{base}.{name}" if ROOT.joinpath(*base.split(".")).is_dir() or (base, name) in _SUBMODULES else base


_SUBMODULES = {("urllib", "request"), ("importlib", "resources"), ("concurrent", "futures")}
"""Submodules of the standard library that the rules tell apart from their parent."""


def _typing_only_lines(tree: ast.Module) -> Iterator[int]:
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and (_dotted(node.test) or "").endswith("TYPE_CHECKING"):
            for statement in node.body:
                yield from range(statement.lineno, (statement.end_lineno or statement.lineno) + 1)
