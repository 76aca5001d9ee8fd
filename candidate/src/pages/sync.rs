//! The atomics of the page index, and the orderings that its argument rests on (see [`super::blocks`]).
//!
//! Under `--cfg loom` they are loom's, so that `scripts/loom` runs reader and writers in every order that the memory model allows. There
//! the environment may name one of the orderings (`REALMODE_WEAKEN=publish-block`), which is then relaxed: the test must fail, or it
//! would prove nothing.

use core::sync::atomic::Ordering;

#[cfg(not(loom))]
pub use core::sync::atomic::{AtomicBool, AtomicU64};
#[cfg(loom)]
pub use loom::sync::atomic::{AtomicBool, AtomicU64};
#[cfg(not(loom))]
pub use once_cell::race::OnceBox;
#[cfg(loom)]
pub use stand_in::OnceBox;

/// How a slot's word is stored: who sees it sees the struct pages that were zeroed before.
#[inline]
pub fn publish_block() -> Ordering {
    ordering("publish-block", Ordering::Release)
}

/// How a slot's word is loaded by those who go on to the struct pages.
#[inline]
pub fn see_block() -> Ordering {
    ordering("see-block", Ordering::Acquire)
}

#[cfg(not(loom))]
#[inline]
const fn ordering(_: &str, ordering: Ordering) -> Ordering {
    ordering
}

/// The ordering of that name, unless it is the one to be taken away.
#[cfg(loom)]
fn ordering(name: &str, ordering: Ordering) -> Ordering {
    extern crate std;
    static WEAKEN: std::sync::OnceLock<std::string::String> = std::sync::OnceLock::new();
    let weaken = WEAKEN.get_or_init(|| std::env::var("REALMODE_WEAKEN").unwrap_or_default());
    if weaken == name { Ordering::Relaxed } else { ordering }
}

/// Loads a word that the caller goes on to exchange.
#[cfg(not(loom))]
pub fn load_to_exchange(word: &AtomicU64) -> u64 {
    word.load(Ordering::Relaxed)
}

/// loom remembers the last access of a word only: a plain load would hide the readers before it, and with them every order in which a
/// reader comes behind the exchange. An exchange that changes nothing hides nobody.
#[cfg(loom)]
pub fn load_to_exchange(word: &AtomicU64) -> u64 {
    word.fetch_add(0, Ordering::Relaxed)
}

/// What loom knows of a node that is published once.
///
/// once_cell's own code is not run. As there, each writer that finds nothing makes a node of its own, and the first to exchange the pointer
/// wins; the orderings are those that once_cell promises. The nodes lie in cells that loom does not see, the pointer is their number.
#[cfg(loom)]
mod stand_in {
    extern crate alloc;
    extern crate std;

    use alloc::boxed::Box;
    use core::sync::atomic::Ordering::{self, Relaxed};
    use std::sync::OnceLock;

    use loom::sync::atomic::AtomicU64;

    /// How a node is published.
    fn publish_node() -> Ordering {
        super::ordering("publish-node", Ordering::Release)
    }

    /// How it is seen.
    fn see_node() -> Ordering {
        super::ordering("see-node", Ordering::Acquire)
    }

    /// Most writers that make a node at a time in a test.
    const WRITERS: usize = 3;

    /// See the module's text.
    pub struct OnceBox<T> {
        /// The winner's number + 1, 0 for none.
        published: AtomicU64,
        /// Numbers for writers; not a part of the protocol, so loom does not see it either.
        next: std::sync::atomic::AtomicUsize,
        nodes: [OnceLock<Box<T>>; WRITERS],
    }

    impl<T> OnceBox<T> {
        /// Nothing is published.
        pub fn new() -> Self {
            let nodes = core::array::from_fn(|_| OnceLock::new());
            Self { published: AtomicU64::new(0), next: std::sync::atomic::AtomicUsize::new(0), nodes }
        }

        fn node(&self, published: u64) -> Option<&T> {
            let number = published.checked_sub(1)?;
            self.nodes.get(number as usize)?.get().map(|node| &**node)
        }

        /// The node, once this thread can know of it.
        pub fn get(&self) -> Option<&T> {
            self.node(self.published.load(see_node()))
        }

        /// The node, made if need be.
        pub fn get_or_init(&self, make: impl FnOnce() -> Box<T>) -> &T {
            // An exchange that changes nothing, for the reason given at `load_to_exchange`.
            if let Some(node) = self.node(self.published.fetch_add(0, see_node())) {
                return node;
            }
            let number = self.next.fetch_add(1, Relaxed);
            let own = self.nodes.get(number).expect("more writers than a test may have").get_or_init(make);
            match self.published.compare_exchange(0, (number as u64).wrapping_add(1), publish_node(), see_node()) {
                Ok(_) => own,
                Err(winner) => self.node(winner).unwrap_or(own),
            }
        }
    }
}
