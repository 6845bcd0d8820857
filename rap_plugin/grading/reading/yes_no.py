"""Did a response say yes or no?"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

from rap_plugin.grading.reading.answers import find_marked, find_phrases
from rap_plugin.grading.reading.base import Reading, contradictory, never_raises, read, unread
from rap_plugin.grading.reading.body import body_span, cut_box
from rap_plugin.grading.reading.plain import Sentence, plain_text, sentences

Word = Literal["yes", "no"]

_YES = (
    r"(?:yes|yep|yeah|yup|yea|aye|affirmative|absolutely|certainly|definitely|indeed|of course|correct|true|right|sure)"
)
_NO = r"(?:no|nope|nah|nay|negative|false|incorrect|wrong|not really|not at all|not that i|not visible|not present|not shown|absolutely not|definitely not|certainly not|of course not)"
_LEAD = re.compile(
    rf"[\W_]{{0,40}}(?:(?:the |my )?(?:final |correct |short )?answer(?: here| to (?:this|the|your) question)?\s*(?:is|:|=|would be|must be|should be)\s*"
    rf"(?:therefore |clearly |a |an |simply |definitely )?|(?:well|so|therefore|thus|hence|okay|ok|hmm|final|conclusion|verdict|statement)\s?[,:]\s*"
    rf"|(?:i (?:would|'d) say|it is|it's|that is|that's|this is|the statement is|i think|i believe)\s+)?[\W_]{{0,40}}"
    rf"(?:(?P<no>{_NO})|(?P<yes>{_YES}))(?![\w-])(?!\s+(?:or|and|/)\s+(?:yes|no)\b)(?!\s*/)",
    re.IGNORECASE,
)
_NOT_A_VERDICT = re.compile(
    r"\W*(?:no (?:doubt|question|problem|idea|clue|matter|information|way to|answer|worries|need)|yes (?:or|and|/) no|no (?:or|and|/) yes"
    r"|right (?:now|hand|side|of|next|in|here|there|away|behind|above|below|corner|angle)|correct (?:me|answer|option)|sure, (?:i|let|here)|true (?:north|or)"
    r"|true/|yes/|no/|no\.\s?\d|certainly!? (?:i|let|here)|of course!? (?:i|let|here)|absolutely!? (?:i|let|here)|wrong (?:way|side))",
    re.IGNORECASE,
)
_CHINESE = re.compile(
    r"^\W{0,40}(?:(?:答案|回答|所以|因此)\s*[:,是为]*\s*)?(?:(?P<no>否|不是|没有|沒有|不对|不正确|错|无|不存在|不能|并没有|不)|(?P<yes>是的?|有|对|正确|存在|可以))(?=\W|$|图|圖|这|在|片|只|一|任何)"
)
_CHINESE_NONE = re.compile(r"(?:没有|沒有|不存在|看不到|并无|不包含)")
_CHINESE_SOME = re.compile(r"(?:图中|图片中|图像中|画面中)?(?:有|存在|可以看到|包含)(?:一|两|几|多|人|\w)")
_SHORT: dict[Word, re.Pattern[str]] = {
    "yes": re.compile(
        r"\W*(?:y|it is|it does|they (?:are|do)|there (?:is|are)|i do|it has|they have)(?:,[^,]{0,60})?\W*",
        re.IGNORECASE,
    ),
    "no": re.compile(
        r"\W*(?:n|none|(?:it|that|this)(?:'s| is| does| has)? ?(?:not|n't)(?: there)?|it (?:isn't|doesn't|hasn't)|they (?:aren't|don't|are not)"
        r"|there (?:isn't|aren't|is not|are not|is none|are none)(?: any| one)?|i (?:don't|do not))\W*",
        re.IGNORECASE,
    ),
}
_WORD = re.compile(r"(?<![\w-])(yes|no)(?![\w-])(?!\s+(?:doubt|question|problem|matter|idea)\b)", re.IGNORECASE)
_QUOTED = re.compile(
    r"\b(?:answer|answer is|say|response:?|conclude|reply)\s*[:\"'(]*\s*(yes|no)\b(?!\s+(?:\w+\s+)?(?:is|are|was|were|can|visible)\b)(?!\s+\w+\s+(?:in|on)\b)",
    re.IGNORECASE,
)
_FINAL = re.compile(
    r"\b(?:so|therefore|thus|hence|finally|final|conclu\w+|overall|in summary|actually|wait|instead)\b", re.IGNORECASE
)
_BLIND = re.compile(
    r"\b(?:can't|cannot|can not|unable to|couldn't|could not|don't|do not|not able to)\s+(?:\w+\s+){0,2}?(?:see|view|access|open|process|analy[sz]e|display)"
    r"\s+(?:\w+\s+){0,2}?(?:image|picture|photo|file|attachment|video)s?\b(?!\s+of)|\b(?:as an ai|language model|sorry|i apologi[sz]e|can't help)\b",
    re.IGNORECASE,
)
_UNSURE = re.compile(
    r"\b(?:not sure|unsure|unclear|hard to|difficult to|impossible to|whether|might|may|maybe|perhaps|possibly|could be|could have|depends"
    r"|cannot (?:determine|tell|say|confirm|answer|be determined|be sure)|can't (?:determine|tell|say|confirm|answer|be determined)"
    r"|can not (?:determine|tell|say)|unable to (?:determine|tell|say|confirm|answer)|not (?:enough|possible)|insufficient|either|yes or no|no idea|if)\b"
    r"|\?\W{0,20}$",
    re.IGNORECASE,
)
_DENIAL = re.compile(
    r"\b(?:it (?:is|was)(?:n't| not)|that(?: is|'s)(?:n't| not)|it's not|this is(?:n't| not)|the (?:statement|claim) (?:is|that)(?:n't| not)?|not)\s+"
    r"(?:true|correct|accurate|right|the case|so)\b(?:\s+that\b)?"
    r"|\b(?:it is|it's|that is|that's|this is|the statement is|the claim is)\s+(?:\w+ly\s+)?(?:false|incorrect|wrong|untrue|inaccurate)\b(?:\s+that\b|\s+to say\b(?:\s+that\b)?)?",
    re.IGNORECASE,
)
_CALLED = re.compile(
    r"\b(?:statement|claim|answer|it|this|that|sentence|assertion)\b[^.]{0,80}?\b(?:is|was|must be|should be)\s+(?:\w+ly\s+|therefore\s+|thus\s+)?"
    r"(true|false|correct|incorrect|wrong|right)\b",
    re.IGNORECASE,
)
_NEGATIVE = re.compile(
    r"\bthere (?:\w+ly )?(?:is|are|was|were|'s|'re|seems? to be|appears? to be|exists?)(?: \w+ly)? (?:no|not|none|neither|nothing|zero)\b"
    r"|\bthere(?:'s| is| are| was| were)(?:n't| not)\b|\bthere (?:isn't|aren't|wasn't|weren't|doesn't|don't|does not|do not|did not) ?"
    r"|\b(?:can't|won't)\b|\b(?:do|does|did|is|are|was|were|can|could|has|have|would|will)(?:n't| not| never)\b|\bcannot\b|\b(?:no|none|neither|nothing|never|without|lacks?|absent|missing|fails? to|absence of|devoid of|free of|nowhere)\b",
    re.IGNORECASE,
)
_POSITIVE = re.compile(
    r"\bthere's\b|\bthere're\b|\bthere (?:\w+ly )?(?:is|are|was|were|seems? to be|appears? to be|exists?)\b"
    r"|\b(?:i|we|you|one) (?:can |do |could )?(?:clearly |indeed |also |definitely )?(?:see|spot|find|notice|observe|identify|count|make out)\b"
    r"|\b(?:shows?|contains?|includes?|features?|depicts?|displays?|has|have|visible|present|seen|found|appears?|exists?|holds?)\b",
    re.IGNORECASE,
)
_SUBJECT = re.compile(
    r"\W*(?:an?|the|one|two|three|four|several|some|multiple)\s+(?:[\w'-]+\s+){1,4}?(?:is|are|was|were|stands?|sits?|lies?|walks?|runs?|appears?|hangs?)\b",
    re.IGNORECASE,
)
_CLAUSE = re.compile(
    r",?\s+\b(?:but|however|while|whereas|although|though|yet|and there|and it|and i|only|just)\b|;|,\s+(?=(?:no|not|there|it|i|the|a|an|only|just)\b)",
    re.IGNORECASE,
)
_OBJECT = re.compile(
    r"^\W*(?:is|are|was|were) there (?:\w+ly )?(?:an?|any|some|the|one|more than one|\d+)?\s*(?P<what>[\w' -]{2,60}?)(?:\s+(?:in|on|at|visible|present|shown|near|under|next|behind|inside|within|here|to)\b.*)?\?",
    re.IGNORECASE,
)
_SEE = re.compile(
    r"^\W*(?:do|can) (?:you|we) see (?:an?|any|the|some)?\s*(?P<what>[\w' -]{2,60}?)(?:\s+(?:in|on|at)\b.*)?\?|^\W*does (?:the|this) (?:image|picture|photo) (?:contain|show|have|include|feature|depict) (?:an?|any|the|some)?\s*(?P<what2>[\w' -]{2,60}?)(?:\s+(?:in|on|at)\b.*)?\?",
    re.IGNORECASE,
)
_REASON = re.compile(r",\s(?:as|since)\b|,?\sbecause\b", re.IGNORECASE)
_SOURCE = re.compile(r"\b(?:according to|based on|judging by) (?:this|the) \w+\s?\?*\s*$")
_AUXILIARIES = frozenset({"would", "will", "can", "could", "should", "may", "might", "must", "have", "has", "had"})
_STOP = frozenset([
    "the", "this", "these", "those", "a", "an", "is", "are", "was", "were", "be", "been", "do", "does", "did", "in",
    "on", "of", "to", "at", "and", "or", "it", "this", "that", "there", "any", "image", "picture", "photo", "you",
    "see", "please", "answer", "yes", "no", "question", "with", "have", "has", "can", "for",
])  # fmt: skip


@never_raises
def read_yes_no(response: str, question: str = "") -> Reading[str]:
    """ "yes" or "no" as the response's final answer says it; unread when it says neither, contradictory when it says
    both. The question tells which of two objects in a sentence was asked about."""
    plain = plain_text(response)
    marked = find_marked(response)
    if marked is not None:
        parts = list(sentences(plain[marked.start : marked.end], marked.start))
        found = verdict_of(parts, question)
        return found if found is not None else unread(f"the {marked.how} says neither", (marked.start, marked.end))
    body = body_span(response, plain)
    if body is None:
        return unread("the thought was cut off")
    if cut_box(response, *body):
        return unread("the box was cut off", body)
    parts = list(sentences(plain[body[0] : body[1]], body[0]))
    phrases = [phrase for phrase in find_phrases(response[: body[1]]) if phrase.start >= body[0]]
    if phrases:
        said = [(phrase, word) for phrase in phrases if (word := _lead_word(phrase.text)) is not None]
        lead = _lead_word(parts[0].text) if parts else None
        words = {word for _, word in said} | ({lead} if lead else set())
        if said:
            phrase, word = said[-1]
            span = (phrase.text_start, phrase.text_start + len(phrase.text))
            if len(words) == 1 or phrase.final or _FINAL.search(plain[max(0, phrase.start - 40) : phrase.start]):
                return read(word, span, "answer phrase")
            return contradictory("two answers", span)
    found = verdict_of(parts, question)
    return found if found is not None else unread("neither yes nor no")


def verdict_of(parts: Sequence[Sentence], question: str = "", *, statements: bool = True) -> Reading[str] | None:
    """The yes or no of a response's sentences: the word that it opens or closes with, else what it states. Without
    `statements` only those count that call something true or false."""
    if not parts:
        return None
    first, last = _lead_word(parts[0].text), _lead_word(parts[-1].text)
    if first is None and len(parts) > 1 and len(parts[0].text.split()) <= 3:
        first = _lead_word(parts[1].text) if last is None else None
    closing = _closing_word(parts[-1].text)
    last = last or (closing if len(parts) > 1 else None)
    if first and last and first != last:
        return contradictory("it opens with one and closes with the other", (parts[-1].start, parts[-1].end))
    if first or last:
        part = parts[0] if first else parts[-1]
        return read(str(first or last), (part.start, part.end), "opening word" if first else "closing word")
    if any(_BLIND.search(part.text) for part in parts):
        return None
    stated = [
        (part, word)
        for part in parts
        if (word := (statement(part.text, question) if statements else _called(part.text))) is not None
    ]
    words = {word for _, word in stated}
    if len(words) == 1:
        return read(stated[-1][1], (stated[-1][0].start, stated[-1][0].end), "statement")
    if len(words) == 2:
        part, word = stated[-1]
        if _FINAL.search(part.text):
            return read(word, (part.start, part.end), "its conclusion")
        return contradictory("it states both", (part.start, part.end))
    if closing:
        return read(closing, (parts[-1].start, parts[-1].end), "the only one of the two words")
    return None


def _lead_word(text: str) -> Word | None:
    """The yes or no that a sentence opens with."""
    if _NOT_A_VERDICT.match(text):
        return None
    lead = _LEAD.match(text) or _CHINESE.match(text)
    if lead is None:
        return next((word for word, pattern in _SHORT.items() if pattern.fullmatch(text)), None)
    rest = text[lead.end() : lead.end() + 40]
    if re.match(r"\s+(?:answer|option|choice|image|picture)\b", rest) and not lead["no"]:
        return None
    if lead["yes"] and lead["yes"].lower() in ("right", "correct", "true", "sure") and re.match(r"\s+\w", rest):
        return None
    if (
        lead["no"]
        and lead["no"].lower() == "no"
        and re.match(
            r"\s+(?!there|it|this|that|the|i|they|he|she|we|these|those|because|since|as)\w", rest, re.IGNORECASE
        )
    ):
        return None  # "No skis": a count, and not a word on the question
    return "yes" if lead["yes"] else "no"


def _closing_word(text: str) -> Word | None:
    """The yes or no that a sentence gives as the answer."""
    if _UNSURE.search(text) and not _QUOTED.search(text):
        return None
    quoted = _QUOTED.findall(text)
    words = {word.lower() for word in quoted}
    if not words:
        stands = [m for m in _WORD.finditer(text) if m.group(1).lower() == "yes" or _alone(text, m)]
        words = {m.group(1).lower() for m in stands}
    if len(words) != 1:
        return None
    return "yes" if words.pop() == "yes" else "no"


def _alone(text: str, match: re.Match[str]) -> bool:
    return bool(re.match(r"\W*$|\s*[,.;:!)]", text[match.end() :]))


def statement(text: str, question: str = "") -> Word | None:
    """The answer that a plain statement gives: "There is no dog", "I can see one", "It is not true that .."."""
    if _UNSURE.search(text):
        return None
    if re.search(r"[\u4e00-\u9fff]", text):
        return "no" if _CHINESE_NONE.search(text) else "yes" if _CHINESE_SOME.search(text) else None
    denial = _DENIAL.search(text)
    if denial:
        rest = text[denial.end() :]
        inner = _plain_statement(rest, question) if rest.strip(" .,!") else None
        return "yes" if inner == "no" else "no"
    return _plain_statement(text, question)


def _called(text: str) -> Word | None:
    """Whether a sentence calls the statement in question true or false."""
    if _UNSURE.search(text):
        return None
    if _DENIAL.search(text):
        return "no"
    called = _CALLED.search(text)
    return None if called is None else "no" if called.group(1).lower() in ("false", "incorrect", "wrong") else "yes"


def _plain_statement(text: str, question: str) -> Word | None:
    if question:
        text = _REASON.split(text, maxsplit=1)[0] or text
    what = _object_of(question)
    clauses = [clause for clause in _split(text) if clause.strip(" .,")]
    if what:
        about = [clause for clause in clauses if _mentions(clause, what)]
        if not about:
            about = [
                c for c in clauses if re.search(r"\b(?:one|ones|any|none|it|that|such|them)\b", c) and len(clauses) == 1
            ]
        clauses = about
    again = [clause for clause in clauses if question and not what and _overlaps(clause, question)]
    if len(again) == 1 and len(clauses) > 1:
        # The clause that takes up the question answers it; the others explain.
        return "no" if _NEGATIVE.search(again[0]) else "yes"
    for clause in reversed(clauses):
        if re.search(r"\bnot only\b", clause, re.IGNORECASE):
            return "yes"
        if (
            what
            and (subject := _SUBJECT.match(clause))
            and _mentions(subject.group(), what)
            and not _NEGATIVE.search(clause)
        ):
            return "yes"
        if re.match(r"\W*not\b", clause, re.IGNORECASE) and (what or _takes_up(clause, question)):
            return "no"
        if (
            not what
            and re.match(r"\W*(?:it|they|this|that|he|she)\b", clause, re.IGNORECASE)
            and _takes_up(clause, question)
        ):
            return "no" if _NEGATIVE.search(clause) or " not " in clause else "yes"
        if _NEGATIVE.search(clause):
            return "no" if what or _existential(clause) or _overlaps(clause, question) else None
        if (
            _POSITIVE.search(clause)
            and (what or _existential(clause))
            and (
                what
                or not question
                or _overlaps(clause, question)
                or (_object_of(question) is None and re.match(r"^\W*(?:is|are) there\b", question, re.IGNORECASE))
            )
        ):
            return "yes"
        if question and not what and _overlaps(clause, question):
            return "yes"
    return None


def _takes_up(clause: str, question: str) -> bool:
    """Whether a clause about "it" repeats the last word of the question: "It is red" for "Is the car red?"."""
    asked = [_stem(w) for w in re.findall(r"[\w'-]+", question.split("\n")[0].split("?")[0].lower()) if w not in _STOP]
    return len(asked) > 1 and asked[-1] in {_stem(w) for w in re.findall(r"[\w'-]+", clause.lower())}


def _split(text: str) -> list[str]:
    pieces, begin = [], 0
    for match in _CLAUSE.finditer(text):
        pieces.append(text[begin : match.start()])
        begin = match.start()
    return [*pieces, text[begin:]]


def _existential(clause: str) -> bool:
    return bool(
        re.search(
            r"\bthere\b|\b(?:see|visible|present|shown?s?|contains?|includes?|features?|depicts?|seen|appears?)\b",
            clause,
            re.I,
        )
    )


def _object_of(question: str) -> set[str]:
    match = _OBJECT.match(question) or _SEE.match(question)
    if match is None or re.search(r"\b(?:than|as many|more|fewer|less|equal)\b", question, re.IGNORECASE):
        return set()
    what = match.groupdict().get("what") or match.groupdict().get("what2") or ""
    words = [word for word in re.findall(r"[\w'-]+", what.lower()) if word not in _STOP]
    return {_stem(words[-1])} if words else set()


def _stem(word: str) -> str:
    for ending, replacement in (
        ("ies", "y"),
        ("ves", "f"),
        ("ses", "s"),
        ("xes", "x"),
        ("ches", "ch"),
        ("shes", "sh"),
        ("s", ""),
    ):
        if word.endswith(ending) and len(word) > len(ending) + 1 and not word.endswith("ss"):
            return word[: -len(ending)] + replacement
    return {
        "people": "person",
        "men": "man",
        "women": "woman",
        "children": "child",
        "mice": "mouse",
        "knives": "knife",
    }.get(word, word)


def _mentions(clause: str, what: set[str]) -> bool:
    return bool(what & {_stem(word) for word in re.findall(r"[\w'-]+", clause.lower())})


def _overlaps(clause: str, question: str) -> bool:
    """Whether a clause says again what the question asks: all of the question's words that carry meaning."""
    words = re.findall(r"[\w'-]+", _SOURCE.sub("", question.split("\n")[0].lower()))
    asked = [_stem(w) for w in words[1 if words and words[0] in _AUXILIARIES else 0 :] if w not in _STOP]
    said = iter([_stem(w) for w in re.findall(r"[\w'-]+", clause.lower())])
    # In the same order: "more red than blue" is not "more blue than red".
    return bool(asked) and all(word in said for word in asked)
