//! Tests of every message for a wrong configuration, and of every form of a valid one.

use rstest::rstest;

use super::*;

const SECRET: (&str, &str) = ("JWT_SECRET", "0f9a3b7c5d1e8f2a4b6c0d9e7f3a5b1c");
const KEYS: (&str, &str) = ("EDGE_KEYS", "a1b2c3d4e5f60718293a4b5c6d7e8f90");
const PRODUCTION: (&str, &str) = ("EDGECHAT_ENV", "production");

const POSTGRES: (&str, &str) = ("DATABASE_URL", "postgresql+asyncpg://user:hunter2@db.example:5433/chat");
const MONGO: (&str, &str) = ("MONGODB_URL", "mongodb://user:hunter2@mongo.example/talk");
const REDIS: (&str, &str) = ("REDIS_URL", "redis://:hunter2@redis.example:6380/0");

const SMTP: (&str, &str) = ("SMTP_URL", "smtp://ada:hunter2@mail.example");
const FROM: (&str, &str) = ("MAIL_FROM", "EdgeChat <no-reply@example.com>");
const PUBLIC: (&str, &str) = ("PUBLIC_URL", "https://chat.example.com/");
const SMS: (&str, &str) = ("SMS_WEBHOOK_URL", "https://sms.example.com/send?key=hunter2");
const SMS_KEY: (&str, &str) = ("SMS_WEBHOOK_SECRET", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");

fn read(vars: &[(&str, &str)]) -> Result<Config, ConfigError> {
    Config::read(&vars.iter().copied().collect())
}

#[test]
fn development_needs_one_secret_only() {
    let config = read(&[SECRET]).unwrap();
    assert_eq!(config.process.environment, Environment::Development);
    assert_eq!(config.process.listen_addr.to_string(), "127.0.0.1:8080");
    assert_eq!(config.process.app_name, "EdgeChat");
    assert_eq!(config.process.log_format, LogFormat::Text);
    assert_eq!(config.stores.accounts.to_string(), "SQLite, .edgechat/edgechat.db");
    assert_eq!(config.stores.chats.to_string(), "SQLite, .edgechat/edgechat-chats.db");
    assert_eq!(config.stores.ephemeral.to_string(), "in this process");
    assert_eq!(
        config.limits,
        LimitsConfig {
            access_token_minutes: 15,
            refresh_token_days: 7,
            rate_limit_requests: 100,
            rate_limit_window_s: 60,
            basic_tier_daily_limit: Some(5),
            sign_up_daily_limit: Some(20),
            guest_hourly_limit: Some(10),
            guest_daily_limit: Some(20),
            code_minutes: 5,
            deletion_grace_days: 30,
            cache_ttl_s: 300,
        }
    );
}

#[test]
fn env_file_of_earlier_backend_is_accepted() {
    let config = read(&[
        ("SECRET_KEY", SECRET.1),
        ("DATABASE_URL", "sqlite+aiosqlite:///./app.db"),
        ("GOOGLE_API_KEY", "AIza-something"),
        ("CORS_ORIGINS", r#"["http://localhost:3000"]"#),
        ("ACCESS_TOKEN_EXPIRE_MINUTES", "30"),
        ("DEBUG", "True"),
        ("MONGODB_URL", ""),
    ])
    .unwrap();
    assert_eq!(config.stores.accounts.to_string(), "SQLite, app.db");
    assert_eq!(config.limits.access_token_minutes, 30);
    assert!(config.process.debug);
}

#[test]
fn server_addresses_are_shown_without_passwords() {
    let replicas = ("EDGECHAT_REPLICAS", "3");
    let stores = read(&[PRODUCTION, SECRET, KEYS, POSTGRES, MONGO, REDIS, replicas]).unwrap().stores;
    assert_eq!(stores.accounts.to_string(), "PostgreSQL, db.example:5433/chat");
    assert_eq!(stores.chats.to_string(), "MongoDB, mongo.example:27017/talk");
    assert_eq!(stores.ephemeral.to_string(), "Redis, redis.example:6380, keys edgechat:…");
    assert!(!format!("{stores:?}").contains("hunter2"), "{stores:?}");
}

#[test]
fn production_needs_secrets_and_logs_json() {
    let config = read(&[PRODUCTION, SECRET, KEYS]).unwrap();
    assert_eq!(config.process.log_format, LogFormat::Json);
    assert!(config.edge_keys.is_some());
}

#[rstest]
#[case(&[], "JWT_SECRET: not set; it should hold a random text of at least 32 characters (`openssl rand -hex 32` makes one)")]
#[case(&[("JWT_SECRET", "short-and-secret")], "JWT_SECRET: held a secret of 16 characters; it should hold a random text")]
#[case(&[("JWT_SECRET", "0f9a3b7c5d1e8f2a4b6c0d9e7f3a5b1c,short-and-secret")], "JWT_SECRET: held a list in which secret 2 has 16 characters; it should hold a random text of at least 32 characters (`openssl rand -hex 32` makes one), or several with commas between, and none that contains a comma")]
#[case(&[PRODUCTION, KEYS, ("JWT_SECRET", "0f9a3b7c5d1e8f2a4b6c0d9e7f3a5b1c,change-me-aaaaaaaaaaaaaaaaaaaaaaaaaaa")], "JWT_SECRET: held a placeholder; it should hold")]
#[case(&[("SECRET_KEY", "short")], "SECRET_KEY: held a secret of 5 characters; it should hold a random text")]
#[case(&[SECRET, ("EDGECHAT_ENV", "prod")], "EDGECHAT_ENV: held \"prod\"; it should hold development or production")]
#[case(&[SECRET, ("LISTEN_ADDR", "8080")], "LISTEN_ADDR: held \"8080\"; it should hold an address and a port")]
#[case(&[SECRET, ("METRICS_ADDR", "9464")], "METRICS_ADDR: held \"9464\"; it should hold an address and a port, such as 127.0.0.1:9464")]
#[case(&[SECRET, ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318")], "OTEL_EXPORTER_OTLP_ENDPOINT: held \"collector:4318\"; it should be a URL such as https://")]
#[case(&[PRODUCTION, SECRET, KEYS, ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://otlp.example.com")], "OTEL_EXPORTER_OTLP_ENDPOINT: held \"http://otlp.example.com\"; it should begin with https://")]
#[case(&[SECRET, ("OTEL_EXPORTER_OTLP_HEADERS", "hunter2")], "OTEL_EXPORTER_OTLP_HEADERS: held a secret of 7 characters; it should hold name=value pairs")]
#[case(&[SECRET, ("OTEL_TRACES_SAMPLER_ARG", "2")], "OTEL_TRACES_SAMPLER_ARG: held \"2\"; it should hold a number from 0 to 1")]
#[case(&[SECRET, ("LOG_FORMAT", "xml")], "LOG_FORMAT: held \"xml\"; it should hold text or json")]
#[case(&[SECRET, ("DEBUG", "maybe")], "DEBUG: held \"maybe\"; it should hold true or false")]
#[case(&[SECRET, ("EDGE_KEYS", "abc")], "EDGE_KEYS: held a list in which key 1 has 3 characters; it should hold one or two")]
#[case(&[SECRET, ("DATABASE_URL", "postgres://u:hunter2@db:port/x")], "DATABASE_URL: held a PostgreSQL address that cannot be read; it should hold the address of a PostgreSQL server")]
#[case(&[SECRET, ("DATABASE_URL", "postgres://u:hunter2@db/x"), ("DATABASE_POOL_SIZE", "0")], "DATABASE_POOL_SIZE: held \"0\"; it should hold a whole number from 1 to 500")]
#[case(&[SECRET, ("DATABASE_URL", "mysql://u:hunter2@db/x")], "DATABASE_URL: held something that is neither an SQLite nor a PostgreSQL address; it should hold the path")]
#[case(&[SECRET, ("DATABASE_URL", "sqlite://:memory:")], "DATABASE_URL: held \"sqlite://:memory:\"; it should hold the path")]
#[case(&[SECRET, ("MONGODB_URL", "http://u:hunter2@db/x")], "MONGODB_URL: held something that is no MongoDB address; it should hold one such as mongodb://")]
#[case(&[SECRET, ("REDIS_URL", "http://:pass@db/0")], "REDIS_URL: held something that is no Redis address; it should hold one such as redis://")]
#[case(&[SECRET, ("REDIS_URL", "redis://:hunter2@db/0"), ("REDIS_KEY_PREFIX", "{x}")], "REDIS_KEY_PREFIX: held \"{x}\"; it should hold at most 64 letters")]
#[case(&[SECRET, ("CACHE_TTL_SECONDS", "-1")], "CACHE_TTL_SECONDS: held \"-1\"; it should hold a whole number")]
#[case(&[SECRET, ("ACCESS_TOKEN_EXPIRE_MINUTES", "0")], "ACCESS_TOKEN_EXPIRE_MINUTES: held \"0\"; it should hold a whole number from 1 to 1440 (default 15)")]
#[case(&[SECRET, ("REFRESH_TOKEN_EXPIRE_DAYS", "seven")], "REFRESH_TOKEN_EXPIRE_DAYS: held \"seven\"; it should hold a whole number from 1 to 365")]
#[case(&[SECRET, ("RATE_LIMIT_REQUESTS", "-1")], "RATE_LIMIT_REQUESTS: held \"-1\"; it should hold a whole number")]
#[case(&[SECRET, ("CORS_ORIGINS", "example.com")], "CORS_ORIGINS: held \"example.com\"; it should hold *, a comma list or a JSON list")]
#[case(&[SECRET, ("DEFAULT_MODEL", "gpt")], "DEFAULT_MODEL: held \"gpt\"; it should hold one of fast")]
#[case(&[SECRET, ("GEMINI_API_BASE", "localhost:1")], "GEMINI_API_BASE: held \"localhost:1\"; it should be a URL such as https://")]
#[case(&[SECRET, ("OTP_EXPIRATION_MINUTES", "x")], "OTP_EXPIRATION_MINUTES: held \"x\"; it should hold a whole number")]
#[case(&[SECRET, ("STRIPE_SECRET_KEY", "pk_1")], "STRIPE_SECRET_KEY: held a secret of 4 characters; it should hold a secret key of Stripe")]
#[case(&[PRODUCTION, SECRET], "EDGE_KEYS: not set; it should hold one or two random texts")]
#[case(&[PRODUCTION, KEYS, ("JWT_SECRET", "development-secret-change-me-0123456789")], "JWT_SECRET: held a placeholder; it should hold")]
#[case(&[PRODUCTION, KEYS, ("JWT_SECRET", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")], "JWT_SECRET: held a placeholder; it should hold")]
#[case(&[PRODUCTION, SECRET, ("EDGE_KEYS", "development-edge-key-0123456789abcdef")], "EDGE_KEYS: held a placeholder; it should hold")]
#[case(&[PRODUCTION, SECRET, KEYS, ("DEBUG", "1")], "DEBUG: held true; it should be false in production")]
#[case(&[PRODUCTION, SECRET, KEYS, POSTGRES, MONGO, ("EDGECHAT_REPLICAS", "2")], "REDIS_URL: is embedded in one process, and EDGECHAT_REPLICAS held 2; it should name a Redis server")]
#[case(&[PRODUCTION, SECRET, KEYS, POSTGRES, REDIS, ("EDGECHAT_REPLICAS", "2")], "MONGODB_URL: is embedded in one process, and EDGECHAT_REPLICAS held 2; it should name a MongoDB server")]
#[case(&[PRODUCTION, SECRET, KEYS, MONGO, REDIS, ("EDGECHAT_REPLICAS", "2")], "DATABASE_URL: is embedded in one process, and EDGECHAT_REPLICAS held 2; it should name a PostgreSQL server")]
#[case(&[SECRET, FROM, ("SMTP_URL", "http://u:hunter2@mail.example")], "SMTP_URL: held something that is no address of an SMTP server; it should hold the address of an SMTP server, such as smtp://user:password@")]
#[case(&[SECRET, FROM, ("SMTP_URL", "mail.example:25")], "SMTP_URL: held something that is no address of an SMTP server; it should hold")]
#[case(&[SECRET, FROM, ("SMTP_URL", "smtp://ada@mail.example")], "SMTP_URL: held a user without a password, or a password without a user; it should hold")]
#[case(&[SECRET, FROM, ("SMTP_URL", "smtp://u:hunter2@mail.example?tls=maybe")], "SMTP_URL: held tls=maybe; tls should be required, opportunistic or none")]
#[case(&[SECRET, FROM, ("SMTP_URL", "smtps://u:hunter2@mail.example?tls=none")], "SMTP_URL: held tls=none; tls should be required, opportunistic or none")]
#[case(&[SECRET, FROM, ("SMTP_URL", "smtp://u:hunter2@mail.example?hunter2@mail")], "SMTP_URL: held another parameter than tls; it should have no parameter but tls")]
#[case(&[SECRET, FROM, ("SMTP_URL", "smtp://ada:1/hunter2@mail.example")], "SMTP_URL: held a path that is no host name; its path should be")]
#[case(&[PRODUCTION, SECRET, KEYS, FROM, PUBLIC, ("SMTP_URL", "smtp://u:hunter2@mail.example?tls=none")], "SMTP_URL: held tls=none; tls should be required in production, or the scheme smtps://")]
#[case(&[PRODUCTION, SECRET, KEYS, FROM, PUBLIC, ("SMTP_URL", "smtp://u:hunter2@mail.example?tls=opportunistic")], "SMTP_URL: held tls=opportunistic; tls should be required in production")]
#[case(&[SECRET, SMTP], "MAIL_FROM: not set; it should hold the sender of mails, such as EdgeChat <no-reply@example.com>, as SMTP_URL is set")]
#[case(&[SECRET, SMTP, ("MAIL_FROM", "EdgeChat")], "MAIL_FROM: held \"EdgeChat\"; it should hold the sender of mails")]
#[case(&[SECRET, SMTP, FROM, ("SMTP_CA_FILE", "/nowhere/ca.pem")], "SMTP_CA_FILE: held \"/nowhere/ca.pem\", which cannot be read")]
#[case(&[SECRET, ("PUBLIC_URL", "chat.example.com")], "PUBLIC_URL: held \"chat.example.com\"; it should be a URL such as https://")]
#[case(&[PRODUCTION, SECRET, KEYS, SMTP, FROM], "PUBLIC_URL: not set; it should hold the https:// address of the app, for links in mails, as SMTP_URL is set")]
#[case(&[PRODUCTION, SECRET, KEYS, SMTP, FROM, ("PUBLIC_URL", "http://chat.internal")], "PUBLIC_URL: held \"http://chat.internal\"; it should hold the https:// address")]
#[case(&[SECRET, ("SMS_WEBHOOK_URL", "sms.example.com/hunter2")], "SMS_WEBHOOK_URL: held a secret of 23 characters; it should be a URL such as https://")]
#[case(&[PRODUCTION, SECRET, KEYS, SMS_KEY, ("SMS_WEBHOOK_URL", "http://sms.example.com/hunter2")], "SMS_WEBHOOK_URL: held a secret of 30 characters; it should begin with https://")]
#[case(&[PRODUCTION, SECRET, KEYS, SMS], "SMS_WEBHOOK_SECRET: not set; it should hold a random text of at least 32 characters, or whsec_")]
#[case(&[PRODUCTION, SECRET, KEYS, SMS, ("SMS_WEBHOOK_SECRET", "development-secret-0123456789abcdef")], "SMS_WEBHOOK_SECRET: held a placeholder; it should hold")]
#[case(&[SECRET, SMS, ("SMS_WEBHOOK_SECRET", "short-and-secret")], "SMS_WEBHOOK_SECRET: held a secret of 16 characters; it should hold")]
#[case(&[SECRET, SMS, ("SMS_WEBHOOK_AUTHORIZATION", "Bearer hünter2")], "SMS_WEBHOOK_AUTHORIZATION: held a secret of 14 characters; it should hold the value of a header")]
#[case(&[SECRET, SMS, ("SMS_WEBHOOK_CONTENT_TYPE", "text/xml")], "SMS_WEBHOOK_CONTENT_TYPE: held \"text/xml\"; it should hold application/json or")]
#[case(&[SECRET, SMS, ("SMS_WEBHOOK_CONTENT_TYPE", "application/x-www-form-urlencoded")], "SMS_WEBHOOK_TEMPLATE: not set; it should hold a form such as To={to}&Body={text}")]
#[case(&[SECRET, SMS, ("SMS_WEBHOOK_TEMPLATE", "key=hunter2&To={to}")], "SMS_WEBHOOK_TEMPLATE: held a secret of 19 characters; it should hold the body of a request with {to} and {text}")]
#[case(&[PRODUCTION, SECRET, KEYS, ("STRIPE_SECRET_KEY", "sk_live_1")], "STRIPE_WEBHOOK_SECRET: not set; it should hold the signing secret")]
fn wrong_variable_is_named_with_remedy(#[case] vars: &[(&str, &str)], #[case] sentence: &str) {
    let error = read(vars).unwrap_err();
    assert_eq!(error.0.len(), 1, "{error}");
    let text = error.to_string();
    assert!(text.starts_with(sentence), "{text}");
    for secret in ["hunter2", "short-and-secret", "sk_live", "development-secret"] {
        assert!(!text.contains(secret), "{text}");
    }
}

#[test]
fn wrong_variables_are_all_named_at_once() {
    let error = read(&[("LISTEN_ADDR", "x"), ("DEBUG", "x"), ("REDIS_URL", "http://r")]).unwrap_err();
    let variables: Vec<_> = error.0.iter().map(|problem| problem.variable).collect();
    assert_eq!(variables, ["DEBUG", "LISTEN_ADDR", "JWT_SECRET", "REDIS_URL"]);
    assert_eq!(error.to_string().lines().count(), 4);
}

#[test]
fn traces_are_off_until_a_collector_is_named() {
    assert!(read(&[SECRET, ("OTEL_SERVICE_NAME", "chat")]).unwrap().telemetry.traces.is_none());
    let traces = read(&[
        SECRET,
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://otlp.example.com/base/"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "api-key=hunter2"),
        ("OTEL_TRACES_SAMPLER_ARG", "0.25"),
    ]);
    let traces = traces.unwrap().telemetry.traces.unwrap();
    assert_eq!(traces.url, "https://otlp.example.com/base/v1/traces");
    assert_eq!((traces.sampler.ratio().to_string().as_str(), traces.service_name.as_deref()), ("0.25", None));
    let [(name, value)] = traces.headers.as_slice() else { panic!("{traces:?}") };
    assert_eq!((name.as_str(), value.expose()), ("api-key", "hunter2"));
    assert!(!format!("{traces:?}").contains("hunter2"), "{traces:?}");
}

#[test]
fn messages_are_kept_in_development_and_not_sent_in_production_until_servers_are_named() {
    let shown = |vars: &[_]| {
        let notify = read(vars).unwrap().notify;
        [notify.mail.to_string(), notify.sms.to_string(), notify.public_url]
    };
    let (mailbox, local) = ("kept in memory, shown by GET /dev/mailbox", "http://127.0.0.1:8787");
    assert_eq!(shown(&[SECRET]), [mailbox, mailbox, local]);
    let off = ["not sent: SMTP_URL is not set", "not sent: SMS_WEBHOOK_URL is not set", local];
    assert_eq!(shown(&[PRODUCTION, SECRET, KEYS]), off);
    let smtp = "SMTP, mail.example:587, by STARTTLS, from EdgeChat <no-reply@example.com>";
    assert_eq!(shown(&[SECRET, SMTP, FROM]), [smtp, mailbox, local]);
    let sms = "webhook, sms.example.com, signed";
    let all = [PRODUCTION, SECRET, KEYS, SMTP, FROM, PUBLIC, SMS, SMS_KEY];
    assert_eq!(shown(&all), [smtp, sms, "https://chat.example.com"]);
    let debug = format!("{:?}", read(&all).unwrap().notify);
    assert!(!debug.contains("hunter2") && !debug.contains("MfKQ9r8"), "{debug}");
}
