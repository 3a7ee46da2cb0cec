"""What is to be measured."""

import shlex
from dataclasses import dataclass

from contract.settings import address

MODEL = "headrace-bench"


@dataclass(frozen=True, slots=True)
class SeedOptions:
    """What is to be measured.

    Attributes:
        counts: how many operations; each is measured.
        rounds: how often.
        stored: documents that are in every collection all the time.
        latency_ms: what each request to the made-up embedding endpoint takes.
        dimensions: of its vectors.
        base_url: an OpenAI-compatible endpoint to use instead, or None.
        model: what that one is asked for.
        fresh: whether searches of headrace see all that was acknowledged before.
    """

    counts: tuple[int, ...] = (10, 100)
    rounds: int = 5
    stored: int = 1_000
    latency_ms: float = 50.0
    dimensions: int = 1_536
    base_url: str | None = None
    model: str = MODEL
    fresh: bool = False

    @property
    def command(self) -> str:
        """Spell the command that measures this, with everything that counts."""
        words = ["headrace", "bench", "seed", "--rounds", str(self.rounds)]
        for count in self.counts:
            words += ["--count", str(count)]
        words += ["--stored", str(self.stored)]
        if self.base_url is None:
            words += ["--latency-ms", f"{self.latency_ms:g}", "--dimensions", str(self.dimensions)]
        else:
            words += ["--base-url", address(self.base_url), "--model", self.model]
        return shlex.join([*words, *(["--fresh"] if self.fresh else [])])
