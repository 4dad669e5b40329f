#!/usr/bin/env bash
# curl uses the API as its manual says, without a word about EdgeChat.
set -euo pipefail

api=$EDGECHAT_URL/api/v1
folder=$(mktemp -d)
trap 'rm -r "$folder"' EXIT
mkfifo "$folder/stream"

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

# follow ACTION ARGUMENTS…: reads a stream into `events`, each as its id and type, and `data`, by id. It runs ACTION at
# every message.delta, and closes the connection when that fails.
follow() {
  local action=$1 line id='' curl
  shift
  events=() data=()
  curl --silent --show-error --fail --no-buffer --max-time 30 --output "$folder/stream" "$@" &
  curl=$!
  while IFS= read -r line; do
    case $line in
      id:*) id=${line#id: } ;;
      event:*) events+=("$id ${line#event: }") ;;
      data:*)
        data[$id]=${line#data: }
        if [ "${events[${#events[@]} - 1]}" = "$id message.delta" ] && ! $action; then
          kill "$curl"
          wait "$curl" || true
          return
        fi
        ;;
    esac
  done <"$folder/stream"
  wait "$curl"
}

check() {
  if [ "$1" != "$2" ]; then
    echo "'$1' instead of '$2'" >&2
    exit 1
  fi
}

json='Content-Type: application/json'
person='{"email":"person@curl.example","password":"correct horse battery"}'
token=$(expect 201 --header "$json" --data "$person" "$api/auth/register" | field access_token)
auth="Authorization: Bearer $token"

# Neither this request nor the one that cancels has a body, and none is asked for.
conversation=$(expect 201 --request POST --header "$auth" "$api/chat/conversations" | field id)

# Sends a message and loses the connection after the first words.
lose() { return 1; }
follow lose --header "$auth" --header "$json" --header 'Accept: text/event-stream' \
  --data '{"content":"/script hang"}' "$api/chat/conversations/$conversation/messages"
check "${events[*]}" '1 turn.started 2 message.delta'
turn=$(field turn_id <<<"${data[1]}")
words=${data[2]}

# Goes on where it was, as if the words had not arrived, and stops the answer.
cancel() {
  check "$(expect 202 --request POST --header "$auth" "$api/chat/turns/$turn/cancel" | field id)" "$turn"
}
follow cancel --header "$auth" --header 'Last-Event-ID: 1' "$api/chat/turns/$turn/events"
check "${events[*]}" '2 message.delta 3 turn.cancelled'
check "${data[2]}" "$words"
expect 204 --header "$auth" --header 'Last-Event-ID: 3' "$api/chat/turns/$turn/events"
echo 'curl: registered, sent, resumed, cancelled, ended'
