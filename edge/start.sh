#!/bin/sh
# Starts the Worker in its image. Beside the variables of README.md:
#   EDGE_KEYS_FILE       a file with EDGE_KEYS, where those are not set
#   SCRIPTED_GEMINI_URL  the scripted provider in development, as long as there is no GEMINI_API_KEY
#   CLIENT_IP_HEADER     see client_ip_proxy.js
#   OBJECTS_DIR          where the user objects are stored
# Arguments go to workerd.
set -eu

: "${GEMINI_API_KEY:=${GOOGLE_API_KEY:-}}"
if [ -z "${EDGE_KEYS:-}" ] && [ -n "${EDGE_KEYS_FILE:-}" ]; then
    EDGE_KEYS=$(cat "$EDGE_KEYS_FILE")
fi
if [ -z "$GEMINI_API_KEY" ]; then
    if [ "${EDGECHAT_ENV:-}" = production ]; then
        echo 'GEMINI_API_KEY: not set; it should hold a key of the Gemini API' >&2
        exit 2
    elif [ -n "${SCRIPTED_GEMINI_URL:-}" ]; then
        echo 'GEMINI_API_KEY is not set: the scripted Gemini answers' >&2
        GEMINI_API_KEY=scripted
        GEMINI_API_BASE=$SCRIPTED_GEMINI_URL
    fi
fi

# All that workerd.capnp names, if only to nothing.
for name in BASIC_TIER_DAILY_LIMIT CLIENT_IP_HEADER CORS_ALLOWED_HEADERS CORS_ORIGINS DEFAULT_MODEL EDGECHAT_ENV EDGE_KEYS \
    GEMINI_API_BASE GEMINI_API_KEY ORIGIN_URL OTEL_EXPORTER_OTLP_ENDPOINT OTEL_EXPORTER_OTLP_HEADERS OTEL_SERVICE_NAME \
    OTEL_TRACES_SAMPLER_ARG OUTBOX_MAX_TURNS PROVIDER_FIRST_BYTE_MS PROVIDER_STALL_MS PROVIDER_TRACEPARENT \
    RATE_LIMIT_REQUESTS RATE_LIMIT_WINDOW_SECONDS STREAM_FLUSH_MS STREAM_PING_MS STREAM_STALL_MS; do
    eval "export $name=\"\${$name-}\""
done
exec workerd serve "--directory-path=objects=${OBJECTS_DIR:-/var/lib/edgechat}" "$@" "$(dirname "$0")/workerd.capnp" config
