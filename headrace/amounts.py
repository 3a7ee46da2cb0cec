"""Numbers and ages for people. Pure."""


def counted(number: int, noun: str) -> str:
    """Write a number of things: ``1 batch``, ``2,000 batches``."""
    plural = f"{noun}es" if noun.endswith("ch") else f"{noun}s"
    return f"{number:,} {noun if number == 1 else plural}"


def age_text(seconds: float) -> str:
    """Write how long something lasts: ``4 s``, ``3 min``, ``2 h 5 min``."""
    whole = round(seconds)
    if whole < 60:  # noqa: PLR2004 - s
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:  # noqa: PLR2004 - min
        return f"{minutes} min {rest} s" if minutes < 10 and rest else f"{minutes} min"  # noqa: PLR2004
    hours, minutes = divmod(minutes, 60)
    if hours < 24:  # noqa: PLR2004 - h
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h" if hours else f"{days} d"
