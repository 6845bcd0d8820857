"""The driver's side of the engine, over real Ray actors that answer by rule."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("openrlhf", reason="OpenRLHF is not installed")

from rap_plugin.config import RunConfig, StorageConfig
from rap_plugin.engines.base import require_attention
from rap_plugin.errors import RapError
from rap_plugin.evidence.records import ProbeKey
from rap_plugin.evidence.snapshots import working_store
from rap_plugin.evidence.store import EvidenceStore
from rap_plugin.evidence.variants import STATISTIC_COLUMNS
from rap_plugin.executors.batches import Batch, BatchItem
from rap_plugin.executors.feed import feed
from rap_plugin.openrlhf_hooks import engine as engines
from rap_plugin.openrlhf_hooks.engine import RolloutEngine, RolloutSettings
from rap_plugin.openrlhf_hooks.prompting import OpenRLHFPrompts
from rap_plugin.rollout import ModelIdentity, Prompt, Request, Response, Sampling, rollout_seed
from rap_plugin.samples.sample import Sample, sample_id
from tests.executors.sources import ListSource


def row(number):
    text = f"<|vision_start|><|image_pad|><|vision_end|>number {number} ?"
    return {"prompt": text, "label": str(number), "images": ["picture"]}


@pytest.fixture
def opened(stand_ins, processor, tiny_model, tmp_path):
    """`opened(actors, n)`: an engine over those actors, with a pool of n rows, and the requests of the image arm."""

    def get(options, n=12, **settings):
        items = []
        for number in range(n):
            identity = sample_id(str(number), str(number), (b"x",))
            items.append(Sample(identity, number, str(number), str(number), (b"x",), image_sizes=((4, 4),)))
        store = EvidenceStore(tmp_path / "evidence.sqlite", create=True)
        store.replace_pool(items, "pool")
        store.close()
        actors = stand_ins(options)
        made = []

        def make(measure):
            made.append(measure)
            return actors

        engine = RolloutEngine(
            ModelIdentity(str(tiny_model), "revision"),
            OpenRLHFPrompts(processor, "prompt", "label", "images", None, chat=False),
            RolloutSettings(**{"max_len": 256, "max_new_tokens": 24, "sleeps": False, "agent": False, **settings}),
            [row(number) for number in range(n)],
            Path(tmp_path),
            len(actors),
            make,
        )
        engine.made = made
        requests = [Request(Prompt(item.id, "image", ""), (0, 1, 2)) for item in items]
        return engine, actors, requests

    return get


def calls(ray, actor, kind=None):
    return [entry for entry in ray.get(actor.calls.remote()) if kind in (None, entry[0])]


def test_nothing_is_started_before_something_is_asked_for(opened):
    engine, _, _ = opened([{}])
    engine.close()
    assert engine.made == []
    assert engine.actors() is None


def test_answers_come_in_order_with_their_own_seeds_and_rewards(ray_here, opened):
    engine, (actor,), requests = opened([{}])
    rows = engine.generate_with_attention(requests, Sampling(seed=3))
    for number, (request, answers) in enumerate(zip(requests, rows, strict=True)):
        seeds = [rollout_seed(3, request.prompt.sample_id, "image", i) for i in range(3)]
        assert [answer.text for answer, _ in answers] == [f"{number} {seed}" for seed in seeds]
        assert [answer.rollout for answer, _ in answers] == [0, 1, 2]
        assert all(answer.reward in (0.0, 1.0) for answer, _ in answers)
        assert all(set(seen.statistics) == set(STATISTIC_COLUMNS) for _, seen in answers)
        assert all(seen.statistics["psi_window_max_10"] == -5.0 and not seen.error for _, seen in answers)
    (begin,) = calls(ray_here, actor, "begin")
    assert begin[1] == "Qwen2_5_VLProcessor"
    assert len(begin[2]) == 2  # both end tokens of generation_config.json


def fed(engine, requests, bound):
    """The answers to the requests, `bound` prompts at work in each engine."""
    engine.begin(Sampling())
    entries = []
    for number, request in enumerate(requests):
        item = BatchItem(number, number, request.prompt.sample_id, request.rollouts, tokens=1)
        entries.append((Batch("image", (item,), (number,)), (request, engine.prepare(request))))
    return list(feed(engine, ListSource(entries), RunConfig(), bound))


def test_prompts_go_to_the_engine_with_the_least_to_do(ray_here, opened, tmp_path):
    tally = str(tmp_path / "tally")
    # The first holds its two prompts until the other has had ten: dealt out in turns, it would not have more than eight.
    engine, actors, requests = opened([{"waits_for": (tally, 10)}, {"tally": tally}], n=16)
    results = fed(engine, requests, 2)
    assert sorted(done.batch.items[0].row for done in results) == list(range(16))
    for done in results:
        number = done.batch.items[0].row
        assert {response.text.split()[0] for response in done.responses[0]} == {str(number)}
        assert done.attention[0][0].statistics["psi_window_max_10"] == -5.0
    counts = [len(calls(ray_here, actor, "sample")) for actor in actors]
    assert sum(counts) == 16
    assert counts[0] >= 1
    assert counts[1] >= 10


def test_an_engine_that_hangs_is_one_line_when_its_time_is_up(ray_here, opened, tmp_path):
    never = (str(tmp_path / "never"), 1)
    engine, actors, requests = opened([{}, {"waits_for": never}], answer_within_s=2.0)
    ray_here.get([actor.calls.remote() for actor in actors])  # both have started
    with pytest.raises(RapError, match=r"^engine 2 of 2 stopped \(no answer for 2 s\).*start the same command again"):
        fed(engine, requests, 2)
    Path(never[0]).write_bytes(b".")


def test_a_row_that_fails_alone_has_a_status_and_the_others_answers(opened):
    engine, _, requests = opened([{"fail": (3,), "silent": (4,)}])
    rows = engine.generate(requests, Sampling())
    assert [answer.status for answer in rows[3]] == ["engine_error"] * 3
    assert rows[3][0].error == "ValueError: this row is odd"
    assert all(answer.status == "ok" for at, answers in enumerate(rows) for answer in answers if at != 3)
    assert [answer.reward for answer in rows[4]] == [None] * 3


def test_a_prompt_that_openrlhf_refuses_as_too_long_is_overlong():
    text = "ValueError: VLM prompt length (300) exceeds max_prompt_length (232). Truncating VLM prompts would break .."
    response, seen = engines._paired({"error": text}, 1, "")
    assert (response.rollout, response.status, response.error) == (1, "overlong", text)
    assert seen.error == text


def test_an_engine_that_dies_is_one_line_that_says_what_is_kept(opened):
    engine, _, requests = opened([{}, {"die": range(12)}])
    with pytest.raises(RapError) as raised:
        engine.generate(requests, Sampling())
    line = str(raised.value)
    assert line.startswith("engine 2 of 2 stopped (")
    assert "0 rollouts are kept in " in line
    assert line.endswith("start the same command again, it samples only what is missing")
    assert "\n" not in line


def test_what_is_kept_is_counted_where_the_evidence_is_written(opened, tmp_path):
    engine, _, requests = opened([{"die": range(12)}])
    storage = StorageConfig(evidence="local", local_dir=str(tmp_path / "disk"))
    with working_store(tmp_path / "evidence.sqlite", storage, print) as store:
        probe = store.probe(ProbeKey("image", "prompt", "revision", "{}", 0))
        store.add_rollouts(probe, [(1, [Response(0, "7"), Response(1, "8")])])
        with pytest.raises(RapError, match="2 rollouts are kept in "):
            engine.generate(requests, Sampling())
    engine.close()


def test_sleeping_engines_are_woken_for_scoring_and_put_back_to_sleep(ray_here, opened):
    engine, (actor,), requests = opened([{}], sleeps=True)
    engine.generate(requests[:1], Sampling())
    engine.generate(requests[1:2], Sampling())
    engine.close()
    kinds = [entry[0] for entry in calls(ray_here, actor)]
    assert kinds == ["wake_up", "begin", "sample", "sample", "end", "sleep"]
    assert engine.actors() == [actor]


def test_stored_responses_are_measured_without_sampling(ray_here, opened):
    engine, (actor,), requests = opened([{}])
    measured = engine.attention([(request.prompt, [[1, 2, 3], [4, 5]]) for request in requests[:3]], Sampling())
    assert [len(row) for row in measured] == [2, 2, 2]
    assert measured[0][0].statistics["psi_window_max_10"] == -3.0
    assert not calls(ray_here, actor, "sample")


def test_attention_that_one_engine_cannot_read_stops_before_sampling_and_the_others_let_go(ray_here, opened):
    engine, actors, requests = opened([{}, {"unreadable": "no memory for a mirror of keys"}])
    with pytest.raises(RapError, match=r"no memory for a mirror of keys.*ace.enabled=false"):
        require_attention(engine, Sampling())
    for actor in actors:
        assert [entry[0] for entry in calls(ray_here, actor)] == ["begin", "stop_measuring"]
    # Asked all the same, it samples and measures nothing.
    pairs = engine.generate_with_attention(requests[:1], Sampling())
    assert {(response.status, seen.error) for response, seen in pairs[0]} == {("ok", "no memory for a mirror of keys")}


def test_agents_are_not_measured(opened):
    engine, _, _ = opened([{}], agent=True)
    assert not engine.measures_attention
    engine.start()
    assert engine.made == [False]
