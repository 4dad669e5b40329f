//! Values as more than one adapter writes them.

use shared::{api::internal::user_event::AddressedEvent, auth::edge::sha256};

use super::accounts::events::LeasedEvent;

/// A count as the databases hold it, whose integers have a sign. Nothing that is counted here comes near the bound.
pub(super) fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Decodes a count from [`signed`].
pub(super) fn unsigned(count: i64) -> u64 {
    u64::try_from(count).unwrap_or(0)
}

/// Sixteen bytes of a text's SHA-256: small whatever the text is, and nobody can choose two texts that meet.
pub(super) fn digest(text: &str) -> [u8; 16] {
    let [digest, ..] = *sha256(text.as_bytes()).as_chunks::<16>().0 else { return [0; 16] };
    digest
}

/// The JSON of an event without its addressee.
pub(super) fn event_json(event: &AddressedEvent) -> String {
    // An enum of ids and words is always JSON.
    serde_json::to_string(&event.event).unwrap_or_default()
}

/// An event as it was leased so many times.
pub(super) fn leased_event(event: AddressedEvent, attempts: u64) -> LeasedEvent {
    LeasedEvent { event, attempts: u32::try_from(attempts).unwrap_or(u32::MAX) }
}
