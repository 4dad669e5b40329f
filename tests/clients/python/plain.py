"""httpx and requests use the API as their documentation says, without a word about EdgeChat."""

import contextlib
import json
import os

import httpx
import requests

API = os.environ["EDGECHAT_URL"] + "/api/v1"


def main_job(name, client, lines):
    """One person's day, by one client; `lines` opens a stream, yields its lines, and closes the connection."""

    def expect(status, method, path, **more):
        answer = client.request(method, API + path, **more)
        assert answer.status_code == status, f"{name}: {method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    def stream(method, path, **more):
        return contextlib.closing(events(lines(client, method, API + path, **more)))

    person = {"email": f"{name}@python.example", "password": "correct horse battery"}
    token = expect(201, "POST", "/auth/register", json=person)["access_token"]
    client.headers["Authorization"] = f"Bearer {token}"

    # Neither this request nor the one that cancels has a body, and none is asked for.
    conversation = expect(201, "POST", "/chat/conversations")

    # Sends a message and loses the connection after the first words.
    messages = f"/chat/conversations/{conversation['id']}/messages"
    message = {"json": {"content": "/script hang"}, "headers": {"Accept": "text/event-stream"}}
    first = []
    with stream("POST", messages, **message) as answer:
        for event in answer:
            first.append(event)
            if event["event"] == "message.delta":
                break
    assert kinds(first) == ["1 turn.started", "2 message.delta"], first
    turn = first[0]["data"]["turn_id"]

    # Goes on where it was, as if the words had not arrived, and stops the answer.
    rest = []
    with stream("GET", f"/chat/turns/{turn}/events", headers={"Last-Event-ID": "1"}) as answer:
        for event in answer:
            rest.append(event)
            if event["event"] == "message.delta":
                assert expect(202, "POST", f"/chat/turns/{turn}/cancel")["id"] == turn
    assert kinds(rest) == ["2 message.delta", "3 turn.cancelled"], rest
    assert rest[0] == first[1], (first, rest)
    assert expect(204, "GET", f"/chat/turns/{turn}/events", headers={"Last-Event-ID": "3"}) is None
    print(f"{name}: registered, sent, resumed, cancelled, ended")


def events(lines):
    with contextlib.closing(lines):
        fields = {}
        for line in lines:
            name, _, value = line.partition(": ")
            if name in ("id", "event"):
                fields[name] = value
            elif name == "data":
                fields[name] = json.loads(value)
            elif not line and "data" in fields:
                yield fields
                fields = {}


def kinds(events):
    return [f"{event['id']} {event['event']}" for event in events]


def httpx_lines(client, method, url, **more):
    with client.stream(method, url, **more) as answer:
        assert answer.status_code == 200, answer.read()
        yield from answer.iter_lines()


def requests_lines(client, method, url, **more):
    with client.request(method, url, stream=True, **more) as answer:
        assert answer.status_code == 200, answer.text
        yield from (line.decode() for line in answer.iter_lines(chunk_size=1))


with httpx.Client(timeout=30) as client:
    main_job("httpx", client, httpx_lines)
with requests.Session() as client:
    main_job("requests", client, requests_lines)
