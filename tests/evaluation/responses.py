"""Responses as models write them, each with its right reading: an option letter, yes or no, or a status.

The right reading is what a careful person reads as the response's final answer; None where the response gives none.
"""

from __future__ import annotations

from dataclasses import dataclass

from rap_plugin.evaluation.item import BenchmarkItem, Kind


@dataclass(frozen=True)
class Case:
    """One response to one problem of a benchmark."""

    benchmark: str
    item: BenchmarkItem
    response: str
    reading: str | None
    """choices and yes/no: what is read, None for nothing; other kinds: the grade's status"""


def _item(
    kind: Kind, question: str, gold: str, options: tuple[str, ...] = (), precision: int = 0, rtol: float = 0.0
) -> BenchmarkItem:
    return BenchmarkItem("1", question, gold, kind, options, precision if kind == "number" else None, rtol)


def _choice(question: str, gold: str, *options: str) -> BenchmarkItem:
    listing = "\n".join(f"({letter}) {text}" for letter, text in zip("ABCDEFG", options, strict=False))
    return _item("choice", f"{question}\n{listing}", gold, options)


PROBLEMS: dict[str, tuple[BenchmarkItem, int]] = {
    # The item, and the option that the written responses choose.
    "vstar": (_choice("What is the material of the glove?", "C", "rubber", "cotton", "kevlar", "leather"), 2),
    "mmvp": (_choice("Are the butterfly's wings open or closed?", "B", "Open", "Closed"), 1),
    "cv_bench": (
        _choice("How many organs are in the image? Select from the following choices.", "C", "3", "2", "1", "0"),
        2,
    ),
    "scienceqa_img": (
        _choice("Which of these states is farthest north?", "B", "Louisiana", "Maine", "Tennessee", "Arizona"),
        1,
    ),
    "mme_realworld": (
        _choice(
            "What is the phone number on the blue sign?",
            "D",
            "555-0134",
            "555-0184",
            "555-0143",
            "555-0148",
            "The image does not feature the phone number.",
        ),
        3,
    ),
    "mmstar": (
        _choice("What emotion does the man show?", "A", "surprise", "anger", "joy", "fear"),
        0,
    ),
    "hrbench": (_choice("What is the color of the umbrella?", "B", "red", "dark green", "green", "white and blue"), 1),
    "wemath": (
        _choice("What is the perimeter of the square?", "D", "12 cm", "16 cm", "18 cm", "20 cm", "No correct answer"),
        3,
    ),
    "logicvista": (_choice("Which figure comes next in the sequence?", "E", "", "", "", "", ""), 4),
    "mathvista": (_choice("Which is the measure of angle 2?", "B", "28°", "62°", "90°", "118°"), 1),
    "mathverse": (
        _choice(
            "DE is parallel to BC, angle A = 80.0, angle B = 60.0. Find angle CED.", "D", "40°", "60°", "120°", "140°"
        ),
        3,
    ),
}

# {L} the letter chosen, {T} its text, {O} another letter, {U} another option's text, {P} a third letter.
CHOSEN = (
    "{L}",
    "({L})",
    "{L}.",
    "{L})",
    "**{L}**",
    "Answer: {L}",
    "Answer: ({L})",
    "The answer is {L}.",
    "The answer is ({L}).",
    "The correct answer is **{L}**.",
    "<answer>{L}</answer>",
    "<think>I compare the options one by one.</think><answer>({L})</answer>",
    "\\boxed{{{L}}}",
    "\\boxed{{\\text{{{L}}}}}",
    "<think>First I thought of {O}, but that does not fit. Option {P} is out, too.</think>\n\nThe answer is \\boxed{{{L}}}.",
    "Option {L} is correct.",
    "The correct option is {L}",
    "A close look at the picture rules {O} out. A second look confirms it: the answer is {L}.",
    "Let's think step by step. Option {O} can be excluded because it does not match. Option {P} does not match either. "
    "Therefore, the correct answer is option {L}.",
    "I first considered ({O}), but looking again, the details match ({L}). So the final answer is ({L}).",
    "## Solution\n\nStep 1: look at the image.\nStep 2: compare with the options.\n\n**Final Answer:** {L}",
    "$\\boxed{{{L}}}$",
    "Final answer: \\({L}\\)",
    "My answer: {L}. Not {O}, since that would need another picture.",
)
CHOSEN_WITH_TEXT = (
    "{L}. {T}",
    "({L}) {T}",
    "The answer is ({L}) {T}.",
    "\\boxed{{{L}. {T}}}",
    "<answer>{L}. {T}</answer>",
    "**{L}) {T}**",
    "Looking at the image, {U} ({O}) is not what is shown. The answer is {T}.",
    "\\boxed{{\\text{{{T}}}}}",
)
OPEN = (
    "I'm sorry, but I cannot determine this from the image.",
    "The image is too blurry to tell which option is right.",
    "It could be {O} or {L}.",
    "",
    "<think>I look at the picture. The first candidate is {O}, the next",
)


def _written(benchmark: str) -> list[Case]:
    item, index = PROBLEMS[benchmark]
    letters = "ABCDE"[: len(item.options)]
    letter = letters[index]
    other, third = letters[(index + 1) % len(letters)], letters[(index + 2) % len(letters)]
    facts = {
        "L": letter,
        "T": item.choices[letter],
        "O": other,
        "U": item.choices[other],
        "P": third if third != letter else other,
    }
    templates = [(text, letter) for text in CHOSEN]
    if item.choices[letter]:
        templates += [(text, letter) for text in CHOSEN_WITH_TEXT]
    templates += [(text, None) for text in OPEN]
    return [Case(benchmark, item, text.format(**facts), reading) for text, reading in templates]


_VSTAR, _MMVP, _CV, _SQA = (PROBLEMS[name][0] for name in ("vstar", "mmvp", "cv_bench", "scienceqa_img"))
_MME, _MMSTAR, _HR, _WE = (PROBLEMS[name][0] for name in ("mme_realworld", "mmstar", "hrbench", "wemath"))
_LOGIC, _VISTA, _VERSE = (PROBLEMS[name][0] for name in ("logicvista", "mathvista", "mathverse"))
_POPE_YES = _item("yes_no", "Is there a snowboard in the image?", "yes")
_POPE_NO = _item("yes_no", "Is there a dog in the image?", "no")
_AGE = _item("number", "What is the age gap between these two people? (Unit: years) (The answer is an integer.)", "7")
_MEAN = _item("number", "What is the mean? (Give the answer as a number with 2 decimal places.)", "3.14", precision=2)
_ONE = _item("number", "How long is it? (Give the answer as a number with 1 decimal place.)", "1.2", precision=1)
_LIST = _item("maths", "Which years are missing? (Give the answer as a list, as in [1, 2, 3].)", "[2014, 2016]")
_FORM = _item("maths", "Find the area of the shaded part.", "9\\pi")
_LINE = _item("maths", "What is the equation of the line?", "y=2x+3")
_GEO = _item("maths", "Find y.", "33.941", rtol=0.01)
_SINGLE = _item("wanted", "What is x in the equation?", "-1<AND>-5")
_SIGN = _item("wanted", "What does the sign say?", "stop<OR>stop sign")
_MEME = _item(
    "wanted",
    "Can you explain this meme?",
    "This meme is poking fun at the fact that the names of the countries Iceland and Greenland are misleading.",
)
_COVERED = _item("covered", "What is the covered texts in the image?", "the first edition of\nwas published in 1921")

BY_HAND: tuple[tuple[str, BenchmarkItem, str, str | None], ...] = (
    # Readings that the benchmarks' usual scorers are known to get wrong.
    ("vstar", _VSTAR, "Answer: C", "C"),
    ("vstar", _VSTAR, "Based on the texture, the glove is made of kevlar, so C is right.", "C"),
    ("vstar", _VSTAR, "kevlar", "C"),
    ("vstar", _VSTAR, "The glove is made of kevlar.", "C"),
    ("vstar", _VSTAR, "A careful look shows a yellow weave. The answer is C.", "C"),
    ("vstar", _VSTAR, "Neither rubber nor leather; the material is clearly kevlar.", "C"),
    ("vstar", _VSTAR, "The glove could be cotton or kevlar.", None),
    ("vstar", _VSTAR, "\\boxed{A} ... wait, no. \\boxed{C}", "C"),
    ("vstar", _VSTAR, "C, because the weave is coarse and yellow.", "C"),
    ("vstar", _VSTAR, "C - kevlar", "C"),
    ("mmvp", _MMVP, "(b) Closed", "B"),
    ("mmvp", _MMVP, "b", "B"),
    ("mmvp", _MMVP, "The butterfly's wings are closed.", "B"),
    ("mmvp", _MMVP, "A butterfly with its wings folded: the answer is B.", "B"),
    ("mmvp", _MMVP, "Closed.", "B"),
    ("mmvp", _MMVP, "<answer>Closed</answer>", "B"),
    ("mmvp", _MMVP, "The wings are neither fully open nor closed.", None),
    ("cv_bench", _CV, "The answer is (C).", "C"),
    ("cv_bench", _CV, "There is 1 organ in the image, so the answer is (C) 1.", "C"),
    ("cv_bench", _CV, "1", "C"),
    ("cv_bench", _CV, "\\boxed{1}", "C"),
    ("cv_bench", _CV, "Counting: one organ on the left. Total = 1.\n\n\\boxed{C}", "C"),
    ("cv_bench", _CV, "I count them: 1, 2. Hmm, the second is a cupboard, so only one. Answer: C", "C"),
    ("scienceqa_img", _SQA, "(B)", "B"),
    ("scienceqa_img", _SQA, "The answer is B.", "B"),
    ("scienceqa_img", _SQA, "Maine", "B"),
    ("scienceqa_img", _SQA, "Maine is farthest north.", "B"),
    ("scienceqa_img", _SQA, "To find it, compare latitudes. Louisiana is in the south. Maine is farthest north.", "B"),
    ("scienceqa_img", _SQA, "B: Maine", "B"),
    ("mme_realworld", _MME, "The best answer is: D", "D"),
    ("mme_realworld", _MME, "Based on the image, the number is 555-0148. The answer is (D).", "D"),
    ("mme_realworld", _MME, "The sign reads 555-0148.", "D"),
    ("mme_realworld", _MME, "(E) The image does not feature the phone number.", "E"),
    ("mme_realworld", _MME, "E", "E"),
    ("mme_realworld", _MME, "Careful: A and B look alike, but D has the right digits. Answer: D", "D"),
    ("mmstar", _MMSTAR, "A", "A"),
    ("mmstar", _MMSTAR, "A: surprise", "A"),
    ("mmstar", _MMSTAR, "A man with wide open eyes and mouth. He is surprised, not angry. Answer: A", "A"),
    ("mmstar", _MMSTAR, "The man shows surprise.", "A"),
    ("mmstar", _MMSTAR, "Fear and surprise look alike, but the raised brows make it surprise. \\boxed{A}", "A"),
    ("mmstar", _MMSTAR, "I cannot see a man in the image.", None),
    ("hrbench", _HR, "dark green", "B"),
    ("hrbench", _HR, "The umbrella is dark green.", "B"),
    ("hrbench", _HR, "The color of the umbrella is green.", "C"),
    ("hrbench", _HR, "\\boxed{\\text{B. dark green}}", "B"),
    ("hrbench", _HR, "It's not red. It's B.", "B"),
    ("wemath", _WE, "The side is 5 cm, so the perimeter is 4 × 5 = 20 cm.\n\n\\boxed{D}", "D"),
    ("wemath", _WE, "4 * 5 = 20, so the answer is D. 20 cm", "D"),
    ("wemath", _WE, "\\boxed{20 \\text{ cm}}", "D"),
    ("wemath", _WE, "<think>4*5=20</think> <answer>D</answer>", "D"),
    ("wemath", _WE, "None of the values fits, so E. No correct answer", "E"),
    ("wemath", _WE, "20 cm", "D"),
    ("logicvista", _LOGIC, "E", "E"),
    ("logicvista", _LOGIC, "The shapes rotate by 90 degrees, which gives figure E. \\boxed{E}", "E"),
    ("logicvista", _LOGIC, "The pattern A → B → C repeats, so the next figure is D or E.", None),
    ("logicvista", _LOGIC, "Answer: E (the triangle is shaded)", "E"),
    ("mathvista", _VISTA, "\\boxed{62^\\circ}", "B"),
    ("mathvista", _VISTA, "Angle 2 = 90° − 28° = 62°. Therefore the answer is (B) 62°.", "B"),
    ("mathvista", _VISTA, "62°", "B"),
    ("mathvista", _VISTA, "62 degrees", "B"),
    ("mathvista", _VISTA, "The measure of angle 2 is 62°.", "B"),
    ("mathvista", _VISTA, "Since the angles are complementary: 90 - 28 = 62.\nSo angle 2 is B.", "B"),
    ("mathverse", _VERSE, "Angle C = 40°, so angle CED = 180° - 40° = 140°.\n\nThe answer is \\boxed{D}", "D"),
    ("mathverse", _VERSE, "\\boxed{140^\\circ}", "D"),
    ("mathverse", _VERSE, "<think>180-80-60=40, and 180-40=140.</think>\n\\boxed{140}", "D"),
    ("mathverse", _VERSE, "D:140°", "D"),
    ("mathverse", _VERSE, "In triangle ABC, angle C is 40°. A: 40° is angle C itself. The correct choice is D.", "D"),
    # Yes and no.
    ("pope", _POPE_YES, "Yes", "yes"),
    ("pope", _POPE_YES, "Yes.", "yes"),
    ("pope", _POPE_YES, "yes, there is a snowboard leaning on the wall", "yes"),
    ("pope", _POPE_YES, "**Yes**", "yes"),
    ("pope", _POPE_YES, "<answer>Yes</answer>", "yes"),
    ("pope", _POPE_YES, "\\boxed{\\text{yes}}", "yes"),
    ("pope", _POPE_YES, "The answer is yes.", "yes"),
    ("pope", _POPE_YES, "There is a snowboard in the lower left corner.", "yes"),
    ("pope", _POPE_YES, "<think>There is no ski. But a snowboard is visible.</think>\n\nYes", "yes"),
    ("pope", _POPE_YES, "Answer: Yes", "yes"),
    ("pope", _POPE_YES, "Yes, I can see it. No skis, though.", "yes"),
    ("pope", _POPE_YES, "Let me check the image.\n\nA board stands on the left.\n\nYes", "yes"),
    ("pope", _POPE_NO, "No", "no"),
    ("pope", _POPE_NO, "No.", "no"),
    ("pope", _POPE_NO, "no, the animal is a cat", "no"),
    ("pope", _POPE_NO, "There is no dog in the image.", "no"),
    ("pope", _POPE_NO, "\\boxed{No}", "no"),
    (
        "pope",
        _POPE_NO,
        "<think>The question is whether there is a dog. Yes or no? I see a cat.</think><answer>no</answer>",
        "no",
    ),
    ("pope", _POPE_NO, "The image does not contain a dog.", "no"),
    ("pope", _POPE_NO, "No, there isn't a dog.", "no"),
    ("pope", _POPE_NO, "Final answer: **No**", "no"),
    ("pope", _POPE_NO, "I cannot tell whether there is a dog.", None),
    ("pope", _POPE_NO, "Yes or no is hard to say here.", None),
    ("pope", _POPE_NO, "", None),
    # Numbers to a precision, lists.
    ("mathvista", _AGE, "7", "right"),
    ("mathvista", _AGE, "The age gap is 7 years.", "right"),
    ("mathvista", _AGE, "\\boxed{7}", "right"),
    ("mathvista", _AGE, "<think>1944 - 1937 = 7</think>\\boxed{7 \\text{ years}}", "right"),
    ("mathvista", _AGE, "The gap is 1944 - 1937 = 7.", "right"),
    ("mathvista", _AGE, "<answer>7.0</answer>", "right"),
    ("mathvista", _AGE, "\\boxed{8}", "wrong"),
    ("mathvista", _AGE, "They were born in 1937 and 1944.", "unread"),
    ("mathvista", _AGE, "I don't know these people.", "unread"),
    ("mathvista", _AGE, "About seven years, I suppose.", "right"),
    ("mathvista", _MEAN, "The mean is 3.14", "right"),
    ("mathvista", _MEAN, "\\boxed{3.141}", "right"),
    ("mathvista", _MEAN, "\\boxed{\\frac{22}{7}}", "right"),
    ("mathvista", _MEAN, "Answer: 3.1", "wrong"),
    ("mathvista", _MEAN, "mean = 15.7 / 5 = 3.14", "right"),
    ("mathvista", _ONE, "\\boxed{1.25}", "right"),
    ("mathvista", _ONE, "\\boxed{1.20\\,\\text{m}}", "right"),
    ("mathvista", _ONE, "It is 1.2 m long.", "right"),
    ("mathvista", _ONE, "The answer is 12.", "wrong"),
    ("mathvista", _LIST, "\\boxed{[2014, 2016]}", "right"),
    ("mathvista", _LIST, "The answer is [2014, 2016].", "right"),
    ("mathvista", _LIST, "<answer>[2014, 2015]</answer>", "wrong"),
    # Mathematics.
    ("mathverse", _FORM, "The area is \\boxed{9\\pi}", "right"),
    ("mathverse", _FORM, "<think>r = 3, so the area is pi*9.</think> \\boxed{9 \\pi \\text{ cm}^2}", "right"),
    ("mathverse", _FORM, "Answer: $9\\pi$", "right"),
    ("mathverse", _FORM, "\\boxed{6\\pi}", "wrong"),
    ("mathverse", _LINE, "\\boxed{y = 2x + 3}", "right"),
    ("mathverse", _LINE, "The line is \\(y = 3 + 2x\\), so the answer is \\(y = 3 + 2x\\).", "right"),
    ("mathverse", _LINE, "\\boxed{y = 3x + 2}", "wrong"),
    ("pgps9k", _GEO, "\\boxed{24\\sqrt{2}}", "right"),
    ("pgps9k", _GEO, "y = 24\\sqrt{2} \\approx 33.94, so \\boxed{33.94}", "right"),
    ("pgps9k", _GEO, "\\boxed{34}", "right"),
    ("pgps9k", _GEO, "\\boxed{48}", "wrong"),
    ("pgps9k", _GEO, "\\boxed{24 \\times 1.4142}", "right"),
    # Wanted phrases.
    ("mmvet", _SINGLE, "x = -1 or x = -5", "unjudged"),
    ("mmvet", _SINGLE, "\\boxed{-1, -5}", "right"),
    ("mmvet", _SINGLE, "x = 3", "wrong"),
    ("mmvet", _SINGLE, "x = -5", "partial"),
    ("mmvet", _SIGN, "Stop", "right"),
    ("mmvet", _SIGN, "The sign says STOP.", "right"),
    ("mmvet", _SIGN, "It is a traffic sign with a command for drivers.", "unjudged"),
    ("mmvet", _SIGN, "The sign does not say stop.", "unjudged"),
    ("mmvet", _MEME, "It jokes that Iceland is green and Greenland icy.", "unjudged"),
    ("mmvet", _MEME, "", "unread"),
    # Covered texts.
    ("vcr_wiki", _COVERED, "the first edition of / was published in 1921", "right"),
    (
        "vcr_wiki",
        _COVERED,
        "<think>The strip hides words.</think>The covered texts are: 1. the first edition of 2. was published in 1921",
        "right",
    ),
    ("vcr_wiki", _COVERED, "\\boxed{the first edition of; was published in 1921}", "right"),
    ("vcr_wiki", _COVERED, "the first edition of the book was printed in 1921", "partial"),
    ("vcr_wiki", _COVERED, "I'm sorry, I can't read it.", "unread"),
)

CASES: tuple[Case, ...] = (
    *(Case(*one) for one in BY_HAND),
    *(case for benchmark in PROBLEMS for case in _written(benchmark)),
)
