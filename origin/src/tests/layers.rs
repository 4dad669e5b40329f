//! Signatures and tokens that routes ask for, as the route table says.

use shared::api::routes::{Caller, ROUTES, Server};

use super::test_env::{Call, START, TestEnv, problem};

/// Everything that is off unless it is configured, so that every route is served.
const EVERYTHING: [(&str, &str); 5] = [
    ("APPLE_APP_IDS", "A1B2C3D4E5.com.example.chat"),
    (
        "ANDROID_APPS",
        "com.example.chat:14:6D:E9:83:C5:73:06:50:D8:EE:B9:95:2F:34:FC:64:16:A0:83:42:E6:1D:BE:A8:8A:04:96:B2:3F:CF:44:E5",
    ),
    ("PASSKEY_RP_ID", "example.com"),
    ("GOOGLE_CLIENT_IDS", "a"),
    ("APPLE_CLIENT_IDS", "b"),
];

#[tokio::test]
async fn route_is_served_behind_the_layer_of_its_caller() {
    let development = TestEnv::with(&EVERYTHING).await;
    let production = TestEnv::with(&[&EVERYTHING[..], &[("EDGECHAT_ENV", "production")]].concat()).await;
    let id = production.app.random.id(START).to_string();
    for route in ROUTES.iter().filter(|route| route.server == Server::Origin) {
        let call = Call::new(route.method.as_str(), route.path.replace("{id}", &id).replace("{mid}", &id));
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
