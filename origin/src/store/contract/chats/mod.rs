//! The suite of the chats port.

pub(super) mod changes;
pub(super) mod contexts;
pub(super) mod conversations;
pub(super) mod copies;
pub(super) mod cuts;
pub(super) mod heads;
pub(super) mod lifecycle;
pub(super) mod moves;
pub(super) mod pages;
pub(super) mod stats;
pub(super) mod trees;
pub(super) mod turns;
pub(super) mod users;

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
        $crate::store::contract::run_suite! { chats::moves on $open;
            turns_recorded_during_a_move_are_not_lost
        }
        $crate::store::contract::run_suite! { chats::turns on $open;
            repeated_delivery_is_stored_once
            deliveries_at_once_all_find_a_place
        }
        $crate::store::contract::run_suite! { chats::heads on $open;
            turns_and_choices_at_once_end_with_the_newest
        }
        $crate::store::contract::run_suite! { chats::cuts on $open;
            deletions_and_deliveries_at_once_leave_no_message_below_a_deleted_one
        }
        $crate::store::contract::run_suite! { chats::trees on $open;
            children_recorded_concurrently_leave_one_in_branch
            path_of_ten_thousand_messages_is_read_from_both_ends
            path_of_many_forks_is_read_by_pages
        }
        $crate::store::contract::run_suite! { chats::changes on $open;
            follower_of_many_writers_sees_all_changes
            followers_at_once_agree_on_the_order
        }
    };
    (but races: $open:expr) => {
        $crate::store::contract::run_suite! { chats::conversations on $open;
            conversation_is_read_back_as_written
            creating_again_changes_nothing
            somebody_elses_is_absent
            update_changes_only_named_fields
            conversations_come_by_activity
            next_page_after_insert_continues_at_cursor
            archived_conversations_can_be_filtered
            deleting_takes_everything
        }
        $crate::store::contract::run_suite! { chats::turns on $open;
            turn_is_read_back_as_written
            names_of_a_newer_version_are_kept
            messages_come_by_seq_both_ways
            delivery_with_taken_seq_goes_to_end
            late_delivery_keeps_newer_state
            id_of_other_conversation_is_a_conflict
            context_has_newest_messages_in_order
        }
        $crate::store::contract::run_suite! { chats::contexts on $open;
            context_at_message_has_its_path_and_children
            context_at_message_of_another_conversation_is_absent
            context_at_message_has_its_picture_and_what_fits_before_it
        }
        $crate::store::contract::run_suite! { chats::moves on $open;
            moved_conversations_are_the_other_users_with_their_turns
            move_goes_on_where_it_stopped
            moved_conversations_are_changes_of_the_other_user
        }
        $crate::store::contract::run_suite! { chats::users on $open;
            deleted_conversations_of_a_user_are_gone_with_everything
            forgotten_user_leaves_nothing_and_late_delivery_adds_nothing
        }
        $crate::store::contract::run_suite! { chats::pages on $open;
            page_with_more_has_more
            large_messages_make_short_pages
            oversized_message_is_a_page_of_its_own
            context_has_newest_pictures_that_fit
            context_of_large_messages_is_read_up_to_bound
        }
        $crate::store::contract::run_suite! { chats::trees on $open;
            children_of_one_parent_are_branches
            branch_grows_and_forks_again
            turn_of_five_messages_is_applied_once
            late_parent_is_listed_before_child
            children_of_a_parent_that_is_not_there_are_branches
            deleting_takes_every_branch
        }
        $crate::store::contract::run_suite! { chats::heads on $open;
            head_chosen_by_user_is_kept
            update_with_unknown_head_changes_nothing
            late_delivery_after_choice_keeps_head
            delivery_to_chosen_head_moves_head
        }
        $crate::store::contract::run_suite! { chats::lifecycle on $open;
            deleted_conversation_is_listed_and_comes_back_with_everything
            conversation_deleted_too_long_ago_stays_deleted
            deleted_conversations_come_by_deletion
            turn_recorded_in_deleted_conversation_is_there_when_it_comes_back
            purge_removes_what_was_deleted_by_then_in_steps
            deleted_conversation_goes_with_its_user
            conversations_can_be_filtered_by_pins
        }
        $crate::store::contract::run_suite! { chats::cuts on $open;
            deleted_message_goes_with_everything_below
            deleted_answer_leaves_the_newest_other_one
            deletion_in_another_branch_keeps_the_head
            first_message_leaves_an_empty_conversation
            late_delivery_below_deleted_message_stores_nothing
            repeated_delivery_brings_no_deleted_message_back
            message_of_nobody_is_not_deleted
        }
        $crate::store::contract::run_suite! { chats::stats on $open;
            counts_are_those_of_what_is_there
            counts_of_nothing_are_zero
        }
        $crate::store::contract::run_suite! { chats::copies on $open;
            copy_of_a_client_that_was_away_is_right_after_anything
        }
        $crate::store::contract::run_suite! { chats::changes on $open;
            change_of_any_kind_takes_later_position
            conversation_changed_twice_is_listed_in_its_last_state
            deletions_are_listed
            changes_of_other_users_are_not_listed
            pages_go_on_by_the_last_place
            repeated_deletion_adds_no_change
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
    store.conversations(id(OWNER), ConversationsPage { archived, pinned: None, after, limit }).await.unwrap()
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
