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
    /// A store found no free frame and is lost: the program stores to over 64 MiB more memory than
    /// [`Program::frames_bound`] says.
    ///
    /// [`Program::frames_bound`]: contract::Program::frames_bound
    NoFrame {
        /// Where the lost word was to be stored.
        place: Unstored,
        /// Number of frames of 4 KiB that memory may have; all are in use.
        frames: u32,
    },
    /// A CPU was made with a number at or above the limit of vCPUs.
    Vcpu {
        /// Number of the vCPU.
        vcpu: u8,
    },
    /// The host adds a region that is empty, or does not start at a multiple of 4 KiB.
    RegionShape(Region),
    /// Two regions overlap, or are recorded in the wrong order. The first has the lower start address, or stands first
    /// in the record.
    RegionsOverlap(Region, Region),
    /// The host removes a region that does not exist.
    NoRegion {
        /// Real address at which the missing region would start.
        start: u64,
    },
    /// A vmemmap block is backed twice, or is out of order in the record of blocks.
    BlockTwice {
        /// Number of the vmemmap block.
        number: u64,
    },
    /// The host removes a vmemmap block that is not backed or has no node in the vmemmap list, or adds one in flatmem,
    /// which has no blocks.
    NoBlock {
        /// Number of the vmemmap block.
        number: u64,
    },
    /// A vmemmap block has no region of struct pages at its place, or a region of struct pages has no block.
    BlockRegion {
        /// Number of the vmemmap block; 0 for flatmem's array of struct pages.
        number: u64,
        /// Real address of the block or of the region.
        real: RealAddr,
    },
    /// The host stores to the struct page of a page whose struct page is not backed.
    NoStructPage {
        /// The page that the struct page belongs to.
        pfn: Pfn,
    },
    /// The account has a negative number of holders of a page, or holders of a page whose struct page the host zeroes
    /// or removes.
    Holders {
        /// The page (head or order-0 page) of the account.
        pfn: Pfn,
        /// Number of page-table entries and hardware TCEs that hold a reference on the page, according to the account.
        holders: i32,
    },
    /// A page on which page-table entries or hardware TCEs hold references has a negative number of own references.
    Owed {
        /// The page (head or order-0 page) of the account.
        pfn: Pfn,
        /// The account of the page.
        account: Account,
    },
    /// The account has another number of holders of a page than the page table and the hardware tables.
    Recount {
        /// The page (head or order-0 page) of the account.
        pfn: Pfn,
        /// Number of holders in the account.
        account: i32,
        /// Number of page-table entries and hardware TCEs that hold a reference on the page, counted anew.
        counted: i32,
    },
    /// The account of a page differs from the reference, although memory does not.
    Account {
        /// The page (head or order-0 page) of the account.
        pfn: Pfn,
        /// The account that memory keeps.
        memory: Account,
        /// Own references and holders in the reference.
        reference: Account,
    },
    /// The host sets a huge page-table entry that covers another page-table entry.
    MappedTwice {
        /// The hva of the first page that the new huge entry and the other entry both cover.
        hva: Hva,
    },
    /// The host sets a page-table entry inside a huge entry, not at its first page.
    InsideHuge {
        /// The hva at which the host sets the entry.
        hva: Hva,
    },
    /// A word of the page table is neither an entry nor the right part of the huge entry around it.
    PageTable {
        /// The hva of the page whose entry the word should be.
        hva: Hva,
        /// The word, in the encoding of the module `pte`.
        word: u64,
    },
    /// The host makes a compound page where one exists or with an order that does not fit there, or splits a page that
    /// is no head of a compound page; or two compound pages in the host's record overlap.
    Compound {
        /// pfn of the head of the compound page.
        pfn: Pfn,
        /// Order of the compound page; 0 if there is none to split.
        order: u32,
    },
    /// HEAD, TAIL, or the word with order or head, of a struct page differs from the host's record of compound pages.
    CompoundWord {
        /// The page that the struct page belongs to.
        pfn: Pfn,
        /// Offset of the word in the struct page, in bytes.
        offset: u64,
        /// The word that the record gives, little-endian; of the flags, HEAD and TAIL alone.
        expected: u64,
        /// The word in the struct page, little-endian; of the flags, HEAD and TAIL alone.
        found: u64,
    },
    /// The host gets a step whose precondition fails, or that is not a host step, or finds a table of a closed window
    /// that is not all 0.
    Precondition {
        /// The kind of the step that the host was to do.
        step: StepKind,
        /// The precondition that fails, as a phrase such as `a hole`.
        needs: &'static str,
        /// The address, pfn or number at which the precondition fails.
        at: u64,
    },
    /// The area of the vmemmap list has no room for another node.
    ListFull {
        /// Real address at which the new node would begin.
        node: RealAddr,
    },
    /// A word of the vmemmap list in memory does not match the host's record of the list or of the backed blocks.
    List {
        /// Real address of the word of the vmemmap list.
        at: RealAddr,
        /// The value that the host's record gives for this word of the vmemmap list; 0 if it gives none. If a block has
        /// no node, the block's virtual address, at the word that ends the list.
        expected: u64,
        /// The value that this word of the vmemmap list has in memory.
        found: u64,
    },
    /// The directory of frames does not lead to a frame that is in use, leads to it twice, or leads to one that is not
    /// in use.
    Directory {
        /// Number of the frame.
        frame: u32,
    },
    /// A frame has a word that is not zero outside the range of words that were stored to.
    Range {
        /// Number of the frame.
        frame: u32,
        /// Index of the word in the frame, from 0, below 512.
        index: u64,
    },
    /// The change log of the step has a changed word or a changed frame twice, or not at all, or one that did not
    /// change.
    Log {
        /// Number of the frame.
        frame: u32,
        /// Index of the word in the frame, from 0, below 512; 0 if the log is wrong about the whole frame.
        index: u64,
    },
    /// A frame of real memory is recorded with another region than the one that holds its first byte.
    FrameRegion {
        /// Real address of the frame's first byte.
        real: RealAddr,
    },
    /// A word outside all regions is not 0.
    Ownerless {
        /// Real address of the word.
        real: RealAddr,
        /// The value of the word, little-endian.
        word: u64,
    },
    /// The reference has a word that is not 0 at an address where no memory is present.
    NoMemory {
        /// Real address of the word.
        real: RealAddr,
        /// The value of the word in the reference, big-endian.
        word: u64,
    },
    /// Memory and reference have different numbers of words that are not 0, although no word was found to differ.
    Words {
        /// Number of words that are not 0 in memory.
        memory: u64,
        /// Number of words that are not 0 in the reference.
        reference: u64,
    },
    /// The tables of a window in memory do not match the windows of the reference: the window exists on one side only,
    /// or its tables lie at other addresses.
    Window {
        /// LIOBN of the window.
        liobn: Liobn,
    },
    /// A vmemmap block that is backed in memory is not backed in the reference, or lies at another address there. A
    /// block that only the reference has is not looked for.
    Block {
        /// Number of the vmemmap block.
        number: u64,
        /// Real address of the block in memory; never `None`, because only blocks that memory has are compared.
        memory: Option<RealAddr>,
        /// Real address of the block in the reference; `None` if it is not backed in the reference.
        reference: Option<RealAddr>,
    },
}

/// The place of a word that could not be stored because no frame was left.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unstored {
    /// The word at this real address.
    Real(RealAddr),
    /// The page-table entry of the page at this hva.
    PageTable(Hva),
    /// The account of the page with this pfn.
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

/// Shows a region as a range of real addresses and its owner.
struct Range(Region);

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Region { start, end, owner } = self.0;
        write!(f, "{start:#x}..{end:#x} ({owner:?})")
    }
}

/// Shows the real address at which a vmemmap block lies; `None` as `nowhere`.
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
