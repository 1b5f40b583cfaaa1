# Checks a topology document as safe_redis/topology.py does. Prints what is wrong with it, or nothing.
# Run by define-topology.sh with --slurp. It is in jq, because an operator's machine has no Python of
# ours, and the dictator, which could be asked as well, may not run yet when a topology is defined.

def ipv4: split(".") | length == 4 and all(test("^(0|[1-9][0-9]{0,2})$") and tonumber <= 255);

def hex: explode | map(if . >= 97 then . - 87 elif . >= 65 then . - 55 else . - 48 end) | reduce .[] as $digit (0; . * 16 + $digit);

# 16-bit numbers of "a:b:c", where the last part may be an IPv4 address; null where it is malformed
def groups:
    if . == "" then [] else
    [split(":") as $parts | range($parts | length) as $at | $parts[$at]
        | if test("^[0-9A-Fa-f]{1,4}$") then hex
          elif $at == ($parts | length) - 1 and ipv4 then split(".") | map(tonumber) | (.[0] * 256 + .[1], .[2] * 256 + .[3])
          else null end]
    end
    | if any(. == null) then null else . end;

# the eight numbers of an IPv6 address, or null
def ipv6:
    if contains(":") | not then null
    else split("::") as $halves
    | if ($halves | length) == 1 then groups | if . and length == 8 then . else null end
      elif ($halves | length) == 2 then
        ($halves[0] | groups) as $left | ($halves[1] | groups) as $right
        | if $left == null or $right == null or ($left | length) + ($right | length) > 7
             or ($halves[0] | contains(".")) then null
          else $left + [range(8 - ($left | length) - ($right | length)) | 0] + $right end
      else null end
    end;

# a scope, as in fe80::1%eth0, is part of the address
def unscoped: split("%")[0];
def scope: if contains("%") and (unscoped | ipv6) then sub("^[^%]*%"; "") else "" end;
def ip: if ipv4 then "v4 " + . elif contains("%") then null
    else ipv6 | if . == null then null
        elif .[0:6] == [0, 0, 0, 0, 0, 65535] then "v4 " + ([(.[6, 7] | ((. / 256 | floor), . % 256))] | map(tostring) | join("."))
        else "v6 " + (map(tostring) | join(":")) end end;

# whether an address, as ip gives it, can be one host's: not any address, not multicast, not broadcast
def names_one_host: .[3:] as $address
    | if startswith("v4 ") then ($address | split(".")[0] | tonumber) as $first
        | $address != "0.0.0.0" and $address != "255.255.255.255" and ($first < 224 or $first > 239)
      else ($address | split(":") | map(tonumber)) as $groups | any($groups[]; . != 0) and $groups[0] < 65280 end;

# registrator's labels hold colons and underscores, so more is possible than in host names
def dns_label: explode | length >= 1 and length <= 63
    and all(. > 32 and . < 127) and all(. as $code | "/\\\"'@?#[]%*" | explode | index($code) | not);
def name: rtrimstr(".") | split(".") | length > 0 and all(dns_label) and (.[-1] | test("^[0-9]+$") | not);

# what makes an instance the same as another one
def identity: (.address | ip) as $ip
    | if $ip then [$ip, .port // 6379] else [(.address | rtrimstr(".") | ascii_downcase), .port] end;

def address_problem($field):
    if type != "object" then "\($field) is not an object"
    elif has("address") | not then "\($field).address is missing"
    elif (keys - ["address", "port"]) != [] then "\($field) has the unknown field \((keys - ["address", "port"])[0] | tojson | .[0:100])"
    elif .address | type != "string" then "\($field).address is not a string"
    elif .address | length < 1 or length > 253 then "\($field).address has \(.address | length) characters, 1 to 253 are possible"
    elif .port != null and ((.port | type) != "number" or (.port | floor) != .port or .port < 1 or .port > 65535) then
        "\($field).port is not a number from 1 to 65535: \(.port | tojson | .[0:100])"
    elif .address | scope != "" then "\($field).address \(.address): a scope is valid on one machine only"
    elif .address | ip then
        if .address | ip | names_one_host then empty else "\($field).address \(.address) is not the address of one host" end
    elif .address | name | not then "\($field).address \(.address | tojson) is neither an IP address nor a DNS name"
    elif .address | contains(".") and (split(".")[-1] | contains(":")) then
        "\($field).address \(.address | tojson) holds a port; give it as `port`"
    else empty end;

def repeated: . as $all
    | [range(length) as $later | range($later) as $earlier | select($all[$later].identity == $all[$earlier].identity)
       | "\($all[$later].field) is the same instance as \($all[$earlier].field): \($all[$later].address)"];

def problems:
    if length != 1 then "not JSON: \(length) documents"
    else .[0]
    | if type != "object" then "not an object"
      elif has("master") | not then "master is missing"
      elif has("slaves") | not then "slaves is missing"
      elif (keys - ["master", "slaves"]) != [] then "unknown field \((keys - ["master", "slaves"])[0] | tojson | .[0:100])"
      elif .slaves | type != "array" then "slaves is not an array"
      else
        [{field: "master", instance: .master}, (.slaves | to_entries[] | {field: "slaves[\(.key)]", instance: .value})]
        | ([.[] | .field as $field | .instance | address_problem($field)]) as $wrong
        | if $wrong != [] then $wrong[0]
          else map({field, address: .instance.address, identity: (.instance | identity)}) | repeated[0] // empty end
      end
    end;

first(problems, empty)
