"""httpx and requests use the API as their documentation says, without a word about EdgeChat."""

import os

import httpx
import requests

API = os.environ["EDGECHAT_URL"] + "/api/v1"


def main_job(name, client, stream):
    """One person's day, by one client; `stream` opens a streamed answer and yields its lines."""

    def expect(status, method, path, **more):
        answer = client.request(method, API + path, **more)
        assert answer.status_code == status, f"{name}: {method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    person = {"email": f"{name}@python.example", "password": "correct horse battery"}
    token = expect(201, "POST", "/auth/register", json=person)["access_token"]
    client.headers["Authorization"] = f"Bearer {token}"

    # Neither of these two sends a body, and none is asked for.
    conversation = expect(201, "POST", "/chat/conversations")
    turn = expect(
        202,
        "POST",
        f"/chat/conversations/{conversation['id']}/messages",
        json={"content": "/script hang"},
        headers={"Prefer": "respond-async"},
    )
    path = f"/chat/turns/{turn['id']}"

    events, last = [], None
    for line in stream(client, f"{API}{path}/events"):
        if line.startswith("id:"):
            last = line.removeprefix("id:").strip()
        elif line.startswith("event:"):
            events.append(line.removeprefix("event:").strip())
            if events[-1] == "message.delta":
                assert expect(202, "POST", f"{path}/cancel")["id"] == turn["id"]
    assert events == ["turn.started", "message.delta", "turn.cancelled"], events
    assert last == "3", last
    assert expect(204, "GET", f"{path}/events", headers={"Last-Event-ID": last}) is None
    print(f"{name}: registered, sent, followed, cancelled, ended")


def httpx_lines(client, url):
    with client.stream("GET", url, headers={"Accept": "text/event-stream"}) as answer:
        assert answer.status_code == 200, answer.status_code
        yield from answer.iter_lines()


def requests_lines(client, url):
    with client.get(url, headers={"Accept": "text/event-stream"}, stream=True) as answer:
        assert answer.status_code == 200, answer.status_code
        yield from (line.decode() for line in answer.iter_lines(chunk_size=1))


with httpx.Client(timeout=30) as client:
    main_job("httpx", client, httpx_lines)
with requests.Session() as client:
    main_job("requests", client, requests_lines)
