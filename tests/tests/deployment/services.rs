//! Tests of the services of docker-compose.yml: ports, limits, metrics.

use std::collections::BTreeSet;

use serde_json::Value;

use super::repository::{read, root, service, services, value};

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
        assert!(!service.contains("DATABASE_URL:"), "{name} uses the value of .env for another deployment");
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
    assert_eq!(value(&read("deploy/grafana/provisioning/dashboards/edgechat.yml"), "      path:"), folder);
    let source = read("deploy/grafana/provisioning/datasources/prometheus.yml");
    assert_eq!(value(&source, "    url:"), "http://prometheus:9090");
    assert!(source.contains("isDefault: true"));
    let ids: BTreeSet<_> =
        dashboard["panels"].as_array().unwrap().iter().map(|panel| panel["id"].as_u64()).collect();
    assert_eq!(ids.len(), dashboard["panels"].as_array().unwrap().len());
}
