# Puts together what status.sh has collected, and compares it. Prints one JSON object; `well` says
# whether everything is as wanted.
#
# Arguments: $cluster, $problems (lines), and in arrays of one: $wanted, $outcome, $paused (etcd's
# values, or null), $dns (address and port, or null), $state (the dictator's GET /master).

def canonical: ascii_downcase | rtrimstr(".");
# as the dictator names it: an IP address always with its port, a name only with one that is given
def spelled:
    if .address | test("^[0-9.]+$") then "\(.address):\(.port // 6379)"
    elif .address | test(":.*:") then "[\(.address)]:\(.port // 6379)"
    elif .port then "\(.address | canonical):\(.port)"
    else .address | canonical end;

($wanted[0] | if type == "object" and has("master") then . else null end) as $wanted
| $state[0] as $state
| (if $outcome[0] | type == "object" then $outcome[0] else null end) as $outcome
| ($wanted | if . then [.master, .slaves[]] | map(spelled) else [] end) as $names
| ($state.instances | map(
    # "name (address:port)", or the address alone
    (.instance | capture("^(?<name>.*) \\((?<address>.*)\\)$") // {name: ., address: .}) as $who
    | {name: $who.name, address: (if .error then null else $who.address end),
       role: (if .error then "unreachable" elif .parked then "parked" else .role end),
       follows: .following, link, lag, keys, epoch: (.epoch // null),
       run_id: (.run_id // null), version: (.version // null), error: (.error // null)})) as $seen
| ($seen | map(select(.role == "master") | .address)) as $masters
| ($names[0]) as $master
| ($seen | map(
    (.name | canonical) as $name
    | . as $one
    | (($names | index($name)) // ($names | index($one.address // ""))) as $place
    | .wanted = (if $place == null then null elif $place == 0 then "master" else "slave" end)
    | .differs = ($known and .role != .wanted
        or (.wanted == "slave" and (.link != "up" or ($masters | index($one.follows)) == null)))
  )) as $instances
| ($instances | map(select(.wanted == "master")) | .[0]) as $first
| ($names | map(. as $name | select([$instances[] | .name, .address | select(. != null) | canonical] | index($name) | not))) as $unseen
| ($problems | split("\n") | map(select(. != ""))
    + (if $wanted == null and $known then ["no topology is defined"] else [] end)
    + ($unseen | map("\(.) is wanted, but the dictator has not applied a topology with it"))
    + ($instances | map(select(.error) | "\(.name): \(.error)"))
    + ($instances | map(select(.wanted == null and $known) | "\(.name) is not in the wanted topology"))) as $problems
| ($dns[0] == null or $first == null or $first.address == $dns[0]) as $dns_fits
| (if $paused[0] == null then null elif $paused[0] | type == "object" then $paused[0] else {reason: $paused[0]} end) as $paused
| {
    cluster: $cluster,
    well: ($problems == [] and $paused == null and $dns[0] != null and $dns_fits and $outcome.state? == "applied"
        and ($instances | all(.differs | not))),
    instances: $instances,
    wanted: $wanted,
    dns: $dns[0],
    outcome: $outcome,
    paused: $paused,
    problems: $problems,
    wanted_line: (if $wanted then "\($names[0]) as master, \($names[1:] | if . == [] then "no slaves" else "slaves " + join(", ") end)" elif $known then "nothing is defined" else "unknown" end),
    dns_line: (if $dns[0] then "master is \($dns[0])" + (if $dns_fits then "" else "  ! wanted is \($first.address // $master)" end) else "! no master" end),
    outcome_line: (if $outcome then "\(if $outcome.state == "applied" then "" else "! " end)\($outcome.state) at \($outcome.at): \($outcome.line)" elif $known then "none yet" else "unknown" end),
    paused_line: (if $paused then "! since \($paused.since // "?"): \($paused.reason // "")" else null end)
  }
