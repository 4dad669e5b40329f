# The Worker on plain workerd: both deployments of the one build, as wrangler.toml and wrangler.user.toml have them on
# Cloudflare, with a proxy (client_ip_proxy.js) before them. Every variable that is named here must be set, if only to the empty string: an
# unset one is `null` to the Worker, which it does not expect. start.sh ensures that.
using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [
    (name = "gate", worker = .gate),
    (name = "front", worker = .front),
    (name = "user", worker = .user),
    # The origin is on a private network, Gemini on the public one.
    (name = "net", network = (allow = ["public", "private"], tlsOptions = (trustBrowserCas = true))),
    # --directory-path=objects=… says where.
    (name = "objects", disk = (writable = true)),
  ],
  sockets = [(name = "http", address = "0.0.0.0:8787", http = (), service = "gate")],
);

const gate :Workerd.Worker = (
  modules = [(name = "client_ip_proxy.js", esModule = embed "client_ip_proxy.js")],
  compatibilityDate = .compatibilityDate,
  bindings = [
    (name = "FRONT", service = "front"),
    (name = "CLIENT_IP_HEADER", fromEnvironment = "CLIENT_IP_HEADER"),
  ],
);

const front :Workerd.Worker = (
  modules = .modules,
  compatibilityDate = .compatibilityDate,
  bindings = .bindings,
  globalOutbound = "net",
);

const user :Workerd.Worker = (
  modules = .modules,
  compatibilityDate = .compatibilityDate,
  bindings = .bindings,
  globalOutbound = "net",
  durableObjectNamespaces = [(className = "UserObject", uniqueKey = "users", enableSql = true)],
  durableObjectStorage = (localDisk = "objects"),
);

const compatibilityDate :Text = "2026-10-01";

const modules :List(Workerd.Worker.Module) = [
  (name = "index.js", esModule = embed "build/index.js"),
  (name = "index_bg.wasm", wasm = embed "build/index_bg.wasm"),
];

const bindings :List(Workerd.Worker.Binding) = [
  (name = "USERS", durableObjectNamespace = (className = "UserObject", serviceName = "user")),
  (name = "BASIC_TIER_DAILY_LIMIT", fromEnvironment = "BASIC_TIER_DAILY_LIMIT"),
  (name = "CORS_ALLOWED_HEADERS", fromEnvironment = "CORS_ALLOWED_HEADERS"),
  (name = "CORS_ORIGINS", fromEnvironment = "CORS_ORIGINS"),
  (name = "DEFAULT_MODEL", fromEnvironment = "DEFAULT_MODEL"),
  (name = "EDGECHAT_ENV", fromEnvironment = "EDGECHAT_ENV"),
  (name = "EDGE_KEYS", fromEnvironment = "EDGE_KEYS"),
  (name = "GEMINI_API_BASE", fromEnvironment = "GEMINI_API_BASE"),
  (name = "GEMINI_API_KEY", fromEnvironment = "GEMINI_API_KEY"),
  (name = "ORIGIN_URL", fromEnvironment = "ORIGIN_URL"),
  (name = "OTEL_EXPORTER_OTLP_ENDPOINT", fromEnvironment = "OTEL_EXPORTER_OTLP_ENDPOINT"),
  (name = "OTEL_EXPORTER_OTLP_HEADERS", fromEnvironment = "OTEL_EXPORTER_OTLP_HEADERS"),
  (name = "OTEL_SERVICE_NAME", fromEnvironment = "OTEL_SERVICE_NAME"),
  (name = "OTEL_TRACES_SAMPLER_ARG", fromEnvironment = "OTEL_TRACES_SAMPLER_ARG"),
  (name = "OUTBOX_MAX_TURNS", fromEnvironment = "OUTBOX_MAX_TURNS"),
  (name = "PROVIDER_FIRST_BYTE_MS", fromEnvironment = "PROVIDER_FIRST_BYTE_MS"),
  (name = "PROVIDER_STALL_MS", fromEnvironment = "PROVIDER_STALL_MS"),
  (name = "PROVIDER_TRACEPARENT", fromEnvironment = "PROVIDER_TRACEPARENT"),
  (name = "RATE_LIMIT_REQUESTS", fromEnvironment = "RATE_LIMIT_REQUESTS"),
  (name = "RATE_LIMIT_WINDOW_SECONDS", fromEnvironment = "RATE_LIMIT_WINDOW_SECONDS"),
  (name = "STREAM_FLUSH_MS", fromEnvironment = "STREAM_FLUSH_MS"),
  (name = "STREAM_PING_MS", fromEnvironment = "STREAM_PING_MS"),
  (name = "STREAM_STALL_MS", fromEnvironment = "STREAM_STALL_MS"),
];
