//! The suite of the accounts port, an entity a file.

pub(super) mod addresses;
pub(super) mod audit;
pub(super) mod consents;
pub(super) mod credentials;
pub(super) mod deletions;
pub(super) mod events;
pub(super) mod guests;
pub(super) mod identities;
pub(super) mod jobs;
pub(super) mod passkeys;
pub(super) mod password_resets;
pub(super) mod refresh;
pub(super) mod runners;
pub(super) mod sessions;
pub(super) mod suspensions;
pub(super) mod token_keys;
pub(super) mod usage;
pub(super) mod users;

use std::sync::Arc;

use shared::{api::account::User, auth::refresh::ExchangeTerms, id::Id};

use super::samples::{START, at, hash, id, opening_event, registration_job, reuse_job, session, user};
use crate::store::{
    Accounts, StoreResult,
    accounts::{
        jobs::NewJob,
        sessions::{NewSession, RefreshExchange, RefreshOutcome},
        users::Registration,
    },
};

/// The cases; `$open` is a fresh store and what keeps it alive.
macro_rules! suite {
    ($open:expr) => {
        $crate::store::contract::run_suite! { accounts::users on $open;
            user_is_read_back_as_written
            plan_of_a_newer_version_is_kept
            email_is_unique_and_compared_as_stored
            registering_again_changes_nothing
            registration_schedules_its_job_once
            of_registrations_at_once_one_wins
            registration_sent_concurrently_creates_one_user
            letters_beyond_ascii_are_kept_as_they_are
            email_with_nul_matches_no_user
            times_are_exact_to_the_millisecond_however_far
            profile_changes_where_it_is_named
            profiles_changed_at_once_keep_every_field
        }
        $crate::store::contract::run_suite! { accounts::addresses on $open;
            sign_in_by_unknown_address_creates_verified_user_once
            sign_in_by_verified_address_keeps_password_and_sessions
            sign_in_by_unverified_address_removes_password_and_sessions
            sign_ins_at_once_by_unknown_address_create_one_user
            changed_address_is_verified_and_replaces_refresh_tokens
            address_of_somebody_else_is_taken
            email_is_verified_once_while_it_is_the_users
        }
        $crate::store::contract::run_suite! { accounts::credentials on $open;
            network_of_any_session_on_record_is_known
            hash_of_a_password_is_replaced_once
            changed_password_ends_other_sessions_and_refresh_tokens
            password_change_of_other_hash_or_ended_session_does_nothing
            of_password_changes_at_once_one_wins
        }
        $crate::store::contract::run_suite! { accounts::passkeys on $open;
            passkey_is_read_back_as_written
            passkeys_added_at_once_are_no_more_than_may_be
            credential_added_at_once_by_many_users_is_one_users
            use_of_passkey_needs_a_greater_count
            of_uses_at_once_with_one_count_one_is_recorded
            passkey_is_named_by_its_user_alone
            removed_passkey_is_gone_and_noted_once
            of_removals_at_once_the_last_way_in_stays
            proof_of_an_unverified_address_removes_passkeys_and_phone
            passkey_makes_a_guest_a_user
        }
        $crate::store::contract::run_suite! { accounts::password_resets on $open;
            reset_sets_password_and_ends_all_sessions_once
            expired_or_foreign_permission_resets_nothing
            permission_for_phone_verifies_phone_if_still_the_users
            of_resets_at_once_one_wins
            expired_permissions_are_forgotten_oldest_first
        }
        $crate::store::contract::run_suite! { accounts::identities on $open;
            sign_in_by_unknown_identity_creates_user_once
            sign_in_by_known_identity_ignores_the_address
            identity_is_linked_to_whoever_verified_the_address
            identity_takes_over_account_that_never_verified_the_address
            unverified_address_links_nothing
            sign_ins_at_once_by_unknown_identity_create_one_user
            sign_ins_at_once_by_identity_and_address_create_one_user
            code_of_unverified_address_removes_linked_identity
            reset_of_unverified_address_removes_linked_identity
            link_keeps_the_session_and_gives_an_address
            link_of_somebody_elses_identity_is_taken
            guest_gets_no_address_of_somebody_else
            token_of_an_identity_is_kept_for_its_user
        }
        $crate::store::contract::run_suite! { accounts::guests on $open;
            guest_is_read_back_and_created_once
            address_makes_a_guest_a_user
            merged_guest_ends_once_with_jobs_and_event
            of_merges_at_once_one_wins
            user_is_not_merged
        }
        $crate::store::contract::run_suite! { accounts::sessions on $open;
            session_belongs_to_its_user
            opening_a_session_again_changes_nothing
            sessions_over_before_a_time_are_forgotten
            forgetting_takes_the_oldest_sessions_of_anybody
            sessions_are_opened_and_forgotten_at_once
            open_sessions_are_listed_from_the_last_that_began
            use_of_a_session_moves_its_time_and_address
            sessions_that_are_too_many_are_those_unused_for_longest
        }
        $crate::store::contract::run_suite! { accounts::suspensions on $open;
            suspension_ends_sessions_and_is_noted_once
            suspended_user_gets_no_session_and_no_permission
            no_session_that_begins_during_suspension_stays_open
        }
        $crate::store::contract::run_suite! { accounts::audit on $open;
            events_are_listed_from_the_newest
            event_is_noted_once_for_a_user_who_is_there
            event_has_the_name_of_its_session
            writes_note_their_events_once
            reuse_of_refresh_token_is_noted
            changes_of_password_and_address_are_noted_once
            sign_ins_by_address_are_noted_once
            old_events_are_forgotten_and_no_others
            event_of_a_newer_version_is_kept
        }
        $crate::store::contract::run_suite! { accounts::consents on $open;
            first_consent_to_a_version_is_kept
            no_more_versions_are_recorded_than_may_be
            one_consent_sent_many_times_at_once_is_one
        }
        $crate::store::contract::run_suite! { accounts::deletions on $open;
            requested_deletion_ends_every_session_once
            sign_in_undoes_deletion_and_notes_it_once
            begun_deletion_frees_address_and_lets_nobody_in
            of_begin_and_sign_in_at_once_one_happens
            of_request_and_sign_in_at_once_the_later_one_counts
            deleted_user_leaves_nothing
        }
        $crate::store::contract::run_suite! { accounts::refresh on $open;
            refresh_token_until_expiry_is_exchanged
            last_used_token_in_grace_gets_same_successor
            successor_of_an_earlier_secret_is_returned_again
            successor_of_a_secret_that_is_gone_is_replaced
            older_token_ends_session
            expired_used_token_is_forgotten
            exchanges_at_once_agree
            reuses_at_once_end_the_session_once
            reuse_schedules_its_job_in_the_same_step
        }
        $crate::store::contract::run_suite! { accounts::events on $open;
            event_is_leased_as_appended_until_acknowledged
            event_is_due_when_postponed_to_and_counts_its_attempts
            event_goes_to_one_of_many_at_once
            ended_session_is_ended_once_with_its_event
            sessions_started_before_event_end_except_one
            reuse_of_refresh_token_leaves_one_event
            plan_changes_with_its_event
        }
        $crate::store::contract::run_suite! { accounts::jobs on $open;
            due_jobs_are_claimed_in_the_order_they_are_due
            job_of_a_kind_and_key_is_scheduled_once
            job_is_claimed_again_only_after_its_lease
            claim_repeated_by_its_owner_returns_its_jobs
            only_kinds_of_the_claim_are_claimed
            completed_job_is_due_again_or_finished
            failed_job_is_due_again_with_its_attempts
            owner_that_lost_its_job_changes_nothing
            jobs_claimed_at_once_are_claimed_once
            finished_jobs_are_forgotten_and_no_others
        }
        $crate::store::contract::run_suite! { accounts::token_keys on $open;
            keys_are_read_back_by_number
            key_takes_a_number_once
            added_key_ends_the_salts_and_keys_before
            of_keys_added_at_once_one_takes_the_number
        }
        $crate::store::contract::run_suite! { accounts::usage on $open;
            turn_is_counted_once
            usage_is_summed_by_day_and_model
            models_are_sorted_by_their_bytes
            turns_at_once_are_summed_exactly
        }
    };
}
pub(super) use suite;

type Store = Arc<dyn Accounts>;

/// A time that no case reaches, in milliseconds.
const LATER_MS: i64 = 1_000_000_000_000;

async fn register(store: &Store, number: u32) {
    let user = user(number);
    let session = session(u8::try_from(number).unwrap(), &user);
    assert_eq!(try_register(store, user, "phc", session).await.unwrap(), Registration::Created);
}

async fn try_register(
    store: &Store,
    user: User,
    password_hash: &str,
    session: NewSession,
) -> StoreResult<Registration> {
    let audit = opening_event(&session);
    let job = NewJob { due_at: at(LATER_MS), ..registration_job(&session) };
    store.register(user, password_hash.to_owned(), session, audit, job).await
}

/// Opens a session among at most a thousand. Returns whether there is such a user.
async fn open(store: &Store, session: NewSession) -> bool {
    let audit = opening_event(&session);
    let surplus = store.open_session(session, 1_000, audit).await.unwrap();
    assert_eq!(surplus.clone().unwrap_or_default(), Vec::<Id>::new());
    surplus.is_some()
}

fn exchange(presented: u8, successor: u8, millis: i64) -> RefreshExchange {
    RefreshExchange {
        presented: hash(presented),
        successors: vec![hash(successor)],
        terms: ExchangeTerms {
            successor_expires_at: at(millis + 500_000),
            now: at(millis),
            grace_ms: 10_000,
        },
        ip: Some("2001:db8::7".to_owned()),
        request_id: Some("request-exchange".to_owned()),
        audit_id: id(u32::from(presented) * 1_000 + u32::from(successor) + 9_000_000),
        event_id: id(u32::from(presented) * 1_000 + u32::from(successor) + 70_000),
        on_reuse: reuse_job(2_000_000 + u32::try_from(millis).unwrap()),
    }
}

/// Exchanges a token; returns the outcome in one word and the expiry of the successor.
async fn outcome(store: &Store, exchange: RefreshExchange) -> (&'static str, i64) {
    let known = exchange.successors.clone();
    match store.exchange_refresh(exchange).await.unwrap() {
        RefreshOutcome::Exchanged { session, successor, refresh_expires_at } => {
            assert_eq!(session.user, user(1));
            assert!(known.contains(&successor));
            ("exchanged", refresh_expires_at.millis_since(START))
        }
        RefreshOutcome::Unknown => ("unknown", 0),
        RefreshOutcome::Ended { user_id } => {
            assert_eq!(user_id, id(1));
            ("ended", 0)
        }
        RefreshOutcome::Reused { event } => {
            assert_eq!(event.user_id, id(1));
            ("reused", 0)
        }
    }
}
