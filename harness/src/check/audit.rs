//! The audit: expensive checks of the harness itself. It runs the machine's own audit, then compares those parts of
//! memory that no subject can change with the reference.

use std::collections::BTreeMap;

use contract::{Pfn, RealAddr};
use machine::memory::{Account, Fault, Owner, RealMemory};
use reference::Reference;

/// Runs the audit: [`RealMemory::audit`], then compares own references and holders of every page, the vmemmap blocks,
/// and the windows with the reference. Takes time in proportion to the size of memory and reference. Call it only while
/// memory and reference agree, after a step or at the end of a program.
///
/// # Errors
/// Returns the first fault that the audit finds.
pub fn audit(reference: &Reference, memory: &RealMemory) -> Result<(), Fault> {
    memory.audit()?;
    accounts(reference, memory)?;
    blocks(reference, memory)?;
    windows(reference, memory)
}

/// Compares the account, which memory keeps store by store, with a count of own references and holders over the
/// reference's state. The error names one page on which account and count differ.
fn accounts(reference: &Reference, memory: &RealMemory) -> Result<(), Fault> {
    let mut due: BTreeMap<Pfn, Account> = BTreeMap::new();
    let mut account = |pfn: Pfn, own: i32, holders: i32| {
        let due = due.entry(pfn).or_insert(Account { own: 0, holders: 0 });
        due.own += own;
        due.holders += holders;
    };
    for (pfn, page) in reference.pages() {
        account(pfn, page.own, 0);
    }
    for (_, entry) in reference.page_table() {
        if let Some(pfn) = entry.pfn().filter(|_| entry.holds_reference()) {
            account(reference.head(pfn), 0, 1);
        }
    }
    for (_, entry) in reference.windows().flat_map(|window| window.hardware_entries()) {
        account(reference.head(Pfn(entry >> memory.page_shift().bits())), 0, 1);
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

/// Checks that the reference has each vmemmap block of memory, at the same real address. A block that only the
/// reference has is not looked for: the first use of a struct page in it shows a difference.
fn blocks(reference: &Reference, memory: &RealMemory) -> Result<(), Fault> {
    for &(number, real) in memory.blocks() {
        let (memory, reference) = (Some(RealAddr(real)), reference.block(number));
        if memory != reference {
            return Err(Fault::Block { number, memory, reference });
        }
    }
    Ok(())
}

/// Checks that each window of the reference has its tables in memory, and that a table in memory without a window in
/// the reference is all zero. Such a table exists after the step that closes a window, until the host removes it.
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

#[cfg(test)]
mod tests {
    use contract::Liobn;
    use machine::host::Host;

    use super::*;

    const MACHINE: &str = "\
realmode-program 1
dialect lopapr
machine sparsemem-vmemmap page_shift=12 struct_page=64 base=0xf000000000000000 block_shift=16 list=0x20000000
section 0x4
block 0x10 at=0x10000000*4
slot 0 gfn=0x0 pages=4 hva=0x7f0000000000
map 0x7f0000000000 present pfn=0x4000 writable dirty young pages=2
window 0x1 page_shift=12 base=0x0 entries=16 pinned table=0x9000000 hardware=0x9001000
steps
hot-add 0x6 0x10100000*4
create-window 0x2 page_shift=12 base=0x0 entries=16 emulated table=0x9002000
take 0x4000
map 0x7f0000002000 present pfn=0x4001 writable
cpu0 H_PUT_TCE liobn=0x1 ioba=0x0 tce=0x3
";
    const PFN: Pfn = Pfn(0x4000);

    /// Runs some steps of the program on the host and some on the reference, both given by index from 0. Then `spoil`
    /// changes memory. Returns the audit's result.
    fn after(host: &[usize], reference: &[usize], spoil: fn(&mut RealMemory)) -> Result<(), Fault> {
        let program = contract::text::parse(MACHINE).expect("a program");
        let (mut memory, mut actor) = (RealMemory::new(), Host::new());
        actor.boot(&mut memory, &program);
        let mut model = Reference::new(program.dialect, &program.machine);
        assert_eq!(audit(&model, &memory), Ok(()));
        host.iter().for_each(|&step| actor.step(&mut memory, &program.steps[step]));
        reference.iter().for_each(|&step| {
            model.step(&program.steps[step]);
        });
        spoil(&mut memory);
        audit(&model, &memory)
    }

    #[test]
    fn memory_and_reference_agree_where_no_subject_has_a_hand() {
        let untouched: fn(&mut RealMemory) = |_| {};
        let account = |own, holders| Account { own, holders };
        let differs = |pfn, memory, reference| Err(Fault::Account { pfn, memory, reference });
        assert_eq!(after(&[0, 1, 2, 3], &[0, 1, 2, 3], untouched), Ok(()));

        let (number, place) = (0x18, Some(RealAddr(0x1010_0000)));
        assert_eq!(after(&[0], &[], untouched), Err(Fault::Block { number, memory: place, reference: None }));
        assert_eq!(after(&[], &[1], untouched), Err(Fault::Window { liobn: Liobn(2) }));
        // A table without a window may stay while it is empty.
        assert_eq!(after(&[1], &[], untouched), Ok(()));
        let fill: fn(&mut RealMemory) = |memory| memory.poke(RealAddr(0x900_2000), 1);
        assert_eq!(after(&[1], &[], fill), Err(Fault::Window { liobn: Liobn(2) }));

        assert_eq!(after(&[2], &[], untouched), differs(PFN, account(1, 1), account(0, 1)));
        assert_eq!(after(&[], &[2], untouched), differs(PFN, account(0, 1), account(1, 1)));
        assert_eq!(after(&[3], &[], untouched), differs(Pfn(PFN.0 + 1), account(0, 2), account(0, 1)));
        // The reference's TCE holds a reference.
        assert_eq!(after(&[], &[4], untouched), differs(PFN, account(0, 1), account(0, 2)));
        // The fault that memory finds by itself comes first.
        let fault = Fault::Vcpu { vcpu: 9 };
        assert_eq!(after(&[2], &[], |memory| memory.report_fault(Fault::Vcpu { vcpu: 9 })), Err(fault));
    }

    #[test]
    fn an_idle_page_that_only_the_account_knows_is_found() {
        let spoil: fn(&mut RealMemory) = |memory| memory.add_own(Pfn(0x4100), 3);
        let (memory, reference) = (Account { own: 3, holders: 0 }, Account { own: 0, holders: 0 });
        let pfn = Pfn(0x4100);
        assert_eq!(after(&[], &[], spoil), Err(Fault::Account { pfn, memory, reference }));
    }
}
