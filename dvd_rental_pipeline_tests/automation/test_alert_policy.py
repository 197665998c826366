"""Whatever happens, people hear of trouble once, then that it is over, then of new trouble."""

from datetime import timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from dvd_rental_pipeline.automation.alert_policy import Damping, Subject, Tell

# Looks at a subject: seconds since the last look, whether it is in trouble, whether an alert can be sent.
LOOKS = st.lists(st.tuples(st.integers(1, 1200), st.booleans(), st.booleans()), max_size=80)
DAMPINGS = st.builds(
    Damping,
    patience=st.sampled_from([timedelta(0), timedelta(minutes=10)]),
    calm=st.sampled_from([timedelta(0), timedelta(minutes=10), timedelta(minutes=45)]),
)


def story(looks: list[tuple[int, bool, bool]], damping: Damping) -> list[tuple[float, Tell]]:
    """What is told, and when."""
    subject, now, told = Subject(), 0.0, []
    for seconds, troubled, can_send in looks:
        now += seconds
        subject = subject.observed(troubled, now)
        tell = subject.due(damping, now)
        if tell is not None and can_send:
            told.append((now, tell))
            subject = subject.after_telling()
    return told


@given(LOOKS, DAMPINGS)
def test_trouble_and_its_end_alternate_and_trouble_is_told_first(
    looks: list[tuple[int, bool, bool]], damping: Damping
) -> None:
    told = [tell for _, tell in story(looks, damping)]
    assert told[::2] == [Tell.TROUBLE] * len(told[::2])
    assert told[1::2] == [Tell.RESOLVED] * len(told[1::2])


@given(LOOKS, DAMPINGS)
def test_nobody_is_told_more_often_than_damping_allows(
    looks: list[tuple[int, bool, bool]], damping: Damping
) -> None:
    for (before, _), (after, tell) in pairwise(story(looks, damping)):
        wait = damping.patience if tell is Tell.TROUBLE else damping.calm
        assert after - before >= wait.total_seconds()


@given(LOOKS, DAMPINGS, st.booleans())
def test_what_lasts_is_told_in_the_end(
    looks: list[tuple[int, bool, bool]], damping: Damping, troubled: bool
) -> None:
    lasting = [(3600, troubled, True), (3600, troubled, True)]
    told = [Tell.RESOLVED] + [tell for _, tell in story([*looks, *lasting], damping)]
    assert told[-1] is (Tell.TROUBLE if troubled else Tell.RESOLVED)


@given(LOOKS, DAMPINGS)
def test_all_is_forgotten_of_a_subject_that_is_well_and_known_to_be(
    looks: list[tuple[int, bool, bool]], damping: Damping
) -> None:
    subject, now = Subject(), 0.0
    for seconds, troubled, _ in [*looks, (7200, False, True), (7200, False, True)]:
        now += seconds
        subject = subject.observed(troubled, now)
        if subject.due(damping, now):
            subject = subject.after_telling()
    assert not subject.is_worth_keeping
