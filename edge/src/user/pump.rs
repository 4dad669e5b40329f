//! From the provider's answer to the turn's end: hears what the model says, checkpoints about once a second, and minds the
//! time.

use std::{future::Future, pin::pin, time::Duration};

use futures_util::{
    StreamExt,
    future::{Either, select},
};
use shared::{
    chat::turn::Ending,
    provider::{ModelEvent, Patience, ProviderFailure, StreamEnd, gemini as wire},
};
use wasm_bindgen_futures::JsFuture;
use worker::Delay;

use super::{User, cell::TurnCell};
use crate::{platform, provider::gemini};

/// How often a running turn is looked after, at least.
const TICK_MS: u64 = 1_000;

/// The time of a running turn.
struct Watch {
    patience: Patience,
    tick: Delay,
}

impl Watch {
    fn new(streamed: bool) -> Self {
        let now = platform::now();
        Self { patience: Patience::new(now, streamed), tick: tick(TICK_MS) }
    }

    fn hear(&mut self) {
        self.patience.hear(platform::now());
    }

    /// Notes how far the answer has come: whether there are words in what was said, and whether the model has finished.
    fn note(&mut self, words: bool, finished: Option<wire::Finished>) {
        if words {
            self.patience.go_on();
        }
        if let Some(wire::Finished { counted }) = finished {
            self.patience.finish(platform::now(), counted);
            self.tick = self.next_tick();
        }
    }

    fn next_tick(&self) -> Delay {
        tick(self.patience.next_look_ms(platform::now(), TICK_MS))
    }
}

impl User {
    /// Hears a streamed answer to its end.
    pub(super) async fn pump(&self, cell: &TurnCell, call: JsFuture) -> Ending {
        let mut watch = Watch::new(true);
        let mut response = match self.attend(cell, &mut watch, gemini::answered(call)).await {
            Ok(Ok(response)) => response,
            Ok(Err(failure)) => return Ending::Failed(failure),
            Err(stop) => return stop.ending(),
        };
        let Ok(mut chunks) = response.stream() else {
            return Ending::Failed(ProviderFailure::Malformed);
        };
        let mut decoder = wire::StreamDecoder::default();
        let mut said = Vec::new();
        loop {
            let chunk = match self.attend(cell, &mut watch, chunks.next()).await {
                Ok(chunk) => chunk,
                // The peer keeps the connection, and the model has finished: as if it had been closed.
                Err(Stop::Over) => {
                    cell.abort();
                    None
                }
                Err(stop) => return stop.ending(),
            };
            let (decoded, over) = match &chunk {
                Some(Ok(bytes)) => (decoder.push(bytes, &mut said).map(|()| None), false),
                Some(Err(_)) | None => (decoder.finish(&mut said).map(Some), true),
            };
            watch.hear();
            let words = said.iter().any(|event| matches!(event, ModelEvent::TextDelta(_)));
            watch.note(words, decoder.finished());
            hear(cell, &mut said);
            // Before anything else is awaited: until then no reader gets what was said.
            if cell.state().is_some_and(|state| state.log().is_checkpoint_due()) {
                self.log_checkpoint(cell);
            }
            if cell.state().is_some_and(|state| state.is_too_long()) {
                cell.abort();
                return Ending::Failed(ProviderFailure::TooLarge);
            }
            match decoded {
                Err(failure) => return Ending::Failed(failure),
                Ok(Some(StreamEnd::Incomplete)) if matches!(chunk, Some(Err(_))) => {
                    return Ending::Failed(ProviderFailure::Disconnected);
                }
                Ok(Some(end)) => return Ending::Answered(end),
                Ok(None) if over => return Ending::Answered(StreamEnd::Incomplete),
                Ok(None) => {}
            }
        }
    }

    /// Hears an answer that comes in one piece.
    pub(super) async fn hear_whole(&self, cell: &TurnCell, call: JsFuture) -> Ending {
        let mut watch = Watch::new(false);
        let answer = async {
            let mut response = gemini::answered(call).await?;
            let body = platform::read_whole(&mut response, gemini::ANSWER_BYTES + 1).await;
            body.map_err(|_| ProviderFailure::Disconnected)
        };
        let body = match self.attend(cell, &mut watch, answer).await {
            Ok(Ok(body)) => body,
            Ok(Err(failure)) => return Ending::Failed(failure),
            Err(stop) => return stop.ending(),
        };
        match wire::decode_response(&body, gemini::ANSWER_BYTES) {
            Ok((mut said, end)) => {
                hear(cell, &mut said);
                Ending::Answered(end)
            }
            Err(failure) => Ending::Failed(failure),
        }
    }

    /// Waits for something of the provider's while looking after the turn once a second.
    async fn attend<F: Future>(
        &self,
        cell: &TurnCell,
        watch: &mut Watch,
        waited: F,
    ) -> std::result::Result<F::Output, Stop> {
        let mut waited = pin!(waited);
        loop {
            match select(waited.as_mut(), pin!(&mut watch.tick)).await {
                Either::Left(_) if !is_running(cell) => return Err(Stop::Ended(Ending::Cancelled)),
                Either::Left((output, _)) => return Ok(output),
                Either::Right(((), _)) => {
                    self.look_after(cell, watch)?;
                    watch.tick = watch.next_tick();
                }
            }
        }
    }

    fn look_after(&self, cell: &TurnCell, watch: &mut Watch) -> std::result::Result<(), Stop> {
        if !is_running(cell) {
            return Err(Stop::Ended(Ending::Cancelled));
        }
        let now = platform::now();
        if watch.patience.is_over(now) {
            return Err(Stop::Over);
        }
        if let Err(failure) = watch.patience.check(now) {
            cell.abort();
            return Err(Stop::Ended(Ending::Failed(failure)));
        }
        // Words that nobody sees, such as a model's thoughts, keep no reader's connection open.
        if self.config().is_ok_and(|config| now.millis_since(cell.last_write_at()) >= config.stream_ping_ms) {
            cell.ping(now);
        }
        self.log_checkpoint(cell);
        Ok(())
    }

    /// Stores what storage lacks. When that fails the turn goes on; the next checkpoint has these events too.
    fn log_checkpoint(&self, cell: &TurnCell) {
        if let Err(error) = self.checkpoint(cell) {
            worker::console_error!("turn {}: checkpoint: {error}", cell.id);
        }
    }

    /// Stores the events that storage lacks.
    pub(super) fn checkpoint(&self, cell: &TurnCell) -> worker::Result<()> {
        loop {
            let Some(segment) = cell.state().and_then(|state| state.log().unsaved()) else {
                return Ok(());
            };
            let last_id = segment.last_id;
            self.store()?.checkpoint(cell.id, segment)?;
            cell.change(|state| state.mark_saved(last_id));
        }
    }
}

/// Why nobody waits for the provider any more.
enum Stop {
    /// The turn has ended, or must.
    Ended(Ending),
    /// The answer is whole, though its connection is open.
    Over,
}

impl Stop {
    fn ending(self) -> Ending {
        match self {
            Self::Ended(ending) => ending,
            Self::Over => Ending::Answered(StreamEnd::Incomplete),
        }
    }
}

fn tick(ms: u64) -> Delay {
    Delay::from(Duration::from_millis(ms))
}

fn is_running(cell: &TurnCell) -> bool {
    cell.state().is_some_and(|state| state.is_running())
}

fn hear(cell: &TurnCell, said: &mut Vec<ModelEvent>) {
    if !said.is_empty() {
        cell.change(|state| {
            for event in said.drain(..) {
                state.hear(event);
            }
        });
    }
}
