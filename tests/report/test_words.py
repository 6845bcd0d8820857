"""Words for verdicts: RAP's own, another selector's choice, a plugin's verdict."""

from rap_plugin.report.words import VERDICT_WORDS, verdict_word
from rap_plugin.selectors.base import VERDICTS


def test_every_verdict_has_words_long_and_short():
    assert tuple(VERDICT_WORDS) == VERDICTS
    assert all(word.title and word.meaning and len(word.short) <= 40 for word in VERDICT_WORDS.values())


def test_what_another_selector_chose_is_not_said_to_need_the_image():
    assert "image decides" in verdict_word("selected").short
    assert verdict_word("selected", "random").short == "chosen by selector random"
    assert verdict_word("easy", "random") == verdict_word("easy")


def test_a_plugins_verdict_is_its_own_title():
    assert verdict_word("too_noisy", "mine").title == "Too noisy"
