//! `GET users/me/events`: the audit trail of the user's account.

use axum::{Json as Reply, extract::State};
use shared::api::{
    account::AccountEvent,
    page::{Page, PageQuery},
};

use crate::{
    app::App,
    http::{CurrentUser, Error, Query, cursor},
    store::accounts::audit::AuditEvent,
};

/// The list's name, which its cursors are bound to.
const LIST: &str = "account-events";

/// List what happened to the account
///
/// Sign-ins, failed ones too, ends of sessions, changes: newest first, for a year. A failed sign-in appears within moments.
#[utoipa::path(
    get,
    path = "/api/v1/users/me/events",
    operation_id = "list_account_events",
    tag = "users",
    security(("bearer" = [])),
    params(PageQuery),
    responses(
        (status = 200, description = "A page of events", body = Page<AccountEvent>),
    ),
)]
pub(super) async fn list(
    State(app): State<App>,
    current: CurrentUser,
    Query(page): Query<PageQuery>,
) -> Result<Reply<Page<AccountEvent>>, Error> {
    let after = cursor::decode(LIST, page.cursor.as_deref())?;
    let limit = cursor::one_more(page.limit());
    let events = app.stores.accounts.audit_events(current.user.id, after, limit).await?;
    let Page { items, next_cursor } = cursor::page(events, page.limit(), LIST, AuditEvent::position);
    Ok(Reply(Page { items: items.into_iter().map(AccountEvent::from).collect(), next_cursor }))
}
