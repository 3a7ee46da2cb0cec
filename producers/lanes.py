"""The lanes of a job's batches: the first few go ahead of what others bring in bulk."""

from contract.lane import Lane
from contract.settings import Settings


class Lanes:
    """Chooses the lane of each batch of one job, in the order in which they are made.

    A small job is live as a whole without anybody choosing, and so is the beginning of a large
    one, which is what someone looks at first.
    """

    def __init__(self, settings: Settings) -> None:
        """Begin a job."""
        self._wish = settings.lane
        self._left = settings.live_batches

    def choose(self) -> Lane:
        """Give the lane of the next batch."""
        if self._wish != "auto":
            return Lane(self._wish)
        self._left -= 1
        return Lane.LIVE if self._left >= 0 else Lane.BULK
