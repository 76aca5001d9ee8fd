//! Impossible states of the simulated machine itself: `HARNESS.FAULT`.
//!
//! A fault is never the subject's mistake. [`RealMemory`](super::RealMemory) keeps the first one. Results of a program
//! after it mean nothing.

use core::fmt;

use contract::StepKind;
use contract::addr::{Hva, Liobn, Pfn, RealAddr};

use super::account::Account;
use super::region::Region;

/// An impossible state of the harness: its kind, its place, and the values that show it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Fault {
    /// A store found no frame left and is lost: the program touches 64 MiB more memory than [`Program::frames_bound`]
    /// says.
    ///
    /// [`Program::frames_bound`]: contract::Program::frames_bound
    NoFrame {
        /// The word that was to be stored.
        place: Unstored,
        /// Number of frames of 4 KiB, all of which are in use.
        frames: u32,
    },
    /// A CPU has a number that no vCPU has.
    Vcpu {
        /// Its number.
        vcpu: u8,
    },
    /// A region is empty, or does not start at a multiple of 4 KiB.
    RegionShape(Region),
    /// Two regions overlap, or are in the wrong order.
    RegionsOverlap(Region, Region),
    /// The host removes a region that does not exist.
    NoRegion {
        /// Real address at which the region would start.
        start: u64,
    },
    /// A block is backed twice, or out of order.
    BlockTwice {
        /// Its number.
        number: u64,
    },
    /// A block is not backed but should be, or the memory model has no blocks.
    NoBlock {
        /// Its number.
        number: u64,
    },
    /// A block and the region of its struct pages do not match.
    BlockRegion {
        /// The block's number; for an array of struct pages, 0.
        number: u64,
        /// Real address of the block, or of the region.
        real: RealAddr,
    },
    /// The host stores to a struct page that is not backed.
    NoStructPage {
        /// The page.
        pfn: Pfn,
    },
    /// The account has a negative number of holders of a page, or holders of a page that none can name.
    Holders {
        /// The page.
        pfn: Pfn,
        /// Page-table entries and hardware TCEs that name the page, as the account has it.
        holders: i32,
    },
    /// A page that entries name has a negative number of own references.
    Owed {
        /// The page.
        pfn: Pfn,
        /// Its account.
        account: Account,
    },
    /// The account has another number of holders than the page table and the hardware tables.
    Recount {
        /// The page.
        pfn: Pfn,
        /// Holders in the account.
        account: i32,
        /// Holders that the new count gives.
        counted: i32,
    },
    /// The account differs from the reference, although the image does not.
    Account {
        /// The page.
        pfn: Pfn,
        /// The account beside the image.
        memory: Account,
        /// The account that the reference has.
        reference: Account,
    },
    /// The host sets a page-table entry over another one.
    MappedTwice {
        /// The hva of the other entry.
        hva: Hva,
    },
    /// The host sets a page-table entry inside a huge one.
    InsideHuge {
        /// The hva of the page.
        hva: Hva,
    },
    /// A word of the page table is neither an entry nor the right part of the huge entry around it.
    PageTable {
        /// The hva of its page.
        hva: Hva,
        /// The word.
        word: u64,
    },
    /// The host makes a compound page where one exists or with an order that does not fit there, or splits one that
    /// does not exist.
    Compound {
        /// Its head.
        pfn: Pfn,
        /// Its order; 0 if there is no compound page.
        order: u32,
    },
    /// A struct page differs from the host's record of compound pages.
    CompoundWord {
        /// The page.
        pfn: Pfn,
        /// Offset in its struct page.
        offset: u64,
        /// The word that the host stored; of the flags, HEAD and TAIL alone.
        expected: u64,
        /// The word that is there.
        found: u64,
    },
    /// The host gets a step whose precondition fails, or that is not a host step.
    Precondition {
        /// The kind of step.
        step: StepKind,
        /// The precondition.
        needs: &'static str,
        /// The address, pfn or number that it is about.
        at: u64,
    },
    /// The vmemmap list has no room for a node.
    ListFull {
        /// Real address at which the node would begin.
        node: RealAddr,
    },
    /// A word of the vmemmap list does not match the backed blocks.
    List {
        /// Real address of the word.
        at: RealAddr,
        /// The word that the blocks give.
        expected: u64,
        /// The word that is there.
        found: u64,
    },
    /// The directory of frames does not lead to a frame, or leads to one that is not in use.
    Directory {
        /// The frame's number.
        frame: u32,
    },
    /// A frame has words that are not zero outside the range that was stored to.
    Range {
        /// The frame's number.
        frame: u32,
        /// The word's index in the frame, below 512.
        index: u64,
    },
    /// The change log has a word twice, or not at all.
    Log {
        /// The frame's number.
        frame: u32,
        /// The word's index in the frame, below 512.
        index: u64,
    },
    /// A frame is recorded as one of another region.
    FrameRegion {
        /// Real address of the frame.
        real: RealAddr,
    },
    /// A word outside all regions is not 0.
    Ownerless {
        /// Real address of the word.
        real: RealAddr,
        /// The word, little-endian.
        word: u64,
    },
    /// The reference has contents of memory where no memory is present.
    NoMemory {
        /// Real address of the word.
        real: RealAddr,
        /// The word that the reference has, big-endian.
        word: u64,
    },
    /// Memory and reference hold different numbers of words that are not 0, and no word differs.
    Words {
        /// Number in memory.
        memory: u64,
        /// Number in the reference.
        reference: u64,
    },
    /// A window's table lies in memory, and the reference has no such window; or the other way round.
    Window {
        /// Its LIOBN.
        liobn: Liobn,
    },
    /// A block is backed in memory and not in the reference, or the other way round, or elsewhere.
    Block {
        /// Its number.
        number: u64,
        /// Its real address in memory; `None` if it is not backed there.
        memory: Option<RealAddr>,
        /// Its real address in the reference; `None` if it is not backed there.
        reference: Option<RealAddr>,
    },
}

/// A word that could not be stored because no frame was left.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unstored {
    /// The word at that real address.
    Real(RealAddr),
    /// The page-table entry of that page.
    PageTable(Hva),
    /// The account of that page.
    Account(Pfn),
}

impl fmt::Display for Unstored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Real(real) => write!(f, "the word at real address {real}"),
            Self::PageTable(hva) => write!(f, "the page-table entry at hva {hva}"),
            Self::Account(pfn) => write!(f, "the account of page {pfn}"),
        }
    }
}

/// Shows a region as a range of real addresses.
struct Range(Region);

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Region { start, end, owner } = self.0;
        write!(f, "{start:#x}..{end:#x} ({owner:?})")
    }
}

/// Shows where a block lies; `None` is `nowhere`.
struct At(Option<RealAddr>);

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(real) => write!(f, "at {real}"),
            None => f.write_str("nowhere"),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::NoFrame { place, frames } => {
                write!(f, "memory is full: {frames} frames of 4 KiB are in use, and there is none for {place}")
            }
            Self::Vcpu { vcpu } => write!(f, "there is no vCPU {vcpu}"),
            Self::RegionShape(region) => {
                write!(f, "the region {} is empty, or starts at no multiple of 4 KiB", Range(region))
            }
            Self::RegionsOverlap(one, other) => write!(f, "the regions {} and {} overlap", Range(one), Range(other)),
            Self::NoRegion { start } => write!(f, "no region starts at {start:#x}, and one is to be removed"),
            Self::BlockTwice { number } => write!(f, "block {number:#x} is backed twice, or out of order"),
            Self::NoBlock { number } => write!(f, "block {number:#x} is not backed, and should be"),
            Self::BlockRegion { number, real } => {
                write!(f, "block {number:#x} and the region of struct pages at {real} do not match")
            }
            Self::NoStructPage { pfn } => write!(f, "the host stores to the struct page of {pfn}, which is not backed"),
            Self::Holders { pfn, holders } => write!(f, "the account has {holders} holders of page {pfn}"),
            Self::Owed { pfn, account: Account { own, holders } } => {
                write!(
                    f,
                    "page {pfn} has {holders} holders and own {own}, and own of a page with holders is at least 0"
                )
            }
            Self::Recount { pfn, account, counted } => {
                write!(f, "page {pfn} has {account} holders in the account, and {counted} are counted")
            }
            Self::Account { pfn, memory, reference } => write!(
                f,
                "page {pfn} has own {} and {} holders in the account, and own {} and {} holders in the reference",
                memory.own, memory.holders, reference.own, reference.holders
            ),
            Self::MappedTwice { hva } => write!(f, "the host maps over the page-table entry at hva {hva}"),
            Self::InsideHuge { hva } => {
                write!(f, "the host sets the page-table entry at hva {hva}, inside a huge entry")
            }
            Self::PageTable { hva, word } => {
                write!(f, "the page-table word of hva {hva} is {word:#x}, which is no entry")
            }
            Self::Compound { pfn, order: 0 } => write!(f, "page {pfn} is no head of a compound page"),
            Self::Compound { pfn, order } => write!(f, "there can be no compound page of order {order} at page {pfn}"),
            Self::CompoundWord { pfn, offset, expected, found } => write!(
                f,
                "offset {offset} of the struct page of {pfn} has {found:#x}, where the host put {expected:#x}"
            ),
            Self::Precondition { step, needs, at } => {
                write!(f, "the host is to do {step}, which needs {needs} at {at:#x}")
            }
            Self::ListFull { node } => write!(f, "the vmemmap list has no room for a node at {node}"),
            Self::List { at, expected, found } => {
                write!(f, "the word at {at} of the vmemmap list is {found:#x}, and the blocks say {expected:#x}")
            }
            Self::Directory { frame } => {
                write!(f, "the directory does not lead to frame {frame}, or leads there twice")
            }
            Self::Range { frame, index } => {
                write!(f, "word {index} of frame {frame} is not 0, and nothing was stored there")
            }
            Self::Log { frame, index } => {
                write!(f, "the change log has word {index} of frame {frame} twice, or not at all")
            }
            Self::FrameRegion { real } => write!(f, "the frame at {real} is taken for one of another region"),
            Self::Ownerless { real, word } => write!(f, "the word at {real} is {word:#x}, and lies in no region"),
            Self::NoMemory { real, word } => {
                write!(f, "the reference has {word:#x} at {real}, where memory is not present")
            }
            Self::Words { memory, reference } => write!(
                f,
                "{memory} words of memory are not 0, and {reference} in the reference, but none is found to differ"
            ),
            Self::Window { liobn } => {
                write!(f, "window {liobn} has tables in memory and none in the reference, or the reverse")
            }
            Self::Block { number, memory, reference } => {
                write!(f, "block {number:#x} lies {} in memory, and {} in the reference", At(memory), At(reference))
            }
        }
    }
}

impl core::error::Error for Fault {}
