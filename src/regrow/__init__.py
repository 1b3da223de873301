"""OTP's supervision trees for Python, on asyncio and trio."""

from . import application as application
from . import global_lock as global_lock
from . import global_name as global_name
from . import peer as peer
from . import rpc as rpc
from . import sys as sys
from . import workers as workers
from ._pure.bounds import Bounded as Bounded
from ._pure.bounds import Drop as Drop
from ._pure.bounds import OnFull as OnFull
from ._pure.child_spec import AutoShutdown as AutoShutdown
from ._pure.child_spec import ChildSpec as ChildSpec
from ._pure.child_spec import Restart as Restart
from ._pure.child_spec import Strategy as Strategy
from ._pure.codec import NotPortable as NotPortable
from ._pure.config import ConfigError as ConfigError
from ._pure.ids import Pid as Pid
from ._pure.ids import Reference as Reference
from ._pure.ids import TimerRef as TimerRef
from ._pure.manifest import ManifestError as ManifestError
from .application_master import Application as Application
from .application_master import Failover as Failover
from .application_master import NormalStart as NormalStart
from .application_master import StartType as StartType
from .application_master import Takeover as Takeover
from .behaviour import TypedChild as TypedChild
from .behaviour import child as child
from .behaviour import start as start
from .behaviour import start_link as start_link
from .behaviour import start_monitor as start_monitor
from .calls import abcast as abcast
from .calls import gen_call as gen_call
from .calls import gen_cast as gen_cast
from .calls import gen_send_request as gen_send_request
from .calls import multi_call as multi_call
from .calls import send_wait as send_wait
from .calls import stop as stop
from .calls import time_left as time_left
from .children import ChildCounts as ChildCounts
from .children import ChildInfo as ChildInfo
from .cookie import CookieError as CookieError
from .dynamic_supervisor import DynamicSupervisor as DynamicSupervisor
from .errors import NO_REPLY as NO_REPLY
from .errors import AlreadyPresent as AlreadyPresent
from .errors import AlreadyStarted as AlreadyStarted
from .errors import ApplicationError as ApplicationError
from .errors import BootFailed as BootFailed
from .errors import CallbackFailed as CallbackFailed
from .errors import CallCycle as CallCycle
from .errors import CalleeExited as CalleeExited
from .errors import CallError as CallError
from .errors import CallingSelf as CallingSelf
from .errors import CallTimeout as CallTimeout
from .errors import ChildError as ChildError
from .errors import ChildNotFound as ChildNotFound
from .errors import ChildRestarting as ChildRestarting
from .errors import ChildRunning as ChildRunning
from .errors import Ignore as Ignore
from .errors import Ignored as Ignored
from .errors import MailboxFull as MailboxFull
from .errors import MandatoryNodesMissing as MandatoryNodesMissing
from .errors import MaxChildren as MaxChildren
from .errors import NameTaken as NameTaken
from .errors import NoProcess as NoProcess
from .errors import NoRequest as NoRequest
from .errors import NotAProcess as NotAProcess
from .errors import NotInNode as NotInNode
from .errors import PeerDown as PeerDown
from .errors import ProcessExited as ProcessExited
from .errors import RpcRefused as RpcRefused
from .errors import ServerExited as ServerExited
from .errors import StartError as StartError
from .errors import StartFailed as StartFailed
from .errors import StartTimeout as StartTimeout
from .errors import Stop as Stop
from .errors import UnknownRequest as UnknownRequest
from .gen_server import GenServer as GenServer
from .gen_server import reply as reply
from .gen_server import this_request as this_request
from .handlers import Deferred as Deferred
from .handlers import call as call
from .handlers import cast as cast
from .local_nodes import NodeNameTaken as NodeNameTaken
from .many_nodes import Replies as Replies
from .messages import Down as Down
from .messages import Exit as Exit
from .messages import From as From
from .messages import NameConflict as NameConflict
from .messages import NodeDown as NodeDown
from .messages import NodeUp as NodeUp
from .messages import Timeout as Timeout
from .messages import TimerFired as TimerFired
from .naming import Global as Global
from .naming import Via as Via
from .naming import ViaRegistry as ViaRegistry
from .node import Node as Node
from .node import current_node as current_node
from .nodes import check_portable as check_portable
from .nodes import connect as connect
from .nodes import disconnect as disconnect
from .nodes import monitor_node as monitor_node
from .nodes import monitor_nodes as monitor_nodes
from .nodes import nodes as nodes
from .partition_supervisor import PartitionSupervisor as PartitionSupervisor
from .portable import portable as portable
from .process import SpawnOptions as SpawnOptions
from .process import ancestors as ancestors
from .process import demonitor as demonitor
from .process import flush as flush
from .process import link as link
from .process import make_ref as make_ref
from .process import monitor as monitor
from .process import receive as receive
from .process import register as register
from .process import registered as registered
from .process import self_pid as self_pid
from .process import send as send
from .process import send_exit as send_exit
from .process import spawn as spawn
from .process import spawn_link as spawn_link
from .process import spawn_monitor as spawn_monitor
from .process import trap_exit as trap_exit
from .process import unlink as unlink
from .process import unregister as unregister
from .process import whereis as whereis
from .reasons import Crash as Crash
from .reasons import Custom as Custom
from .reasons import Kill as Kill
from .reasons import Killed as Killed
from .reasons import NoConnection as NoConnection
from .reasons import NoProc as NoProc
from .reasons import Normal as Normal
from .reasons import Reason as Reason
from .reasons import RemoteError as RemoteError
from .reasons import Shutdown as Shutdown
from .refs import Behaviour as Behaviour
from .refs import Name as Name
from .refs import ServerRef as ServerRef
from .sent_requests import RequestCollection as RequestCollection
from .sent_requests import SentRequest as SentRequest
from .supervisor import Supervisor as Supervisor
from .timer import cancel_timer as cancel_timer
from .timer import exit_after as exit_after
from .timer import kill_after as kill_after
from .timer import read_timer as read_timer
from .timer import send_after as send_after
from .timer import send_at as send_at
from .timer import send_interval as send_interval
from .timer import start_timer as start_timer

# `sys` is public as well and not listed: `from regrow import *` must not take Python's own away.
__all__ = [
    "AlreadyPresent",
    "AlreadyStarted",
    "Application",
    "ApplicationError",
    "AutoShutdown",
    "Behaviour",
    "BootFailed",
    "CallCycle",
    "CallError",
    "CallTimeout",
    "CallbackFailed",
    "CalleeExited",
    "CallingSelf",
    "ChildCounts",
    "ChildError",
    "ChildInfo",
    "ChildNotFound",
    "ChildRestarting",
    "ChildRunning",
    "ChildSpec",
    "ConfigError",
    "CookieError",
    "Crash",
    "Custom",
    "Deferred",
    "Down",
    "DynamicSupervisor",
    "Exit",
    "Failover",
    "From",
    "GenServer",
    "Global",
    "Ignore",
    "Ignored",
    "Kill",
    "Killed",
    "MandatoryNodesMissing",
    "ManifestError",
    "MaxChildren",
    "NO_REPLY",
    "Name",
    "NameConflict",
    "NameTaken",
    "NoConnection",
    "NoProc",
    "NoProcess",
    "NoRequest",
    "Node",
    "NodeDown",
    "NodeNameTaken",
    "NodeUp",
    "Normal",
    "NormalStart",
    "NotAProcess",
    "NotInNode",
    "NotPortable",
    "PartitionSupervisor",
    "PeerDown",
    "Pid",
    "ProcessExited",
    "Reason",
    "Reference",
    "RemoteError",
    "Replies",
    "RequestCollection",
    "Restart",
    "RpcRefused",
    "SentRequest",
    "ServerExited",
    "ServerRef",
    "Shutdown",
    "StartError",
    "StartFailed",
    "StartTimeout",
    "StartType",
    "Stop",
    "Strategy",
    "Supervisor",
    "Takeover",
    "Timeout",
    "TimerFired",
    "TimerRef",
    "TypedChild",
    "UnknownRequest",
    "Via",
    "ViaRegistry",
    "abcast",
    "ancestors",
    "application",
    "call",
    "cancel_timer",
    "cast",
    "check_portable",
    "child",
    "connect",
    "current_node",
    "demonitor",
    "disconnect",
    "exit_after",
    "flush",
    "gen_call",
    "gen_cast",
    "global_lock",
    "global_name",
    "gen_send_request",
    "kill_after",
    "link",
    "make_ref",
    "monitor",
    "monitor_node",
    "monitor_nodes",
    "multi_call",
    "nodes",
    "peer",
    "portable",
    "read_timer",
    "receive",
    "register",
    "registered",
    "reply",
    "rpc",
    "self_pid",
    "send",
    "send_after",
    "send_at",
    "send_exit",
    "send_interval",
    "spawn",
    "spawn_link",
    "spawn_monitor",
    "start",
    "start_link",
    "start_monitor",
    "start_timer",
    "stop",
    "this_request",
    "time_left",
    "trap_exit",
    "unlink",
    "unregister",
    "whereis",
    "workers",
    "Bounded",
    "OnFull",
    "Drop",
    "send_wait",
    "SpawnOptions",
    "MailboxFull",
]
