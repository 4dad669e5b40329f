//! One answer of a model: the call, its bytes, and its outcome. [`shared::provider::Completion`] interprets them. It does not
//! know turns; dropping it aborts the call.

use std::pin::pin;

use futures_util::future::{Either, select};
use shared::{
    api::models::Model,
    provider::{
        Completion, ModelEvent, ModelRequest, Outcome, ProviderFailure, StreamEnd,
        completion::MAX_RESPONSE_BYTES,
    },
    time::Timestamp,
};

use super::gemini;
use crate::{
    config::Config,
    log::Scope,
    platform::{self, CallEvent, CallHandle, HttpCall, ResponseHead},
    telemetry::{OpenSpan, handed_on},
};

/// The next step of an answer.
#[derive(Debug)]
pub enum Next {
    /// Events of the model, or bytes without a complete event.
    Events,
    /// The wait was interrupted, without events.
    Interrupted,
    /// The answer ended.
    Ended(Outcome),
}

/// A running answer.
pub struct CompletionStream {
    phase: Phase,
    is_streamed: bool,
    completion: Completion,
    span: OpenSpan,
}

/// The part of an answer that is read next.
enum Phase {
    /// The head.
    Called(HttpCall),
    /// The body of a streamed answer.
    Streaming(HttpCall),
    /// The body of an answer in one piece, so far.
    Whole(HttpCall, Vec<u8>),
    /// The body of an error, so far.
    Refused(HttpCall, ResponseHead, Vec<u8>),
    /// The answer has ended.
    Ended(Outcome),
}

impl CompletionStream {
    /// Begins a call, which is sent when this returns.
    ///
    /// # Errors
    /// Fails when the call cannot be made.
    pub fn begin(
        config: &Config,
        model: &Model,
        request: &ModelRequest,
        is_streamed: bool,
        scope: &Scope,
    ) -> worker::Result<Self> {
        let span = gemini::span(config, model, scope);
        let trace = handed_on(&span, scope).filter(|_| config.provider_traceparent);
        let call = gemini::begin(config, model, request, is_streamed, trace)?;
        let completion = Completion::new(platform::now(), is_streamed, config.provider_timeouts);
        Ok(Self { phase: Phase::Called(call), is_streamed, completion, span })
    }

    /// Returns a handle that aborts the call from outside; the answer then ends as broken.
    pub fn handle(&self) -> Option<CallHandle> {
        match &self.phase {
            Phase::Called(call)
            | Phase::Streaming(call)
            | Phase::Whole(call, _)
            | Phase::Refused(call, ..) => Some(call.handle()),
            Phase::Ended(_) => None,
        }
    }

    /// Waits for the next step, or until it is interrupted, and appends the model's events to `out`. Returns the step and its time.
    /// Once the answer has ended, this returns the same end again.
    pub async fn next(
        &mut self,
        interrupt: impl Future<Output = ()>,
        out: &mut Vec<ModelEvent>,
    ) -> (Next, Timestamp) {
        let event = match &mut self.phase {
            Phase::Ended(outcome) => return (Next::Ended(*outcome), platform::now()),
            Phase::Called(call)
            | Phase::Streaming(call)
            | Phase::Whole(call, _)
            | Phase::Refused(call, ..) => match select(pin!(call.next()), pin!(interrupt)).await {
                Either::Left((event, _)) => Some(event),
                Either::Right(((), _)) => None,
            },
        };
        let is_interrupted = event.is_none();
        let now = platform::now();
        let outcome = match event {
            Some(event) => self.take(event, now, out),
            None => self.check(now, out),
        };
        let next = match outcome {
            // The call is dropped with its phase: a peer may keep its connection open after the end.
            Some(outcome) => {
                self.phase = Phase::Ended(outcome);
                end_span(std::mem::take(&mut self.span), outcome);
                Next::Ended(outcome)
            }
            None if is_interrupted => Next::Interrupted,
            None => Next::Events,
        };
        (next, now)
    }

    /// Looks at the time; returns the outcome of an answer that is over, or that takes too long. The head of an error says what it is,
    /// though its body does not come.
    fn check(&mut self, now: Timestamp, out: &mut Vec<ModelEvent>) -> Option<Outcome> {
        let outcome = self.completion.check(now, out)?;
        Some(match &self.phase {
            Phase::Refused(_, head, body) => Err(gemini::failure(head, body)),
            _ => outcome,
        })
    }

    /// Applies an event of the call; returns the outcome at the end.
    fn take(&mut self, event: CallEvent, now: Timestamp, out: &mut Vec<ModelEvent>) -> Option<Outcome> {
        if let CallEvent::Head(head) = &event {
            self.span.event("response_head");
            self.span.set("http.response.status_code", head.status);
        }
        let ended = Phase::Ended(Err(ProviderFailure::Disconnected));
        let (phase, outcome) = match (std::mem::replace(&mut self.phase, ended), event) {
            (Phase::Called(call), CallEvent::Head(head)) if head.status != 200 => {
                self.completion.record_bytes(now);
                (Phase::Refused(call, head, Vec::new()), None)
            }
            (Phase::Called(call), CallEvent::Head(_)) if self.is_streamed => (Phase::Streaming(call), None),
            (Phase::Called(call), CallEvent::Head(_)) => (Phase::Whole(call, Vec::new()), None),
            (Phase::Streaming(call), CallEvent::Chunk(bytes)) => {
                (Phase::Streaming(call), self.completion.push(&bytes, now, out))
            }
            (phase @ Phase::Streaming(_), end) => {
                let is_broken = !matches!(end, CallEvent::End);
                (phase, Some(self.completion.close(is_broken, out)))
            }
            (Phase::Whole(call, mut body), CallEvent::Chunk(bytes)) => {
                self.completion.record_bytes(now);
                body.extend_from_slice(&bytes);
                let outcome = (body.len() > MAX_RESPONSE_BYTES).then(|| Completion::whole(&body, out));
                (Phase::Whole(call, body), outcome)
            }
            (Phase::Whole(call, body), CallEvent::End) => {
                let outcome = Completion::whole(&body, out);
                (Phase::Whole(call, body), Some(outcome))
            }
            (Phase::Refused(call, head, mut body), CallEvent::Chunk(mut bytes)) => {
                bytes.truncate(gemini::ERROR_BYTES - body.len());
                body.append(&mut bytes);
                let outcome = (body.len() >= gemini::ERROR_BYTES).then(|| Err(gemini::failure(&head, &body)));
                (Phase::Refused(call, head, body), outcome)
            }
            // A body that ends or breaks is decoded as far as it was read.
            (Phase::Refused(call, head, body), _) => {
                let failure = gemini::failure(&head, &body);
                (Phase::Refused(call, head, body), Some(Err(failure)))
            }
            (phase, _) => (phase, Some(Err(ProviderFailure::Disconnected))),
        };
        self.phase = phase;
        outcome
    }
}

/// Ends the span of a call with its outcome. One that is dropped before was cut off.
fn end_span(mut span: OpenSpan, outcome: Outcome) {
    match outcome {
        Ok(StreamEnd::Completed(_) | StreamEnd::Refused) => {}
        Ok(StreamEnd::Incomplete) => span.fail("the answer broke off"),
        Err(failure) => {
            span.set("error.type", failure.code().as_str());
            span.fail(failure.to_string());
        }
    }
}
