//! Every filter the adapter sends, in one table. The operations of `engine` take no other, so a test of this table (that an
//! index serves each row) covers every query.

use mongodb::bson::{Bson, Document, doc};

pub(super) const CONVERSATIONS: &str = "conversations";
pub(super) const MESSAGES: &str = "messages";
pub(super) const TURNS: &str = "turns";
pub(super) const CHANGES: &str = "changes";
pub(super) const DELETED_MESSAGES: &str = "deleted_messages";

/// The shape of a query, for which an index is needed.
#[derive(Debug)]
#[cfg_attr(not(test), expect(dead_code, reason = "the names are what tests speak of"))]
pub(super) struct Shape {
    /// The query's name in the table.
    pub(super) name: &'static str,
    /// The collection.
    pub(super) collection: &'static str,
    /// The fields compared for equality: the index begins with them.
    pub(super) equal: &'static [&'static str],
    /// Conditions on the few documents that these find.
    pub(super) also: &'static [&'static str],
    /// The fields of the order, all ascending or all descending, which follow in the index. A page begins after a value of them.
    pub(super) sort: &'static [&'static str],
}

/// A row of the table: a query with a value for each of its `N` conditions.
pub(super) struct Query<const N: usize> {
    shape: &'static Shape,
    conditions: [&'static str; N],
}

/// A query with its values, the argument of operations.
#[derive(Clone, Debug)]
pub(super) struct Filter {
    shape: &'static Shape,
    conditions: Document,
    descending: bool,
}

/// The table: `NAME: COLLECTION where [equal…] [and [also…]] [sorted by [fields…]];`
macro_rules! queries {
    ($(
        $(#[$doc:meta])*
        $name:ident: $collection:ident where [$($equal:literal),+] $(and [$($also:literal),+])?
        $(sorted by [$($sort:literal),+])?;
    )+) => {
        $(
            $(#[$doc])*
            pub(super) const $name: Query<{ [$($equal,)+ $($($also,)+)?].len() }> = Query {
                shape: &Shape {
                    name: stringify!($name),
                    collection: $collection,
                    equal: &[$($equal),+],
                    also: &[$($($also),+)?],
                    sort: &[$($($sort),+)?],
                },
                conditions: [$($equal,)+ $($($also,)+)?],
            };
        )+

        /// Every row.
        #[cfg(test)]
        pub(super) const ALL: &[&Shape] = &[$($name.shape),+];
    };
}

queries! {
    /// A conversation by its id, of any user.
    ANY_CONVERSATION: CONVERSATIONS where ["_id"];
    /// A conversation of this user, deleted or not.
    OWN_CONVERSATION: CONVERSATIONS where ["_id"] and ["user_id"];
    /// A conversation of this user; or several, by a list of ids.
    CONVERSATION: CONVERSATIONS where ["_id"] and ["user_id", "deleted"];
    /// A user's conversations by last activity.
    LISTED: CONVERSATIONS where ["user_id", "deleted"] sorted by ["activity_at", "_id"];
    /// Those that are archived, or those that are not.
    LISTED_BY_ARCHIVED: CONVERSATIONS where ["user_id", "deleted", "archived"] sorted by ["activity_at", "_id"];
    /// Those that are pinned, or those that are not.
    LISTED_BY_PINNED: CONVERSATIONS where ["user_id", "deleted", "pinned"] sorted by ["activity_at", "_id"];
    /// By both.
    LISTED_BY_BOTH: CONVERSATIONS where ["user_id", "deleted", "archived", "pinned"] sorted by ["activity_at", "_id"];
    /// A user's deleted conversations by the deletion; tombstones, which have none, are before all others.
    DELETED: CONVERSATIONS where ["user_id", "deleted"] sorted by ["deleted_at", "_id"];
    /// A conversation of this user that was deleted at some time.
    DELETED_CONVERSATION: CONVERSATIONS where ["_id"] and ["user_id", "deleted", "deleted_at"];
    /// Deleted conversations of all users by the deletion.
    TO_PURGE: CONVERSATIONS where ["deleted"] sorted by ["deleted_at"];
    /// A conversation of any user that was deleted before some time.
    DELETED_BEFORE: CONVERSATIONS where ["_id"] and ["deleted", "deleted_at"];
    /// A conversation where the deletion of this message has begun.
    CUT: CONVERSATIONS where ["_id"] and ["cutting"];
    /// A user's conversations that changed since they were logged.
    UNLOGGED: CONVERSATIONS where ["user_id", "unlogged"] sorted by ["updated_at", "_id"];
    /// A conversation that did not change since this revision.
    CONVERSATION_AT: CONVERSATIONS where ["_id"] and ["rev"];

    /// A message by its id; or several, by a list of ids.
    MESSAGE: MESSAGES where ["_id"];
    /// A message of a conversation by its id.
    MESSAGE_OF: MESSAGES where ["_id"] and ["conversation_id"];
    /// A conversation's messages in the order of arrival.
    MESSAGES_OF: MESSAGES where ["conversation_id"] sorted by ["seq"];
    /// The message at a place of that order.
    MESSAGE_AT: MESSAGES where ["conversation_id", "seq"];
    /// The messages of a branch in order.
    BRANCH: MESSAGES where ["conversation_id", "branch_id"] sorted by ["seq"];
    /// The children of a message; or of several, by a list of ids. The first is in the branch of its parent; the others, which
    /// begin branches, are in the order of their own ids.
    CHILDREN: MESSAGES where ["conversation_id", "parent_id"] sorted by ["branch_id"];

    /// A turn by its id, of any user.
    ANY_TURN: TURNS where ["_id"];
    /// A conversation's turns.
    TURNS_OF: TURNS where ["conversation_id"];

    /// A deleted message by its id; or several, by a list of ids.
    DELETED_MESSAGE: DELETED_MESSAGES where ["_id"];
    /// A conversation's deleted messages.
    DELETED_MESSAGES_OF: DELETED_MESSAGES where ["conversation_id"];

    /// A user's changes in order.
    CHANGES_OF: CHANGES where ["user_id"] sorted by ["position"];
    /// The entry of a logged revision.
    CHANGE: CHANGES where ["user_id", "conversation_id", "rev"];
    /// Older changes of these conversations.
    SUPERSEDED: CHANGES where ["user_id", "conversation_id"] and ["position", "at"];
}

impl<const N: usize> Query<N> {
    /// Builds the query with a value for each condition, in the table's order: a plain value, or a document such as
    /// `{"$in": […]}`.
    pub(super) fn of(&self, values: [Bson; N]) -> Filter {
        Filter { shape: self.shape, conditions: self.conditions(values), descending: false }
    }

    /// Builds the query for any of these rows of values.
    pub(super) fn of_any(&self, rows: impl IntoIterator<Item = [Bson; N]>) -> Filter {
        let rows: Vec<_> = rows.into_iter().map(|values| Bson::Document(self.conditions(values))).collect();
        Filter { shape: self.shape, conditions: doc! { "$or": rows }, descending: false }
    }

    fn conditions(&self, values: [Bson; N]) -> Document {
        self.conditions.into_iter().map(ToOwned::to_owned).zip(values).collect()
    }
}

impl Filter {
    /// Reverses the order.
    pub(super) fn descending(mut self) -> Self {
        self.descending = true;
        self
    }

    /// Begins after this value of the order's one field.
    pub(super) fn after(mut self, value: Bson) -> Self {
        let (beyond, _) = self.comparisons();
        if let [field] = self.shape.sort {
            self.conditions.insert(*field, doc! { beyond: value });
        }
        self
    }

    /// Begins after the first value of the order's one field, ascending, and ends with the second.
    pub(super) fn between(mut self, after: Bson, to: Bson) -> Self {
        if let [field] = self.shape.sort {
            self.conditions.insert(*field, doc! { "$gt": after, "$lte": to });
        }
        self
    }

    /// Begins after these values of the order's two fields.
    pub(super) fn after_both(mut self, first: Bson, second: Bson) -> Self {
        let (beyond, not_before) = self.comparisons();
        if let [major, minor] = self.shape.sort {
            // The first condition follows from the second, and bounds the scan.
            self.conditions.insert(*major, doc! { not_before: first.clone() });
            let later = doc! { *major: { beyond: first.clone() } };
            let tied = doc! { *major: first, *minor: { beyond: second } };
            self.conditions.insert("$or", vec![later, tied]);
        }
        self
    }

    /// Returns the collection.
    pub(super) const fn collection(&self) -> &'static str {
        self.shape.collection
    }

    /// Returns the order; `None` when there is none.
    pub(super) fn sort(&self) -> Option<Document> {
        let direction = if self.descending { -1 } else { 1 };
        let sort: Document =
            self.shape.sort.iter().map(|field| ((*field).to_owned(), Bson::Int32(direction))).collect();
        (!sort.is_empty()).then_some(sort)
    }

    /// Returns the conditions.
    pub(super) fn into_conditions(self) -> Document {
        self.conditions
    }

    const fn comparisons(&self) -> (&'static str, &'static str) {
        if self.descending { ("$lt", "$lte") } else { ("$gt", "$gte") }
    }
}

/// Builds the condition of being one of these.
pub(super) fn one_of(values: impl IntoIterator<Item = Bson>) -> Bson {
    Bson::Document(doc! { "$in": values.into_iter().collect::<Vec<_>>() })
}

/// Builds the condition of being less than this.
pub(super) fn less_than(value: impl Into<Bson>) -> Bson {
    Bson::Document(doc! { "$lt": value.into() })
}

/// Builds the condition of being more than this.
pub(super) fn more_than(value: impl Into<Bson>) -> Bson {
    Bson::Document(doc! { "$gt": value.into() })
}

/// Returns every form of a query of this shape: with and without a start value, in both orders, and for several values at
/// once.
#[cfg(test)]
pub(super) fn samples(shape: &'static Shape) -> Vec<Filter> {
    let conditions: Document =
        shape.equal.iter().chain(shape.also).map(|field| ((*field).to_owned(), Bson::Int32(1))).collect();
    let plain = Filter { shape, conditions, descending: false };
    let mut orders = vec![plain.clone(), plain.clone().descending()];
    match shape.sort.len() {
        0 => {
            let twice = vec![plain.conditions.clone(), plain.conditions.clone()];
            return vec![plain, Filter { shape, conditions: doc! { "$or": twice }, descending: false }];
        }
        1 => {
            let after = orders.clone().into_iter().map(|query| query.after(Bson::Int32(1)));
            let between =
                orders.clone().into_iter().map(|query| query.between(Bson::Int32(1), Bson::Int32(9)));
            orders.extend(after.chain(between).collect::<Vec<_>>());
        }
        _ => {
            let begin = |query: Filter| query.after_both(Bson::Int32(1), Bson::Int32(1));
            orders.extend(orders.clone().into_iter().map(begin));
        }
    }
    orders
}
