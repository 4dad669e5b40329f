"""The Python client that OpenAPI Generator makes: registers, sends a message, reads the events of a stream and stops it."""

import json
import os

from edgechat_client import ApiClient, AuthApi, ChatApi, Configuration, RegisterRequest, SendMessage, TurnEvent, TurnStatus

STREAMED = {"Accept": "text/event-stream"}


def events(answer):
    """The events of an answer, as they come."""
    assert answer.headers["content-type"].startswith("text/event-stream"), answer.headers
    rest = b""
    for piece in answer.stream(None):
        rest += piece
        *blocks, rest = rest.split(b"\n\n")
        for block in blocks:
            fields = dict(line.split(": ", 1) for line in block.decode().split("\n") if ": " in line and line[0] != ":")
            if "data" in fields:
                event = {"id": int(fields["id"]), "event": fields["event"], "data": json.loads(fields["data"])}
                yield TurnEvent.from_dict(event).actual_instance


configuration = Configuration(host=os.environ["EDGECHAT_URL"])
with ApiClient(configuration) as client:
    person = RegisterRequest(email="urllib3@python.example", password="correct horse battery")
    configuration.access_token = AuthApi(client).register(person).access_token
    chat = ChatApi(client)
    conversation = chat.create_conversation()

    # Sends a message, and reads its answer again as events.
    sent = chat.send_message(conversation.id, SendMessage(content="Hello"))
    assert sent.status == TurnStatus.COMPLETED, sent
    replay = list(events(chat.follow_turn_without_preload_content(sent.turn_id, _headers=STREAMED)))
    assert replay[0].data.turn_id == sent.turn_id, replay
    words = "".join(event.data.text for event in replay if event.event == "message.delta")
    assert words == sent.assistant_message.content, words
    assert replay[-1].event == "turn.completed", replay

    # Reads an answer as it comes, and stops it.
    message = SendMessage(content="/script hang")
    types = []
    for event in events(chat.send_message_without_preload_content(conversation.id, message, _headers=STREAMED)):
        types.append(event.event)
        if event.event == "turn.started":
            turn = event.data.turn_id
        if event.event == "message.delta":
            assert chat.cancel_turn(turn).id == turn
        if event.event == "turn.cancelled":
            assert event.data.turn_id == turn, event
    assert types == ["turn.started", "message.delta", "turn.cancelled"], types
print("the generated Python client: registered, sent, followed, cancelled")
