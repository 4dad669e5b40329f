//! Which part serves a path, and with which methods. Everything the user object does not serve belongs to the origin, which
//! says itself which methods its paths have.

use shared::id::Id;

/// A route the user object serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserRoute {
    /// `POST chat/conversations/{id}/messages`
    SendMessage(Id),
    /// `GET chat/turns/{id}`
    Turn(Id),
    /// `GET chat/turns/{id}/events`
    TurnEvents(Id),
    /// `POST chat/turns/{id}/cancel`
    CancelTurn(Id),
    /// Resets the user object, where fault injection is on.
    Reset,
}

/// Where a request goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// To the user's object.
    User(UserRoute),
    /// To the origin.
    Origin,
    /// The origin's events for user objects.
    Events,
    /// The path is here, the method is not; the methods that are, as `Allow` lists them.
    MethodNotAllowed(&'static str),
    /// Nothing is here for clients.
    Absent,
    /// Provokes a panic, where fault injection is on.
    Panic,
}

/// The methods that any route may have. Whatever else a client sends is 405 wherever there is a path.
const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/// The method the origin is asked with. One that no route has is asked as `OPTIONS`, which none has either: the origin's answer
/// is then 404, or 405 with what the path allows.
pub fn method_for_origin(method: &str) -> &str {
    if METHODS.contains(&method) { method } else { "OPTIONS" }
}

/// Whether this path is served without a token whatever the `Authorization` header says: signing in must work with a
/// stale token at hand.
pub fn is_public(path: &str) -> bool {
    const PUBLIC: [&str; 9] = [
        "/api/v1/auth/register",
        "/api/v1/auth/login",
        "/api/v1/auth/token",
        "/api/v1/auth/refresh",
        "/api/v1/auth/otp/send",
        "/api/v1/auth/otp/verify",
        "/api/v1/auth/forgot-password",
        "/api/v1/auth/reset-password",
        "/api/v1/webhook/stripe",
    ];
    PUBLIC.contains(&path) || path.starts_with("/api/v1/health") || !path.starts_with("/api/v1/")
}

/// Where the front sends a request.
pub fn front(method: &str, path: &str) -> Route {
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    match segments.as_slice() {
        ["internal", "v1", "events"] if method == "POST" => Route::Events,
        ["internal" | "metrics", ..] => Route::Absent,
        ["__fault", "panic"] => Route::Panic,
        ["__fault", "reset"] => Route::User(UserRoute::Reset),
        ["api", "v1", "chat", "conversations", id, rest @ ..] => conversation(method, id, rest),
        ["api", "v1", "chat", "turns", id, rest @ ..] => turn(method, id, rest),
        _ => Route::Origin,
    }
}

/// A conversation is the origin's; a message that is sent to it is the user object's.
fn conversation(method: &str, id: &str, rest: &[&str]) -> Route {
    match (method, rest) {
        ("POST", ["messages"]) => {
            Id::parse(id).map_or(Route::Absent, |id| Route::User(UserRoute::SendMessage(id)))
        }
        ("GET" | "HEAD", ["messages"]) => Route::Origin,
        (_, ["messages"]) => Route::MethodNotAllowed("GET, HEAD, POST"),
        _ => Route::Origin,
    }
}

fn turn(method: &str, id: &str, rest: &[&str]) -> Route {
    type Make = fn(Id) -> UserRoute;
    let (allowed, make): (&'static str, Make) = match rest {
        [] => ("GET, HEAD", UserRoute::Turn),
        ["events"] => ("GET, HEAD", UserRoute::TurnEvents),
        ["cancel"] => ("POST", UserRoute::CancelTurn),
        _ => return Route::Absent,
    };
    match Id::parse(id) {
        _ if !allowed.split(", ").any(|one| one == method) => Route::MethodNotAllowed(allowed),
        Some(id) => Route::User(make(id)),
        None => Route::Absent,
    }
}

/// Returns the path of an address that the platform has parsed.
pub fn path(url: &str) -> &str {
    let path_and_query = path_and_query(url);
    path_and_query.split(['?', '#']).next().unwrap_or(path_and_query)
}

/// Returns an address without scheme and host.
pub fn path_and_query(url: &str) -> &str {
    url.split_once("://").and_then(|(_, rest)| rest.find('/').and_then(|at| rest.get(at..))).unwrap_or("/")
}

/// What the user object is asked.
pub fn user(method: &str, path: &str) -> Option<UserRoute> {
    match front(method, path) {
        Route::User(route) => Some(route),
        _ => None,
    }
}
