"""Wordings of answers with their right reading: written by class, templates crossed with problems.

The right reading is what a careful person reads as the response's answer; None where the response gives none, or two.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from tests.grading.reading.crossed_wordings import crossed_wordings
from tests.grading.reading.single_wordings import rows


@dataclass(frozen=True)
class Wording:
    """One response and what a person reads in it."""

    kind: str
    """`option`, `yes_no` or `number`"""
    group: str
    """the class that it belongs to"""
    response: str
    expected: str | None
    question: str = ""
    options: Mapping[str, str] = field(default_factory=dict)


def _options(*texts: str) -> dict[str, str]:
    return dict(zip("ABCDEFG", texts, strict=False))


PROBLEMS: dict[str, tuple[str, dict[str, str], str]] = {
    # name: question, options, the letter that the written responses choose
    "material": ("What is the glove made of?", _options("rubber", "cotton", "kevlar", "leather"), "C"),
    "length": ("What is the perimeter of the square?", _options("12 cm", "16 cm", "18 cm", "20 cm"), "B"),
    "angle": ("Find the measure of angle 2.", _options("28°", "62°", "90°", "118°"), "D"),
    "box": ("Which box comes next in the sequence?", _options("", "", "", "", ""), "E"),
    "sentence": (
        "What does the test show?",
        _options(
            "how far the ball rolls on carpet",
            "whether the heavy ball rolls faster",
            "if wax makes the board slide faster",
        ),
        "A",
    ),
}
ROOT_OPTIONS = _options("5", "10", "10\\sqrt{3}", "20")
SEGMENTS = _options("AB", "AC", "BC", "BD")
RELATIONS = _options("AB = BC", "AB < BC", "AB > BC", "AB + BC = AC")
SETS = _options("Set A", "Set B", "Neither set A nor set B")
POLAR = _options("Yes", "No")
TRUTH = _options("True", "False", "Insufficient Information")
SAMPLES = _options("sample A", "sample B", "both samples", "neither sample")
SOLUTIONS = _options("Solution A", "neither; they are the same", "Solution B")

# {L} the chosen letter, {T} its text, {O} and {P} other letters, {U} the text of {O}.
SHORT = (
    "{L}", "({L})", "{L}.", "{L})", "[{L}]", "**{L}**", "**({L})**", "`{L}`", "Option {L}", "option {L}.", "Choice {L}", "{L}\n", " {L} ",
    "Answer: {L}", "answer: {L}", "ANSWER: {L}", "Answer: ({L})", "Answer - {L}", "Ans: {L}", "**Answer:** {L}", "**Answer: {L}**", "Answer:\n{L}",
    "The answer is {L}.", "The answer is ({L}).", "The answer is: {L}", "The correct answer is {L}", "The correct answer is **{L}**.",
    "The correct answer is option {L}.", "The correct option is {L}.", "The correct choice is {L}.", "The best answer is {L}.", "The right answer is {L}.",
    "The correct option letter is {L}.", "The correct option letter is: {L}", "Correct option: {L}", "Correct answer: {L}", "Correct Answer - {L}",
    "The letter of the correct option is {L}.", "The answer would be {L}.", "The answer should be {L}.", "The answer must be {L}.", "My answer is {L}.",
    "My answer: {L}", "My choice is {L}.", "Final answer: {L}", "Final Answer: ({L})", "**Final Answer:** {L}", "### Final Answer\n\n{L}", "The final answer is {L}.",
    "I choose {L}.", "I would choose {L}.", "I'd go with {L}.", "I'll go with option {L}.", "I pick {L}.", "I select option {L}.", "We choose ({L}).",
    "{L} is correct.", "{L} is the correct answer.", "Option {L} is correct.", "Option ({L}) is the right one.", "({L}) is the correct option.", "{L} is the answer.",
    "It is {L}.", "It's {L}.", "It must be {L}.", "So, {L}.", "Therefore, {L}.", "Hence ({L}).", "Thus the answer is {L}.", "So the answer is {L}.",
    "Therefore, the correct answer is {L}.", "Hence, option {L} is correct.", "Thus, ({L}) is the correct choice.", "\\boxed{{{L}}}", "$\\boxed{{{L}}}$",
    "\\boxed{{\\text{{{L}}}}}", "\\boxed{{({L})}}", "\\[\\boxed{{\\textbf{{{L}}}}}\\]", "\\boxed{{\\text{{Option }} {L}}}", "<answer>{L}</answer>", "<answer>({L})</answer>",
    "<answer> {L}. </answer>", "<think>Let me look.</think>{L}", "<think>Maybe {O}.</think>\n\n{L}", "<think>{O} looks fine at first.</think>The answer is {L}.",
    "答案是{L}", "答案：{L}", "答案为{L}。", "答案选{L}", "故选{L}。", "故选：{L}", "所以选{L}。", "正确答案是{L}。", "选{L}", "应选{L}。", "选项{L}正确。", "因此，答案是（{L}）。",
    "Sure! The answer is {L}.", "Okay, the answer is ({L}).", "{L}!", "\"{L}\"", "({L}).", "Answer is {L}", "ans. {L}", "Selected option: {L}", "My final answer is {L}.",
    "Solution: {L}", "The solution is {L}.", "The answer to this question is {L}.", "The answer to the question is option ({L}).", "Option {L}!", "It should be {L}.",
    "It has to be {L}.", "Definitely {L}.", "I believe the answer is {L}.", "I think it's {L}.", "I think the correct answer is {L}.", "Clearly, the answer is {L}.",
)  # fmt: skip
WITH_TEXT = (
    "{L}. {T}", "{L}) {T}", "({L}) {T}", "{L}: {T}", "{L} - {T}", "{L}, {T}", "**{L}. {T}**", "**({L}) {T}**", "Answer: {L}. {T}", "Answer: ({L}) {T}", "The answer is {L}. {T}",
    "The answer is ({L}) {T}.", "The correct answer is {L}: {T}.", "The correct answer is **{L}. {T}**", "\\boxed{{{L}. {T}}}", "<answer>{L}. {T}</answer>", "{T}", "{T}.", "**{T}**",
    "The answer is {T}.", "Answer: {T}", "The correct answer is **{T}**.", "<answer>{T}</answer>", "Final answer: {T}", "{T} ({L})", "The answer is {T} ({L}).", "The answer is {T}, option {L}.",
    "The answer is \"{T}\".", "So the answer is {T}.", "Therefore, the correct option is {L}) {T}.", "答案是{L}. {T}", "Option {L}: {T}", "Option {L} ({T}) is correct.", "I choose {L}, {T}.",
    "Correct option: {L}. {T}", "The best answer is {L}) {T}.",
)  # fmt: skip
ANSWER_FIRST = (
    "{L}\n\nOption {O} is wrong because it does not match the picture.", "{L}\n\nOption {O} is incorrect. Option {P} is also incorrect.", "{L}. Option {O} does not fit.",
    "({L})\n\nExplanation: {O} and {P} can be ruled out since they differ.", "The answer is {L}.\n\nOption {O} is not possible, and option {P} is too small.",
    "**{L}**\n\n- {O} is wrong: it does not match.\n- {P} is wrong: it is not shown.", "Answer: {L}\n\nReasoning: unlike {O}, it fits all of the clues.",
    "{L} is correct. {O} is not, since the picture shows something else.", "The correct answer is {L}. While {O} may look right, it is not.", "{L}, because {O} does not match the given data.",
    "{L}.\nThe reason is simple: {P} cannot be right.", "Option {L} is correct because the others do not match.\n{O} fails the second test.", "Answer: {L}. Not {O}, since that would need another picture.",
    "{L}\n\nHere is why: first, {O} has the wrong shape. Second, {P} has the wrong size.", "The answer is ({L}), not ({O}).", "The answer is {L} rather than {O}.",
    "It is {L}, not {O}.", "The correct answer is {L}.\n\nHere's why the other options are wrong:\n* {O}: this one is too far.\n* {P}: this one is not shown at all.",
)  # fmt: skip
ANSWER_LAST = (
    "Option {O} does not match the picture. Option {P} is wrong, too. So the answer is {L}.", "Let's think step by step. {O} can be excluded. {P} does not fit. Therefore, the correct answer is {L}.",
    "First I thought of {O}, but that is wrong. The answer is {L}.", "At first glance it could be {O}.\nLooking closer, the details differ.\nThe final answer is {L}.",
    "Compare {O} and {L}. Only {L} has the right shape. The answer is {L}.", "Looking at the options, {O} is too small and {P} is too large.\n\nAnswer: {L}", "We rule out {O}. We rule out {P}.\n\n{L}",
    "The picture shows a pattern.\nStep 1: look at the rows.\nStep 2: look at the columns.\n\n**Answer: {L}**", "({O}) is not right because it is turned. ({L}) is right.", "Not {O} but {L}.",
    "I considered ({O}), but the details match ({L}). So the final answer is ({L}).", "The pattern repeats every two steps, which leads to option {L}.", "This matches the description, which corresponds to option {L}.",
    "The details match, so the correct choice is ({L}).", "A close look rules {O} out. A second look confirms it: the answer is {L}.", "The answer is {O}. Wait, I misread the picture. The answer is {L}.",
    "The answer is {O}... no, actually the answer is {L}.", "Initially {O} seems right. However, on closer look, the correct answer is {L}.", "By elimination, we are left with {L}.", "This leaves only option {L}.",
    "Everything points to {L}.", "The evidence points to option {L}.", "Therefore, I would select option {L}.", "Based on the picture, option {L} is the most suitable.", "Based on this, {L} seems to be the best answer.",
    "Since the sides are equal, the answer is ({L}).\n\nI hope this helps!", "The answer is {L}.\n\nLet me know if you have any other questions.", "So it is {L}.\n\nIs there anything else I can help you with?",
    "{L}\n\nI hope this helps! Feel free to ask more.", "Sure, I can help you with that.\n\nThe correct answer is ({L}).\n\nDo you have other questions for me?", "The answer is {L}.\n\nQuestion: What is 3 + 4?\nAnswer: 7",
    "So the answer is {L}.\n\nQuestion: Which one is red?\nChoices:\n(A) one\n(B) two\n\nThe answer is {O}.",
)  # fmt: skip
WITH_TEXT_LAST = (
    "Looking at the picture, {U} is not what is shown. The answer is {T}.", "It is not {U}. Therefore, the answer is {T}.", "Let me check each one. In the end, the correct answer is {T}.\n\nI hope this helps!",
    "The correct answer is {T}, since {U} does not match.", "At first it looks like {U}, but the correct answer is {T}.",
)  # fmt: skip
NOT_READ = (
    "", " ", "...", "N/A", "\\boxed{{N/A}}", "n/a", "None", "I don't know.", "I cannot determine this from the image.", "I'm sorry, but I can't help with that.", "Sorry, I can't help with images of people yet.",
    "As an AI language model, I cannot see images.", "The image is too blurry to tell which option is right.", "It could be {O} or {L}.", "{O} or {L}", "Either {O} or {L}.", "The answer is {O} or {L}.", "\\boxed{{{O}\\text{{ or }}{L}}}",
    "I'm not sure. Maybe {O}, maybe {L}.", "<think>I look at the picture. The first candidate is {O}, the next", "The answer is {O}. The answer is {L}.", "The answer is not {O}.", "Please provide the image.", "\\boxed{{}}", "\\boxed{{", "I am unable to see the image.",
    "The question cannot be answered without the picture.", "This looks like R&D work.", "A/B testing", "It uses vitamin C and a B-spline.", "Which option is correct?", "Is it {O}? Is it {L}?", "Let me think about this carefully.", "It depends.",
    "Select from A, B, C, and D.", "The options are A, B, C and D.", "I have no idea which one is right.", "Without more information it is impossible to say.", "If the line were longer, the answer would be {O}.", "?", "-", "\\boxed{{?}}",
)  # fmt: skip


def _facts(options: Mapping[str, str], letter: str) -> dict[str, str]:
    letters = list(options)
    place = letters.index(letter)
    other, third = letters[(place + 1) % len(letters)], letters[(place + 2) % len(letters)]
    return {"L": letter, "T": options[letter], "O": other, "U": options[other], "P": third}


def option_wordings() -> Iterator[Wording]:
    """Choices: every template with every problem."""
    for question, options, letter in PROBLEMS.values():
        groups = [("short", SHORT), ("answer first", ANSWER_FIRST), ("answer last", ANSWER_LAST)]
        if options[letter]:
            groups += [("with its text", WITH_TEXT), ("text last", WITH_TEXT_LAST)]
        facts = _facts(options, letter)
        for group, templates in groups:
            for template in templates:
                yield Wording("option", group, template.format(**facts), letter, question, options)
        for template in NOT_READ:
            yield Wording("option", "nothing said", template.format(**facts), None, question, options)
        others = [a for a in options if a != letter]
        for text in (
            f"Options {', '.join(others[:-1])} and {others[-1]} are wrong.",
            f"We can rule out {', '.join(others[:-1])} and {others[-1]}.",
            " ".join(f"Option {a} is incorrect." for a in others),
            "\n".join(f"- {a} does not fit." for a in others),
            " ".join(f"It is not {a}." for a in reversed(others)),
        ):
            yield Wording("option", "ruled out", text, letter, question, options)
        if options[letter]:
            listing = "\n".join(f"({a}) {text}" for a, text in options.items())
            yield Wording("option", "listing", listing, None, question, options)
            yield Wording("option", "listing", f"{question}\n{listing}", None, question, options)
            yield Wording("option", "listing", f"{listing}\n\nThe answer is {letter}.", letter, question, options)
            yield Wording("option", "mislabelled", f"{letter}. {facts['U']}", None, question, options)
        joined = ", ".join(options)
        yield Wording("option", "set", f"\\boxed{{{joined}}}", "".join(options), question, options)


_LITERAL: tuple[tuple[str, str, dict[str, str], str, str | None], ...] = tuple(
    (group, question, options, response, expected)
    for group, question, options, rows in (
        ("value of an option", "Find x.", ROOT_OPTIONS, (
            ("x = 10\\sqrt{3}", "C"), ("$x = 10\\sqrt{3}$", "C"), ("So x = 10√3.", "C"), ("\\boxed{10\\sqrt{3}}", "C"), ("\\boxed{10 \\sqrt 3}", "C"), ("\\boxed{x=20}", "D"), ("Therefore, x is 20.", "D"),
            ("x = 2 * 5 = 10", "B"), ("The value of x is 5.", "A"), ("\\boxed{12}", None), ("x = 7", None), ("5", "A"), ("20", "D"), ("$20$", "D"), ("20.0", "D"),
        )),
        ("segments", "Which segment is the longest?", SEGMENTS, (
            ("AC", "B"), ("\\boxed{AC}", "B"), ("The answer is AC.", "B"), ("BD", "D"), ("The longest segment is AC.", "B"), ("\\boxed{\\overline{AC}}", "B"), ("Answer: BC", "C"), ("(C)", "C"), ("B", "B"),
        )),
        ("relations", "How do AB and BC compare?", RELATIONS, (
            ("AB = BC", "A"), ("AB < BC", "B"), ("\\boxed{AB > BC}", "C"), ("The answer is AB = BC.", "A"), ("$AB<BC$", "B"), ("B", "B"), ("AB + BC = AC", "D"), ("\\boxed{AB<BC}", "B"), ("AB ≤ BC", None),
        )),
        ("letters in names", "Which set does the figure belong to?", SETS, (
            ("Set A", "A"), ("Set B", "B"), ("set b", "B"), ("The figure belongs to set B.", "B"), ("It belongs to Set A.", "A"), ("Neither set A nor set B", "C"), ("Neither set A nor set B.", "C"), ("A", "A"),
            ("Therefore, the figure belongs to Set B.", "B"), ("The figure belongs to set C.", None), ("It belongs to neither set A nor set B.", "C"), ("The answer is Set B.", "B"), ("\\boxed{\\text{Set B}}", "B"),
            ("(C) Neither set A nor set B", "C"), ("B) Set B", "B"), ("B. Set A", None),
        )),
        ("letters in names", "Which solution has the higher concentration?", SOLUTIONS, (
            ("Solution A", "A"), ("Solution B", "C"), ("Solution B has the higher concentration.", "C"), ("neither; they are the same", "B"), ("The answer is Solution B.", "C"), ("C", "C"), ("B", "B"), ("\\boxed{\\text{Solution B}}", "C"),
            ("C. Solution B", "C"), ("(C) Solution B", "C"), ("The answer is C. Solution B", "C"),
        )),
        ("letters in names", "Which sample has the higher temperature?", SAMPLES, (
            ("sample A", "A"), ("Sample B", "B"), ("The particles of sample B move faster. The answer is sample B.", "B"), ("both samples", "C"), ("neither sample", "D"), ("Sample A has the higher temperature.", "A"), ("C", "C"),
        )),
        ("yes and no as options", "Is the red bar longer than the blue bar?", POLAR, (
            ("Yes", "A"), ("No", "B"), ("yes", "A"), ("No.", "B"), ("Yes, it is.", "A"), ("No, it is not longer.", "B"), ("No, it isn't.", "B"), ("Yes, the red bar is longer.", "A"), ("The answer is yes.", "A"), ("The answer is No.", "B"),
            ("A", "A"), ("B", "B"), ("(B) No", "B"), ("A (Yes)", "A"), ("The answer is A (Yes).", "A"), ("\\boxed{\\text{No}}", "B"), ("\\boxed{Yes}", "A"), ("Nope.", "B"), ("Yep.", "A"), ("Based on the chart, the answer is: B (No)", "B"),
            ("The red bar is 5 and the blue bar is 7. So the answer is no.", "B"), ("Yes or no? I cannot tell.", None), ("I cannot tell from the image.", None), ("I can't process this file.", None), ("是", "A"), ("Therefore, the answer is B (no).", "B"),
            ("It is not true that the red bar is longer.", "B"), ("Sorry, I can't help with images of people yet.", None),
        )),
        ("true and false as options", "The watch shows 15:40.", TRUTH, (
            ("True", "A"), ("False", "B"), ("The statement is true.", "A"), ("The statement is false.", "B"), ("Insufficient Information", "C"), ("There is insufficient information.", "C"), ("The answer is False.", "B"), ("B. False", "B"), ("A) True", "A"),
            ("The statement is true.\n\nThe watch shows the time as 15:40.", "A"), ("I cannot see the image you provided.", None), ("It cannot be determined from the information given.", "C"), ("\\boxed{\\text{True}}", "A"), ("(C) Insufficient Information", "C"),
        )),
        ("answer mark", "Which is next?", PROBLEMS["box"][1], (
            ("A: The correct option letter is D.", "D"), ("A: D", "D"), ("The next box is E.", "E"), ("Box C comes next.", "C"), ("B and D", "BD"), ("B, D", "BD"), ("BD", "BD"), ("(B), (D)", "BD"), ("B & D", "BD"), ("The answers are B and D.", "BD"),
            ("\\boxed{B, D}", "BD"), ("The correct options are A and C.", "AC"), ("Options A and C are correct.", "AC"), ("Ｂ", "B"), ("（Ｂ）", "B"), ("答案：Ｃ", "C"), ("【答案】D", "D"), ("b", "B"), ("(b)", "B"), ("b)", "B"), ("option b", "B"),
            ("1. A\n2. B\n3. C", None), ("A. B. C. D. E.", None), ("(A) (B) (C) (D) (E)", None), ("The boxes are labeled A, B, C, D, and E.", None), ("A dog is shown.", None), ("I see a pattern.", None), ("Plan B is better than plan A in general.", None),
            ("The correct answer is not A.", None), ("The answer: E", "E"), ("Answer : E", "E"), ("answer=E", "E"), ("Answer → E", "E"), ("=> E", "E"), ("E ✓", "E"), ("The figure that completes the series is C.", "C"), ("So the correct figure is (D).", "D"),
        )),
    )
    for response, expected in rows
)  # fmt: skip


def literal_wordings() -> Iterator[Wording]:
    """Choices whose class lies in the options themselves."""
    for group, question, options, response, expected in _LITERAL:
        yield Wording("option", group, response, expected, question, options)


THINGS = (("dog", "cat"), ("traffic light", "bus"), ("person", "bicycle"), ("knife", "spoon"))
# {X} what is asked about, {Y} another thing.
SAYS_YES = (
    "Yes", "yes", "YES", "Yes.", "Yes!", "**Yes**", "Yep", "Yep.", "Yeah", "Yes, there is.", "Yes, there is a {X} in the image.", "Yes, I can see a {X}.", "Yes. The {X} is on the left.", "The answer is yes.", "Answer: Yes", "answer: yes",
    "Final answer: yes", "\\boxed{{yes}}", "\\boxed{{\\text{{Yes}}}}", "<answer>Yes</answer>", "<think>Let me look.</think>Yes", "There is a {X} in the image.", "There's a {X} on the left.", "I can see a {X} in the picture.", "I see a {X} next to the {Y}.",
    "The image shows a {X}.", "The image contains a {X}.", "A {X} is visible in the background.", "A {X} can be seen on the right.", "There is a {X}, but no {Y}.", "There is no {Y}, but there is a {X}.", "There is a {X} and a {Y} in the image.",
    "Looking at the image, I can see a {X}. So the answer is yes.", "It is true that there is a {X} in the image.", "It is not true that there is no {X}.", "Indeed, there is a {X}.", "Affirmative.", "Correct.", "是", "是的", "是的，图中有。", "有", "Yes, but it is small.",
    "Certainly, yes.", "Absolutely.", "Yes\n\nThe {X} stands near the {Y}. There is no other one.", "Yes, I can see it. No {Y}, though.", "I believe the answer is yes.", "So, yes.", "In the image there is a {X} on the table.", "Yes, there appears to be a {X}.",
)  # fmt: skip
SAYS_NO = (
    "No", "no", "NO", "No.", "No!", "**No**", "Nope", "Nope.", "No, there is not.", "No, there isn't.", "No, there is no {X} in the image.", "No, I don't see a {X}.", "No. Only a {Y} is visible.", "The answer is no.", "Answer: No", "answer: no", "Final answer: no",
    "\\boxed{{no}}", "\\boxed{{\\text{{No}}}}", "<answer>No</answer>", "<think>Let me look.</think>No", "There is no {X} in the image.", "There isn't a {X} in the picture.", "There is not a {X}.", "I don't see a {X}.", "I do not see any {X} in the image.",
    "I cannot see a {X} in the image.", "I can't find a {X}.", "The image does not show a {X}.", "The image doesn't contain a {X}.", "No {X} is visible.", "No {X} can be seen in the image.", "There is a {Y}, but no {X}.", "There is no {X}, but there is a {Y}.",
    "There is no {X} and no {Y}.", "Neither a {X} nor a {Y} is visible.", "It is not true that there is a {X} in the image.", "It is false that there is a {X}.", "That is not correct.", "It is not the case that there is a {X}.", "Negative.", "否", "不是", "没有", "没有，图中没有。",
    "Looking closely, there is only a {Y}. So the answer is no.", "A {X} is not visible.", "The {X} is not present.", "I believe the answer is no.", "So, no.", "No\n\nThe image shows a {Y}. There is nothing else.", "There are no signs of a {X} here.", "I see a {Y} but I do not see a {X}.",
)  # fmt: skip
SAYS_NEITHER = (
    "", "...", "Yes or no", "Yes and no.", "I don't know.", "I'm not sure.", "It might be a {X}.", "I cannot tell whether there is a {X}.", "It is unclear.", "As an AI, I cannot see images.", "I'm sorry, I can't help with that.", "N/A", "\\boxed{{N/A}}",
    "The image shows a {Y}.", "Maybe.", "Possibly a {X}.", "<think>Is there a {X}? I see", "Yes... The answer is no.", "The answer is yes. The answer is no.", "No doubt this is hard to tell.", "Is there a {X}?", "There could be a {X}.", "I cannot determine this.",
)  # fmt: skip


def yes_no_wordings() -> Iterator[Wording]:
    """Yes and no: every template with every pair of things."""
    for thing, other in THINGS:
        question = f"Is there a {thing} in the image?"
        for group, templates, expected in (
            ("yes", SAYS_YES, "yes"),
            ("no", SAYS_NO, "no"),
            ("neither", SAYS_NEITHER, None),
        ):
            for template in templates:
                yield Wording("yes_no", group, template.format(X=thing, Y=other), expected, question)


NUMBER_PROBLEMS = (
    # question, value, unit, another number
    ("How many bars have a value below 40?", "3", "bars", "40"),
    ("What is the perimeter of the rectangle?", "18", "cm", "6"),
    ("How many objects are left?", "12", "objects", "5"),
    ("What is the mean of the numbers?", "3.14", "", "9"),
)
# {N} the number, {U} its unit (or nothing), {O} another number, {Q} a phrase of the question.
NUMBERS = (
    "{N}", "{N}.", "{N} {U}", "**{N}**", "**{N} {U}**", "${N}$", "\\boxed{{{N}}}", "$\\boxed{{{N}}}$", "\\boxed{{{N}\\text{{ {U}}}}}", "<answer>{N}</answer>", "<think>{O}?</think>{N}", "Answer: {N}", "answer: {N} {U}", "The answer is {N}.", "The answer is {N} {U}.",
    "The answer is: {N}", "Final answer: {N}", "**Final Answer:** {N}", "The final answer is ${N}$.", "The correct answer is {N}.", "#### {N}", "答案是{N}", "答案：{N}。", "x = {N}", "The result is {N}.", "It is {N}.", "= {N}", "So the answer is {N}.",
    "Therefore, the answer is {N}.", "{Q} is {N}.", "{Q} is {N} {U}.", "{Q} is **{N}**.", "{Q} is **{N} {U}**.", "{Q} equals {N}.", "{Q} is about {N}.", "{Q} = {N}", "{Q}: {N}", "So {q} is {N}.", "Therefore, {q} is {N} {U}.", "Hence, {q} is {N}.",
    "Thus, {q} is **{N} {U}**.", "{Q} is {N}.\n\nI hope this helps!", "{Q} is {N}.\n\nLet me know if you have any other questions.", "{Q} is **{N}**.\n\nIs there anything else I can help you with?", "Sure, I can help with that.\n\n{Q} is {N}.",
    "We look at the picture. First we find {O}. Then we go on.\n\nTherefore, {q} is {N}.", "Step 1: read the picture.\nStep 2: compute.\n\nSo {q} is {N}.", "The computation gives {O} + 1, and so on.\nAnswer: {N}", "{Q} is {N}.\n\nTo see this, look at the picture closely.",
    "The answer is {N}.\n\nQuestion: What is 7 + 8?\nAnswer: 15", "First, {O}. Hmm, that is wrong. The final answer is {N}.", "The final value is: {N}", "{Q} is therefore {N}.", "So we get {N}.", "Total: {N}", "The total is {N}.", "I found that {q} is {N}.", "After counting, {q} is {N}.",
)  # fmt: skip
NO_NUMBER = (
    "", "I don't know.", "I cannot determine the value.", "N/A", "\\boxed{{N/A}}", "It is either {N} or {O}.", "{N} or {O}", "The answer is {N} or {O}.", "Sorry, I can't help with that.", "Between {O} and {N}.", "<think>maybe {N}", "There is not enough information.",
    "The value does not exist.", "\\boxed{{}}", "none of these", "As an AI, I cannot see images.", "The image is too blurry.", "Please provide the image.", "The answer is {O}. The answer is {N}.", "What is the value?",
)  # fmt: skip
_PHRASES = {
    NUMBER_PROBLEMS[0][0]: "The number of bars with a value below 40",
    NUMBER_PROBLEMS[1][0]: "The perimeter of the rectangle",
    NUMBER_PROBLEMS[2][0]: "The number of objects left",
    NUMBER_PROBLEMS[3][0]: "The mean of the numbers",
}
_COUNT_ROWS = (
    ("How many bars have a value below 40?", "There are 3 bars with a value below 40.", "3"),
    ("How many bars have a value below 40?", "There are three bars with values below 40.", "3"),
    ("How many bars have a value below 40?", "Three bars have a value below 40.", "3"),
    ("How many bars have a value smaller than 0?", "Two bars are smaller than 0.", "2"),
    ("How many bars have a value smaller than 0?", "There are two bars with values smaller than 0.", "2"),
    ("How many bars have a value larger than 4?", "There are no bars with a value larger than 4.", "0"),
    ("How many dogs are there?", "Three", "3"),
    ("How many dogs are there?", "three.", "3"),
    ("How many dogs are there?", "There is one dog.", "1"),
    ("How many dogs are there?", "Only one.", "1"),
    ("How many dogs are there?", "None.", "0"),
    ("How many dogs are there?", "There are no dogs.", "0"),
    ("How many dogs are there?", "Zero.", "0"),
    ("How many dogs are there?", "I count twelve dogs in the image.", "12"),
    ("How many dogs are there?", "There are twenty-five dogs.", "25"),
    ("How many dogs are there?", "The image shows a dozen dogs.", "12"),
    ("How many dogs are there?", "图中有三只狗。", "3"),
    ("How many dogs are there?", "There are 4 dogs and 2 cats.", "4"),
    ("How many dogs are there?", "There are 2 cats and 4 dogs.", "4"),
    ("What is the value of f(4)?", "The value of f(4) is 16.", "16"),
    ("What is the value of f(4)?", "f(4) = 16", "16"),
    ("In which year was the rate highest?", "The rate was highest in 2019, with 25.8%.", "2019"),
    ("In which year was the rate highest?", "The year 2019 had the highest rate, 25.8%.", "2019"),
    ("In which year was the rate highest?", "The highest rate, 25.8%, was reached in 2019.", "2019"),
    ("In which week is the increase highest?", "The increase is highest in week 3.", "3"),
    ("What is the difference?", "The highest value is 89% and the lowest is 25%. So the difference is 89 - 25 = **64%**.", "64"),
    ("What is the perimeter?", "The perimeter is 3 + 3 + 3 = 9 yards.", "9"),
    ("What is the perimeter?", "The perimeter is 2 * (1 + 2) = 2 * 3 = 6 yards.", "6"),
    ("What is the age gap between these two people? (Unit: years)", "About seven years.", "7"),
    ("What is the age gap between these two people? (Unit: years)", "The age gap between these two people is 7 years.", "7"),
    ("What is the age gap between these two people? (Unit: years)", "I see two people, but I cannot tell their ages.", None),
    ("How fast is it?", "5 per minute", "5"),
    ("How much does it cost? (Unit: $)", "It costs $17 - $12 = $5.", "5"),
    ("How much does it cost? (Unit: $)", "$5", "5"),
    ("How much does it cost? (Unit: $)", "She will pay $1,250.50.", "1250.5"),
    ("What is the length to the nearest inch?", "The nail is about **2 inches** long.", "2"),
    ("What is the length to the nearest inch?", "The nail is about 2 inches long.\n\nDo you want to measure the length in centimeters?", "2"),
    ("What is the velocity?", "Therefore, the velocity is **-130 km/h**.", "-130"),
    ("What is the share?", "１２％", "12"),
    ("What is the share?", "1/4", "0.25"),
    ("What is the share?", "\\boxed{\\frac{1}{4}}", "0.25"),
    ("What is the share?", "The share is one quarter or one half.", None),
    ("What is the total?", "The total is 1.5 million.", "1500000"),
)  # fmt: skip


def number_wordings() -> Iterator[Wording]:
    """Numbers: every template with every problem, and sentences with several numbers in them."""
    for question, value, unit, other in NUMBER_PROBLEMS:
        phrase = _PHRASES[question]
        facts = {"N": value, "U": unit, "O": other, "Q": phrase, "q": phrase[0].lower() + phrase[1:]}
        for template in NUMBERS:
            yield Wording("number", "one number", template.format(**facts), value, question)
        for template in NO_NUMBER:
            yield Wording("number", "no number", template.format(**facts), None, question)
    for question, response, expected in _COUNT_ROWS:
        yield Wording("number", "numbers in a sentence", response, expected, question)


def single_wordings() -> Iterator[Wording]:
    """Wordings that are no template's."""
    for kind, group, response, expected, question, options in rows():
        yield Wording(kind, group, response, expected, question, options)


def crossed() -> Iterator[Wording]:
    """Wordings of `crossed_wordings.py`."""
    for row in crossed_wordings():
        yield Wording(*row)


def all_wordings() -> list[Wording]:
    """The whole corpus, without repeats."""
    seen: dict[tuple[str, ...], Wording] = {}
    for source in (
        option_wordings(),
        literal_wordings(),
        yes_no_wordings(),
        number_wordings(),
        crossed(),
        single_wordings(),
    ):
        for wording in source:
            key = (wording.kind, wording.response, wording.question, *wording.options.values())
            seen.setdefault(key, wording)
    return list(seen.values())
