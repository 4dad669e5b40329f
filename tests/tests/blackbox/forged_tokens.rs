//! Forged and mangled tokens: on every route of users that the document lists, Worker and origin give the verdict of the table.
//!
//! The tokens name a user whom no origin knows. So nothing happens where one is accepted as a token, and it shows: the session is
//! then said to have ended.

use std::{collections::BTreeSet, future::ready};

use edgechat_tests::{
    client::{Ask, Client, Reply},
    clock::now,
    delivery::fresh_id,
    test_env::TestEnv,
    tokens,
};
use futures_util::{StreamExt as _, stream};
use reqwest::Method;
use serde_json::Value;
use shared::{
    api::{
        ErrorCode, Problem,
        internal::{context_path, turn_path},
        routes::{Caller, Found, ROUTES, Server, find},
    },
    auth::{
        cases::{TokenCase, boundary_cases, token_cases},
        claims::Claims,
    },
};

/// Requests that are sent at once.
const AT_ONCE: usize = 24;
/// The table is made again after this long, in milliseconds: its answers hold for 15 s.
const REMADE_AFTER_MS: i64 = 3_000;
/// The most attempts until an answer comes in the second of its question.
const MAX_ATTEMPTS: usize = 30;

/// An operation that needs a token.
#[derive(Debug)]
struct Operation {
    method: Method,
    path: String,
    body: Vec<u8>,
    server: Server,
}

/// The Worker and the origin, and what they serve to users.
struct Verifiers {
    worker: Client,
    origin: Client,
    operations: Vec<Operation>,
    claims: Claims,
}

impl Verifiers {
    async fn of(env: &TestEnv) -> Self {
        let worker = Client::keeping_connections(env.client().url(""));
        let document = worker.get("/openapi.json").send().await.expect_status(200).value();
        let operations = operations(&document);
        let origin = Client::keeping_connections(env.client_of_origin().url(""));
        Self { worker, origin, operations, claims: tokens::claims(&tokens::of_nobody()) }
    }

    /// Builds a request with this token to every operation: to the Worker and, signed as by the Worker, to the origin.
    fn asks(&self, token: &str) -> Vec<Ask> {
        let (worker, origin) = (self.worker.with_token(token), self.origin.with_token(token));
        let at_worker = self.operations.iter().map(|operation| {
            let ask = worker.ask(operation.method.clone(), &operation.path);
            if operation.body.is_empty() { ask } else { ask.json_bytes(operation.body.clone()) }
        });
        let own = self.operations.iter().filter(|operation| operation.server == Server::Origin);
        let at_origin = own.map(|operation| {
            origin.ask_as_worker(operation.method.clone(), &operation.path, &operation.body)
        });
        // The Worker's own operations ask these.
        let inside = [context_path(fresh_id()), turn_path(fresh_id())];
        let inside = inside.iter().map(|path| origin.ask_as_worker(Method::GET, path, &[]));
        at_worker.chain(at_origin).chain(inside).collect()
    }
}

/// The operations of users, as the document lists them: their example as body, and an id of nothing in the path.
fn operations(document: &Value) -> Vec<Operation> {
    let mut operations = Vec::new();
    let mut listed = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let security = operation["security"].as_array().into_iter().flatten();
            // An empty requirement beside another one says that a token may be absent.
            let mut requirements =
                security.map(|requirement| !requirement.as_object().unwrap().is_empty()).peekable();
            if requirements.peek().is_none() || !requirements.all(|needs_token| needs_token) {
                continue;
            }
            let method = method.to_uppercase();
            let example = &operation["requestBody"]["content"]["application/json"]["example"];
            let body = if example.is_null() { Vec::new() } else { serde_json::to_vec(example).unwrap() };
            let Found::Route(route, _) = find(&method, path) else {
                panic!("{method} {path} is in no table")
            };
            listed.insert(format!("{method} {path}"));
            operations.push(Operation {
                method: method.parse().unwrap(),
                path: path.replace("{id}", &fresh_id().to_string()).replace("{mid}", &fresh_id().to_string()),
                body,
                server: route.server,
            });
        }
    }
    let of_users = ROUTES.iter().filter(|route| route.caller == Caller::User);
    let of_users = of_users.map(|route| format!("{} {}", route.method.as_str(), route.path));
    assert_eq!(listed, of_users.collect(), "the document lists what users may call");
    operations
}

/// Returns whether an answer is the table's verdict, with the challenge of RFC 6750.
fn is_verdict(reply: &Reply, case: &TokenCase) -> bool {
    let code = case.expected.err().unwrap_or(ErrorCode::SessionEnded);
    let challenge = reply.header("www-authenticate").unwrap_or_default();
    let is_right_challenge = if code == ErrorCode::TokenMissing {
        challenge == "Bearer"
    } else {
        challenge.starts_with("Bearer error=\"invalid_token\"")
    };
    reply.status == 401
        && is_right_challenge
        && serde_json::from_slice::<Problem>(&reply.body).is_ok_and(|problem| problem.code == code)
}

#[tokio::test]
async fn token_table_has_same_verdict_at_worker_and_origin_on_every_route() {
    let env = TestEnv::start().await;
    let verifiers = Verifiers::of(&env).await;
    let (key, claims) = (tokens::signing_key(), &verifiers.claims);
    let (mut made_at, mut cases) = (now(), token_cases(&key, claims, now()));
    assert!(cases.len() > 200, "{} cases", cases.len());
    for at in 0..cases.len() {
        // Some are valid for seconds only.
        if now().millis_since(made_at) > REMADE_AFTER_MS {
            (made_at, cases) = (now(), token_cases(&key, claims, now()));
        }
        let case = &cases[at];
        let replies = stream::iter(verifiers.asks(&case.token)).map(Ask::send).buffer_unordered(AT_ONCE);
        let wrong = replies.filter(|reply| ready(!is_verdict(reply, case)));
        let wrong: Vec<_> = wrong.collect().await;
        assert!(wrong.is_empty(), "the token “{}” should be {:?}: {wrong:?}", case.name, case.expected);
    }
    assert_eq!(env.provider.calls(), 0);
}

#[tokio::test]
async fn token_a_second_from_the_leeway_has_same_verdict_at_worker_and_origin() {
    let env = TestEnv::start().await;
    let verifiers = Verifiers::of(&env).await;
    let (key, claims) = (tokens::signing_key(), &verifiers.claims);
    for at in 0..boundary_cases(&key, claims, now()).len() {
        for request in 0..verifiers.asks("").len() {
            let mut attempts = 0..MAX_ATTEMPTS;
            loop {
                let begun = now();
                let case = boundary_cases(&key, claims, begun).swap_remove(at);
                let reply = verifiers.asks(&case.token).swap_remove(request).send().await;
                // The verdict holds in the second in which the token was made.
                if now().as_secs() == begun.as_secs() {
                    let TokenCase { name, expected, .. } = &case;
                    assert!(
                        is_verdict(&reply, &case),
                        "the token that {name} should be {expected:?}: {reply:?}"
                    );
                    break;
                }
                assert!(attempts.next().is_some(), "no answer comes within a second");
            }
        }
    }
}

#[tokio::test]
async fn two_tokens_in_two_headers_are_refused_at_worker_and_origin() {
    let env = TestEnv::start().await;
    let phone = env.phone().await;
    let access = &phone.tokens.access_token;
    for path in ["/api/v1/users/me", "/api/v1/sync"] {
        let origin = env.client_of_origin().with_token(access);
        for ask in [phone.client.get(path), origin.ask_as_worker(Method::GET, path, &[])] {
            let twice = ask.header("Authorization", &format!("Bearer {access}"));
            twice.send().await.problem(ErrorCode::TokenInvalid);
        }
    }
}
