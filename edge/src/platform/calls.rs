//! HTTP calls whose loop is in JavaScript, which enters WASM with the head, with each chunk, and with the end.

use std::{
    cell::RefCell,
    collections::VecDeque,
    future::poll_fn,
    rc::{Rc, Weak},
    task::{Poll, Waker},
};

use wasm_bindgen::prelude::{Closure, wasm_bindgen};

use super::headers::{HeaderLines, HeaderValues};

/// The function that JavaScript calls, with a status and the values of the wanted headers, or with one of the numbers below.
type OnEvent = dyn FnMut(u16, Option<String>, Option<Vec<u8>>);
const CHUNK: u16 = 0;
const END: u16 = 1;
const BROKEN: u16 = 2;

#[wasm_bindgen(module = "/src/platform/crossings.js")]
extern "C" {
    #[wasm_bindgen(js_name = Call)]
    type JsCall;

    #[wasm_bindgen(constructor, js_class = "Call")]
    fn new(
        method: &str,
        url: &str,
        headers: &str,
        body: Option<&[u8]>,
        wanted: &str,
        on_event: &Closure<OnEvent>,
    ) -> JsCall;

    #[wasm_bindgen(method, js_class = "Call")]
    fn abort(this: &JsCall);

    fn values(headers: &web_sys::Headers, wanted: &str) -> String;
}

/// An event of a call, in this order: a head, chunks, and an end; `Broken` is the last at any point.
#[derive(Debug)]
pub enum CallEvent {
    /// The response's head.
    Head(ResponseHead),
    /// Bytes of its body.
    Chunk(Vec<u8>),
    /// The body is complete.
    End,
    /// The connection could not be made or broke, for this reason.
    Broken(String),
}

/// The head of a response.
#[derive(Debug)]
pub struct ResponseHead {
    /// The status.
    pub status: u16,
    headers: HeaderValues,
}

impl ResponseHead {
    /// Reads the head of a response, with the headers that are named.
    pub fn of(response: &web_sys::Response, wanted: &'static [&'static str]) -> Self {
        let values = values(&response.headers(), &wanted.join("\n"));
        Self { status: response.status(), headers: HeaderValues::new(wanted, values) }
    }

    /// Returns one of the wanted headers.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.headers.get(name)
    }
}

/// A running call. Dropping it aborts it.
pub struct HttpCall {
    inner: Rc<Inner>,
    is_over: bool,
}

/// A handle that aborts a call from outside.
#[derive(Debug)]
pub struct CallHandle(Weak<Inner>);

struct Inner {
    js: JsCall,
    inbox: Rc<RefCell<Inbox>>,
    _on_event: Closure<OnEvent>,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HttpCall")
    }
}

#[derive(Default)]
struct Inbox {
    events: VecDeque<CallEvent>,
    waker: Option<Waker>,
}

impl Inbox {
    fn push(&mut self, event: CallEvent) {
        self.events.push_back(event);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

impl HttpCall {
    /// Begins a call, which is sent when this returns. An empty body is none. `wanted` are the headers of the response that its
    /// head has.
    pub fn begin(
        method: &str,
        url: &str,
        headers: &HeaderLines,
        body: &[u8],
        wanted: &'static [&'static str],
    ) -> Self {
        let inbox: Rc<RefCell<Inbox>> = Rc::default();
        let events = Rc::clone(&inbox);
        let on_event: Closure<OnEvent> =
            Closure::new(move |what, text: Option<String>, bytes: Option<Vec<u8>>| {
                let event = match what {
                    CHUNK => CallEvent::Chunk(bytes.unwrap_or_default()),
                    END => CallEvent::End,
                    BROKEN => CallEvent::Broken(text.unwrap_or_default()),
                    status => CallEvent::Head(ResponseHead {
                        status,
                        headers: HeaderValues::new(wanted, text.unwrap_or_default()),
                    }),
                };
                events.borrow_mut().push(event);
            });
        let body = (!body.is_empty()).then_some(body);
        let js = JsCall::new(method, url, headers.as_str(), body, &wanted.join("\n"), &on_event);
        Self { inner: Rc::new(Inner { js, inbox, _on_event: on_event }), is_over: false }
    }

    /// Returns a handle that aborts the call from outside, which then ends as broken.
    pub fn handle(&self) -> CallHandle {
        CallHandle(Rc::downgrade(&self.inner))
    }

    /// Waits for the next event. Dropping the future loses none.
    pub async fn next(&mut self) -> CallEvent {
        let inbox = &self.inner.inbox;
        let event = poll_fn(|context| {
            let mut inbox = inbox.borrow_mut();
            let event = inbox.events.pop_front();
            if event.is_none() {
                inbox.waker = Some(context.waker().clone());
            }
            event.map_or(Poll::Pending, Poll::Ready)
        })
        .await;
        self.is_over |= matches!(event, CallEvent::End | CallEvent::Broken(_));
        event
    }

    /// Reads the whole response.
    ///
    /// # Errors
    /// Fails with the reason when the call breaks; a body of more than `max_bytes` is aborted.
    pub async fn whole(mut self, max_bytes: usize) -> Result<(ResponseHead, Vec<u8>), String> {
        let mut answer: Option<(ResponseHead, Vec<u8>)> = None;
        loop {
            match (self.next().await, &mut answer) {
                (CallEvent::Head(head), _) => answer = Some((head, Vec::new())),
                (CallEvent::Chunk(bytes), Some((_, body))) => {
                    if body.len() + bytes.len() > max_bytes {
                        return Err(format!("the answer is longer than {max_bytes} bytes"));
                    }
                    // The first chunk is often the whole body.
                    if body.is_empty() { *body = bytes } else { body.extend_from_slice(&bytes) }
                }
                (CallEvent::End, Some(_)) => break,
                (CallEvent::Broken(why), _) => return Err(why),
                (CallEvent::Chunk(_) | CallEvent::End, None) => {
                    return Err("the answer has no head".to_owned());
                }
            }
        }
        answer.ok_or_else(|| "the answer has no head".to_owned())
    }
}

impl Drop for HttpCall {
    fn drop(&mut self) {
        if !self.is_over {
            self.inner.js.abort();
        }
    }
}

impl CallHandle {
    /// Aborts the call, if it is still running.
    pub fn abort(&self) {
        if let Some(call) = self.0.upgrade() {
            call.js.abort();
            call.inbox.borrow_mut().push(CallEvent::Broken("cut off".to_owned()));
        }
    }
}
