//! The suite of the ephemeral port.

pub(super) mod cache;
pub(super) mod challenges;
pub(super) mod codes;
pub(super) mod limits;
pub(super) mod values;

use std::sync::Arc;

use crate::store::Ephemeral;

/// The cases; `$open` is a fresh store and what keeps it alive.
macro_rules! suite {
    ($open:expr) => {
        $crate::store::contract::run_suite! { ephemeral::limits on $open;
            exactly_as_many_are_allowed_as_the_window_holds
            window_starts_at_first_request
            undone_count_makes_room_for_one
            as_many_failures_at_once_are_allowed_as_are_free
            failures_decide_as_arithmetic
            undone_failure_leaves_no_trace
            window_decides_as_arithmetic
            rate_decides_as_arithmetic
            of_many_at_once_as_many_are_admitted_as_the_burst_holds
        }
        $crate::store::contract::run_suite! { ephemeral::values on $open;
            nonces_inserted_at_once_are_new_once
            nonce_is_known_for_its_time
            values_inserted_at_once_are_one
            value_lasts_its_time
            value_is_read_back_for_its_time
            names_of_any_kind_are_apart
        }
        $crate::store::contract::run_suite! { ephemeral::codes on $open;
            of_many_right_guesses_one_is_accepted
            concurrent_guesses_are_limited_to_tries_of_code
            code_after_last_try_is_absent
            code_after_expiry_is_absent
            new_code_replaces_old_one
        }
        $crate::store::contract::run_suite! { ephemeral::challenges on $open;
            of_many_takers_at_once_one_gets_the_challenge
            challenge_lasts_its_time_under_its_key
            oversized_challenge_is_refused
        }
        $crate::store::contract::run_suite! { ephemeral::cache on $open;
            filled_entry_is_found
            entry_after_expiry_is_absent
            groups_are_apart
            lease_from_before_invalidation_fills_nothing
            older_valid_lease_fills
            group_holds_a_bounded_number_of_entries
            oversized_value_is_not_cached
            value_read_before_invalidation_is_never_served
        }
    };
}
pub(super) use suite;

type Store = Arc<dyn Ephemeral>;
