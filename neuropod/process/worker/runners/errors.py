"""What is wrong with a model or its answer, in words that need no more beside them."""

__all__ = ["NeuropodError", "said"]

MOST_CHARACTERS = 600


class NeuropodError(ValueError, RuntimeError):
    """Named as perceptum's own: the parent raises it with the same words."""


def said(error: BaseException) -> str:
    """Returns an error's kind and what it says, on one line."""
    try:
        text = " ".join(str(error).split())
    # an error of others may raise one where it should say what it is
    except Exception:
        text = ""
    if len(text) > MOST_CHARACTERS:
        text = "{} ... {}".format(text[: MOST_CHARACTERS // 2], text[-MOST_CHARACTERS // 2 :])
    kind = type(error).__name__
    return "{}: {}".format(kind, text) if text else kind
