"""What a replay found, as people see it: names are a tenant's own, and never read as markup."""

import pytest

from manyheads.cli.replay_report import ReplayReport, Window, show_report
from manyheads.head_worker.replay import Comparison, Coverage, Said
from manyheads.head_worker.replay.comparison import Entity, Place
from manyheads.topics.names import ring, tenant


def test_names_stand_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    comparison = Comparison()
    before = Said("[/x]", 0.5)
    after = Said("[amount]", 0.75, frozenset({Entity("[red]", 0, 4)}))
    comparison.add(Place("nlu.en.c0.embeddings", 1, 7), before, after)
    report = ReplayReport(
        tenant=tenant("acme"),
        ring=ring("en"),
        head="h1",
        reads="tokens:6 of s1",
        window=Window(0, 1, None, ()),
        transient=False,
        coverage=Coverage(embeddings=1, compared=1),
        comparison=comparison.report(),
        runs=1,
        seconds=1.0,
    )
    show_report(report, as_json=False)
    shown = capsys.readouterr().out
    for name in ("[/x]", "[amount]", "[red]"):
        assert name in shown
