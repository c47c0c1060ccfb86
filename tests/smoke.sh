#!/usr/bin/env bash
# Whether a deployed API works: `smoke.sh https://a1b2c3d4e5.execute-api.eu-central-1.amazonaws.com`. It changes nothing; what it
# asks goes through API Gateway, Lambda, DynamoDB and Secrets Manager.
set -euo pipefail

url=${1:?the URL of the API}
url=${url%/}
answer=$(mktemp)
trap 'rm -f "$answer"' EXIT

# expect <status> <what the body contains> <path> [curl's arguments]
expect() {
    local wanted=$1 text=$2 path=$3 status
    shift 3
    status=$(curl --silent --show-error --max-time 30 --output "$answer" --write-out '%{http_code}' "$@" "$url$path") || status=none
    if [[ "$status" != "$wanted" ]] || ! grep -qF -- "$text" "$answer"; then
        printf 'FAILED  %s: %s instead of %s with %s\n' "$path" "$status" "$wanted" "$text" >&2
        head -c 500 "$answer" >&2
        exit 1
    fi
    printf 'ok      %s: %s\n' "$path" "$status"
}

expect 200 '{"ping":"pong"}' /identity/ping
expect 200 '"password_regexp":' /identity/configs
expect 200 '"git_sha":' /identity/version
# Nobody's address, and another one each time, so that no wait begins.
expect 404 '{"errors":["identity.session.invalid_params"]}' /identity/sessions \
    --data-urlencode "email=smoke-$(date +%s)-$$@example.com" --data-urlencode 'password=Not-The-Password-1'
expect 401 '{"errors":["authz.invalid_session"]}' /resource/users/me
expect 200 '"crv":"Ed25519"' /.well-known/jwks.json
expect 404 '{"message":"Not Found"}' /no/such/route
