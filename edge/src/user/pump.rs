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

/// How often a running turn is looked after.
const TICK: Duration = Duration::from_secs(1);

/// The time of a running turn.
struct Watch {
    patience: Patience,
    tick: Delay,
}

impl Watch {
    fn new(streamed: bool) -> Self {
        let now = platform::now();
        Self { patience: Patience::new(now, streamed), tick: Delay::from(TICK) }
    }

    fn hear(&mut self) {
        self.patience.hear(platform::now());
    }
}

impl User {
    /// Hears a streamed answer to its end.
    pub(super) async fn pump(&self, cell: &TurnCell, call: JsFuture) -> Ending {
        let mut watch = Watch::new(true);
        let mut response = match self.attend(cell, &mut watch, gemini::answered(call)).await {
            Ok(Ok(response)) => response,
            Ok(Err(failure)) => return Ending::Failed(failure),
            Err(ending) => return ending,
        };
        let Ok(mut chunks) = response.stream() else {
            return Ending::Failed(ProviderFailure::Malformed);
        };
        let mut decoder = wire::StreamDecoder::default();
        let mut said = Vec::new();
        loop {
            let chunk = match self.attend(cell, &mut watch, chunks.next()).await {
                Ok(chunk) => chunk,
                Err(ending) => return ending,
            };
            let (decoded, over) = match &chunk {
                Some(Ok(bytes)) => (decoder.push(bytes, &mut said).map(|()| None), false),
                Some(Err(_)) | None => (decoder.finish(&mut said).map(Some), true),
            };
            watch.hear();
            hear(cell, &mut said);
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
            Err(ending) => return ending,
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
    ) -> std::result::Result<F::Output, Ending> {
        let mut waited = pin!(waited);
        loop {
            match select(waited.as_mut(), pin!(&mut watch.tick)).await {
                Either::Left(_) if !is_running(cell) => return Err(Ending::Cancelled),
                Either::Left((output, _)) => return Ok(output),
                Either::Right(((), _)) => {
                    watch.tick = Delay::from(TICK);
                    self.look_after(cell, watch)?;
                }
            }
        }
    }

    fn look_after(&self, cell: &TurnCell, watch: &mut Watch) -> std::result::Result<(), Ending> {
        if !is_running(cell) {
            return Err(Ending::Cancelled);
        }
        let now = platform::now();
        if let Err(failure) = watch.patience.check(now) {
            cell.abort();
            return Err(Ending::Failed(failure));
        }
        // Words that nobody sees, such as a model's thoughts, keep no reader's connection open.
        if self.config().is_ok_and(|config| now.millis_since(cell.last_write_at()) >= config.stream_ping_ms) {
            cell.ping(now);
        }
        // When that fails the turn goes on; the next checkpoint has these events too.
        if let Err(error) = self.checkpoint(cell) {
            worker::console_error!("turn {}: checkpoint: {error}", cell.id);
        }
        Ok(())
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
