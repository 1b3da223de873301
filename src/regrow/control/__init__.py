"""The control socket of a node: how the command line, another OS process, looks inside and acts.

One connection carries one request and its answer, each a line of JSON:

    {"command": "tree", "arguments": {"app": "job_center"}}
    {"result": ...}   or   {"error": "one clear line", "exit": 3}
"""

from .channel import Channel as Channel
from .protocol import ExitCode as ExitCode
from .protocol import Refused as Refused
from .server import serve as serve
from .verbs import check_known as check_known
from .verbs import refusal_of as refusal_of

__all__ = ["Channel", "ExitCode", "Refused", "check_known", "refusal_of", "serve"]
