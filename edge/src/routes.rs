//! The dispatch: where the Worker sends a request, from the route table of `shared`. Everything that the table has not
//! belongs to the origin, which says itself what it has.

use shared::{
    api::routes::{self, Found, Method, Methods, Server, UserOperation},
    id::Id,
};

/// A request that the user object serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserRoute {
    /// Sends a message to a conversation.
    SendMessage(Id),
    /// Shows a turn.
    Turn(Id),
    /// Follows the events of a turn.
    TurnEvents(Id),
    /// Stops a turn.
    CancelTurn(Id),
    /// From the front alone, on the internal path: a conversation changed at the origin.
    ConversationChanged(Id),
    /// From the front alone, on the internal path: a conversation was deleted at the origin.
    ConversationDeleted(Id),
    /// Resets the user object, where fault injection is on.
    Reset,
}

impl UserRoute {
    fn of(operation: UserOperation, id: Option<Id>) -> Option<Self> {
        Some(match operation {
            UserOperation::SendMessage => Self::SendMessage(id?),
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
    /// To the origin.
    Origin {
        /// The route, if the table has it.
        route: Option<&'static routes::Route>,
        /// The conversation this request changes, if it does: the user object hears of it.
        changes: Option<UserRoute>,
    },
    /// The path is here, the method is not.
    MethodNotAllowed(Methods),
    /// Nothing is here for clients.
    Absent,
    /// Provokes a panic, where fault injection is on.
    Panic,
}

/// Returns the destination of a request.
pub fn front(method: &str, path: &str) -> Route {
    if routes::is_private(path) {
        return Route::Absent;
    }
    match routes::find(method, path) {
        Found::Route(route, id) => match route.server {
            // A segment that is no id names nothing.
            Server::UserObject(operation) => UserRoute::of(operation, id).map_or(Route::Absent, Route::User),
            Server::Origin => Route::Origin { route: Some(route), changes: changes(route, id) },
        },
        Found::OtherMethods { allowed, is_at_edge: true } => Route::MethodNotAllowed(allowed),
        Found::OtherMethods { .. } | Found::Nothing => match path {
            "/__fault/panic" => Route::Panic,
            "/__fault/reset" => Route::User(UserRoute::Reset),
            _ => Route::Origin { route: None, changes: None },
        },
    }
}

/// Returns what a request to the origin changes of what the user object knows.
fn changes(route: &routes::Route, id: Option<Id>) -> Option<UserRoute> {
    match (route.method, route.path) {
        (Method::Patch, "/api/v1/chat/conversations/{id}") => id.map(UserRoute::ConversationChanged),
        (Method::Delete, "/api/v1/chat/conversations/{id}") => id.map(UserRoute::ConversationDeleted),
        _ => None,
    }
}

/// Returns the method that the origin is asked with. One that no route has is asked as `OPTIONS`, which none has either: the
/// origin's answer is then 404, or 405 with what the path allows.
pub fn method_for_origin(method: &str) -> &str {
    if routes::is_served(method) { method } else { "OPTIONS" }
}

/// Returns the path under which the front tells the user object what changed.
pub fn internal_path(route: UserRoute) -> Option<String> {
    match route {
        UserRoute::ConversationChanged(id) => Some(format!("/internal/conversations/{id}/changed")),
        UserRoute::ConversationDeleted(id) => Some(format!("/internal/conversations/{id}/deleted")),
        _ => None,
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

/// Returns what the user object is asked.
pub fn user(method: &str, path: &str) -> Option<UserRoute> {
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    if let ["internal", "conversations", id, what] = segments.as_slice() {
        let id = Id::parse(id)?;
        return match *what {
            "changed" => Some(UserRoute::ConversationChanged(id)),
            "deleted" => Some(UserRoute::ConversationDeleted(id)),
            _ => None,
        };
    }
    match front(method, path) {
        Route::User(route) => Some(route),
        _ => None,
    }
}
