"""What commands print for people: lines, tables and trees, of the JSON that a node answers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

GAP = "  "


def table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Aligned columns under their heads; numbers to the right."""
    cells = [[_cell(value) for value in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(heads, *cells, strict=True)]
    right = [bool(cells) and all(_is_number(row[i]) for row in cells) for i in range(len(heads))]
    lines = [
        GAP.join(
            cell.rjust(width) if end else cell.ljust(width) for cell, width, end in zip(row, widths, right, strict=True)
        )
        for row in [list(heads), *cells]
    ]
    return "\n".join(line.rstrip() for line in lines)


def _cell(value: object) -> str:
    return "-" if value is None or value == "" else str(value)


def _is_number(cell: str) -> bool:
    return cell.replace(".", "", 1).isdigit()


def seconds(value: float) -> str:
    """A span of time as people say it: `3 s`, `5 min`, `2 h`, `4 d`."""
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if value >= 2 * size:
            return f"{value / size:.0f} {unit}"
    return f"{value:.0f} s"


def clock(at: float) -> str:
    """A moment, as in the log: the time of day, with the date if it is not today's."""
    moment = datetime.fromtimestamp(at)
    form = "%H:%M:%S" if moment.date() == datetime.now().date() else "%Y-%m-%d %H:%M:%S"
    return f"{moment.strftime(form)}.{moment.microsecond // 1000:03d}"


# -- trees


def tree(trees: Any) -> str:
    """Each tree with its branches drawn."""
    return "\n".join(line for top in trees for line in _branch(top, "", "")) or "nothing runs here"


def _branch(node: Any, first: str, rest: str) -> Iterable[str]:
    yield first + _node_line(node)
    children = node["children"]
    for number, child in enumerate(children, 1):
        last = number == len(children)
        yield from _branch(child, rest + ("└─ " if last else "├─ "), rest + ("   " if last else "│  "))


def _node_line(node: Any) -> str:
    age = "" if node["age"] is None else f", {seconds(node['age'])}"
    if node["type"] == "application":
        return f"{node['name']} ({node['restart']}{age})"
    parts = [f"{node['name']} {node['pid'] or node['status']}"]
    flags = node["supervision"]
    if flags is not None:
        budget = f"{flags['intensity']}/{flags['period']:g} s"
        parts.append(f"{flags['strategy']} {budget}, {flags['budget_left']} left")
    elif node["pid"] is not None:
        parts.append(f"{node['label']}{GAP}mailbox {node['mailbox']}")
    if node["restart"] is not None and (flags is None or node["restarts"]):
        parts.append(f"restarts {node['restarts']}")
    return GAP.join(parts)


# -- processes


def processes(found: Any) -> str:
    heads = ("PID", "NAME", "LABEL", "APPLICATION", "MAILBOX", "LINKS", "MONITORS", "TRAPS", "AGE")
    return table(
        heads,
        [
            (
                each["pid"], each["name"], each["label"], each["application"], _mailbox(each["mailbox"], each),
                len(each["links"]), len(each["monitors"]), "yes" if each["trap_exit"] else "no", seconds(each["age"]),
            )
            for each in found
        ],
    )  # fmt: skip


def _mailbox(waiting: int, found: Any) -> str:
    bound = "" if found["bound"] is None else f"/{found['bound']}"
    dropped = f", {found['dropped']} dropped" if found["dropped"] else ""
    return f"{waiting}{bound}{dropped}"


def state(found: Any) -> str:
    name = "" if found["name"] is None else f"{found['name']} "
    held = f"{GAP}suspended" if found["suspended"] else ""
    lines = [f"{name}{found['pid']} {found['label']}{GAP}mailbox {_mailbox(found['waiting'], found)}{held}"]
    width = max(map(len, found["attributes"]), default=0)
    lines += [f"  {key.ljust(width)} = {value}" for key, value in found["attributes"].items()]
    if found["debug"]:
        lines += [f"watched by {', '.join(found['debug'])}", *(f"  {event}" for event in found["log"])]
    if found["mailbox"]:
        lines += ["waiting messages", *(f"  {message}" for message in found["mailbox"])]
    return "\n".join([*lines, "it is at", found["stack"]])


def tracing(found: Any) -> str:
    return f"tracing {found['process']}" if found["on"] else f"no longer tracing {found['process']}"


def killing(found: Any) -> str:
    supervisor, killed = found["supervisor"], f"killed {found['killed']}"
    texts = {
        "restarted": f"{supervisor} restarted it as {found['restarted_as']} after {found['after_ms']:g} ms"
        if found["after_ms"] is not None
        else "",
        "restarting": f"{supervisor} has not restarted it yet",
        "not restarted": f"{supervisor} does not restart it",
        "gave up": f"{supervisor} gave up: that was one restart too many",
        "application ended": "its application ended with it",
        "ended": "nobody supervises it",
        "ending": "it has not ended yet",
    }
    left = ""
    if found["intensity"] is not None:
        left = f" (budget left {found['budget_left']} of {found['intensity']} in {found['period']:g} s)"
    return f"{killed}; {texts[found['outcome']]}{left}"


# -- crashes


def crashes(found: Any) -> str:
    return "\n\n".join(map(_crash, found)) or "no crashes"


def _crash(crash: Any) -> str:
    restart = crash["restart"]
    who = crash["name"] or (restart["child"] if restart and crash["label"] is None else None)
    what = " ".join(part for part in (who, crash["pid"], crash["label"]) if part)
    did = "gave up" if crash["kind"] == "gave_up" else "ended"
    lines = [f"{clock(crash['at'])} {what} {did}: {crash['reason']}"]
    if crash["last_message"] is not None:
        lines.append(f"  handling {crash['last_message']}")
    lines += [f"  {key} = {value}" for key, value in crash["state"].items()]
    lines += [f"  it {event}" for event in crash["log"]]
    if restart is not None:
        others = f" with {', '.join(restart['restarted_with'])}" if restart["restarted_with"] else ""
        left = f"budget left {restart['budget_left']} within {restart['period']:g} s"
        lines.append(f"  {restart['supervisor']} restarted it{others} ({restart['strategy']}), {left}")
    if crash["shutdown"] is not None:
        lines += _shutdown(crash["shutdown"])
    lines += [f"  {line}" for line in crash["traceback"].splitlines()]
    return "\n".join(lines)


def _shutdown(shutdown: Any) -> Iterator[str]:
    who, late = shutdown["stopped_by"], f"within {shutdown['timeout']:g} s"
    yield f"  its terminate had not ended {late}" if who is None else f"  {who} killed it: it had not stopped {late}"
    places = shutdown["places"]
    waited = "".join(f"waited for {place['name']} {place['pid']}, which " for place in places[1:])
    yield f"  it {waited}was at"
    yield from places[-1]["stack"].splitlines()


# -- applications


def applications(found: Any) -> str:
    heads = ("NAME", "STATE", "RUNNING ON", "START TYPE", "REASON")
    return table(
        heads, [[each[key] for key in ("name", "state", "running_on", "start_type", "reason")] for each in found]
    )


def reloading(told: Any) -> str:
    return f"told {', '.join(told)}" if told else "nothing has changed for an application that runs"


# -- other nodes


def lines(found: Any) -> str:
    return "\n".join(found) or "none"


def ping(found: Any) -> str:
    return f"{found['node']} is connected with {found['connected']}"


def cluster(found: Any) -> str:
    """The nodes; then, for each distributed application, who runs it and who is next."""
    up = {each["name"] for each in found["nodes"] if each["state"] == "up"}
    nodes = table(("NODE", "STATE"), [(each["name"], each["state"]) for each in found["nodes"]])
    rows = [_distributed(name, each, up) for name, each in found["applications"].items()]
    if not rows:
        return nodes
    return f"{nodes}\n\n{table(('APPLICATION', 'RUNNING ON', 'NEXT', 'ORDER'), rows)}"


def _distributed(name: str, found: Any, up: set[str]) -> tuple[object, ...]:
    groups = [[group] if isinstance(group, str) else group for group in found["order"]]
    left = [[each for each in group if each in up and each != found["running_on"]] for group in groups]
    after = next((" or ".join(group) for group in left if group), None)
    return name, found["running_on"], after, " > ".join(" = ".join(group) for group in groups)
