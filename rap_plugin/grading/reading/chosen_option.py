"""Which option did a response choose? Read, never guessed.

In order: the last box or tag; a line that is nothing but an option, first or last; what sentences claim ("the answer
is B", "so B", "D is out"); an option's own words or value, where the response states one. Whatever contradicts itself
without a last word is contradictory, and whatever says nothing about the options is unread.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from rap_plugin.grading.reading.answers import find_marked
from rap_plugin.grading.reading.base import Reading, contradictory, never_raises, read, unread
from rap_plugin.grading.reading.body import body_span, cut_box
from rap_plugin.grading.reading.option_claims import Claim, claims_in
from rap_plugin.grading.reading.option_contrasts import contrasted_option
from rap_plugin.grading.reading.option_letters import GROUP, letters_in, letters_only
from rap_plugin.grading.reading.option_listings import LABELLED_LINE, enumerates, is_invented, without_listing
from rap_plugin.grading.reading.option_marks import marked_option
from rap_plugin.grading.reading.option_statements import stated_option
from rap_plugin.grading.reading.option_texts import key_of, match_option, words_key
from rap_plugin.grading.reading.phrases import corrects
from rap_plugin.grading.reading.plain import Sentence, plain_text, sentences
from rap_plugin.grading.reading.question_options import LETTERS

_GROUP = re.compile(GROUP, re.IGNORECASE)
_LEAD_END = re.compile(
    r"\s*(?:[.:)\]!]|,(?!\s?[A-J]\b)|;|-|→|$|\b(?:because|since|as|due|is (?:what|the one|(?:the |my |clearly |definitely )?(?:correct|right|best|answer|choice)))\b|\()",
    re.IGNORECASE,
)
_LABEL = re.compile(
    r"\W*(?:(?:the |my )?(?:final |correct |best )?(?:answers?|option|choice|ans|letter|definitely|clearly|certainly|obviously|surely|probably|likely)\b\s*(?:is\b|[:.\-=→]|(?=\s[A-J]\b))|答案\s*[:是为]?)?\W*",
    re.IGNORECASE,
)
_OR = re.compile(r"\b(?:or|either|maybe|perhaps|possibly|might|could)\b", re.IGNORECASE)
_OPEN = re.compile(
    r"\?\s*$|\b(?:cannot|can't|unable|not enough|insufficient|not sure|unsure|don't know|no idea|unclear|could be|might be|may be|maybe|perhaps|possibly|sorry|if|select from)\b",
    re.IGNORECASE,
)
_SAYING_WORDS = (
    "say is be guess conclude likely with to choose pick select for option choice answer letter that it so only just suggests by as"
    " therefore thus hence definitely surely clearly probably certainly think believe because either are was prefer indicates means"
    " gives conclusion verdict result selection response pick figure labeled labelled named called chose choosing"
)
_SAYING = frozenset(_SAYING_WORDS.split())
_THING_WORDS = "point angle line side vertex vitamin plan grade class group type hepatitis section segment arc circle triangle plane figure part"
_THINGS = frozenset(_THING_WORDS.split()) - {"figure"}
_THING_BEFORE = re.compile(rf"\b(?:{'|'.join(sorted(_THINGS))})s?\s*$", re.IGNORECASE)
_LABELLED = re.compile(r"[\s(\[*\"'-]{0,3}([A-J])(?:\s?[.):-]\s*|(?<![AI])\s+)(\S.*)", re.DOTALL)
_CAPITALS = re.compile(r"\b[A-Z]{2,}\b")
_CAPITALS_END = re.compile(r"\b[A-Z]{2,}\W*$")
MAX_LETTER = 12
"""Characters of a response that is looked at as a letter before anything else, since most short ones are."""
MAX_SHORT = 160
"""Characters of a response in which the only letter is taken for its choice."""
MAX_CLAIM_SENTENCES = 400
"""Sentences at the end of a response whose claims are read."""


@never_raises
def read_option(
    response: str, options: Mapping[str, str] | None = None, letters: str = LETTERS, question: str = ""
) -> Reading[str]:
    """The option that a response chooses: a letter, or several sorted and joined, "BD".

    `options` maps upper-case letters to texts (see `parse_options`); with it, letters outside it do not count and an
    answer in the option's own words does. The question tells which of several statements answers it.
    """
    known = dict(options or {})
    allowed = "".join(known) if known else letters
    plain = plain_text(response)
    marked = find_marked(response)
    if marked is not None:
        span = (marked.start, marked.end)
        choice = option_of(response[marked.start : marked.end], known, allowed)
        if choice:
            return read(choice, span, marked.how)
        return unread(f"the {marked.how} names no option", span)
    body = body_span(response, plain)
    if body is None:
        return unread("the thought was cut off")
    if cut_box(response, *body):
        return unread("the box was cut off", body)
    return _read_body(response, plain, body, known, allowed, question)


def extract_choice(response: str, options: Mapping[str, str] | None = None, letters: str = LETTERS) -> str | None:
    """The letters that `read_option` reads, or None."""
    return read_option(response, options, letters).value


def option_of(text: str, options: Mapping[str, str], letters: str) -> str | None:
    """The option that a short text is: letters and nothing else, an option's text, a letter before its text or before a
    reason, or what its sentences claim."""
    whole = text.strip()
    if _mislabelled(Sentence(plain_text(whole).strip(), 0), options, letters):
        return None
    if len(whole) > 1 and (by_text := match_option(whole, options)):
        return by_text
    exact = letters_only(whole, letters)
    if exact and not _is_segment(whole, options):
        return exact
    plain = plain_text(text)
    by_text = match_option(plain.strip(" .\n"), options)
    if by_text:
        return by_text
    lead = _lead(Sentence(plain.strip(), 0), options, letters)
    if lead is not None:
        return lead.letters if not lead.hedged else None
    found = _decide(
        [claim for s in sentences(plain) for claim in claims_in(s, letters, labels=_are_labels(options))],
        plain,
        letters,
    )
    if found is not None:
        return found.value
    group = _GROUP.search(plain)
    if group and not _GROUP.search(plain, group.end()):
        named, either = letters_in(group, letters)
        if len(named) == 1 and not either and ("(" in group.group() or plain[group.end() :].strip(" .)") == ""):
            return named
    stated = stated_option(list(sentences(plain)), text, options)
    return stated.value if stated is not None else None


def _are_labels(options: Mapping[str, str]) -> bool:
    """Whether the letters are all that is known of the options."""
    return all(len(text) <= 1 for text in options.values())


def _is_segment(text: str, options: Mapping[str, str]) -> bool:
    """Whether a text of several letters is a name, since options are named in capitals ("AB", "AC")."""
    return bool(_CAPITALS_END.search(text)) and any(_CAPITALS.search(option) for option in options.values())


def _read_body(
    response: str, plain: str, body: tuple[int, int], options: Mapping[str, str], letters: str, question: str
) -> Reading[str]:
    start, end = body
    alone = plain[start:end].strip() if end - start <= MAX_LETTER else ""
    if alone and "\n" not in alone and (exact := letters_only(alone, letters)) and not _is_segment(alone, options):
        begin = plain.index(alone, start)
        return read(exact, (begin, begin + len(alone)), "the letter alone")
    parts = without_listing(list(sentences(plain[start:end], start)), options, letters)
    own = [part for part in parts if not is_invented(part, options)] if options else parts
    if parts and not own:
        return unread("it lists options that the problem does not have")
    parts = own
    if not parts:
        return unread("no answer found")
    if _mislabelled(parts[0], options, letters):
        return contradictory("a letter with the text of another option", (parts[0].start, parts[0].end))
    if len(parts) == 1 and (exact := letters_only(parts[0].text, letters)) and not _is_segment(parts[0].text, options):
        return read(exact, (parts[0].start, parts[0].end), "the letter alone")
    if len(parts) == 1 and len(parts[0].text) > 1 and (by_text := match_option(parts[0].text, options)):
        return read(by_text, (parts[0].start, parts[0].end), "an option's own text")
    lead, last = _lead(parts[0], options, letters), _alone(parts[-1], options, letters)
    listing = enumerates(parts, options, letters)
    if listing:
        lead = last = None
    claims = _claims_of(parts[-MAX_CLAIM_SENTENCES:], letters, _are_labels(options), listing=listing)
    if len(parts) > 1 and last is not None:
        claims = [claim for claim in claims if claim.start < last.start or claim.kind == "excluded"] + [last]
    if lead is not None and lead.letters == "A" and plain[lead.end : lead.end + 1] == ":":
        # "A: The correct option is D": the A stands for "answer".
        after = letters_only(plain[lead.end + 1 : parts[0].end], letters)
        if after:
            return read(after, (lead.end + 1, parts[0].end), "answer mark")
        inside = [c for c in claims if c.kind == "answer" and lead.end < c.start < parts[0].end and c.letters != "A"]
        lead = None if inside else lead
    if lead is not None:
        claims = [lead] + [claim for claim in claims if claim.start >= lead.end or claim.start > parts[0].end]
    decided = _decide(claims, plain, letters, lead)
    if decided is not None:
        return _unless_mislabelled(decided, plain, options)
    marked_one = marked_option(response[start:end], start, options, letters)
    if marked_one is not None:
        return marked_one
    contrasted = contrasted_option(plain[start:end], start, options, question)
    if contrasted is not None:
        return contrasted
    stated = None if listing else stated_option(parts, response, options, question)
    if stated is not None:
        return stated
    only = None if listing else _only_letter(parts, options, letters, {a for c in claims for a in c.letters})
    return only if only is not None else unread("no choice found")


def _claims_of(parts: Sequence[Sentence], letters: str, labels: bool, *, listing: bool) -> list[Claim]:
    """The claims of all sentences. In a listing a letter that opens a line claims nothing, unless it alone is called
    right and every other line's option wrong: "(A) is not right. (D) is right."."""
    made = [(part, claim) for part in parts for claim in claims_in(part, letters, labels=labels)]
    if not listing:
        return [claim for _, claim in made]
    opens = {
        claim: match.group(1)
        for part, claim in made
        if claim.start == part.start and claim.kind != "excluded" and (match := LABELLED_LINE.match(part.text))
    }
    lines = {match.group(1) for part in parts if (match := LABELLED_LINE.match(part.text))}
    excluded = {letter for _, claim in made if claim.kind == "excluded" for letter in claim.letters}
    right = {claim.letters for claim in opens if claim.kind == "answer"}
    settled = len(right) == 1 and lines - excluded == right
    return [claim for _, claim in made if claim not in opens or (settled and claim.letters in right)]


def _only_letter(
    parts: Sequence[Sentence], options: Mapping[str, str], letters: str, claimed: set[str]
) -> Reading[str] | None:
    """The one letter that a short response names at all, as in "I'd say B" and "B it is"."""
    if sum(len(part.text) for part in parts) > MAX_SHORT or any(_OPEN.search(part.text) for part in parts):
        return None
    found: list[tuple[str, tuple[int, int]]] = []
    for part in parts:
        for match in _GROUP.finditer(part.text):
            named, either = letters_in(match, letters)
            if either or (not named and re.search("[B-HJ]", match.group())):
                return None
            before = part.text[: match.start()]
            if named and _is_name(before, _are_labels(options)):
                if len(named) == 1 and not _THING_BEFORE.search(before):
                    return None  # it may be a choice or a name
            elif named:
                found.append((named, (part.start + match.start(), part.start + match.end())))
    if claimed or len({named for named, _ in found}) != 1 or len(found[0][0]) != 1:
        return None
    return read(found[-1][0], found[-1][1], "the only letter")


def _is_name(before: str, labels: bool) -> bool:
    """Whether what stands before a letter makes it the name of a thing ("point B", "plan B") and not of an option."""
    noun = re.search(r"([A-Za-z]+)\s*$", before)
    if noun is None or noun.group(1).lower() in _SAYING:
        return False
    return not labels or noun.group(1).lower() in _THINGS


def _lead(sentence: Sentence, options: Mapping[str, str], letters: str) -> Claim | None:
    """The claim of a first sentence that opens with an option: "B", "(B) 12 cm", "Answer: B, because .."."""
    label = _LABEL.match(sentence.text)
    begin = label.end() if label else 0
    while begin > 0 and sentence.text[begin - 1] in "([":
        begin -= 1
    group = _GROUP.match(sentence.text, begin)
    if group is None or (begin and sentence.text[begin - 1].isalnum()):
        return None
    named, either = letters_in(group, letters)
    if not named or (len(named) == 1 and re.match(r"options|choices", group.group(), re.IGNORECASE)):
        return None
    after = sentence.text[group.end() :]
    rest = after.strip(" .:;,-)]→(")
    own = len(named) == 1 and bool(words_key(options.get(named, "")))
    key = key_of(options)
    owned = own and key(rest).startswith(key(options[named]))
    if not owned and not _LEAD_END.match(after) and not re.match(r"\s*\n", after):
        return None
    if (
        not owned
        and own
        and any(key(rest) == key(text) for letter, text in options.items() if letter != named and text)
    ):
        return None  # "B. <the text of option C>": the two do not agree
    hedged = either or (len(rest) < 60 and bool(_OR.match(rest)))
    return Claim(named, "answer", sentence.start, sentence.start + group.end(), hedged=hedged)


def _mislabelled(sentence: Sentence, options: Mapping[str, str], letters: str) -> bool:
    """Whether a sentence is one option's letter and another option's text."""
    match = _LABELLED.match(sentence.text)
    if match is None or match.group(1) not in letters or not options.get(match.group(1)):
        return False
    key = key_of(options)
    rest = key(match.group(2))
    if rest == key(options[match.group(1)]):
        return False
    return any(rest == key(text) for letter, text in options.items() if letter != match.group(1) and text)


def _unless_mislabelled(reading: Reading[str], plain: str, options: Mapping[str, str]) -> Reading[str]:
    """A letter that is followed by the text of another option is no reading."""
    own = options.get(reading.value or "", "")
    if reading.span is None or len(own) < 2:
        return reading
    after = next(sentences(plain[reading.span[1] : reading.span[1] + 300].lstrip(" .):,-\n")), None)
    if after is None:
        return reading
    key = key_of(options)
    said = key(after.text)
    if said != key(own) and said in {key(text) for text in options.values() if len(text) > 1}:
        return contradictory("a letter with the text of another option", reading.span)
    return reading


def _alone(sentence: Sentence, options: Mapping[str, str], letters: str) -> Claim | None:
    """The claim of a last sentence that is an option and nothing else."""
    choice = letters_only(sentence.text, letters)
    if choice is None:
        lead = _lead(sentence, options, letters)
        owned = lead and words_key(sentence.text[lead.end - sentence.start :]) == words_key(
            options.get(lead.letters, "")
        )
        if not lead or lead.hedged or not owned or not options.get(lead.letters):
            return None
        choice = lead.letters
    bare = len(sentence.text.strip(" .()[]")) <= 3 * len(choice) or "final" in sentence.text.lower()
    return Claim(choice, "answer", sentence.start, sentence.end, final=bare)


def _decide(claims: Sequence[Claim], plain: str, letters: str, lead: Claim | None = None) -> Reading[str] | None:
    """What claims say together; None when they say nothing."""
    excluded = {claim.letters for claim in claims if claim.kind == "excluded" and len(claim.letters) == 1}
    excluded |= {a for claim in claims if claim.kind == "excluded" for a in claim.letters}
    answers = [claim for claim in claims if claim.kind == "answer"]
    if answers:
        taken_back = [c for c in claims if c.kind == "chosen" and c.start >= answers[-1].start]
        taken_back = [c for c in taken_back if corrects(plain[answers[-1].end : c.end]) and c.letters not in excluded]
        return _last_word([*answers, *taken_back[-1:]], plain, lead)
    for kind in ("chosen", "named"):
        settled = [c for c in claims if c.kind == kind and c.letters not in excluded]
        distinct = {claim.letters for claim in settled if not claim.hedged}
        if any(claim.hedged for claim in settled) and kind == "chosen":
            return contradictory("alternatives", _span(settled[-1]))
        if len(distinct) == 1:
            return read(settled[-1].letters, _span(settled[-1]), "the one option that it settles on")
        if len(distinct) > 1 and kind == "chosen":
            if (settled[-1].final or corrects(plain[settled[-2].end : settled[-1].end])) and not settled[-1].hedged:
                return read(settled[-1].letters, _span(settled[-1]), "its last conclusion")
            return contradictory("several options", _span(settled[-1]))
    left = [letter for letter in letters if letter not in excluded]
    if len(left) == 1 and len(letters) > 1:
        last = [claim for claim in claims if claim.kind == "excluded"][-1]
        return read(left[0], _span(last), "all other options are ruled out")
    return None


def _last_word(answers: Sequence[Claim], plain: str, lead: Claim | None) -> Reading[str]:
    last = answers[-1]
    if last.hedged:
        return contradictory("alternatives", _span(last))
    if not all(claim.weak for claim in answers):
        answers = [claim for claim in answers if not claim.weak]
        last = answers[-1]
    others = [claim for claim in answers[:-1] if claim.letters != last.letters and not claim.hedged]
    if not others:
        return read(last.letters, _span(last), "answer statement")
    before = others[-1]
    concludes = last.final and not before.final and before is not lead
    if (
        concludes
        or corrects(plain[before.end : last.end])
        or "final" in plain[max(0, last.start - 20) : last.end].lower()
    ):
        return read(last.letters, _span(last), "its last answer statement")
    return contradictory("two answers", _span(last))


def _span(claim: Claim) -> tuple[int, int]:
    return (claim.start, claim.end)
