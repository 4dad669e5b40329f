//! What conversations look like here: their newest messages, cached from the origin and grown by the turns that ran here.
//! While the origin is down, what is cached goes on being used.

use std::{collections::HashMap, time::Duration};

use shared::{
    api::{
        ErrorCode, Problem,
        internal::{ConversationContext, StoredTurn, context_path, turn_path},
    },
    chat::context,
    id::Id,
    limits::memory as limits,
    time::{SECOND_MS, Timestamp},
};
use worker::{Headers, Result};

use super::{
    Identity, User,
    memory::{HeldBytes, held_bytes},
};
use crate::{
    origin::{self, Call},
    platform,
    reply::Failure,
};

/// After this long a context is fetched anew, should the origin answer: a change that was made there and not told here
/// lasts no longer.
const FRESH_MS: i64 = 600 * SECOND_MS;
/// When a context was fetched that is to be fetched anew.
const OUTDATED: Timestamp = Timestamp::from_millis(0);
/// Conversations kept in memory.
const IN_MEMORY: usize = 8;
/// How long the origin may take for an answer: less than the 10 s that OkHttp waits for a first byte.
const ORIGIN_TIMEOUT: Duration = Duration::from_secs(8);

/// The contexts in memory.
#[derive(Default)]
pub struct Contexts {
    cached: HashMap<Id, Cached>,
    /// How often one was forgotten: what was asked for before is then used once and asked for again.
    forgotten: u64,
}

struct Cached {
    fetched: Timestamp,
    context: ConversationContext,
    held: HeldBytes,
}

impl User {
    /// Makes sure the context of a conversation is in memory.
    pub(super) async fn load_context(
        &self,
        conversation: Id,
        identity: &Identity,
        request_id: &str,
    ) -> Result<(), Failure> {
        let now = platform::now();
        if !self.contexts.borrow().cached.contains_key(&conversation)
            && let Some((fetched, context)) = self.cached_context(conversation, request_id)
        {
            self.put_in_memory(fetched, fetched, context)?;
        }
        let fetched = self.contexts.borrow().cached.get(&conversation).map(|cached| cached.fetched);
        if fetched.is_some_and(|fetched| now.millis_since(fetched) < FRESH_MS) {
            return Ok(());
        }
        let forgotten = self.contexts.borrow().forgotten;
        match self.ask::<ConversationContext>(&context_path(conversation), identity, request_id).await {
            Ok(context) if self.contexts.borrow().forgotten == forgotten => {
                if let Err(error) = self.store()?.put_context(&context, now) {
                    worker::console_error!("request {request_id}: storing a context: {error}");
                }
                Ok(self.put_in_memory(now, now, context)?)
            }
            // Something changed while the origin was asked, and its answer may be of before.
            Ok(context) => Ok(self.put_in_memory(OUTDATED, now, context)?),
            // Only the origin's own word that it is gone lets go of it.
            Err(Failure::Told(error)) if error.code == ErrorCode::NotFound => {
                self.forget_context(conversation)?;
                Err(error.into())
            }
            Err(Failure::Told(error)) if error.code == ErrorCode::OriginUnavailable => {
                let usable = self.contexts.borrow().cached.contains_key(&conversation);
                if usable { Ok(()) } else { Err(error.into()) }
            }
            Err(error) => Err(error),
        }
    }

    /// The context that storage has. One that cannot be read is fetched again.
    fn cached_context(&self, conversation: Id, request_id: &str) -> Option<(Timestamp, ConversationContext)> {
        self.store().and_then(|store| store.context(conversation)).unwrap_or_else(|error| {
            worker::console_error!("request {request_id}: reading a context: {error}");
            None
        })
    }

    /// Looks at a context in memory.
    pub(super) fn with_context<T>(
        &self,
        conversation: Id,
        look: impl FnOnce(&ConversationContext) -> T,
    ) -> Option<T> {
        self.contexts.borrow().cached.get(&conversation).map(|cached| look(&cached.context))
    }

    /// Adds an ended turn to the context of its conversation.
    pub(super) fn append_turn(&self, record: &shared::chat::record::TurnRecord) {
        if let Some(cached) = self.contexts.borrow_mut().cached.get_mut(&record.user_message.conversation_id)
        {
            let (user, assistant) = (record.user_message.clone(), record.assistant_message.clone());
            context::merge(&mut cached.context, user, assistant);
            cached.held.set(bytes_of(&cached.context));
        }
    }

    pub(super) fn forget_context(&self, conversation: Id) -> Result<()> {
        {
            let mut contexts = self.contexts.borrow_mut();
            contexts.cached.remove(&conversation);
            contexts.forgotten += 1;
        }
        self.store()?.forget_context(conversation)
    }

    /// A turn that is no longer here, as the origin stored it.
    pub(super) async fn stored_turn(
        &self,
        turn: Id,
        identity: &Identity,
        request_id: &str,
    ) -> Result<StoredTurn, Failure> {
        self.ask(&turn_path(turn), identity, request_id).await
    }

    /// Takes a context into memory that the origin was asked for at `asked`, with the turns that ended here and that the origin
    /// did not have then.
    fn put_in_memory(
        &self,
        fetched: Timestamp,
        asked: Timestamp,
        mut context: ConversationContext,
    ) -> Result<()> {
        let id = context.conversation_id;
        for record in self.store()?.turns_missing_at(id, asked)? {
            match record {
                Ok(record) => context::merge(&mut context, record.user_message, record.assistant_message),
                Err(error) => worker::console_error!("conversation {id}: a turn cannot be read: {error}"),
            }
        }
        let held = HeldBytes::new(bytes_of(&context));
        let contexts = &mut self.contexts.borrow_mut().cached;
        contexts.insert(id, Cached { fetched, context, held });
        // The one that was just asked for stays, however large: it is about to be used.
        let others = contexts.iter().filter(|(other, _)| **other != id);
        let mut others: Vec<_> =
            others.map(|(id, cached)| (cached.fetched, *id, cached.held.bytes())).collect();
        others.sort_unstable_by(|one, other| other.cmp(one));
        let sizes = others.iter().map(|(_, _, bytes)| *bytes);
        let kept = limits::kept(sizes, IN_MEMORY - 1, limits::cache_bytes(held_bytes()));
        for (_, id, _) in others.iter().skip(kept) {
            contexts.remove(id);
        }
        Ok(())
    }

    /// Asks the origin for something of this user's. Whatever it answers also says whether the session is alive.
    pub(super) async fn ask<T: serde::de::DeserializeOwned>(
        &self,
        path: &str,
        identity: &Identity,
        request_id: &str,
    ) -> Result<T, Failure> {
        let config = self.config()?;
        let now = platform::now();
        let call = Call {
            method: "GET",
            path_and_query: path,
            body: &[],
            request_id,
            client_ip: &identity.client_ip,
            timeout: ORIGIN_TIMEOUT,
        };
        let headers = Headers::new();
        headers.set("Authorization", &format!("Bearer {}", identity.token))?;
        let why = match origin::fetch(&config, &call, headers).await {
            Ok((200, body)) => {
                self.sessions.borrow_mut().heard(identity.session_id, true, now);
                return serde_json::from_slice(&body)
                    .map_err(|error| Failure::Broken(worker::Error::from(error)));
            }
            Ok((status, body)) => match problem_code(&body) {
                // The origin's word about this user or this object; all else is trouble between the parts.
                Some(code) if matches!(status, 401 | 404) && code.status() == status => {
                    if code == ErrorCode::SessionEnded {
                        self.sessions.borrow_mut().heard(identity.session_id, false, now);
                    }
                    return Err(code.into());
                }
                _ => format!("the origin answered {status}"),
            },
            Err(error) => error.to_string(),
        };
        worker::console_error!("request {request_id}: GET {path}: {why}");
        self.sessions.borrow_mut().unanswered(now);
        Err(origin::unavailable().into())
    }
}

fn bytes_of(context: &ConversationContext) -> usize {
    context.messages.iter().map(|message| message.content_bytes() + message.content.len()).sum()
}

/// The code of the origin's problem, if this is one.
fn problem_code(body: &[u8]) -> Option<ErrorCode> {
    serde_json::from_slice::<Problem>(body).ok().map(|problem| problem.code)
}
