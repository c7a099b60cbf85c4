"""Which names speak of secrets, and what is masked of settings, command lines and texts."""

from __future__ import annotations

import time

import pytest

from paraphina_wh.engine.knobs import KNOBS, PREFIX
from paraphina_wh.ledger import LEDGER
from paraphina_wh.masking import MASK, Masking, is_secret_name
from paraphina_wh.telemetry.shape import column_types


@pytest.mark.parametrize(
    "name",
    [
        *("PARAPHINA_API_KEY", "PARAPHINA_X_PRIVATE_KEY", "PARAPHINA_DB_PASSWORD", "AWS_SECRET_ACCESS_KEY"),
        *("apiKey", "APIKey", "apikey", "ApiKEY2", "api-key", "x.api.key", "KEY", "SIGNING_KEYS", "hmackey"),
        *("TOKEN", "GITHUB_TOKEN", "authToken", "accesstoken", "TOKENS_1", "clientSecret", "DBPASSWORD", "db_pass"),
        *("PASSPHRASE", "passwd", "MYSQL_PWD", "credentials", "Authorization", "auth", "cookie", "JWT", "MNEMONIC"),
        *("PRIVATE_NOTE", "PARAPHINA_KEY_FILE"),
    ],
)
def test_names_that_speak_of_secrets(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize(
    "name",
    [
        *("PARAPHINA_KEYFRAME", "PARAPHINA_HEDGE_K_HEDGE", "monkey", "MONKEY_RATE", "keyboard", "turkey", "hockey"),
        *("TOKENIZE", "TOKENIZER_SIZE", "passive", "BYPASS", "compass", "PASSES", "author", "privateer", "secretary"),
        *("seed", "signal", "assign", "plan_key", "K", "", "_", "0", "vol_ref", "run_id", "profile", "label"),
    ],
)
def test_names_that_only_look_alike(name: str) -> None:
    assert not is_secret_name(name)


def test_nothing_that_the_program_itself_writes_is_named_like_a_secret() -> None:
    ours = [*(PREFIX + knob for knob in KNOBS), *column_types(LEDGER)]
    assert [name for name in ours if is_secret_name(name)] == []


@pytest.mark.parametrize(
    ("words", "masked"),
    [
        (["engine", "--api-key", "SEKRET", "--ticks", "20"], ["engine", "--api-key", MASK, "--ticks", "20"]),
        (["engine", "--api-key=SEKRET", "-token", "SEKRET"], ["engine", f"--api-key={MASK}", "-token", MASK]),
        (["env", "API_KEY=SEKRET x", "VOL_REF=0.1"], ["env", f"API_KEY={MASK}", "VOL_REF=0.1"]),
        (["curl", "-H", "Authorization: Bearer SEKRET"], ["curl", "-H", f"Authorization: {MASK}"]),
        (["x", "postgres://me:SEKRET@host/db?a=1"], ["x", f"postgres://{MASK}@host/db?a=1"]),
        (["x", "https://host/a?api_key=SEKRET&n=1"], ["x", f"https://host/a?api_key={MASK}&n=1"]),
        (["sh", "-c", "cd x; TOKEN='SEKRET two' run --n 1"], ["sh", "-c", f"cd x; TOKEN={MASK} run --n 1"]),
        # Of one word nobody can tell where its value ends.
        (["sh", "-c", "TOKEN=SEKRET run --n 1"], ["sh", "-c", f"TOKEN={MASK}"]),
        (["x", '{"password": "SEKRET", "n": 1}'], ["x", f'{{"password": {MASK}, "n": 1}}']),
        (["x", "--private", "--ticks", "20"], ["x", "--private", "--ticks", "20"]),
        (["/opt/api-key/engine", "--profile", "balanced"], ["/opt/api-key/engine", "--profile", "balanced"]),
        (["x", "--keyframe", "3", "--tokenize=1"], ["x", "--keyframe", "3", "--tokenize=1"]),
    ],
)
def test_words_of_a_command_line(words: list[str], masked: list[str]) -> None:
    assert Masking().words(words) == masked


def test_a_value_seen_once_is_masked_wherever_it_stands() -> None:
    masking = Masking()
    assert masking.settings({"A_TOKEN": "SEKRET-1", "PIN_KEY": "1", "n": "0.5", "flag": "x"}) == {
        "A_TOKEN": MASK,
        "PIN_KEY": MASK,
        "n": "0.5",
        "flag": "x",
    }
    # A short value may be anything.
    assert masking.text("refused SEKRET-1 after 1 try") == f"refused {MASK} after 1 try"
    assert masking.names == ["A_TOKEN", "PIN_KEY"]


def test_masked_twice_is_masked_once() -> None:
    again = Masking()
    assert again.settings({"A_TOKEN": MASK}) == {"A_TOKEN": MASK}
    assert again.words(["x", f"--api-key={MASK}", "--token", MASK]) == ["x", f"--api-key={MASK}", "--token", MASK]
    assert again.names == []


@pytest.mark.parametrize("text", ["a" * 400_000, "a " * 200_000, "a:" * 200_000, "a" + " " * 400_000, "a://" * 100_000])
def test_long_texts_take_no_longer_than_they_are_long(text: str) -> None:
    began = time.process_time()
    Masking().text(text)
    assert time.process_time() - began < 20
