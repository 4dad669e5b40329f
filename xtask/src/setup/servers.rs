//! The database servers of the tests: finding their programs, installing or building what is missing.
//!
//! - [`found`]: PostgreSQL, Redis and `mongod`, on the machine or by apt
//! - [`mongo_java`], [`ferretdb`]: the stand-ins for MongoDB, built once from the locked files in `tests/servers`
//! - [`engine`]: a container engine, which takes all of that over
//!
//! Tests that kill servers need private ones, so that programs are looked for even where `DATABASE_URL` and the like
//! name servers to share.

mod engine;
mod ferretdb;
mod found;
mod mongo_java;

use std::{ffi::OsString, process::Command};

use anyhow::Result;

use crate::workspace::Workspace;

/// The servers' programs, as environment variables of whatever starts servers.
#[derive(Debug)]
pub(crate) struct Servers {
    vars: Vec<(&'static str, OsString)>,
}

impl Servers {
    /// Finds, installs or builds what the tests need.
    ///
    /// # Errors
    /// Fails with one sentence that names a server that cannot be had, and what to install.
    pub(crate) fn ensure(workspace: &Workspace) -> Result<Self> {
        if engine::answers() {
            return Ok(Self {
                vars: vec![
                    ("EDGECHAT_TEST_COMPOSE", engine::file(workspace).into()),
                    ("EDGECHAT_TEST_RUN", format!("edgechat-test-{}", std::process::id()).into()),
                ],
            });
        }
        let mut vars = vec![
            ("EDGECHAT_POSTGRES_BIN", found::postgres(workspace)?.into()),
            ("EDGECHAT_REDIS_BIN", found::redis(workspace)?.into()),
        ];
        if let Some(mongod) = found::mongod() {
            vars.push(("EDGECHAT_MONGOD_BIN", mongod.into()));
        } else {
            if std::env::var_os("MONGODB_URL").is_none_or(|url| url.is_empty()) {
                vars.push(("EDGECHAT_MONGO_JAVA", mongo_java::ensure(workspace)?));
            }
            vars.push(("EDGECHAT_FERRETDB_BIN", ferretdb::ensure(workspace)?.into()));
        }
        Ok(Self { vars })
    }

    /// Sets the variables from which a program that starts servers knows them.
    pub(crate) fn set_vars(&self, command: &mut Command) {
        command.envs(self.vars.iter().map(|(name, value)| (name, value)));
    }
}
