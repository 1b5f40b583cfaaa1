# shellcheck shell=sh
# Reads and writes etcd's keys by curl and jq, with API v2 or v3. Sourced after common.sh.
#
# ETCD_URL, ETCD_API (v2 or v3), ETCD_CA_FILE, ETCD_CERT_FILE, ETCD_KEY_FILE, ETCD_USERNAME,
# ETCD_PASSWORD or ETCD_PASSWORD_FILE.

etcd_url=${ETCD_URL:-http://172.17.8.101:4001}
etcd_url=${etcd_url%/}
etcd_api=${ETCD_API:-v2}
etcd_token=
etcd_status=
etcd_value=
etcd_index=0
: "$etcd_value$etcd_index" # results, for the scripts

need curl curl
need jq jq
case $etcd_api in
v2 | v3) ;;
*) die "ETCD_API=$etcd_api: expected v2 or v3" ;;
esac

# Options for curl by its configuration on stdin, where ps doesn't show them.
etcd_options() {
    [ -z "${ETCD_CA_FILE:-}" ] || printf 'cacert = "%s"\n' "$ETCD_CA_FILE"
    [ -z "${ETCD_CERT_FILE:-}" ] || printf 'cert = "%s"\n' "$ETCD_CERT_FILE"
    [ -z "${ETCD_KEY_FILE:-}" ] || printf 'key = "%s"\n' "$ETCD_KEY_FILE"
    if [ -n "$etcd_token" ]; then
        printf 'header = "Authorization: %s"\n' "$etcd_token"
    elif [ -n "${ETCD_USERNAME:-}" ] && [ "$etcd_api" = v2 ]; then
        printf 'user = "%s:%s"\n' "$ETCD_USERNAME" "$(etcd_password)"
    fi
}

etcd_password() {
    if [ -n "${ETCD_PASSWORD_FILE:-}" ]; then
        head -n 1 "$ETCD_PASSWORD_FILE"
    else
        printf '%s\n' "${ETCD_PASSWORD:-}"
    fi
}

# etcd_request PATH CURL-OPTIONS...: sets etcd_body and etcd_status; false where etcd doesn't answer
etcd_request() {
    etcd_path=$1
    shift
    etcd_body=$(etcd_options | curl -sS -K - --max-time 10 -w '\n%{http_code}' "$@" "$etcd_url$etcd_path") || {
        etcd_body=
        etcd_status=
        return 1
    }
    etcd_status=${etcd_body##*
}
    etcd_body=${etcd_body%
*}
}

# etcd_post PATH JSON: a request to API v3
etcd_post() {
    if [ -n "${ETCD_USERNAME:-}" ] && [ -z "$etcd_token" ]; then
        etcd_log_in || return 1
    fi
    etcd_request "$1" --data-raw "$2" && [ "$etcd_status" = 200 ]
}

etcd_log_in() {
    etcd_credentials=$(jq -cn --arg name "$ETCD_USERNAME" --arg password "$(etcd_password)" '{$name, $password}')
    # by a file descriptor of its own, where ps doesn't show it
    etcd_body=$(
        {
            etcd_options
            printf 'data = "%s"\n' "$(printf %s "$etcd_credentials" | sed 's/[\\"]/\\&/g')"
        } | curl -sS -K - --max-time 10 "$etcd_url/v3/auth/authenticate"
    ) && etcd_token=$(printf %s "$etcd_body" | jq -re .token)
}

# etcd_get KEY: sets etcd_value and etcd_index, which is 0 where there is no such key
etcd_get() {
    etcd_value=
    etcd_index=0
    if [ "$etcd_api" = v2 ]; then
        etcd_request "/v2/keys$1" || return 1
        case $etcd_status in
        # without a code: an etcd that has no v2 API
        404)
            printf %s "$etcd_body" | jq -e .errorCode >/dev/null 2>&1
            return
            ;;
        200) ;;
        *) return 1 ;;
        esac
        etcd_index=$(printf %s "$etcd_body" | jq -er .node.modifiedIndex) || return 1
        etcd_value=$(printf %s "$etcd_body" | jq -r '.node.value // ""')
    else
        etcd_post /v3/kv/range "$(jq -cn --arg key "$1" '{key: $key | @base64}')" || return 1
        etcd_index=$(printf %s "$etcd_body" | jq -r '.kvs[0].mod_revision // 0') || return 1
        etcd_value=$(printf %s "$etcd_body" | jq -r '.kvs[0].value // "" | @base64d')
    fi
}

# etcd_put KEY FILE [INDEX]: writes what the file holds and sets etcd_index to the key's new index.
# With INDEX only if the key still has that index (0: doesn't exist). Returns 2 if it has another.
etcd_put() {
    if [ "$etcd_api" = v2 ]; then
        etcd_condition=
        case ${3:-} in
        '') ;;
        0) etcd_condition='?prevExist=false' ;;
        *) etcd_condition="?prevIndex=$3" ;;
        esac
        etcd_request "/v2/keys$1$etcd_condition" -X PUT --data-urlencode "value@$2" || return 1
        case $etcd_status in
        200 | 201) etcd_index=$(printf %s "$etcd_body" | jq -er .node.modifiedIndex) ;;
        404 | 412) return 2 ;;
        *) return 1 ;;
        esac
    else
        etcd_encoded=$(base64 <"$2" | tr -d '\n')
        etcd_post /v3/kv/txn "$(jq -cn --arg key "$1" --arg value "$etcd_encoded" --arg index "${3:-}" '($key | @base64) as $key
            | {compare: (if $index == "" then [] else [{key: $key, target: "MOD", result: "EQUAL", mod_revision: $index}] end),
               success: [{requestPut: {key: $key, value: $value}}]}')" || return 1
        printf %s "$etcd_body" | jq -e .succeeded >/dev/null || return 2
        etcd_index=$(printf %s "$etcd_body" | jq -er .header.revision)
    fi
}

# etcd_delete KEY; it may be gone already
etcd_delete() {
    if [ "$etcd_api" = v2 ]; then
        etcd_request "/v2/keys$1" -X DELETE && { [ "$etcd_status" = 200 ] || [ "$etcd_status" = 404 ]; }
    else
        etcd_post /v3/kv/deleterange "$(jq -cn --arg key "$1" '{key: $key | @base64}')"
    fi
}

# etcd_failed KEY: ends the script, saying what etcd answered
etcd_failed() {
    die "etcd at $etcd_url failed for $1${etcd_status:+: $etcd_status }$(printf %s "${etcd_body:-}" | head -c 200)"
}

# Ends the script if the observer is paused.
check_pause() {
    etcd_get "${paused_key:?}" || etcd_failed "$paused_key"
    [ "$etcd_index" != 0 ] || return 0
    die "paused$(printf %s "$etcd_value" | jq -r '" since \(.since): \(.reason)"' 2>/dev/null || true);" \
        "nothing is applied until pause.sh --resume"
}
