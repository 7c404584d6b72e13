"""The command line from outside: help, versions, errors, exit codes."""

import subprocess
import sys
from collections.abc import Iterator

import pytest
import typer.main
from typer.testing import CliRunner

from manyheads import cli
from manyheads.cli.app import app
from manyheads.topics.errors import BrokerError, ErrorCode, InvalidRequest


def commands(group: object, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    children = getattr(group, "commands", None)
    if children is None:
        yield path
        return
    for name, child in children.items():
        yield from commands(child, (*path, name))


ALL = sorted(commands(typer.main.get_command(app)))


def python(code: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=60, check=False
    )


def test_all_commands_are_there() -> None:
    assert [" ".join(path) for path in ALL] == [
        "activate",
        "ask",
        "asyncapi",
        "config",
        "dashboard",
        "demo",
        "doctor",
        "encoder build",
        "heads list",
        "lag serve",
        "replay",
        "reprocess",
        "seed",
        "tenants delete",
        "tenants list",
        "tenants retention",
        "tenants top",
        "topics create",
        "topics list",
        "topics replicate",
        "train",
        "up",
    ]


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_every_help_has_an_example_of_its_own_command(path: tuple[str, ...]) -> None:
    result = CliRunner().invoke(app, [*path, "--help"])
    assert result.exit_code == 0
    _, found, example = result.output.partition("Example:\n")
    assert found
    assert f"  manyheads {' '.join(path)}" in example


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_every_option_of_every_command_says_what_it_does(path: tuple[str, ...]) -> None:
    command: object = typer.main.get_command(app)
    for name in path:
        command = command.commands[name]  # type: ignore[attr-defined]
    for parameter in command.params:  # type: ignore[attr-defined]
        assert parameter.help, parameter.name


def test_no_line_of_the_command_list_is_cut() -> None:
    result = CliRunner(env={"COLUMNS": "80"}).invoke(app, ["--help"])
    assert result.exit_code == 0
    _, _, listed = result.output.partition("Commands:")
    assert listed
    assert "..." not in listed


def test_the_help_imports_nothing_heavy() -> None:
    code = "import sys; from manyheads.cli.app import app; print(*sorted({name.split('.')[0] for name in sys.modules}))"
    loaded = set(python(code).stdout.split())
    assert "typer" in loaded
    assert not loaded & {"rich", "pydantic", "numpy", "onnxruntime", "confluent_kafka", "aiokafka", "kafka", "asyncio"}


def test_the_version() -> None:
    result = CliRunner().invoke(app, ["--version"])
    assert result.exit_code == 0
    assert result.output.startswith("manyheads 0.")


WITHOUT = "import sys; sys.modules[sys.argv.pop(1)] = None; from manyheads.cli import main; sys.exit(main())"


@pytest.mark.parametrize(
    ("module", "arguments", "extra"),
    [
        ("typer", ["--help"], "cli"),
        ("rich", ["tenants", "list"], "cli"),
        ("tokenizers", ["train", "acme", "none.md"], "train"),
        ("confluent_kafka", ["tenants", "list"], "train"),
    ],
)
def test_a_missing_library_says_what_to_install(module: str, arguments: list[str], extra: str) -> None:
    result = python(WITHOUT, module, *arguments)
    assert result.returncode == cli.USAGE
    assert result.stderr == f'error: {module} is not installed; run: pip install "manyheads[{extra}]"\n'
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["ask", "acme"], "Missing argument 'TEXT'"),
        (["ask", "acme", "hello", "--timeout", "0"], "'--timeout'"),
        (["encoder", "build", "--kind", "bert"], "'--kind'"),
        (["fly"], "No such command 'fly'"),
    ],
)
def test_wrong_usage_exits_2_and_names_it(arguments: list[str], message: str) -> None:
    result = python("import sys; from manyheads.cli import main; sys.exit(main())", *arguments)
    assert result.returncode == 2
    assert message in result.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["tenants", "list", "--ring", "Not A Ring"], 2, "[invalid_name]"),
        (["ask", "acme", "hello", "-b", "nowhere"], 2, "[invalid_settings]"),
        (["ask", "Acme Bank", "hello", "-b", "127.0.0.1:9"], 2, "[invalid_name]"),
        (["train", "acme", "/no/such/file.md"], 2, "[invalid_argument]"),
    ],
)
def test_an_error_is_one_line_with_its_code(arguments: list[str], code: int, message: str) -> None:
    result = python("import sys; from manyheads.cli import main; sys.exit(main())", *arguments)
    assert result.returncode == code
    assert result.stderr.startswith("error: ")
    assert result.stderr.endswith(f"{message}\n")
    assert result.stderr.count("\n") == 1
    assert result.stdout == ""


def raising(error: BaseException) -> object:
    def run() -> None:
        raise error

    return run


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (InvalidRequest(ErrorCode.TEXT_EMPTY, "say something"), 2, "error: say something [text_empty]\n"),
        (BrokerError(ErrorCode.BROKER_UNREACHABLE, "no Kafka"), 1, "error: no Kafka [broker_unreachable]\n"),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_exit_codes(
    error: BaseException,
    code: int,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("manyheads.cli.app.app", raising(error))
    assert cli.main() == code
    assert capsys.readouterr().err == message


@pytest.mark.parametrize("option", [("--kill",), ("--keep", "folder")])
def test_the_demo_kills_and_keeps_only_a_stack_of_its_own(option: tuple[str, ...]) -> None:
    result = CliRunner().invoke(app, ["demo", "-b", "localhost:9092", *option])
    assert result.exit_code == 2
    assert "leave out -b" in result.output
