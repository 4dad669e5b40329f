//! The begin of a turn: its context, its place, the provider's call, and its row in storage.

use shared::{
    api::{
        ApiError, ErrorCode,
        chat::{Message, Part, SendMessage},
        internal::ConversationContext,
        models::{self, Model},
    },
    chat::{
        context, delivery,
        place::Base,
        turn::{TurnSpec, TurnState},
    },
    id::Id,
    provider::{ModelRequest, ProviderFailure, estimate},
    telemetry::TraceContext,
};

use super::{
    admission::TurnRequest,
    live_turn::LiveTurn,
    runner::{PendingCall, Runner},
    store::NewTurnRow,
};
use crate::{log::Scope, provider::CompletionStream, reply::Error};

/// Tokens kept free for the answer when the request does not bound it.
const ANSWER_TOKENS: u32 = 8_192;
/// The most tokens of history in a prompt, for latency and cost.
const HISTORY_TOKENS: usize = 100_000;

/// The place of a turn in its conversation.
struct Place {
    /// The head before it.
    head: Option<Id>,
    parent_id: Option<Id>,
    siblings: Vec<Id>,
    last_seq: u64,
}

impl Place {
    /// Returns the place at this base, or at the head.
    fn of(context: &ConversationContext, base: Option<&Base>) -> Self {
        let (head, last_seq) = (context.head.message_id, context.last_seq);
        match base {
            None => Self { head, parent_id: head, siblings: context.children.clone(), last_seq },
            Some(base) => Self { head, parent_id: base.parent_id, siblings: base.siblings.clone(), last_seq },
        }
    }
}

impl Runner {
    /// Sends the provider's call, then stores that the turn runs. In this order, because the response waits for storage anyway
    /// and the model takes time. Meanwhile the session is checked, too: until it is known to be active, nothing is shown. Nothing
    /// goes to the provider before the user is known to have agreed to the documents that the origin requires.
    pub(super) async fn begin(
        &self,
        turn: &LiveTurn,
        request: &TurnRequest,
        caller: Option<TraceContext>,
        scope: &Scope,
    ) -> std::result::Result<PendingCall, Error> {
        let conversation = request.conversation;
        let fetched = self.contexts.load(conversation, &request.identity, scope).await?;
        let (target, parts) = (request.target, request.message.to_parts());
        let base = self.contexts.base(conversation, target, &parts, &request.identity, scope).await?;
        let prepared = self.contexts.read(conversation, |context| {
            let name = request.message.model.as_deref().or(context.model.as_deref());
            let name = name.unwrap_or(&self.config.default_model);
            let model = models::resolve(name).ok_or_else(|| unknown_model(name))?;
            let (history, question) = match &base {
                Some(base) => (base.history(), &base.question),
                None => (context.messages.as_slice(), &parts),
            };
            let prompt = prompt(&request.message, context, history, question, model);
            Ok::<_, ApiError>((model, name.to_owned(), prompt, Place::of(context, base.as_ref())))
        });
        let (model, name, prompt, place) = prepared.ok_or(ErrorCode::NotFound)??;

        self.sessions.require_consents(&request.identity, request.now, scope).await?;
        let call = CompletionStream::begin(&self.config, model, &prompt, request.is_streamed, scope);
        let call = call.map_err(|error| {
            scope.error("the provider's call", &error);
            ProviderFailure::Disconnected
        });
        self.sessions.check(&request.identity, scope).await?;
        // The check may have brought another word than the one that was known before the call.
        self.sessions.reject_missing_consents(request.now)?;
        if turn.is_stopped() {
            return Err(ErrorCode::NotFound.into());
        }
        let state = TurnState::begin(TurnSpec {
            turn_id: turn.id(),
            user_id: request.identity.user_id,
            conversation_id: conversation,
            kind: target.kind(),
            head_before: place.head,
            parent_id: place.parent_id,
            siblings: place.siblings,
            last_seq: place.last_seq,
            input: request.input(parts),
            answer_id: request.answer_id,
            model: name,
            created_at: request.identity.verified_at,
        })
        .with_trace(caller)
        .with_prompt_tokens(estimate::prompt_tokens(&prompt));
        let charge = self.limits.next_charge(request.now)?;
        let shown = self.contexts.show_base(conversation, base.as_ref());
        if shown.is_some() {
            // An older one of the same time is not to be read.
            self.store.forget_context(conversation)?;
        }
        let origin = turn.origin();
        self.store.begin_turn(&NewTurnRow {
            record: state.record(),
            key: origin.key.as_deref(),
            fingerprint: origin.fingerprint,
            token: &origin.token,
            day: charge.day,
            rate: charge.rate,
            context: shown.or_else(|| self.contexts.current(fetched)).as_ref(),
        })?;
        if turn.has_waited() {
            self.store.leave_queue(turn.id())?;
        }
        self.limits.charge(charge);
        turn.start(state, call.as_ref().ok().and_then(CompletionStream::handle));
        self.alarm.schedule(delivery::heartbeat(request.now), scope).await;
        Ok(call)
    }
}

/// Makes the request to the model.
fn prompt(
    message: &SendMessage,
    context: &ConversationContext,
    history: &[Message],
    question: &[Part],
    model: &Model,
) -> ModelRequest {
    let answer = message.max_output_tokens.unwrap_or(ANSWER_TOKENS);
    let room = usize::try_from(model.context_window.saturating_sub(answer)).unwrap_or(usize::MAX);
    let mut request = ModelRequest {
        system: context.system.clone(),
        messages: context::prompt(history, question, room.min(HISTORY_TOKENS)),
        temperature: message.temperature,
        max_output_tokens: message.max_output_tokens,
        response_format: message.response_format.clone().map(Into::into),
    };
    request.fit_to(model);
    request
}

fn unknown_model(name: &str) -> ApiError {
    ApiError::invalid_field("model", format!("{name} is not a model of this server; ai/models lists them"))
}
