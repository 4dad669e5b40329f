//! Requests and responses of the platform, read and created with one call to JavaScript each.

use js_sys::Promise;
use wasm_bindgen::{JsCast, JsValue, prelude::wasm_bindgen};
use wasm_bindgen_futures::JsFuture;
use web_sys::{AbortSignal, Request, Response};
use worker::Result;

use super::headers::{HeaderLines, HeaderValues};

#[wasm_bindgen(module = "/src/platform/crossings.js")]
extern "C" {
    fn describe(request: &Request, wanted: &str) -> String;

    #[wasm_bindgen(js_name = handOver, catch)]
    fn hand_over_to(
        object: &JsValue,
        method: &str,
        url: &str,
        request: Option<&Request>,
        with_body: bool,
        name: &str,
        value: &str,
    ) -> std::result::Result<Promise, JsValue>;

    #[wasm_bindgen(js_name = send)]
    fn send_request(
        method: &str,
        url: &str,
        headers: &str,
        body: Option<&[u8]>,
        signal: Option<&AbortSignal>,
    ) -> Promise;

    #[wasm_bindgen(js_name = own, catch)]
    fn own_response(response: &Response, body: &JsValue) -> std::result::Result<Response, JsValue>;

    #[wasm_bindgen(js_name = dress)]
    fn dress_response(response: &Response, headers: &str);
}

/// An incoming request.
#[derive(Debug)]
pub struct Incoming {
    request: Request,
    /// The method as it was sent; the platform's enumeration maps unknown methods to GET.
    pub method: String,
    /// The address.
    pub url: String,
    headers: HeaderValues,
}

impl Incoming {
    /// Reads a request's head, with the headers that are named.
    pub fn new(request: Request, wanted: &'static [&'static str]) -> Self {
        let described = describe(&request, &wanted.join("\n"));
        let mut parts = described.splitn(3, '\n').map(str::to_owned);
        let mut next = || parts.next().unwrap_or_default();
        let (method, url) = (next(), next());
        Self { request, method, url, headers: HeaderValues::new(wanted, next()) }
    }

    /// Returns the platform's request.
    pub const fn request(&self) -> &Request {
        &self.request
    }

    /// Returns one of the headers that were named.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)
    }
}

/// A request for a Durable Object.
#[derive(Clone, Copy, Debug)]
pub struct Handed<'a> {
    /// The method.
    pub method: &'a str,
    /// The address.
    pub url: &'a str,
    /// The request whose headers it has, if any.
    pub request: Option<&'a Request>,
    /// True when it has that request's method and body as well.
    pub has_body: bool,
    /// A header, its name and its value, in place of that request's own.
    pub header: (&'a str, &'a str),
}

/// Sends a request to a Durable Object.
pub async fn hand_over(object: &JsValue, handed: Handed<'_>) -> Result<Response> {
    let Handed { method, url, request, has_body, header: (name, value) } = handed;
    let answer = hand_over_to(object, method, url, request, has_body, name, value)?;
    Ok(JsFuture::from(answer).await?.dyn_into()?)
}

/// Sends a request and returns the response with its body unread. An empty body is none.
pub async fn send(
    method: &str,
    url: &str,
    headers: &HeaderLines,
    body: &[u8],
    signal: Option<&AbortSignal>,
) -> Result<Response> {
    let body = (!body.is_empty()).then_some(body);
    Ok(JsFuture::from(send_request(method, url, headers.as_str(), body, signal)).await?.dyn_into()?)
}

/// Copies a fetched response, so that its headers can be changed.
pub fn own(response: &Response) -> Result<Response> {
    Ok(own_response(response, &JsValue::UNDEFINED)?)
}

/// Copies the head of a fetched response with another body; none when it is null.
pub fn own_with_body(response: &Response, body: &JsValue) -> Result<Response> {
    Ok(own_response(response, body)?)
}

/// Sets headers of an own response; `Vary` is appended to.
pub fn dress(response: &Response, headers: &HeaderLines) {
    dress_response(response, headers.as_str());
}
