//! A span that goes on, or none where the trace is not recorded: then nothing that is done with it costs more than a look.

use std::borrow::Cow;

use shared::{
    telemetry::{
        Attribute, FinishedSpan, SpanEvent, SpanId, SpanKind, TraceContext, Value,
        span::{clipped, nanos},
    },
    time::Timestamp,
};

use crate::{log::Scope, platform};

/// A span that goes on. It ends when it is dropped.
#[derive(Debug, Default)]
pub struct OpenSpan(Option<Box<FinishedSpan>>);

impl OpenSpan {
    /// Begins a span of this id; none when its trace is not recorded.
    pub fn begin(
        context: TraceContext,
        parent: Option<SpanId>,
        name: impl Into<Cow<'static, str>>,
        kind: SpanKind,
        started: Timestamp,
    ) -> Self {
        if !context.is_sampled {
            return Self(None);
        }
        let started_ns = nanos(started);
        let (attributes, events) = (Vec::new(), Vec::new());
        Self(Some(Box::new(FinishedSpan {
            context,
            parent,
            name: name.into(),
            kind,
            started_ns,
            ended_ns: started_ns,
            attributes,
            events,
            error: None,
        })))
    }

    /// Begins a call of another part within the span of this scope.
    pub fn call(scope: &Scope, name: impl FnOnce() -> Cow<'static, str>) -> Self {
        let Some(parent) = scope.trace().filter(|parent| parent.is_sampled) else { return Self(None) };
        let context = parent.with_span(SpanId::from_bytes(platform::random()));
        Self::begin(context, Some(parent.span_id), name(), SpanKind::Client, platform::now())
    }

    /// Returns whether it is recorded.
    pub const fn is_recorded(&self) -> bool {
        self.0.is_some()
    }

    /// Returns its place in the trace.
    pub fn context(&self) -> Option<TraceContext> {
        self.0.as_ref().map(|span| span.context)
    }

    /// Gives it another name.
    pub fn rename(&mut self, name: impl Into<Cow<'static, str>>) {
        if let Some(span) = &mut self.0 {
            span.name = name.into();
        }
    }

    /// Adds an attribute.
    pub fn set(&mut self, key: &'static str, value: impl Into<Value>) {
        if let Some(span) = &mut self.0 {
            span.attributes.push(Attribute::new(key, value));
        }
    }

    /// Notes that something happened now.
    pub fn event(&mut self, name: &'static str) {
        if let Some(span) = &mut self.0 {
            span.events.push(SpanEvent { name: name.into(), at_ns: nanos(platform::now()) });
        }
    }

    /// Notes that it failed.
    pub fn fail(&mut self, why: impl Into<Cow<'static, str>>) {
        if let Some(span) = &mut self.0 {
            span.error = Some(clipped(why.into()));
        }
    }
}

impl Drop for OpenSpan {
    fn drop(&mut self) {
        if let Some(mut span) = self.0.take() {
            span.ended_ns = nanos(platform::now()).max(span.started_ns);
            super::record(*span);
        }
    }
}
