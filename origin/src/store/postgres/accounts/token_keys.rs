//! The keys of access tokens that follow one another.

use async_trait::async_trait;
use tokio_postgres::Row;

use super::PostgresAccounts;
use crate::store::{
    accounts::{TokenKeys, token_keys::TokenKey},
    error::StoreResult,
    postgres::row::Columns,
};

#[async_trait]
impl TokenKeys for PostgresAccounts {
    async fn token_keys(&self) -> StoreResult<Vec<TokenKey>> {
        self.0
            .run(|c| async move {
                let rows = c.rows(LIST, &[]).await?;
                Ok(rows.iter().map(read).collect::<StoreResult<_>>()?)
            })
            .await
    }

    async fn add_token_key(&self, key: TokenKey, keep_from: u32) -> StoreResult<bool> {
        let TokenKey { number, public_key, salt, published_at, signs_from } = key;
        let (number, keep_from) = (&i64::from(number), &i64::from(keep_from));
        let (public_key, salt) = (&public_key.as_slice(), &salt.as_ref().map(<[u8; 32]>::as_slice));
        let (published_at, signs_from) = (&published_at.as_millis(), &signs_from.as_millis());
        self.0
            .run(|c| async move {
                let added =
                    c.row(ADD, &[number, public_key, salt, published_at, signs_from, keep_from]).await?;
                // A statement of its own sees what the first one had to wait for.
                Ok(added.is_some() || c.row(IS_THERE, &[number, public_key]).await?.is_some())
            })
            .await
    }
}

const LIST: &str =
    "SELECT number, public_key, salt, published_at, signs_from FROM token_keys ORDER BY number";

const ADD: &str = "\
    WITH added AS ( \
        INSERT INTO token_keys (number, public_key, salt, published_at, signs_from) \
        VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING RETURNING number \
    ), gone AS ( \
        DELETE FROM token_keys k USING added WHERE k.number < $6 \
    ), emptied AS ( \
        UPDATE token_keys k SET salt = NULL FROM added WHERE k.number < added.number - 1 AND k.number >= $6 \
    ) SELECT number FROM added";

const IS_THERE: &str = "SELECT number FROM token_keys WHERE number = $1 AND public_key = $2";

fn read(row: &Row) -> StoreResult<TokenKey> {
    let mut columns = Columns::of("token_keys", row);
    let number: i64 = columns.get("number")?;
    let public_key: &[u8] = columns.get("public_key")?;
    let salt: Option<&[u8]> = columns.get("salt")?;
    Ok(TokenKey {
        number: number.try_into().map_err(|_| columns.corrupt("number"))?,
        public_key: public_key.try_into().map_err(|_| columns.corrupt("public_key"))?,
        salt: salt.map(TryInto::try_into).transpose().map_err(|_| columns.corrupt("salt"))?,
        published_at: columns.time("published_at")?,
        signs_from: columns.time("signs_from")?,
    })
}
