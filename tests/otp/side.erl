%% The Erlang side: reads scenarios, plays each on Erlang/OTP, and prints what happened, an event a line.
%%
%% Events of the tree go through a collector, in the order they happen; what the driver gets into its own
%% mailbox stands behind them. After each step the driver waits until nothing changes any more.
-module(side).
-export([main/0, start_hand/4, init/1, handle_call/3, handle_cast/2, handle_info/2, terminate/2]).

main() ->
    logger:set_primary_config(level, none),
    loop().

loop() ->
    case io:read(standard_io, '') of
        {ok, {scenario, Tree, Steps}} ->
            io:put_chars([[Line, $\n] || Line <- play(Tree, Steps)]),
            io:put_chars("end\n"),
            loop();
        eof ->
            halt(0)
    end.

%% A driver of its own for each scenario: nothing of the last one is left in its mailbox.
play(Tree, Steps) ->
    {_, Ref} = spawn_monitor(fun() -> exit({trace, drive(Tree, Steps)}) end),
    receive
        {'DOWN', Ref, process, _, {trace, Trace}} -> Trace;
        {'DOWN', Ref, process, _, Reason} ->
            io:format("the driver died: ~0p~n", [Reason]),
            halt(1)
    end.

drive(Tree, Steps) ->
    process_flag(trap_exit, true),
    starts = ets:new(starts, [named_table, public, ordered_set]),
    register(collector, spawn_link(fun() -> collect([]) end)),
    put(monitors, []),
    Trace = lists:append([step(Step) || Step <- [{start, Tree} | Steps]]) ++ tree(),
    kill_all(),
    kill(whereis(collector)),
    Trace.

kill_all() ->
    case [Pid || {Id, _, _} <- ets:tab2list(starts), Pid <- [whereis(Id)], is_pid(Pid)] of
        [] -> ok;
        Pids -> lists:foreach(fun kill/1, Pids), kill_all()
    end.

kill(Pid) ->
    Ref = monitor(process, Pid),
    exit(Pid, kill),
    receive {'DOWN', Ref, _, _, _} -> ok end.

%% -- the collector

collect(Log) ->
    receive
        {log, Line} -> collect([Line | Log]);
        {born, Pid, Id} ->
            put(monitor(process, Pid), Id),
            Pid ! known,
            collect(Log);
        {'DOWN', Ref, process, _, Reason} ->
            collect([text("dead ~s ~s", [erase(Ref), reason(Reason)]) | Log]);
        {take, From} ->
            From ! {log, lists:reverse(Log)},
            collect([])
    end.

log(Format, Arguments) -> collector ! {log, text(Format, Arguments)}.

%% -- steps

step(Step) ->
    Result = try act(Step)
             catch
                 exit:{Reason, {_, _, _}} -> "error " ++ reason(Reason); %% of a call
                 exit:Reason -> "error " ++ reason(Reason)
             end,
    settle(none),
    collector ! {take, self()},
    Log = receive {log, Lines} -> Lines end,
    [text("> ~s: ~s", [element(1, Step), Result])] ++ Log ++ inbox().

act({start, Tree}) ->
    #{start := {M, F, A}} = spec(Tree),
    case apply(M, F, A) of
        {ok, _} -> "ok";
        {error, Reason} ->
            receive {'EXIT', _, _} -> ok after 0 -> ok end, %% OTP before 26 leaves it there
            "error " ++ reason(Reason)
    end;
act({cast, Id, How}) -> gen_server:cast(Id, How), "ok";
act({call, Id, What}) -> text("~w", [gen_server:call(Id, What, infinity)]);
act({send, Id}) -> try Id ! hello, "ok" catch error:badarg -> "error noproc" end;
act({exit, Id, kill}) -> to(Id, fun kill_tree/1);
act({exit, Id, How}) -> to(Id, fun(Pid) -> exit(Pid, why(How)) end);
act({stop, Id, How}) -> text("~w", [gen_server:stop(Id, why(How), infinity)]);
act({monitor, Id}) -> put(monitors, [{monitor(process, Id), Id} | get(monitors)]), "ok";
act({demonitor, Id}) ->
    case lists:keyfind(Id, 2, get(monitors)) of
        {Ref, Id} ->
            put(monitors, lists:keydelete(Ref, 1, get(monitors))),
            text("~w", [demonitor(Ref, [info])]);
        false -> "none"
    end;
act({link, Id}) -> to(Id, fun(Pid) -> link(Pid), put(Pid, Id) end);
act({unlink, Id}) -> to(Id, fun erlang:unlink/1);
act({which, Sup}) -> which(Sup);
act({count, Sup}) ->
    Counts = supervisor:count_children(Sup),
    Shown = case is_pool(Sup) of true -> [active]; false -> [specs, active, supervisors, workers] end,
    text("~w", [[proplists:get_value(What, Counts) || What <- Shown]]);
act({start_child, Sup, Child}) ->
    answer(supervisor:start_child(Sup, case is_pool(Sup) of true -> told(Child); false -> spec(Child) end));
act({terminate_child, Sup, Id}) ->
    case is_pool(Sup) andalso ets:lookup(starts, Id) of
        false -> answer(supervisor:terminate_child(Sup, Id));
        [] -> "unborn";
        [{Id, _, Pid}] -> answer(supervisor:terminate_child(Sup, Pid))
    end;
act({Request, Sup, Id}) when Request =:= restart_child; Request =:= delete_child ->
    answer(supervisor:Request(Sup, Id));
act(Told) -> %% a worker does it itself
    text("~w", [gen_server:call(element(2, Told), Told, infinity)]).

to(Id, Do) ->
    case whereis(Id) of
        undefined -> noproc;
        Pid -> Do(Pid), ok
    end.

%% Kill it, and hold its supervisor still until its children are gone as well: otherwise chance decides whether their
%% names are free when they are started again.
kill_tree(Pid) ->
    Tree = [Pid | below(Pid)],
    Held = [Parent || length(Tree) > 1, Parent <- [parent(Pid)], Parent =/= self()],
    lists:foreach(fun erlang:suspend_process/1, Held),
    Monitors = [monitor(process, One) || One <- Tree],
    exit(Pid, kill),
    [receive {'DOWN', Monitor, _, _, _} -> ok end || Monitor <- Monitors],
    lists:foreach(fun erlang:resume_process/1, Held).

below(Pid) ->
    {registered_name, Id} = process_info(Pid, registered_name),
    Children = case is_worker(Id) of true -> []; false -> supervisor:which_children(Pid) end,
    lists:append([[Child | below(Child)] || {_, Child, _, _} <- Children, is_pid(Child)]).

parent(Pid) ->
    {dictionary, Dictionary} = process_info(Pid, dictionary),
    case hd(proplists:get_value('$ancestors', Dictionary)) of
        Parent when is_pid(Parent) -> Parent;
        Parent -> whereis(Parent)
    end.

answer(ok) -> "ok";
answer({ok, undefined}) -> "ignored";
answer({ok, _}) -> "ok";
answer({error, {already_started, _}}) -> "already_started";
answer({error, {{already_started, _}, Child}}) when element(1, Child) =:= child -> "already_started";
answer({error, {bad_combination, _}}) -> "refused";
answer({error, {Reason, Child}}) when element(1, Child) =:= child -> "error " ++ reason(Reason);
answer({error, Word}) when Word =:= running; Word =:= restarting; Word =:= not_found; Word =:= already_present ->
    atom_to_list(Word);
answer({error, Reason}) -> "error " ++ reason(Reason).

which(Sup) ->
    Children = supervisor:which_children(Sup),
    Seen = case is_pool(Sup) of
        false -> [{Id, running(Pid)} || {Id, Pid, _, _} <- Children];
        true -> %% one that ignored its restart stays, without a process: a departure
            lists:sort([{element(2, process_info(Pid, registered_name)), running}
                        || {_, Pid, _, _} <- Children, Pid =/= undefined])
    end,
    text("~s", [lists:join(" ", [text("~s=~s", [Id, How]) || {Id, How} <- Seen])]).

running(Pid) when is_pid(Pid) -> running;
running(Word) -> Word.

%% What came to the driver itself, in order.
inbox() ->
    receive
        {'EXIT', Pid, Reason} -> [text("exit ~s ~s", [who(Pid), reason(Reason)]) | inbox()];
        {'DOWN', Ref, process, _, Reason} ->
            {Ref, Id} = lists:keyfind(Ref, 1, get(monitors)),
            put(monitors, lists:keydelete(Ref, 1, get(monitors))),
            [text("down ~s ~s", [Id, reason(Reason)]) | inbox()]
    after 0 -> []
    end.

who(Pid) -> case get(Pid) of undefined -> top; Id -> Id end.

%% The tree as it stands.
tree() -> ["> tree:" | [text("~s: ~s", [Id, look(Id)]) || {Id, _, _} <- ets:tab2list(starts)]].

look(Id) ->
    case {whereis(Id), is_worker(Id)} of
        {undefined, _} -> "dead";
        {_, true} -> "alive";
        {_, false} -> try which(Id) catch exit:_ -> "dead" end
    end.

%% An id begins with w for a worker, s for a supervisor, p for a pool.
is_worker(Id) -> hd(atom_to_list(Id)) =:= $w.
is_pool(Id) -> hd(atom_to_list(Id)) =:= $p.

%% Return when nothing has changed between two rounds, and no restart is under way.
settle(Before) ->
    Now = [glance(Id) || {Id, _, _} <- ets:tab2list(starts)],
    case Now =:= Before andalso not lists:member(restarting, lists:flatten(Now)) of
        true -> ok;
        false -> settle(Now)
    end.

glance(Id) ->
    try
        case is_worker(Id) of
            false -> [whereis(Id) | [Pid || {_, Pid, _, _} <- supervisor:which_children(Id)]];
            true -> [whereis(Id), gen_server:call(Id, ping, infinity)]
        end
    catch exit:_ -> [dead]
    end.

%% -- the tree

spec({worker, Id, Restart, Shutdown, Significant, _, _, _} = Worker) ->
    #{id => Id, start => {?MODULE, start_hand, told(Worker)},
      restart => Restart, shutdown => Shutdown, significant => Significant, type => worker};
spec({sup, Id, Strategy, Intensity, Auto, Restart, Shutdown, Significant, Outcomes, Children}) ->
    Arguments = [{local, Id}, ?MODULE, {sup, Id, Strategy, Intensity, Auto, Outcomes, Children}],
    #{id => Id, start => {supervisor, start_link, Arguments},
      restart => Restart, shutdown => Shutdown, significant => Significant, type => supervisor}.

told({worker, Id, _, _, _, Trap, Terminate, Outcomes}) -> [Id, Trap, Terminate, Outcomes].

start_hand(Id, Trap, Terminate, Outcomes) ->
    gen_server:start_link({local, Id}, ?MODULE, {worker, Id, Trap, Terminate, Outcomes}, []).

init({sup, Id, Strategy, Intensity, Auto, Outcomes, Children}) ->
    starting(Id, Outcomes, fun() ->
        Flags = #{strategy => Strategy, intensity => Intensity, period => 1000, auto_shutdown => Auto},
        Specs = [spec(Child) || Child <- Children],
        case Strategy of
            simple_one_for_one -> {ok, {Flags, [S#{start := {?MODULE, start_hand, []}} || S <- Specs]}};
            _ -> {ok, {Flags, Specs}}
        end
    end);
init({worker, Id, Trap, Terminate, Outcomes}) ->
    process_flag(trap_exit, Trap),
    starting(Id, Outcomes, fun() -> {ok, {Id, Terminate, 0}} end).

starting(Id, Outcomes, Ready) ->
    Time = ets:update_counter(starts, Id, 1, {Id, 0, none}),
    ets:update_element(starts, Id, {3, self()}),
    collector ! {born, self(), Id},
    receive known -> ok end,
    Outcome = case Time =< length(Outcomes) of true -> lists:nth(Time, Outcomes); false -> ok end,
    log("start ~s ~s", [Id, Outcome]),
    case Outcome of
        ok -> Ready();
        fail -> {stop, nope};
        crash -> error(boom);
        ignore -> ignore
    end.

handle_call(ping, _, State) -> {reply, pong, State};
handle_call(get, _, {_, _, N} = State) -> {reply, N, State};
handle_call(later, From, State) -> gen_server:cast(self(), {answer, From}), {noreply, State};
handle_call(crash, _, _) -> error(boom);
handle_call(stop, _, State) -> {stop, custom, State};
handle_call(stop_reply, _, State) -> {stop, normal, bye, State};
handle_call({ask, _, Id}, _, State) -> {reply, gen_server:call(Id, get, infinity), State};
handle_call({trap, _, Flag}, _, State) -> {reply, process_flag(trap_exit, Flag), State};
handle_call({tie, _, Id}, _, State) -> {reply, to(Id, fun erlang:link/1), State};
handle_call({untie, _, Id}, _, State) -> {reply, to(Id, fun erlang:unlink/1), State};
handle_call({exit_from, _, Id, How}, _, State) -> {reply, to(Id, fun(Pid) -> exit(Pid, why(How)) end), State}.

handle_cast({answer, From}, State) -> gen_server:reply(From, late), {noreply, State};
handle_cast(bump, {Id, Terminate, N}) -> {noreply, {Id, Terminate, N + 1}};
handle_cast(crash, _) -> error(boom);
handle_cast(How, State) -> {stop, why(How), State}.

handle_info(Message, {Id, _, _} = State) ->
    log("info ~s ~s", [Id, case Message of {'EXIT', _, Reason} -> reason(Reason); _ -> Message end]),
    {noreply, State}.

terminate(Reason, {Id, Terminate, _}) ->
    log("terminate ~s ~s", [Id, reason(Reason)]),
    case Terminate of
        ok -> ok;
        crash -> error(boom);
        hang when Reason =:= shutdown -> timer:sleep(infinity);
        hang -> ok
    end.

%% -- words

why(clean) -> {shutdown, clean};
why(Word) -> Word.

reason({shutdown, {failed_to_start_child, Id, Reason}}) -> text("shutdown (~s: ~s)", [Id, reason(Reason)]);
reason({shutdown, Detail}) -> text("shutdown (~w)", [Detail]);
reason({boom, Stack}) when is_list(Stack) -> "crash";
reason({Reason, {gen_server, call, _}}) -> text("crash (~s)", [reason(Reason)]);
reason({already_started, _}) -> "already_started";
reason(Word) when is_atom(Word) -> atom_to_list(Word);
reason(Other) -> text("~0p", [Other]).

text(Format, Arguments) -> lists:flatten(io_lib:format(Format, Arguments)).
