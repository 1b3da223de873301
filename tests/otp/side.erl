%% The Erlang side: reads scenarios, plays each on Erlang/OTP, and prints what happened, an event a line.
%%
%% Events of the tree go through a collector, in the order they happen; what the driver gets into its own
%% mailbox stands behind them. After each step the driver waits until nothing changes any more.
-module(side).
-export([main/0, init/1, handle_call/3, handle_cast/2, handle_info/2, terminate/2]).

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
        {'DOWN', Ref, process, _, Reason} -> [text("the driver died: ~0p", [Reason])]
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
    case [Pid || {Id, _} <- ets:tab2list(starts), Pid <- [whereis(Id)], is_pid(Pid)] of
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
        {born, From, Id, Pid} ->
            put(monitor(process, Pid), Id),
            From ! known,
            collect(Log);
        {'DOWN', Ref, process, _, Reason} ->
            collect([text("dead ~s ~s", [erase(Ref), reason(Reason)]) | Log]);
        {take, From} ->
            From ! {log, lists:reverse(Log)},
            collect([])
    end.

born(Id) ->
    collector ! {born, self(), Id, self()},
    receive known -> ok end.

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
    [text("~s: ~s", [element(1, Step), Result])] ++ Log ++ inbox().

act({start, Tree}) ->
    #{start := {M, F, A}, id := Id} = spec(Tree),
    case apply(M, F, A) of
        {ok, _} -> "ok";
        {error, Reason} ->
            receive {'EXIT', _, _} -> ok after 0 -> ok end, %% OTP before 26 leaves it there
            _ = Id,
            "error " ++ reason(Reason)
    end;
act({cast, Id, How}) -> gen_server:cast(Id, {stop, How}), "ok";
act({call, Id, What}) -> text("~w", [gen_server:call(Id, What, infinity)]);
act({exit, Id, Reason}) ->
    case whereis(Id) of
        undefined -> "noproc";
        Pid -> exit(Pid, Reason), "ok"
    end;
act({stop, Id, How}) -> text("~w", [gen_server:stop(Id, why(How), infinity)]);
act({monitor, Id}) -> put(monitors, [{monitor(process, Id), Id} | get(monitors)]), "ok";
act({demonitor, Id}) ->
    case lists:keyfind(Id, 2, get(monitors)) of
        {Ref, Id} ->
            put(monitors, lists:keydelete(Ref, 1, get(monitors))),
            text("~w", [demonitor(Ref, [info])]);
        false -> "none"
    end;
act({link, Id}) ->
    case whereis(Id) of
        undefined -> "noproc";
        Pid -> link(Pid), put(Pid, Id), "ok"
    end;
act({unlink, Id}) ->
    case whereis(Id) of
        undefined -> "noproc";
        Pid -> unlink(Pid), "ok"
    end;
act({which, Sup}) -> which(Sup);
act({count, Sup}) ->
    Counts = supervisor:count_children(Sup),
    text("~w", [[proplists:get_value(What, Counts) || What <- [specs, active, supervisors, workers]]]);
act({start_child, Sup, Child}) -> answer(supervisor:start_child(Sup, spec(Child)));
act({Request, Sup, Id}) -> answer(supervisor:Request(Sup, Id)).

answer(ok) -> "ok";
answer({ok, undefined}) -> "ignored";
answer({ok, _}) -> "ok";
answer({error, {already_started, _}}) -> "already_started";
answer({error, {Reason, Child}}) when element(1, Child) =:= child -> "error " ++ reason(Reason);
answer({error, Word}) when Word =:= running; Word =:= restarting; Word =:= not_found; Word =:= already_present ->
    atom_to_list(Word);
answer({error, Reason}) -> "error " ++ reason(Reason).

which(Sup) ->
    Children = [text("~s=~s", [Id, running(Pid)]) || {Id, Pid, _, _} <- supervisor:which_children(Sup)],
    text("~s", [lists:join(" ", Children)]).

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
tree() -> [text("~s: ~s", [Id, look(Id)]) || {Id, _} <- ets:tab2list(starts)].

look(Id) ->
    case {whereis(Id), atom_to_list(Id)} of
        {undefined, _} -> "dead";
        {_, [$s | _]} -> try which(Id) catch exit:_ -> "dead" end;
        {_, _} -> "alive"
    end.

%% Return when nothing has changed between two rounds, and no restart is under way.
settle(Before) ->
    Now = [glance(Id) || {Id, _} <- ets:tab2list(starts)],
    case Now =:= Before andalso not lists:member(restarting, lists:flatten(Now)) of
        true -> ok;
        false -> settle(Now)
    end.

glance(Id) ->
    try
        case atom_to_list(Id) of
            [$s | _] -> [whereis(Id) | [Pid || {_, Pid, _, _} <- supervisor:which_children(Id)]];
            _ -> [whereis(Id), gen_server:call(Id, ping, infinity)]
        end
    catch exit:_ -> [dead]
    end.

%% -- the tree

spec({worker, Id, Restart, Shutdown, Significant, Trap, Terminate, Outcomes}) ->
    Arguments = [{local, Id}, ?MODULE, {worker, Id, Trap, Terminate, Outcomes}, []],
    #{id => Id, start => {gen_server, start_link, Arguments},
      restart => Restart, shutdown => Shutdown, significant => Significant, type => worker};
spec({sup, Id, Strategy, Intensity, Auto, Restart, Shutdown, Significant, Children}) ->
    Arguments = [{local, Id}, ?MODULE, {sup, Id, Strategy, Intensity, Auto, Children}],
    #{id => Id, start => {supervisor, start_link, Arguments},
      restart => Restart, shutdown => Shutdown, significant => Significant, type => supervisor}.

init({sup, Id, Strategy, Intensity, Auto, Children}) ->
    starting(Id, ok),
    Flags = #{strategy => Strategy, intensity => Intensity, period => 1000, auto_shutdown => Auto},
    {ok, {Flags, [spec(Child) || Child <- Children]}};
init({worker, Id, Trap, Terminate, Outcomes}) ->
    process_flag(trap_exit, Trap),
    Time = ets:lookup_element(starts, starting(Id, none), 2),
    Outcome = case Time =< length(Outcomes) of true -> lists:nth(Time, Outcomes); false -> ok end,
    log("start ~s ~s", [Id, Outcome]),
    case Outcome of
        ok -> {ok, {Id, Terminate, 0}};
        fail -> {stop, nope};
        crash -> error(boom);
        ignore -> ignore
    end.

starting(Id, Outcome) ->
    ets:update_counter(starts, Id, 1, {Id, 0}),
    born(Id),
    [log("start ~s ~s", [Id, Outcome]) || Outcome =/= none],
    Id.

handle_call(ping, _, State) -> {reply, pong, State};
handle_call(get, _, {Id, Terminate, N}) -> {reply, N + 1, {Id, Terminate, N + 1}};
handle_call(later, From, State) -> gen_server:cast(self(), {answer, From}), {noreply, State};
handle_call(crash, _, _) -> error(boom);
handle_call(stop, _, State) -> {stop, custom, State};
handle_call(stop_reply, _, State) -> {stop, normal, bye, State}.

handle_cast({answer, From}, State) -> gen_server:reply(From, late), {noreply, State};
handle_cast({stop, crash}, _) -> error(boom);
handle_cast({stop, How}, State) -> {stop, why(How), State}.

handle_info({'EXIT', _, Reason}, {Id, _, _} = State) ->
    log("info ~s ~s", [Id, reason(Reason)]),
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
reason(Word) when is_atom(Word) -> atom_to_list(Word);
reason(Other) -> text("~0p", [Other]).

text(Format, Arguments) -> lists:flatten(io_lib:format(Format, Arguments)).
