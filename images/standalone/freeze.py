"""Writes frozen.c: all that the standalone program imports, as C.

Nobody keeps a list.  The modules, in Python and in C, and the functions that ctypes is asked
for, are read from the sources, those imported late included.  A module that is nowhere
stops the build here; a C module or function that is nowhere, at the linker.
"""

from __future__ import annotations

import argparse
import ast
import marshal
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

ENTRY = "rebound.cli"
BOOTSTRAP = {
    "_frozen_importlib": "importlib._bootstrap",
    "_frozen_importlib_external": "importlib._bootstrap_external",
}
"""The import system itself: its modules go by other names than their sources."""

INTERPRETER = (*BOOTSTRAP, "_imp", "_thread", "_weakref", "encodings.utf_8", "io")
"""What Python itself imports before it runs anything, see `python3 -ISv`."""

NEVER = {
    "_json": "the faster half of json, which does without",
    "_py_abc": "the stand-in for _abc",
    "_pyio": "the stand-in for _io",
    "inspect": "for help(rebound.Config), in Python's own shell",
    "nt": "Windows",
    "ntpath": "Windows",
    "os.path": "made by os, of posixpath",
    "winreg": "Windows",
}
"""Modules that are imported in some other place than in this program."""

ALIASES = {"collections.abc"}
"""Modules that another one makes from Python 3.13 on: `collections`, of `_collections_abc`."""

INIT = {
    "builtins": None,
    "sys": None,
    "_warnings": "_PyWarnings_Init",
    "marshal": "PyMarshal_Init",
}
"""Functions that make a C module, where they are not named PyInit_ and its name."""


class FreezeError(Exception):
    """The standalone program would lack something; the build must not go on."""


class Source(NamedTuple):
    """A module in Python."""

    path: Path
    is_package: bool


class Frozen(NamedTuple):
    """What the program holds."""

    python: dict[str, Source]
    c: set[str]
    functions: set[str]


def find(name: str, roots: list[Path]) -> Source | None:
    """Find a module's source."""
    for root in roots:
        path = root.joinpath(*name.split("."))
        for source in (Source(path / "__init__.py", True), Source(path.with_suffix(".py"), False)):
            if source.path.is_file():
                return source
    return None


def executed(node: ast.AST, lazily: bool) -> Iterator[ast.AST]:
    """Walk over what runs when a module is imported, and `lazily` what its functions run."""
    if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
        children: list[ast.AST] = [*node.orelse]
    elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not lazily:
        children = []
    else:
        children = list(ast.iter_child_nodes(node))
    yield node
    for child in children:
        yield from executed(child, lazily)


def imported(node: ast.AST, name: str, source: Source, roots: list[Path]) -> Iterator[str]:
    """Give the modules that a statement of module `name` imports; a package comes first."""
    modules: list[str] = []
    if isinstance(node, ast.Import):
        modules = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom):
        up = node.level - source.is_package
        package = name.rsplit(".", up)[0] if up else name
        base = ".".join(part for part in (package if node.level else "", node.module) if part)
        submodules = [f"{base}.{alias.name}" for alias in node.names]
        modules = [base, *(module for module in submodules if find(module, roots))]
    elif (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in ("encode", "decode")
    ):
        # The codec's module: `text.encode("unicode_escape")`.
        for encoding in node.args[:1]:
            if not isinstance(encoding, ast.Constant):
                raise FreezeError(f"{name}, line {node.lineno}: a codec that only running it tells")
            modules = [f"encodings.{str(encoding.value).replace('-', '_')}"]
    for module in modules:
        parts = module.split(".")
        yield from (".".join(parts[:end]) for end in range(1, len(parts) + 1))


def ctypes_functions(tree: ast.AST) -> set[str]:
    """Give the attributes of each variable that holds a `ctypes.CDLL`."""
    libraries = {
        ast.unparse(node.targets[0])
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and ast.unparse(node.value).startswith("ctypes.CDLL(")
    }
    return {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) in libraries
    }


def collect(repository: Path, stdlib: Path, c_modules: set[str]) -> Frozen:
    """Follow the imports from the entry on.  Raises `FreezeError`."""
    roots = [repository, stdlib]
    frozen = Frozen({}, set(INIT), set())
    todo = [(name, "Python") for name in (*INTERPRETER, "rebound", ENTRY)]
    while todo:
        name, importer = todo.pop(0)
        if name in frozen.python or name in frozen.c or name in NEVER:
            continue
        source = find(BOOTSTRAP.get(name, name), roots)
        if source is None:
            if name in ALIASES:
                continue
            if name not in c_modules:
                raise FreezeError(f"{importer} imports {name}, which is nowhere")
            frozen.c.add(name)
            continue
        frozen.python[name] = source
        ours = name.partition(".")[0] == "rebound"
        tree = ast.parse(source.path.read_bytes())
        if ours:
            frozen.functions.update(ctypes_functions(tree))
        for node in executed(tree, lazily=ours):
            todo += ((module, name) for module in imported(node, name, source, roots))
    return frozen


def array(declaration: str, rows: Iterable[str]) -> str:
    """Give a C array that ends with a zero."""
    return f"{declaration}[] = {{\n" + "".join(f"\t{row},\n" for row in rows) + "\t{0}\n};\n"


def write(frozen: Frozen) -> str:
    """Give the text of frozen.c."""
    text = ['#include "frozen.h"\n']
    bootstrap: list[str] = []
    modules: list[str] = []
    # In the order in which imports reach them: what few runs need, and much of it, comes last,
    # and lies in other pages of memory than what all need.
    for name, source in frozen.python.items():
        code = compile(source.path.read_bytes(), f"<frozen {name}>", "exec", optimize=2)
        data = marshal.dumps(code)
        variable = "code_" + name.replace(".", "__")
        rows = (",".join(map(str, data[at : at + 32])) for at in range(0, len(data), 32))
        declaration = f"static const unsigned char FROZEN_CODE {variable}"
        text.append(array(declaration, rows).replace("{0}", "0"))
        (bootstrap if name in BOOTSTRAP else modules).append(
            f'{{.name = "{name}", .code = {variable}, .size = {len(data)}, '
            f".is_package = {int(source.is_package)}}}"
        )
    for purpose, entries in (("Bootstrap", bootstrap), ("Stdlib", modules)):
        text.append(array(f"static const struct _frozen {purpose.lower()}", entries))
        text.append(f"const struct _frozen *_PyImport_Frozen{purpose} = {purpose.lower()};\n")
    init = {name: INIT.get(name, f"PyInit_{name}") for name in sorted(frozen.c)}
    text += [f"PyObject *{function}(void);\n" for function in init.values() if function]
    text.append(
        array(
            "struct _inittab _PyImport_Inittab",
            (f'{{"{name}", {function or "NULL"}}}' for name, function in init.items()),
        )
    )
    functions = sorted(frozen.functions)
    # Under names of their own: a header of Python may declare them as they are (syscall).
    text += [f'void c_{name}(void) __asm__("{name}");\n' for name in functions]
    text.append(
        array(
            "const struct c_function c_functions",
            (f'{{"{name}", (void *)c_{name}}}' for name in functions),
        )
    )
    return "".join(text)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repository", type=Path, required=True)
    parser.add_argument("--stdlib", type=Path, required=True)
    parser.add_argument("--config", type=Path, required=True, help="libpython's config.c")
    parser.add_argument("--c-module", action="append", default=[], help="built from source")
    parser.add_argument("-o", dest="output", type=Path, required=True)
    options = parser.parse_args()
    c_modules = set(re.findall(r'^ *{"(\w+)"', options.config.read_text(), re.MULTILINE))
    try:
        frozen = collect(options.repository, options.stdlib, c_modules | set(options.c_module))
    except FreezeError as error:
        sys.exit(f"freeze: {error}")
    options.output.write_text(write(frozen))


if __name__ == "__main__":
    main()
