"""An evaluation as one HTML page that needs no other file: tables, curves, times, failures, the worst frames."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from math import isnan
from typing import TYPE_CHECKING, Any

from perceptum.plural import counted

from .charts import color, histogram, line_chart
from .record import SCORE

if TYPE_CHECKING:
    from .result import Evaluation

__all__ = ["MOST_WORST", "report"]

MOST_WORST = 3
"""Frames of each model on the page."""

_MOST_FAILURES = 200
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2em auto; max-width: 1200px; padding: 0 1em; color: #222; }
table { border-collapse: collapse; margin: 0.5em 0 1.5em; } td, th { padding: 3px 10px; border-bottom: 1px solid #ddd; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; } th { text-align: left; }
svg text { font: 10px system-ui, sans-serif; fill: #444; } svg .title { font-size: 12px; fill: #222; }
svg .plot { fill: #fafafa; stroke: #ccc; } .warn { background: #fff3d6; padding: 0.5em 1em; }
img { max-width: 100%; } .key { display: inline-block; width: 1em; height: 0.7em; margin: 0 0.3em 0 1em; }
"""


def report(evaluation: Evaluation, pictures: Mapping[int, bytes] | None = None) -> str:
    """Returns the page. pictures: PNG of frames, by the frame's number among all."""
    setup = evaluation.setup
    title = f"{setup.problem.title}: {', '.join(evaluation.models)}"
    colors = {name: color(number) for number, name in enumerate(evaluation.models)}
    parts = [
        f"<h1>{escape(title)}</h1>",
        f"<p>{escape(_frames_in_words(evaluation))}</p>",
        *_tables(evaluation),
        *_classes(evaluation),
        *_curves(evaluation, colors),
        *_times(evaluation, colors),
        *_worst(evaluation, pictures or {}),
        *_failures(evaluation),
        *_setup(evaluation),
    ]
    head = f'<meta charset="utf-8"/><title>{escape(title)}</title><style>{_STYLE}</style>'
    return f'<!DOCTYPE html>\n<html lang="en"><head>{head}</head><body>\n' + "\n".join(parts) + "\n</body></html>\n"


def _frames_in_words(evaluation: Evaluation) -> str:
    setup = evaluation.setup
    logs = ", ".join(log.name for log in setup.logs[:5])
    more = f" and {len(setup.logs) - 5} more" if len(setup.logs) > 5 else ""
    many = f"{counted(setup.frames.count, 'frame')} of {counted(len(setup.logs), 'log')}"
    return f"{many} of {setup.dataset}: {logs}{more}"


def _tables(evaluation: Evaluation) -> Iterable[str]:
    if evaluation.is_alike:
        yield f"<h2>Scores over {counted(evaluation.common_frames, 'frame')}</h2>"
        yield _table(evaluation.table())
    else:
        yield (
            f'<p class="warn">The models were not judged on the same frames. The first table is over the '
            f"{counted(evaluation.common_frames, 'frame')} on which all of them were: it compares like with like. The "
            "second has each over its own.</p>"
        )
        yield f"<h2>Scores over the {counted(evaluation.common_frames, 'frame')} that all share</h2>"
        yield _table(evaluation.table())
        yield "<h2>Scores over each model's own frames</h2>"
        yield _table(evaluation.own_table())
    rows = [
        {"model": name, "what": what, "number": number}
        for name, scores in evaluation.scores.items()
        for what, number in scores.counts.items()
    ]
    if rows:
        yield "<h2>What went into it</h2>"
        yield _table(rows)


def _classes(evaluation: Evaluation) -> Iterable[str]:
    rows = evaluation.class_table()
    if rows:
        yield "<h2>Classes</h2>"
        yield _table(rows)


def _curves(evaluation: Evaluation, colors: Mapping[str, str]) -> Iterable[str]:
    pairs = dict.fromkeys(
        (title, label) for scores in evaluation.common.values() for title, own in scores.curves.items() for label in own
    )
    if not pairs:
        return
    yield f"<h2>Curves</h2><p>{_legend(colors)}</p>"
    for title in dict.fromkeys(title for title, _ in pairs):
        yield f"<h3>{escape(title)}</h3>"
        for of, label in pairs:
            if of == title:
                own = {
                    name: scores.curves[title][label]
                    for name, scores in evaluation.common.items()
                    if label in scores.curves.get(title, {})
                }
                yield line_chart(label, own, colors)


def _times(evaluation: Evaluation, colors: Mapping[str, str]) -> Iterable[str]:
    yield f"<h2>Times</h2><p>{_legend(colors)}</p>"
    for column, title in (("build_ms", "reading and building"), ("infer_ms", "infer")):
        values: dict[str, list[float]] = {name: [] for name in colors}
        for row in evaluation.frames.select(["model", column]).to_pylist():
            if row[column] is not None:
                values[row["model"]].append(row[column])
        yield histogram(title, values, colors, "ms")


def _worst(evaluation: Evaluation, pictures: Mapping[int, bytes]) -> Iterable[str]:
    main = evaluation.main
    shown: set[int] = set()
    for name in evaluation.models:
        rows = evaluation.worst(name, MOST_WORST)
        if not rows:
            continue
        yield f"<h2>Worst frames of {escape(name)}</h2>"
        scores = [key for key in rows[0] if key.startswith(SCORE)]
        yield _table(
            [
                {"log": row["log"], "frame": row["frame"], "frame id": row["frame_id"]}
                | {key.removeprefix(SCORE): row[key] for key in scores}
                for row in rows
            ]
        )
        for row in rows:
            png = pictures.get(row["index"])
            if png is None:
                continue
            said = f"{row['log']}, frame {row['frame']} ({row['frame_id']}): {main} {row[SCORE + main]:.3g}"
            if row["index"] in shown:
                yield f"<p>{escape(said)}: drawn above</p>"
                continue
            shown.add(row["index"])
            data = f"data:image/png;base64,{b64encode(png).decode()}"
            yield f'<p>{escape(said)}</p><img alt="{escape(said)}" src="{data}"/>'


def _failures(evaluation: Evaluation) -> Iterable[str]:
    rows = evaluation.failures()
    if not rows:
        return
    yield f"<h2>{counted(len(rows), 'answer')} that could not be judged</h2>"
    if len(rows) > _MOST_FAILURES:
        yield f"<p>the first {_MOST_FAILURES}; frames.parquet has all</p>"
    yield _table([{k: v for k, v in row.items() if k != "index"} for row in rows[:_MOST_FAILURES]])


def _setup(evaluation: Evaluation) -> Iterable[str]:
    setup = evaluation.setup
    yield "<h2>What was evaluated</h2>"
    yield _table(
        [
            {"": "problem", "what": f"{setup.problem.name} ({setup.problem.kind})"},
            *({"": f"option {name}", "what": str(value)} for name, value in setup.problem.options.items()),
            {"": "perceptum", "what": setup.perceptum},
            {"": f"schema {setup.schema.name} {setup.schema.version}", "what": setup.schema.fingerprint},
            *(
                {"": name, "what": f"{model.title}, {model.platform or 'an object'}, {model.digest or 'no package'}"}
                for name, model in setup.models.items()
            ),
            *(
                {"": f"log {log.name}", "what": f"{counted(log.frames, 'frame')}, {log.duration_s} s"}
                for log in setup.logs
            ),
        ]
    )


def _legend(colors: Mapping[str, str]) -> str:
    return "".join(
        f'<span class="key" style="background:{stroke}"></span>{escape(name)}' for name, stroke in colors.items()
    )


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    keys = list(dict.fromkeys(key for row in rows for key in row))
    numbers = {key for key in keys if all(isinstance(row.get(key), int | float | None) for row in rows)}
    head = "".join(f"<th{_kind(key, numbers)}>{escape(key)}</th>" for key in keys)
    lines = ("".join(f"<td{_kind(key, numbers)}>{escape(_cell(row.get(key)))}</td>" for key in keys) for row in rows)
    return f"<table><tr>{head}</tr>" + "".join(f"<tr>{line}</tr>" for line in lines) + "</table>"


def _kind(key: str, numbers: set[str]) -> str:
    return ' class="number"' if key in numbers else ""


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return "-" if isnan(value) else f"{value:.4g}"
    return "" if value is None else str(value)
