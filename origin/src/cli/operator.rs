//! Commands of an operator on accounts, run beside the origins that serve: `edgechat sessions` and `edgechat users`.

use clap::Subcommand;
use shared::{
    address::Address,
    api::account::{Plan, User},
    id::Id,
};

use crate::{
    app::App, auth::Requester, events::Announcements, store::accounts::suspensions::SuspensionOutcome,
};

/// Commands about sessions.
#[derive(Clone, Debug, Subcommand)]
pub(super) enum SessionsCommand {
    /// End sessions of a user: their tokens are refused and their streams cut, at the Worker too
    End {
        /// The user's e-mail address or id
        user: String,
        /// End this session alone
        #[arg(long, value_name = "ID")]
        session: Option<Id>,
    },
}

/// Commands about users.
#[derive(Clone, Debug, Subcommand)]
pub(super) enum UsersCommand {
    /// Give a user another plan, which counts at once
    SetPlan {
        /// The user's e-mail address or id
        user: String,
        /// basic or pro
        #[arg(value_parser = known_plan)]
        plan: Plan,
    },
    /// Suspend a user: all sessions end, and every way to sign in is refused as if there were no such account
    Suspend {
        /// The user's e-mail address or id
        user: String,
    },
    /// End the suspension of a user, who can sign in again
    Resume {
        /// The user's e-mail address or id
        user: String,
    },
}

/// Ends sessions, and returns what happened in words.
pub(super) async fn sessions(app: &App, command: SessionsCommand) -> Result<String, String> {
    let SessionsCommand::End { user, session } = command;
    let user = find(app, &user).await?;
    let (operator, announcements) = (Requester::operator(), Announcements::default());
    let ended = match session {
        Some(session) => {
            app.auth.end_session(user.id, session, &operator, &announcements).await.map(u64::from)
        }
        None => app.auth.end_sessions(user.id, None, &operator, &announcements).await,
    };
    let ended = ended.map_err(|error| error.to_string())?;
    let what = if ended == 1 { "1 session ended".to_owned() } else { format!("{ended} sessions ended") };
    Ok(format!("{what}; {}", notify_worker(app, &announcements).await))
}

/// Changes a user, and returns what happened in words.
pub(super) async fn users(app: &App, command: UsersCommand) -> Result<String, String> {
    match command {
        UsersCommand::SetPlan { user, plan } => set_plan(app, &user, plan).await,
        UsersCommand::Suspend { user } => suspend(app, &user).await,
        UsersCommand::Resume { user } => resume(app, &user).await,
    }
}

async fn set_plan(app: &App, user: &str, plan: Plan) -> Result<String, String> {
    let user = find(app, user).await?;
    let announcements = Announcements::default();
    let changed = app.auth.set_plan(user.id, plan, &announcements).await;
    if !changed.map_err(|error| error.to_string())? {
        return Err(gone(&user));
    }
    Ok(format!("the plan is {} now; {}", plan.as_str(), notify_worker(app, &announcements).await))
}

async fn suspend(app: &App, user: &str) -> Result<String, String> {
    let user = find(app, user).await?;
    let announcements = Announcements::default();
    match app.auth.suspend(user.id, &announcements).await.map_err(|error| error.to_string())? {
        SuspensionOutcome::Changed => {
            let worker = notify_worker(app, &announcements).await;
            Ok(format!("the user {} is suspended and has no session; {worker}", user.id))
        }
        SuspensionOutcome::Unchanged => Ok(format!("the user {} was suspended before", user.id)),
        SuspensionOutcome::NoUser => Err(gone(&user)),
    }
}

async fn resume(app: &App, user: &str) -> Result<String, String> {
    let user = find(app, user).await?;
    match app.auth.resume(user.id).await.map_err(|error| error.to_string())? {
        SuspensionOutcome::Changed => Ok(format!("the user {} can sign in again", user.id)),
        SuspensionOutcome::Unchanged => Ok(format!("the user {} was not suspended", user.id)),
        SuspensionOutcome::NoUser => Err(gone(&user)),
    }
}

fn gone(user: &User) -> String {
    format!("the user {} is gone", user.id)
}

async fn find(app: &App, user: &str) -> Result<User, String> {
    let accounts = &app.stores.accounts;
    let found = match Id::parse(user) {
        Some(id) => accounts.user(id).await,
        None => accounts.user_by_address(Address::email(user)).await,
    };
    found.map_err(|error| error.to_string())?.ok_or_else(|| format!("there is no user {user}"))
}

/// Tells the Worker, ahead of the origin that serves: that finds the events in the accounts, tells it again, and forgets
/// what it has cached. Returns what the Worker knows in words.
async fn notify_worker(app: &App, announcements: &Announcements) -> &'static str {
    let events: Vec<_> = announcements.take().into_iter().map(|announced| announced.event).collect();
    if events.is_empty() || app.events.post_ahead(events).await {
        "the Worker knows"
    } else if app.config.edge_url.is_none() {
        "EDGE_URL is not set, so the Worker finds out by asking, within a minute"
    } else {
        "the Worker cannot be reached; an origin that serves tells it when it is back"
    }
}

fn known_plan(text: &str) -> Result<Plan, String> {
    let plan = Plan::parse(text).filter(|plan| !matches!(plan, Plan::Unknown(_)));
    plan.ok_or_else(|| format!("it should be one of {}", Plan::NAMES.join(", ")))
}
