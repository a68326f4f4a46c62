"""What an event's fold is made of: its function, and all that this uses, as source."""

from __future__ import annotations

import ast
import importlib
import inspect
from collections.abc import Callable, Iterator
from functools import cache
from types import ModuleType

_PACKAGES = ("domain.", "schemas.")
_STATES = "domain.execution.state."
_Definition = ast.FunctionDef | ast.Assign | ast.AnnAssign


def fold_source(fold: Callable[..., object]) -> str:
    """Return the source of a fold without docstrings and comments.

    Below the function stand the functions, properties and constants that it uses,
    directly or not, by name. Classes are left out: a new field isn't a new meaning.
    """
    found: dict[tuple[str, str], str] = {}
    _collect(fold.__module__, fold.__name__, found)
    first = (fold.__module__, fold.__name__)
    parts = [found.pop(first), *(found[key] for key in sorted(found, key=_by_name))]
    return "\n\n\n".join(parts) + "\n"


def _by_name(key: tuple[str, str]) -> tuple[str, str]:
    module, name = key
    return name, module


def tree_of(source: str) -> str:
    """Return the syntax tree of a source: the same on each version of Python."""
    return ast.dump(ast.parse(source))


def _collect(module: str, name: str, found: dict[tuple[str, str], str]) -> None:
    key = (module, name)
    node = _definitions(module).get(name)
    if key in found or node is None:
        return
    found[key] = ast.unparse(_without_docstrings(node))
    for used_in, used in _used(module, node):
        _collect(used_in, used, found)


def _used(module: str, node: ast.AST) -> Iterator[tuple[str, str]]:
    """Yield module and name of what a definition names."""
    imported = _imports(module)
    for inner in ast.walk(node):
        if isinstance(inner, ast.Name):
            yield imported.get(inner.id, (module, inner.id))
        elif isinstance(inner, ast.Attribute):
            yield from _properties().get(inner.attr, ())


@cache
def _tree(module: str) -> ast.Module:
    return ast.parse(inspect.getsource(_import(module)))


def _import(module: str) -> ModuleType:
    return importlib.import_module(module)


@cache
def _definitions(module: str) -> dict[str, _Definition]:
    """Return the functions, constants and properties of a module of the engine."""
    if not module.startswith(_PACKAGES):
        return {}
    found: dict[str, _Definition] = {}
    for node in _tree(module).body:
        match node:
            case ast.FunctionDef(name=name):
                found[name] = node
            case ast.Assign(targets=[ast.Name(id=name)]):
                found[name] = node
            case ast.AnnAssign(target=ast.Name(id=name)):
                found[name] = node
            case ast.ClassDef(name=name):
                methods = [n for n in node.body if isinstance(n, ast.FunctionDef)]
                found |= {f"{name}.{method.name}": method for method in methods}
    return found


@cache
def _imports(module: str) -> dict[str, tuple[str, str]]:
    """Return where the names come from that a module imports."""
    return {
        alias.asname or alias.name: (node.module or "", alias.name)
        for node in _tree(module).body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


@cache
def _properties() -> dict[str, tuple[tuple[str, str], ...]]:
    """Return the methods of states by their names: module, and class with method."""
    found: dict[str, tuple[tuple[str, str], ...]] = {}
    for module in ("node", "state", "site"):
        for name in _definitions(_STATES + module):
            _, _, method = name.partition(".")
            if method:
                place = (_STATES + module, name)
                found[method] = (*found.get(method, ()), place)
    return found


def _without_docstrings(node: _Definition) -> _Definition:
    copy = ast.parse(ast.unparse(node)).body[0]
    for inner in ast.walk(copy):
        if isinstance(inner, ast.FunctionDef) and ast.get_docstring(inner) is not None:
            inner.body = inner.body[1:] or [ast.Pass()]
    assert isinstance(copy, ast.FunctionDef | ast.Assign | ast.AnnAssign)
    return copy
