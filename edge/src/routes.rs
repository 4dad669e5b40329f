//! The dispatch: where the Worker sends a request, from the route table of `shared`. Everything that the table has not
//! belongs to the origin, which says itself what it has.

use shared::{
    api::routes::{self, Found, Methods, PathIds, Server, UserOperation},
    chat::place::Target,
    id::Id,
};

/// A request that the user object serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserRoute {
    /// Begins a turn of a conversation: a message, or a turn about one.
    Send(Id, Target),
    /// Shows a turn.
    Turn(Id),
    /// Follows the events of a turn.
    TurnEvents(Id),
    /// Stops a turn.
    CancelTurn(Id),
    /// Resets the user object, where fault injection is on.
    Reset,
}

impl UserRoute {
    fn of(operation: UserOperation, PathIds { id, mid }: PathIds) -> Option<Self> {
        Some(match operation {
            UserOperation::SendMessage => Self::Send(id?, Target::Reply),
            UserOperation::Regenerate => Self::Send(id?, Target::Regenerate(mid?)),
            UserOperation::EditMessage => Self::Send(id?, Target::Edit(mid?)),
            UserOperation::Continue => Self::Send(id?, Target::Continue(mid?)),
            UserOperation::Turn => Self::Turn(id?),
            UserOperation::TurnEvents => Self::TurnEvents(id?),
            UserOperation::CancelTurn => Self::CancelTurn(id?),
        })
    }
}

/// The destination of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// To the user's object.
    User(UserRoute),
    /// To the origin, with the route, if the table has it.
    Origin(Option<&'static routes::Route>),
    /// The origin's events for user objects.
    Events,
    /// The path is here, the method is not.
    MethodNotAllowed(Methods),
    /// Nothing is here for clients.
    Absent,
    /// Provokes a panic, where fault injection is on.
    Panic,
}

/// Returns the destination of a request.
pub fn front(method: &str, path: &str) -> Route {
    let found = routes::find(method, path);
    if routes::is_private(path) && !matches!(found, Found::Route(route, _) if route.server == Server::Front) {
        return Route::Absent;
    }
    match found {
        Found::Route(route, ids) => match route.server {
            Server::Front => Route::Events,
            // A segment that is no id names nothing.
            Server::UserObject(operation) => UserRoute::of(operation, ids).map_or(Route::Absent, Route::User),
            Server::Origin => Route::Origin(Some(route)),
        },
        Found::OtherMethods { allowed, is_at_edge: true } => Route::MethodNotAllowed(allowed),
        Found::OtherMethods { .. } | Found::Nothing => match path {
            "/__fault/panic" => Route::Panic,
            "/__fault/reset" => Route::User(UserRoute::Reset),
            _ => Route::Origin(None),
        },
    }
}

/// Returns the method that the origin is asked with. One that no route has is asked as `OPTIONS`, which none has either: the
/// origin's answer is then 404, or 405 with what the path allows.
pub fn method_for_origin(method: &str) -> &str {
    if routes::is_served(method) { method } else { "OPTIONS" }
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

/// Returns what the user object is asked.
pub fn user(method: &str, path: &str) -> Option<UserRoute> {
    match front(method, path) {
        Route::User(route) => Some(route),
        _ => None,
    }
}
