//! The harness checks itself: the machine's own audit, and what memory and reference must agree on although no subject has a hand in it.

use std::collections::BTreeMap;

use contract::{Pfn, RealAddr};
use machine::memory::{Account, Fault, Owner, RealMemory};
use reference::{Compound, Reference};

/// Makes the expensive checks of the harness itself, in time proportional to what memory and reference hold: [`RealMemory::audit`], then
/// own and holders of every page, blocks and windows against the reference. Call it where memory and reference agree, after any step or at
/// the end of a program.
///
/// # Errors
/// The first fault.
pub fn audit(reference: &Reference, memory: &RealMemory) -> Result<(), Fault> {
    memory.audit()?;
    accounts(reference, memory)?;
    blocks(reference, memory)?;
    windows(reference, memory)
}

/// The account of memory, kept store by store, is what the reference's state comes to.
fn accounts(reference: &Reference, memory: &RealMemory) -> Result<(), Fault> {
    let mut due: BTreeMap<Pfn, Account> = BTreeMap::new();
    let mut account = |pfn: Pfn, own: i32, holders: i32| {
        let due = due.entry(pfn).or_insert(Account { own: 0, holders: 0 });
        due.own += own;
        due.holders += holders;
    };
    let head = |pfn: Pfn| match reference.page(pfn).compound {
        Compound::Tail { head } => head,
        Compound::Head { .. } | Compound::No => pfn,
    };
    for (pfn, page) in reference.pages() {
        account(pfn, page.own, 0);
    }
    for (_, entry) in reference.page_table() {
        if let Some(pfn) = entry.pfn().filter(|_| entry.holds_reference()) {
            account(head(pfn), 0, 1);
        }
    }
    for (_, entry) in reference.windows().flat_map(|window| window.hardware_entries()) {
        account(head(Pfn(entry >> memory.page_shift().bits())), 0, 1);
    }
    for (pfn, memory) in memory.accounts() {
        let reference = due.remove(&pfn).unwrap_or(Account { own: 0, holders: 0 });
        if memory != reference {
            return Err(Fault::Account { pfn, memory, reference });
        }
    }
    due.retain(|_, account| *account != Account { own: 0, holders: 0 });
    match due.pop_first() {
        Some((pfn, reference)) => Err(Fault::Account { pfn, memory: Account { own: 0, holders: 0 }, reference }),
        None => Ok(()),
    }
}

/// The blocks of memory are where the reference has them. Blocks that the reference alone has are not looked for: the first use of a struct
/// page there differs.
fn blocks(reference: &Reference, memory: &RealMemory) -> Result<(), Fault> {
    for &(number, real) in memory.blocks() {
        let (memory, reference) = (Some(RealAddr(real)), reference.block(number));
        if memory != reference {
            return Err(Fault::Block { number, memory, reference });
        }
    }
    Ok(())
}

/// Each window of the reference has its tables. A table without a window is empty: at the end of a program windows are closed, and their
/// tables stay.
fn windows(reference: &Reference, memory: &RealMemory) -> Result<(), Fault> {
    for window in reference.windows() {
        let liobn = window.spec.liobn;
        for ((start, bytes), owner) in window.spec.regions().zip([Owner::Table(liobn), Owner::Hardware(liobn)]) {
            let region = memory.region_at(start.0);
            if region.is_none_or(|found| (found.start, found.end, found.owner) != (start.0, start.0 + bytes, owner)) {
                return Err(Fault::Window { liobn });
            }
        }
    }
    for region in memory.regions() {
        if let Owner::Table(liobn) | Owner::Hardware(liobn) = region.owner
            && reference.window(liobn).is_none()
            && memory.contents_within(region.start, region.end).next().is_some()
        {
            return Err(Fault::Window { liobn });
        }
    }
    Ok(())
}
