"""Strings that have broken software before, by family. Characters that cannot be seen are written as escapes."""

from __future__ import annotations

import string
import unicodedata
from collections.abc import Iterator, Mapping
from typing import Final

NULL_FOLDER: Final = "__HIVE_DEFAULT_PARTITION__"
SURROGATES: Final = ("\ud800", "a\ud800", "\udfffb", "a\udc80b", "\udc00\ud800", "\udcff\udcfe", "x" * 20 + "\udbff")

# fmt: off
_WORDS: Final[Mapping[str, tuple[str, ...]]] = {
    "paths": (
        ".", "..", "...", "../..", "../../etc/passwd", "/", "//", "/etc/passwd", "/tmp/out", "a/b", "a/b/c", "a/../b",
        "./a", "a/.", "a/..", "a/", "/a", "~", "~root", "~/x", "\\", "..\\..", "a\\b", "C:", "C:\\x", "C:/x", "a:b",
        "\\\\host\\share", "//host/share", "file:///etc/passwd", "http://x.invalid/a?b#c", "%2e%2e%2f", "..%2f..%2f",
        "..%252f", "..;/", ".hidden", "..hidden", "-", "--", "-rf", "--help", "-o", "--warehouse=/x", "@file", "_",
        "_x", "_staging", "FORMAT", "init.sql", "paraphina.duckdb", "a.parquet", ".parquet", "x.jsonl", "x.jsonl.gz",
        "x.zst", "x.ndjson", "x.run.json", "x.stdout.txt", "/dev/null", "/dev/stdin", "/proc/self/environ",
        "a" + "/.." * 20, "\u2215", "\u2044", "\uff0f", "\uff0e\uff0e", "\u2024\u2024", "\u29f5",
    ),
    "ends": (
        "a.", "a..", ".a", "a ", "a  ", " a", " ", "  ", "a. ", "a .", "a\u00a0", "a\u2003", "a\u3000", "\u3000a",
    ),
    "case": (
        "A", "a", "label", "LABEL", "Label", "\u00df", "\u1e9e", "ss", "SS", "\u0130", "\u0131", "i\u0307", "I", "i",
        "\u01c4", "\u01c5", "\u01c6", "\u03a3", "\u03c3", "\u03c2", "\u0390", "\ufb03", "ffi", "\u1c89",
    ),
    "astral": (
        "\U0001f600", "\U0001d54f", "\U0002070e", "\U0010ffff", "\U0001fffe", "\ufffe", "\uffff", "\ufdd0", "\ufffd",
        "\ue000", "\uf8ff", "\U000f0000", "\U00010000", "\U0001f1e9\U0001f1ea", "\U0001f44d\U0001f3fd",
        "1\ufe0f\u20e3", "\U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466", "\u2764\ufe0f\u200d\U0001f525",
    ),
    "scripts": (
        "\u05e9\u05dc\u05d5\u05dd", "\u0645\u0631\u062d\u0628\u0627", "\u0645\u0631\u062d\u0628\u0627 1 2 3",
        "abc \u05e9\u05dc\u05d5\u05dd def", "\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35",
        "\u0928\u092e\u0938\u094d\u0924\u0947", "\u6f22\u5b57", "\ud55c\uad6d\uc5b4", "\u65e5\u672c\u8a9e",
        "\u0395\u03bb\u03bb\u03ac\u03b4\u03b1", "\uff21\uff22", "\u0410\u0430", "\u0430dmin", "Z\u00fcrich",
        "na\u00efve", "\u0fd5", "\ufdfd", "\U00012000", "\u0bcc",
    ),
    "sql": (
        "'", "''", '"', '""', "`", "\\'", "'; DROP TABLE runs; --", "' OR '1'='1", '" OR 1=1 --',
        "x' UNION SELECT 1 --", "--", "/*", "*/", ";", "$$", "$1", "$label", "?", ":label", "%(label)s", "E'\\n'",
        "chr(0)", "a'b\"c`d", "1; --", "read_text('/etc/passwd')", "COPY runs TO '/tmp/x'", "ATTACH 'x.db'", "') --",
        "'))) --", "\\", "\\\\", "'\\''", "SELECT", "runs", "ticks", "profile", "run_id", "NULL::VARCHAR", "''''",
        "');COPY", "a''b", "{'a': 1}", "x, y",
    ),
    "html": (
        "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "<svg/onload=alert(1)>", "&lt;", "&amp;", "&#0;",
        "<!--", "-->", "<![CDATA[", "]]>", "javascript:alert(1)", "</title>", '"><b>', "'><i>", "<", ">", "&",
        "</td></tr>", "<a href='javascript:x'>y</a>", "&#x202e;", "<b>|</b>", "<?php x ?>", "<%= 7*7 %>",
        "\uff1cscript\uff1e", "&nbsp;",
    ),
    "markdown": (
        "|", "a|b", "a\\|b", "a\\\\|b", "| --- |", "*a*", "**a**", "_a_", "__a__", "~~a~~", "`a`", "[a](javascript:x)",
        "![a](http://x.invalid/y)", "# a", "> a", "- a", "1. a", "a  \nb", "<http://x.invalid>", "\\", "\\*", "[^1]",
    ),
    "spreadsheets": (
        "=1+1", "+1+1", "-1+1", "@SUM(A1)", "=cmd|' /C calc'!A0", "=HYPERLINK(\"http://x.invalid\")", "\t=1", "\r=1",
        "\n=1", " =1", "\u00a0=1", "\u3000=1", "\ufeff=1", "\x00=1", "\uff1d1", "\uff0b1", "\uff0d1", "\uff201", "'=1",
        "''=1", "|=1", "a;=1", "a,=1", "a\t=1", "a\n=1", "a\n\n=1", 'a";=1', '"=1"', ",", ";", "a,b", "a;b", 'a"b',
        "a,b\nc", "\n", "\r\n", "#REF!", "=", "+", "@", "=1\n=2", "%=1", "SEP=;", "-2+3+cmd|' /C calc'!A0",
        "\u2212" + "1", "\t", "\ta", "\r", "\ra",
    ),
    "terminals": (
        "\x1b[2J", "\x1b[H", "\x1b[31mred", "\x1b]8;;http://x.invalid\x1b\\y\x1b]8;;\x1b\\", "\x1b]52;c;eA==\x07",
        "\x1b]0;t\x07", "\x9b2J", "\x9d8;;x\x9c", "\x07", "a\x08\x08b", "a\rb", "\x1b[6n", "\x1bP+q544e\x1b\\", "\x0e",
        "\x1b[?1049h", "\x1bc", "\x1b[1A\x1b[2K", "\x1b", "\x1b[", "\x90x\x9c", "\x1b]4;1;?\x07", "\x1b[20t", "a\x7fb",
        "\x1b[8m", "^[[2J", "\\x1b[2J",
    ),
    "windows": (
        "CON", "con", "PRN", "AUX", "NUL", "nul", "CONIN$", "CONOUT$", "CLOCK$", "aux.txt", "nul.", "con.jsonl",
        "COM\u00b9", *(f"{port}{number}" for port in ("COM", "LPT") for number in range(1, 10)), "a<b", "a>b", "a*b",
        "a?b", "desktop.ini", "Thumbs.db", "a::$DATA", "LPT0",
    ),
    "globs": (
        "*", "**", "?", "[a]", "[!a]", "[^a]", "{a,b}", "[", "]", "[]", "a*", "*a", "*.parquet", "!", "!a", "\\*", "{",
        "}", "[[]", "[a-z]", "{a..c}", "**/*", "?(a)", "+(a)", "@(a)", "[*]", "a[1]", "$", "^", "^a$", "(a|b)", ".*",
        "a{1}",
    ),
    "folder keys": (
        "label=x", "profile=balanced", "label=", "a=b", "=", "==", "=a", "a=", "profile=a/label=b",
        "__hive_default_partition__", NULL_FOLDER, f"{NULL_FOLDER} ", f" {NULL_FOLDER}", "_HIVE_DEFAULT_PARTITION_",
        "%5F_HIVE_DEFAULT_PARTITION__", "%2F", "%2f", "%252F", "%", "%%", "%25", "%G1", "%0", "%00", "%u0041", "%41",
        "a%", "+", "a+b", "%20", "%C3%A9", "%c3", "any", "schema", "NULL", "null", "Null", "nUlL", "nuLL", "%4EULL",
        "None", "nil", "undefined", "N/A", "NA", "n/a", "",
    ),
    "numbers": (
        "nan", "NaN", "inf", "-inf", "Infinity", "true", "false", "True", "FALSE", "yes", "no", "on", "off", "0", "-0",
        "1", "01", "001", "-1", "+1", "1.0", "1.", ".5", "1e5", "1E+05", "1e400", "1_000", "1,5", "0x10", "0b1", "0o7",
        "9" * 30, "2026-11-01", "2026-11-01 00:00:00", "2026-11-01T00:00:00Z", "2026-13-45", "12:00", "1/2",
        "01/02/2026", " 1", "1 ", "\u0661", "\u0967", "\uff11", "\u2460", "\u00bd", "\U0001d7cf", "1\u00a0000",
        "\u22121", "18446744073709551616",
    ),
    "templates": (
        "%s", "%n", "%d%s%n", "%x", "{}", "{0}", "{x}", "{0.__class__}", "${HOME}", "$HOME", "$(id)", "`id`",
        "{{7*7}}", "#{7*7}", "${7*7}", "%{x}", "{{", "}}", "{profile}", "{repeat}", "\\n", "\\0", "\\x00", "\\u0041",
        "\\N{DIGIT ONE}", "!!python/object:x", "; rm -rf /", "&& id", "| cat", "> /tmp/x", "$IFS", "!!", "\n# x",
        "$'\\x41'", "<(id)", "\\1", "\\g<0>",
    ),
    "data formats": (
        '{"a":1}', "[1,2]", "{", "}", '"}', '\\"', '{"a":', "'''", '"""', "[a]", "a = 1", "#", "# x", "//x", "null,",
        "[[a]]", "__proto__", "constructor", "$ref", "$.a", "a.b", "a[0]", "[0]", "fills[0].x", "fills", "t", "extra",
        "a..b", "a.", "a[", "a]", "a[]", "a[b]", "a[0].b[1]", "fills.x", "---", "- a", "a: b", "&a", "*a", "<<", "? a",
        "\ufeff{}", '["a"]', '"a"',
    ),
}
# fmt: on


def _systematic() -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield what is made by rule: family -> strings."""
    controls = [chr(code) for code in (*range(32), *range(127, 160))]
    yield "control characters", tuple(text for c in controls for text in (c, f"a{c}b"))
    marks = [*range(0x200E, 0x2010), *range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x061C]
    yield "directions", tuple(text for c in map(chr, marks) for text in (c, f"a{c}b", f"{c}gpj.exe"))
    unseen = [*range(0x200B, 0x200E), *range(0x2060, 0x2065), *range(0xFE00, 0xFE10, 5), *range(0x206A, 0x2070)]
    unseen += [0xAD, 0x34F, 0x115F, 0x1160, 0x17B4, 0x180B, 0x180E, 0x2800, 0x3164, 0xFEFF, 0xFFA0, 0xFFF9, 0xFFFC]
    unseen += [0x2028, 0x2029, 0xE0001, 0xE0041, 0xE0100, 0x1D173]
    yield "invisible characters", tuple(text for c in map(chr, unseen) for text in (c, f"a{c}b"))
    blanks = [chr(code) for code in range(0x3001) if chr(code).isspace()]
    yield "white space", tuple(text for c in blanks for text in (f"{c}a", f"a{c}"))
    yield "punctuation", tuple(text for c in string.punctuation for text in (c, f"a{c}b"))
    composed = "\u00e9\u00c5\u1e69\ud55c\u01d5\u0958\u1e9b\u0390"
    forms = [unicodedata.normalize(form, c) for c in composed for form in ("NFC", "NFD", "NFKC", "NFKD")]
    same = (
        "\u212b",
        "\u2126",
        "\u03a9",
        "\u212a",
        "K",
        "\ufb01",
        "fi",
        "\u00b2",
        "2",
        "s\u0323\u0307",
        "s\u0307\u0323",
    )
    yield "normal forms", (*forms, *same)
    yield (
        "combining marks",
        ("\u0301", "a\u0301\u0302\u0303", *("e" + "\u0301" * n for n in (2, 9, 40)), "\u0301a", "\u20dd"),
    )
    yield (
        "long",
        ("x" * 248, "x" * 249, "x" * 250, "x" * 255, "x" * 4096, "\u00e9" * 41 + "end", "\u00e9" * 42, *_long()),
    )
    yield "surrogates", SURROGATES


def _long() -> Iterator[str]:
    """Yield the longest that fits a folder name, percent-encoded, and one more of each."""
    for character, most in (
        ("%", 83),
        (" ", 83),
        ("\U0001f600", 20),
        ("\u6f22", 27),
        ("\x00", 83),
        ("/", 83),
        ("~", 249),
    ):
        yield character * most
        yield character * (most + 1)


FAMILIES: Final[Mapping[str, tuple[str, ...]]] = {**_WORDS, **dict(_systematic())}
STRINGS: Final = tuple(dict.fromkeys(text for family in FAMILIES.values() for text in family))


def is_unicode(text: str) -> bool:
    """Tell whether a text is whole: half a surrogate pair has no UTF-8."""
    return not any(0xD800 <= ord(c) <= 0xDFFF for c in text)


def why_no_key(key: str, text: str) -> str | None:
    """Return why a text can be no folder key, by the rules as they are stated; None for one that can."""
    if not text:
        return "is empty"
    if text == NULL_FOLDER:
        return "means null to every reader"
    if not is_unicode(text):
        return "is not valid Unicode"
    plain = string.ascii_letters + string.digits + "_.-~"
    room = 255 - len(f"{key}=")
    needed = sum(1 if chr(byte) in plain else 3 for byte in text.encode())
    return f"needs {needed} bytes in a folder name, the limit is {room}" if needed > room else None


def names_file(text: str) -> bool:
    """Tell whether a file `<text>.jsonl` and its sidecar may exist on Linux."""
    # The name of its sidecar lacks this ending too.
    if text.endswith(".ndjson"):
        return False
    return is_unicode(text) and not set(text) & {"/", "\0"} and len(f"{text}.run.json".encode()) <= 255
