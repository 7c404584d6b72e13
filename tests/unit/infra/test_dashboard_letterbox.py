"""Reading dead letters where no Kafka is; tests/dashboard reads real ones."""

import logging

import pytest

from manyheads.infra.dashboard.letterbox import LetterBox
from manyheads.infra.dashboard.model import Letter
from manyheads.infra.settings import KafkaSettings, load_settings
from manyheads.topics.errors import BrokerError

NOWHERE = load_settings(KafkaSettings, bootstrap_servers="127.0.0.1:9")
LETTER = Letter("nlu.en.requests-dlt", 0, 0, 0, "internal", "", None, (), None)


def test_what_the_client_says_of_a_kafka_that_is_away_is_neither_printed_nor_kept(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    box = LetterBox(NOWHERE)
    box.read([LETTER.topic])
    assert "check that Kafka runs" in (box.letters.problem or "")
    box.close()
    with pytest.raises(BrokerError, match="could not be read"):
        box.text(LETTER)
    assert capfd.readouterr().err == ""
    assert "Connection refused" not in caplog.text, "it would be kept until somebody polls"
