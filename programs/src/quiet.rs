//! Runs code whose panics are expected, such as a subject's: keeps the message for the report and prints nothing.

use std::cell::{Cell, RefCell};
use std::sync::Once;

thread_local! {
    static QUIET: Cell<bool> = const { Cell::new(false) };
    static MESSAGE: RefCell<String> = const { RefCell::new(String::new()) };
}

static HOOK: Once = Once::new();

/// Runs `run`. A panic on this thread meanwhile prints nothing, and [`last_message`] returns its message. The panic
/// still unwinds: the caller catches it inside `run`.
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

/// Returns the last component of the path: reports must not depend on where the sources lie.
fn file_name(path: &str) -> &str {
    path.rsplit(['/', '\\']).next().unwrap_or(path)
}

/// Returns the message and place of the last panic on this thread inside [`quietly`]; empty if there was none.
pub fn last_message() -> String {
    MESSAGE.with_borrow(Clone::clone)
}
