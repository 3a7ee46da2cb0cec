"""What the embedding cache has saved a job, for a person. Pure."""


def savings_text(chunks: int, tokens: int, usd: float | None) -> str:
    """Write what was saved; nothing where no vector came from the cache.

    Args:
        chunks: whose vectors came from the cache.
        tokens: that these had cost, as far as the endpoint told.
        usd: US dollars, None where no price is known.
    """
    if not chunks:
        return ""
    said = f"{chunks} from the embedding cache"
    if tokens:
        said += f", {tokens} tokens saved"
    return said + (f", about ${usd:.4f}" if usd else "")
