#!/usr/bin/env bash
# curl uses the API as its manual says, without a word about EdgeChat.
set -euo pipefail

api=$EDGECHAT_URL/api/v1
folder=$(mktemp -d)
trap 'rm -r "$folder"' EXIT

# expect STATUS ARGUMENTS…: sends a request, checks its status, prints the body.
expect() {
  local wanted=$1 status
  shift
  status=$(curl --silent --show-error --max-time 30 --output "$folder/body" --write-out '%{http_code}' "$@")
  if [ "$status" != "$wanted" ]; then
    echo "curl $*: $status instead of $wanted: $(cat "$folder/body")" >&2
    exit 1
  fi
  if [ "$status" != 204 ]; then cat "$folder/body"; fi
}

# field NAME: the first field of this name in the JSON that comes in.
field() {
  grep -o "\"$1\":\"[^\"]*\"" | head -n 1 | cut -d '"' -f 4
}

json='Content-Type: application/json'
person='{"email":"person@curl.example","password":"correct horse battery"}'
token=$(expect 201 --header "$json" --data "$person" "$api/auth/register" | field access_token)
auth="Authorization: Bearer $token"

# Neither of these two sends a body, and none is asked for.
conversation=$(expect 201 --request POST --header "$auth" "$api/chat/conversations" | field id)
turn=$(expect 202 --header "$auth" --header "$json" --header 'Prefer: respond-async' \
  --data '{"content":"/script hang"}' "$api/chat/conversations/$conversation/messages" | field id)

events=()
last=
while IFS= read -r line; do
  line=${line%$'\r'}
  case $line in
    id:*) last=${line#id:} last=${last# } ;;
    event:*)
      event=${line#event:}
      events+=("${event# }")
      if [ "${event# }" = message.delta ]; then
        expect 202 --request POST --header "$auth" "$api/chat/turns/$turn/cancel" >"$folder/turn"
      fi
      ;;
  esac
done < <(curl --silent --show-error --no-buffer --max-time 30 --header "$auth" "$api/chat/turns/$turn/events")

if [ "${events[*]}" != 'turn.started message.delta turn.cancelled' ] || [ "$last" != 3 ]; then
  echo "the events are: ${events[*]}, the last is $last" >&2
  exit 1
fi
expect 204 --header "$auth" --header "Last-Event-ID: $last" "$api/chat/turns/$turn/events"
echo 'curl: registered, sent, followed, cancelled, ended'
