"""Every verdict and status in plain language: what people read who do not know the method."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Word:
    """A verdict or status for people."""

    title: str
    meaning: str
    short: str = ""
    """The meaning in at most 40 characters, for a column of a terminal."""


VERDICT_WORDS = {
    "selected": Word(
        "Selected",
        "The image decides whether the model gets it right, and it does not always get it right.",
        "the image decides, more can be learnt",
    ),
    "hard_replacement": Word(
        "Hard replacement",
        "Hard but solvable; takes the place of an easy sample (DRM).",
        "hard but solvable, for an easy one (DRM)",
    ),
    "filled_up": Word(
        "Filled up",
        "The next best of those left out: it brings the selection to a number of rows that every rank can share.",
        "next best, for a fitting number of rows",
    ),
    "language_prior": Word(
        "Language prior",
        "Answered about as well without the image: training on it teaches reading, not seeing (CDE).",
        "about as right without the image (CDE)",
    ),
    "attention_biased": Word(
        "Attention biased",
        "While answering, one token keeps the model's attention: the reasoning may not be about the image (ACE).",
        "one token holds the attention (ACE)",
    ),
    "unmeasured": Word(
        "Attention unmeasured",
        "Psi could not be measured, and the configuration discards such samples.",
        "psi was not measured (ACE)",
    ),
    "easy": Word(
        "Easy",
        "Right in every rollout with the image: no reward differs, so there is nothing to learn (DRM).",
        "always right: nothing to learn (DRM)",
    ),
    "unsolved": Word(
        "Unsolved",
        "Never right with the image: no reward differs, so there is nothing to learn.",
        "never right: no reward to learn from",
    ),
    "cut_off": Word(
        "Cut off",
        "Never right with the image, and most responses ended at the token limit: more tokens may change that.",
        "never right, mostly cut at the limit",
    ),
    "too_few_graded": Word(
        "Too few graded",
        "Fewer rollouts could be graded than a judgement needs: others failed, timed out or could not be read.",
        "too few graded rollouts to judge",
    ),
    "text_only": Word(
        "Text only",
        "Has no image, so the question of what the image adds does not arise.",
        "no image, so no discrepancy",
    ),
    "not_chosen": Word(
        "Not chosen", "Outside the selector's rule or over the budget.", "outside the selector's rule or budget"
    ),
}

STATUS_WORDS = {
    "malformed_row": Word("Malformed row", "Not readable as a problem under the pool's format."),
    "unreadable_image": Word("Unreadable image", "An image is missing, cut short, or not an image."),
    "too_large": Word("Too large", "An image has more pixels or bytes than allowed."),
    "ungradable_gold": Word("Ungradable gold", "The gold answer is empty or the grader cannot compare with it."),
    "duplicate": Word("Duplicate", "The same images, question and answer as an earlier row."),
    "overlong": Word("Overlong", "The prompt does not fit the token limit."),
    "engine_error": Word("Engine error", "The engine failed on this sample, or no response of an arm could be graded."),
}


def verdict_word(verdict: str, selector: str = "rap") -> Word:
    """The words for a verdict; those of RAP say nothing of what another selector chose, and a plugin's own verdict is its own title."""
    if verdict == "selected" and selector != "rap":
        return Word("Selected", f"Chosen by selector {selector}.", f"chosen by selector {selector}")
    return VERDICT_WORDS.get(verdict, Word(verdict.replace("_", " ").capitalize(), "A verdict of the selector's own."))


def kind_of(verdict: str) -> str:
    """The colour class of a verdict; verdicts of plugins share one."""
    return verdict if verdict in VERDICT_WORDS else "other"


def status_word(status: str) -> Word:
    """The words for a quarantine status."""
    return STATUS_WORDS.get(status, Word(status.replace("_", " ").capitalize(), ""))
