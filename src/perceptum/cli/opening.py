"""Opens what LOG names, by one rule for all commands.

LOG is a log, a folder that holds logs, or a dataset's split, LOG:split=val. Commands that take any number of logs take
all that lie there. Those that take one take the one there is. Of several, a command that shows one frame or measures
takes the first and says which; one that goes through a log from end to end does not take a part of what was named, and
asks for one by name.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

from perceptum.errors import LogError, NotALog, UsageError
from perceptum.plural import counted

from .named import is_a_package
from .output import say

if TYPE_CHECKING:
    from perceptum.inputs import Dataset, Log

__all__ = [
    "check_named",
    "check_whole",
    "open_any",
    "open_first",
    "open_logs",
    "open_named",
    "open_one",
    "place_of_one",
    "typed",
]

OnBad = Literal["raise", "skip"]
_SHOWN = 3


def open_named(log: str, on_error: OnBad = "raise") -> Log:
    """Opens the log that was named; an impossible option of it is a UsageError, spelled as it is typed."""
    from perceptum.datasets import open_log
    from perceptum.inputs import BadOption

    with typed(log):
        try:
            return open_log(log, on_error=on_error)
        except BadOption:
            raise
        except NotALog as error:
            raise (is_a_package(log) or error) from error


def open_logs(logs: str | Sequence[str], on_error: OnBad = "raise", split: str | None = None) -> Dataset:
    """Opens all logs that were named, as one dataset: logs, roots of datasets, and splits of those, root:split=val.

    An impossible option is a UsageError, spelled as it is typed; so is a package in place of a log.
    """
    from perceptum.dataset import open_dataset
    from perceptum.inputs import BadOption, Dataset

    each = []
    for log in [logs] if isinstance(logs, str) else logs:
        check_named(log)
        with typed(log):
            try:
                each.append(open_dataset(log, split=split, on_error=on_error))
            except BadOption:
                raise
            except NotALog as error:
                raise (is_a_package(log) or error) from error
    return Dataset.of(each)


def open_any(log: str, split: str | None = None, on_error: OnBad = "raise") -> Log | Dataset:
    """Opens the log that was named, or all logs of the folder or the split that was."""
    from perceptum.datasets.collection import split_text

    check_named(log)
    with typed(log):
        text, split = split_text(log, split)
    if split is not None:
        return open_logs(text, on_error, split)
    try:
        return open_named(log, on_error)
    except (NotALog, UsageError) as error:
        try:
            return open_logs(log, on_error)
        except UsageError as of_all:
            # it lists the options of a whole dataset too
            raise (of_all if isinstance(error, UsageError) else error) from None
        except LogError:
            raise error from None


def open_first(log: str, on_error: OnBad = "raise") -> Log:
    """Opens a log to look at: the one that was named, or the first of those that were, which it says."""
    from perceptum.inputs import Log

    found = open_any(log, on_error=on_error)
    if isinstance(found, Log):
        return found
    chosen = _whole(log, found)
    if len(found.logs) > 1:
        say(
            f"{log}: holds {counted(len(found.logs), 'log')}, this is the first, {_place(found, 0)}; "
            f"perceptum info {log} lists them"
        )
    return chosen


def open_one(log: str, on_error: OnBad = "raise") -> Log:
    """Opens a log to go through: the one that was named, or the only one where that is a folder or a split.

    Raises UsageError that names some, and how each is opened, where there are several.
    """
    from perceptum.inputs import Log

    found = open_any(log, on_error=on_error)
    return found if isinstance(found, Log) else _only(log, found)


def place_of_one(log: str, on_error: OnBad = "raise") -> str:
    """Returns what `open_log` takes for the log that `open_one` opens."""
    from perceptum.inputs import Log

    found = open_any(log, on_error=on_error)
    if isinstance(found, Log):
        return log
    _only(log, found)
    return _place(found, 0)


def check_named(log: str) -> None:
    """Raises UsageError for an empty text, as a variable of a shell is that was not set: it would be this folder."""
    if not log.strip():
        raise UsageError("LOG is empty; name a folder, a recording or synthetic, and this folder as .")


def _only(log: str, dataset: Dataset) -> Log:
    if len(dataset.logs) > 1:
        some = ", ".join(_place(dataset, number) for number in range(min(len(dataset.logs), _SHOWN)))
        more = ", ..." if len(dataset.logs) > _SHOWN else ""
        logs = counted(len(dataset.logs), "log")
        raise UsageError(f"{log}: holds {logs}, wanted one: {some}{more}; perceptum info {log} lists them")
    return _whole(log, dataset)


def _place(dataset: Dataset, number: int) -> str:
    about = dataset.about(number)
    return about.place or about.name


def _whole(log: str, dataset: Dataset) -> Log:
    """Returns the first log; raises UsageError where only some of its frames were named."""
    check_whole(log, dataset)
    return dataset.logs[0]


def check_whole(log: str, dataset: Dataset) -> None:
    """Raises UsageError where a dataset is a split that chooses frames of its logs, and whole logs are wanted."""
    every = sum(dataset.about(number).frames for number in range(len(dataset.logs)))
    if len(dataset) != every:
        raise UsageError(
            f"{log}: is a split of {len(dataset)} of {counted(every, 'frame')}, wanted whole logs; leave the split out"
        )


@contextmanager
def typed(log: str) -> Iterator[None]:
    """Turns a bad option of the log into a UsageError that spells options as a command line does: LOG:scene=..."""
    from perceptum.inputs import BadOption

    try:
        yield
    except BadOption as error:
        from perceptum.datasets.options import split_options

        raise UsageError(error.typed(split_options(log)[0])) from error
