//! The model: plays each turn's script and records the calls.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use shared::provider::{ContentPart, Role};
use tokio::time::Instant;

use super::plan::{self, TurnPlan};
use crate::provider::{Received, Script, ScriptedGemini};

/// A text of a prompt and its role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) by_user: bool,
    pub(super) text: String,
}

/// One call of the provider.
#[derive(Clone, Debug)]
pub(super) struct ModelCall {
    pub(super) at: Instant,
    /// The texts of the prompt before the new message.
    pub(super) history: Vec<Said>,
}

/// All calls, by the number of their turn.
#[derive(Debug, Default)]
pub(super) struct ModelLog {
    calls: Mutex<HashMap<u32, Vec<ModelCall>>>,
}

impl ModelLog {
    /// Sets the provider to answer every call by the plan of its turn.
    pub(super) fn attach(provider: &ScriptedGemini, seed: u64) -> Arc<Self> {
        let log = Arc::new(Self::default());
        let keeps = Arc::clone(&log);
        provider.choose(move |received| keeps.answer(received, seed));
        log
    }

    fn answer(&self, received: &Received, seed: u64) -> Script {
        let mut history = said(received);
        let number = history.pop().and_then(|newest| plan::number_of(&newest.text));
        let Some(number) = number else {
            // No phone of this run sends such a prompt.
            return Script::error(hyper::StatusCode::BAD_REQUEST);
        };
        self.lock().entry(number).or_default().push(ModelCall { at: Instant::now(), history });
        TurnPlan::new(seed, number).script
    }

    /// The calls of a turn so far.
    pub(super) fn calls(&self, number: u32) -> Vec<ModelCall> {
        self.lock().get(&number).cloned().unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u32, Vec<ModelCall>>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The texts of the prompt, oldest first.
fn said(received: &Received) -> Vec<Said> {
    let messages = received.request.messages.iter();
    let texts = messages.flat_map(|message| {
        let by_user = message.role == Role::User;
        message.parts.iter().filter_map(move |part| match part {
            ContentPart::Text(text) => Some(Said { by_user, text: text.clone() }),
            ContentPart::InlineImage { .. } => None,
        })
    });
    texts.collect()
}
