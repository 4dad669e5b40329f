//! A response's body that is written at its reader's pace.

use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    pin::pin,
    rc::Rc,
    task::{Poll, Waker},
};

use futures_util::Stream;
use wasm_bindgen::prelude::{Closure, wasm_bindgen};
use web_sys::ReadableStream;

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

    /// Writes the items of a source, as fast as the reader takes them, until the source ends or the reader disconnects.
    pub async fn pour(self, source: impl Stream<Item = Vec<u8>>) {
        let mut source = pin!(source);
        poll_fn(|context| {
            loop {
                if self.reader.has_gone.get() {
                    return Poll::Ready(());
                }
                self.reader.waker.replace(Some(context.waker().clone()));
                if !self.reader.takes_more.get() {
                    return Poll::Pending;
                }
                match source.as_mut().poll_next(context) {
                    Poll::Ready(Some(bytes)) => self.reader.takes_more.set(self.js.write(&bytes)),
                    Poll::Ready(None) => {
                        self.js.close();
                        return Poll::Ready(());
                    }
                    Poll::Pending => return Poll::Pending,
                }
            }
        })
        .await;
    }
}
