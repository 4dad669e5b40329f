//! The origin's notices of the account: one row.

use shared::auth::account_notices::AccountNotices;
use worker::Result;

use super::{
    Store,
    values::{from_json, json},
};

impl Store {
    /// Returns the notices of the account.
    pub fn notices(&self) -> Result<AccountNotices> {
        let row = self.rows("SELECT notices FROM account", vec![])?.pop();
        row.map_or_else(|| Ok(AccountNotices::default()), |row| from_json(row.into_iter().next()))
    }

    /// Stores the notices of the account.
    pub fn put_notices(&self, notices: &AccountNotices) -> Result<()> {
        let query = "INSERT OR REPLACE INTO account (id, notices) VALUES (1, ?)";
        self.run(query, vec![json(notices)?])
    }

    /// Erases every turn, request and context. The notices stay.
    pub fn erase(&self) -> Result<()> {
        self.unwritten.borrow_mut().clear();
        for table in ["checkpoints", "contexts", "queue", "turns"] {
            self.run(&format!("DELETE FROM {table}"), vec![])?;
        }
        self.keys.take();
        Ok(())
    }
}
