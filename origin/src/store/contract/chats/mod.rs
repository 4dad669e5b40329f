//! The suite of the chats port.

pub(super) mod changes;
pub(super) mod conversations;
pub(super) mod heads;
pub(super) mod pages;
pub(super) mod trees;
pub(super) mod turns;

use std::sync::Arc;

use shared::{
    api::{
        chat::{Conversation, Message},
        page::Order,
    },
    id::Id,
};

use super::samples::{at, conversation, id};
use crate::store::{
    Chats,
    chats::{ActivityPosition, ConversationsPage, MessagesPage, Scope},
};

/// The cases; `$open` is a fresh store and what keeps it alive. `but races` leaves out those with many writers at once,
/// for servers whose updates are not atomic, and those of long paths, as the same servers look through all messages for each.
macro_rules! suite {
    ($open:expr) => {
        $crate::store::contract::chats::suite!(but races: $open);
        $crate::store::contract::run_suite! { chats::turns on $open;
            a_delivery_is_stored_once_however_often_it_comes
            deliveries_at_once_all_find_a_place
        }
        $crate::store::contract::run_suite! { chats::heads on $open;
            turns_and_choices_at_once_end_with_the_newest
        }
        $crate::store::contract::run_suite! { chats::trees on $open;
            one_of_many_children_at_once_stays_in_the_branch
            a_path_of_ten_thousand_messages_is_read_from_both_ends
            a_path_of_many_forks_is_read_by_pages
        }
        $crate::store::contract::run_suite! { chats::changes on $open;
            a_follower_sees_what_many_writers_wrote
            followers_at_once_agree_on_the_order
        }
    };
    (but races: $open:expr) => {
        $crate::store::contract::run_suite! { chats::conversations on $open;
            a_conversation_is_read_back_as_written
            creating_again_changes_nothing
            somebody_elses_is_absent
            an_update_changes_what_it_names
            conversations_come_by_activity
            a_page_goes_on_where_the_last_ended_whatever_is_inserted
            archived_ones_can_be_told_apart
            deleting_takes_everything
        }
        $crate::store::contract::run_suite! { chats::turns on $open;
            a_turn_is_read_back_as_written
            names_of_a_newer_version_are_kept
            messages_come_by_seq_both_ways
            a_taken_place_moves_a_message_to_the_end
            a_late_delivery_sets_nothing_back
            an_id_of_another_conversation_is_a_conflict
            the_context_is_the_newest_in_order
        }
        $crate::store::contract::run_suite! { chats::pages on $open;
            a_page_tells_whether_there_is_more
            large_messages_make_short_pages
            one_message_is_a_page_however_large
            a_context_has_the_newest_that_fit
            a_context_reads_no_more_than_its_bound
        }
        $crate::store::contract::run_suite! { chats::trees on $open;
            two_children_of_one_parent_are_branches
            a_branch_grows_and_forks_again
            a_turn_of_five_messages_is_applied_once
            a_parent_that_arrives_late_stands_before_its_child
            children_of_a_parent_that_is_not_there_are_branches
            deleting_takes_every_branch
        }
        $crate::store::contract::run_suite! { chats::heads on $open;
            the_head_is_what_the_user_chose
            a_head_that_is_no_message_changes_nothing
            a_late_delivery_moves_no_head_that_was_chosen_meanwhile
            a_delivery_to_the_head_that_was_chosen_goes_on_from_there
        }
        $crate::store::contract::run_suite! { chats::changes on $open;
            every_kind_of_change_has_a_later_place
            what_changed_twice_is_told_as_it_is_now
            deleted_ones_are_told_of
            changes_of_others_are_never_told
            pages_go_on_by_the_last_place
            repeating_a_deletion_tells_of_nothing_else
        }
    };
}
pub(super) use suite;

type Store = Arc<dyn Chats>;

const OWNER: u32 = 1;
const OTHER: u32 = 2;

async fn open(store: &Store, number: u32) -> Conversation {
    let conversation = conversation(number, at(i64::from(number)));
    store.create_conversation(id(OWNER), conversation.clone()).await.unwrap();
    conversation
}

async fn listed(
    store: &Store,
    archived: Option<bool>,
    after: Option<ActivityPosition>,
    limit: u32,
) -> Vec<Conversation> {
    store.conversations(id(OWNER), ConversationsPage { archived, after, limit }).await.unwrap()
}

fn ids(conversations: &[Conversation]) -> Vec<Id> {
    conversations.iter().map(|conversation| conversation.id).collect()
}

async fn paged(
    store: &Store,
    conversation: Id,
    order: Order,
    after: Option<u64>,
    limit: u32,
) -> Vec<Message> {
    let page = MessagesPage { scope: Scope::Shown, order, after, limit };
    store.messages(id(OWNER), conversation, page).await.unwrap().unwrap().items
}

async fn all(store: &Store, conversation: Id) -> Vec<Message> {
    paged(store, conversation, Order::Asc, None, 1_000).await
}

async fn arrived(store: &Store, conversation: Id) -> Vec<Message> {
    let page = MessagesPage { scope: Scope::Arrived, order: Order::Asc, after: None, limit: 1_000 };
    store.messages(id(OWNER), conversation, page).await.unwrap().unwrap().items
}

fn places(messages: &[Message]) -> Vec<(u64, &str)> {
    messages.iter().map(|message| (message.seq, message.content.as_str())).collect()
}
