"""What every tool reads: a node's applications, trees, processes and crashes, as plain data.

Nothing here waits, calls or changes anything, so it works while a process is stuck. What a user's object prints as
is cut to size and may fail without harm.
"""

from .applications import ApplicationInfo as ApplicationInfo
from .applications import applications as applications
from .clusters import ClusterInfo as ClusterInfo
from .clusters import DistributedInfo as DistributedInfo
from .clusters import NodeInfo as NodeInfo
from .clusters import cluster as cluster
from .crashes import CrashInfo as CrashInfo
from .crashes import RestartInfo as RestartInfo
from .crashes import crashes as crashes
from .processes import CONTROL_LABEL as CONTROL_LABEL
from .processes import ProcessInfo as ProcessInfo
from .processes import StateInfo as StateInfo
from .processes import find as find
from .processes import processes as processes
from .processes import state as state
from .shapes import Json as Json
from .shapes import as_json as as_json
from .trees import Supervision as Supervision
from .trees import TreeNode as TreeNode
from .trees import supervisor_of as supervisor_of
from .trees import tree as tree

__all__ = [
    "CONTROL_LABEL",
    "ApplicationInfo",
    "ClusterInfo",
    "CrashInfo",
    "DistributedInfo",
    "Json",
    "NodeInfo",
    "ProcessInfo",
    "RestartInfo",
    "StateInfo",
    "Supervision",
    "TreeNode",
    "applications",
    "as_json",
    "cluster",
    "crashes",
    "find",
    "processes",
    "state",
    "supervisor_of",
    "tree",
]
