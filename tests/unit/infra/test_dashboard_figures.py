"""Numbers and small charts of the dashboard."""

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manyheads.infra.dashboard import figures
from manyheads.infra.dashboard.heatstrip import heat_strip
from manyheads.infra.dashboard.history import SLOTS, shade, state_of_shade
from manyheads.infra.dashboard.sparkline import HEIGHT, WIDTH, Line, sparkline
from manyheads.infra.lag.model import LagState, PartitionLag


@pytest.mark.parametrize(
    ("shown", "wanted"),
    [
        (figures.rate(0), "0/s"),
        (figures.rate(0.004), "<0.01/s"),
        (figures.rate(0.25), "0.25/s"),
        (figures.rate(12.34), "12.3/s"),
        (figures.rate(1_240.4), "1,240/s"),
        (figures.rate(None), figures.UNKNOWN),
        (figures.milliseconds(0.824), "0.82 ms"),
        (figures.milliseconds(23.44), "23.4 ms"),
        (figures.milliseconds(999.6), "1.0 s"),
        (figures.seconds(0.04), "<0.1 s"),
        (figures.seconds(0.0), "0.0 s"),
        (figures.seconds(59.4), "59 s"),
        (figures.seconds(59.6), "1 min"),
        (figures.seconds(7_200), "2.0 h"),
        (figures.seconds(400_000), "5 days"),
        (figures.eta(0.0), "caught up"),
        (figures.eta(math.inf), "never"),
        (figures.eta(None), figures.UNKNOWN),
        (figures.share(0, 10), "0%"),
        (figures.share(1, 100_000), "<0.01%"),
        (figures.share(999, 1_000), ">99%"),
        (figures.share(10, 10), "100%"),
        (figures.share(0, 0), figures.UNKNOWN),
        (figures.size(9_100_000), "9.10 MB"),
        (figures.size(812), "812 B"),
        (figures.short_count(12_345), "12.3k"),
        (figures.count(12_345), "12,345"),
        (figures.ago(0.2), "just now"),
        (figures.ago(4.2), "4 s ago"),
    ],
)
def test_numbers_as_people_read_them(shown: str, wanted: str) -> None:
    assert shown == wanted


@given(st.floats(min_value=0, max_value=1e15))
def test_every_number_has_few_characters(number: float) -> None:
    for shown in (figures.short_count(number), figures.size(number), figures.share(number, 1e15)):
        assert len(shown) <= 9


@given(st.lists(st.none() | st.floats(min_value=0, max_value=1e12), min_size=1, max_size=SLOTS))
def test_a_chart_stays_within_its_frame(points: list[float | None]) -> None:
    svg = sparkline(Line(tuple(points)))
    for coordinates in re.findall(r'points="([^"]*)"', svg):
        for pair in coordinates.split():
            x, y = map(float, pair.split(","))
            assert 0 <= x <= WIDTH
            assert 0 <= y <= HEIGHT


def test_a_gap_in_the_points_is_a_gap_in_the_line() -> None:
    assert sparkline(Line((1.0, 2.0, None, 3.0))).count("<polyline") == 2
    assert "<polyline" not in sparkline(Line((None, None)))


def partition(state: LagState, lag: int) -> PartitionLag:
    return PartitionLag("t", 0, 0, 0, lag, lag, 0.0, None, None, None, state, "")


def test_shades_rise_with_how_bad_it_is() -> None:
    shades = [shade(partition(LagState.OK, lag)) for lag in (0, 1, 10, 100, 1_000, 10**9)]
    assert shades == [0, 1, 2, 3, 4, 4]
    worse = [shade(partition(state, 5)) for state in LagState if state is not LagState.OK]
    assert worse == sorted(worse)
    assert worse[0] > shades[-1]
    for state in LagState:
        assert state_of_shade(shade(partition(state, 5))) is state


def test_a_heat_strip_joins_what_is_alike() -> None:
    stalled = shade(partition(LagState.STALL, 5))
    svg = heat_strip([(None,) * (SLOTS - 3) + (0, 0, stalled)])
    assert svg.count("<rect") == 2
    assert f'class="l0" x="{SLOTS - 3}" y="0" width="2"' in svg
    assert 'class="STALL"' in svg
