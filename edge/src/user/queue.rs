//! Requests that wait for the turns before them in their conversation. They are kept in storage, and only their outlines in
//! memory; each begins when the turn before it has closed, whatever its end.

use std::rc::Rc;

use shared::{
    api::chat::{Turn, TurnCode, TurnStatus},
    chat::{
        admission::MAX_QUEUE_WAIT_MS,
        turn::{TurnOutcome, TurnSpec, TurnState},
    },
    id::Id,
    time::Timestamp,
};
use worker::Result;

use super::{admission::TurnRequest, live_turn::LiveTurn, object::User, runner::Runner, store::NewTurnRow};
use crate::{log::Scope, platform};

impl User {
    /// Starts the next turn that waits in a conversation, unless one is open there.
    pub(super) fn start_next(self: &Rc<Self>, conversation: Id) {
        if let Some((turn, request)) = self.runner.take_next(conversation) {
            let scope = scope_of(&turn).with_user(request.identity.user_id);
            self.spawn_turn(&turn, request, &scope);
        }
    }

    /// Starts what waits in every conversation, and drops what has waited too long.
    pub(super) fn advance_queues(self: &Rc<Self>) {
        let now = platform::now();
        for turn in self.turns.queued().iter().filter(|turn| is_expired(turn, now)) {
            self.runner.drop_queued(turn, TurnOutcome::NotStarted(TurnCode::QueueTimeout), &scope_of(turn));
        }
        for turn in self.turns.queued() {
            self.start_next(turn.conversation_id());
        }
    }
}

impl Runner {
    /// Stores a request that waits, as this JSON.
    pub(super) fn enqueue(&self, id: Id, request: &TurnRequest, json: String) -> Result<Rc<LiveTurn>> {
        let bytes = json.len();
        self.store.put_queued(id, request.conversation, request.now, json)?;
        let turn = LiveTurn::queued(self.outline(id, request), bytes, request.origin());
        self.turns.track(&turn);
        Ok(turn)
    }

    /// Takes the requests that wait in storage into memory, after a start. One that cannot be read is logged and does not affect
    /// the others.
    ///
    /// # Errors
    /// Fails with the errors of SQLite.
    pub(super) fn restore_queue(&self, scope: &Scope) -> Result<()> {
        for (id, _) in self.store.queued()? {
            let scope = scope.with_turn(id);
            let json = scope.logged("reading a request that waits", self.store.queued_request(id)).flatten();
            let read = json.map(|json| (json.len(), serde_json::from_str::<TurnRequest>(&json)));
            let Some((bytes, read)) = read else { continue };
            if let Some(request) = scope.logged("decoding a request that waits", read) {
                self.turns.track(&LiveTurn::queued(self.outline(id, &request), bytes, request.origin()));
            }
        }
        Ok(())
    }

    /// Takes the next request of a conversation out of the queue, to be run now; storage has it until its turn begins.
    fn take_next(&self, conversation: Id) -> Option<(Rc<LiveTurn>, TurnRequest)> {
        loop {
            let turn = self.turns.next_queued(conversation)?;
            let (now, scope) = (platform::now(), scope_of(&turn));
            if is_expired(&turn, now) {
                self.drop_queued(&turn, TurnOutcome::NotStarted(TurnCode::QueueTimeout), &scope);
            } else if let Some(request) = self.request_of(&turn, &scope) {
                turn.leave_queue();
                return Some((turn, TurnRequest { now, ..request }));
            } else {
                self.abandon(&turn, &scope);
            }
        }
    }

    /// Ends a turn that waited and does not begin. It is shown as any that ended, but is no part of its conversation and counts
    /// nothing.
    pub(super) fn drop_queued(&self, turn: &LiveTurn, outcome: TurnOutcome, scope: &Scope) {
        let Some(request) = self.request_of(turn, scope) else { return self.abandon(turn, scope) };
        let now = platform::now();
        let mut state = TurnState::begin(TurnSpec {
            turn_id: turn.id(),
            user_id: request.identity.user_id,
            conversation_id: request.conversation,
            kind: request.target.kind(),
            head_before: None,
            parent_id: None,
            siblings: Vec::new(),
            last_seq: 0,
            input: request.input(request.message.to_parts()),
            answer_id: request.answer_id,
            model: self.outline(turn.id(), &request).model,
            created_at: request.identity.verified_at,
        });
        state.end(outcome, now);
        state.close();
        scope.logged("storing the end of a turn that waited", self.store_dropped(&state, turn, now));
        turn.start(state, None);
    }

    fn store_dropped(&self, state: &TurnState, turn: &LiveTurn, now: Timestamp) -> Result<()> {
        let (origin, charge) = (turn.origin(), self.limits.current(now)?);
        self.store.drop_queued(&NewTurnRow {
            record: state.record(),
            key: origin.key.as_deref(),
            fingerprint: origin.fingerprint,
            token: "",
            day: charge.day,
            rate: charge.rate,
            context: None,
        })
    }

    /// Gives up a turn whose request cannot be read.
    fn abandon(&self, turn: &LiveTurn, scope: &Scope) {
        scope.logged("removing a request that waits", self.store.leave_queue(turn.id()));
        self.turns.remove(turn.id());
        turn.reject(shared::api::ErrorCode::Internal.into());
    }

    fn request_of(&self, turn: &LiveTurn, scope: &Scope) -> Option<TurnRequest> {
        let json =
            scope.logged("reading a request that waits", self.store.queued_request(turn.id())).flatten()?;
        scope.logged("decoding a request that waits", serde_json::from_str(&json))
    }

    /// Returns what is shown of a turn that waits.
    fn outline(&self, id: Id, request: &TurnRequest) -> Turn {
        let of_conversation = || self.contexts.read(request.conversation, |context| context.model.clone());
        let model = request.message.model.clone().or_else(|| of_conversation().flatten());
        Turn {
            id,
            conversation_id: request.conversation,
            status: TurnStatus::Queued,
            model: model.unwrap_or_else(|| self.config.default_model.clone()),
            text: String::new(),
            last_event_id: 0,
            user_message_id: request.target.has_question().then_some(request.question_id),
            assistant_message_id: request.answer_id,
            usage: None,
            error: None,
            persisted: false,
            created_at: request.identity.verified_at,
            finished_at: None,
        }
    }
}

/// Returns the scope of a turn that no request runs: its id is its request id at the origin.
fn scope_of(turn: &LiveTurn) -> Scope {
    Scope::new(&turn.id().to_string()).with_turn(turn.id())
}

fn is_expired(turn: &LiveTurn, now: Timestamp) -> bool {
    now.millis_since(turn.id().timestamp()) > MAX_QUEUE_WAIT_MS
}
