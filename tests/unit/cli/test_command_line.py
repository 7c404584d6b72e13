"""The command line from outside: help, versions, errors, exit codes."""

import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from signal import SIGINT

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
        ("tokenizers", ["train", "acme", "none.md"], "cli,train"),
        ("confluent_kafka", ["tenants", "list"], "cli"),
        ("confluent_kafka", ["up"], "demo"),
        ("uvicorn", ["dashboard"], "dashboard"),
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


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["-b", "127.0.0.1:1"], "--bootstrap-servers"),
        (["--group", "nlu.en.encoder"], "--group"),
        (["--ring", "en", "--watch"], "--ring, --watch"),
        (["--over", "4.0"], "--over"),  # also where it says what holds anyway
    ],
)
def test_no_option_before_lag_serve_is_ignored(options: list[str], named: str) -> None:
    # Should they be ignored, it cannot serve either: there is no such address.
    result = CliRunner().invoke(app, ["lag", *options, "serve", "--host", "192.0.2.1"], env={"COLUMNS": "300"})
    assert result.exit_code == 2, result.output
    assert f"{named} before serve would be ignored" in result.stderr


MAIN = "import sys; from manyheads.cli import main; sys.exit(main())"
ASKING = """
import sys
import typer
import manyheads.cli.app
from manyheads.cli import main

app = typer.Typer(rich_markup_mode=None)

@app.command()
def delete() -> None:
    typer.confirm("Really?", abort=True)

manyheads.cli.app.app = app
sys.exit(main())
"""


def interrupt(asked: "subprocess.Popen[bytes]", _: int) -> None:
    asked.send_signal(SIGINT)


def say_no(_: "subprocess.Popen[bytes]", terminal: int) -> None:
    os.write(terminal, b"n\n")


@pytest.mark.parametrize(("answer", "code"), [(interrupt, cli.INTERRUPTED), (say_no, cli.FAILED)])
def test_ctrl_c_at_a_question_is_not_a_no(answer: "Callable[[subprocess.Popen[bytes], int], None]", code: int) -> None:
    ours, theirs = pty.openpty()
    try:
        with subprocess.Popen([sys.executable, "-c", ASKING], stdin=theirs, stdout=theirs, stderr=theirs) as asked:
            shown = b""
            while b"Really?" not in shown:
                shown += os.read(ours, 1_000)
            answer(asked, ours)
            assert asked.wait(30) == code
    finally:
        os.close(ours)
        os.close(theirs)


def test_ask_waits_for_kafka_no_longer_than_it_is_told() -> None:
    result = python(MAIN, "ask", "acme", "hello", "-b", "127.0.0.1:9", "--timeout", "0.5")
    assert result.returncode == cli.FAILED
    assert "could not be reached within 0.5 s" in result.stderr


@pytest.mark.parametrize("out", ["none/asyncapi.yaml", "/dev/full"])
def test_a_file_that_cannot_be_written_is_one_line(out: str, tmp_path: Path) -> None:
    result = python(MAIN, "asyncapi", "--out", str(tmp_path / out))
    assert result.returncode == cli.USAGE
    assert result.stderr.startswith(f"error: --out {tmp_path / out}: it cannot be written (No s")
    assert result.stderr.endswith("[invalid_argument]\n")
    assert result.stderr.count("\n") == 1


def test_a_folder_that_cannot_be_used_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    result = python(MAIN, "up", "--state", str(tmp_path / "file/state"))
    assert result.returncode == cli.USAGE
    assert result.stderr.startswith(f"error: {tmp_path / 'file/state'}")
    assert "(Not a directory); name another place" in result.stderr
    assert result.stderr.count("\n") == 1


def test_an_error_of_the_system_that_names_no_file_is_a_defect(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("manyheads.cli.app.app", raising(OSError(5, "Input/output error")))
    with pytest.raises(OSError, match="Input/output error"):
        cli.main()


@pytest.mark.parametrize("command", ["asyncapi", "config"])
def test_json_is_an_object_on_a_line(command: str) -> None:
    result = python(MAIN, command, "--json")
    assert result.stdout.count("\n") == 1
    assert isinstance(json.loads(result.stdout), dict)


def test_a_json_file_is_for_people_too(tmp_path: Path) -> None:
    assert python(MAIN, "asyncapi", "--out", str(tmp_path / "a.json")).returncode == 0
    assert (tmp_path / "a.json").read_text("utf-8").count("\n") > 100
