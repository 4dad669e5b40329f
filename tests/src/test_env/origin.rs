//! The start of the origin: the real binary, on the stores that the variables name or else on its embedded default with its
//! data in the test's folder.

use std::path::Path;

use serde_json::Value;

use super::{
    Vars,
    part::{Launch, Part},
    port::Port,
    workerd::built,
};

pub(super) fn part(dir: &Path, port: Port, vars: &Vars) -> Part {
    let folder = dir.join("origin");
    std::fs::create_dir(&folder).expect("a folder within the test's own");
    let mut vars: Vec<_> = vars.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    vars.push(("LISTEN_ADDR".to_owned(), port.addr()));
    if !vars.iter().any(|(name, _)| name == "DATABASE_URL") {
        vars.push(("DATABASE_URL".to_owned(), format!("sqlite://{}", folder.join("edgechat.db").display())));
    }
    let launch = Launch {
        name: "the origin",
        program: built("EDGECHAT_ORIGIN_BIN"),
        args: vec!["serve".to_owned()],
        vars,
        folder,
        user: None,
        is_ready,
    };
    Part::new(launch, port)
}

fn is_ready(line: &str) -> bool {
    serde_json::from_str::<Value>(line).is_ok_and(|line| line["event"] == "listening")
}
