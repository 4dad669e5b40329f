//! From the start of the runtime's process to its first answer: a call with a token that the origin answers. The Worker
//! has to fetch the origin's keys for it.

use hyper::StatusCode;
use tokio::time::Instant;

use super::{Effort, Pair};
use crate::bench::{
    load::Site,
    report::{Section, Target},
    stage::{Side, Stage, who_am_i},
};

/// The starts of a round: a start is short, and a single one varies.
const STARTS: usize = 2;

pub(super) async fn measure(stage: &mut Stage, effort: Effort) -> Section {
    let mut cold = Pair::default();
    for round in effort.numbered("cold start") {
        for _ in 0..STARTS {
            stage.proxy.kill().await;
            let began = Instant::now();
            stage.proxy.restart().await;
            let proxy = first_answer(stage, &stage.proxy(), began).await;
            stage.env.kill_workerd().await;
            let began = Instant::now();
            stage.env.start_workerd().await;
            let worker = first_answer(stage, &stage.site(Side::Worker), began).await;
            if round > 0 {
                cold.push(Some(proxy), Some(worker));
            }
        }
    }
    let mut section = Section::new("Cold start", "proxy baseline");
    section.rows.push(cold.row("cold start to the first answer", "ms", Target::TimesAtMost(1.5)));
    section
}

async fn first_answer(stage: &Stage, site: &Site, began: Instant) -> f64 {
    let user = stage.users.first().expect("a user");
    let mut connection = site.connect().await;
    let answer = connection.ask(who_am_i(site, user).request(0)).await;
    assert_eq!(answer.status, StatusCode::OK, "the first answer of the {}", site.name);
    began.elapsed().as_secs_f64() * 1_000.0
}
