//! The span of a request at the front.

use std::{borrow::Cow, cell::RefCell};

use shared::{
    chat::place::Target,
    telemetry::{SpanId, SpanKind, TRACEPARENT, TraceContext, TraceId},
};

use super::OpenSpan;
use crate::{
    config::Config,
    platform::{self, Incoming},
    routes::{UserRoute, path},
};

/// The span of a request that is served, from its head to the head of its answer.
#[derive(Debug, Default)]
pub struct RequestSpan {
    /// Its place in the trace; none without traces.
    pub context: Option<TraceContext>,
    span: RefCell<OpenSpan>,
}

impl RequestSpan {
    /// Begins the span of a request within the trace that its header names, or a new one.
    pub fn begin(config: &Config, request: &Incoming) -> Self {
        let Some(traces) = &config.traces else { return Self::default() };
        let caller = request.header(TRACEPARENT).and_then(TraceContext::parse);
        let (trace_id, span_id) =
            (TraceId::from_bytes(platform::random()), SpanId::from_bytes(platform::random()));
        let context = traces.sampler.begin(caller, trace_id, span_id);
        let parent = caller.map(|caller| caller.span_id);
        let method = method_label(&request.method);
        let mut span = OpenSpan::begin(context, parent, method, SpanKind::Server, platform::now());
        if span.is_recorded() {
            span.set("http.request.method", method);
            span.set("url.path", path(&request.url).to_owned());
        }
        Self { context: Some(context), span: RefCell::new(span) }
    }

    /// Names the route that the user object serves it by. Those of the origin it names itself.
    pub fn set_route(&self, method: &str, route: UserRoute) {
        let mut span = self.span.borrow_mut();
        if let Some(template) = template(route).filter(|_| span.is_recorded()) {
            span.rename(format!("{} {template}", method_label(method)));
            span.set("http.route", template);
        }
    }

    /// Ends it with the status of the answer.
    pub fn end(&self, status: u16) {
        let mut span = self.span.take();
        span.set("http.response.status_code", status);
        if status >= 500 {
            span.fail(Cow::Borrowed(""));
        }
    }
}

/// Returns a method as it stands in names: a client may send any word as one.
fn method_label(method: &str) -> &'static str {
    const KNOWN: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    KNOWN.into_iter().find(|known| *known == method).unwrap_or("_OTHER")
}

/// Returns the path of a route without its ids.
const fn template(route: UserRoute) -> Option<&'static str> {
    match route {
        UserRoute::Send(_, Target::Reply) => Some("/api/v1/chat/conversations/{id}/messages"),
        UserRoute::Send(_, Target::Edit(_)) => Some("/api/v1/chat/conversations/{id}/messages/{mid}"),
        UserRoute::Send(_, Target::Regenerate(_)) => {
            Some("/api/v1/chat/conversations/{id}/messages/{mid}/regenerate")
        }
        UserRoute::Send(_, Target::Continue(_)) => {
            Some("/api/v1/chat/conversations/{id}/messages/{mid}/continue")
        }
        UserRoute::Turn(_) => Some("/api/v1/chat/turns/{id}"),
        UserRoute::TurnEvents(_) => Some("/api/v1/chat/turns/{id}/events"),
        UserRoute::CancelTurn(_) => Some("/api/v1/chat/turns/{id}/cancel"),
        UserRoute::Reset => None,
    }
}
