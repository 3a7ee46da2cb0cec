"""Promises of the replay desk: nothing happens without the token."""

from collections.abc import Mapping

import orjson
import pytest

from contract.errors import UnreachableError
from contract.settings import Settings, load_settings
from contract.side_door import Request
from headrace.exporter.replay_desk import MOST_DOCUMENTS, ReplayDesk

BODY = orjson.dumps({"documents": [{"collection": "b", "id": "2"}, {"collection": "a", "id": "1"}]})
RIGHT = "Bearer sésame"


class Replayer:
    """Remembers what it was asked for."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.asked: list[tuple[str, frozenset[str]]] = []

    def __call__(self, _: Settings, collection: str, ids: frozenset[str]) -> Mapping[str, int]:
        """Take note."""
        self.asked.append((collection, ids))
        if collection == "away":
            raise UnreachableError("Redis at r:6379 can't be reached")
        return {"replayed": len(ids), "pending": 0, "outdated": 1, "refused": 0}


def _post(body: bytes = BODY, **headers: str) -> Request:
    given = {"authorization": RIGHT, "content-type": "application/json"}
    given |= {name.replace("_", "-"): value for name, value in headers.items()}
    # As the HTTP server gives them.
    sent = {name: value.encode().decode("latin-1") for name, value in given.items()}
    return Request("POST", "/replay", "", sent, body)


def _desk(token: str | None = "sésame") -> tuple[ReplayDesk, Replayer]:  # noqa: S107 - for tests
    replayer = Replayer()
    return ReplayDesk(load_settings({}, status_token=token), replayer), replayer


def test_the_right_token_has_documents_replayed() -> None:
    """Those that were chosen, by collection; what became of them is said."""
    desk, replayer = _desk()
    code, said = desk.answer(_post())
    assert code == 200
    assert replayer.asked == [("a", frozenset({"1"})), ("b", frozenset({"2"}))]
    assert said["replayed"] == 2
    assert said["said"] == "2 on their way, 2 changed since, and forgotten"


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer ", "Bearer sesame", "Bearer sésam", "Basic sésame", "sésame",
     "Bearer sésame "],
)  # fmt: skip
def test_any_other_is_refused(header: str) -> None:
    """Nothing is replayed, and the answer tells nothing of the token."""
    desk, replayer = _desk()
    code, said = desk.answer(_post(authorization=header))
    assert (code, said) == (403, {"said": "wrong token"})
    assert replayer.asked == []


@pytest.mark.parametrize("header", ["", "Bearer ", "Bearer None", RIGHT])
@pytest.mark.parametrize("token", [None, ""])
def test_without_a_token_nobody_may(token: str | None, header: str) -> None:
    """Also not with an empty one."""
    desk, replayer = _desk(token)
    assert not desk.is_open
    assert desk.answer(_post(authorization=header))[0] == 403
    assert replayer.asked == []


def test_a_form_of_another_page_is_refused() -> None:
    """It can send only content types that need no leave; and no such header."""
    desk, replayer = _desk()
    for content_type in ("", "text/plain", "application/x-www-form-urlencoded"):
        assert desk.answer(_post(content_type=content_type))[0] == 415
    assert replayer.asked == []
    assert desk.answer(_post(content_type="application/json; charset=utf-8"))[0] == 200


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"documents": [1]}',
        b'{"documents": []}',
        b'{"documents": [{"id": "x"}]}',
    ],
)
def test_what_is_no_list_of_documents_is_refused(body: bytes) -> None:
    """Nothing, in particular, never means all."""
    desk, replayer = _desk()
    assert desk.answer(_post(body))[0] == 400
    assert replayer.asked == []


def test_there_is_a_limit() -> None:
    """Of documents at once."""
    desk, _ = _desk()
    many = [{"collection": "a", "id": str(number)} for number in range(MOST_DOCUMENTS + 1)]
    assert desk.answer(_post(orjson.dumps({"documents": many})))[0] == 400
    assert desk.answer(_post(orjson.dumps({"documents": many[1:]})))[0] == 200


def test_trouble_is_told_and_the_desk_stays_open() -> None:
    """A server that is away is no secret; the next one may try again."""
    desk, _ = _desk()
    away = orjson.dumps({"documents": [{"collection": "away", "id": "1"}]})
    assert desk.answer(_post(away)) == (502, {"said": "Redis at r:6379 can't be reached"})
    assert desk.answer(_post())[0] == 200


def test_one_at_a_time() -> None:
    """Whoever comes meanwhile is asked to come again."""
    codes = []

    def replayer(*_: object) -> Mapping[str, int]:
        codes.append(desk.answer(_post())[0])
        return {}

    desk = ReplayDesk(load_settings({}, status_token="sésame"), replayer)  # noqa: S106 - likewise
    assert desk.answer(_post())[0] == 200
    assert codes == [409, 409]
