//! The export of all that is stored of a user, as JSON lines. Stores are read page by page, and each chunk waits until the one before is
//! taken: the export of any account takes about the memory of its largest page.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use shared::{
    api::{
        account::{
            AccountEvent, User,
            export::{ExportLine, ExportedAddress, ExportedConsent, ExportedIdentity, ExportedUsage},
        },
        chat::Conversation,
        page::Order,
    },
    auth::Claims,
    id::Id,
    time::{DAY_MS, Timestamp},
};
use tokio::sync::mpsc;

use crate::{
    auth::{Auth, AuthError},
    store::{
        StoreError, Stores,
        accounts::{TimePosition, audit::AuditEvent, identities::LinkedIdentity, usage::UsageRow},
        chats::{DeletedPage, DeletionPosition, MessagesPage, Scope},
    },
};

/// The time limit of an export. One that a client reads more slowly is cut off.
pub const EXPORT_TIMEOUT: Duration = Duration::from_mins(15);
/// The most exports of a process at once: the memory of each is bounded, so that of all is.
pub const MAX_EXPORTS: usize = 4;

/// The size from which on lines are sent.
const CHUNK_BYTES: usize = 32 * 1024;
/// The most items of a page. A page of messages is bounded in bytes, too.
const PAGE_ITEMS: u32 = 100;
/// The most conversations of a page, each with long instructions perhaps.
const PAGE_CONVERSATIONS: u32 = 20;
/// The days of usage that are read at once.
const USAGE_DAYS: i64 = 100;
/// Before any deletion.
const BEGINNING: Timestamp = Timestamp::from_millis(0);
/// A day before any usage.
const FIRST_DAY: &str = "0001-01-01";

/// The export of one user.
pub struct Export {
    /// The stores.
    pub stores: Stores,
    /// Knows the open sessions.
    pub auth: Arc<Auth>,
    /// The claims of the user's token.
    pub claims: Claims,
    /// The user.
    pub user: User,
    /// The time.
    pub now: Timestamp,
}

/// The failure of an export in the middle.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The client has gone.
    #[error("the client has gone")]
    Gone,
    /// A line cannot be written.
    #[error("a line cannot be written: {0}")]
    Line(#[from] serde_json::Error),
    /// The accounts failed.
    #[error(transparent)]
    Auth(#[from] AuthError),
    /// A store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Lines on their way to the client.
struct Lines {
    chunk: Vec<u8>,
    counts: BTreeMap<String, u64>,
    out: mpsc::Sender<Bytes>,
}

impl Export {
    /// Writes all lines, the last of which says that it is the last.
    ///
    /// # Errors
    ///
    /// Fails when a store does, or nobody reads any more.
    pub async fn write(self, out: mpsc::Sender<Bytes>) -> Result<(), ExportError> {
        let mut lines = Lines { chunk: Vec::new(), counts: BTreeMap::new(), out };
        self.write_account(&mut lines).await?;
        self.write_sessions(&mut lines).await?;
        self.write_events(&mut lines).await?;
        self.write_usage(&mut lines).await?;
        let mut written = HashSet::new();
        let position = self.write_conversations(0, &mut written, &mut lines).await?;
        self.write_deleted_conversations(&mut written, &mut lines).await?;
        // Those that were brought back before they were read as deleted ones.
        self.write_conversations(position, &mut written, &mut lines).await?;
        let counts = std::mem::take(&mut lines.counts);
        lines.add(&ExportLine::End { counts }).await?;
        lines.send().await
    }

    async fn write_account(&self, lines: &mut Lines) -> Result<(), ExportError> {
        lines.add(&ExportLine::Profile(Box::new(self.user.clone()))).await?;
        for address in addresses(&self.user) {
            lines.add(&ExportLine::Address(address)).await?;
        }
        for accepted in self.stores.accounts.consents(self.user.id).await? {
            let (document, version) = (accepted.document, accepted.version);
            let accepted_at = accepted.accepted_at;
            lines.add(&ExportLine::Consent(ExportedConsent { document, version, accepted_at })).await?;
        }
        for passkey in self.stores.accounts.passkeys(self.user.id).await? {
            lines.add(&ExportLine::Passkey(passkey.into())).await?;
        }
        for identity in self.stores.accounts.identities(self.user.id).await? {
            let LinkedIdentity { provider, email, linked_at } = identity;
            lines.add(&ExportLine::Identity(ExportedIdentity { provider, email, linked_at })).await?;
        }
        Ok(())
    }

    async fn write_sessions(&self, lines: &mut Lines) -> Result<(), ExportError> {
        let mut after = None;
        loop {
            let page = self.auth.open_sessions(&self.claims, after, PAGE_ITEMS).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some(TimePosition { at: last.created_at, id: last.id });
            for session in page {
                lines.add(&ExportLine::Session(session)).await?;
            }
        }
    }

    async fn write_events(&self, lines: &mut Lines) -> Result<(), ExportError> {
        let mut after = None;
        loop {
            let page = self.stores.accounts.audit_events(self.user.id, after, PAGE_ITEMS).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some(AuditEvent::position(last));
            for event in page {
                lines.add(&ExportLine::Event(AccountEvent::from(event))).await?;
            }
            lines.send().await?;
        }
    }

    async fn write_usage(&self, lines: &mut Lines) -> Result<(), ExportError> {
        let (mut first, mut last) = (FIRST_DAY.to_owned(), self.user.created_at);
        loop {
            let rows = self.stores.accounts.usage(self.user.id, first, last.day()).await?;
            for UsageRow { day, model, totals } in rows {
                lines.add(&ExportLine::Usage(ExportedUsage { day, model, totals })).await?;
            }
            if last >= self.now {
                return Ok(());
            }
            first = last.plus_millis(DAY_MS).day();
            last = last.plus_millis(USAGE_DAYS * DAY_MS);
        }
    }

    /// Writes the conversations that changed after a position in the order of changes, in which a conversation that changes meanwhile
    /// moves to the end and not past the reader. Each is written once. Returns the position of the last one.
    async fn write_conversations(
        &self,
        mut position: u64,
        written: &mut HashSet<Id>,
        lines: &mut Lines,
    ) -> Result<u64, ExportError> {
        loop {
            let page =
                self.stores.chats.changes(self.user.id, position, PAGE_CONVERSATIONS, self.now).await?;
            let Some(last) = page.last() else { return Ok(position) };
            position = last.position;
            for conversation in page.into_iter().filter_map(|change| change.conversation) {
                self.write_conversation(conversation, written, lines).await?;
            }
        }
    }

    /// Writes the deleted conversations that are not yet purged.
    async fn write_deleted_conversations(
        &self,
        written: &mut HashSet<Id>,
        lines: &mut Lines,
    ) -> Result<(), ExportError> {
        let mut page = DeletedPage { since: BEGINNING, after: None, limit: PAGE_CONVERSATIONS };
        loop {
            let found = self.stores.chats.deleted_conversations(self.user.id, page).await?;
            let Some(last) = found.last() else { return Ok(()) };
            page.after = Some(DeletionPosition::of(last));
            for conversation in found {
                self.write_conversation(conversation, written, lines).await?;
            }
        }
    }

    async fn write_conversation(
        &self,
        conversation: Conversation,
        written: &mut HashSet<Id>,
        lines: &mut Lines,
    ) -> Result<(), ExportError> {
        let id = conversation.id;
        if written.insert(id) {
            lines.add(&ExportLine::Conversation(Box::new(conversation))).await?;
            self.write_messages(id, lines).await?;
        }
        Ok(())
    }

    async fn write_messages(&self, conversation_id: Id, lines: &mut Lines) -> Result<(), ExportError> {
        let mut page = MessagesPage { scope: Scope::Kept, order: Order::Asc, after: None, limit: PAGE_ITEMS };
        // A conversation that was purged meanwhile has no more.
        while let Some(found) = self.stores.chats.messages(self.user.id, conversation_id, page).await? {
            page.after = found.items.last().map(|message| message.seq).or(page.after);
            for message in found.items {
                lines.add(&ExportLine::Message(Box::new(message))).await?;
            }
            lines.send().await?;
            if !found.has_more {
                break;
            }
        }
        Ok(())
    }
}

impl Lines {
    /// Adds a line, and sends what has gathered once that is enough.
    async fn add(&mut self, line: &ExportLine) -> Result<(), ExportError> {
        serde_json::to_writer(&mut self.chunk, line)?;
        self.chunk.push(b'\n');
        *self.counts.entry(line.kind().to_owned()).or_default() += 1;
        if self.chunk.len() >= CHUNK_BYTES { self.send().await } else { Ok(()) }
    }

    /// Sends what has gathered. So does the end of each page: whoever waits is not to take a slow store for one that is gone.
    async fn send(&mut self) -> Result<(), ExportError> {
        if self.chunk.is_empty() {
            return Ok(());
        }
        let chunk = Bytes::from(std::mem::take(&mut self.chunk));
        self.out.send(chunk).await.map_err(|_| ExportError::Gone)
    }
}

fn addresses(user: &User) -> Vec<ExportedAddress> {
    let of = |kind: &str, address: &Option<String>, verified| {
        let address = address.clone()?;
        Some(ExportedAddress { kind: kind.to_owned(), address, verified })
    };
    let email = of("email", &user.email, user.email_verified);
    email.into_iter().chain(of("phone", &user.phone, user.phone_verified)).collect()
}
