#!/bin/sh
# Shows the cluster: what each instance is, what is wanted, what DNS says, and the last outcome.
#
# usage: scripts/status.sh [--watch | --json]
#
#   --watch   shows it again every 2 seconds, until Ctrl-C
#   --json    prints all of it as one JSON object
#
# What isn't as wanted is marked with "!". Exit status: 0 all is as wanted; 1 something differs, or
# could not be found out.
#
# ETCD_URL (http://172.17.8.101:4001), ETCD_API (v2), DNS_SERVER, DNS_PORT (172.17.8.101, 53),
# CLUSTER (redis-1); DICTATOR_URL, TOKEN where they are needed. Needs curl, jq and dig.
set -eu

here=$(dirname "$0")
# shellcheck source=scripts/common.sh
. "$here/common.sh"

watch=
json=
while [ $# -gt 0 ]; do
    case $1 in
    --help) show_help ;;
    --watch) watch=yes ;;
    --json) json=yes ;;
    *) unknown_option "$1" ;;
    esac
    shift
done
[ -z "$watch" ] || [ -z "$json" ] || die "--watch and --json don't go together"

# shellcheck source=scripts/etcd.sh
. "$here/etcd.sh"
# shellcheck source=scripts/services.sh
. "$here/services.sh"
make_work_directory
given_url=$dictator_url

# read_key FILE KEY: the key's JSON, or null; what isn't JSON becomes a string
read_key() {
    if [ "$etcd_known" = true ] && ! etcd_get "$2" 2>"$work/error"; then
        if [ -n "$etcd_status" ]; then
            echo "etcd at $etcd_url answered $etcd_status to API $etcd_api: $etcd_body" >>"$work/problems"
        else
            echo "etcd at $etcd_url doesn't answer: $(tr '\n' ' ' <"$work/error")" >>"$work/problems"
        fi
        etcd_known=false # one line says enough
    fi
    [ "$etcd_known" = true ] || etcd_index=0
    if [ "$etcd_index" = 0 ]; then
        echo null >"$work/$1"
    else
        printf %s "$etcd_value" | jq -c . >"$work/$1" 2>/dev/null ||
            printf %s "$etcd_value" | jq -Rsc . >"$work/$1"
    fi
}

read_dns() {
    echo null >"$work/dns"
    if dns_find "master.$cluster.docker"; then
        case $dns_host in
        *:*) dns_host="[$dns_host]" ;;
        esac
        jq -cn --arg at "$dns_host:$dns_found_port" '$at' >"$work/dns"
    else
        echo "$dns_problem" >>"$work/problems"
    fi
}

read_dictator() {
    echo '{"topology": null, "instances": []}' >"$work/state"
    dictator_url=$given_url
    if ! find_dictator; then
        echo "can't find the dictator: $dns_problem" >>"$work/problems"
    elif dictator_request /master 2>"$work/error" && [ "$dictator_status" = 200 ]; then
        printf '%s\n' "$dictator_body" >"$work/state"
    else
        echo "the dictator at $dictator_url doesn't answer: $(tr '\n' ' ' <"$work/error")" >>"$work/problems"
    fi
}

collect() {
    : >"$work/problems"
    etcd_known=true
    read_key wanted "$topology_key"
    read_key outcome "$status_key"
    read_key paused "$paused_key"
    read_dns
    read_dictator
    jq -n -f "$here/status.jq" --arg cluster "$cluster" --argjson known "$etcd_known" --rawfile problems "$work/problems" \
        --slurpfile wanted "$work/wanted" --slurpfile outcome "$work/outcome" --slurpfile paused "$work/paused" \
        --slurpfile dns "$work/dns" --slurpfile state "$work/state" >"$work/status"
}

show() {
    jq -r '
        def text: if . == null then "-" else tostring end;
        (select(.instances != []) | ["  INSTANCE", "ADDRESS", "ROLE", "FOLLOWS", "LINK", "LAG", "KEYS", "EPOCH"]),
        (.instances[] | [(if .differs then "! " else "  " end) + .name, (.address, .role, .follows, .link, .lag, .keys, .epoch | text)])
        | @tsv' "$work/status" |
        awk -F '\t' '
            { lines[NR] = $0; for (i = 1; i <= NF; i++) if (length($i) > width[i]) width[i] = length($i) }
            END {
                for (n = 1; n <= NR; n++) {
                    fields = split(lines[n], field, "\t"); line = ""
                    for (i = 1; i <= fields; i++)
                        line = line sprintf(i == 6 || i == 7 ? "%" width[i] "s  " : "%-" width[i] "s  ", field[i])
                    sub(/ +$/, "", line); print line
                }
            }'
    jq -r '
        (select(.instances != []) | ""),
        "wanted:   " + .wanted_line,
        "DNS:      " + .dns_line,
        "outcome:  " + .outcome_line,
        (select(.paused != null) | "paused:   " + .paused_line),
        (.problems[] | "! " + .)' "$work/status"
}

if [ -n "$watch" ]; then
    while :; do
        collect
        shown=$(show)
        clear 2>/dev/null || true
        printf '%s  %s\n\n%s\n' "$cluster" "$(now)" "$shown"
        sleep 2
    done
fi

collect
if [ -n "$json" ]; then
    jq . "$work/status"
else
    show
fi
jq -e .well "$work/status" >/dev/null
