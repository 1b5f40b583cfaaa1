# shellcheck shell=sh
# Finds the services in DNS, and asks the dictator. Sourced after common.sh.
#
# DNS_SERVER, DNS_PORT, DICTATOR_URL, DICTATOR_CA_FILE, TOKEN or TOKEN_FILE.

dns_server=${DNS_SERVER:-172.17.8.101}
dns_port=${DNS_PORT:-53}
dictator_url=${DICTATOR_URL:-}
dictator_status=
dictator_body=
: "$dictator_status$dictator_body" # results, for the scripts

if command -v dig >/dev/null; then
    dns_command="dig +time=2 +tries=2"
elif command -v kdig >/dev/null; then
    dns_command="kdig +time=2 +retry=1"
elif command -v drill >/dev/null; then
    dns_command=drill
else
    die "dig, kdig or drill is needed (Debian: apt-get install bind9-dnsutils)"
fi

# dns_ask NAME TYPE: the whole answer; the three tools print records alike: name ttl IN type data
dns_ask() {
    # shellcheck disable=SC2086 # a command and its options
    $dns_command -p "$dns_port" "$1" "$2" "@$dns_server" 2>&1
}

# dns_address ANSWER NAME: the address that the answer has for the name, an IPv4 one if possible
dns_address() {
    printf '%s\n' "$1" |
        awk -v name="$2" '!/^;/ && $1 == name && ($4 == "A" || $4 == "AAAA") { print $4, $5 }' |
        sort | head -n 1 | cut -d ' ' -f 2
}

# dns_find NAME: sets dns_host and dns_found_port from the name's SRV record. Otherwise false, with dns_problem.
dns_find() {
    dns_problem=
    dns_answer=$(dns_ask "$1" SRV) || {
        # of all that dig says, the first line
        dns_problem="no answer from $dns_server port $dns_port for $1: $(printf '%s\n' "$dns_answer" | sed -n 's/^;*  *//; /./{p;q;}')"
        return 1
    }
    # priority port target, of the record with the lowest priority
    dns_record=$(printf '%s\n' "$dns_answer" | awk '!/^;/ && $4 == "SRV" { print $5, $7, $8 }' | sort -n | head -n 1)
    [ -n "$dns_record" ] || {
        dns_problem="$dns_server port $dns_port has no SRV record for $1"
        return 1
    }
    dns_target=${dns_record##* }
    dns_record=${dns_record% *}
    dns_found_port=${dns_record#* }
    dns_host=$(dns_address "$dns_answer" "$dns_target")
    # not every server adds the address to the answer
    [ -n "$dns_host" ] || dns_host=$(dns_address "$(dns_ask "$dns_target" A)" "$dns_target")
    [ -n "$dns_host" ] || dns_host=$(dns_address "$(dns_ask "$dns_target" AAAA)" "$dns_target")
    [ -n "$dns_host" ] || {
        dns_problem="$dns_server port $dns_port has no address for $dns_target, the target of $1"
        return 1
    }
}

# Sets dictator_url, unless DICTATOR_URL has. Otherwise false, with dns_problem.
find_dictator() {
    [ -z "$dictator_url" ] || return 0
    dns_find "${cluster:?}-dictator.docker" || return 1
    case $dns_host in
    *:*) dns_host="[$dns_host]" ;;
    esac
    dictator_url="http${DICTATOR_CA_FILE:+s}://$dns_host:$dns_found_port"
}

dictator_options() {
    dictator_token=${TOKEN:-}
    [ -z "${TOKEN_FILE:-}" ] || dictator_token=$(head -n 1 "$TOKEN_FILE")
    [ -z "$dictator_token" ] || printf 'header = "Authorization: Bearer %s"\n' "$dictator_token"
    [ -z "${DICTATOR_CA_FILE:-}" ] || printf 'cacert = "%s"\n' "$DICTATOR_CA_FILE"
}

# dictator_request PATH CURL-OPTIONS...: sets dictator_status and dictator_body; false without an answer
dictator_request() {
    find_dictator || die "can't find the dictator: $dns_problem"
    dictator_path=$1
    shift
    dictator_body=$(dictator_options | curl -sS -K - --max-time 60 -w '\n%{http_code}' "$@" "$dictator_url$dictator_path") ||
        return 1
    dictator_status=${dictator_body##*
}
    dictator_body=${dictator_body%
*}
}
