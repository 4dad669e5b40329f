//! From a message to its turn: admission in one step, then the task that runs it.

use std::rc::Rc;

use shared::{
    api::{
        ApiError, ErrorCode,
        account::Plan,
        body::{self, MAX_BODY_BYTES},
        chat::{Part, SendMessage},
    },
    chat::{
        admission::{self, Admission, Arrival},
        context, delivery,
        turn::{Ending, TurnSpec, TurnState},
    },
    http::{accept, headers::IDEMPOTENCY_KEY},
    id::Id,
    limits::{
        gcra::{Gcra, Tat},
        memory,
    },
    provider::{
        ModelRequest, ProviderFailure,
        registry::{self, Model},
    },
    time::Timestamp,
};
use wasm_bindgen_futures::JsFuture;
use worker::{Request, Response, Result};

use super::{Identity, User, accepted, cell::TurnCell, memory::held_bytes, store::Asked};
use crate::{
    body::read as read_body,
    platform,
    provider::gemini,
    reply::{self, Failure},
};

/// Tokens kept free for the answer when the request does not bound it.
const ANSWER_TOKENS: u32 = 8_192;
/// Tokens of history a prompt carries at most: what answers in a moment and costs little.
const HISTORY_TOKENS: usize = 100_000;

/// Seconds after which a message may come again for which this isolate has no memory now.
const OVERLOADED_RETRY_S: u64 = 2;

/// A message that was admitted.
struct Order {
    identity: Identity,
    request_id: String,
    message: SendMessage,
    stream: bool,
    now: Timestamp,
}

/// A turn that has begun, and the provider's call that is on its way.
struct Begun {
    call: std::result::Result<JsFuture, ProviderFailure>,
    stream: bool,
}

impl User {
    /// `POST chat/conversations/{id}/messages`.
    pub(super) async fn send_message(
        self: &Rc<Self>,
        request: &mut Request,
        conversation: Id,
        identity: &Identity,
        request_id: &str,
    ) -> Result<Response, Failure> {
        let header = |name: &str| request.headers().get(name).ok().flatten();
        let (accepts, prefers, key) = (header("Accept"), header("Prefer"), header(IDEMPOTENCY_KEY));
        let bytes = read_body(request, MAX_BODY_BYTES).await?;
        let message: SendMessage = body::parse(&bytes)?;
        drop(bytes);
        let stream = accept::wants_event_stream(accepts.as_deref(), message.stream)?;
        let key = accept::idempotency_key(key.as_deref(), message.client_message_id.as_deref())?;
        let respond_async = accept::prefer_respond_async(prefers.as_deref());
        let fingerprint = admission::fingerprint(conversation, &message);

        self.refuse_ended(identity)?;
        let now = platform::now();
        let cell = match self.admit(conversation, key.as_deref(), fingerprint, identity, now)? {
            Admission::Refuse(error) => return Err(error.into()),
            Admission::Attach(turn) => {
                // Found before anything is awaited: should the turn be refused meanwhile, this request gets the same answer.
                let cell = self.find(turn)?.ok_or(ErrorCode::NotFound)?;
                self.check_session(identity, request_id).await?;
                cell
            }
            Admission::Run => {
                let id = platform::new_id(now);
                let cell = TurnCell::starting(id, conversation, key, fingerprint, identity.token.clone());
                self.remember(&cell);
                let (identity, request_id) = (identity.clone(), request_id.to_owned());
                // Whoever looks on sees the words as they come, also when this client does not.
                let order = Order { identity, request_id, message, stream: stream || respond_async, now };
                let (user, running) = (Rc::clone(self), Rc::clone(&cell));
                self.state.wait_until(async move { user.run(&running, order).await });
                cell
            }
        };
        cell.begun().await?;
        if respond_async && let Some(turn) = cell.state().map(|state| state.view()) {
            return Ok(accepted(&turn)?);
        }
        if stream && let Some(reader) = self.reader(&cell, 0)? {
            return Ok(super::stream(reader, cell.id)?);
        }
        cell.closed().await;
        let answer = cell.state().map(|state| state.answer()).ok_or(ErrorCode::Internal)?;
        Ok(reply::json(201, &answer?)?)
    }

    /// What becomes of a message: decided before anything is awaited.
    fn admit(
        &self,
        conversation: Id,
        key: Option<&str>,
        fingerprint: u64,
        identity: &Identity,
        now: Timestamp,
    ) -> Result<Admission> {
        let known = match key {
            None => None,
            Some(key) => self.known_key(key)?,
        };
        if known.is_none() && !memory::has_room_for_turn(held_bytes()) {
            let error = ApiError::from(ErrorCode::Overloaded).retry_after(OVERLOADED_RETRY_S);
            return Ok(Admission::Refuse(error));
        }
        let (conversation_busy, running, starting) = {
            let turns = self.turns.borrow();
            let open = turns.values().filter(|cell| cell.is_open());
            let busy = open.clone().any(|cell| cell.conversation_id == conversation);
            let starting = open.clone().filter(|cell| cell.is_starting()).count() as u64;
            (busy, open.count(), starting)
        };
        let config = self.config()?;
        let gcra =
            Gcra::new(config.rate_limit_requests, config.rate_limit_window_ms, config.rate_limit_requests);
        let before = match self.rate.get() {
            Some(tat) => Some(tat),
            None => self.store()?.rate()?,
        };
        let rate = gcra.check(before, now);
        let limit = config.basic_tier_daily_limit.filter(|_| identity.plan == Plan::Basic);
        let daily = self.store()?.day(now)?.with(starting).admit(limit);
        let admission = admission::admit(Arrival {
            known,
            fingerprint,
            conversation_busy,
            running,
            rate: if rate.allowed { Ok(()) } else { Err(gcra.limit_state("user", &rate)) },
            daily: match limit {
                Some(limit) if !daily.allowed => Err(daily.count.limit_state(limit, now)),
                _ => Ok(()),
            },
        });
        if admission == Admission::Run {
            self.rate.set(Some(rate.tat));
        }
        Ok(admission)
    }

    fn known_key(&self, key: &str) -> Result<Option<admission::KnownKey>> {
        let in_memory = self
            .turns
            .borrow()
            .values()
            .find(|cell| cell.key.as_deref() == Some(key))
            .map(|cell| admission::KnownKey { turn_id: cell.id, fingerprint: cell.fingerprint });
        match in_memory {
            Some(known) => Ok(Some(known)),
            None => self.store()?.find_key(key),
        }
    }

    /// Runs a turn to its end, whoever listens.
    async fn run(self: Rc<Self>, cell: &Rc<TurnCell>, order: Order) {
        match self.begin(cell, &order).await {
            Ok(begun) => {
                let ending = match begun.call {
                    Ok(call) if begun.stream => self.pump(cell, call).await,
                    Ok(call) => self.hear_whole(cell, call).await,
                    Err(failure) => Ending::Failed(failure),
                };
                self.finish(cell, ending, &order.request_id).await;
            }
            Err(failure) => {
                self.turns.borrow_mut().remove(&cell.id);
                cell.refuse(match failure {
                    Failure::Told(error) => error,
                    Failure::Broken(error) => {
                        worker::console_error!("request {}: turn {}: {error}", order.request_id, cell.id);
                        ErrorCode::Internal.into()
                    }
                });
            }
        }
    }

    /// Sends the provider's call off, then stores that the turn runs. In this order, because the response waits for storage
    /// anyway and the model needs its time. In that time the session is looked up, too: until it is known to be alive, nothing
    /// is shown.
    async fn begin(&self, cell: &TurnCell, order: &Order) -> Result<Begun, Failure> {
        let config = self.config()?;
        let conversation = cell.conversation_id;
        self.load_context(conversation, &order.identity, &order.request_id).await?;
        let parts = order.message.to_parts();
        let prepared = self.with_context(conversation, |context| {
            let name =
                order.message.model.as_deref().or(context.model.as_deref()).unwrap_or(&config.default_model);
            let model = registry::resolve(name).ok_or_else(|| unknown_model(name))?;
            let request = prompt(order, context, &parts, model);
            let parent_id = context.messages.last().map(|message| message.id);
            Ok::<_, ApiError>((model, name.to_owned(), request, context.last_seq, parent_id))
        });
        let (model, name, request, last_seq, parent_id) = prepared.ok_or(ErrorCode::NotFound)??;

        let day = self.store()?.day(order.now)?.day;
        let signal = cell.abort_signal().ok_or(ErrorCode::Internal)?;
        let call = gemini::begin(&config, model, &request, order.stream, &signal).map_err(|error| {
            worker::console_error!("request {}: the provider's call: {error}", order.request_id);
            ProviderFailure::Disconnected
        });
        if let Err(ended) = self.check_session(&order.identity, &order.request_id).await {
            cell.abort();
            return Err(ended);
        }
        let state = TurnState::begin(TurnSpec {
            turn_id: cell.id,
            user_id: order.identity.user_id,
            conversation_id: conversation,
            user_message_id: platform::new_id(order.now),
            assistant_message_id: platform::new_id(order.now),
            last_seq,
            parent_id,
            parts,
            model: name,
            created_at: order.identity.verified_at,
        });
        let rate = self.rate.get().unwrap_or(Tat::from_micros(0));
        let (key, fingerprint) = (cell.key.as_deref(), cell.fingerprint);
        let asked = Asked { key, fingerprint, token: &cell.token, day, rate };
        if let Err(error) = self.store()?.begin_turn(state.record(), &asked) {
            cell.abort();
            return Err(error.into());
        }
        cell.go_live(state);
        self.ring_by(delivery::heartbeat(order.now)).await;
        Ok(Begun { call, stream: order.stream })
    }

    /// `POST chat/turns/{id}/cancel`: the turn ends here and now; its text so far stays. The answer waits until the end is
    /// stored, so that no restart makes another end of it.
    pub(super) async fn cancel(
        &self,
        turn: Id,
        identity: &Identity,
        request_id: &str,
    ) -> Result<(), Failure> {
        let cell = self.find(turn)?;
        self.check_session(identity, request_id).await?;
        let Some(cell) = cell else {
            return Ok(());
        };
        cell.begun().await?;
        if cell.state().is_some_and(|state| state.is_running()) {
            self.end(&cell, Ending::Cancelled, request_id);
            cell.abort();
        }
        Ok(())
    }

    /// A conversation was deleted: what runs in it stops, what is known of it goes.
    pub(super) fn forget_conversation(&self, conversation: Id) -> Result<()> {
        let now = platform::now();
        self.forget_context(conversation)?;
        self.store()?.forget_turns(conversation)?;
        let mut turns = self.turns.borrow_mut();
        turns.retain(|_, cell| cell.conversation_id != conversation || cell.is_open());
        for cell in turns.values().filter(|cell| cell.conversation_id == conversation) {
            cell.change(|state| state.end(Ending::Cancelled, now));
            cell.abort();
        }
        Ok(())
    }
}

/// What the model is asked.
fn prompt(
    order: &Order,
    context: &shared::api::internal::ConversationContext,
    parts: &[Part],
    model: &Model,
) -> ModelRequest {
    let answer = order.message.max_output_tokens.unwrap_or(ANSWER_TOKENS);
    let room = usize::try_from(model.context_window.saturating_sub(answer)).unwrap_or(usize::MAX);
    let mut request = ModelRequest {
        system: context.system.clone(),
        messages: context::prompt(&context.messages, parts, room.min(HISTORY_TOKENS)),
        temperature: order.message.temperature,
        max_output_tokens: order.message.max_output_tokens,
        response_format: order.message.response_format.clone().map(Into::into),
    };
    model.fit(&mut request);
    request
}

fn unknown_model(name: &str) -> ApiError {
    ApiError::invalid_field("model", format!("{name} is not a model of this server; ai/models lists them"))
}
