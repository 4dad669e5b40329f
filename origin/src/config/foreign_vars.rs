//! Variables of other parts in the same `.env` file. They are validated here, so that one `edgechat check-config` finds a
//! typing error in any of them; the origin does not use them.

use shared::{
    api::models,
    http::{
        base_url,
        cors::{self, CorsPolicy},
    },
};

use super::{
    process::Environment,
    reader::{Reader, UNSET, masked, quoted},
};

/// Validates `CORS_ORIGINS`, `CORS_ALLOWED_HEADERS`, `DEFAULT_MODEL`, `GEMINI_API_BASE`, `ORIGIN_URL`,
/// `PROVIDER_TRACEPARENT` and the variables of payments.
pub(super) fn check(reader: &mut Reader<'_>, environment: Environment) {
    if let Some(text) = reader.text("CORS_ORIGINS")
        && let Err(reason) = CorsPolicy::parse(text)
    {
        reader.wrong(
            "CORS_ORIGINS",
            quoted(text),
            format!("it should hold *, a comma list or a JSON list: {reason}"),
        );
    }
    if let Some(name) = reader.text("DEFAULT_MODEL")
        && models::resolve(name).is_none()
    {
        let known: Vec<_> = models::MODELS.iter().map(|model| model.id).collect();
        reader.wrong("DEFAULT_MODEL", quoted(name), format!("it should hold one of {}", known.join(", ")));
    }
    if let Some(text) = reader.text("CORS_ALLOWED_HEADERS")
        && let Err(reason) = cors::request_headers(text)
    {
        reader.wrong(
            "CORS_ALLOWED_HEADERS",
            quoted(text),
            format!("it should hold a comma list of headers: {reason}"),
        );
    }
    for variable in ["GEMINI_API_BASE", "ORIGIN_URL", "STRIPE_API_BASE"] {
        if let Some(text) = reader.text(variable)
            && let Err(reason) = base_url::parse(text, environment == Environment::Production)
        {
            reader.wrong(variable, quoted(text), reason);
        }
    }
    reader.flag("PROVIDER_TRACEPARENT", false);
    payments(reader, environment);
}

fn payments(reader: &mut Reader<'_>, environment: Environment) {
    let Some(key) = reader.text("STRIPE_SECRET_KEY") else { return };
    if !key.starts_with("sk_") && !key.starts_with("rk_") {
        reader.wrong(
            "STRIPE_SECRET_KEY",
            masked(key),
            "it should hold a secret key of Stripe, which begins with sk_ or rk_",
        );
    }
    if environment == Environment::Production && reader.text("STRIPE_WEBHOOK_SECRET").is_none() {
        let wanted = "it should hold the signing secret of the webhook endpoint, as STRIPE_SECRET_KEY is set";
        reader.wrong("STRIPE_WEBHOOK_SECRET", UNSET, wanted);
    }
}
