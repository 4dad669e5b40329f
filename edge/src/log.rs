//! The log: one line of JSON per event, with the ids of its request, user and turn, and of its trace where that is recorded. It
//! never has a token, a text, a body or a key.

use std::{fmt::Display, rc::Rc};

use serde::Serialize;
use shared::{
    id::Id,
    telemetry::{TraceContext, TraceId},
};

/// The subject of a line.
#[derive(Clone, Debug)]
pub struct Scope {
    request_id: Rc<str>,
    user: Option<Id>,
    turn: Option<Id>,
    trace: Option<TraceContext>,
}

#[derive(Serialize)]
struct Line<'a> {
    level: &'static str,
    message: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    error: &'a str,
    request_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<Id>,
    #[serde(skip_serializing_if = "Option::is_none")]
    turn: Option<Id>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<TraceId>,
}

impl Scope {
    /// Creates the scope of a request, or of work that the platform began by itself.
    pub fn new(request_id: &str) -> Self {
        Self { request_id: Rc::from(request_id), user: None, turn: None, trace: None }
    }

    /// Returns the id of the request.
    pub fn request_id(&self) -> &str {
        &self.request_id
    }

    /// Returns the same with a user.
    #[must_use]
    pub fn with_user(&self, user: Id) -> Self {
        Self { user: Some(user), ..self.clone() }
    }

    /// Returns the same with a turn.
    #[must_use]
    pub fn with_turn(&self, turn: Id) -> Self {
        Self { turn: Some(turn), ..self.clone() }
    }

    /// Returns the same within a span of a trace, or within none.
    #[must_use]
    pub fn with_trace(&self, trace: Option<TraceContext>) -> Self {
        Self { trace, ..self.clone() }
    }

    /// Returns its span, recorded or not; none without traces.
    pub const fn trace(&self) -> Option<TraceContext> {
        self.trace
    }

    /// Logs a failure and its reason.
    pub fn error(&self, message: &str, error: &dyn Display) {
        worker::console_error!("{}", self.line("error", message, &error.to_string()));
    }

    /// Logs a warning and its reason.
    pub fn warn(&self, message: &str, why: &dyn Display) {
        worker::console_warn!("{}", self.line("warn", message, &why.to_string()));
    }

    /// Returns the value, or logs the error and returns `None`.
    pub fn logged<T, E: Display>(&self, message: &str, result: Result<T, E>) -> Option<T> {
        result.inspect_err(|error| self.error(message, error)).ok()
    }

    fn line(&self, level: &'static str, message: &str, error: &str) -> String {
        let (request_id, user, turn) = (&*self.request_id, self.user, self.turn);
        let trace_id = self.trace.filter(|trace| trace.is_sampled).map(|trace| trace.trace_id);
        let line = Line { level, message, error, request_id, user, turn, trace_id };
        serde_json::to_string(&line).unwrap_or_default()
    }
}
