//! Turns at any message of a conversation, against the plain definition: a path is the parents of its last message.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use rstest::rstest;

use super::*;
use crate::api::chat::FinishReason;
use crate::{
    api::{
        chat::joined_text,
        internal::{CONTEXT_MESSAGES, Head},
    },
    chat::{
        context::CONTEXT_BYTES,
        turn::{Input, TurnOutcome, TurnSpec, TurnState},
    },
    provider::{ModelEvent, ProviderFailure},
    time::Timestamp,
};

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millis(1_795_253_400_000 + ms)
}

fn id(ms: i64, of: u8) -> Id {
    Id::new(at(ms), [of; 10])
}

fn text(words: &str) -> Vec<Part> {
    vec![Part::Text { text: words.to_owned() }]
}

/// A conversation: the origin's part of it, the turns that wait for their delivery, and the cached context.
#[derive(Default)]
struct Model {
    now: i64,
    stored: BTreeMap<Id, Message>,
    head: Head,
    last_seq: u64,
    own: Vec<TurnRecord>,
    cached: Option<ConversationContext>,
    /// The messages of all turns, and the branch that is shown.
    all: BTreeMap<Id, Message>,
    shown: Option<Id>,
}

impl Model {
    fn path(messages: &BTreeMap<Id, Message>, to: Option<Id>) -> Vec<Message> {
        let mut path: Vec<_> = std::iter::successors(to.map(|id| &messages[&id]), |message| {
            message.parent_id.map(|id| &messages[&id])
        })
        .cloned()
        .collect();
        path.reverse();
        path
    }

    fn children(messages: &BTreeMap<Id, Message>, of: Option<Id>) -> Vec<Id> {
        messages.values().filter(|message| message.parent_id == of).map(|message| message.id).collect()
    }

    /// The origin's answer, to the shown branch or to a message of it.
    fn fetch(&self, to: Option<Id>) -> ConversationContext {
        let to = to.or(self.head.message_id);
        let mut messages = context::newest(Self::path(&self.stored, to));
        for message in &mut messages {
            message.siblings = Self::children(&self.stored, message.parent_id);
        }
        ConversationContext {
            conversation_id: id(0, 9),
            model: None,
            system: None,
            last_seq: self.last_seq,
            head: self.head,
            children: Self::children(&self.stored, to),
            messages,
        }
    }

    fn path_to(&self, context: &ConversationContext, to: Id) -> Path {
        match plan(context, &self.own, to, false) {
            Plan::Known(path) => path,
            Plan::Fetch { at, end, .. } => Path::from(self.fetch(Some(at))).extended(end, &self.own),
        }
    }

    /// The context as the user object loads it.
    fn load(&mut self) -> ConversationContext {
        if let Some(context) = &self.cached {
            return context.clone();
        }
        let mut context = self.fetch(None);
        for turn in &self.own {
            if let Some(parent) = context::missing_parent(&context, turn) {
                let path = self.path_to(&context, parent);
                show_path(&mut context, path.messages);
            }
            context::merge(&mut context, turn);
        }
        context
    }

    /// Runs a turn, and checks its place.
    fn run(&mut self, target: Target) {
        self.now += 1;
        let mut context = self.load();
        let shown = newest_ids(&Self::path(&self.all, self.shown));
        assert_eq!(ids(&context.messages), shown, "the shown branch");
        let (parent_id, siblings) = match target.message_id() {
            None => (context.head.message_id, context.children.clone()),
            Some(message) => {
                let path = self.path_to(&context, message);
                let base = base(target, path, &text("edited"), &self.own).unwrap();
                assert_eq!(ids(&base.path), ids(&Self::path(&self.all, base.parent_id)), "{target:?}");
                if !is_shown(&context, &base) {
                    show_path(&mut context, base.path.clone());
                }
                (base.parent_id, base.siblings)
            }
        };
        // The cache may not know all of them; the origin lists them when it has the turn.
        let expected: BTreeSet<_> = Self::children(&self.all, parent_id).into_iter().collect();
        let known: BTreeSet<_> = siblings.iter().copied().collect();
        assert!(known.is_subset(&expected) && known.len() == siblings.len(), "the siblings of {target:?}");
        let question =
            Input { id: id(self.now, 1), role: Role::User, parts: text("more"), tool_calls: vec![] };
        let mut turn = TurnState::begin(TurnSpec {
            turn_id: id(self.now, 0),
            user_id: id(0, 8),
            conversation_id: id(0, 9),
            kind: target.kind(),
            head_before: context.head.message_id,
            parent_id,
            siblings,
            last_seq: context.last_seq,
            input: target.has_question().then_some(question).into_iter().collect(),
            answer_id: id(self.now, 2),
            model: "fast".to_owned(),
            created_at: at(self.now),
        });
        turn.apply(ModelEvent::TextDelta("Once".to_owned()));
        turn.end(TurnOutcome::Cancelled, at(self.now));
        let record = turn.record().clone();
        context::merge(&mut context, &record);
        self.all.extend(record.messages.iter().map(|message| (message.id, message.clone())));
        self.shown = Some(record.messages.answer().id);
        self.own.push(record);
        self.cached = Some(context);
    }

    /// Delivers the oldest turn that waits.
    fn deliver(&mut self) {
        if self.own.is_empty() {
            return;
        }
        let turn = self.own.remove(0);
        let answer = turn.messages.answer();
        if self.head.follows(turn.turn_id, turn.head_before) {
            self.head = self.head.moved_by_turn(turn.turn_id, answer.id);
        }
        self.last_seq = self.last_seq.max(answer.seq);
        self.stored.extend(turn.messages.iter().map(|message| (message.id, message.clone())));
    }

    /// Lets the user choose a branch, at the origin once it has everything.
    fn choose(&mut self, message: Id) {
        while !self.own.is_empty() {
            self.deliver();
        }
        self.now += 1;
        self.head = self.head.moved_by_user(at(self.now), message);
        (self.shown, self.cached) = (Some(message), None);
    }
}

/// The ids of the messages that fit a context.
fn newest_ids(messages: &[Message]) -> Vec<Id> {
    ids(&messages[messages.len().saturating_sub(CONTEXT_MESSAGES)..])
}

fn ids(messages: &[Message]) -> Vec<Id> {
    messages.iter().map(|message| message.id).collect()
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Reply,
    Regenerate(usize),
    Edit(usize),
    Continue(usize),
    Deliver,
    Forget,
    Choose(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let any = 0..100usize;
    prop_oneof![
        Just(Step::Reply),
        any.clone().prop_map(Step::Regenerate),
        any.clone().prop_map(Step::Edit),
        any.clone().prop_map(Step::Continue),
        Just(Step::Deliver),
        Just(Step::Forget),
        any.prop_map(Step::Choose),
    ]
}

proptest! {
    /// Turns of all kinds at any message, with deliveries, choices and losses of the cache between them.
    #[test]
    fn turn_at_any_message_has_its_parents_and_siblings(steps in prop::collection::vec(step(), 1..40)) {
        let mut model = Model::default();
        for step in steps {
            let pick = |n: usize, is_right: fn(&Message) -> bool| {
                let all: Vec<_> = model.all.values().filter(|message| is_right(message)).map(|m| m.id).collect();
                n.checked_rem(all.len()).map(|at| all[at])
            };
            let is_answer = |message: &Message| message.role == Role::Assistant;
            let is_question = |message: &Message| message.role == Role::User;
            let target = match step {
                Step::Reply => Some(Target::Reply),
                Step::Regenerate(n) => pick(n, |_| true).map(Target::Regenerate),
                Step::Edit(n) => pick(n, is_question).map(Target::Edit),
                Step::Continue(n) => pick(n, is_answer).map(Target::Continue),
                Step::Choose(n) => {
                    if let Some(message) = pick(n, |_| true) {
                        model.choose(message);
                    }
                    None
                }
                Step::Deliver => { model.deliver(); None }
                Step::Forget => { model.cached = None; None }
            };
            if let Some(target) = target {
                model.run(target);
            }
        }
        while !model.own.is_empty() {
            model.deliver();
        }
        prop_assert_eq!(model.head.message_id, model.shown);
        model.cached = None;
        prop_assert_eq!(ids(&model.load().messages), ids(&Model::path(&model.all, model.shown)));
    }
}

/// A conversation with these turns in one branch, all of them at the origin.
fn conversation(turns: usize) -> Model {
    let mut model = Model::default();
    for _ in 0..turns {
        model.run(Target::Reply);
        model.deliver();
    }
    model
}

fn with(change: impl FnOnce(&mut Message)) -> Result<Base, ApiError> {
    let mut path = Path { messages: Model::path(&conversation(1).all, Some(id(1, 2))), children: vec![] };
    change(path.messages.last_mut().unwrap());
    base(Target::Continue(id(1, 2)), path, &[], &[])
}

#[rstest]
#[case::completed(|message: &mut Message| message.status = TurnStatus::Completed)]
#[case::failed(|message: &mut Message| message.status = TurnStatus::Failed)]
#[case::silent(|message: &mut Message| message.content.clear())]
#[case::blocked(|message: &mut Message| message.finish_reason = Some(FinishReason::ContentFilter))]
#[case::recited(|message: &mut Message| message.finish_reason = Some(FinishReason::Recitation))]
#[case::question(|message: &mut Message| message.role = Role::User)]
fn answer_without_an_open_end_is_not_continued(#[case] change: fn(&mut Message)) {
    assert_eq!(with(change).unwrap_err().code, ErrorCode::Conflict);
}

#[test]
fn prompt_of_continued_answer_ends_with_the_instruction() {
    let base = with(|message| message.status = TurnStatus::Incomplete).unwrap();
    assert_eq!((base.parent_id, ids(base.history())), (Some(id(1, 2)), vec![id(1, 1), id(1, 2)]));
    assert_eq!(joined_text(&base.question), CONTINUE);
}

#[test]
fn prompt_of_another_answer_ends_with_the_question() {
    let model = conversation(2);
    let path = Path { messages: Model::path(&model.all, Some(id(2, 2))), children: vec![] };
    let base = base(Target::Regenerate(id(2, 2)), path, &[], &[]).unwrap();
    assert_eq!(ids(base.history()), [id(1, 1), id(1, 2)]);
    assert_eq!((base.parent_id, base.question), (Some(id(2, 1)), text("more")));
    assert_eq!(ids(&base.path), [id(1, 1), id(1, 2), id(2, 1)]);
}

#[test]
fn answer_is_not_edited() {
    let path = Path { messages: Model::path(&conversation(1).all, Some(id(1, 2))), children: vec![] };
    let refused = base(Target::Edit(id(1, 2)), path, &text("other"), &[]).unwrap_err();
    assert_eq!(refused.code, ErrorCode::Conflict);
}

#[test]
fn long_path_is_cut_from_the_context_near_its_end_and_fetched_further_back() {
    let turns = CONTEXT_MESSAGES;
    let mut model = conversation(turns);
    let context = model.load();
    assert_eq!(context.messages.len(), CONTEXT_MESSAGES);
    let answer = |turn: usize| id(i64::try_from(turn).unwrap(), 2);
    assert!(
        matches!(plan(&context, &[], answer(turns - 1), false), Plan::Known(path) if path.messages.len() == CONTEXT_MESSAGES - 2)
    );
    let far = answer(turns - CONTEXT_MESSAGES / 3);
    assert!(matches!(plan(&context, &[], far, false), Plan::Fetch { at, known: Some(_), .. } if at == far));
    let further = answer(1);
    assert!(
        matches!(plan(&context, &[], further, false), Plan::Fetch { at, known: None, .. } if at == further)
    );
}

#[test]
fn question_without_its_pictures_is_fetched() {
    let mut model = conversation(1);
    let mut context = model.load();
    let image = Part::Image { mime_type: None, data: Some("A".repeat(CONTEXT_BYTES)), file_id: None };
    context.messages[0].parts.push(image);
    context.messages = context::newest(context.messages);
    assert!(matches!(plan(&context, &[], id(1, 2), false), Plan::Known(path) if !path.has_whole_question()));
    assert!(
        matches!(plan(&context, &[], id(1, 1), true), Plan::Fetch { at, known: None, .. } if at == id(1, 1))
    );
}

#[test]
fn question_whose_second_answer_failed_is_left_out_of_later_prompts() {
    let mut model = conversation(2);
    let mut context = model.load();
    let path = model.path_to(&context, id(2, 2));
    let base = base(Target::Regenerate(id(2, 2)), path, &[], &[]).unwrap();
    let mut turn = TurnState::begin(TurnSpec {
        turn_id: id(3, 0),
        user_id: id(0, 8),
        conversation_id: id(0, 9),
        kind: TurnKind::Regenerate,
        head_before: context.head.message_id,
        parent_id: base.parent_id,
        siblings: base.siblings,
        last_seq: context.last_seq,
        input: vec![],
        answer_id: id(3, 2),
        model: "fast".to_owned(),
        created_at: at(3),
    });
    turn.end(TurnOutcome::Failed(ProviderFailure::Disconnected), at(3));
    assert!(context::merge(&mut context, turn.record()));
    assert_eq!(ids(&context.messages), [id(1, 1), id(1, 2), id(2, 1), id(3, 2)]);
    let prompt = context::prompt(&context.messages, &text("new"), 1_000);
    assert_eq!(prompt.len(), 3, "the first question, its answer, and the new one: {prompt:?}");
}
