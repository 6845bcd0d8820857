"""The state machine, told what a model wrote."""

from __future__ import annotations

import pytest
from PIL import Image

from rap_plugin.engines.turns import Segment
from rap_plugin.rollout import Prompt
from rap_plugin.vlm_r3.coordinates import Frame
from rap_plugin.vlm_r3.crops import TRAINING
from rap_plugin.vlm_r3.loop import LoopOptions, RegionRow
from rap_plugin.vlm_r3.trace import Trace

RAW = Frame("raw")


def row(images: int = 1, show=None, instead: str = "", **options) -> RegionRow:
    pictures = tuple(Image.new("L", (100 + 10 * n, 80), 10 * n) for n in range(images))
    prompt = Prompt("a", "image", "<image>" * images + "?", pictures)
    return RegionRow.of(prompt, RAW, LoopOptions(limits=TRAINING, **options), show=show, instead=instead)


def box(*corners: int, image: int | None = None) -> str:
    named = "" if image is None else f'"image": {image}, '
    return f'see {{{named}"bbox_2d": [{", ".join(map(str, corners))}]}}'


def tell(machine: RegionRow, *texts: str, finish: str = "closed") -> RegionRow:
    for text in texts:
        machine.accept(Segment(tuple(range(1, len(text) + 1)), text, finish))
    return machine


def test_a_box_puts_its_crop_behind_what_was_written() -> None:
    done = tell(row(), box(10, 10, 50, 50), "<answer>B</answer>")
    written, crop, answer = done.turn.parts
    assert (written.sampled, crop.sampled, answer.sampled) == (True, False, True)
    assert crop.image.size == done.looks[0].shown
    assert done.ended == "answer"
    assert done.trace().answer == "B"


def test_the_same_region_again_gets_a_message_and_no_crop() -> None:
    done = tell(row(), box(10, 10, 50, 50), box(10, 10, 50, 50))
    assert [part.image is not None for part in done.turn.parts] == [False, True, False, False]
    assert done.turn.parts[-1].text == "\n[no crop: this region was shown already]\n"


def test_after_a_bad_box_the_model_may_ask_again() -> None:
    done = tell(row(), box(50, 50, 10, 10), box(10, 10, 50, 50))
    assert [bool(look.problem) for look in done.looks] == [True, False]
    assert not done.done


def test_a_box_that_was_cut_off_does_not_count_even_where_it_reads_well() -> None:
    done = tell(row(max_new_tokens=30), box(1, 2, 30, 40)[:30], finish="length")
    assert (done.looks, done.ended) == ([], "tokens")
    whole = box(1, 2, 30, 40)
    done = tell(row(max_new_tokens=len(whole)), whole, finish="length")
    assert (done.looks, done.ended) == ([], "tokens")


def test_with_several_images_the_box_says_which_one() -> None:
    done = tell(
        row(3), box(1, 1, 30, 30), box(1, 1, 30, 30, image=3), box(1, 1, 30, 30, image=4), box(1, 1, 30, 30, image=1)
    )
    assert "say which one" in done.looks[0].problem
    assert (done.looks[1].image, done.looks[1].problem) == (2, "")
    assert "no image 4" in done.looks[2].problem
    assert (done.looks[3].image, done.looks[3].problem) == (0, "")  # the same corners in another image


def test_a_prompt_without_images_has_nothing_to_show() -> None:
    assert tell(row(0), box(1, 1, 30, 30)).looks[0].problem == "there is no image"


@pytest.mark.parametrize(("text", "words"), [(box(200, 10, 300, 50), "outside"), (box(10, 10, 12, 50), "too small")])
def test_regions_with_nothing_to_show_get_a_message(text: str, words: str) -> None:
    assert words in tell(row(), text).looks[0].problem


def test_crops_have_a_cap_and_segments_have_one() -> None:
    done = tell(row(max_crops=2, max_segments=4), *(box(n, n, n + 30, n + 30) for n in range(9)))
    assert [look.shown is not None for look in done.looks] == [True, True, False, False]
    assert "answer now" in done.looks[2].problem
    assert done.ended == "segments"


def test_the_pixels_of_all_crops_have_a_cap() -> None:
    done = tell(row(max_crop_pixels=8000), box(1, 1, 40, 40), box(2, 2, 42, 42))
    assert [look.shown is not None for look in done.looks] == [True, False]


def test_braces_of_formulas_cost_no_segment_but_do_not_go_on_for_ever() -> None:
    done = tell(row(max_segments=2), *['x^{"a"}'] * 15)
    assert not done.done
    assert tell(done, 'x^{"a"}').ended == "segments"


def test_tokens_that_are_used_up_end_the_row() -> None:
    assert tell(row(max_new_tokens=40), box(1, 1, 30, 30), box(2, 2, 40, 40)).ended == "tokens"


def test_a_crop_that_does_not_fit_is_taken_back_and_the_model_is_told() -> None:
    machine = tell(row(), box(10, 10, 50, 50))
    machine.accept(Segment(status="overlong", error="too long"))
    assert not machine.done
    assert [part.image for part in machine.turn.parts] == [None, None]
    assert "no room" in machine.looks[0].problem
    machine.accept(Segment(status="overlong", error="too long"))
    assert machine.ended == "context"


def test_what_the_engine_failed_on_is_told() -> None:
    machine = row()
    machine.accept(Segment(status="engine_error", error="no memory"))
    assert (machine.ended, machine.trace().error) == ("engine_error", "no memory")
    machine = row()
    machine.accept(Segment(status="overlong", error="the prompt has 9 tokens"))
    assert machine.ended == "overlong"


@pytest.mark.parametrize(("text", "ended"), [("I see <answer>4</answer>", "answer"), ("I see 4", "end")])
def test_the_models_end_ends_the_row(text: str, ended: str) -> None:
    assert tell(row(), text, finish="end").ended == ended


def test_what_is_shown_can_be_replaced() -> None:
    grey = lambda row, look, image: Image.new("L", image.size, 127)  # noqa: E731
    done = tell(row(show=grey, instead="blank"), box(10, 10, 50, 50))
    assert done.turn.parts[1].image.getextrema() == (127, 127)
    assert done.looks[0].instead == "blank"
    nothing = tell(row(show=lambda *_: None, instead="none"), box(10, 10, 50, 50))
    assert [part.sampled for part in nothing.turn.parts] == [True]


def test_a_trace_is_read_back_as_it_was_written() -> None:
    trace = tell(row(), box(10, 10, 50, 50), box(1, 2, 1, 1), "é\ud800 <answer>x</answer>").trace()
    assert Trace.from_json(trace.to_json()) == trace
    assert [bool(look) for _, look, _ in trace.steps()] == [True, True, False]
    for broken in ("", "{}", "[]", '{"version": 9}', trace.to_json()[:-9]):
        with pytest.raises(ValueError):  # noqa: PT011
            Trace.from_json(broken)
