//! The simulated real memory: the one place where struct pages, TCE tables, guest pages and page-table entries lie.
//!
//! A subject accesses memory only through a [`Cpu`], which knows the CPU's mode and notes what breaks a rule: a last
//! release, an address that real mode cannot reach, a store to memory that belongs to no region. The host (the harness)
//! sets memory up and changes it with the methods of [`RealMemory`] that take `&mut self`; most of their comments begin
//! with `Host:`. The oracle reads it with [`RealMemory::peek`], [`RealMemory::changes`] and [`RealMemory::contents`].
//! Memory that nothing was stored to reads as zero and takes no space.
//!
//! Beside the image, memory keeps an *account*: for each page its own references and its holders (page-table entries
//! and hardware TCEs that hold a reference on the page, on the head). The account follows each store, so that
//! `REF.HELD` is noted at the store that breaks it.
//!
//! An impossible state is a [`Fault`] of the harness. Memory keeps the first one: [`RealMemory::fault`]. Cheap checks
//! always run; [`RealMemory::audit`] makes the expensive ones.
//!
//! | module | what it holds |
//! |---|---|
//! | `region` | regions, and where a word lies in them |
//! | [`struct_page`] | offsets and bits of a struct page |
//! | `actor` | who changes memory, and sets of them |
//! | `account` | the account of one page |
//! | `fault` | impossible states |
//! | `frames` | sparse storage of words, and the log of changes |
//! | `image` | [`RealMemory`]: regions, blocks, struct pages, words |
//! | `references` | keeps the account |
//! | `pte`, `page_table` | page-table entries as words; the page table |
//! | `event`, `cpu` | [`Cpu`]: accesses, and the events that they cause |
//! | `audit` | the expensive checks |

mod account;
mod actor;
mod audit;
mod cpu;
mod event;
mod fault;
mod frames;
mod image;
mod page_table;
mod pte;
mod references;
mod region;
pub mod struct_page;
#[cfg(test)]
mod tests;

pub use account::Account;
pub use actor::{Actor, Actors, Mode};
pub use cpu::Cpu;
pub use event::{Context, CpuReport, Event};
pub use fault::{Fault, Unstored};
pub use image::{LoggedWord, RealMemory};
pub use region::{Owner, Place, Region};
