%% Erlang/OTP: a gen_server and a supervisor, which share init/1. It does what the other subjects do, and speaks as they
%% do: lines such as "call 20000" come in, what it took goes out. Its other node answers until its input ends.
-module(speed).
-behaviour(gen_server).
-export([local/0, caller/0, server/0]).
-export([init/1, handle_call/3, handle_cast/2]).

-define(SERVER_NODE, 'server@localhost').

local() ->
    {ok, Server} = gen_server:start(?MODULE, counter, []),
    {ok, _} = supervisor:start_link(?MODULE, counters),
    serve(#{
        "call" => fun(Count) -> call(Server, Count) end,
        "callers" => fun(Count) -> callers(Server, 100, Count) end,
        "cast" => fun(Count) -> cast(Server, Count) end,
        "start" => fun start/1,
        "crash" => fun crash/1
    }).

caller() ->
    pong = ping(),
    Server = {counter, ?SERVER_NODE},
    serve(#{
        "remote call" => fun(Count) -> call(Server, Count) end,
        "remote callers" => fun(Count) -> callers(Server, 64, Count) end,
        "remote cast" => fun(Count) -> cast(Server, Count) end
    }).

server() ->
    {ok, _} = gen_server:start({local, counter}, ?MODULE, counter, []),
    eof = io:get_line(""),
    halt().

%% -- what is done

call(Server, Count) -> [gen_server:call(Server, {add, Number}) || Number <- lists:seq(1, Count)].

callers(Server, Callers, Count) ->
    All = [spawn_monitor(fun() -> call(Server, Count div Callers) end) || _ <- lists:seq(1, Callers)],
    [receive {'DOWN', Ref, process, Pid, normal} -> ok end || {Pid, Ref} <- All].

cast(Server, Count) ->
    [gen_server:cast(Server, {put, Number}) || Number <- lists:seq(1, Count)],
    call(Server, 1).

start(Count) -> [{ok, _} = gen_server:start(?MODULE, counter, []) || _ <- lists:seq(1, Count)].

crash(Count) -> [crash() || _ <- lists:seq(1, Count)].

crash() ->
    Ref = monitor(process, crashing),
    gen_server:cast(crashing, crash),
    receive {'DOWN', Ref, process, _, _} -> ok end,
    wait_for(crashing),
    gen_server:call(crashing, {add, 1}).

wait_for(Name) ->
    case whereis(Name) of
        undefined -> erlang:yield(), wait_for(Name);
        _ -> ok
    end.

%% -- who does it

init(counter) -> {ok, 0};
init(counters) ->
    Child = #{id => crashing, start => {gen_server, start_link, [{local, crashing}, ?MODULE, counter, []]}},
    {ok, {#{intensity => 1000000, period => 5}, [Child]}}.

handle_call({add, N}, _From, Value) -> {reply, Value + N, Value + N}.

handle_cast({put, N}, _Value) -> {noreply, N};
handle_cast(crash, _Value) -> error(on_purpose).

%% -- with whom it speaks

serve(Works) ->
    io:format("[~s]~n", [lists:join(", ", [["\"", Work, "\""] || Work <- maps:keys(Works)])]),
    answer(Works).

answer(Works) ->
    case io:get_line("") of
        eof -> halt();
        Line ->
            {Work, Count} = lists:split(string:rstr(Line, " "), string:trim(Line)),
            garbage_collect(),
            Memory = resident_bytes(),
            Took = in_a_process(fun() -> (maps:get(string:trim(Work), Works))(list_to_integer(Count)) end),
            io:format("{\"seconds\": ~.9f, \"bytes\": ~b}~n", [Took, resident_bytes() - Memory]),
            answer(Works)
    end.

%% Seconds; in a process of its own, so that what is left of one work is not in the way of the next.
in_a_process(Work) ->
    Timed = fun() -> {Microseconds, _} = timer:tc(Work), exit({took, Microseconds / 1.0e6}) end,
    {Pid, Ref} = spawn_monitor(Timed),
    receive {'DOWN', Ref, process, Pid, {took, Seconds}} -> Seconds end.

resident_bytes() ->
    {ok, Status} = file:read_file("/proc/self/statm"),
    [_, Pages | _] = string:split(Status, " ", all),
    binary_to_integer(Pages) * 4096.

ping() ->
    case net_adm:ping(?SERVER_NODE) of
        pong -> pong;
        pang -> timer:sleep(50), ping()
    end.
