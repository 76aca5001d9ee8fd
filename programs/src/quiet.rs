//! Runs code whose panics are expected, such as a subject's: keeps the message for the report and prints nothing.

use std::cell::{Cell, RefCell};
use std::sync::Once;

thread_local! {
    static QUIET: Cell<bool> = const { Cell::new(false) };
    static MESSAGE: RefCell<String> = const { RefCell::new(String::new()) };
}

static HOOK: Once = Once::new();

/// Runs `run` and returns its result. While it runs, a panic of this thread prints nothing, and [`last_message`] then
/// returns the panic's message. `run` must catch its panics itself: they still unwind.
pub fn quietly<T>(run: impl FnOnce() -> T) -> T {
    HOOK.call_once(|| {
        let previous = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if QUIET.get() {
                MESSAGE.with_borrow_mut(|message| {
                    let payload = info.payload();
                    let text = payload.downcast_ref::<&str>().copied();
                    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
                    *message = text.unwrap_or("(no message)").to_string();
                    if let Some(at) = info.location() {
                        message.push_str(&format!(" (line {} of {})", at.line(), file_name(at.file())));
                    }
                });
            } else {
                previous(info);
            }
        }));
    });
    let before = QUIET.replace(true);
    let result = run();
    QUIET.set(before);
    result
}

/// Returns the last component of the path, because reports must not depend on the folder of the sources.
fn file_name(path: &str) -> &str {
    path.rsplit(['/', '\\']).next().unwrap_or(path)
}

/// Returns the message and the place in the source of this thread's last panic inside [`quietly`]; empty if there was
/// none.
pub fn last_message() -> String {
    MESSAGE.with_borrow(Clone::clone)
}
