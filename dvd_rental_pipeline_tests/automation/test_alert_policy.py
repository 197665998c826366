"""Whatever happens, people hear of trouble once, then that it is over, then of new trouble."""

from datetime import timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from dvd_rental_pipeline.automation.alert_policy import AlertPolicy, Notification, Subject

# Looks at a subject: seconds since the last look, whether it is in trouble, whether an alert can be sent.
LOOKS = st.lists(st.tuples(st.integers(1, 1200), st.booleans(), st.booleans()), max_size=80)
DAMPINGS = st.builds(
    AlertPolicy,
    open_after=st.sampled_from([timedelta(0), timedelta(minutes=10)]),
    close_after=st.sampled_from([timedelta(0), timedelta(minutes=10), timedelta(minutes=45)]),
)


def story(looks: list[tuple[int, bool, bool]], policy: AlertPolicy) -> list[tuple[float, Notification]]:
    """What is told, and when."""
    subject, now, notified = Subject(), 0.0, []
    for seconds, failing, can_send in looks:
        now += seconds
        subject = subject.observed(failing, now)
        tell = subject.due(policy, now)
        if tell is not None and can_send:
            notified.append((now, tell))
            subject = subject.after_notification()
    return notified


@given(LOOKS, DAMPINGS)
def test_trouble_and_its_end_alternate_and_trouble_is_told_first(
    looks: list[tuple[int, bool, bool]], policy: AlertPolicy
) -> None:
    notified = [tell for _, tell in story(looks, policy)]
    assert notified[::2] == [Notification.PROBLEM] * len(notified[::2])
    assert notified[1::2] == [Notification.RESOLVED] * len(notified[1::2])


@given(LOOKS, DAMPINGS)
def test_nobody_is_told_more_often_than_damping_allows(
    looks: list[tuple[int, bool, bool]], policy: AlertPolicy
) -> None:
    for (before, _), (after, tell) in pairwise(story(looks, policy)):
        wait = policy.open_after if tell is Notification.PROBLEM else policy.close_after
        assert after - before >= wait.total_seconds()


@given(LOOKS, DAMPINGS, st.booleans())
def test_what_lasts_is_told_in_the_end(
    looks: list[tuple[int, bool, bool]], policy: AlertPolicy, failing: bool
) -> None:
    lasting = [(3600, failing, True), (3600, failing, True)]
    notified = [Notification.RESOLVED] + [tell for _, tell in story([*looks, *lasting], policy)]
    assert notified[-1] is (Notification.PROBLEM if failing else Notification.RESOLVED)


@given(LOOKS, DAMPINGS)
def test_all_is_forgotten_of_a_subject_that_is_well_and_known_to_be(
    looks: list[tuple[int, bool, bool]], policy: AlertPolicy
) -> None:
    subject, now = Subject(), 0.0
    for seconds, failing, _ in [*looks, (7200, False, True), (7200, False, True)]:
        now += seconds
        subject = subject.observed(failing, now)
        if subject.due(policy, now):
            subject = subject.after_notification()
    assert not subject.is_worth_keeping
