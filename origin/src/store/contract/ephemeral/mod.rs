//! The suite of the ephemeral port.

pub(super) mod cache;
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
            a_window_starts_with_its_first
            undone_count_makes_room_for_one
            what_is_forgotten_starts_anew
            a_window_decides_as_the_arithmetic_does
            a_rate_decides_as_the_arithmetic_does
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
            no_more_guesses_are_heard_than_the_code_bears
            a_code_ends_with_its_tries
            a_code_ends_with_its_time
            a_new_code_takes_the_place_of_the_old
        }
        $crate::store::contract::run_suite! { ephemeral::cache on $open;
            what_is_filled_is_found
            an_entry_ends_with_its_time
            groups_are_apart
            a_lease_from_before_an_invalidation_fills_nothing
            an_older_lease_that_stands_fills
            a_group_holds_a_bounded_number_of_entries
            what_is_too_large_is_not_cached
            what_was_read_before_an_invalidation_is_never_served
        }
    };
}
pub(super) use suite;

type Store = Arc<dyn Ephemeral>;
