"""Notifications alternate between problem and resolved, and come no more often than the policy allows."""

from datetime import timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from dvd_rental_pipeline.automation.alert_policy import AlertPolicy, AlertState, Notification

# Observations: seconds since the last one, whether the subject fails, whether an alert can be sent.
OBSERVATIONS = st.lists(st.tuples(st.integers(1, 1200), st.booleans(), st.booleans()), max_size=80)
POLICIES = st.builds(
    AlertPolicy,
    open_after=st.sampled_from([timedelta(0), timedelta(minutes=10)]),
    close_after=st.sampled_from([timedelta(0), timedelta(minutes=10), timedelta(minutes=45)]),
)


def notifications(
    observations: list[tuple[int, bool, bool]], policy: AlertPolicy
) -> list[tuple[float, Notification]]:
    """What is sent, and when."""
    state, now, sent = AlertState(), 0.0, []
    for seconds, failing, can_send in observations:
        now += seconds
        state = state.observed(failing, now)
        notification = state.due(policy, now)
        if notification is not None and can_send:
            sent.append((now, notification))
            state = state.after_notification()
    return sent


@given(OBSERVATIONS, POLICIES)
def test_problem_and_resolved_alternate_beginning_with_a_problem(
    observations: list[tuple[int, bool, bool]], policy: AlertPolicy
) -> None:
    sent = [notification for _, notification in notifications(observations, policy)]
    assert sent[::2] == [Notification.PROBLEM] * len(sent[::2])
    assert sent[1::2] == [Notification.RESOLVED] * len(sent[1::2])


@given(OBSERVATIONS, POLICIES)
def test_notifications_are_as_far_apart_as_the_policy_demands(
    observations: list[tuple[int, bool, bool]], policy: AlertPolicy
) -> None:
    for (before, _), (after, notification) in pairwise(notifications(observations, policy)):
        wait = policy.open_after if notification is Notification.PROBLEM else policy.close_after
        assert after - before >= wait.total_seconds()


@given(OBSERVATIONS, POLICIES, st.booleans())
def test_a_lasting_condition_is_sent_in_the_end(
    observations: list[tuple[int, bool, bool]], policy: AlertPolicy, failing: bool
) -> None:
    lasting = [(3600, failing, True), (3600, failing, True)]
    sent = [Notification.RESOLVED] + [
        notification for _, notification in notifications([*observations, *lasting], policy)
    ]
    assert sent[-1] is (Notification.PROBLEM if failing else Notification.RESOLVED)


@given(OBSERVATIONS, POLICIES)
def test_no_state_is_kept_of_a_subject_that_passes_without_an_open_alert(
    observations: list[tuple[int, bool, bool]], policy: AlertPolicy
) -> None:
    state, now = AlertState(), 0.0
    for seconds, failing, _ in [*observations, (7200, False, True), (7200, False, True)]:
        now += seconds
        state = state.observed(failing, now)
        if state.due(policy, now):
            state = state.after_notification()
    assert not state.is_worth_keeping
