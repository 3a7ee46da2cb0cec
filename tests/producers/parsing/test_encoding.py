"""From bytes of any encoding to clean text."""

import os
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.errors import DocumentError
from producers.document import Reason
from producers.parsing.encoding import decode

GERMAN = "Grüße aus Köln: Äpfel, Öl und süße Brötchen kosten 5 € im Café.\n"
RUSSIAN = "Сегодня хорошая погода, и мы идём гулять в большой парк.\n"
JAPANESE = "日本語の文章です。今日はとても良い天気ですね。\n"
CHINESE = "中文文章测试,今天天气很好,我们去公园散步。\n"


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r\ufeff")))
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_text_with_a_mark_comes_back(encoding: str, text: str) -> None:
    """A byte order mark decides, whatever follows, and is not part of the text."""
    assert decode(text.encode(encoding)) == text


def test_big_endian_marks_are_known() -> None:
    """Both byte orders have their mark."""
    assert decode(b"\xfe\xff\x00A") == "A"
    assert decode(b"\x00\x00\xfe\xff\x00\x00\x00A") == "A"


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (GERMAN, "utf-8"),
        (GERMAN, "cp1252"),
        ("The price is £5.\n", "cp1252"),
        ("café", "latin-1"),
        (RUSSIAN * 3, "cp1251"),
        (RUSSIAN * 3, "koi8-r"),
        (JAPANESE * 3, "shift_jis"),
        (JAPANESE * 3, "euc_jp"),
        (CHINESE * 3, "gb18030"),
        ("x = 1  # plain\n" * 20_000 + GERMAN + "y = 2\n" * 20_000, "cp1252"),
        (CHINESE.strip() * 5_000, "gb18030"),
    ],
)
def test_legacy_encodings_are_recognised(text: str, encoding: str) -> None:
    """The usual ones are found, also where only the middle of the file tells."""
    assert decode(text.encode(encoding)) == text


def test_newlines_become_one_kind() -> None:
    r"""Windows' and old Macintosh's line ends become \n."""
    assert decode(b"a\r\nb\rc\n\r\nd") == "a\nb\nc\n\nd"


@pytest.mark.parametrize(
    "data",
    [
        b"\x7fELF\x02\x01\x01\0\0\0",
        b"text and then \0",
        b"%PDF-1.7\n1 0 obj <<>> endobj",
        bytes(range(1, 32)) * 10,
        "text\0".encode("utf-16"),
        "no mark".encode("utf-16-le"),
    ],
)
def test_binary_data_is_refused_as_such(data: bytes) -> None:
    """NUL bytes, many control characters and PDF are no text."""
    with pytest.raises(DocumentError) as caught:
        decode(data)
    assert caught.value.reason is Reason.BINARY


@pytest.mark.parametrize(
    "data",
    [
        b"\xff\xfeA",
        "😀".encode("utf-16")[:4],
        b"\xef\xbb\xbf\xff",
        b"\xff\xfe\x00\xd8\x41\x00",
        (RUSSIAN.encode() * 10) + b"\xd0",
        GERMAN.encode() * 10 + GERMAN.encode("latin-1", "ignore")[:4] + GERMAN.encode() * 10,
        bytes(range(128, 256)) * 4,
    ],
)
def test_broken_text_is_undecodable(data: bytes) -> None:
    """Damaged UTF-8 is not taken for something else, and a mark binds."""
    with pytest.raises(DocumentError, match="byte") as caught:
        decode(data)
    assert caught.value.reason is Reason.UNDECODABLE


def test_ansi_colours_are_text() -> None:
    """A log with escape sequences is no binary file."""
    line = "\x1b[31merror\x1b[0m\n"
    assert decode(line.encode() * 3) == line * 3


@given(st.binary(max_size=200))
def test_any_bytes_give_clean_text_or_a_document_error(data: bytes) -> None:
    """No NUL, no carriage return, no lone surrogate, no foreign exception."""
    try:
        text = decode(data)
    except DocumentError as error:
        assert error.reason in {Reason.BINARY, Reason.UNDECODABLE}  # noqa: PT017 - either may come
    else:
        assert "\0" not in text
        assert "\r" not in text
        text.encode()


def test_detection_looks_at_a_sample_only() -> None:
    """20 MB of legacy text, and of noise, are decided in about a second."""
    legacy = GERMAN.encode("cp1252") * 320_000
    noise = os.urandom(65_536).replace(b"\0", b"\1") * 320
    start = time.perf_counter()
    assert decode(legacy).count("Köln") == 320_000
    with pytest.raises(DocumentError):
        decode(noise)
    assert time.perf_counter() - start < 5
