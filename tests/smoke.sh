#!/usr/bin/env bash
# Tests a deployed stack end to end: `smoke.sh <URL of the API> <name of the function manage-users>`, the outputs ApiUrl and
# ManageUsersFunctionName. Needs curl, the AWS CLI and credentials that may invoke that function.
#
# It creates one user, whose address belongs to SES's mailbox simulator: the confirmation mail bounces, which SES does not count against the
# account's reputation. The user is erased at the end, also after a failure. Passwords, tokens and cookies are kept in a folder of this
# run, out of the output and of the list of processes.
#
# SMOKE_PATIENCE: seconds that the bounce may take (120). SMOKE_PASSWORD: a password to use where the stack's rule refuses the generated
# one.
set -euo pipefail

url=${1:?the URL of the API}
url=${url%/}
function=${2:?the name of the function manage-users}
patience=${SMOKE_PATIENCE:-120}
export AWS_PAGER=''

umask 077
folder=$(mktemp -d)
answer=$folder/answer
random() { od -An -N"$1" -tx1 /dev/urandom | tr -d ' \n'; }
email=bounce+smoke-$(random 8)@simulator.amazonses.com
printf '%s' "${SMOKE_PASSWORD:-Smoke-$(random 12)-Zq7}" >"$folder/password"
# Set before the request that may create the user, whose answer may be lost.
user_may_exist=false

passed() { printf 'ok      %s\n' "$*"; }
skipped() { printf 'skipped %s\n' "$*"; }
failed() {
    printf 'FAILED  %s\n' "$*" >&2
    exit 1
}

# What an answer says of a refusal: error keys and API Gateway's messages. Nothing else of it may be printed.
refusal() {
    grep -oE '"(errors":\["[a-z_.]{1,80}"|message":"[A-Za-z ]{1,80}")' "$answer" | head -n 1 || true
}

# request <step> <path> [curl's arguments]: sets `status`.
request() {
    local step=$1 path=$2
    shift 2
    : >"$answer"
    status=$(curl --silent --max-time 30 --output "$answer" --write-out '%{http_code}' "$@" "$url$path") ||
        failed "$step: no answer from $path"
}

# expect <step> <status> <text in the body> <path> [curl's arguments]
expect() {
    local step=$1 wanted=$2 text=$3 path=$4
    shift 4
    request "$step" "$path" "$@"
    answered "$step" "$wanted" "$text" "$path"
}

answered() {
    [[ $status == "$2" ]] || failed "$1: $4 answered $status instead of $2 $(refusal)"
    [[ -z $3 ]] || grep -qF -- "$3" "$answer" || failed "$1: $4 answered $status without $3 $(refusal)"
    passed "$1"
}

# manage <step> <action>: the answer of manage-users for the user is in $answer.
manage() {
    local step=$1 action=$2 outcome password=''
    : >"$answer"
    # The password's characters need no escape in JSON, or the stack refuses them in words.
    [[ $action != create ]] || password=", \"password\": \"$(<"$folder/password")\""
    printf '{"action": "%s", "email": "%s"%s}' "$action" "$email" "$password" >"$folder/payload"
    # fileb:// means the same to versions 1 and 2 of the CLI.
    outcome=$(aws lambda invoke --function-name "$function" --payload "fileb://$folder/payload" --cli-read-timeout 70 \
        --query FunctionError --output text "$answer" 2>"$folder/problem") ||
        { printf '%s: %s\n' "$step" "$(head -c 300 "$folder/problem" | tr '\n' ' ')" >&2; return 1; }
    [[ $outcome == None ]] || { printf '%s: the function failed: %s\n' "$step" "$outcome" >&2; return 1; }
}

erase() {
    manage erase delete || return 1
    # A sign-up that failed may not have created a user.
    grep -qF '"deleted"' "$answer" || grep -qF '"not_found"' "$answer" || return 1
    manage erase show || return 1
    grep -qF '"not_found"' "$answer"
}

end() {
    local result=$?
    trap - EXIT
    if $user_may_exist; then
        if erase; then
            passed 'erase'
        else
            printf 'FAILED  erase: the user %s is still there\n' "$email" >&2
            result=1
        fi
    fi
    rm -rf "$folder"
    exit "$result"
}
trap end EXIT
trap 'exit 130' INT TERM HUP

expect ping 200 '{"ping":"pong"}' /identity/ping
expect configs 200 '"password_regexp":' /identity/configs
captcha=true
! grep -qF '"captcha_type":"none"' "$answer" || captcha=false
expect version 200 '"git_sha":' /identity/version
expect keys 200 '"kty":' /.well-known/jwks.json
expect discovery 200 '"jwks_uri":' /.well-known/openid-configuration
expect 'unknown route' 404 '{"message":"Not Found"}' /no/such/route
expect 'me without a session' 401 '{"errors":["authz.invalid_session"]}' /resource/users/me

credentials=(--data-urlencode "email=$email" --data-urlencode "password@$folder/password")
user_may_exist=true
if $captcha; then
    skipped 'sign-up: it asks for a captcha, so the user is created by manage-users'
    manage create create || failed create
    grep -qF '"uid":' "$answer" || failed "create: manage-users refuses $(grep -oE '"code":"[a-z_]{1,40}"' "$answer" | head -n 1)"
    passed create
else
    expect sign-up 201 '"state":"pending"' /identity/users "${credentials[@]}"
fi

request sign-in /identity/sessions "${credentials[@]}" --cookie-jar "$folder/cookies"
if $captcha && [[ $status != 201 ]] && grep -qF '"identity.captcha.required"' "$answer"; then
    skipped 'sign-in, me, sign-out: sign-in asks for a captcha'
else
    answered sign-in 201 '"csrf_token":' /identity/sessions
    sed -n 's/.*"csrf_token":"\([^"]*\)".*/X-CSRF-Token: \1/p' "$answer" >"$folder/csrf"
    expect me 200 "\"email\":\"$email\"" /resource/users/me --cookie "$folder/cookies"
    expect sign-out 204 '' /identity/sessions --request DELETE --cookie "$folder/cookies" --header "@$folder/csrf"
    expect 'me after sign-out' 401 '{"errors":["authz.invalid_session"]}' /resource/users/me --cookie "$folder/cookies"
fi

# A mail goes from the outbox through the stream to mail-send and SES, and its bounce through EventBridge to mail-feedback, which labels
# the user. With a captcha it is the mail of a password reset, where that asks for none.
mail=true
if $captcha; then
    request 'password reset' /identity/users/password/generate_code --data-urlencode "email=$email"
    if [[ $status != 201 ]] && grep -qF '"identity.captcha.required"' "$answer"; then
        skipped 'mail and its bounce: a password reset asks for a captcha'
        mail=false
    else
        answered 'password reset' 201 '' /identity/users/password/generate_code
    fi
fi
if $mail; then
    deadline=$((SECONDS + patience))
    while :; do
        # A call that failed once is no reason to stop: the next may succeed before the deadline.
        if manage 'mail and its bounce' show && grep -qF '"value":"bounced"' "$answer"; then
            break
        fi
        ((SECONDS < deadline)) || failed "mail and its bounce: the user is not labelled within $patience s: look at mail-send and mail-feedback"
        # The stack stores the label and does not report it, so this polls for it.
        sleep 1
    done
    passed 'mail and its bounce'
fi
