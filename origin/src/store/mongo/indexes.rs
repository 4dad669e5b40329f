//! The indexes, created at start. One that has been released keeps its name and its fields.

use std::{collections::BTreeSet, time::Duration};

use mongodb::{
    Database, IndexModel,
    bson::{Bson, Document},
    options::IndexOptions,
};
use tokio::time::timeout;

use super::{
    fault::{Attempt, Fault, is_missing_collection},
    queries::{CHANGES, CONVERSATIONS, DELETED_MESSAGES, MESSAGES, TURNS},
};
use crate::store::error::{StoreError, StoreResult};

/// The deadline of creating an index on a large collection.
const DEADLINE: Duration = Duration::from_mins(10);

/// An index.
pub(super) struct Index {
    /// The collection.
    pub(super) collection: &'static str,
    /// Its name.
    pub(super) name: &'static str,
    /// Its fields, each ascending (1) or descending (-1).
    pub(super) fields: &'static [(&'static str, i32)],
    /// True when no two documents may have the same values.
    pub(super) is_unique: bool,
}

/// Every index besides those of the ids.
pub(super) const ALL: &[Index] = &[
    Index {
        collection: CONVERSATIONS,
        name: "by_activity",
        fields: &[("user_id", 1), ("deleted", 1), ("activity_at", -1), ("_id", -1)],
        is_unique: false,
    },
    Index {
        collection: CONVERSATIONS,
        name: "by_archived",
        fields: &[("user_id", 1), ("deleted", 1), ("archived", 1), ("activity_at", -1), ("_id", -1)],
        is_unique: false,
    },
    Index {
        collection: CONVERSATIONS,
        name: "by_pinned",
        fields: &[("user_id", 1), ("deleted", 1), ("pinned", 1), ("activity_at", -1), ("_id", -1)],
        is_unique: false,
    },
    Index {
        collection: CONVERSATIONS,
        name: "by_both",
        fields: &[
            ("user_id", 1),
            ("deleted", 1),
            ("archived", 1),
            ("pinned", 1),
            ("activity_at", -1),
            ("_id", -1),
        ],
        is_unique: false,
    },
    Index {
        collection: CONVERSATIONS,
        name: "by_deletion",
        fields: &[("user_id", 1), ("deleted", 1), ("deleted_at", -1), ("_id", -1)],
        is_unique: false,
    },
    Index {
        collection: CONVERSATIONS,
        name: "to_purge",
        fields: &[("deleted", 1), ("deleted_at", 1)],
        is_unique: false,
    },
    Index {
        collection: DELETED_MESSAGES,
        name: "by_conversation",
        fields: &[("conversation_id", 1)],
        is_unique: false,
    },
    Index {
        collection: CONVERSATIONS,
        name: "by_unlogged",
        fields: &[("user_id", 1), ("unlogged", 1), ("updated_at", 1), ("_id", 1)],
        is_unique: false,
    },
    Index {
        collection: MESSAGES,
        name: "by_seq",
        fields: &[("conversation_id", 1), ("seq", 1)],
        is_unique: true,
    },
    Index {
        collection: MESSAGES,
        name: "by_branch",
        fields: &[("conversation_id", 1), ("branch_id", 1), ("seq", 1)],
        is_unique: false,
    },
    Index {
        collection: MESSAGES,
        name: "by_parent",
        fields: &[("conversation_id", 1), ("parent_id", 1), ("branch_id", 1)],
        is_unique: true,
    },
    Index { collection: TURNS, name: "by_conversation", fields: &[("conversation_id", 1)], is_unique: false },
    Index {
        collection: CHANGES,
        name: "by_position",
        fields: &[("user_id", 1), ("position", 1)],
        is_unique: true,
    },
    Index {
        collection: CHANGES,
        name: "by_revision",
        fields: &[("user_id", 1), ("conversation_id", 1), ("rev", 1)],
        is_unique: true,
    },
];

/// Creates missing indexes and returns their names. Any number of starts may do so at once.
pub(super) async fn create(database: &Database) -> StoreResult<Vec<String>> {
    let created = timeout(DEADLINE, create_missing(database)).await.map_err(|_| StoreError::Timeout)?;
    created.map_err(|fault| fault.error)
}

async fn create_missing(database: &Database) -> Attempt<Vec<String>> {
    let mut created = Vec::new();
    for collection in [CONVERSATIONS, MESSAGES, TURNS, CHANGES, DELETED_MESSAGES] {
        let there = names(database, collection).await?;
        let missing: Vec<_> = ALL
            .iter()
            .filter(|index| index.collection == collection && !there.contains(index.name))
            .collect();
        if missing.is_empty() {
            continue;
        }
        let models = missing.iter().map(|index| model(index));
        if let Err(error) = database.collection::<Document>(collection).create_indexes(models).await {
            // On servers that cannot create the same index concurrently, another start has created it.
            let there = names(database, collection).await?;
            if !missing.iter().all(|index| there.contains(index.name)) {
                return Err(Fault::from(error));
            }
        }
        created.extend(missing.iter().map(|index| format!("{collection}.{}", index.name)));
    }
    Ok(created)
}

async fn names(database: &Database, collection: &str) -> Attempt<BTreeSet<String>> {
    match database.collection::<Document>(collection).list_index_names().await {
        Ok(names) => Ok(names.into_iter().collect()),
        Err(error) if is_missing_collection(&error) => Ok(BTreeSet::new()),
        Err(error) => Err(error.into()),
    }
}

fn model(index: &Index) -> IndexModel {
    let keys: Document = index
        .fields
        .iter()
        .map(|(field, direction)| ((*field).to_owned(), Bson::Int32(*direction)))
        .collect();
    let options =
        IndexOptions::builder().name(index.name.to_owned()).unique(index.is_unique.then_some(true)).build();
    IndexModel::builder().keys(keys).options(options).build()
}
