"""What a sentence says about a question of yes or no, without either word: "There is no dog", "I can see one"."""

from __future__ import annotations

import re

from rap_plugin.grading.reading.comparatives import YesNo, compared_as, stem
from rap_plugin.grading.reading.phrases import CONCLUSION, PREMISE

UNSURE = re.compile(
    r"\b(?:not sure|unsure|unclear|hard to|difficult to|impossible to|whether|might|may|maybe|perhaps|possibly|could be|could have|depends"
    r"|cannot (?:determine|tell|say|confirm|answer|be determined|be sure)|can't (?:determine|tell|say|confirm|answer|be determined)"
    r"|can not (?:determine|tell|say)|unable to (?:determine|tell|say|confirm|answer)|not (?:enough|possible)|insufficient|either|yes or no|no idea|if)\b"
    r"|\?\W{0,20}$",
    re.IGNORECASE,
)
_NO_DOUBT = re.compile(
    r"\b(?:without (?:a |any )?(?:doubt|question)|(?:there is )?no doubt(?: that)?|undoubtedly)\b,?", re.IGNORECASE
)
_CHINESE_NONE = re.compile(r"(?:没有|沒有|不存在|看不到|并无|不包含)")
_CHINESE_SOME = re.compile(r"(?:图中|图片中|图像中|画面中)?(?:有|存在|可以看到|包含)(?:一|两|几|多|人|\w)")
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
    r"|\b(?:can't|won't)\b|\b(?:do|does|did|is|are|was|were|can|could|has|have|would|will)(?:n't| not| never)\b|\bcannot\b|\bnot (?:a|an|one|any)\b|\b(?:no|none|neither|nothing|never|without|lacks?|absent|missing|fails? to|absence of|devoid of|free of|nowhere|unlikely)\b",
    re.IGNORECASE,
)
_POSITIVE = re.compile(
    r"\bthere's\b|\bthere're\b|\bthere (?:\w+ly )?(?:is|are|was|were|seems? to be|appears? to be|exists?)\b"
    r"|\b(?:i|we|you|one) (?:can |do |could )?(?:clearly |indeed |also |definitely )?(?:see|spot|find|notice|observe|identify|count|make out)\b"
    r"|\b(?:shows?|contains?|includes?|features?|depicts?|displays?|has|have|visible|present|seen|found|appears?|exists?|holds?)\b",
    re.IGNORECASE,
)
_SUBJECT = re.compile(
    r"\W*(?:both\s+)?(?:an?|the|one|two|three|four|several|some|multiple)\s+(?:[\w'-]+\s+){1,6}?(?:is|are|was|were|stands?|sits?|lies?|walks?|runs?|appears?|hangs?)\b",
    re.IGNORECASE,
)
_CLAUSE = re.compile(
    r",?\s+\b(?:instead of|rather than)\b|,?\s+\b(?:but|however|while|whereas|although|though|yet|and there|and it|and i|only|just)\b|;|,\s+(?=(?:no|not|there|it|i|the|a|an|only|just)\b)",
    re.IGNORECASE,
)
_OBJECT = re.compile(
    r"^\W*(?:is|are|was|were) there (?:\w+ly )?(?:an?|any|some|the|one|more than one|\d+)?\s*(?P<what>[\w' -]{2,60}?)(?:\s+(?:in|on|at|visible|present|shown|near|under|next|behind|inside|within|here|to)\b.*)?\?",
    re.IGNORECASE,
)
_SEE = re.compile(
    r"^\W*(?:do|can) (?:you|we) see (?:an?|any|the|some)?\s*(?P<what>[\w' -]{2,60}?)(?:\s+(?:in|on|at)\b.*)?\?|^\W*does (?:the|this) (?:image|picture|photo|chart|graph|plot|figure|diagram|map|scene|table|drawing|room) (?:contain|show|have|include|feature|depict) (?:an?|any|the|some)?\s*(?P<what2>[\w' -]{2,60}?)(?:\s+(?:in|on|at)\b.*)?\?",
    re.IGNORECASE,
)
_PLACE = re.compile(
    r"\b(?:in|on|at|of|under|behind|inside|near|beside)\s+(?:the|this|that)\s+(?:[\w'-]+\s+){0,2}?(?P<place>(?!image\b|picture\b|photo\b)[\w'-]+)\s*\?",
    re.IGNORECASE,
)
_EMPTY_PLACE = re.compile(
    r"\W*(?:the|this|that)\s+(?:[\w'-]+\s+){0,2}?(?P<place>[\w'-]+)\s+(?:is|are|looks?|seems?)\s+(?:completely |entirely )?empty\b",
    re.IGNORECASE,
)
_ONLY = re.compile(
    r"\W*(?:there(?:'s| is| are)\s+)?only\s+(?:an?|the|one|two)\s+(?P<thing>(?:[\w'-]+\s+){1,3}?)(?:is|are|sits?|stands?|lies?|sleeps?|in|on|at|under|behind|near)\b"
    r"|\W*nothing\s+(?P<none>)(?:is|stands?|lies?|can be seen)\b",
    re.IGNORECASE,
)
_BUT_THERE = re.compile(
    r",?\s+but\s+(?:it|they|that one)\s+(?:is|are|sits?|stands?|lies?)\s+(?:in|on|at|under|behind|inside|near|beside|next to)\s+(?P<where>[^.;]{2,60})",
    re.IGNORECASE,
)
_SET_AGAINST = re.compile(r"\W*(?:(?:but|and)\s+)?(?:not|instead of|rather than)\b", re.IGNORECASE)
_ARTICLES = frozenset({"a", "an", "the", "one", "two", "three", "several", "some", "his", "her", "their"})
_PLACES = frozenset({"on", "in", "at", "near", "beside", "under", "behind", "by", "with", "against", "to", "of"})
_STANDS = re.compile(r"\b(?:is|are|was|were|sits?|stands?|lies?|walks?|sleeps?|runs?|rides?|leans?)\b", re.IGNORECASE)
# "One car.", "zero cars"
_BARE = re.compile(
    r"\W*(?P<many>no|zero|0|an?|the|one|two|three|four|several|some|many|[1-9]\d?)\s+(?:[\w'-]+\s+){0,2}?(?P<noun>[\w'-]+)\W*",
    re.IGNORECASE,
)
_REASON = re.compile(r",\s(?:as|since)\b|,?\sbecause\b", re.IGNORECASE)
_SOURCE = re.compile(r"\b(?:according to|based on|judging by) (?:this|the) \w+\s?\?*\s*$")
_AUXILIARIES = frozenset({"would", "will", "can", "could", "should", "may", "might", "must", "have", "has", "had"})
_STOP = frozenset([
    "the", "this", "these", "those", "a", "an", "is", "are", "was", "were", "be", "been", "do", "does", "did", "in",
    "on", "of", "to", "at", "and", "or", "it", "this", "that", "there", "any", "image", "picture", "photo", "you",
    "see", "likely", "two", "both", "please", "answer", "yes", "no", "question", "with", "have", "has", "can", "for",
])  # fmt: skip


def statement(text: str, question: str = "") -> YesNo | None:
    """The answer that a plain statement gives: "There is no dog", "I can see one", "It is not true that .."."""
    text = _NO_DOUBT.sub(lambda m: " " * len(m.group()), text)
    if UNSURE.search(text):
        return None
    if re.search(r"[\u4e00-\u9fff]", text):
        return "no" if _CHINESE_NONE.search(text) else "yes" if _CHINESE_SOME.search(text) else None
    denial = _DENIAL.search(text)
    if denial:
        rest = text[denial.end() :]
        inner = _plain_statement(rest, question) if rest.strip(" .,!") else None
        return "yes" if inner == "no" else "no"
    return _plain_statement(text, question)


def called(text: str) -> YesNo | None:
    """Whether a sentence calls the statement in question true or false."""
    if UNSURE.search(text):
        return None
    if _DENIAL.search(text):
        return "no"
    called = _CALLED.search(text)
    return None if called is None else "no" if called.group(1).lower() in ("false", "incorrect", "wrong") else "yes"


def _plain_statement(text: str, question: str) -> YesNo | None:
    if question:
        text = _REASON.split(text, maxsplit=1)[0] or text
        concluding = list(CONCLUSION.finditer(text))
        text = text[concluding[-1].end() :] if concluding else text
        premise = PREMISE.match(text)
        text = text[premise.end() :] if premise else text
        compared = compared_as(text, question)
        if compared is not None:
            return compared
    what = _object_of(question)
    elsewhere = _somewhere_else(text, question) if what else None
    if elsewhere is not None:
        return elsewhere
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
    if what and (bare := _BARE.fullmatch(text)) and stem(bare["noun"].lower()) in what:
        return "no" if bare["many"].lower() in ("no", "zero", "0") else "yes"
    if what and any(_presupposes(clause, what) for clause in clauses):
        return "yes"
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
        if _SET_AGAINST.match(clause) and (what or _takes_up(clause, question)):
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


def _somewhere_else(text: str, question: str) -> YesNo | None:
    """ "no" where the place that the question names is empty, holds only another thing, or is not where the thing is: for
    "Is there a cat on the sofa?", "Only a dog is on the sofa" and "There is a cat, but it is on the floor"."""
    asked = _PLACE.search(question)
    if asked is None:
        return None
    place, what = stem(asked["place"].lower()), _object_of(question)
    if (empty := _EMPTY_PLACE.match(text)) and stem(empty["place"].lower()) == place:
        return "no"
    only = _ONLY.match(text)
    if only and not _mentions(only["thing"] or "", what) and _mentions(text[only.end() :], {place}):
        return "no"
    moved = _BUT_THERE.search(text)
    return "no" if moved and _mentions(text[: moved.start()], what) and not _mentions(moved["where"], {place}) else None


def _presupposes(clause: str, what: set[str]) -> bool:
    """Whether a clause speaks of the thing as being there: "a man sits on a bench", "no people on the bench", "but a
    bench is"."""
    words = re.findall(r"[\w'-]+", clause.lower())
    place = next((index for index in reversed(range(len(words))) if stem(words[index]) in what), None)
    if place is None:
        return False
    if place <= 2 and words[place].endswith("s") and words[place + 1 : place + 2] in (["are"], ["were"], ["can"]):
        return not _NEGATIVE.search(clause) and words[0] not in ("no", "zero")
    article = next(
        (index for index in (place - 1, place - 2, place - 3) if index >= 0 and words[index] in _ARTICLES), None
    )
    if article is None:
        return False
    if words[place + 1 :] in (["is"], ["are"], ["is", "visible"], ["are", "visible"]):
        return not _NEGATIVE.search(clause)
    held = article > 1 and words[article - 1].endswith("ing") and words[article - 2] in ("is", "are", "was", "were")
    placed = held or (article > 0 and words[article - 1] in _PLACES and bool(_STANDS.search(clause)))
    denied = _NEGATIVE.search(clause)
    return placed and (
        denied is None or (words[article] == "the" and bool(re.match(r"\W*no (?!one\b)", clause, re.IGNORECASE)))
    )


def _takes_up(clause: str, question: str) -> bool:
    """Whether a clause about "it" repeats the last word of the question: "It is red" for "Is the car red?"."""
    asked = [stem(w) for w in re.findall(r"[\w'-]+", question.split("\n")[0].split("?")[0].lower()) if w not in _STOP]
    return len(asked) > 1 and asked[-1] in {stem(w) for w in re.findall(r"[\w'-]+", clause.lower())}


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
    return {stem(words[-1])} if words else set()


def _mentions(clause: str, what: set[str]) -> bool:
    return bool(what & {stem(word) for word in re.findall(r"[\w'-]+", clause.lower())})


def _overlaps(clause: str, question: str) -> bool:
    """Whether a clause says again what the question asks: all of the question's words that carry meaning."""
    words = re.findall(r"[\w'-]+", _of_first(_SOURCE.sub("", question.split("\n")[0].lower())))
    asked = [stem(w) for w in words[1 if words and words[0] in _AUXILIARIES else 0 :] if w not in _STOP]
    said = iter([stem(w) for w in re.findall(r"[\w'-]+", _of_first(clause.lower()))])
    # In the same order: "more red than blue" is not "more blue than red".
    return bool(asked) and all(word in said for word in asked)


def _of_first(text: str) -> str:
    """ "The population of foxes" as "the foxes population", so that both ways of saying it are one."""
    return re.sub(r"\b([\w'-]{3,}) of (?:the )?([\w'-]{3,})", r"\2 \1", text)
