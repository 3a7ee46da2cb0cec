"""What is taken of an HTML page."""

import pytest

from contract.errors import DocumentError
from producers.document import Reason
from producers.parsing import html
from producers.parsing.formats import (
    HTML,
    MARKDOWN,
    RESTRUCTUREDTEXT,
    TEXT,
    Parser,
    parse,
    parse_with,
    parser_for_type,
)

_PAGE = """<!doctype html><html><head><title>Install &mdash; Docs</title>
<script>var x = "<p>no</p>"</script><style>p {}</style></head><body>
<header><h1>The site</h1></header><nav><a href=x>Home</a></nav>
<main><header><h1>Install<a class="headerlink" href="#i">¶</a></h1></header>
<p>First <b>bold</b> text,
 wrapped.<br>Second line.</p><p hidden>unseen</p>
<h2>Steps</h2><ul><li>One<li>Two <p>more</p></ul>
<pre><code>pip  install x
  y</code></pre><table><tr><th>a<th>b<tr><td>1<td>2</table></main>
<footer>(c)</footer></body></html>"""


def test_the_main_text_with_its_headings() -> None:
    """Without navigation, frame, scripts and what is hidden; of code the layout is kept."""
    reading = html.read(_PAGE)
    assert reading.title == "Install — Docs"
    assert reading.text == (
        "Install\n\nFirst bold text, wrapped.\nSecond line.\n\nSteps\n\n- One\n- Two\nmore\n\n"
        "pip  install x\n  y\n\na | b\n1 | 2"
    )
    assert [(h.level, h.title) for h in reading.outline] == [(1, "Install"), (2, "Steps")]
    assert all(reading.text[h.start :].startswith(h.title) for h in reading.outline)


@pytest.mark.parametrize(
    ("page", "text"),
    [
        ("<p>a<p>b", "a\n\nb"),
        ("no tags &lt;at all&gt;", "no tags <at all>"),
        ("<header>x</header><p>a</p><aside>y</aside><div role=navigation>z</div>", "a"),
        ("<p>out</p><article><header>by</header><p>in</p></article>", "by\n\nin"),
        ("<div>a<script>if (1 < 2) '</p>'</script>b</div>", "ab"),
        ("<nav><p>never closed", ""),
        ("<p>one</b></i></div> two", "one two"),
        ("<title>t</title><svg><title>icon</title></svg>", ""),
        ("<p>zero\0byte", "zero�byte"),
    ],
)
def test_broken_and_bare_pages(page: str, text: str) -> None:
    """Whatever is there is read as a browser would."""
    assert html.read(page).text == text


@pytest.mark.parametrize(
    "page", ["<div>" * 200_000, "<b>" * 200_000 + "x", "<div>" * 100_000 + "</span>" * 100_000]
)
def test_no_depth_takes_time_or_memory(page: str) -> None:
    """They would be looked through again for each end tag: 100,000 take minutes."""
    with pytest.raises(DocumentError) as caught:
        html.read(page)
    assert caught.value.reason == Reason.MALFORMED


def test_elements_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """50 MB of tags would take a minute."""
    monkeypatch.setattr(html, "MOST_ELEMENTS", 1_000)
    assert html.read("<p>" * 500).text == ""
    with pytest.raises(DocumentError):
        html.read("<p>" * 1_001)


@pytest.mark.parametrize(
    ("data", "charset", "text"),
    [
        ("<p>Grüße".encode(), "", "Grüße"),
        ("<meta charset=cp1252><p>Grüße".encode("cp1252"), "", "Grüße"),
        ("<meta charset=utf-8><p>Мельница".encode("koi8-r"), "koi8-r", "Мельница"),
        ("<p>水車小屋".encode("shift_jis"), "shift_jis", "水車小屋"),
        ("<p>Grüße".encode("utf-16-le"), "utf-16-le", "Grüße"),
        ("<p>“so”".encode("cp1252"), "iso-8859-1", "“so”"),
        ("<p>Grüße".encode(), "us-nonsense", "Grüße"),
        ("<p>Grüße".encode(), "punycode", "Grüße"),
    ],
)
def test_the_encoding_is_as_declared(data: bytes, charset: str, text: str) -> None:
    """By the server, else by the page; what is no encoding of texts is passed over."""
    assert parse_with(HTML, "a", b"a", data, charset).text == text


def test_a_page_without_text_has_none() -> None:
    """Such as one that scripts would fill."""
    with pytest.raises(DocumentError) as caught:
        parse("a.html", b"a.html", b"<div id=app></div><script>run()</script>")
    assert caught.value.reason == Reason.EMPTY


@pytest.mark.parametrize(
    ("kind", "path", "parser"),
    [
        ("text/html", "/a.md", HTML),
        ("application/xhtml+xml", "/", HTML),
        ("text/markdown", "/a", MARKDOWN),
        ("text/plain", "/a.md", MARKDOWN),
        ("text/plain", "/a.rst", RESTRUCTUREDTEXT),
        ("text/plain", "/a.html", TEXT),
        ("text/plain", "/a.jpeg", TEXT),
        ("", "/a.rst", RESTRUCTUREDTEXT),
        ("application/octet-stream", "/a.jpeg", None),
        ("application/pdf", "/a.txt", None),
    ],
)
def test_the_type_tells_the_parser(kind: str, path: str, parser: Parser | None) -> None:
    """The suffix only where the type tells too little."""
    assert parser_for_type(kind, path) is parser
