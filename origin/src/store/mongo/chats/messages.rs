//! Messages.

use mongodb::bson::{Document, doc};
use shared::{
    api::{
        chat::{FinishReason, Message, Part, Role, ToolCall, TurnStatus},
        page::Order,
        usage::Usage,
    },
    id::Id,
};

use crate::store::{
    chats::Filling,
    error::StoreError,
    mongo::{
        document::{Fields, count, date, set, uuid},
        engine::Db,
        fault::{Attempt, Fault},
        queries::{self, MESSAGES, one_of},
    },
};

/// The most messages of one answer of the server: a page of the usual size, and the one after it. Messages may be large,
/// and a page ends when it has enough of them.
const AT_ONCE: u32 = 32;
/// How often a message looks for a place. Each time that one is taken, another message got it.
const ATTEMPTS: u32 = 100;

/// Where a turn's messages stand.
pub(super) struct Places {
    /// The answer's place.
    pub(super) answered_at: u64,
    /// The messages that were not there before.
    pub(super) inserted: Vec<Id>,
}

/// Inserts a question and its answer, each at its `seq`, or at the first one after all when that is taken; the answer
/// after the question. Those that are there already stay where they are.
pub(super) async fn insert(db: &Db, question: &Message, answer: &Message) -> Attempt<Places> {
    let asked_at = question.seq.max(1);
    let answered_at = answer.seq.max(asked_at.saturating_add(1));
    let both = [document(question, asked_at)?, document(answer, answered_at)?];
    let new = db.insert(MESSAGES, &both).await?;
    let mut inserted: Vec<_> = [question.id, answer.id].into_iter().take(new).collect();
    if new == both.len() {
        return Ok(Places { answered_at, inserted });
    }
    let rest = async {
        let asked_at = if new == 0 { insert_one(db, question, 1, &mut inserted).await? } else { asked_at };
        insert_one(db, answer, asked_at.saturating_add(1), &mut inserted).await
    };
    match rest.await {
        Ok(answered_at) => Ok(Places { answered_at, inserted }),
        Err(fault) => {
            take_back_on_conflict(db, &fault, &inserted).await?;
            Err(fault)
        }
    }
}

/// Removes what was inserted for a delivery that turned out to contradict what is stored.
pub(super) async fn take_back_on_conflict(db: &Db, fault: &Fault, inserted: &[Id]) -> Attempt<()> {
    if !matches!(fault.error, StoreError::Conflict(_)) || inserted.is_empty() {
        return Ok(());
    }
    db.delete_all(queries::MESSAGE.of([one_of(inserted.iter().copied().map(uuid))])).await
}

/// Those of these messages that are there.
pub(super) async fn find_all(db: &Db, ids: [Id; 2]) -> Attempt<Vec<Message>> {
    db.find(queries::MESSAGE.of([one_of(ids.map(uuid))]), 2).await?.iter().map(read).collect()
}

/// Fills a page by `seq`, served by the unique index in either direction.
pub(super) async fn fill(db: &Db, conversation_id: Id, mut filling: Filling) -> Attempt<Filling> {
    let mut messages = queries::MESSAGES_OF.of([uuid(conversation_id)]);
    if filling.page.order == Order::Desc {
        messages = messages.descending();
    }
    if let Some(seq) = filling.page.after {
        messages = messages.after(count(seq));
    }
    let mut reading = db.read(messages, filling.most(), &[], AT_ONCE).await?;
    while let Some(document) = reading.next().await? {
        if !filling.take(read(&document)?) {
            break;
        }
    }
    Ok(filling)
}

async fn insert_one(db: &Db, message: &Message, at_least: u64, inserted: &mut Vec<Id>) -> Attempt<u64> {
    let mut seq = message.seq.max(at_least);
    for _ in 0..ATTEMPTS {
        // The id or the place was taken, now or by the insert of both.
        if let Some(seq) = place(db, message).await? {
            return Ok(seq);
        }
        if db.insert(MESSAGES, &[document(message, seq)?]).await? == 1 {
            inserted.push(message.id);
            return Ok(seq);
        }
        seq = highest(db, message.conversation_id).await?.saturating_add(1).max(at_least);
    }
    Err(StoreError::Unavailable("a conversation has too many writers at once".to_owned()).into())
}

/// Where a message stands that was inserted before.
async fn place(db: &Db, message: &Message) -> Attempt<Option<u64>> {
    let filter = queries::MESSAGE.of([uuid(message.id)]);
    let found = db.find_fields(filter, 1, &["conversation_id", "seq"]).await?.pop();
    let Some(document) = found else { return Ok(None) };
    let fields = Fields::of(MESSAGES, &document);
    if fields.id("conversation_id")? != message.conversation_id {
        return Err(StoreError::Conflict("the message's id is one of another conversation").into());
    }
    fields.count("seq").map(Some)
}

async fn highest(db: &Db, conversation_id: Id) -> Attempt<u64> {
    let last = queries::MESSAGES_OF.of([uuid(conversation_id)]).descending();
    let found = db.find_fields(last, 1, &["seq"]).await?.pop();
    found.map_or(Ok(0), |document| Fields::of(MESSAGES, &document).count("seq"))
}

fn document(message: &Message, seq: u64) -> Attempt<Document> {
    let mut document = doc! {
        "_id": uuid(message.id),
        "conversation_id": uuid(message.conversation_id),
        "turn_id": uuid(message.turn_id),
        "seq": count(seq),
        "role": message.role.as_str(),
        "content": message.content.as_str(),
        "status": message.status.as_str(),
        "created_at": date(message.created_at),
        "updated_at": date(message.updated_at),
    };
    set(&mut document, "parent_id", message.parent_id.map(uuid));
    set(&mut document, "finish_reason", message.finish_reason.as_ref().map(FinishReason::as_str));
    set(&mut document, "model", message.model.as_deref());
    set(&mut document, "usage", message.usage.as_ref().map(usage_document));
    // One text part that is the content is not written twice.
    if !message.is_plain() {
        document.insert("parts", message.parts.iter().map(part_document).collect::<Vec<_>>());
    }
    if !message.tool_calls.is_empty() {
        let calls: Attempt<Vec<_>> = message.tool_calls.iter().map(tool_call_document).collect();
        document.insert("tool_calls", calls?);
    }
    Ok(document)
}

fn usage_document(usage: &Usage) -> Document {
    doc! {
        "input_tokens": count(usage.input_tokens),
        "output_tokens": count(usage.output_tokens),
        "cached_tokens": count(usage.cached_tokens),
        "reasoning_tokens": count(usage.reasoning_tokens),
        "total_tokens": count(usage.total_tokens),
    }
}

fn part_document(part: &Part) -> Document {
    match part {
        Part::Text { text } => doc! { "type": "text", "text": text.as_str() },
        Part::Image { mime_type, data, file_id } => {
            let mut document = doc! { "type": "image" };
            set(&mut document, "mime_type", mime_type.as_deref());
            set(&mut document, "data", data.as_deref());
            set(&mut document, "file_id", file_id.as_deref());
            document
        }
    }
}

/// What tools take and give is any JSON, so it is kept as JSON: documents have other numbers and other names.
fn tool_call_document(call: &ToolCall) -> Attempt<Document> {
    let json = |value: &serde_json::Value| {
        serde_json::to_string(value)
            .map_err(|_| Fault::from(StoreError::Conflict("a tool call that cannot be written as JSON")))
    };
    let mut document = doc! {
        "id": call.id.as_str(),
        "name": call.name.as_str(),
        "arguments": json(&call.arguments)?,
        "started_at": date(call.started_at),
    };
    set(&mut document, "result", call.result.as_ref().map(json).transpose()?);
    set(&mut document, "error", call.error.as_deref());
    set(&mut document, "duration_ms", call.duration_ms.map(count));
    Ok(document)
}

fn read(document: &Document) -> Attempt<Message> {
    let fields = Fields::of(MESSAGES, document);
    let content = fields.text("content")?.to_owned();
    let parts = match fields.optional_parts("parts")? {
        Some(parts) => parts.iter().map(read_part).collect::<Attempt<Vec<_>>>()?,
        None => vec![Part::Text { text: content.clone() }],
    };
    let calls = fields.optional_parts("tool_calls")?.unwrap_or_default();
    Ok(Message {
        id: fields.id("_id")?,
        conversation_id: fields.id("conversation_id")?,
        turn_id: fields.id("turn_id")?,
        parent_id: fields.optional_id("parent_id")?,
        seq: fields.count("seq")?,
        role: fields.word("role", Role::parse)?,
        content,
        parts,
        status: fields.word("status", TurnStatus::parse)?,
        finish_reason: fields.optional_word("finish_reason", FinishReason::parse)?,
        model: fields.optional_string("model")?,
        usage: fields.optional_part("usage")?.map(|usage| read_usage(&usage)).transpose()?,
        tool_calls: calls.iter().map(read_tool_call).collect::<Attempt<Vec<_>>>()?,
        created_at: fields.time("created_at")?,
        updated_at: fields.time("updated_at")?,
    })
}

fn read_usage(fields: &Fields<'_>) -> Attempt<Usage> {
    Ok(Usage {
        input_tokens: fields.count("input_tokens")?,
        output_tokens: fields.count("output_tokens")?,
        cached_tokens: fields.count("cached_tokens")?,
        reasoning_tokens: fields.count("reasoning_tokens")?,
        total_tokens: fields.count("total_tokens")?,
    })
}

fn read_part(fields: &Fields<'_>) -> Attempt<Part> {
    match fields.text("type")? {
        "text" => Ok(Part::Text { text: fields.text("text")?.to_owned() }),
        "image" => Ok(Part::Image {
            mime_type: fields.optional_string("mime_type")?,
            data: fields.optional_string("data")?,
            file_id: fields.optional_string("file_id")?,
        }),
        _ => Err(fields.corrupt("type")),
    }
}

fn read_tool_call(fields: &Fields<'_>) -> Attempt<ToolCall> {
    let json = |text: &str| serde_json::from_str(text).ok();
    Ok(ToolCall {
        id: fields.text("id")?.to_owned(),
        name: fields.text("name")?.to_owned(),
        arguments: fields.word("arguments", json)?,
        result: fields.optional_word("result", json)?,
        error: fields.optional_string("error")?,
        started_at: fields.time("started_at")?,
        duration_ms: fields.optional_count("duration_ms")?,
    })
}
