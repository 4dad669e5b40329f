//! A turn that is taken on: what it is about, and the messages that it begins with.

use crate::{
    api::{
        chat::{Message, Part, Role, ToolCall, TurnKind, TurnStatus, joined_text},
        internal::TurnMessages,
        usage::Usage,
    },
    chat::record::TurnRecord,
    id::Id,
    time::Timestamp,
};

/// The subject of a turn, fixed when it is taken on.
#[derive(Clone, Debug)]
pub struct TurnSpec {
    /// The turn's id.
    pub turn_id: Id,
    /// Its user.
    pub user_id: Id,
    /// The conversation it belongs to.
    pub conversation_id: Id,
    /// Its kind: what it does to the conversation.
    pub kind: TurnKind,
    /// The conversation's head before this turn.
    pub head_before: Option<Id>,
    /// The message that the first of this turn follows.
    pub parent_id: Option<Id>,
    /// The messages that follow that one already, in order.
    pub siblings: Vec<Id>,
    /// The highest `seq` of the conversation before this turn.
    pub last_seq: u64,
    /// The messages before the answer, in order.
    pub input: Vec<Input>,
    /// The id of the answer.
    pub answer_id: Id,
    /// The model's alias.
    pub model: String,
    /// The time at which it was taken on.
    pub created_at: Timestamp,
}

/// A message that is whole when its turn begins.
#[derive(Clone, Debug)]
pub struct Input {
    /// Its id.
    pub id: Id,
    /// The one who speaks.
    pub role: Role,
    /// Its content.
    pub parts: Vec<Part>,
    /// The tool calls that it has the results of.
    pub tool_calls: Vec<ToolCall>,
}

impl TurnSpec {
    /// Makes the record of a turn that begins.
    pub(super) fn into_record(self) -> TurnRecord {
        TurnRecord {
            turn_id: self.turn_id,
            user_id: self.user_id,
            conversation_id: self.conversation_id,
            kind: self.kind,
            head_before: self.head_before,
            model: self.model.clone(),
            created_at: self.created_at,
            messages: self.into_messages(),
            usage: Usage::default(),
            prompt_tokens: 0,
            error: None,
            persisted: false,
            finished_at: None,
            reset_id: None,
            trace: None,
        }
    }

    /// Makes its messages: each follows the one before it, and only the first one has others beside it.
    fn into_messages(self) -> TurnMessages {
        let Self { turn_id, conversation_id, created_at, .. } = self;
        let (mut parent_id, mut others, mut seq) = (self.parent_id, self.siblings, self.last_seq);
        let mut next = |id: Id, role: Role, parts: Vec<Part>, tool_calls: Vec<ToolCall>| {
            seq += 1;
            let mut siblings = std::mem::take(&mut others);
            siblings.push(id);
            Message {
                id,
                conversation_id,
                turn_id,
                parent_id: parent_id.replace(id),
                siblings,
                seq,
                role,
                content: joined_text(&parts),
                parts,
                status: TurnStatus::Completed,
                finish_reason: None,
                model: None,
                usage: None,
                tool_calls,
                created_at,
                updated_at: created_at,
            }
        };
        let mut before = Vec::new();
        for Input { id, role, parts, tool_calls } in self.input {
            before.push(next(id, role, parts, tool_calls));
        }
        let mut answer = next(self.answer_id, Role::Assistant, Vec::new(), Vec::new());
        answer.status = TurnStatus::Running;
        answer.model = Some(self.model);
        TurnMessages::with_answer(before, answer)
    }
}
