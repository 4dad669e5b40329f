"""Tells schemathesis what OpenAPI has no words for."""

import schemathesis


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
