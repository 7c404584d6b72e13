"""The example formats, and whether the demo's data is what its users may expect of it."""

import json
import re
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manyheads.cli.demo.utterances import (
    EntityAnnotation,
    Examples,
    LabelledText,
    TenantExamples,
    load_examples,
    load_tenants,
    parse_examples,
    parse_json_lines,
)
from manyheads.topics.errors import ErrorCode, InvalidRequest

HEADER = "# toy-shop\n\nSells toys.\n\n## buy\n\n### train\n\n"  # utterances follow from line 9 on
GOOD = HEADER + "- a [red](colour) ball\n- two kites\n\n### held out\n\n- one [blue](colour) kite, please\n"
OVERLAPPING = json.dumps(
    {
        "text": "a ball",
        "intent": "buy",
        "entities": [{"label": "x", "start": 2, "end": 6}, {"label": "y", "start": 0, "end": 3}],
    }
)
TENANTS = load_tenants()


def test_markdown_becomes_texts_with_character_offsets() -> None:
    parsed = parse_examples(GOOD, "toys.md")

    assert parsed == TenantExamples(
        tenant=parsed.tenant,
        business="Sells toys.",
        train=(
            LabelledText("a red ball", "buy", (EntityAnnotation("colour", 2, 5),)),
            LabelledText("two kites", "buy"),
        ),
        held_out=(LabelledText("one blue kite, please", "buy", (EntityAnnotation("colour", 4, 8),)),),
    )
    assert parsed.tenant == "toy-shop"
    assert parsed.intents == ("buy",)
    assert parsed.entity_labels == ("colour",)


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        (HEADER + "- a [red ball\n", 9, "square brackets only mark entities"),
        (HEADER + "- a [red] ball\n", 9, "square brackets only mark entities"),
        (HEADER + "- ball\n- a [[red]](colour) ball\n", 10, "square brackets only mark entities"),
        (HEADER + "- a [](colour) ball\n", 9, "words without outer spaces"),
        (HEADER + "- a [red ](colour) ball\n", 9, "words without outer spaces"),
        (HEADER + "- a [red](two words) ball\n", 9, "no entity label"),
        (HEADER + "- a [red]() ball\n", 9, "no entity label"),
        (HEADER + "- Two  kites\n- two kites\n", 10, "stands on line 9 already"),
        (HEADER + "- ball\n\nnot in a list\n", 11, "expected '# tenant'"),
        (HEADER + "- ball\n\n### test\n", 11, "should be '### train' or '### held out'"),
        (HEADER + "- ball\n\n### train\n", 11, "has a heading already, on line 7"),
        (HEADER + "- ball\n\n## buy\n", 11, "has a heading already, on line 5"),
        (HEADER + "- ball\n\n## 2nd\n", 11, "no intent"),
        (HEADER + "- ball\n\n# other-shop\n", 11, "second '# tenant' heading"),
        (HEADER + "\n### held out\n\n- ball\n\n## sell\n", 14, "without an utterance under '### train'"),
        ("## buy\n", 1, "an intent before the '# tenant' heading"),
        ("# toy-shop\n\n### train\n", 3, "before any '## intent'"),
        ("# toy-shop\n\nToys.\n\n## buy\n\n- ball\n", 7, "'### train' or '### held out' above it"),
        ("# toy-shop\n\n## buy\n\n### train\n\n- ball\n", 8, "what its business is"),
        ("# toy-shop\n\nToys.\n", 4, "a '## intent' under it"),
        ("", 1, "without a '# tenant' heading"),
    ],
)
def test_a_wrong_line_is_named_with_what_to_do(text: str, line: int, says: str) -> None:
    with pytest.raises(InvalidRequest, match=re.escape(says)) as caught:
        parse_examples(text, "toys.md")

    assert caught.value.code is ErrorCode.INVALID_ARGUMENT
    assert caught.value.message.startswith(f"toys.md:{line}: ")
    assert caught.value.details["line"] == line
    assert caught.value.details["source"] == "toys.md"


@pytest.mark.parametrize(
    ("text", "line", "code"),
    [
        ("# Toy Shop\n", 1, ErrorCode.INVALID_NAME),
        (HEADER + "- \n", 9, ErrorCode.TEXT_EMPTY),
        (HEADER + "- bell\a\n", 9, ErrorCode.TEXT_CONTROL_CHARACTER),
    ],
)
def test_names_and_texts_obey_the_rules_of_the_wire(text: str, line: int, code: ErrorCode) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_examples(text, "toys.md")

    assert caught.value.code is code
    assert caught.value.details["line"] == line


WORDS = st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=8)
PIECES = st.lists(st.tuples(WORDS, st.sampled_from([None, "colour", "Size_2"])), min_size=1, max_size=12)


@given(PIECES)
def test_marked_words_come_back_from_their_offsets(pieces: list[tuple[str, str | None]]) -> None:
    marked = " ".join(f"[{words}]({label})" if label else words for words, label in pieces)

    (example,) = parse_examples(f"{HEADER}- {marked}\n", "toys.md").train

    assert example.text == " ".join(words for words, _ in pieces)
    found = [(example.text[entity.start : entity.end], entity.label) for entity in example.entities]
    assert found == [(words, label) for words, label in pieces if label]


def test_json_lines_say_the_same_as_markdown() -> None:
    markdown = parse_examples(GOOD, "toys.md")

    assert parse_json_lines(_json_lines(markdown.train), "toys.jsonl") == Examples(train=markdown.train)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{", "Invalid JSON"),
        ("[]", "valid"),
        ('{"text": "a ball"}', "intent: Field required"),
        ('{"text": "a ball", "intent": 3}', "intent: "),
        ('{"text": "a ball", "intent": "buy", "entites": []}', "entites: Extra inputs"),
        ('{"text": "a ball", "intent": "to buy"}', "no intent"),
        ('{"text": "a ball", "intent": "buy", "entities": [{"label": "a b", "start": 0, "end": 1}]}', "entity label"),
        (
            '{"text": "a ball", "intent": "buy", "entities": [{"label": "x", "start": -1, "end": 1}]}',
            "entities.0.start",
        ),
        ('{"text": "a ball", "intent": "buy", "entities": [{"label": "x", "start": 2, "end": 7}]}', "leaves the text"),
        ('{"text": "a ball", "intent": "buy", "entities": [{"label": "x", "start": 2, "end": 2}]}', "is empty"),
        (OVERLAPPING, "overlaps another"),
    ],
)
def test_a_wrong_json_line_is_named(line: str, says: str) -> None:
    with pytest.raises(InvalidRequest, match=re.escape(says)) as caught:
        parse_json_lines(f'{{"text": "a kite", "intent": "buy"}}\n\n{line}\n', "toys.jsonl")

    assert caught.value.details["line"] == 3


def test_files_are_read_by_their_extension(tmp_path: Path) -> None:
    markdown = tmp_path / "toys.md"
    markdown.write_text(GOOD, encoding="utf-8")
    expected = parse_examples(GOOD, "toys.md")
    json_lines = tmp_path / "toys.jsonl"
    json_lines.write_text(_json_lines(expected.train), encoding="utf-8")

    assert load_examples(markdown) == expected
    assert load_examples(json_lines).train == expected.train


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path: Path) -> None:
    expected = parse_examples(GOOD, "toys.md")
    for name, text in (("toys.md", GOOD), ("toys.jsonl", _json_lines(expected.train))):
        (tmp_path / name).write_text(text, encoding="utf-8-sig")
        assert load_examples(tmp_path / name).train == expected.train


def test_every_utterance_knows_where_it_was_read(tmp_path: Path) -> None:
    markdown, json_lines = tmp_path / "toys.md", tmp_path / "toys.jsonl"
    markdown.write_text(GOOD, encoding="utf-8")
    examples = load_examples(markdown)
    assert [each.place for each in examples.train + examples.held_out] == [f"{markdown}:{n}" for n in (9, 10, 14)]
    json_lines.write_text("\n" + _json_lines(examples.train), encoding="utf-8")
    assert [each.place for each in load_examples(json_lines).train] == [f"{json_lines}:{n}" for n in (2, 3)]


def test_files_that_cannot_be_read_say_why(tmp_path: Path) -> None:
    latin = tmp_path / "latin.md"
    latin.write_bytes(b"# caf\xe9\n")
    empty = tmp_path / "empty.jsonl"
    empty.touch()

    for path, says in [
        (tmp_path / "toys.csv", r"\.md or \.jsonl"),
        (tmp_path / "absent.md", "cannot be read"),
        (latin, "byte 5 is not UTF-8"),
        (empty, "no examples"),
    ]:
        with pytest.raises(InvalidRequest, match=says):
            load_examples(path)


def test_the_demo_has_seven_businesses_four_of_them_with_entities() -> None:
    assert [tenant.tenant for tenant in TENANTS] == [
        "acme-bank",
        "bluewing-air",
        "casa-hotels",
        "oakfield-clinic",
        "parcelo",
        "streamly",
        "volta-energy",
    ]
    assert sum(bool(tenant.entity_labels) for tenant in TENANTS) >= 4


@pytest.mark.parametrize("tenant", TENANTS, ids=lambda tenant: tenant.tenant)
def test_every_intent_has_enough_to_learn_from_and_to_be_tested_with(tenant: TenantExamples) -> None:
    train = Counter(example.intent for example in tenant.train)
    held_out = Counter(example.intent for example in tenant.held_out)

    assert 8 <= len(train) <= 10
    assert held_out.keys() == train.keys()
    assert min(train.values()) >= 22
    assert min(held_out.values()) >= 6


@pytest.mark.parametrize(
    "tenant", [tenant for tenant in TENANTS if tenant.entity_labels], ids=lambda tenant: tenant.tenant
)
def test_entities_are_whole_words_with_varied_values(tenant: TenantExamples) -> None:
    assert 3 <= len(tenant.entity_labels) <= 6
    values: dict[str, set[str]] = {label: set() for label in tenant.entity_labels}
    for example in tenant.train + tenant.held_out:
        for entity in example.entities:
            before, after = example.text[: entity.start][-1:], example.text[entity.end :][:1]
            assert not before.isalnum(), example
            assert not after.isalnum(), example
            values[entity.label].add(example.text[entity.start : entity.end].casefold())

    assert {label: len(found) for label, found in values.items() if len(found) < 5} == {}


def test_no_utterance_stands_twice_in_the_demo() -> None:
    counts = Counter(
        re.sub(r"[\W_]+", " ", example.text.casefold()).strip()
        for tenant in TENANTS
        for example in tenant.train + tenant.held_out
    )

    assert [text for text, count in counts.items() if count > 1] == []


def test_the_sentence_that_the_demo_asks_is_not_trained_on() -> None:
    assert "move 40 euros to my savings" not in {example.text.casefold() for example in TENANTS[0].train}


def _json_lines(examples: tuple[LabelledText, ...]) -> str:
    return "\n".join(
        json.dumps(
            {
                "text": example.text,
                "intent": example.intent,
                "entities": [{"label": e.label, "start": e.start, "end": e.end} for e in example.entities],
            }
        )
        for example in examples
    )
