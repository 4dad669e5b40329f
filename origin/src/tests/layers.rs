//! Signatures and tokens that routes ask for, as the route table says.

use shared::api::routes::{Caller, ROUTES, Server};

use super::test_env::{Call, START, TestEnv, problem};

#[tokio::test]
async fn route_is_served_behind_the_layer_of_its_caller() {
    let development = TestEnv::new().await;
    let production = TestEnv::with(&[("EDGECHAT_ENV", "production")]).await;
    let id = production.app.random.id(START).to_string();
    for route in ROUTES.iter().filter(|route| route.server == Server::Origin) {
        let call = Call::new(route.method.as_str(), route.path.replace("{id}", &id));
        let place = format!("{} {}", route.method.as_str(), route.path);

        let unsigned = production.send(call.clone()).await;
        assert_eq!(unsigned.status == 403, route.caller != Caller::Anyone, "{place}");
        let unsigned = development.send(call.clone()).await;
        assert_eq!(unsigned.status == 403, route.caller.is_internal(), "{place}");

        let signed = production.send(production.sign(call, "203.0.113.7")).await;
        match route.caller {
            Caller::User | Caller::Edge | Caller::Origin => {
                assert_eq!(signed.problem(), problem(401, "token_missing"), "{place}");
            }
            // Those without a body that they need say so.
            Caller::Anyone | Caller::Client => assert!([200, 201, 400].contains(&signed.status), "{place}"),
        }
    }
}
