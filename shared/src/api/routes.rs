//! The route table: every operation of the API, once. The Worker's dispatch, the limits of bodies, the checks of the origin's
//! router, of the OpenAPI document and of the whole from outside derive from it.
//!
//! Pages and their assets (`/docs`, `/redoc`, `/openapi.json`) are no operations. The origin answers for them and for everything
//! else that is not listed, since it may be newer than the Worker.

use std::fmt;

use super::{
    body::MAX_BODY_BYTES,
    internal::user_event::{EVENTS_PATH, MAX_BATCH_BYTES},
};
use crate::id::Id;

/// The largest body of somebody who is not signed in, and of routes that take none or a small one, in bytes. The longest
/// password takes a twentieth of it.
pub const MAX_STRANGER_BODY_BYTES: usize = 16 * 1024;
/// The largest body of the Worker's own requests, in bytes. A turn holds a client's message, whose text stands in it twice and
/// may need escaping, and the model's whole answer.
pub const MAX_INTERNAL_BODY_BYTES: usize = 8 * MAX_BODY_BYTES;

/// An operation of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// The method. `GET` stands for `HEAD` as well.
    pub method: Method,
    /// The path, as OpenAPI writes it: `{id}` stands for one segment, and so does `{mid}` after it.
    pub path: &'static str,
    /// The part that serves it.
    pub server: Server,
    /// Those who may call it.
    pub caller: Caller,
    /// The body it takes.
    pub body: Body,
    /// The bytes of the path before `{id}`; all of them where it has none.
    literal_bytes: usize,
}

/// The method of a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// `GET`, and `HEAD`.
    Get,
    /// `POST`
    Post,
    /// `PUT`
    Put,
    /// `PATCH`
    Patch,
    /// `DELETE`
    Delete,
}

/// The part that serves a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Server {
    /// The front, in the Worker: events for user objects.
    Front,
    /// The user object, in the Worker.
    UserObject(UserOperation),
    /// The origin.
    Origin,
}

/// An operation of the user object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserOperation {
    /// Sends a message to the conversation of the path.
    SendMessage,
    /// Asks for another answer beside the message of the path.
    Regenerate,
    /// Puts a message beside the one of the path, and answers it.
    EditMessage,
    /// Goes on with the answer of the path.
    Continue,
    /// Shows the turn of the path.
    Turn,
    /// Follows the events of the turn of the path.
    TurnEvents,
    /// Stops the turn of the path.
    CancelTurn,
}

/// Those who may call a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    /// Anybody, also at the origin's own address: load balancers, key caches.
    Anyone,
    /// A client of the Worker, signed in or not. A token that it sends is not looked at.
    Client,
    /// A client of the Worker with an access token.
    User,
    /// The Worker itself, with a signature. The path is absent for clients.
    Edge,
    /// The origin itself, with a signature. The path is absent for clients.
    Origin,
}

/// The body that a route takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// None; one that comes all the same is not looked at.
    Nothing,
    /// JSON.
    Json {
        /// The most bytes of it.
        max_bytes: usize,
    },
    /// Pairs of names and values, `application/x-www-form-urlencoded`.
    Form {
        /// The most bytes of it.
        max_bytes: usize,
    },
}

const NOTHING: Body = Body::Nothing;
const SMALL: Body = Body::Json { max_bytes: MAX_STRANGER_BODY_BYTES };
const JSON: Body = Body::Json { max_bytes: MAX_BODY_BYTES };
const FORM: Body = Body::Form { max_bytes: MAX_STRANGER_BODY_BYTES };
const EVENTS: Body = Body::Json { max_bytes: MAX_BATCH_BYTES };
const DELIVERY: Body = Body::Json { max_bytes: MAX_INTERNAL_BODY_BYTES };

/// Every route. Where two could match a path, the first one does.
pub static ROUTES: [Route; 64] = {
    use self::{
        Caller::{Anyone, Client, Edge, User},
        Method::{Delete, Get, Patch, Post, Put},
        Server::{Front, Origin, UserObject},
        UserOperation::{CancelTurn, Continue, EditMessage, Regenerate, SendMessage, Turn, TurnEvents},
    };
    [
        route(Get, "/", Origin, Anyone, NOTHING),
        route(Get, "/.well-known/jwks.json", Origin, Anyone, NOTHING),
        route(Get, "/.well-known/apple-app-site-association", Origin, Anyone, NOTHING),
        route(Get, "/.well-known/assetlinks.json", Origin, Anyone, NOTHING),
        route(Get, "/api/v1/health", Origin, Anyone, NOTHING),
        route(Get, "/api/v1/health/ready", Origin, Anyone, NOTHING),
        route(Get, "/api/v1/health/db", Origin, Anyone, NOTHING),
        route(Get, "/api/v1/health/mongo", Origin, Anyone, NOTHING),
        route(Get, "/api/v1/health/redis", Origin, Anyone, NOTHING),
        route(Post, "/api/v1/auth/register", Origin, Client, SMALL),
        route(Post, "/api/v1/auth/login", Origin, Client, SMALL),
        route(Post, "/api/v1/auth/token", Origin, Client, FORM),
        route(Post, "/api/v1/auth/refresh", Origin, Client, SMALL),
        route(Post, "/api/v1/auth/logout", Origin, User, NOTHING),
        route(Post, "/api/v1/auth/logout-all", Origin, User, NOTHING),
        route(Post, "/api/v1/auth/change-password", Origin, User, SMALL),
        route(Post, "/api/v1/auth/forgot-password", Origin, Client, SMALL),
        route(Post, "/api/v1/auth/otp/send", Origin, Client, SMALL),
        route(Post, "/api/v1/auth/otp/verify", Origin, Client, SMALL),
        route(Post, "/api/v1/auth/guest", Origin, Client, SMALL),
        route(Post, "/api/v1/auth/oidc/google", Origin, Client, SMALL),
        route(Post, "/api/v1/auth/oidc/apple", Origin, Client, SMALL),
        route(Post, "/api/v1/auth/reset-password", Origin, Client, SMALL),
        route(Get, "/api/v1/auth/verify", Origin, User, NOTHING),
        route(Get, "/api/v1/auth/me", Origin, User, NOTHING),
        route(Get, "/api/v1/auth/sessions", Origin, User, NOTHING),
        route(Delete, "/api/v1/auth/sessions/{id}", Origin, User, NOTHING),
        route(Post, "/api/v1/auth/passkeys/register/options", Origin, User, NOTHING),
        route(Post, "/api/v1/auth/passkeys/register", Origin, User, SMALL),
        route(Post, "/api/v1/auth/passkeys/login/options", Origin, Client, NOTHING),
        route(Post, "/api/v1/auth/passkeys/login", Origin, Client, SMALL),
        route(Get, "/api/v1/auth/passkeys", Origin, User, NOTHING),
        route(Patch, "/api/v1/auth/passkeys/{id}", Origin, User, SMALL),
        route(Delete, "/api/v1/auth/passkeys/{id}", Origin, User, NOTHING),
        route(Get, "/api/v1/users/me", Origin, User, NOTHING),
        route(Patch, "/api/v1/users/me", Origin, User, SMALL),
        route(Delete, "/api/v1/users/me", Origin, User, SMALL),
        route(Get, "/api/v1/users/me/export", Origin, User, NOTHING),
        route(Get, "/api/v1/users/me/events", Origin, User, NOTHING),
        route(Get, "/api/v1/users/me/consents", Origin, User, NOTHING),
        route(Post, "/api/v1/users/me/consents", Origin, User, SMALL),
        route(Post, "/api/v1/chat/conversations", Origin, User, JSON),
        route(Get, "/api/v1/chat/conversations", Origin, User, NOTHING),
        route(Get, "/api/v1/chat/conversations/{id}", Origin, User, NOTHING),
        route(Patch, "/api/v1/chat/conversations/{id}", Origin, User, JSON),
        route(Delete, "/api/v1/chat/conversations/{id}", Origin, User, NOTHING),
        route(Post, "/api/v1/chat/conversations/{id}/messages", UserObject(SendMessage), User, JSON),
        route(Get, "/api/v1/chat/conversations/{id}/messages", Origin, User, NOTHING),
        route(Put, "/api/v1/chat/conversations/{id}/messages/{mid}", UserObject(EditMessage), User, JSON),
        route(
            Post,
            "/api/v1/chat/conversations/{id}/messages/{mid}/regenerate",
            UserObject(Regenerate),
            User,
            JSON,
        ),
        route(
            Post,
            "/api/v1/chat/conversations/{id}/messages/{mid}/continue",
            UserObject(Continue),
            User,
            JSON,
        ),
        route(Post, "/api/v1/chat/conversations/{id}/undelete", Origin, User, NOTHING),
        route(Delete, "/api/v1/chat/conversations/{id}/messages/{mid}", Origin, User, NOTHING),
        route(Get, "/api/v1/chat/stats", Origin, User, NOTHING),
        route(Get, "/api/v1/chat/turns/{id}", UserObject(Turn), User, NOTHING),
        route(Get, "/api/v1/chat/turns/{id}/events", UserObject(TurnEvents), User, NOTHING),
        route(Post, "/api/v1/chat/turns/{id}/cancel", UserObject(CancelTurn), User, NOTHING),
        route(Get, "/api/v1/sync", Origin, User, NOTHING),
        route(Get, "/api/v1/ai/models", Origin, Client, NOTHING),
        route(Get, "/api/v1/usage/me", Origin, User, NOTHING),
        route(Post, "/internal/v1/turns", Origin, Edge, DELIVERY),
        route(Get, "/internal/v1/turns/{id}", Origin, Edge, NOTHING),
        route(Get, "/internal/v1/conversations/{id}/context", Origin, Edge, NOTHING),
        route(Post, EVENTS_PATH, Front, Caller::Origin, EVENTS),
    ]
};

const fn route(method: Method, path: &'static str, server: Server, caller: Caller, body: Body) -> Route {
    let (mut literal_bytes, mut rest) = (0, path.as_bytes());
    while let [byte, after @ ..] = rest
        && *byte != b'{'
    {
        literal_bytes += 1;
        rest = after;
    }
    Route { method, path, server, caller, body, literal_bytes }
}

/// First segments of paths that are absent for clients, whatever stands below them.
const PRIVATE: [&str; 2] = ["internal", "metrics"];

/// The ids in a path; none where the route has no such segment, or what stands there is no id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PathIds {
    /// The one at `{id}`.
    pub id: Option<Id>,
    /// The one at `{mid}`: a message of the conversation that comes before it.
    pub mid: Option<Id>,
}

/// The route of a request, as the table has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// The route, and the ids in its path.
    Route(&'static Route, PathIds),
    /// The path is there with other methods.
    OtherMethods {
        /// All of them.
        allowed: Methods,
        /// True when the user object serves one of them, so that the Worker knows them all.
        is_at_edge: bool,
    },
    /// The table has no such path.
    Nothing,
}

/// Finds the route of a request.
pub fn find(method: &str, path: &str) -> Found {
    let (mut allowed, mut is_at_edge) = (Methods::default(), false);
    for route in &ROUTES {
        let Some([id, mid]) = route.match_path(path) else { continue };
        if route.method.serves(method) {
            return Found::Route(route, PathIds { id: Id::parse(id), mid: Id::parse(mid) });
        }
        allowed.insert(route.method);
        is_at_edge |= route.server != Server::Origin;
    }
    if allowed == Methods::default() { Found::Nothing } else { Found::OtherMethods { allowed, is_at_edge } }
}

/// Returns whether a path is one that clients never reach.
pub fn is_private(path: &str) -> bool {
    path.strip_prefix('/')
        .and_then(|path| path.split('/').next())
        .is_some_and(|first| PRIVATE.contains(&first))
}

/// Returns whether the token of a request is looked at, if it has one: at a route of users, and below the API's root at whatever
/// the table has not.
pub fn takes_token(route: Option<&Route>, path: &str) -> bool {
    route.map_or_else(|| path.starts_with("/api/v1/"), |route| route.caller == Caller::User)
}

/// Returns the most bytes that the body of a request to this route may have, or of one to whatever the table has not. Whoever is
/// not signed in is a stranger everywhere.
pub fn max_body_bytes(route: Option<&Route>, is_signed_in: bool) -> usize {
    let of_route = match route.map(|route| route.body) {
        Some(Body::Json { max_bytes } | Body::Form { max_bytes }) => max_bytes,
        Some(Body::Nothing) => MAX_STRANGER_BODY_BYTES,
        None => MAX_BODY_BYTES,
    };
    if is_signed_in { of_route } else { of_route.min(MAX_STRANGER_BODY_BYTES) }
}

impl Caller {
    /// Returns whether it is one of our own parts: clients know nothing of such a route.
    pub const fn is_internal(self) -> bool {
        matches!(self, Self::Edge | Self::Origin)
    }
}

impl Route {
    /// Matches a path. Returns the segments that stand for `{id}` and `{mid}`, each empty where the route has none.
    fn match_path<'path>(&self, path: &'path str) -> Option<[&'path str; 2]> {
        let (literal, pattern) = self.path.split_at_checked(self.literal_bytes)?;
        let rest = path.strip_prefix(literal)?;
        let Some(after) = pattern.strip_prefix("{id}") else {
            return rest.is_empty().then_some(["", ""]);
        };
        let (id, rest) = first_segment(rest)?;
        let Some((between, after)) = after.split_once("{mid}") else {
            return (rest == after).then_some([id, ""]);
        };
        let (mid, rest) = first_segment(rest.strip_prefix(between)?)?;
        (rest == after).then_some([id, mid])
    }
}

/// Splits a path after its first segment, which is not empty.
fn first_segment(path: &str) -> Option<(&str, &str)> {
    let end = path.find('/').unwrap_or(path.len());
    path.split_at_checked(end).filter(|(segment, _)| !segment.is_empty())
}

impl Method {
    const ALL: [Self; 5] = [Self::Get, Self::Post, Self::Put, Self::Patch, Self::Delete];

    /// Returns its name in HTTP.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }

    /// Returns whether a route with this method serves requests with the named one.
    pub fn serves(self, method: &str) -> bool {
        method == self.as_str() || (self == Self::Get && method == "HEAD")
    }
}

/// Returns whether any route serves this method.
pub fn is_served(method: &str) -> bool {
    Method::ALL.into_iter().any(|known| known.serves(method))
}

/// A set of methods. Its text is that of an `Allow` header, `HEAD` included where there is `GET`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Methods(u8);

impl Methods {
    const fn insert(&mut self, method: Method) {
        self.0 |= 1 << method as u8;
    }

    /// Returns whether the method is one of them.
    pub const fn contains(self, method: Method) -> bool {
        self.0 & (1 << method as u8) != 0
    }
}

impl fmt::Display for Methods {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for method in Method::ALL.into_iter().filter(|method| self.contains(*method)) {
            write!(f, "{separator}{}", method.as_str())?;
            if method == Method::Get {
                f.write_str(", HEAD")?;
            }
            separator = ", ";
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
