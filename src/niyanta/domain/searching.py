"""What a search for words in whatever case means, the same wherever it is done."""

from __future__ import annotations

__all__ = ["ALIKE", "pattern_of"]

ALIKE = (
    *("Kk\u212a", "Ss\u017f", "\xb5\u039c\u03bc", "\xc5\xe5\u212b", "\u01c4\u01c5\u01c6", "\u01c7\u01c8\u01c9"),
    *("\u01ca\u01cb\u01cc", "\u01f1\u01f2\u01f3", "\u0345\u0399\u03b9\u1fbe", "\u0392\u03b2\u03d0"),
    *("\u0395\u03b5\u03f5", "\u0398\u03b8\u03d1\u03f4", "\u039a\u03ba\u03f0", "\u03a0\u03c0\u03d6"),
    *("\u03a1\u03c1\u03f1", "\u03a3\u03c2\u03c3", "\u03a6\u03c6\u03d5", "\u03a9\u03c9\u2126"),
    *("\u0412\u0432\u1c80", "\u0414\u0434\u1c81", "\u041e\u043e\u1c82", "\u0421\u0441\u1c83"),
    *("\u0422\u0442\u1c84\u1c85", "\u042a\u044a\u1c86", "\u0462\u0463\u1c87", "\u1c88\ua64a\ua64b"),
    *("\u1e60\u1e61\u1e9b", "\xdf\u1e9e"),
)
"""Letters that are one in more cases than two, as the two sigmas of small letters are, or whose capital says nothing
of them.
"""
_ALIKE = {letter: letters for letters in ALIKE for letter in letters}


def pattern_of(words: str) -> str:
    """A regular expression, of PostgreSQL's and of Python's, for these words in whatever case.

    Each letter is given in its cases, as Python knows them: what a database knows of letters depends on its release,
    and on how it was made.
    """
    return "".join(map(_either_case, words))


def _either_case(sign: str) -> str:
    if sign.isascii() and not sign.isalnum() and not sign.isspace():
        return f"\\{sign}"
    forms = {sign, sign.lower(), sign.upper(), sign.title()}
    cases = _ALIKE.get(sign) or "".join(sorted(form for form in forms if len(form) == 1))
    return sign if len(cases) == 1 else f"[{cases}]"
