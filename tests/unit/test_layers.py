"""The import rule: who may know whom. It reads the sources, so it also sees imports within functions."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COMPONENTS = ("topics", "infra", "producers", "encoder_worker", "head_worker")

# A package and the packages of ours that it may import besides itself.
MAY_IMPORT = {
    "manyheads.topics": (),
    "manyheads.infra": ("manyheads.topics",),
    "manyheads.producers": ("manyheads.topics", "manyheads.infra"),
    "manyheads.encoder_worker": ("manyheads.topics", "manyheads.infra"),
    "manyheads.head_worker": ("manyheads.topics", "manyheads.infra"),
    "manyheads.cli": (
        "manyheads.topics",
        "manyheads.infra",
        "manyheads.producers",
        "manyheads.encoder_worker",
        "manyheads.head_worker",
    ),
}
CONTRACT_LIBRARIES = {"msgpack", "pydantic"}
NUMPY_MODULES = {"manyheads.topics.arrays"}
FORBIDDEN_MODULES = {"pickle", "cPickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}
FORBIDDEN_CALLS = {"eval", "exec"}
HEAVY = (
    "numpy",
    "onnxruntime",
    "onnx",
    "torch",
    "confluent_kafka",
    "kafka",
    "typer",
    "rich",
    "prometheus_client",
    "fsspec",
)


@dataclass(frozen=True)
class Module:
    """One source file, parsed."""

    name: str
    path: Path
    tree: ast.Module

    @property
    def package(self) -> str:
        return ".".join(self.name.split(".")[:2])


@dataclass(frozen=True)
class Import:
    """One import; ``at_load`` unless it is within a function or only for type checkers."""

    target: str
    line: int
    at_load: bool


def modules(root: Path = ROOT) -> list[Module]:
    """All modules of the five components."""
    found = []
    for component in COMPONENTS:
        for path in sorted((root / component).rglob("*.py")):
            parts = path.relative_to(root / component).with_suffix("").parts
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            found.append(Module(name, path, ast.parse(path.read_text(encoding="utf-8"), str(path))))
    return found


def imports(module: Module, known: frozenset[str] = frozenset()) -> Iterator[Import]:
    """All imports; ``from package import module`` targets the module where ``known`` has it."""
    yield from _imports(module, module.tree, known, at_load=True)


def _imports(module: Module, node: ast.AST, known: frozenset[str], *, at_load: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            for alias in child.names:
                yield Import(alias.name, child.lineno, at_load)
        elif isinstance(child, ast.ImportFrom):
            base = child.module or ""
            if child.level:
                inside = module.name.split(".") if module.path.name == "__init__.py" else module.name.split(".")[:-1]
                base = ".".join([*inside[: len(inside) - child.level + 1], *([base] if base else [])])
            for alias in child.names:
                whole = f"{base}.{alias.name}"
                yield Import(whole if whole in known else base, child.lineno, at_load)
        else:
            yield from _imports(module, child, known, at_load=at_load and not _is_late(child))


def _is_late(node: ast.AST) -> bool:
    """Whether what is within the node does not run while its module loads."""
    if isinstance(node, ast.If):
        return ast.unparse(node.test).endswith("TYPE_CHECKING")
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)


def violations(found: list[Module]) -> list[str]:
    """Every break of the import rule, as ``module:line: what``."""
    return [
        f"{module.name}:{imported.line}: {problem}"
        for module in found
        for imported in imports(module)
        if (problem := _problem(module, imported.target))
    ]


def _problem(module: Module, target: str) -> str | None:
    top = target.split(".", maxsplit=1)[0]
    if top == "manyheads":
        package = ".".join(target.split(".")[:2])
        if package == module.package or package in MAY_IMPORT[module.package]:
            return None
        return f"{module.package} must not import {target}"
    if top in FORBIDDEN_MODULES:
        return f"{target} runs code that it reads"
    if module.package == "manyheads.topics" and top not in sys.stdlib_module_names | CONTRACT_LIBRARIES:
        if top == "numpy" and module.name in NUMPY_MODULES:
            return None
        return f"the contract must not import {target}"
    return None


def cycles(found: list[Module]) -> list[list[str]]:
    """Modules that import one another while they load, as closed paths."""
    known = frozenset(module.name for module in found)
    edges = {
        module.name: {i.target for i in imports(module, known) if i.at_load and i.target in known} - {module.name}
        for module in found
    }
    closed: list[list[str]] = []
    done: set[str] = set()

    def visit(name: str, path: list[str]) -> None:
        if name in path:
            closed.append([*path[path.index(name) :], name])
        elif name not in done:
            for target in sorted(edges[name]):
                visit(target, [*path, name])
            done.add(name)

    for name in sorted(edges):
        visit(name, [])
    return closed


def unsafe_calls(found: list[Module]) -> list[str]:
    """Calls that run what they read: eval, exec, torch.load without weights_only=True, numpy's pickles."""
    return [
        f"{module.name}:{node.lineno}: {problem}"
        for module in found
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Call) and (problem := _unsafe(node))
    ]


def _unsafe(call: ast.Call) -> str | None:
    called = ast.unparse(call.func)
    given = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
    if called in FORBIDDEN_CALLS:
        return f"{called}()"
    if called == "torch.load" and given.get("weights_only") != "True":
        return "torch.load() without weights_only=True"
    if given.get("allow_pickle", "False") != "False":
        return f"{called}() with allow_pickle"
    return None


def environment_at_load(found: list[Module]) -> list[str]:
    """Reads of the environment while a module loads."""
    return [f"{module.name}:{line}" for module in found for line in _environment(module.tree)]


def _environment(node: ast.AST) -> Iterator[int]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            # A default is evaluated while the module loads, a body is not.
            yield from (line for default in child.args.defaults for line in _environment(default))
            continue
        if isinstance(child, ast.Attribute | ast.Name) and ast.unparse(child) in ("os.environ", "os.getenv", "getenv"):
            yield child.lineno
        yield from _environment(child)


ALL = modules()


def test_there_is_something_to_check() -> None:
    assert {module.package for module in ALL} == set(MAY_IMPORT)


def test_no_arrow_points_against_the_layers() -> None:
    assert violations(ALL) == []


def test_no_modules_import_one_another() -> None:
    assert cycles(ALL) == []


def test_nothing_runs_what_it_reads() -> None:
    assert unsafe_calls(ALL) == []


def test_no_module_reads_the_environment_while_it_loads() -> None:
    assert environment_at_load(ALL) == []


def test_manyheads_is_a_namespace_package() -> None:
    assert [str(path) for component in COMPONENTS for path in ROOT.glob(f"{component}/manyheads/__init__.py")] == []


@pytest.mark.parametrize(
    "module",
    ["manyheads.producers", "manyheads.topics.messages", "manyheads.topics.registry", "manyheads.infra.telemetry"],
)
def test_the_base_install_loads_nothing_heavy(module: str) -> None:
    script = f"import {module}, sys; print(*sorted(set({HEAVY}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []


# --- the checker itself ---


def planted(tmp_path: Path, path: str, source: str) -> list[Module]:
    file = tmp_path / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(source, encoding="utf-8")
    return modules(tmp_path)


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("topics/manyheads/topics/a.py", "import manyheads.infra.settings"),
        ("topics/manyheads/topics/a.py", "import numpy"),
        ("topics/manyheads/topics/a.py", "def late():\n    from confluent_kafka import Producer"),
        ("infra/manyheads/infra/a.py", "from manyheads.producers import Client"),
        ("infra/manyheads/infra/a.py", "from manyheads import cli"),
        ("infra/manyheads/infra/deep/a.py", "from ...encoder_worker import model"),
        ("producers/manyheads/producers/a.py", "from manyheads.head_worker import Head"),
        ("encoder_worker/manyheads/encoder_worker/a.py", "if True:\n    import manyheads.head_worker.model"),
        ("head_worker/manyheads/head_worker/a.py", "def late():\n    import manyheads.cli"),
        ("head_worker/manyheads/head_worker/a.py", "import pickle"),
    ],
)
def test_a_planted_import_is_found(tmp_path: Path, path: str, source: str) -> None:
    assert len(violations(planted(tmp_path, path, source))) == 1


@pytest.mark.parametrize(
    "source",
    [
        "eval('1')",
        "import torch\ntorch.load('a')",
        "torch.load('a', weights_only=False)",
        "np.load('a', allow_pickle=True)",
    ],
)
def test_a_planted_unsafe_call_is_found(tmp_path: Path, source: str) -> None:
    assert len(unsafe_calls(planted(tmp_path, "infra/manyheads/infra/a.py", source))) == 1


@pytest.mark.parametrize(
    "source",
    [
        "import os\nA = os.environ['A']",
        "import os\nclass B:\n    a = os.getenv('A')",
        "import os\ndef f(a=os.getenv('A')): ...",
    ],
)
def test_a_planted_read_of_the_environment_is_found(tmp_path: Path, source: str) -> None:
    assert len(environment_at_load(planted(tmp_path, "infra/manyheads/infra/a.py", source))) == 1


def test_a_planted_cycle_is_found(tmp_path: Path) -> None:
    planted(tmp_path, "infra/manyheads/infra/a.py", "from manyheads.infra.b import x")
    planted(tmp_path, "infra/manyheads/infra/b.py", "from manyheads.infra import c")
    found = planted(tmp_path, "infra/manyheads/infra/c.py", "import manyheads.infra.a")
    assert cycles(found) == [["manyheads.infra.a", "manyheads.infra.b", "manyheads.infra.c", "manyheads.infra.a"]]


def test_what_is_allowed_is_not_reported(tmp_path: Path) -> None:
    source = """
import os
from typing import TYPE_CHECKING

import numpy
from manyheads.topics.names import ring

if TYPE_CHECKING:
    from manyheads.infra.b import B


def home(a=1):
    return os.environ["HOME"]


def weights():
    return torch.load("a", weights_only=True), model.eval()
"""
    planted(tmp_path, "infra/manyheads/infra/b.py", "import manyheads.infra.a")
    found = planted(tmp_path, "infra/manyheads/infra/a.py", source)
    assert violations(found) == []
    assert cycles(found) == []
    assert unsafe_calls(found) == []
    assert environment_at_load(found) == []
