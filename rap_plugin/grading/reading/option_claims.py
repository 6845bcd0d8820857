"""What the sentences of a response claim about options: "the answer is B", "B is correct", "not C", "D is out"."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from rap_plugin.grading.reading.option_letters import GROUP, ONE, letters_in
from rap_plugin.grading.reading.phrases import PREMISE
from rap_plugin.grading.reading.plain import Sentence

Kind = Literal["answer", "chosen", "named", "excluded"]
"""`answer`: the sentence says which one is the answer; `chosen`: it settles on one in passing ("so B"); `named`: it
says something about one; `excluded`: it rules one out."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What one sentence says about one option, or one set of them."""

    letters: str
    kind: Kind
    start: int
    end: int
    final: bool = False
    """the sentence says that this is its last word ("final", "therefore", "actually")"""
    hedged: bool = False
    """two alternatives, or a guess that takes itself back"""
    weak: bool = False
    """a bare letter that is called right or chosen, where it may be a point or a name: "A is the right angle" """


_G = rf"(?P<group>{GROUP})"
_RIGHT = (
    r"(?:correct|right|best|true|accurate|appropriate|suitable|valid|proper|final|chosen|selected|intended|likely|logical"
    r"|closest|nearest|most \w+|answer|solution|choice|odd|(?<=the )one)"
)
_BE = r"(?:is|are|was|were|would be|will be|must be|should be|has to be|could only be|can only be|seems(?: to be)?|appears(?: to be)?|looks?|both look|remains|'s|=)"
_FILLER = (
    r"(?:\s|[:\-,(]|\b(?:therefore|thus|clearly|indeed|likely|probably|definitely|certainly|simply|just|only|given|by|found"
    r"|in|represented|as follows|indicated|labell?ed|the|that|of|with|called|under|actually|still|obviously|hence|then|so)\b)*"
)
_NOT_OTHER = rf"(?:(?!{ONE}|\b(?:so|but|while|whereas|because|since|not|if)\b|[,;:]|n't).)"
_CLAUSE_END = r"(?=\s*(?:[.,;:!?)\]]|$|\b(?:because|since|as|which|for|given|due|is|and)\b|-\s|\())"

_ANSWER = (
    # "The correct option letter is D", "Answer: (B)", "my final choice would be C", "solution -> A"
    re.compile(
        rf"(?P<noun>\b(?:answers?|choices?|options?|letters?|alternatives?|solution|response|selection|pick|conclusion|guess|result|(?:correct|right|best) one|the (?:only )?one that \w+))"
        rf"\b(?:\s+\(?(?:letter|option|choice|here|then|below|above)\)?)*(?:\s+(?:to|for|of|among|in|based on|from|that)\b[^.!?:]{{0,80}}?)?"
        rf"\s*(?:\b{_BE}|[:=]|→|->|=>)+{_FILLER}{_G}",
        re.IGNORECASE,
    ),
    re.compile(
        rf"^\W*(?:the\s+)?(?:final\s+|correct\s+)?(?:(?:answer|choice|ans\.?)\s*[:\-.]?|(?:correct|right)\s?:|a\s?:)\s+{_G}\W*$",
        re.IGNORECASE,
    ),
    # "Option B is correct", "(C) is the right choice", "B would be the best answer", "B: correct", "C ✓"
    re.compile(
        rf"{_G}{_NOT_OTHER}{{0,80}}?\s{_BE}\s+(?:\w+ly\s+)?(?:indeed\s+)?(?:the|my|our|a|an)?\s*(?:only|\w+ly|single|one)?\s*{_RIGHT}\b"
        rf"(?!\s+(?:to say|that|angle|triangle|hand|side|isosceles|of|foot))",
        re.IGNORECASE,
    ),
    # "the best plan for them is option B", "the one that is most likely to sink first is (A)"
    re.compile(
        rf"\b(?:best|correct|right|cheapest|fastest|most \w+)\b[^.!?:;,]{{0,100}}?\s{_BE}\s+(?:(?:option|choice)\s+|(?=\())(?:the\s+)?{_G}",
        re.IGNORECASE,
    ),
    # "I choose B", "we should select (C)", "go with D"
    re.compile(
        rf"\b(?:choos(?:e|es|ing)|chose|pick(?:s|ed|ing)?|select(?:s|ed|ing)?|go(?:es|ing)? with|went with|opt(?:s|ed|ing)? for"
        rf"|lean(?:s|ing)? (?:towards?|to)|vote(?:s|d)? for|settl(?:e|ed|es|ing) (?:on|for)|answer with|stick with|my money is on)\b\s*(?:is|would be|:)?{_FILLER}{_G}"
        rf"{_CLAUSE_END}",
        re.IGNORECASE,
    ),
    re.compile(
        rf"\b(?:mak(?:es?|ing)|consider|deem|leaves|leaving)\s+{_G}\s+(?:as\s+)?(?:the|our|my)\s+\w*\s*{_RIGHT}",
        re.IGNORECASE,
    ),
    re.compile(
        rf"(?:答案|选项|選項|正解|正确选项)\s*(?:应该|应当|应|就)?\s*(?:是|为|為|选|選|:)?\s*(?:选项)?\s*{_G}"
        rf"|(?:故|应|應|所以|因此|我|则)?\s*(?:选择|选|選擇|選)\s*(?:项|项为|的是)?\s*:?\s*(?P<group2>{GROUP})"
        rf"|(?P<group3>{GROUP})\s*(?:选项|项)?\s*(?:是|为)?\s*(?:正确|对的|正确的|正確)"
    ),
    # "La réponse est C", "Die richtige Antwort ist (B)", "La respuesta correcta es: A"
    re.compile(
        rf"\b(?:réponse|antwort|respuesta|resposta|risposta|ответ|odpowiedź)\b(?:\s+(?:correct[aeo]?|corretta|richtige|finale?))?\s*"
        rf"(?:\b(?:est|ist|es|é|è|to|lautet)\b|[:\-]|\s)+(?:(?:l'|la |die |a )?(?:option|opción|opção|opzione|letra|lettre|lettera)\s+|la\s+|el\s+|die\s+)?{_G}{_CLAUSE_END}",
        re.IGNORECASE,
    ),
)
_ANSWER_IN_ASCII = tuple(pattern for pattern in _ANSWER if "答案" not in pattern.pattern)
"""Without the one that only a text in Chinese can match."""
_CHOSEN = (
    # ".. is C) lizard", ".. would be (B) the second one"
    re.compile(
        r"\b(?:is|are|be)\s*:?\s+(?P<group>[(\[]\s?(?-i:[A-J])\s?[)\]]|(?-i:[A-J])(?=[):]\s))|(?<!不)[是为]\s*(?P<group2>(?-i:[A-J]))(?=\s*[(。,.]|\s*$)",
        re.IGNORECASE,
    ),
    re.compile(
        rf"(?:\b(?:correspond(?:s|ing)? to|match(?:es|ing)?(?: with)?|points? to|pointing to|leads? (?:us )?to|leading to"
        rf"|leav(?:es|ing)(?: us)?(?: only| with)?|which (?:is|makes it|gives)|that is|that's|th(?:at|is) would be|i(?:'d| would) (?:say|guess)|i\.e\.,?|namely|so|therefore|thus|hence|it is|it's"
        rf"|it (?:must|should|has to) be|i meant?|no,? wait|wait,? no|left with|must be|should be|making it|identified as|only)\b,?|→|->|=>|∴)"
        rf"(?:\s|,|:|-|\b(?:it|is|only|the|answer|must be|correct|best|that|of|with|just|clearly)\b)*{_G}{_CLAUSE_END}",
        re.IGNORECASE,
    ),
    # "What remains is B", "I am confident in B", "on reflection: D", "C it must be", "因此C"
    re.compile(
        rf"\b(?:(?:what|which|the one|all) (?:that )?(?:remains|is left|fits(?: best)?) is|confident (?:in|about|that it is)|no:|^\W*no,|not sure,? but"
        rf"|(?:correction|scratch that|on (?:reflection|second thoughts?|closer (?:look|inspection)))\s?[:,-])\s*(?:it is |it's |the answer is |rather )?{_G}{_CLAUSE_END}"
        rf"|(?P<group2>{ONE})\s+it\s+(?:is|must be|has to be|should be)\b|(?:因此|所以|故)\s*[,:]?\s*(?P<group3>{ONE})(?=\W*$)",
        re.IGNORECASE,
    ),
    # "The picture matches description C"
    re.compile(
        rf"\b(?:match(?:es)?|fits?|satisf(?:y|ies))\s+(?:only\s+)?(?:the\s+)?(?:description|statement|option|choice)\s+{_G}{_CLAUSE_END}",
        re.IGNORECASE,
    ),
    # "therefore the next one is C"
    re.compile(
        rf"\b(?:so|therefore|thus|hence)\b(?:(?!{ONE}|[,.;:]|\b(?:not|if)\b).){{0,40}}?\b(?:is|must be|would be|should be|has to be)\s+{_G}{_CLAUSE_END}",
        re.IGNORECASE,
    ),
    re.compile(r"(?P<group>[(\[]\s?(?-i:[A-J])\s?[)\]])\W*$"),
    re.compile(
        rf"(?:^\W*(?:only\s+)?|\b(?:among|out of|of|between)\b[^.]{{0,60}},\s+){_G}{_NOT_OTHER}{{0,60}}?\b(?:best |most \w+ |correctly |clearly |also )?(?:fits?|match(?:es)?|works?|completes?|satisf(?:y|ies)"
        rf"|comes? next|belongs?|makes? sense|appl(?:y|ies)|follows?|continues?)\b",
        re.IGNORECASE,
    ),
)
_CONTRASTED = re.compile(
    rf"(?:\b(?:but(?: rather)?|rather|instead)\s+(?:it is |it's |the answer is )?|而是\s*){_G}(?:{_CLAUSE_END}|(?=\s+(?:does|is|can)\b))",
    re.IGNORECASE,
)
_LABELLED = re.compile(
    rf"\b(?:is|are|be|must be|should be|it's)\s+(?:the\s+)?(?:(?!labell?ed|called|named|from|like|on|at|in|between|before|after)\w+\s+)?{_G}{_CLAUSE_END}"
    rf"|(?:^\W*|\b(?:so|therefore|thus|hence),?\s+)(?:the\s+)?(?:figure|box|shape|image|diagram|picture|object|pattern|tile|piece|item|symbol|cube|net|square|card|graph|panel)\s+(?P<group2>{GROUP})\b",
    re.IGNORECASE,
)
"""Where options have no text of their own, a letter that things are called names them: "the next box is E"."""
_ALL_BUT = re.compile(
    rf"\b(?:all|everything|anything|any|none|nothing|every (?:option|choice))\s+(?:of them\s+|(?:the\s+)?(?:other\s+)?(?:options?|choices?)\s+)?"
    rf"(?:except|but|other than|besides|apart from)\s+(?:for\s+)?{_G}",
    re.IGNORECASE,
)
_EXCLUDED = (
    re.compile(
        rf"(?:\b(?:not|rather than|instead of|except(?: for)?|other than|unlike|neither|nor|without)|n't"
        rf"|\b(?:exclud|eliminat|reject|discard|dismiss)(?:e|es|ed|ing)|\b(?:rul(?:e|es|ed|ing)|cross(?:ed|ing)?|cast) out|排除|不选|不是)"
        rf"\s*(?:\b(?:be|just|simply|choose|pick|select|both|either|the)\b\s*){{0,3}}{_G}",
        re.IGNORECASE,
    ),
    re.compile(
        rf"{_G}\s?:?(?:(?!{ONE}|\b(?:so|but|because|since|if)\b|[;:,]).){{0,60}}?(?:\b(?:not|never|neither|wrong|incorrect|false|out"
        rf"|excluded|eliminated|invalid|irrelevant|fails?|cannot|unlikely|impossible|discarded|too|inaccurate|ruled out|rejected"
        rf"|contradicts?|lacks?|misses|mismatch\w*)\b|n't|错误|不正确|不对|✗|❌)",
        re.IGNORECASE,
    ),
)
# "It is neither wood (A) nor steel (B)"
_DENIED_IN_WORDS = re.compile(
    r"\b(?:not|neither|nor)\s+(?:(?!but\b|only\b)[\w'-]+\s+){1,4}(?P<group>\(\s?(?-i:[A-J])\s?\))", re.IGNORECASE
)
_SO = re.compile(r"[,;:]\s+(?:and\s+)?(?:so|hence|thus|therefore|leaving|which leaves)\b", re.IGNORECASE)
# "Not D, C" names one; "not D, C or E" names none.
_NOT_BUT = re.compile(rf"^\W*(?:not|no longer)\s+{ONE}\s*[,;:-]\s*(?:but\s+)?(?P<group>{ONE})\W*$", re.IGNORECASE)
_NEITHER = re.compile(r"\bneither\b|\bnor\b", re.IGNORECASE)
_WHOLE_GROUP = re.compile(GROUP, re.IGNORECASE)
_NAMED = re.compile(
    rf"\b(?:option|choice|answer|letter|选项)\s*(?P<group>{ONE})|(?P<group2>[(\[]\s?(?-i:[A-J])\s?[)\]])", re.IGNORECASE
)
# "While D may look right, .." and "Initially D seems right" take back what they say.
_PASSING = re.compile(
    r"^\W*(?:while|although|though|even though|even if|initially|at first(?: glance)?|originally|first,? i (?:thought|considered)|i (?:first|initially) "
    r"(?:thought|considered)|one (?:may|might)|some (?:may|might)|you (?:may|might))\b(?:(?!,\s|\bbut\b|\bhowever\b).)*",
    re.IGNORECASE,
)
_FINAL = re.compile(
    r"\b(?:so|therefore|thus|hence|conclu\w+|finally|final|actually|overall|instead|correction|in summary|to sum up"
    r"|ultimately|accordingly|consequently)\b|∴|因此|所以|综上|故",
    re.IGNORECASE,
)
_HYPOTHETICAL = re.compile(
    r"^\W*(?:if(?! i (?:had|have) to)|suppose|assuming|assume|when|unless|whether|were)\b|\bif\b[^.]*\bwould be\b|\bwould be\b[^.]*\bif\b|^\W*(?:is|are|could|can|should) [^?]*\?\W*$|\?\W*$",
    re.IGNORECASE,
)
_DOUBT = re.compile(
    r"\b(?:could be|might be|may be|maybe|perhaps|possibly|not sure|unsure|can be either)\b", re.IGNORECASE
)
_BUT = re.compile(r",\s+but\b")
_COUNTERFACTUAL = re.compile(
    r"\b(?:were|had|would|could|wasn't|weren't)\b|\b(?:answer|option|choice)s?\b|\b(?-i:[A-J])\b", re.IGNORECASE
)
# "A would be the answer for another country" answers another question.
_ELSEWHERE = re.compile(
    r"\bwould (?:be|have been) (?:the|a) (?:\w+ )?(?:answer|choice|option|one) (?:for|if|in|when|had)\b(?! (?:this|the) (?:question|problem|image|figure))",
    re.IGNORECASE,
)
_INVITES = re.compile(r"^\W*(?:please|choose|select|pick|options?)\b", re.IGNORECASE)
_LEFT = re.compile(r"\bleft\b", re.IGNORECASE)
_PLURAL_LIST = re.compile(r"\b(?:options|choices|answers|letters)\b", re.IGNORECASE)
_QUALIFIED = re.compile(
    r"\b(?:correct|right|best|final|true|my|chosen|the two)\b|\banswers? (?:is|are)\b", re.IGNORECASE
)
_MORE = re.compile(rf"\s*[-.:]?\s*{ONE}")
_LISTED = re.compile(r"[(\[]\s?((?-i:[A-J]))\s?[)\]]|(?<!\w)((?-i:[A-J]))[.):]")


def claims_in(sentence: Sentence, letters: str, *, labels: bool = False) -> list[Claim]:
    """The claims of one sentence, the strongest pattern for each place. `labels`: the letters are all that is known of
    the options, so that "box E" names one."""
    text = sentence.text
    if len(text) > 4_000 or not _WHOLE_GROUP.search(text):
        return []
    premise = PREMISE.match(text)
    if premise and not _COUNTERFACTUAL.search(premise.group()):
        # "If the grids are placed on water, the one that sinks first is (A)" answers after its premise.
        after = Sentence(text[premise.end() :], sentence.start + premise.end())
        return [claim for claim in claims_in(after, letters, labels=labels) if claim.kind != "named"]
    final = bool(_FINAL.search(text))
    doubtful = bool(_DOUBT.search(_BUT.split(text)[-1]))
    hypothetical = bool(_HYPOTHETICAL.search(text) or _ELSEWHERE.search(text))
    listing = len({a or b for a, b in _LISTED.findall(text)}) > 2
    found: list[Claim] = []
    taken: list[tuple[int, int]] = []

    passing = _PASSING.match(text)
    conceded = passing.end() if passing else 0

    directions = bool(_LEFT.search(text))

    def add(match: re.Match[str], kind: Kind, *, bare_is_weak: bool = False) -> None:
        group = next(name for name in ("group", "group2", "group3") if match.groupdict().get(name))
        span = match.span(group)
        if span[0] < conceded and kind != "excluded":
            return
        if any(span[0] < end and start < span[1] for start, end in taken):
            return
        inner = _WHOLE_GROUP.match(text, span[0])
        named, either = letters_in(inner, letters) if inner else ("", False)
        if inner and _NEITHER.search(inner.group()):
            kind = "excluded"
        more = _MORE.match(text, inner.end()) if inner and kind != "excluded" else None
        if not named or (more and not re.search(rf"\b{named}\W*$", more.group())):
            return  # "(A) (B) (C)" and "A - B" list, they do not choose
        if len(named) > 2 and kind in ("chosen", "named"):
            return
        taken.append(span)
        weak = bare_is_weak and not re.search(r"[(\[]|option|choice|answer", match.group(), re.IGNORECASE)
        hedged = kind != "excluded" and ((either and len(named) > 1) or doubtful)
        found.append(
            Claim(named, kind, sentence.start + match.start(), sentence.start + match.end(), final, hedged, weak)
        )

    for match in _NOT_BUT.finditer(text):
        add(match, "chosen")
    for match in _ALL_BUT.finditer(text):
        add(match, "answer")
    for pattern in (_DENIED_IN_WORDS, _EXCLUDED[0]):
        for match in pattern.finditer(text):
            add(match, "excluded")
    if not hypothetical:
        for number, pattern in enumerate(_ANSWER_IN_ASCII if text.isascii() else _ANSWER):
            for match in pattern.finditer(text):
                if number == 3 and len(set(re.findall("[A-J]", match["group"]))) > 2:
                    continue  # "Please choose: A, B, C, D"
                if len(set(re.findall("[A-J]", match.group()))) > 2 and _INVITES.search(text):
                    continue
                if number == 0 and (_is_listing(match, text) or _is_aside(match, text)):
                    continue
                if number == 2 and directions and match.group().lower().endswith(" right"):
                    continue  # "in A the dot is left, in B it is right"
                add(match, "answer", bare_is_weak=number in (2, 3))
    for match in _EXCLUDED[1].finditer(text):
        add(match, "excluded")
    # "Not red (A), not cloudy (B), not striped (D), so it's (C)" goes through options and then says so.
    concluding = list(_SO.finditer(text))
    begin = (concluding[-1].start() if concluding else len(text)) if listing else 0
    if not hypothetical and begin < len(text):
        for pattern in (*_CHOSEN, _CONTRASTED, *((_LABELLED,) if labels else ())):
            for match in pattern.finditer(text, begin):
                add(match, "chosen")
    if not hypothetical and not listing:
        for match in _NAMED.finditer(text):
            add(match, "named")
    return sorted(found, key=lambda claim: claim.start)


def _is_listing(match: re.Match[str], text: str) -> bool:
    # "The options are A, B, C and D" lists; "the correct options are A and C" answers.
    noun = match["noun"]
    return bool(_PLURAL_LIST.fullmatch(noun)) and not _QUALIFIED.search(text[max(0, match.start() - 30) : match.end()])


def _is_aside(match: re.Match[str], text: str) -> bool:
    # "the option in the grid, which is A" describes; "the correct option for the blank is A" answers.
    noun, gap = match["noun"].lower(), text[match.end("noun") : match.start("group")]
    before = text[max(0, match.start() - 30) : match.end()]
    if noun.startswith(("result", "selection", "response", "pick", "guess", "conclusion")):
        return not re.search(rf"\b(?:my|final|our|correct|best)\s+{noun}", before, re.IGNORECASE)
    return (
        noun.startswith(("option", "letter", "alternative")) and len(gap.split()) > 3 and not _QUALIFIED.search(before)
    )
