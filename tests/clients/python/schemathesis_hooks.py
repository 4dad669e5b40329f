"""Tells schemathesis the rules that OpenAPI has no words for, each as narrow as the rule is.

A request that is valid by its schema is made to follow them before it is sent (`map_case`), so that it has to be accepted.
Where only the server knows the answer, the refusal that the rule demands, and no other, is no finding (`filter_failure`).
Requests that are invalid on purpose are left as they are.
"""

import datetime
import itertools
import json
import os

import schemathesis
from schemathesis.core.parameters import ParameterLocation
from schemathesis.openapi.checks import RejectedPositiveData

# Stands in the document's examples.
EXAMPLE_EMAIL = "ada@example.com"
# Names what has to be new in every request; the same in every run.
numbers = itertools.count(1)
# The requests with credentials that an authenticator has made, by their operation; each is accepted once.
passkey_requests = json.loads(os.environ["EDGECHAT_PASSKEY_REQUESTS"])
# The idempotency keys and e-mails that are taken.
used = {os.environ["EDGECHAT_EMAIL"], os.environ["EDGECHAT_CODE_EMAIL"]}


@schemathesis.hook
def before_load_schema(context, raw_schema):
    # The API's description has an event as its fields with the data as the JSON that it is, from which generators make
    # classes. On the wire, where schemathesis looks, the fields are text.
    for name, event in raw_schema["components"]["schemas"].items():
        fields = event.get("properties", {})
        if name.endswith("Event") and fields.keys() == {"id", "event", "data"}:
            fields["id"] = {"type": "string", "pattern": "^[1-9][0-9]*$"}
            fields["data"] = {"type": "string", "contentMediaType": "application/json", "contentSchema": fields["data"]}
    # A position may be beyond 64 bits, after which nothing comes; the format tells clients which type is large enough.
    for path in raw_schema["paths"].values():
        for operation in path.values():
            for parameter in operation.get("parameters", []):
                if parameter.get("schema", {}).get("format") == "int64":
                    del parameter["schema"]["format"]


@schemathesis.hook
def filter_headers(context, headers):
    # A `Last-Event-ID` without a value is none, as the standard of server-sent events has it.
    return not headers or headers.get("Last-Event-ID") not in ("", [])


@schemathesis.hook
def map_case(context, case):
    mend(case)
    return case


@schemathesis.hook
def before_add_examples(context, examples):
    for case in examples:
        mend(case)


@schemathesis.hook
def filter_failure(context, failure, case, response):
    return not isinstance(failure, RejectedPositiveData) or refusal(response) not in due_refusals(case)


def mend(case):
    """Makes a request follow the rules in words."""
    operation = operation_id(case)
    # What a path names is there: a made-up id is not found, and nothing behind that would be tested.
    if case.path_parameters and not case.meta.is_negative_at(ParameterLocation.PATH):
        case.path_parameters["id"] = existing(operation, case.path)
        if "mid" in case.path_parameters:
            of_it = "EDGECHAT_DOOMED_MESSAGE" if operation == "delete_message" else "EDGECHAT_MESSAGE"
            case.path_parameters["mid"] = os.environ[of_it]
    if case.meta.generation.mode.is_negative:
        return
    if case.headers and "Idempotency-Key" in case.headers:
        case.headers["Idempotency-Key"] = new(case.headers["Idempotency-Key"])
    if operation in ("send_message", "edit_message"):
        case.body = sendable(case.body, case.headers)
    if operation in ("regenerate", "continue_answer") and isinstance(case.body, dict):
        case.body = answerable(case.body, case.headers)
    if operation == "update_user":
        case.body = profile(case.body)
    if operation == "register":
        case.body = case.body | {"email": unregistered(case.body["email"])}
    if operation == "login" and case.body["email"] == EXAMPLE_EMAIL:
        case.body = case.body | {"email": os.environ["EDGECHAT_EMAIL"], "password": os.environ["EDGECHAT_PASSWORD"]}
    if operation in ("login", "verify_code"):
        # Only the token of a guest is one.
        case.body = {name: value for name, value in case.body.items() if name != "merge_guest_token"}
    if operation in ("send_code", "verify_code"):
        case.body = with_one_address(case.body)
    if operation == "reset_password" and is_first(operation):
        case.body = {"token": os.environ["EDGECHAT_RESET_TOKEN"], "new_password": "staple battery horse"}
    if operation == "verify_code" and is_first(operation):
        address, code = os.environ["EDGECHAT_CODE_EMAIL"], os.environ["EDGECHAT_CODE"]
        case.body = {"email": address, "code": code, "purpose": "login"}
    if operation in passkey_requests:
        # Only an authenticator makes a credential, and only of a challenge that was given out.
        good = passkey_requests[operation]
        case.body = good if is_first(operation) else case.body | {"credential": good["credential"]}
    if operation == "delete_user":
        is_right = is_first(operation)
        case.body = {"password": os.environ["EDGECHAT_PASSWORD"]} if is_right else with_one_proof(case.body)
    if operation == "oauth_token" and case.body.get("grant_type") != "refresh_token":
        case.body = case.body | {"username": os.environ["EDGECHAT_EMAIL"], "password": os.environ["EDGECHAT_PASSWORD"]}


def is_first(operation):
    """Whether no request of this operation was asked about before: what is valid once is spent on the first."""
    return operation not in used and not used.add(operation)


def operation_id(case):
    return case.operation.definition.raw["operationId"]


def existing(operation, path):
    """The id of something that belongs to the person who asks."""
    if operation == "delete_conversation":
        return os.environ["EDGECHAT_DOOMED"]
    if operation == "delete_message":
        return os.environ["EDGECHAT_CUT"]
    if operation == "end_session":
        return os.environ["EDGECHAT_SESSION"]
    if operation.endswith("_passkey"):
        return os.environ["EDGECHAT_DOOMED_PASSKEY" if operation == "remove_passkey" else "EDGECHAT_PASSKEY"]
    return os.environ["EDGECHAT_TURN" if "/turns/" in path else "EDGECHAT_CONVERSATION"]


def new(key):
    """This idempotency key, or one of its length where it was used: with another request it would be refused."""
    while key in used:
        key = str(next(numbers)).rjust(len(key), "k")
    used.add(key)
    return key


def unregistered(email):
    """This e-mail, or another one where it has an account."""
    if email.strip().lower() in used:
        email = f"person{next(numbers)}@example.com"
    used.add(email.strip().lower())
    return email


def profile(changes):
    """These changes with an address, a language and a time zone that exist, where they have any."""
    known = {"avatar_url": "https://example.com/ada.png", "locale": "de-CH", "timezone": "Europe/Zurich"}
    return {name: value and known.get(name, value) for name, value in changes.items()}


def with_one_address(body):
    """This body with a phone number or an e-mail address, which the words of the document ask for."""
    if body.get("phone") is not None:
        return {name: value for name, value in body.items() if name != "email"}
    return body | {"email": body.get("email") or "nobody@example.com"}


def with_one_proof(body):
    """This body with a password or a code, which the words of the document ask for."""
    body = body if isinstance(body, dict) else {}
    return {"code": body["code"]} if body.get("code") else {"password": body.get("password") or "a wrong password"}


def sendable(message, headers):
    """This message with what the words of the document ask for: `content` or `parts`; in a part or a format the fields of
    its type, and some text; one idempotency key.
    """
    message = dict(message)
    if message.get("parts") is not None:
        message.pop("content", None)
        message["parts"] = [part_of_its_type(part) for part in message["parts"]]
        if not any(part.get("text", "").strip() or part["type"] == "image" for part in message["parts"]):
            message["parts"][0]["text"] = "Hello"
    elif message.get("content") is None:
        message["content"] = "Hello"
    return answerable(message, headers)


def answerable(message, headers):
    """This message with one idempotency key, and in a format the fields of its type."""
    message = dict(message)
    form = message.get("response_format")
    if form is not None:
        form = {name: value for name, value in form.items() if name != "schema"}
        if form["type"] == "json_schema":
            form["schema"] = message["response_format"].get("schema") or {"type": "object"}
        message["response_format"] = form
    if message.get("client_message_id") is not None:
        key = headers.get("Idempotency-Key") if headers else None
        message["client_message_id"] = key or new(message["client_message_id"])
    return message


def part_of_its_type(part):
    needed = {"text": {"text": "Hello"}, "image": {"mime_type": "image/png", "data": "AAAA"}}[part["type"]]
    others = {"text", "mime_type", "data"} - needed.keys()
    return needed | {name: value for name, value in part.items() if name not in others}


def refusal(response):
    """A refusal as its status, its code and the fields that it names."""
    problem = response.json()
    fields = {error["field"] for error in problem.get("errors", [])}
    return response.status_code, problem.get("code") or problem.get("error"), frozenset(fields)


def due_refusals(case):
    """The refusals that this request may get though its schema allows it."""
    query, body = case.query or {}, case.body if isinstance(case.body, dict) else {}
    operation = operation_id(case)
    if operation == "continue_answer":
        # The answer has come to its end.
        yield 409, "conflict", frozenset()
    if operation == "login":
        # Credentials that nobody has, or that were tried too often.
        yield 401, "invalid_credentials", frozenset()
        yield 429, "rate_limited", frozenset()
    if operation == "register":
        # A password that anybody would guess.
        yield 422, "validation_failed", frozenset({"password"})
    if operation == "change_password":
        # The current password is another one, or was wrong too often.
        yield 401, "invalid_credentials", frozenset()
        yield 429, "rate_limited", frozenset()
    if operation in ("send_code", "forgot_password"):
        # The address got one a minute ago, or five within the hour.
        yield 429, "rate_limited", frozenset()
    if operation == "verify_code":
        # A code that was never sent, or guessed too often.
        yield 401, "code_invalid", frozenset()
        yield 429, "rate_limited", frozenset()
    if operation == "reset_password":
        # A token that was never given out, or is used; a password that anybody would guess.
        yield 401, "code_invalid", frozenset()
        yield 422, "validation_failed", frozenset({"new_password"})
    if operation in ("register_passkey", "login_by_passkey"):
        # A challenge that was never given out, or is used.
        yield 401, "code_invalid", frozenset()
    if operation in ("sign_in_with_google", "sign_in_with_apple"):
        # The provider is not configured; a token of a guest is one that was given out.
        yield 404, "not_found", frozenset()
        yield 429, "rate_limited", frozenset()
    if operation in ("login", "verify_code", "sign_in_with_google", "sign_in_with_apple"):
        yield 422, "validation_failed", frozenset({"merge_guest_token"})
    if operation == "sign_up_guest":
        # The address has begun as a guest too often.
        yield 429, "rate_limited", frozenset()
    if operation in ("logout", "logout_all"):
        # The first request has ended the session of its token.
        yield 401, "session_ended", frozenset()
    if operation == "delete_user":
        # A password that is another one, a code that was never sent; and the right one has ended the session of its token.
        for code in ("invalid_credentials", "code_invalid", "session_ended"):
            yield 401, code, frozenset()
    if operation == "export_user":
        # Five a day are allowed.
        yield 429, "rate_limited", frozenset()
    if operation == "refresh":
        # A token that was never given out, or that an earlier request has used.
        yield 401, "token_invalid", frozenset()
        yield 401, "session_ended", frozenset()
    if operation == "oauth_token" and body.get("grant_type") == "refresh_token":
        yield 400, "invalid_grant" if "refresh_token" in body else "invalid_request", frozenset()
    if operation in ("delete_conversation", "delete_message", "end_session", "remove_passkey"):
        # It was deleted, or has ended, by an earlier request.
        yield 404, "not_found", frozenset()
    if operation == "update_conversation" and body.get("head_id") is not None:
        # A head is a message of the conversation.
        yield 422, "validation_failed", frozenset({"head_id"})
    if operation == "list_conversations" and str(query.get("deleted")).lower() == "true":
        # Deleted ones are not filtered further.
        yield 422, "validation_failed", frozenset({"archived", "pinned"} & query.keys())
    if "cursor" in query:
        # A cursor is one that the list gave out.
        yield 422, "validation_failed", frozenset({"cursor"})
        if "after_seq" in query:
            yield 422, "validation_failed", frozenset({"after_seq"})
    if operation == "show_usage" and not is_report(query):
        yield 422, "validation_failed", frozenset({"from"})


def is_report(query):
    """Whether the days from `from` to `to` are in order, and at most 366."""
    to = datetime.date.fromisoformat(query.get("to") or datetime.datetime.now(datetime.timezone.utc).date().isoformat())
    return "from" not in query or 0 <= (to - datetime.date.fromisoformat(query["from"])).days < 366
