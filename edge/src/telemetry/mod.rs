//! Traces, where a collector is configured: the spans of the requests that this isolate serves and makes. They are sent after the
//! answer, in one post of bounded size, and nothing waits for it. Without a collector no span is made and no header is sent.
//!
//! - [`span`]: a span that goes on
//! - [`request`]: the span of a request at the front
//! - [`turn`]: the span of a turn

mod request;
mod span;
mod turn;

use std::{cell::RefCell, pin::Pin, rc::Rc};

use shared::telemetry::{FinishedSpan, SpanBuffer, TraceContext, buffer::POST_TIMEOUT_MS, otlp, settings};

pub use request::RequestSpan;
pub use span::OpenSpan;
pub use turn::TurnSpan;

use crate::{
    config::{Config, TracesConfig},
    log::Scope,
    platform::{self, HttpCall},
};

/// The name of what records spans.
const LIBRARY: &str = "edgechat";
/// The longest answer of a collector, in bytes.
const MAX_ANSWER_BYTES: usize = 64 * 1024;

thread_local! {
    static BUFFER: RefCell<SpanBuffer> = const { RefCell::new(SpanBuffer::new()) };
}

/// Work that goes on after the answer.
pub type Background = Pin<Box<dyn Future<Output = ()>>>;

/// Sends the spans that ended, if any, as those of this part: `front` or `user`. `spawn` runs it after the answer.
pub fn flush(config: &Rc<Config>, part: &'static str, spawn: impl FnOnce(Background)) {
    if config.traces.is_none() {
        return;
    }
    let started_at = platform::now();
    let spans = BUFFER.with_borrow_mut(|buffer| buffer.take(started_at));
    if spans.is_empty() {
        return;
    }
    let config = Rc::clone(config);
    spawn(Box::pin(async move {
        let Some(traces) = &config.traces else { return };
        let outcome = post(traces, part, &spans).await;
        BUFFER.with_borrow_mut(|buffer| match outcome {
            Ok(()) => buffer.sent(started_at),
            Err(_) => buffer.failed(started_at, platform::now()),
        });
        if let Err(why) = outcome {
            // Until the next attempt nothing more is sent, so this is one line in half a minute.
            Scope::new(part).warn("spans cannot be sent", &why);
        }
    }));
}

fn record(span: FinishedSpan) {
    BUFFER.with_borrow_mut(|buffer| buffer.push(span));
}

async fn post(traces: &TracesConfig, part: &str, spans: &[FinishedSpan]) -> Result<(), String> {
    let resource = settings::resource(traces.service_name.as_deref(), part, env!("CARGO_PKG_VERSION"));
    let body = otlp::request(&resource, LIBRARY, spans);
    let call = HttpCall::begin("POST", &traces.url, &traces.headers, &body, &[]);
    let timeout_ms = POST_TIMEOUT_MS.unsigned_abs();
    let answer = platform::timeout(timeout_ms, call.whole(MAX_ANSWER_BYTES)).await;
    let (head, _) = answer.ok_or_else(|| format!("the collector was silent for {timeout_ms} ms"))??;
    match head.status {
        200..=299 => Ok(()),
        status => Err(format!("the collector answered {status}")),
    }
}

/// Returns the context that a call hands on: that of its own span, or else the one that it is made in.
pub fn handed_on(span: &OpenSpan, scope: &Scope) -> Option<TraceContext> {
    span.context().or(scope.trace())
}
