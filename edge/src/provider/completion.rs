//! One answer of a model: the call, its bytes, and its outcome. What they mean decides [`shared::provider::Completion`]. It knows
//! no turn; whoever drops it cuts the call off.

use std::pin::pin;

use futures_util::{
    FutureExt, StreamExt,
    future::{Either, LocalBoxFuture, select},
};
use shared::provider::{
    Completion, ModelEvent, ModelRequest, Outcome, ProviderFailure, completion::MAX_RESPONSE_BYTES,
    registry::Model,
};
use worker::{ByteStream, Response};

use super::gemini;
use crate::{
    config::Config,
    platform::{self, AbortOnDrop, Timer},
};

/// The next step of an answer.
#[derive(Debug)]
pub enum Next {
    /// The model said something, or bytes came that say nothing yet.
    Events,
    /// The timer fired.
    Timer,
    /// The answer ended.
    Ended(Outcome),
}

/// An answer that is on its way.
pub struct CompletionStream {
    source: Source,
    completion: Completion,
    abort: Option<AbortOnDrop>,
}

/// The source of the next bytes.
enum Source {
    /// The head of a streamed answer.
    Head(LocalBoxFuture<'static, Result<Response, ProviderFailure>>),
    /// The body of a streamed answer.
    Body(ByteStream),
    /// An answer in one piece.
    Whole(LocalBoxFuture<'static, Result<Vec<u8>, ProviderFailure>>),
    /// Nothing comes any more.
    Ended(Outcome),
}

impl CompletionStream {
    /// Begins a call: it is on its way when this returns.
    ///
    /// # Errors
    /// When the platform refuses to make it.
    pub fn begin(
        config: &Config,
        model: &Model,
        request: &ModelRequest,
        is_streamed: bool,
    ) -> worker::Result<Self> {
        let abort = AbortOnDrop::new()?;
        let call = gemini::begin(config, model, request, is_streamed, abort.signal().as_ref())?;
        let source = if is_streamed {
            Source::Head(gemini::answered(call).boxed_local())
        } else {
            let whole = async {
                let mut response = gemini::answered(call).await?;
                let body = platform::read_whole(&mut response, MAX_RESPONSE_BYTES + 1).await;
                body.map_err(|_| ProviderFailure::Disconnected)
            };
            Source::Whole(whole.boxed_local())
        };
        let completion = Completion::new(platform::now(), is_streamed);
        Ok(Self { source, completion, abort: Some(abort) })
    }

    /// The controller that cuts the call off from outside: the answer then ends as broken.
    pub fn controller(&self) -> Option<web_sys::AbortController> {
        self.abort.as_ref().and_then(AbortOnDrop::controller)
    }

    /// Waits for what comes next, or for the timer, and appends what the model says to `out`. Once it has ended, it returns the
    /// same end again.
    pub async fn next(&mut self, timer: &mut Timer, out: &mut Vec<ModelEvent>) -> Next {
        if let Source::Ended(outcome) = &self.source {
            return Next::Ended(*outcome);
        }
        let arrival = match select(pin!(self.source.arrival()), pin!(timer.fired())).await {
            Either::Left((arrival, _)) => arrival,
            Either::Right(((), _)) => Arrival::Timer,
        };
        let is_timer = matches!(arrival, Arrival::Timer);
        match self.take(arrival, out) {
            Some(outcome) => {
                self.source = Source::Ended(outcome);
                // A peer may keep its connection open after the end.
                self.abort = None;
                Next::Ended(outcome)
            }
            None if is_timer => Next::Timer,
            None => Next::Events,
        }
    }

    fn take(&mut self, arrival: Arrival, out: &mut Vec<ModelEvent>) -> Option<Outcome> {
        let now = platform::now();
        match arrival {
            Arrival::Timer => self.completion.check(now, out),
            Arrival::Head(mut response) => match response.stream() {
                Ok(body) => {
                    self.source = Source::Body(body);
                    None
                }
                Err(_) => Some(Err(ProviderFailure::Malformed)),
            },
            Arrival::Bytes(bytes) => self.completion.push(&bytes, now, out),
            Arrival::End { is_broken } => Some(self.completion.close(is_broken, out)),
            Arrival::Whole(body) => Some(Completion::whole(&body, out)),
            Arrival::Failure(failure) => Some(Err(failure)),
        }
    }

    /// Returns for how many milliseconds to wait until the next look at the time, `most_ms` at most.
    pub fn wait_ms(&self, most_ms: u64) -> u64 {
        self.completion.next_check_ms(platform::now(), most_ms)
    }
}

/// The arrival that came first.
enum Arrival {
    Timer,
    Head(Response),
    Bytes(Vec<u8>),
    End { is_broken: bool },
    Whole(Vec<u8>),
    Failure(ProviderFailure),
}

impl Source {
    /// Waits for what comes next. Dropped before it is there, it loses nothing.
    async fn arrival(&mut self) -> Arrival {
        match self {
            Self::Head(head) => match head.await {
                Ok(response) => Arrival::Head(response),
                Err(failure) => Arrival::Failure(failure),
            },
            Self::Body(body) => match body.next().await {
                Some(Ok(bytes)) => Arrival::Bytes(bytes),
                Some(Err(_)) => Arrival::End { is_broken: true },
                None => Arrival::End { is_broken: false },
            },
            Self::Whole(whole) => match whole.await {
                Ok(body) => Arrival::Whole(body),
                Err(failure) => Arrival::Failure(failure),
            },
            Self::Ended(_) => std::future::pending().await,
        }
    }
}
