//! The user's rate and messages of the day. The newest turn's row carries both, so that they outlive this process.

use std::{cell::Cell, rc::Rc};

use shared::{
    api::{account::Plan, error::LimitState},
    limits::{
        daily::DailyCount,
        gcra::{Gcra, GcraDecision, Tat},
    },
    time::Timestamp,
};
use worker::Result;

use super::store::Store;
use crate::config::Config;

/// The limits of this user.
pub struct Limits {
    config: Rc<Config>,
    store: Rc<Store>,
    rate: Cell<Option<Tat>>,
    day: Cell<Option<DailyCount>>,
}

/// The answer of the limits to one more message.
pub struct LimitCheck {
    /// Ok when the rate allows it; else the limit it would break.
    pub rate: std::result::Result<(), LimitState>,
    /// Ok when the day allows it; else the limit it would break.
    pub daily: std::result::Result<(), LimitState>,
    /// The state of the rate that includes it.
    pub tat: Tat,
}

/// The state of the limits that includes a turn.
#[derive(Clone, Copy, Debug)]
pub struct Charge {
    /// The messages of the day.
    pub day: DailyCount,
    /// The rate.
    pub rate: Tat,
}

impl Limits {
    /// Makes limits whose state is read from storage when it is needed.
    pub const fn new(config: Rc<Config>, store: Rc<Store>) -> Self {
        Self { config, store, rate: Cell::new(None), day: Cell::new(None) }
    }

    /// Checks one more message beside those that were admitted and have not begun, those that wait among them.
    ///
    /// # Errors
    /// Fails with the errors of SQLite.
    pub fn check(&self, plan: Plan, starting: u64, now: Timestamp) -> Result<LimitCheck> {
        let config = &self.config;
        let gcra =
            Gcra::new(config.rate_limit_requests, config.rate_limit_window_ms, config.rate_limit_requests);
        let decision: GcraDecision = gcra.check(self.rate()?, now);
        let limit = config.basic_tier_daily_limit.filter(|_| plan == Plan::Basic);
        let daily = self.day(now)?.with(starting).admit(limit);
        Ok(LimitCheck {
            rate: if decision.allowed { Ok(()) } else { Err(gcra.limit_state("user", &decision)) },
            daily: match limit {
                Some(limit) if !daily.allowed => Err(daily.count.limit_state(limit, now)),
                _ => Ok(()),
            },
            tat: decision.tat,
        })
    }

    /// Counts an admitted message in the rate.
    pub fn admit(&self, tat: Tat) {
        self.rate.set(Some(tat));
    }

    /// Returns the state that includes a turn which begins now. It holds once [`Self::charge`] is called, after it is stored.
    ///
    /// # Errors
    /// Fails with the errors of SQLite.
    pub fn next_charge(&self, now: Timestamp) -> Result<Charge> {
        let current = self.current(now)?;
        Ok(Charge { day: current.day.with(1), ..current })
    }

    /// Returns the state without another turn.
    ///
    /// # Errors
    /// Fails with the errors of SQLite.
    pub fn current(&self, now: Timestamp) -> Result<Charge> {
        let rate = self.rate()?.unwrap_or(Tat::from_micros(0));
        Ok(Charge { day: self.day(now)?, rate })
    }

    /// Counts a turn that began.
    pub fn charge(&self, charge: Charge) {
        self.day.set(Some(charge.day));
    }

    /// Undoes the count of a failed turn in the messages of its day. Returns the count to be stored, when it changes.
    ///
    /// # Errors
    /// Fails with the errors of SQLite.
    pub fn refund(&self, began: Timestamp, now: Timestamp) -> Result<Option<DailyCount>> {
        let day = self.day(now)?;
        if day.day != began.start_of_day() || day.used == 0 {
            return Ok(None);
        }
        let day = DailyCount { used: day.used - 1, ..day };
        self.day.set(Some(day));
        Ok(Some(day))
    }

    fn rate(&self) -> Result<Option<Tat>> {
        if self.rate.get().is_none() {
            self.rate.set(self.store.rate()?);
        }
        Ok(self.rate.get())
    }

    fn day(&self, now: Timestamp) -> Result<DailyCount> {
        let before = match self.day.get() {
            Some(day) => Some(day),
            None => self.store.day(DailyCount::last_day(now))?,
        };
        let day = DailyCount::at(before, now);
        self.day.set(Some(day));
        Ok(day)
    }
}
