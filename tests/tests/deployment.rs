//! Tests of the containers: their files agree with the rest of the repository, and the edge's image serves as the Worker on
//! Cloudflare does. The image's own script and configuration run here, outside a container.

#[cfg(test)]
mod tests {
    use std::{
        collections::{BTreeMap, BTreeSet},
        env, fs,
        path::{Path, PathBuf},
        process::Stdio,
    };

    use edgechat_tests::{
        client::Client,
        test_env::{EDGE_KEY, TestEnv},
        wait::bounded,
    };
    use serde_json::Value;
    use shared::api::{ErrorCode, chat::TurnStatus};
    use tempfile::TempDir;
    use tokio::{
        io::{AsyncBufReadExt, BufReader},
        process::{Child, Command},
    };

    const DOCKERFILES: [&str; 3] = ["edge/Dockerfile", "origin/Dockerfile", "tests/Dockerfile"];
    /// Variables for tests only.
    const NOT_DEPLOYED: [&str; 1] = ["FAULT_INJECTION"];
    /// Aliases of variables; docker-compose.yml and start.sh map them.
    const ALIASES: [&str; 2] = ["GOOGLE_API_KEY", "SECRET_KEY"];

    fn root() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
    }

    fn read(path: &str) -> String {
        fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// Returns the rest of the first line that begins with `name`, without quotation marks.
    fn value<'a>(text: &'a str, name: &str) -> &'a str {
        let found = text.lines().find_map(|line| line.strip_prefix(name));
        found.unwrap_or_else(|| panic!("no {name}")).trim_matches([' ', '=', '"', ';'])
    }

    /// The version of a crate in Cargo.lock.
    fn locked(name: &str) -> String {
        let lock = read("Cargo.lock");
        let (_, from) = lock.split_once(&format!("name = \"{name}\"\n")).unwrap();
        value(from, "version").to_owned()
    }

    /// The words of a text that look like variables.
    fn variables(text: &str) -> BTreeSet<&str> {
        let is_part = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
        let words = text.split(|c: char| !is_part(c) && !c.is_ascii_lowercase());
        words.filter(|word| word.len() > 4 && word.chars().all(is_part)).collect()
    }

    /// The string literals of a Rust source that are a variable's name.
    fn texts(source: &str) -> BTreeSet<&str> {
        let texts = source.split('"').skip(1).step_by(2);
        texts.filter(|text| variables(text).contains(text)).collect()
    }

    /// The services of docker-compose.yml by name, each with its lines.
    fn services() -> Vec<(String, String)> {
        let compose = read("docker-compose.yml");
        let (_, from) = compose.split_once("\nservices:\n").unwrap();
        let mut services: Vec<(String, String)> = Vec::new();
        for line in from.split("\nnetworks:\n").next().unwrap().lines() {
            match line.strip_prefix("  ").and_then(|line| line.strip_suffix(':')) {
                Some(name) if !name.starts_with(' ') => services.push((name.to_owned(), String::new())),
                _ => {
                    if let Some((_, lines)) = services.last_mut() {
                        lines.extend([line, "\n"]);
                    }
                }
            }
        }
        services
    }

    fn service(name: &str) -> String {
        services()
            .into_iter()
            .find(|(found, _)| found == name)
            .unwrap_or_else(|| panic!("no service {name}"))
            .1
    }

    /// Cargo's own lock is beside its registry, outside the cache: concurrent builds with one registry unpack the same crate at
    /// once, and one of them fails.
    #[test]
    fn image_builds_lock_cargo_registry() {
        let mut locks: BTreeMap<String, Vec<BTreeSet<String>>> = BTreeMap::new();
        for dockerfile in DOCKERFILES {
            for run in read(dockerfile).replace("\\\n", " ").lines().filter(|line| line.starts_with("RUN ")) {
                let mounts: Vec<_> = run.split("--mount=").skip(1).map(str::trim_end).collect();
                let id = |mount: &str| value(&mount.replace(',', "\n"), "id=").to_owned();
                let locked = mounts.iter().filter(|mount| mount.contains("sharing=locked"));
                let locked: BTreeSet<_> = locked.map(|mount| id(mount)).collect();
                for mount in mounts.iter().filter(|mount| mount.contains("/cargo/registry")) {
                    locks.entry(id(mount)).or_default().push(locked.clone());
                }
            }
        }
        assert!(locks.len() > 1, "{locks:?}");
        for (registry, locked) in locks {
            let common = locked.iter().skip(1).fold(locked[0].clone(), |common, other| &common & other);
            assert!(!common.is_empty(), "{registry}: no lock separates two builds");
        }
    }

    #[test]
    fn image_cargo_builds_are_locked() {
        let mut builds = 0;
        for path in DOCKERFILES {
            for command in read(path).replace("\\\n", " ").split("&&") {
                if command.contains("cargo install") || command.contains("cargo build") {
                    builds += 1;
                    assert!(command.contains(" --locked"), "{path}: {command}");
                }
            }
        }
        assert_eq!(builds, 4);
    }

    #[test]
    fn versions_match_repository() {
        let toolchain = read("rust-toolchain.toml");
        for path in DOCKERFILES {
            assert_eq!(value(&read(path), "ARG RUST="), value(&toolchain, "channel"), "{path}");
        }
        assert_eq!(locked("wasm-bindgen-cli-support"), locked("wasm-bindgen"));
        let date = read("edge/workerd.capnp");
        let date = value(&date, "const compatibilityDate :Text");
        for path in ["wrangler.toml", "edge/wrangler.user.toml"] {
            assert_eq!(value(&read(path), "compatibility_date"), date, "{path}");
        }
    }

    #[test]
    fn worker_deployments_keep_variables_and_bind_code_limit() {
        for file in ["wrangler.toml", "edge/wrangler.user.toml"] {
            assert!(read(file).lines().any(|line| line == "keep_vars = true"), "{file}");
        }
        let limiter = read("edge/src/front/limit.rs");
        let (_, bound) = limiter.split_once("FixedLimiter { limit: ").unwrap();
        let (limit, rest) = bound.split_once(", span_ms: ").unwrap();
        let span_ms: u32 = rest.split(' ').next().unwrap().replace('_', "").parse().unwrap();
        let simple = format!("{{ limit = {limit}, period = {} }}", span_ms / 1_000);
        assert_eq!(value(&read("wrangler.toml"), "simple"), simple.trim_matches('"'));
    }

    #[test]
    fn images_are_pinned_to_versions() {
        let images = ["docker-compose.yml"].into_iter().chain(DOCKERFILES).flat_map(|path| {
            let from = read(path).replace("${RUST}", "1.95.0");
            let stages: Vec<_> =
                from.lines().filter_map(|line| line.split_once(" AS ")).map(|(_, name)| name).collect();
            let images = from.lines().filter_map(|line| {
                line.trim().strip_prefix("FROM ").or_else(|| line.trim().strip_prefix("image: "))
            });
            let images = images.map(|image| image.split(' ').next().unwrap());
            images.filter(|image| !stages.contains(image)).map(str::to_owned).collect::<Vec<_>>()
        });
        let images: BTreeSet<_> = images.collect();
        assert!(images.len() >= 6, "{images:?}");
        for image in images {
            let tag = image.split_once(':').unwrap_or_else(|| panic!("{image} has no tag")).1;
            assert!(
                tag.chars().filter(char::is_ascii_digit).count() >= 3,
                "{image} is not pinned to a version"
            );
        }
    }

    #[test]
    fn worker_variables_are_passed_through() {
        let config = read("edge/src/config.rs");
        let mut wanted = texts(&config);
        wanted.retain(|name| !NOT_DEPLOYED.contains(name) && !ALIASES.contains(name));
        assert!(wanted.contains("ORIGIN_URL") && wanted.len() > 8, "{wanted:?}");
        let (capnp, start, service) = (read("edge/workerd.capnp"), read("edge/start.sh"), service("edge"));
        for name in &wanted {
            assert!(
                capnp.contains(&format!("(name = \"{name}\", fromEnvironment = \"{name}\")")),
                "workerd.capnp lacks {name}"
            );
        }
        let (_, set) = start.split_once("\nfor name in ").unwrap();
        let set = variables(set.split_once("; do").unwrap().0);
        let named: BTreeSet<_> =
            capnp.split("fromEnvironment = \"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
        assert_eq!(set, named, "start.sh sets what workerd.capnp names");
        let handed = variables(&service);
        assert!(named.is_subset(&handed), "docker-compose.yml passes {handed:?}");
    }

    #[test]
    fn origin_variables_are_passed_through() {
        let folder = root().join("origin/src/config");
        let mut sources = Vec::new();
        let mut folders = vec![folder];
        while let Some(folder) = folders.pop() {
            for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
                if path.is_dir() {
                    folders.push(path);
                } else if path.file_name().unwrap() != "tests.rs" {
                    let text = fs::read_to_string(&path).unwrap();
                    sources.push(text.split("#[cfg(test)]\nmod tests {").next().unwrap().to_owned());
                }
            }
        }
        let wanted: BTreeSet<_> = sources.iter().flat_map(|source| texts(source)).collect();
        assert!(wanted.contains("DATABASE_URL") && wanted.len() > 15, "{wanted:?}");
        let services = [service("secrets"), service("origin")].concat();
        let handed = variables(&services);
        let edge = service("edge");
        let handed_to_edge = variables(&edge);
        // A variable of the Worker; the origin validates it where both read one `.env`, and compose sets its own address.
        assert!(handed_to_edge.contains("ORIGIN_URL"));
        // The image sets it.
        assert!(read("origin/Dockerfile").contains("ENV LISTEN_ADDR=0.0.0.0:8080"));
        let missing: Vec<_> = wanted
            .iter()
            .filter(|name| {
                !["LISTEN_ADDR", "ORIGIN_URL"].contains(name)
                    && !ALIASES.contains(name)
                    && !handed.contains(*name)
            })
            .collect();
        assert!(missing.is_empty(), "docker-compose.yml does not pass {missing:?}");
    }

    #[test]
    fn host_reaches_edge_only_and_services_are_confined() {
        let services = services();
        let names: Vec<_> = services.iter().map(|(name, _)| name.as_str()).collect();
        let on_request = ["prometheus", "grafana"];
        let always = ["secrets", "postgres", "mongo", "redis", "origin", "edge", "gemini"];
        assert_eq!(names, [&always[..], &on_request].concat());
        for (name, service) in services {
            assert_eq!(service.contains("    ports:"), ["edge", "grafana"].contains(&&*name), "{name}");
            let is_on_request = service.contains("    profiles: [metrics]\n");
            assert_eq!(is_on_request, on_request.contains(&&*name), "{name}");
            assert!(service.trim_start().starts_with("<<: *service\n"), "{name}");
            assert!(service.contains("    mem_limit: "), "{name}");
            assert!(
                !service.contains("DATABASE_URL:"),
                "{name} uses the value of .env for another deployment"
            );
        }
        let dev = read("docker-compose.dev.yml");
        let ports: Vec<_> = dev.lines().filter(|line| line.trim().starts_with("ports:")).collect();
        assert_eq!(ports.len(), 3);
        assert!(ports.iter().all(|line| line.contains("\"127.0.0.1:")), "{ports:?}");
    }

    #[test]
    fn dashboard_is_where_grafana_looks_and_prometheus_scrapes_the_origins_private_port() {
        let (origin, prometheus, grafana) = (service("origin"), service("prometheus"), service("grafana"));
        let port = value(&origin, "      METRICS_ADDR:").strip_prefix("0.0.0.0:").unwrap().to_owned();
        assert!(read("deploy/prometheus.yml").contains(&format!("targets: [origin:{port}]")));
        for service in [&origin, &prometheus, &grafana] {
            let networks = value(service, "    networks:");
            assert!(networks.contains("metrics"), "{networks}");
        }
        let mounted: Vec<_> = [&prometheus, &grafana]
            .iter()
            .flat_map(|service| service.lines().filter_map(|line| line.trim().strip_prefix("- ./")))
            .map(|mount| mount.strip_suffix(":ro").unwrap().split_once(':').unwrap())
            .collect();
        assert_eq!(mounted.len(), 3);
        assert!(mounted.iter().all(|(file, _)| root().join(file).exists()), "{mounted:?}");

        let dashboard: Value = serde_json::from_str(&read("deploy/grafana/edgechat.json")).unwrap();
        let (_, place) = mounted.iter().find(|(file, _)| *file == "deploy/grafana/edgechat.json").unwrap();
        assert_eq!(value(&grafana, "      GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH:"), *place);
        let folder = place.rsplit_once('/').unwrap().0;
        assert_eq!(
            value(&read("deploy/grafana/provisioning/dashboards/edgechat.yml"), "      path:"),
            folder
        );
        let source = read("deploy/grafana/provisioning/datasources/prometheus.yml");
        assert_eq!(value(&source, "    url:"), "http://prometheus:9090");
        assert!(source.contains("isDefault: true"));
        let ids: BTreeSet<_> =
            dashboard["panels"].as_array().unwrap().iter().map(|panel| panel["id"].as_u64()).collect();
        assert_eq!(ids.len(), dashboard["panels"].as_array().unwrap().len());
    }

    /// The edge's image without a container: its files in a folder, its script as a process.
    struct Edge {
        url: String,
        _process: Child,
        _folder: TempDir,
    }

    fn script(folder: &Path, vars: &[(&str, &str)]) -> Command {
        let part = |name: &str| {
            let path = env::var_os(name).map(PathBuf::from).filter(|path| path.exists());
            path.unwrap_or_else(|| {
                panic!("{name} does not name a built part: run these tests by `cargo xtask test`")
            })
        };
        for inner in ["app/build", "bin", "objects"] {
            fs::create_dir_all(folder.join(inner)).unwrap();
        }
        for file in ["workerd.capnp", "client_ip_proxy.js", "start.sh"] {
            fs::copy(root().join("edge").join(file), folder.join("app").join(file)).unwrap();
        }
        for module in ["index.js", "index_bg.wasm"] {
            fs::copy(part("EDGECHAT_EDGE_BUILD").join(module), folder.join("app/build").join(module))
                .unwrap();
        }
        std::os::unix::fs::symlink(part("EDGECHAT_WORKERD_BIN"), folder.join("bin/workerd")).unwrap();
        fs::write(folder.join("edge-keys"), EDGE_KEY).unwrap();
        let path = env::join_paths(
            [folder.join("bin")].into_iter().chain(env::split_paths(&env::var_os("PATH").unwrap())),
        );
        let mut command = if Path::new("/usr/bin/setpriv").exists() {
            // It ends with this process, even when that is killed.
            let mut command = Command::new("/usr/bin/setpriv");
            command.args(["--pdeathsig", "KILL", "sh"]);
            command
        } else {
            Command::new("sh")
        };
        command
            .arg(folder.join("app/start.sh"))
            .args(["--socket-addr=http=127.0.0.1:0", "--control-fd=1"])
            .env_clear()
            .env("PATH", path.unwrap())
            .env("OBJECTS_DIR", folder.join("objects"))
            .env("EDGE_KEYS_FILE", folder.join("edge-keys"))
            .envs(vars.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    impl Edge {
        async fn start(vars: &[(&str, &str)]) -> Self {
            let folder = tempfile::Builder::new().prefix("edgechat-test-").tempdir().unwrap();
            let mut process = script(folder.path(), vars).spawn().unwrap();
            let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
            let port = bounded("workerd to listen", async {
                loop {
                    let line = lines.next_line().await.unwrap().expect("workerd goes on until it listens");
                    let event: Value = serde_json::from_str(&line).unwrap_or_default();
                    if event["event"] == "listen" && event["socket"] == "http" {
                        return event["port"].as_u64().unwrap();
                    }
                }
            })
            .await;
            // Read to its end, so that it never waits for a reader.
            tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
            Self { url: format!("http://127.0.0.1:{port}"), _process: process, _folder: folder }
        }

        /// Sends one request per value of a header, in order, and returns the statuses.
        async fn answers(&self, header: &str, values: &[&str]) -> Vec<u16> {
            let client = Client::new(self.url.clone());
            let mut statuses = Vec::new();
            for value in values {
                let reply = client.get("/api/v1/health").header(header, value).send().await;
                if reply.status == 429 {
                    reply.problem(ErrorCode::RateLimited);
                }
                statuses.push(reply.status);
            }
            statuses
        }
    }

    #[tokio::test]
    async fn turn_runs_with_addresses_only() {
        let env = TestEnv::start().await;
        let (origin, gemini) = (env.client_of_origin().url(""), env.provider.base());
        let edge = Edge::start(&[("ORIGIN_URL", &origin), ("SCRIPTED_GEMINI_URL", &gemini)]).await;
        let phone = Client::new(edge.url.clone()).register().await;
        let conversation = phone.conversation().await;
        let sent = phone.send_message(conversation, "Hello").await;
        assert_eq!(sent.status, TurnStatus::Completed);
        assert_eq!(env.provider.calls(), 1);
        assert_eq!(phone.persisted(sent.turn_id).await.text, sent.assistant_message.content);
        assert_eq!(phone.messages(conversation).await.len(), 2);
    }

    #[tokio::test]
    async fn client_address_header_is_ignored() {
        let env = TestEnv::start().await;
        let origin = env.client_of_origin().url("");
        let edge = Edge::start(&[("ORIGIN_URL", &origin), ("RATE_LIMIT_REQUESTS", "2")]).await;
        let statuses = edge.answers("CF-Connecting-IP", &["203.0.113.1", "203.0.113.2", "203.0.113.3"]).await;
        assert_eq!(statuses, [200, 200, 429]);
    }

    #[tokio::test]
    async fn client_address_is_read_from_trusted_proxy() {
        let env = TestEnv::start().await;
        let origin = env.client_of_origin().url("");
        let vars =
            [("ORIGIN_URL", &*origin), ("RATE_LIMIT_REQUESTS", "2"), ("CLIENT_IP_HEADER", "X-Forwarded-For")];
        let edge = Edge::start(&vars).await;
        let addresses = [
            "203.0.113.7",
            "198.51.100.1, 203.0.113.7",
            "198.51.100.2, 203.0.113.7",
            "203.0.113.7, 203.0.113.8",
        ];
        assert_eq!(edge.answers("X-Forwarded-For", &addresses).await, [200, 200, 429, 200]);
    }

    #[tokio::test]
    async fn production_without_gemini_key_does_not_start() {
        let folder = tempfile::tempdir().unwrap();
        let vars = [("EDGECHAT_ENV", "production"), ("SCRIPTED_GEMINI_URL", "http://127.0.0.1:9")];
        let mut command = script(folder.path(), &vars);
        let output = bounded("the script to end", command.stderr(Stdio::piped()).output()).await.unwrap();
        assert!(!output.status.success());
        assert_eq!(
            String::from_utf8_lossy(&output.stderr),
            "GEMINI_API_KEY: not set; it should hold a key of the Gemini API\n"
        );
    }
}
