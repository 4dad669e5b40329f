//! One interval shared by all periodic work of an object.

use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    rc::Rc,
    task::{Poll, Waker},
};

use wasm_bindgen::prelude::{Closure, JsValue, wasm_bindgen};

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_name = setInterval)]
    fn set_interval(tick: &Closure<dyn FnMut()>, every_ms: u32) -> JsValue;

    #[wasm_bindgen(js_name = clearInterval)]
    fn clear_interval(interval: &JsValue);
}

/// An interval that runs as long as it has listeners; an idle object has no timer, and can hibernate.
pub struct Ticker {
    every_ms: u32,
    interval: RefCell<Option<Interval>>,
    shared: Rc<Shared>,
}

struct Interval {
    id: JsValue,
    _tick: Closure<dyn FnMut()>,
}

#[derive(Default)]
struct Shared {
    count: Cell<u64>,
    listeners: Cell<usize>,
    wakers: RefCell<Vec<Waker>>,
}

impl Ticker {
    /// Creates a ticker with this period, which starts with the first listener.
    pub fn new(every_ms: u32) -> Rc<Self> {
        Rc::new(Self { every_ms, interval: RefCell::default(), shared: Rc::default() })
    }

    /// Listens for ticks until the value is dropped.
    pub fn listen(self: &Rc<Self>) -> Ticks {
        self.shared.listeners.set(self.shared.listeners.get() + 1);
        self.interval.borrow_mut().get_or_insert_with(|| {
            let shared = Rc::clone(&self.shared);
            let tick: Closure<dyn FnMut()> = Closure::new(move || {
                shared.count.set(shared.count.get() + 1);
                for waker in shared.wakers.take() {
                    waker.wake();
                }
            });
            Interval { id: set_interval(&tick, self.every_ms), _tick: tick }
        });
        Ticks { ticker: Rc::clone(self), seen: self.shared.count.get() }
    }
}

/// The ticks from a moment on.
pub struct Ticks {
    ticker: Rc<Ticker>,
    seen: u64,
}

impl Ticks {
    /// Waits for the next tick that was not seen yet.
    pub async fn next(&mut self) {
        let shared = &self.ticker.shared;
        let seen = self.seen;
        poll_fn(|context| {
            if shared.count.get() > seen {
                return Poll::Ready(());
            }
            let mut wakers = shared.wakers.borrow_mut();
            if !wakers.iter().any(|waker| waker.will_wake(context.waker())) {
                wakers.push(context.waker().clone());
            }
            Poll::Pending
        })
        .await;
        self.seen = shared.count.get();
    }
}

impl Drop for Ticks {
    fn drop(&mut self) {
        let shared = &self.ticker.shared;
        shared.listeners.set(shared.listeners.get().saturating_sub(1));
        if shared.listeners.get() == 0
            && let Some(interval) = self.ticker.interval.take()
        {
            clear_interval(&interval.id);
        }
    }
}
