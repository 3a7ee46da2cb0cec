"""Documents that Milvus holds and the ledger does not know: is a version of them whole?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from contract.ids import chunk_id
from contract.ledger.rebuilding import Adoption
from headrace.verify.grouping import Held
from headrace.verify.keys import key_of
from headrace.verify.rows import Facts, Rows


@dataclass(frozen=True, slots=True)
class Stranger:
    """A document that the ledger does not know."""

    held: Held
    adoption: Adoption
    """With version 0 when no version is whole."""

    def other_ids(self) -> list[str]:
        """Name the rows of all versions but the adopted one."""
        return [
            chunk_id(self.held.document_id, version, ordinal)
            for version, ordinals in self.held.versions.items()
            if version != self.adoption.version
            for ordinal in ordinals
        ]


async def strangers(rows: Rows, held: Sequence[Held]) -> list[Stranger]:
    """Read what the rows of these documents say of themselves.

    Documents whose rows have gone meanwhile are left out.
    """
    first = {
        (item.document_id, version): chunk_id(item.document_id, version, min(ordinals))
        for item in held
        for version, ordinals in item.versions.items()
    }
    facts = await rows.facts(first.values())
    found = []
    for item in held:
        known = {
            version: facts[first[item.document_id, version]]
            for version in item.versions
            if first[item.document_id, version] in facts
        }
        if known:
            found.append(Stranger(item, _adoption(item, known)))
    return found


def _adoption(held: Held, facts: Mapping[int, Facts]) -> Adoption:
    """Take the newest version of which every row is there."""
    newest = facts[max(facts)]
    whole = [
        version
        for version, fact in facts.items()
        if fact.document_id == held.document_id
        and fact.version == version
        and fact.chunk_count > 0
        and held.is_whole(version, fact.chunk_count)
    ]
    key = key_of(newest.source, newest.path, held.document_id)
    if not whole:
        return Adoption(
            document_id=held.document_id, source=newest.source, key_bytes=key, has_others=True
        )
    fact = facts[max(whole)]
    return Adoption(
        document_id=held.document_id,
        source=fact.source,
        key_bytes=key_of(fact.source, fact.path, held.document_id),
        content_hash=fact.content_hash,
        version=max(whole),
        chunk_count=fact.chunk_count,
        has_others=len(held.versions) > 1,
    )
