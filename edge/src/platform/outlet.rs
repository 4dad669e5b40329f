//! A response's body that is written at its reader's pace.

use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    pin::{Pin, pin},
    rc::Rc,
    task::{Poll, Waker},
};

use futures_util::{
    Stream,
    future::{Either, select},
};
use wasm_bindgen::prelude::{Closure, wasm_bindgen};
use web_sys::ReadableStream;

use super::{Ticker, now};

#[wasm_bindgen(module = "/src/platform/crossings.js")]
extern "C" {
    #[wasm_bindgen(js_name = Outlet)]
    type JsOutlet;

    #[wasm_bindgen(constructor, js_class = "Outlet")]
    fn new(wake: &Closure<dyn FnMut(bool)>) -> JsOutlet;

    #[wasm_bindgen(method, getter, js_class = "Outlet")]
    fn stream(this: &JsOutlet) -> ReadableStream;

    #[wasm_bindgen(method, js_class = "Outlet")]
    fn write(this: &JsOutlet, bytes: &[u8]) -> bool;

    #[wasm_bindgen(method, js_class = "Outlet")]
    fn close(this: &JsOutlet);

    #[wasm_bindgen(method, js_name = breakOff, js_class = "Outlet")]
    fn break_off(this: &JsOutlet);
}

/// A body that is being written.
pub struct Outlet {
    js: JsOutlet,
    reader: Rc<Reader>,
    _wake: Closure<dyn FnMut(bool)>,
}

/// The state of the body's reader.
struct Reader {
    takes_more: Cell<bool>,
    has_gone: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Outlet {
    /// Creates an empty body.
    pub fn new() -> Self {
        let reader = Rc::new(Reader {
            takes_more: Cell::new(true),
            has_gone: Cell::new(false),
            waker: RefCell::default(),
        });
        let woken = Rc::clone(&reader);
        let wake: Closure<dyn FnMut(bool)> = Closure::new(move |is_there: bool| {
            woken.takes_more.set(true);
            woken.has_gone.set(!is_there);
            if let Some(waker) = woken.waker.take() {
                waker.wake();
            }
        });
        Self { js: JsOutlet::new(&wake), reader, _wake: wake }
    }

    /// Returns the body, for its response.
    pub fn stream(&self) -> ReadableStream {
        self.js.stream()
    }

    /// Writes the items of a source, as fast as the reader takes them, until the source ends or the reader disconnects. The
    /// connection of a reader that takes nothing for `stall_ms`, seen at a tick of `ticker`, is broken off.
    pub async fn pour(self, source: impl Stream<Item = Vec<u8>>, ticker: Rc<Ticker>, stall_ms: i64) {
        let mut source = pin!(source);
        loop {
            match self.write_until_full(source.as_mut()).await {
                Written::Full => {}
                Written::All => return self.js.close(),
                Written::Nowhere => return,
            }
            if !self.wait_taken(&ticker, stall_ms).await {
                return self.js.break_off();
            }
        }
    }

    async fn write_until_full(&self, mut source: Pin<&mut impl Stream<Item = Vec<u8>>>) -> Written {
        poll_fn(|context| {
            loop {
                if self.reader.has_gone.get() {
                    return Poll::Ready(Written::Nowhere);
                }
                if !self.reader.takes_more.get() {
                    return Poll::Ready(Written::Full);
                }
                self.reader.waker.replace(Some(context.waker().clone()));
                match source.as_mut().poll_next(context) {
                    Poll::Ready(Some(bytes)) => self.reader.takes_more.set(self.js.write(&bytes)),
                    Poll::Ready(None) => return Poll::Ready(Written::All),
                    Poll::Pending => return Poll::Pending,
                }
            }
        })
        .await
    }

    /// Waits until the reader has taken the written chunk, or has disconnected. Returns false when it does neither for so long.
    async fn wait_taken(&self, ticker: &Rc<Ticker>, stall_ms: i64) -> bool {
        let (since, mut ticks) = (now(), ticker.listen());
        loop {
            let (woken, ticked) = (pin!(self.reader.wait_woken()), pin!(ticks.next()));
            if let Either::Left(_) = select(woken, ticked).await {
                return true;
            }
            if now().millis_since(since) >= stall_ms {
                return false;
            }
        }
    }
}

/// The reason why writing paused or ended.
enum Written {
    /// The reader is to take a chunk first.
    Full,
    /// The source has ended.
    All,
    /// The reader has disconnected.
    Nowhere,
}

impl Reader {
    /// Waits until it takes more or has disconnected.
    async fn wait_woken(&self) {
        poll_fn(|context| {
            if self.takes_more.get() || self.has_gone.get() {
                return Poll::Ready(());
            }
            self.waker.replace(Some(context.waker().clone()));
            Poll::Pending
        })
        .await;
    }
}
