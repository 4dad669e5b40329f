//! Messages.

use std::collections::{HashMap, HashSet};

use mongodb::bson::{Bson, Document, doc};
use shared::{
    api::{
        chat::{FinishReason, Message, Part, Role, ToolCall, TurnStatus},
        internal::MAX_SIBLINGS,
        page::Order,
        usage::Usage,
    },
    chat::tree::{Fork, Forks, Position},
    id::Id,
};

use super::tree;
use crate::store::{
    chats::{MessagesPage, PageBuilder, with_itself},
    error::StoreError,
    mongo::{
        document::{Fields, count, date, set, uuid},
        engine::Db,
        fault::{Attempt, Fault},
        queries::{self, Filter, MESSAGES, one_of},
    },
};

/// The most messages of one response of the server: a page of the usual size and one more. Messages may be large, and a page
/// ends when it is full.
const AT_ONCE: u32 = 32;
/// Removes the inserted messages of a delivery that conflicts with what is stored.
pub(super) async fn take_back_on_conflict(db: &Db, fault: &Fault, inserted: &[Id]) -> Attempt<()> {
    if !matches!(fault.error, StoreError::Conflict(_)) || inserted.is_empty() {
        return Ok(());
    }
    db.delete_all(queries::MESSAGE.of([one_of(inserted.iter().copied().map(uuid))])).await
}

/// Returns those of these messages that exist.
pub(super) async fn find_all(db: &Db, ids: &[Id]) -> Attempt<Vec<Message>> {
    let limit = u32::try_from(ids.len()).unwrap_or(u32::MAX);
    let found = db.find(queries::MESSAGE.of([one_of(ids.iter().copied().map(uuid))]), limit).await?;
    found.iter().map(read).collect()
}

/// Fills a page with what arrived, whatever its branch, served by the unique index in either direction.
pub(super) async fn fill_arrived(db: &Db, conversation_id: Id, builder: &mut PageBuilder) -> Attempt<()> {
    let mut messages = queries::MESSAGES_OF.of([uuid(conversation_id)]);
    if builder.page.order == Order::Desc {
        messages = messages.descending();
    }
    if let Some(seq) = builder.page.after {
        messages = messages.after(count(seq));
    }
    take_all(db, messages, builder).await?;
    Ok(())
}

/// Fills a page with the path to a position.
pub(super) async fn fill_path(
    db: &Db,
    conversation_id: Id,
    head: Position,
    builder: &mut PageBuilder,
) -> Attempt<()> {
    let MessagesPage { order, mut after, .. } = builder.page;
    let mut forks = Forks::new();
    loop {
        let spans =
            tree::with_forks(db, &mut forks, |forks| shared::chat::tree::spans(head, order, after, forks))
                .await?;
        for span in spans.items {
            let branch = span.branch.map_or(Bson::Null, uuid);
            let run = queries::BRANCH.of([uuid(conversation_id), branch]);
            let run = run.between(count(span.after), count(span.to));
            let run = if order == Order::Desc { run.descending() } else { run };
            if !take_all(db, run, builder).await? {
                return Ok(());
            }
        }
        let Some(next) = spans.next_after else { return Ok(()) };
        after = Some(next);
    }
}

/// Offers what a query finds to a page. False when that takes no more.
async fn take_all(db: &Db, messages: Filter, builder: &mut PageBuilder) -> Attempt<bool> {
    let mut reading = db.read(messages, builder.most(), &[], AT_ONCE).await?;
    while let Some(document) = reading.next().await? {
        if !builder.take(read(&document)?) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Finds the siblings of a conversation's messages. Those of one without a fork have none.
pub(super) async fn find_siblings(db: &Db, is_branched: bool, messages: &mut [Message]) -> Attempt<()> {
    let Some(conversation_id) =
        messages.first().map(|message| message.conversation_id).filter(|_| is_branched)
    else {
        return Ok(());
    };
    let parents: HashSet<_> = messages.iter().map(|message| message.parent_id).collect();
    let most = MAX_SIBLINGS.saturating_mul(u32::try_from(parents.len()).unwrap_or(u32::MAX));
    let any = one_of(parents.iter().map(|parent| parent.map_or(Bson::Null, uuid)));
    let mut found = read_children(db, conversation_id, any, most).await?;
    if found.values().map(Vec::len).sum::<usize>() >= usize::try_from(most).unwrap_or(usize::MAX) {
        // Another sibling may have displaced this one.
        for parent in parents {
            found.insert(parent, children(db, conversation_id, parent).await?);
        }
    }
    for message in messages {
        let siblings = found.get(&message.parent_id).cloned().unwrap_or_default();
        message.siblings = with_itself(siblings, message.id);
    }
    Ok(())
}

/// Returns the children of a message, in the order of arrival, the newest [`MAX_SIBLINGS`] of them.
pub(super) async fn children(db: &Db, conversation_id: Id, parent_id: Option<Id>) -> Attempt<Vec<Id>> {
    let parent = parent_id.map_or(Bson::Null, uuid);
    let found = read_children(db, conversation_id, parent, MAX_SIBLINGS).await?;
    Ok(found.into_values().next().unwrap_or_default())
}

async fn read_children(
    db: &Db,
    conversation_id: Id,
    parents: Bson,
    most: u32,
) -> Attempt<HashMap<Option<Id>, Vec<Id>>> {
    let children = queries::CHILDREN.of([uuid(conversation_id), parents]).descending();
    let mut by_seq = Vec::new();
    for document in db.find_fields(children, most, &["parent_id", "seq"]).await? {
        let fields = Fields::of(MESSAGES, &document);
        by_seq.push((fields.count("seq")?, fields.optional_id("parent_id")?, fields.id("_id")?));
    }
    by_seq.sort_unstable();
    let mut found: HashMap<_, Vec<_>> = HashMap::new();
    for (_, parent_id, id) in by_seq {
        found.entry(parent_id).or_default().push(id);
    }
    let most = usize::try_from(MAX_SIBLINGS).unwrap_or(usize::MAX);
    for siblings in found.values_mut() {
        siblings.drain(..siblings.len().saturating_sub(most));
    }
    Ok(found)
}

/// Encodes a message at a position, which is the first one of a branch where there is a fork.
pub(super) fn document(message: &Message, at: Position, fork: Option<&Fork>) -> Attempt<Document> {
    let mut document = doc! {
        "_id": uuid(message.id),
        "conversation_id": uuid(message.conversation_id),
        "turn_id": uuid(message.turn_id),
        "parent_id": message.parent_id.map_or(Bson::Null, uuid),
        "branch_id": at.branch.map_or(Bson::Null, uuid),
        "seq": count(at.seq),
        "role": message.role.as_str(),
        "content": message.content.as_str(),
        "status": message.status.as_str(),
        "created_at": date(message.created_at),
        "updated_at": date(message.updated_at),
    };
    set(&mut document, "fork", fork.map(tree::fork_document));
    set(&mut document, "finish_reason", message.finish_reason.as_ref().map(FinishReason::as_str));
    set(&mut document, "model", message.model.as_deref());
    set(&mut document, "usage", message.usage.as_ref().map(usage_document));
    // A single text part that equals the content is not stored twice.
    if !message.is_plain() {
        document.insert("parts", message.parts.iter().map(part_document).collect::<Vec<_>>());
    }
    if !message.tool_calls.is_empty() {
        let calls: Attempt<Vec<_>> = message.tool_calls.iter().map(tool_call_document).collect();
        document.insert("tool_calls", calls?);
    }
    Ok(document)
}

pub(super) fn usage_document(usage: &Usage) -> Document {
    let mut document = doc! {
        "input_tokens": count(usage.input_tokens),
        "output_tokens": count(usage.output_tokens),
        "cached_tokens": count(usage.cached_tokens),
        "reasoning_tokens": count(usage.reasoning_tokens),
        "total_tokens": count(usage.total_tokens),
    };
    set(&mut document, "estimated", usage.estimated.then_some(true));
    document
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

/// Encodes a tool call. Arguments and results are any JSON and stored as JSON: documents have other numbers and names.
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
    let id = fields.id("_id")?;
    let content = fields.text("content")?.to_owned();
    let parts = match fields.optional_parts("parts")? {
        Some(parts) => parts.iter().map(read_part).collect::<Attempt<Vec<_>>>()?,
        None => vec![Part::Text { text: content.clone() }],
    };
    let calls = fields.optional_parts("tool_calls")?.unwrap_or_default();
    Ok(Message {
        id,
        conversation_id: fields.id("conversation_id")?,
        turn_id: fields.id("turn_id")?,
        parent_id: fields.optional_id("parent_id")?,
        siblings: vec![id],
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

pub(super) fn read_usage(fields: &Fields<'_>) -> Attempt<Usage> {
    Ok(Usage {
        input_tokens: fields.count("input_tokens")?,
        output_tokens: fields.count("output_tokens")?,
        cached_tokens: fields.count("cached_tokens")?,
        reasoning_tokens: fields.count("reasoning_tokens")?,
        total_tokens: fields.count("total_tokens")?,
        estimated: fields.optional_flag("estimated")?.unwrap_or_default(),
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
