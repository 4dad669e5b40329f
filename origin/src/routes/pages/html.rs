//! The frame of a page. Every text that is put into it is escaped.

use std::{fmt::Write as _, sync::LazyLock};

use axum::{
    http::{
        HeaderValue, StatusCode,
        header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY},
    },
    response::{IntoResponse as _, Response},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use shared::auth::edge::sha256;

const STYLE: &str = "\
    :root{color-scheme:light dark}\
    body{font:1.0625rem/1.5 system-ui,sans-serif;margin:0 auto;max-width:28rem;padding:2rem 1rem;overflow-wrap:anywhere}\
    h1{font-size:1.375rem}\
    label{display:block}\
    input{box-sizing:border-box;font:inherit;margin:.25rem 0 1rem;padding:.5rem;width:100%}\
    button{font:inherit;padding:.5rem 1.25rem}\
    .problem{border-left:.25rem solid #c62828;padding-left:.75rem}";

/// The page loads nothing, runs nothing, is framed by nobody, and its form goes where it came from.
static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let style = STANDARD.encode(sha256(STYLE.as_bytes()));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{style}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    );
    HeaderValue::try_from(policy).unwrap_or_else(|_| HeaderValue::from_static("default-src 'none'"))
});

/// A page.
pub(super) struct Page {
    title: &'static str,
    body: String,
}

impl Page {
    pub(super) fn new(title: &'static str) -> Self {
        Self { title, body: String::new() }
    }

    /// Adds a paragraph.
    pub(super) fn text(mut self, text: &str) -> Self {
        self.push(format_args!("<p>{}</p>", escaped(text)));
        self
    }

    /// Adds a paragraph that says what was wrong with the form.
    pub(super) fn problem(mut self, text: &str) -> Self {
        self.push(format_args!("<p class=\"problem\" role=\"alert\">{}</p>", escaped(text)));
        self
    }

    /// Begins a form that is sent to this path, with the token of the link.
    pub(super) fn form(mut self, path: &str, token: &str) -> Self {
        self.push(format_args!(
            "<form method=\"post\" action=\"{}\"><input type=\"hidden\" name=\"token\" value=\"{}\">",
            escaped(path),
            escaped(token)
        ));
        self
    }

    /// Adds an address that the user does not change, with which a password manager keeps the password.
    pub(super) fn username(mut self, email: &str) -> Self {
        self.push(format_args!(
            "<label>E-mail<input type=\"email\" autocomplete=\"username\" value=\"{}\" readonly></label>",
            escaped(email)
        ));
        self
    }

    /// Adds the field of a new password.
    pub(super) fn new_password(mut self, name: &str, least: usize, most: usize) -> Self {
        self.push(format_args!(
            "<label>New password<input type=\"password\" name=\"{}\" autocomplete=\"new-password\" \
             minlength=\"{least}\" maxlength=\"{most}\" required></label>",
            escaped(name)
        ));
        self
    }

    /// Ends a form with its button.
    pub(super) fn button(mut self, text: &str) -> Self {
        self.push(format_args!("<button>{}</button></form>", escaped(text)));
        self
    }

    /// Returns the page of an app. It is kept nowhere, and its address, which has a token, is told nobody.
    pub(super) fn response(self, app_name: &str, status: StatusCode) -> Response {
        let (title, app) = (escaped(self.title), escaped(app_name));
        let html = format!(
            "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
             <meta name=\"robots\" content=\"noindex\"><title>{title} – {app}</title><style>{STYLE}</style></head>\
             <body><main><h1>{title}</h1>{}</main></body></html>",
            self.body
        );
        let headers = [
            (CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
            (CONTENT_SECURITY_POLICY, POLICY.clone()),
            (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
            (CACHE_CONTROL, HeaderValue::from_static("no-store")),
        ];
        (status, headers, html).into_response()
    }

    fn push(&mut self, part: std::fmt::Arguments<'_>) {
        // Writing to a string does not fail.
        let _ = self.body.write_fmt(part);
    }
}

/// Returns a text as it stands in HTML, between tags or in a quoted attribute.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn text_adds_no_tag_and_no_attribute(text in ".{0,40}") {
            let escaped = escaped(&text);
            prop_assert!(!escaped.contains(['<', '>', '"', '\'']), "{escaped}");
            let decoded = escaped.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"");
            prop_assert_eq!(decoded.replace("&#39;", "'").replace("&amp;", "&"), text);
        }
    }
}
