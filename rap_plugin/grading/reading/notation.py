"""One notation for mathematics: what people and models type, brought to plain LaTeX.

Pure text, linear time, no evaluation. `clean_math` is enough to compare strings and to read numbers;
`to_latex` goes on to what math-verify parses.
"""

from __future__ import annotations

import math
import re
from functools import lru_cache

_CHARS = str.maketrans(
    {
        "−": "-", "–": "-", "—": "-", "‐": "-", "‑": "-", "﹣": "-", "－": "-", "＋": "+", "＝": "=",
        "×": r"\times ", "✕": r"\times ", "⋅": r"\cdot ", "·": r"\cdot ", "∙": r"\cdot ", "÷": "/", "∕": "/", "⁄": "/",
        "π": r"\pi ", "θ": r"\theta ", "α": r"\alpha ", "β": r"\beta ", "γ": r"\gamma ", "λ": r"\lambda ",
        "∞": r"\infty ", "≤": r"\le ", "≥": r"\ge ", "≠": r"\ne ", "≈": r"\approx ", "±": r"\pm ",
        "⩽": r"\le ", "≦": r"\le ", "⩾": r"\ge ", "≧": r"\ge ", "＜": "<", "＞": ">", "且": " and ", "或": " or ", "∥": r"\parallel ", "⊥": r"\perp ",
        "∪": r"\cup ", "∩": r"\cap ", "∈": r"\in ", "∅": r"\emptyset ", "ℝ": r"\mathbb{R}",
        "∠": r"\angle ", "△": r"\triangle ", "∆": r"\triangle ",
        "⟨": r"\langle ", "⟩": r"\rangle ",
        "½": r"\frac{1}{2}", "⅓": r"\frac{1}{3}", "⅔": r"\frac{2}{3}", "¼": r"\frac{1}{4}", "¾": r"\frac{3}{4}",
        "\u00a0": " ", "\u2009": " ", "\u202f": " ", "\u2007": " ", "\u200b": "", "\ufeff": "",
        "\u2061": "", "\u2062": "", "\x0c": "\\f", "\t": " ", "\n": " ", "\r": " ",
        "“": '"', "”": '"', "’": "'", "（": "(", "）": ")", "｛": "{", "｝": "}", "［": "[", "］": "]",
        "，": ",", "：": ":", "；": ";", "％": "%", "．": ".", "º": "°", "˚": "°", "∘": "°",
    }
)  # fmt: skip
_FULLWIDTH = str.maketrans({chr(0xFF10 + d): str(d) for d in range(10)})
_SUPERSCRIPTS = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺ⁿ", "0123456789-+n", strict=True))
_SUBSCRIPTS = dict(zip("₀₁₂₃₄₅₆₇₈₉", "0123456789", strict=True))
_SUPER = re.compile(f"[{''.join(_SUPERSCRIPTS)}]+")
_SUB = re.compile(f"[{''.join(_SUBSCRIPTS)}]+")
_SPACING = re.compile(
    r"(?<!\\)\\(?:(?:displaystyle|textstyle|limits|nolimits|left|right|bigl|bigr|Bigl|Bigr|big|Big|quad|qquad)"
    r"(?![A-Za-z])|[!,;:> ])|~"
)
_FRACTIONS = re.compile(r"\\[dtc]frac(?![A-Za-z])")
_FONTS = re.compile(
    r"\\(?:text|textbf|textit|textrm|underline|mathrm|mathbf|mathit|mathsf|operatorname|mbox|hbox|bm|boldsymbol|rm|emph)"
    r"\*?\s{0,4}\{([^{}]{0,500})\}"
)
_COLOUR = re.compile(r"\\(?:text)?color\s?\{\s?[A-Za-z]{1,20}\s?\}")
_DEGREE = re.compile(r"\^\s?(?:\{\s?(?:\\circ|°|o)\s?\}|\\circ(?![A-Za-z])|°|o(?![A-Za-z]))|\\degrees?(?![A-Za-z])")
# Markdown's ** opens after a space or a mark and closes before one; between operands it is a power.
_MARKUP = re.compile(r"(?<![\w)}\]])\*\*(?=\S)|(?<=\S)\*\*(?![\w({\\\-])|`|\\(?:boxed|fbox)(?=\s?\{)")
_DOLLARS = re.compile(r"\$\$|(?<!\\)\\[()\[\]]")
_PAIR = re.compile(r"(?<!\\)\$([^$]{1,2000})(?<!\\)\$")


# "2 1/2" is not 21/2.
_SPACES = re.compile(r"(?<!\d) | (?!\d)")

SHORT = 200
"""Characters of a text that is worth keeping in its one spelling."""


def clean_math(text: str) -> str:
    """One spelling for the same thing: unicode to LaTeX, spacing commands and math delimiters out, fraction
    kinds to \\frac, text commands opened, degrees as "°", single spaces, no full stop at the end."""
    return _clean_short(text) if len(text) <= SHORT else _clean(text)


@lru_cache(maxsize=2048)
def _clean_short(text: str) -> str:
    # An answer and its gold are cleaned again by every comparison.
    return _clean(text)


def _clean(text: str) -> str:
    text = text.translate(_FULLWIDTH).translate(_CHARS)
    text = _SUPER.sub(lambda m: "^{" + "".join(_SUPERSCRIPTS[c] for c in m.group()) + "}", text)
    text = _SUB.sub(lambda m: "_{" + "".join(_SUBSCRIPTS[c] for c in m.group()) + "}", text)
    if "color" in text:
        text = _COLOUR.sub("", text)
    text = text.replace(r"\varnothing", r"\emptyset")
    text = text.replace("{,}", ",").replace(r"\%", "%").replace(r"\lbrace", r"\{").replace(r"\rbrace", r"\}")
    text = _MARKUP.sub("", text)
    text = _PAIR.sub(r" \1 ", _DOLLARS.sub(" ", text))
    text = _FRACTIONS.sub(r"\\frac", _SPACING.sub(" ", text))
    for _ in range(3):
        text, count = _FONTS.subn(r" \1 ", text)
        if not count:
            break
    text = _DEGREE.sub("°", text)
    text = " ".join(text.split())
    text = text.rstrip(".,;\\ ") or text
    if text.startswith("{") and text.endswith("}") and not re.search(r"[{},]", text[1:-1]):
        text = text[1:-1].strip()
    return text


def squash(text: str) -> str:
    """`clean_math` without white space but that between digits: equal squashes are equal answers."""
    return _SPACES.sub("", clean_math(text))


_TIMES_TEN = re.compile(r"(?<=\d)\s?x\s?(?=10\s?\^)")
_PERCENT = re.compile(r"(?<=[\d}])\s(?:percent|per cent)\b")
_DECIMAL_COMMA = re.compile(
    r"(?<![\d,.(\[])(\d{1,4}),(\d{1,2})(?=\s?(?:%|°|€|(?:k?g|[ckm]?m|km/h|m/s|l|ml|h|min|s|cm\^\{?[23]\}?|m\^\{?[23]\}?)(?![A-Za-z,])))"
)
_PRICE_COMMA = re.compile(r"^(€\s?\d{1,4}),(\d{2})$")
_UNIT_FRACTION = re.compile(
    r"(?<=\d)\s?\\frac\s?\{\s?([a-z]{1,2}|mol|[JNW])\s?\}\s?\{\s?((?:s|h|min|kg|mol|[ck]?m|[Ll])(?:\s?\^\s?\{?\s?[23]\s?\}?)?)\s?\}$"
)
_MIXED_HYPHEN = re.compile(r"(?<![\d-])(\d{1,4})-(\d{1,2}/\d{1,2})(?=\s[a-z]{2,})")


def usual_signs(text: str) -> str:
    """One sign for what is written in several ways: a point for the comma of a decimal where the unit behind it shows that
    it is one ("72,5 km/h"), "%" for "percent", a space in "5-1/4 inches"."""
    text = _PERCENT.sub("%", _TIMES_TEN.sub(r"\\times ", text))
    if text.startswith("€"):
        text = _PRICE_COMMA.sub(r"\1.\2", text)
    if r"\frac" in text:
        text = _UNIT_FRACTION.sub(r" \1/\2", text)
    return _MIXED_HYPHEN.sub(r"\1 \2", _DECIMAL_COMMA.sub(r"\1.\2", text))


_PYTHON_POWER = re.compile(r"\s?\*\*\s?")
_CHAIN = re.compile(r"\^((?:-?[\w.]+\^){1,30}-?[\w.]+)")
_LONG_EXPONENT = re.compile(r"\^\s?(-?\d+(?:\.\d+)?|-[A-Za-z])")
_SCIENTIFIC = re.compile(r"(?<![A-Za-z\d.])(\d+(?:\.\d+)?)[eE]([-+]?\d{1,9})(?![A-Za-z\d])")
_WORD_FUNCTIONS = re.compile(
    r"(?<![\\A-Za-z])(arcsin|arccos|arctan|sin|cos|tan|cot|sec|csc|log|ln|exp|max|min)(?![A-Za-z])"
)
_WORD_SYMBOLS = re.compile(r"(?<![\\A-Za-z])(pi|theta|alpha|beta|gamma|lambda)(?![A-Za-z])", re.IGNORECASE)
_INFINITY = re.compile(r"(?<![\\A-Za-z])(?:infinity|infty|inf|oo)(?![A-Za-z])", re.IGNORECASE)
_TRIG_DEGREES = re.compile(r"(\\(?:sin|cos|tan|cot|sec|csc)\s?[({]?\s?)(\d+(?:\.\d+)?)\s?°")
_MIXED = re.compile(r"(?<![\w}.)^])(\d+)\s?(\\frac\s?\{\s?\d+\s?\}\s?\{\s?\d+\s?\})")
_CHOSEN = re.compile(r"(?<![A-Za-z\\])([CA])\s?_\s?\{?\s?(\d{1,2})\s?\}?\s?\^\s?\{?\s?(\d{1,2})\s?\}?(?!\d)")
_CONNECTIVES = re.compile(r"\s(?:or|and)\s|\s?;\s?")
_ROOT = re.compile(r"(?<![\\A-Za-z])sqrt\s?|√\s?|\\sqrt\s?(?=\()")


def _group_after(text: str, start: int) -> int:
    """Index after the parenthesis that closes the one at `start`, or -1."""
    depth = 0
    for index in range(start, len(text)):
        depth += (text[index] == "(") - (text[index] == ")")
        if depth == 0:
            return index + 1
    return -1


def _brace_groups(text: str, opener: re.Pattern[str], command: str) -> str:
    """`opener` + (..) to `command` + {..}: "sqrt(x+1)" and "x^(a+b)" to LaTeX."""
    parts, position = [], 0
    for match in opener.finditer(text):
        if match.start() < position:
            continue
        parts.append(text[position : match.start()])
        end = _group_after(text, match.end()) if text[match.end() : match.end() + 1] == "(" else -1
        if end > 0:
            parts.append(command + "{" + text[match.end() + 1 : end - 1] + "}")
            position = end
        else:
            number = re.match(r"\d+(?:\.\d+)?|[A-Za-z]", text[match.end() :])
            width = number.end() if number else 0
            parts.append(command + ("{" + text[match.end() : match.end() + width] + "}" if width else ""))
            position = match.end() + width
    return "".join(parts) + text[position:]


def to_latex(text: str) -> str:
    """Plain notation (`sqrt(3)`, `x**2`, `1e5`, `<=`, `2 or 3`) to LaTeX that math-verify parses."""
    text = clean_math(text)
    text = _SCIENTIFIC.sub(lambda m: rf"{m.group(1)}\times 10^{{{int(m.group(2))}}}", text)
    text = _PYTHON_POWER.sub("^", text)
    text = _CHAIN.sub(_nest, text)
    text = _LONG_EXPONENT.sub(r"^{\1}", text)
    text = _brace_groups(text, re.compile(r"\^\s?(?=\()"), "^")
    text = _brace_groups(text, _ROOT, r"\sqrt")
    text = _WORD_FUNCTIONS.sub(r"\\\1 ", text)
    text = _WORD_SYMBOLS.sub(lambda m: "\\" + m.group(1).lower() + " ", text)
    text = _INFINITY.sub(r"\\infty ", text)
    text = text.replace("<=", r"\le ").replace(">=", r"\ge ").replace("!=", r"\ne ").replace("==", "=")
    text = _CONNECTIVES.sub(", ", text)
    text = text.replace(r"\langle", "(").replace(r"\rangle", ")")
    text = _MIXED.sub(r"(\1+\2)", text)
    text = _CHOSEN.sub(_count_of, text)
    text = _TRIG_DEGREES.sub(r"\1\\frac{\2\\pi}{180}", text).replace("°", "")
    return " ".join(text.split())


def _count_of(match: re.Match[str]) -> str:
    """The number of choices: combinations C_n^k, arrangements A_n^k."""
    n, k = int(match[2]), int(match[3])
    if k > n:
        return match.group()
    return str(math.comb(n, k) if match[1] == "C" else math.perm(n, k))


def _nest(match: re.Match[str]) -> str:
    # a^b^c is a^(b^c); LaTeX itself has no reading for it.
    powers = match.group(1).split("^")
    return "".join("^{" + power for power in powers) + "}" * len(powers)
