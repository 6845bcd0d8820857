"""More wordings by class, every template crossed with every problem of its kind.

Most were written as batches that the rules had not been tried on: answers first and last, options ruled out one by one,
corrections, formats, relations said from the other side, things that are elsewhere, numbers in words.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

Row = tuple[str, str, str, str | None, str, Mapping[str, str]]
"""kind, class, response, what a person reads, question, options"""


def _options(*texts: str) -> dict[str, str]:
    return dict(zip("ABCDEFGH", texts, strict=False))


CHOICES: tuple[tuple[str, dict[str, str], str], ...] = (
    ("Which country is highlighted on the map?", _options("Chile", "Peru", "Bolivia", "Ecuador"), "B"),
    ("What material is the bridge made of?", _options("wood", "steel", "stone", "concrete", "rope"), "C"),
    ("Which planet is shown?", _options("Mars", "Venus", "Saturn", "Jupiter"), "C"),
    ("Which instrument is playing?", _options("violin", "flute", "trumpet"), "C"),
)
# {L} the chosen letter, {T} its text, {O}, {P} other letters, {U}, {V} their texts, {X} and {Y} all others, as letters and texts.
CHOSEN: dict[str, tuple[str, ...]] = {
    "answer first": (
        "{L}\n\nThe details are those of {T}; {U} ({O}) would look different.", "{T}.\n\n{U} is larger, and {V} does not look like this.", "{L} — the details match.", "{L}. Note that {P} is close to it.",
        "**{L}) {T}**\n\nWhy not the others:\n{bullets}", "Short answer: {L}.\n\nLong answer: if you compare it with {O}, the shape is much shorter.", "({L})\nI compared it with {O} and {P} first.", "My pick: {L}. Runner-up: {O}.",
        "{L}, {T}; {O} and {P} came much later.", "I'd answer {L}. Although {P} looks similar, the details give it away.", "The correct letter is {L}; {X} are distractors.", "{L}: {T}. (See also {O}: {U}, which looks alike.)",
        "{T}!\nNot {U}, because the details differ.", "Answer: **{L}) {T}** (not {O}) {U})", "{L}\n{verdicts}", "The answer is {L}. I double-checked {P}, and it does not fit.",
    ),
    "answer last": (
        "What remains is {L}.", "{U} would be much larger, so it must be {T}.", "Going through them: {O} no, {P} no. Hence {L}.", "The first one that fits is {T}. So the answer: {L} ({T})", "...which gives us answer choice {L}",
        "After comparing the details, I am confident in {L}.", "I first suspected {U}, however the size is wrong for that; {T} it is.", "{O} was my first thought, yet {L} it must be.", "So the answer to the question \"{Q}\" is {L}.",
        "To answer this, look at the details.\n\nThe details are clear.\n\nThus: {L}", "For these reasons, I choose option ({L}).", "Ergo ({L}).", "Which leaves {L}", "The answer that best fits is {L}", "The answer is therefore ({L}) {T}. Thank you!",
        "The picture looks a bit like {U}. Still, the details differ. That is {T}.", "In summary, the correct answer is option {L}: {T}.", "The picture matches description {L}.", "First I looked at {U}. It is {T}.",
    ),
    "ruled out one by one": (
        "It's neither {U} ({O}) nor {V} ({P}), so it's ({L}).", "All options except {L} can be excluded.", "None but {L} fits.", "Everything other than {L} is wrong.", "{marks}", "{verdict_lines}", "{true_false}", "Not {O}, {L}.", "{O}? No: {L}.",
        "Cross out {X}.", "{X} are all out.",
    ),
    "corrections": (
        "The answer is {O}. Hmm, let me look again. The details differ. The answer is {L}.", "{O}. Actually, scratch that: {L}.", "I think {O}... no, {L}.", "Answer: {O}\nCorrected answer: {L}", "My initial answer of {O} was wrong. It is {L}.",
        "The answer is {O}. Correction: {L}.", "The answer is {O}. On reflection, {L}.", "Sorry, I made a mistake. The right answer is {L} instead of {O}.", "The answer is {O}. Oops, I meant {L}.", "Not sure, but {L}.", "Correction: the answer is {L}, not {O}.",
    ),
    "forms": (
        "{{\"answer\": \"{L}\"}}", "```json\n{{\"answer\": \"{L}\", \"explanation\": \"not {O} since the shape differs\"}}\n```", "{{'answer': '{T}'}}", "<answer>\n{L}\n</answer>", "<think>{O}? no.</think><answer>({L}) {T}</answer>", "$\\boxed{{\\text{{{L}) {T}}}}}$",
        "\\boxed{{\\mathbf{{{L}}}}}", "\\(\\boxed{{{L}}}\\)", "$$\\text{{Answer: }} {L}$$", "\\text{{({L})}}", "***{L}***", "__{L}__", "> {L}", "- {L}", "Answer = {L}", "Correct choice → {L}", "The answer is **{L}**.<|im_end|>", "{L}</s>", "{L}<|eot_id|>", "【答案】{L}",
        "<option>{L}</option>", "<final>{L}</final>", "<final_answer>{L}</final_answer>", "<|begin_of_box|>{L}<|end_of_box|>", "[\"{L}\"]", "\\fbox{{{L}}}", "# {L}", "Ans.: ({L})", "ASSISTANT: The answer is {L}.", "{L}．{T}", "{L}、{T}",
        "故选{L}", "因此{L}", "综上所述，答案为（{L}）。", "{O}不对，{P}不对，因此{L}", "正解は{L}です。", "La réponse est {L}.", "Die richtige Antwort ist {L}.", "La respuesta correcta es ({L}).", "Final answer is ({L}) {T}", "Answer: {L}\nConfidence: 90%", "{L}。因为细节一致", "{{\"final_answer\": \"{L}\"}}", "{L} -> {T}", "答：{L}",
    ),
}  # fmt: skip
NOT_CHOSEN = (
    "It is not {U}.", "It is not made of {U}.", "It could be {T}, or possibly {U}.", "None of the options is shown.", "We need to choose between {texts}.", "{{\"answer\": null}}", "<answer></answer>", "Answer:", "The answer is one of {letters}.", "Z", "nan",
    "{U} and {V} look alike.", "Error: image not found", "{T} or {U}", "Both {L} and {O} could be right.", "\\boxed{{letter}}", "<answer>option letter</answer>", "Plan B was never needed.", "I'm torn between {L} and {O}.", "{O} and {P} are related.", "Options: {texts}",
    "Neither of us can see it.", "Let me think about each of the options in turn.",
)  # fmt: skip


def _choice_facts(question: str, options: Mapping[str, str], letter: str) -> dict[str, str]:
    others = [one for one in options if one != letter]

    def verdict(letter_of: str, yes: str, no: str) -> str:
        return yes if letter_of == letter else no

    return {
        "Q": question,
        "L": letter,
        "T": options[letter],
        "O": others[0],
        "P": others[1],
        "U": options[others[0]],
        "V": options[others[1]],
        "X": ", ".join(others[:-1]) + f" and {others[-1]}",
        "letters": ", ".join(options),
        "texts": ", ".join(options.values()),
        "bullets": "\n".join(f"- {one}) {options[one]} looks different" for one in others),
        "verdicts": "\n".join(f"{one}: no" for one in others),
        "marks": "\n".join(f"{one} {verdict(one, '✓', '✗')}" for one in options),
        "verdict_lines": "\n".join(f"{one}. {verdict(one, 'Correct', 'Incorrect')}." for one in options),
        "true_false": " ".join(f"({one}) {verdict(one, 'True', 'False')}" for one in options),
    }


RELATIONS = (
    # question, the first and the second thing as formulas and in words
    ("How do x and y compare?", "x", "y", "x", "y"),
    ("Which statement about the angles is true?", "∠1", "∠2", "angle 1", "angle 2"),
    ("How do AB and CD compare?", "AB", "CD", "AB", "CD"),
    ("Compare the areas.", "2a", "b", "2a", "b"),
)
SIGNS = (">", "<", "=", "\\geq")
RELATED: tuple[tuple[str, str | None], ...] = (
    ("{l} > {r}", "A"), ("{r} > {l}", "B"), ("{r} < {l}", "A"), ("{r} = {l}", "C"), ("{l} ≥ {r}", "D"), ("{l} \\ge {r}", "D"), ("\\boxed{{{l} \\geq {r}}}", "D"), ("{r} ≤ {l}", "D"), ("{L} is greater than {R}", "A"), ("{L} is less than {R}.", "B"), ("{L} equals {R}.", "C"),
    ("{L} is equal to {R}", "C"), ("{L} is greater than or equal to {R}", "D"), ("The answer is ${l} < {r}$.", "B"), ("{l} ≠ {r}", None), ("{l} ≤ {r}", None),
)  # fmt: skip
PLACES = (
    # thing, another thing, its place, another place
    ("cat", "dog", "sofa", "floor"),
    ("clock", "poster", "wall", "table"),
    ("book", "lamp", "desk", "shelf"),
)
PLACED: tuple[tuple[str, str | None], ...] = (
    ("Without a doubt there is a {x} on the {p}.", "yes"), ("Not a single {x} is visible.", "no"), ("A man is holding a {x}.", "yes"), ("There is a {x}, but it is on the {q}.", "no"), ("Only a {y} is on the {p}.", "no"), ("The {p} is empty.", "no"),
    ("Both a {x} and a {y} are on the {p}.", "yes"), ("The answer is not yes.", "no"), ("The answer isn't no.", "yes"), ("There is a {y} and no {x}.", "no"), ("There is no {y} but there is a {x}.", "yes"), ("I don't see a {y}, but I see a {x}.", "yes"), ("No {x}. Only a {y}.", "no"),
    ("There is a {x} on the {p}.", "yes"), ("There is a {y} on the {p}, not a {x}.", "no"), ("I cannot tell whether there is a {x}.", None), ("The {p} is brown.", None), ("Yes and no.", None), ("It is not the case that there is a {x} on the {p}.", "no"), ("I see no {x} anywhere.", "no"),
    ("There is undoubtedly a {x} on the {p}.", "yes"), ("{{\"answer\": \"no\"}}", "no"), ("Is there a {x} on the {p}?", None), ("Of course not.", "no"), ("There's only a {y} on the {p}.", "no"), ("Nothing is on the {p}.", "no"), ("It looks like it.", "yes"), ("A {y} is on the {p}, not a {x}.", "no"),
)  # fmt: skip
COUNTED = (
    # thing counted, another thing, both together
    ("apples", "oranges", "fruits"),
    ("dogs", "cats", "animals"),
    ("circles", "squares", "shapes"),
)
COUNTS: tuple[tuple[str, str | None], ...] = (
    ("There are 6 {z}: 4 {x} and 2 {y}.", "4"), ("4 {x} and 2 {y}, 6 {z}.", "4"), ("a pair of {x}", "2"), ("There aren't any {x}.", "0"), ("I don't see any {x}.", "0"), ("There are two dozen {x}.", "24"), ("half a dozen {x}", "6"), ("十二", "12"), ("二十四个", "24"), ("一百零五个", "105"),
    ("答案是三十六。", "36"), ("4 or so", "4"), ("2(1+1) = 4", "4"), ("Adding 1 (left) and 3 (right) gives 4.", "4"), ("There are 4 {x} and 6 {y}.", "4"), ("12:30", None), ("√16", None), ("10²", None), ("not 6 but 4", "4"), ("4 {x}, not 6.", "4"), ("3 or 4 {x}", None), ("4<|im_end|>", "4"),
)  # fmt: skip
MEASURED = (
    ("What is the total length of the fence in metres?", "metres"),
    ("What is the average speed in km/h?", "km/h"),
    ("What is the mass of the box in kg?", "kg"),
)
MEASURES: tuple[tuple[str, str | None], ...] = (
    ("seventy-two point five", "72.5"), ("seventy-two point five {u}", "72.5"), ("72.5 {u}</s>", "72.5"), ("145/2 = 72.5 {u}", "72.5"), ("2(30+6.25) = 72.5", "72.5"), ("七十二点五", "72.5"), ("It is two dozen {u}.", "24"), ("12:30", None), ("8π", None), ("3√2", None),
)  # fmt: skip


def crossed_wordings() -> Iterator[Row]:
    """All of them."""
    for question, options, letter in CHOICES:
        facts = _choice_facts(question, options, letter)
        for group, templates in CHOSEN.items():
            for template in templates:
                yield "option", f"{group}, crossed", template.format(**facts), letter, question, options
        for template in NOT_CHOSEN:
            yield "option", "nothing said, crossed", template.format(**facts), None, question, options
    for question, left, right, left_words, right_words in RELATIONS:
        options = _options(*(f"{left} {sign} {right}" for sign in SIGNS))
        for template, expected in RELATED:
            response = template.format(l=left, r=right, L=left_words, R=right_words)
            yield "option", "relations, crossed", response, expected, question, options
    for thing, other, place, elsewhere in PLACES:
        question = f"Is there a {thing} on the {place}?"
        for template, expected in PLACED:
            response = template.format(x=thing, y=other, p=place, q=elsewhere)
            yield "yes_no", "things and places, crossed", response, expected, question, {}
    for thing, other, both in COUNTED:
        for template, expected in COUNTS:
            response = template.format(x=thing, y=other, z=both)
            yield "number", "counts, crossed", response, expected, f"How many {thing} are on the table?", {}
    for question, unit in MEASURED:
        for template, expected in MEASURES:
            yield "number", "measures, crossed", template.format(u=unit), expected, question, {}
