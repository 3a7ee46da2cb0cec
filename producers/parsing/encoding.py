"""From bytes of any encoding to clean text."""

import codecs
import re
from typing import Final

import charset_normalizer

from contract.errors import DocumentError
from producers.document import Reason

# The longer marks first: UTF-32's little-endian one begins with UTF-16's.
_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_SAMPLE_BYTES: Final = 65_536
_LONGEST_CHARACTER_BYTES: Final = 4
_CONTROLS: Final = bytes(code for code in range(32) if code not in b"\t\n\r\f\b\x1b") + b"\x7f"
_MAX_CONTROL_SHARE: Final = 0.1
_PDF: Final = b"%PDF-"  # The one common binary format that may go without a NUL byte.

# They need a mark, or give a meaning to any bytes at all.
_UNLIKELY: Final = ["utf_7", "utf_16", "utf_16_be", "utf_16_le", "utf_32", "utf_32_be", "utf_32_le"]
_COMMONEST: Final = "cp1252"
# Python's codecs for texts; others, such as punycode, are transformations, and may take for ever.
_DECLARABLE: Final = re.compile(
    r"utf-8|utf-16(?:-[lb]e)?|iso8859-\d+|cp\d+|koi8-[a-z]|mac-\w+|tis-620"
    r"|shift_jis\w*|euc_\w+|iso2022_\w+|johab|big5\w*|gb2312|gbk|gb18030|hz"
)
_UTF8_CHARACTER: Final = re.compile(
    rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}"
)
_BLANK: Final = re.compile(rb"[ \n]")
_DAMAGED_RATIO: Final = 3


def decode(data: bytes, declared: str = "") -> str:
    r"""Turn bytes into text with \n as its newline, without NUL and lone surrogates.

    A byte order mark decides; then what is declared, if all bytes are in it; then strict UTF-8;
    then charset-normalizer's guess from a sample around the first byte that isn't UTF-8, with
    which all bytes must decode.

    Args:
        data: the bytes.
        declared: the name of an encoding that is told beside them; empty: none is.

    Raises:
        DocumentError: it is binary, or no encoding fits.
    """
    text = _decode(data, _known(declared))
    if "\0" in text:
        raise DocumentError(Reason.BINARY, "it has NUL characters: it is no text")
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text


def _known(declared: str) -> str:
    """Give the codec of a declared encoding; empty if it is none that text is written in.

    As on the web, what calls itself Latin-1 or ASCII is Windows' encoding.
    """
    try:
        name = codecs.lookup(declared).name if declared else ""
    except (LookupError, ValueError):
        return ""
    if name in {"iso8859-1", "ascii"}:
        return _COMMONEST
    return name if _DECLARABLE.fullmatch(name) else ""


def _decode(data: bytes, declared: str) -> str:
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            try:
                return data.decode(encoding)
            except UnicodeDecodeError as error:
                raise DocumentError(
                    Reason.UNDECODABLE,
                    f"it begins with a mark of {encoding}, but byte {error.start} breaks its rules",
                ) from error
    if declared.startswith("utf-16"):
        try:
            return data.decode(declared)
        except UnicodeDecodeError:
            pass  # it may be anything then
    _require_text(data)
    if declared:
        try:
            return data.decode(declared)
        except UnicodeDecodeError:
            pass
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        return _guess(data, error.start)


def _require_text(data: bytes) -> None:
    if b"\0" in data:
        raise DocumentError(Reason.BINARY, "it has NUL bytes: it is no text")
    sample = data[:_SAMPLE_BYTES]
    controls = len(sample) - len(sample.translate(None, _CONTROLS))
    if data.startswith(_PDF) or controls > _MAX_CONTROL_SHARE * len(sample):
        raise DocumentError(Reason.BINARY, "its bytes are those of a binary format")


def _guess(data: bytes, bad: int) -> str:
    """Decode what is not UTF-8, whose first bad byte is at `bad`."""
    sample = _sample(data, bad)
    good = len(_UTF8_CHARACTER.findall(sample))
    refused = sample.decode("utf-8", "replace").count("\ufffd")
    # Mostly good UTF-8 is UTF-8 with damage; a guess would spoil all its good characters.
    cuts = range(_LONGEST_CHARACTER_BYTES) if good < _DAMAGED_RATIO * refused else ()
    for cut in cuts:  # The sample may end within a character.
        for encoding in _candidates(sample[: len(sample) - cut]):
            try:
                return data.decode(encoding)
            except UnicodeDecodeError:
                continue
    raise DocumentError(
        Reason.UNDECODABLE,
        f"byte {bad} (0x{data[bad]:02x}) is not UTF-8, and no other encoding fits: "
        "save the file as UTF-8",
    )


def _sample(data: bytes, bad: int) -> bytes:
    """Take the bytes around an offset, from blank to blank where there are any.

    No multi-byte encoding in use has a blank's byte inside a character.
    """
    start = max(0, bad - _SAMPLE_BYTES // 2)
    if start > 0 and (blank := _BLANK.search(data, start, bad)):
        start = blank.end()
    end = start + _SAMPLE_BYTES
    if end < len(data):
        blank_end = max(data.rfind(b" ", bad, end), data.rfind(b"\n", bad, end)) + 1
        end = blank_end or end
    return data[start:end]


def _candidates(sample: bytes) -> list[str]:
    """Give the encodings that charset-normalizer thinks likeliest, at most two.

    Where several are as likely (an English text with a few accents fits them all) it names the
    alphabetically first, so a pound sign becomes a Polish letter; we take the commonest.
    """
    matches = list(charset_normalizer.from_bytes(sample, cp_exclusion=_UNLIKELY))
    if not matches:
        return []
    best = matches[0]
    tied = any(
        (match.chaos, match.coherence) == (best.chaos, best.coherence)
        and _COMMONEST in match.could_be_from_charset
        for match in matches
    )
    return [_COMMONEST, best.encoding] if tied else [best.encoding]
