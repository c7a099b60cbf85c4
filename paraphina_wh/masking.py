"""Secrets among what runs were given: whatever a name speaks of as a key, a token or a password is masked.

Names tell, values do not: a secret under an innocent name, or as a bare word of a command line, passes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, TypeVar

MASK: Final = "<masked>"

_WORD: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_SECRET_WORD: Final = re.compile(
    r"keys?|pass|pwd|pw|passcodes?|private|priv|auth|authorization|bearer|cookies?|jwt|creds?|mnemonics?"
    r"|[a-z]*(?:password|passwd|passphrase|secret|credential|token)s?"
    r"|[a-z]*(?:api|access|secret|private|priv|public|sign|signing|auth|master|encryption|session|ssh|rsa|hmac)keys?"
)
# Ours: the hash of a plan, and the name of an order of seeds.
_NO_SECRET: Final = ("plan_key", "seed_key")
_OPTION: Final = re.compile(r"--?([A-Za-z][\w.-]*)")
_WHOLE: Final = re.compile(r"(--?)?([A-Za-z_][\w.-]*)(\s*[=:]\s*)(.+)", re.DOTALL)
# From the start of a word alone: texts may be long.
_NAMED: Final = re.compile(r"(?<![\w.-])([A-Za-z_][\w.-]*)[\"']?\s*[=:]\s*")
_ITS_VALUE: Final = re.compile(r"(?i:(?:bearer|basic|token)\s+)?(?:\"[^\"]*\"|'[^']*'|[^\s,;&\"']+)")
_IN_ADDRESS: Final = re.compile(r"(?<![A-Za-z0-9+.-])([A-Za-z][A-Za-z0-9+.-]*://)([^/\s?#]+)@")
# A shorter value may stand in a text for something else.
_TELLING: Final = 6
_MOST_VALUES: Final = 100

Value = TypeVar("Value", str, str | int | float | bool)


def is_secret_name(name: str) -> bool:
    """Tell whether a name speaks of a key, a token, a password, a secret or something private.

    Its words count, not its letters: `API_KEY`, `apiKey` and `apikey` do, `KEYFRAME`, `monkey` and `tokenize` do not.
    """
    return name not in _NO_SECRET and any(_SECRET_WORD.fullmatch(word.lower()) for word in _WORD.findall(name))


class Masking:
    """Masks what belongs together. names: what was masked, without its value."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self._values: set[str] = set()

    def settings(self, values: Mapping[str, Value]) -> dict[str, Value]:
        """Return settings by name, the values of secret names masked."""
        return {name: self._value(name, value) for name, value in values.items()}

    def words(self, words: Sequence[str]) -> list[str]:
        """Return the words of a command line, with masks for what follows `--token`, `--api-key=` or `PASSWORD=`."""
        return [self._word(option, word) for option, word in zip(("", *words), words, strict=False)]

    def text(self, text: str) -> str:
        """Return a text with masks for `name=value` of secret names, passwords in addresses, and values seen before."""
        if len(self._values) > _MOST_VALUES:
            return MASK
        for value in sorted(self._values, key=len, reverse=True):
            text = text.replace(value, MASK)
        text = _IN_ADDRESS.sub(lambda found: f"{found[1]}{self._hidden('address', found[2])}@", text)
        return "".join(self._pieces(text))

    def _value(self, name: str, value: Value) -> Value:
        if is_secret_name(name):
            return self._hidden(name, str(value))
        if not isinstance(value, str):
            return value
        before, text = len(self.names), self.text(value)
        self.names[before:] = [name] if text != value else []
        return text

    def _word(self, before: str, word: str) -> str:
        option, whole = _OPTION.fullmatch(before), _WHOLE.fullmatch(word)
        if option and is_secret_name(option[1]) and not word.startswith("--"):
            return self._hidden(option[1], word)
        if whole and is_secret_name(whole[2]):
            return f"{whole[1] or ''}{whole[2]}{whole[3]}{self._hidden(whole[2], whole[4])}"
        return self.text(word)

    def _pieces(self, text: str) -> Iterator[str]:
        end = 0
        for named in _NAMED.finditer(text):
            value = is_secret_name(named[1]) and named.start() >= end and _ITS_VALUE.match(text, named.end())
            if value:
                yield text[end : named.end()] + self._hidden(named[1], value[0])
                end = value.end()
        yield text[end:]

    def _hidden(self, name: str, value: str) -> str:
        if value != MASK:
            self.names.append(name)
            self._values |= {value} if len(value) >= _TELLING else set()
        return MASK


def shown_names(names: Iterable[str], most: int = 5) -> str:
    """Return names, each once and sorted, as a warning shows them."""
    once = sorted(set(names))
    return ", ".join(once[:most]) + ", ..." * (len(once) > most)
