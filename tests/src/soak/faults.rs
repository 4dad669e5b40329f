//! The processes that are killed, and the times.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::{Run, report::count, rng::Rng};
use crate::test_env::TestEnv;

/// The purpose of this module's random numbers.
const PURPOSE: u64 = u64::MAX;
const POLL: Duration = Duration::from_millis(20);

/// The process that is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Victim {
    Origin,
    Workerd,
    Both,
}

/// A period in which workerd was dead.
#[derive(Clone, Copy, Debug)]
pub(super) struct Death {
    pub(super) from: Instant,
    /// The end; `None` while workerd is being started again.
    pub(super) to: Option<Instant>,
}

/// Kills processes throughout the run, and starts each again.
pub(super) async fn strike(env: &mut TestEnv, run: &Run, kills: u32, turns: u32) {
    let mut rng = Rng::new(run.seed, PURPOSE);
    let mut moments: Vec<u64> = (0..kills).map(|_| rng.between(0, u64::from(turns) * 95 / 100)).collect();
    moments.sort_unstable();
    for moment in moments {
        while run.turns_over() < moment {
            sleep(POLL).await;
        }
        sleep(Duration::from_millis(rng.between(0, 500))).await;
        let victim = rng.weighted(&[(9, Victim::Workerd), (7, Victim::Origin), (4, Victim::Both)]);
        let away = |rng: &mut Rng| rng.weighted(&[(5, (0, 0)), (3, (200, 2_000)), (2, (3_000, 6_000))]);
        let (least, most) = if victim == Victim::Workerd { (0, 500) } else { away(&mut rng) };
        let away = Duration::from_millis(rng.between(least, most));
        super::progress(&format!(
            "kill -9 of {victim:?} after {} turns, away for {away:?}",
            run.turns_over()
        ));
        count(&run.findings.counts.kills);
        kill(env, run, victim, away).await;
    }
}

async fn kill(env: &mut TestEnv, run: &Run, victim: Victim, away: Duration) {
    if victim != Victim::Origin {
        run.workerd_dies();
        env.kill_workerd().await;
    }
    if victim != Victim::Workerd {
        env.kill_origin().await;
    }
    match victim {
        Victim::Workerd => {
            sleep(away).await;
            env.start_workerd().await;
        }
        Victim::Origin => {
            sleep(away).await;
            env.start_origin().await;
        }
        // The Worker is back first, without an origin.
        Victim::Both => {
            env.start_workerd().await;
            run.workerd_lives();
            sleep(away).await;
            env.start_origin().await;
        }
    }
    if victim == Victim::Workerd {
        run.workerd_lives();
    }
}
