//! The atomic types of the page index, and the orderings that its correctness argument needs (see [`super::blocks`]).
//!
//! Under `--cfg loom` the types are loom's, so that `scripts/loom` runs reader and writers in every order that the
//! memory model allows. The environment variable `REALMODE_WEAKEN` may then name one ordering (for example
//! `publish-block`), which becomes Relaxed. The loom tests must fail with it; otherwise they would not prove that the
//! ordering is needed.

use core::sync::atomic::Ordering;

#[cfg(not(loom))]
pub use core::sync::atomic::{AtomicBool, AtomicU64};
#[cfg(loom)]
pub use loom::sync::atomic::{AtomicBool, AtomicU64};
#[cfg(not(loom))]
pub use once_cell::race::OnceBox;
#[cfg(loom)]
pub use stand_in::OnceBox;

/// Ordering for the store of a slot, Release: a reader that sees the slot's word sees the struct pages that were zeroed
/// before the store.
#[inline]
pub fn publish_block() -> Ordering {
    ordering("publish-block", Ordering::Release)
}

/// Ordering, Acquire, for the load of a slot by a reader that goes on to access the struct pages of its block.
#[inline]
pub fn see_block() -> Ordering {
    ordering("see-block", Ordering::Acquire)
}

#[cfg(not(loom))]
#[inline]
const fn ordering(_: &str, ordering: Ordering) -> Ordering {
    ordering
}

/// Returns `ordering`, or Relaxed if `REALMODE_WEAKEN` is `name`.
#[cfg(loom)]
fn ordering(name: &str, ordering: Ordering) -> Ordering {
    extern crate std;
    static WEAKEN: std::sync::OnceLock<std::string::String> = std::sync::OnceLock::new();
    let weaken = WEAKEN.get_or_init(|| std::env::var("REALMODE_WEAKEN").unwrap_or_default());
    if weaken == name { Ordering::Relaxed } else { ordering }
}

/// Loads a word that the caller exchanges afterwards.
#[cfg(not(loom))]
pub fn load_to_exchange(word: &AtomicU64) -> u64 {
    word.load(Ordering::Relaxed)
}

/// Loads a word that the caller exchanges afterwards. loom remembers only the last access to a word, so a plain load
/// here would hide earlier readers, and loom would skip every order in which a reader comes after the exchange. An
/// exchange that changes nothing hides no reader.
#[cfg(loom)]
pub fn load_to_exchange(word: &AtomicU64) -> u64 {
    word.fetch_add(0, Ordering::Relaxed)
}

/// A replacement for once_cell's `OnceBox` that loom can follow.
///
/// The code of once_cell itself does not run under loom. As in once_cell, each writer that finds no node makes its own,
/// and the first to exchange the pointer wins; at most `WRITERS` writers can do so. The orderings are those that
/// once_cell promises, unless `REALMODE_WEAKEN` names one to weaken. The nodes lie in cells that loom does not track,
/// and the pointer is a node's number.
#[cfg(loom)]
mod stand_in {
    extern crate alloc;
    extern crate std;

    use alloc::boxed::Box;
    use core::sync::atomic::Ordering::{self, Relaxed};
    use std::sync::OnceLock;

    use loom::sync::atomic::AtomicU64;

    /// Ordering for the store that publishes a node.
    fn publish_node() -> Ordering {
        super::ordering("publish-node", Ordering::Release)
    }

    /// Ordering for the load of a node's number.
    fn see_node() -> Ordering {
        super::ordering("see-node", Ordering::Acquire)
    }

    /// Largest number of calls of `OnceBox::get_or_init` on one box that find no node, in one run of a test. One more
    /// panics.
    const WRITERS: usize = 3;

    /// A node that is made and published once; see the module documentation.
    pub struct OnceBox<T> {
        /// Number of the winner's node, plus 1; 0 if no node is published.
        published: AtomicU64,
        /// The next writer's number. It is not part of the protocol, so loom does not track it.
        next: std::sync::atomic::AtomicUsize,
        nodes: [OnceLock<Box<T>>; WRITERS],
    }

    impl<T> OnceBox<T> {
        /// Makes a box in which no node is published.
        pub fn new() -> Self {
            let nodes = core::array::from_fn(|_| OnceLock::new());
            Self { published: AtomicU64::new(0), next: std::sync::atomic::AtomicUsize::new(0), nodes }
        }

        fn node(&self, published: u64) -> Option<&T> {
            let number = published.checked_sub(1)?;
            self.nodes.get(number as usize)?.get().map(|node| &**node)
        }

        /// Returns the node if this thread can see it.
        pub fn get(&self) -> Option<&T> {
            self.node(self.published.load(see_node()))
        }

        /// Returns the node. If this thread sees none, makes and publishes one; if another writer has published one
        /// meanwhile, returns that one instead.
        ///
        /// # Panics
        /// Panics if more than `WRITERS` calls on this box found no node.
        pub fn get_or_init(&self, make: impl FnOnce() -> Box<T>) -> &T {
            // An exchange that changes nothing instead of a load; `load_to_exchange` gives the reason.
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
