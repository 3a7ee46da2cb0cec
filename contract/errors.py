"""Every error that headrace raises on purpose, in one tree.

HeadraceError
├── UsageError                    wrong use or configuration; nothing was started   exit 2
│   ├── SettingsError             one or more settings are wrong, all of them named
│   └── CollectionMismatchError   a collection holds another schema or model
├── TransientError                the same call may succeed later
│   ├── UnreachableError          a server does not answer                          exit 3
│   ├── TimedOutError             a call took longer than allowed; outcome unknown
│   ├── ThrottledError            the other side asked to slow down
│   ├── EmbeddingDeniedError      the endpoint refuses the key or the model, not the texts
│   └── CollectionGoneError       a collection that was open has been dropped
├── LeaseLostError                another worker has this batch; drop it
├── GuardError                    a guard stopped what might not be meant           exit 4
├── CancelledJobError             someone cancelled the job                         exit 4
└── PermanentError                the same input will fail again
    ├── BatchDecodeError          a payload is broken or of an unknown version
    ├── DocumentError             one document can't be read, parsed or split
    ├── EmbeddingRefusedError     the endpoint refuses these texts
    ├── EmbeddingReplyError       the endpoint's reply can't be used
    ├── StoreRejectedError        Milvus refuses these rows
    └── KillsWorkersError         worker processes end when they work on this chunk

Foreign errors are translated once, where they enter (the adapters in ``worker`` and
``contract.ledger``), most specific first, with ``raise ... from``. Errors carry what a
caller needs as attributes and survive pickling.
"""


class HeadraceError(Exception):
    """Root of the tree; never raised itself."""


class UsageError(HeadraceError):
    """Wrong use or configuration; nothing was started."""


class SettingsError(UsageError):
    """One or more settings are wrong.

    Attributes:
        problems: one line for each wrong setting, without secret values.
    """

    def __init__(self, problems: tuple[str, ...]) -> None:
        """Keep every problem, so that all are reported together."""
        super().__init__(problems)
        self.problems = problems

    def __str__(self) -> str:
        """Give one problem a line."""
        return "wrong settings:\n" + "\n".join(f"  {problem}" for problem in self.problems)


class CollectionMismatchError(UsageError):
    """A collection exists with another schema, model, revision or dimension."""


class TransientError(HeadraceError):
    """The same call may succeed later.

    Attributes:
        retry_after_seconds: how long the other side asked to wait, or None.
        status: of the HTTP answer; 0 where there was none.
    """

    def __init__(
        self, message: str, retry_after_seconds: float | None = None, status: int = 0
    ) -> None:
        """Keep what the other side said about when to come back."""
        super().__init__(message, retry_after_seconds, status)
        self.message = message
        self.retry_after_seconds = retry_after_seconds
        self.status = status

    def __str__(self) -> str:
        """Give the message alone."""
        return self.message


class UnreachableError(TransientError):
    """A server does not answer; the message names its address, never its password."""


class TimedOutError(TransientError):
    """A call took longer than allowed; whether it had an effect is unknown."""


class ThrottledError(TransientError):
    """The other side asked to slow down (429, quota)."""


class EmbeddingDeniedError(TransientError):
    """The endpoint refuses the key, the account or the model.

    No text is to blame, and once someone has mended the configuration the same call
    succeeds: batches wait for that instead of becoming dead letters.
    """


class CollectionGoneError(TransientError):
    """A collection that was open has been dropped; it is to be opened, or made, anew."""


class LeaseLostError(HeadraceError):
    """Another worker has this batch now; whatever this one still holds is to be dropped."""


class GuardError(HeadraceError):
    """A guard stopped before something that may not be meant; the message says how to go on."""


class CancelledJobError(HeadraceError):
    """Someone cancelled the job; what was not through keeps the version before."""


class PermanentError(HeadraceError):
    """The same input will fail again."""


class BatchDecodeError(PermanentError):
    """A batch's payload is broken or of an unknown version.

    Attributes:
        payload: the bytes that could not be decoded, kept for a dead letter.
    """

    def __init__(self, message: str, payload: bytes) -> None:
        """Keep the bytes that failed."""
        super().__init__(message, payload)
        self.message = message
        self.payload = payload

    def __str__(self) -> str:
        """Give the message and the size, not the bytes."""
        return f"{self.message} ({len(self.payload)} bytes)"


class DocumentError(PermanentError):
    """One document can't be read, parsed or split.

    Attributes:
        reason: a short word from a closed set, used as a label in counts.
    """

    def __init__(self, reason: str, message: str) -> None:
        """Keep the reason apart from the prose."""
        super().__init__(reason, message)
        self.reason = reason
        self.message = message

    def __str__(self) -> str:
        """Give the prose alone."""
        return self.message


class EmbeddingRefusedError(PermanentError):
    """The embedding endpoint refuses these texts."""


class EmbeddingReplyError(PermanentError):
    """The embedding endpoint's reply can't be used: count, order, dimension or values."""


class StoreRejectedError(PermanentError):
    """Milvus refuses these rows."""


class KillsWorkersError(PermanentError):
    """Worker processes end when they work on this chunk, though they have nothing else in hand."""
