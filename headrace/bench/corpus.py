"""Documents to measure with: text of our own making, the same bytes for the same seed."""

import random
from pathlib import Path
from typing import Final

CHUNKS_EACH: Final = 20
"""About so many chunks of 200 tokens, with an overlap of 20, in one document."""

_SECTIONS: Final = 4
_PARAGRAPHS: Final = 13  # a section
_SENTENCES: Final = (2, 4)  # a paragraph: about 290 characters
_WORDS: Final = (9, 21)  # a sentence
_FOLDER_DOCUMENTS: Final = 100

_VOCABULARY: Final = tuple(
    str.split("""
    archive arrow balance barrel basin batch beacon bearing bell bench border bottle bracket
    branch bridge bucket buffer cable canal candle carriage cellar channel circle clock column
    copper corner counter cradle crystal current curve delta depth distance door drift edge engine
    fabric fathom fence field filter flame floor flow forest frame garden gate gauge glass grain
    gravel grid handle harbour harvest hinge horizon island journey junction keeper kettle ladder
    lantern ledger lever library limit lock machine margin market meadow measure mill mirror moment
    mountain needle notch number orbit orchard outlet paddle paper passage path pattern pebble
    pendulum pier pipe pivot plank plate pocket pond pressure pulley quarry quarter queue rail
    ratio reading reservoir ridge ring river rope rudder sail sample scale season shaft shelf
    shore signal slope sluice spring stable station stone stream surface switch table tank thread
    threshold tide timber tower track turbine valley valve vessel village voyage wall water wedge
    weight wheel window winter wire workshop yard
    carries checks closes counts crosses drains empties feeds fills follows gathers guides holds
    keeps lifts lowers marks meets moves opens passes pushes raises reaches records rests returns
    rises settles shapes slows splits steadies stores turns
    brief bright broad calm clear cold deep dry early even faint final firm full heavy hollow
    inner late level light long low narrow new old open outer pale plain quick quiet round sharp
    short slow small smooth steady steep thin upper warm wide
    above across after against along around before behind below beside between beyond by for from
    in into near of on over through to toward under until upon with without
    a and but each every many most no one some that the then this when where while
    """)
)


def document(number: int) -> str:
    """Write the document of this number: Markdown of about 15,000 characters."""
    # Seeded by a string: that is the same on every version and machine.
    draw = random.Random(f"headrace bench document {number}")  # noqa: S311 - no secret
    lines = [f"# {_title(draw)} {number}"]
    for _ in range(_SECTIONS):
        lines.append(f"## {_title(draw)}")
        lines.extend(_paragraph(draw) for _ in range(_PARAGRAPHS))
    return "\n\n".join(lines) + "\n"


def write_documents(folder: Path, count: int) -> None:
    """Write documents 0 to ``count - 1`` as files below a folder, 100 to a folder."""
    for number in range(count):
        inner = folder / f"{number // _FOLDER_DOCUMENTS:04}"
        inner.mkdir(parents=True, exist_ok=True)
        (inner / f"{number:06}.md").write_text(document(number), encoding="utf-8")


def _title(draw: random.Random) -> str:
    return " ".join(draw.choices(_VOCABULARY, k=3)).capitalize()


def _paragraph(draw: random.Random) -> str:
    return " ".join(_sentence(draw) for _ in range(draw.randint(*_SENTENCES)))


def _sentence(draw: random.Random) -> str:
    words = draw.choices(_VOCABULARY, k=draw.randint(*_WORDS))
    return " ".join(words).capitalize() + "."
