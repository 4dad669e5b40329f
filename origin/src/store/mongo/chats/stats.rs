//! Counts over a user's conversations. Each conversation keeps those of its revision, so that only those that changed since are
//! counted again.

use mongodb::bson::{Document, doc};
use shared::{
    api::chat::{ChatStats, Role},
    id::Id,
};

use super::{cuts, messages};
use crate::store::mongo::{
    document::{Fields, count, date, set, uuid},
    engine::Db,
    fault::Attempt,
    queries::{self, CONVERSATIONS, MESSAGES},
};

/// The most messages of one response of the server.
const MESSAGES_AT_ONCE: u32 = 200;

/// Counts over the user's conversations that are not deleted.
pub(super) async fn of(db: &Db, user_id: Id) -> Attempt<ChatStats> {
    let listed = queries::LISTED.of([uuid(user_id), false.into()]).descending();
    let mut total = ChatStats::default();
    for document in db.find_fields(listed, u32::MAX, &["rev", "cutting", "stats"]).await? {
        let fields = Fields::of(CONVERSATIONS, &document);
        let (id, rev) = (fields.id("_id")?, fields.count("rev")?);
        let cutting = fields.optional_id("cutting")?;
        let counted = fields.optional_part("stats")?.map(|stats| read(&stats)).transpose()?;
        match counted.filter(|(of, _)| *of == rev && cutting.is_none()) {
            Some((_, stats)) => total.add(&stats),
            None => total.add(&count_anew(db, id, rev, cutting).await?),
        }
    }
    Ok(total)
}

async fn count_anew(db: &Db, id: Id, rev: u64, cutting: Option<Id>) -> Attempt<ChatStats> {
    if let Some(root) = cutting {
        cuts::complete(db, id, root).await?;
    }
    let mut stats = ChatStats { conversations: 1, ..ChatStats::default() };
    let all = queries::MESSAGES_OF.of([uuid(id)]);
    let fields = ["role", "usage", "tool_calls", "created_at"];
    let mut reading = db.read(all, u32::MAX, &fields, MESSAGES_AT_ONCE).await?;
    while let Some(document) = reading.next().await? {
        let fields = Fields::of(MESSAGES, &document);
        let usage = fields.optional_part("usage")?.map(|usage| messages::read_usage(&usage)).transpose()?;
        let calls = fields.optional_parts("tool_calls")?.map_or(0, |calls| calls.len() as u64);
        stats.add_message(fields.word("role", Role::parse)?, calls, usage, fields.time("created_at")?);
    }
    let unchanged = queries::CONVERSATION_AT.of([uuid(id), count(rev)]);
    db.update_all(unchanged, doc! { "$set": { "stats": document(rev, &stats) } }).await?;
    Ok(stats)
}

fn document(rev: u64, stats: &ChatStats) -> Document {
    let mut document = doc! {
        "rev": count(rev),
        "messages": count(stats.messages),
        "user_messages": count(stats.user_messages),
        "assistant_messages": count(stats.assistant_messages),
        "tool_calls": count(stats.tool_calls),
        "input_tokens": count(stats.input_tokens),
        "output_tokens": count(stats.output_tokens),
    };
    set(&mut document, "first_message_at", stats.first_message_at.map(date));
    set(&mut document, "last_message_at", stats.last_message_at.map(date));
    document
}

/// Reads the counts of a conversation, and the revision that they are of.
fn read(fields: &Fields<'_>) -> Attempt<(u64, ChatStats)> {
    let stats = ChatStats {
        conversations: 1,
        messages: fields.count("messages")?,
        user_messages: fields.count("user_messages")?,
        assistant_messages: fields.count("assistant_messages")?,
        tool_calls: fields.count("tool_calls")?,
        input_tokens: fields.count("input_tokens")?,
        output_tokens: fields.count("output_tokens")?,
        first_message_at: fields.optional_time("first_message_at")?,
        last_message_at: fields.optional_time("last_message_at")?,
    };
    Ok((fields.count("rev")?, stats))
}
