"""The rows that follow under verl: their state."""

from __future__ import annotations

from rap_plugin.posterior.following import FollowOptions, begin
from rap_plugin.verl_hooks.followed import FollowedRows


def test_a_checkpoint_from_before_attention_was_counted_is_still_read() -> None:
    def make() -> FollowedRows:
        return FollowedRows(list("abcdefgh"), begin([0] * 8), FollowOptions(4), 2)

    rows = make()
    for _ in range(6):
        place = rows.draw()
        rows.learn({rows.ids[place]: (place % 3, 2)})
    state = rows.state_dict()
    for name in ("biased", "measured"):
        del state["beliefs"][name]
    again = make()
    again.load_state_dict(state)
    assert again.beliefs.measured.tolist() == [0] * 8
    assert [again.draw() for _ in range(6)] == [rows.draw() for _ in range(6)]
