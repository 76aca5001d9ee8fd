//! loom tests of readers against hot-plug, run by `scripts/loom`. A test with one writer runs every order that the
//! memory model allows; the test with two writers runs every order with at most three preemptions.

extern crate std;

use core::sync::atomic::Ordering::Relaxed;

use loom::sync::Arc;
use loom::sync::atomic::AtomicU64;
use loom::thread;

use super::blocks::BlockIndex;

/// Real addresses of a block: the first place, and the place after a second hot-add.
const PLACES: [u64; 2] = [0x1000, 0x2000];

/// The index, and for each place one word of its struct pages. The word is 7 until the host zeroes it for a block that
/// it adds there.
struct Machine {
    index: BlockIndex,
    words: [AtomicU64; 2],
}

impl Machine {
    fn new() -> Arc<Self> {
        Arc::new(Self { index: BlockIndex::default(), words: [AtomicU64::new(7), AtomicU64::new(7)] })
    }

    /// Acts as the host: zeroes the word of struct pages at `PLACES[place]`, then adds the block there to the index.
    fn hot_add(&self, block: u64, place: usize) {
        self.words[place].store(0, Relaxed);
        self.index.add(block, &mut [PLACES[place]].into_iter());
    }

    /// Looks a block up as a reader. Returns the block's real address, or `None` if the reader sees no block.
    ///
    /// # Panics
    /// Panics if the address is none of [`PLACES`], or if the struct pages there are not zeroed.
    fn look(&self, block: u64) -> Option<u64> {
        let found = self.index.get(block)?;
        let place = PLACES.iter().position(|place| *place == found).expect("a place that the block had");
        assert_eq!(self.words[place].load(Relaxed), 0, "struct pages that were not zeroed yet");
        Some(found)
    }
}

#[test]
fn loom_a_reader_sees_zeroed_struct_pages_or_no_block() {
    loom::model(|| {
        let machine = Machine::new();
        let writer = Arc::clone(&machine);
        let writer = thread::spawn(move || writer.hot_add(0, 0));
        machine.look(0);
        writer.join().expect("no panic");
        assert_eq!(machine.look(0), Some(PLACES[0]));
    });
}

/// The leaf exists from the start, so only the orderings of the slot protect the reader of the struct pages.
#[test]
fn loom_a_block_that_goes_and_comes_elsewhere_is_never_mixed_up() {
    loom::model(|| {
        let machine = Machine::new();
        machine.hot_add(0, 0);
        let writer = Arc::clone(&machine);
        let writer = thread::spawn(move || {
            writer.index.remove(0);
            writer.hot_add(0, 1);
        });
        // The two lookups may run before, between or after the writer's changes.
        let (first, second) = (machine.look(0), machine.look(0));
        assert!(!(first == Some(PLACES[1]) && second == Some(PLACES[0])), "the old place after the new one");
        writer.join().expect("no panic");
        assert_eq!(machine.look(0), Some(PLACES[1]));
    });
}

/// A block that two sections need stays while one of the sections is removed and a neighbour in the same leaf is added.
#[test]
fn loom_a_block_that_is_needed_is_never_missed() {
    loom::model(|| {
        let machine = Machine::new();
        machine.hot_add(0, 0);
        machine.index.add(0, &mut [].into_iter());
        let writer = Arc::clone(&machine);
        let writer = thread::spawn(move || {
            writer.index.remove(0);
            writer.hot_add(1, 1);
        });
        assert_eq!(machine.look(0), Some(PLACES[0]));
        machine.look(1);
        writer.join().expect("no panic");
        assert_eq!((machine.look(0), machine.look(1)), (Some(PLACES[0]), Some(PLACES[1])));
    });
}

/// Two writers add neighbours in a leaf that neither has made yet. The test runs only orders with at most three
/// preemptions, because three threads have too many orders: a run of all of them did not end within ten minutes.
#[test]
fn loom_writers_of_different_blocks_do_not_disturb_each_other() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(|| {
        let machine = Machine::new();
        let writers = [0, 1].map(|block| {
            let machine = Arc::clone(&machine);
            thread::spawn(move || machine.hot_add(block, block as usize))
        });
        machine.look(1);
        for writer in writers {
            writer.join().expect("no panic");
        }
        assert_eq!((machine.look(0), machine.look(1)), (Some(PLACES[0]), Some(PLACES[1])));
    });
}
