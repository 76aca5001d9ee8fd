//! Cases for the finding rules: one for each way to break a rule.

use std::sync::atomic::Ordering::SeqCst;

use contract::{Ea, HcallAnswer, Hva, Pfn, ProbeAnswer, Pte, RealAddr, Rule, Status};
use machine::Subject as _;
use machine::subject::Bound;
use realmode_diff::check::Place;
use realmode_diff::{Program, Verdict};

use super::machines::{FLAT, LAST_PFN, LIST, SPARSE, add, count, flags, guest, hardware, program, store_tce};
use super::wrong::{HONEST, Hooks, checker};

/// A mistake, a program that shows it, and the expected report.
pub struct Case {
    pub name: &'static str,
    pub hooks: Hooks,
    pub machine: &'static str,
    pub steps: &'static str,
    pub rule: Rule,
    pub field: &'static str,
    /// Number of the reported step, from 1; 0 for the start of the subject.
    pub step: usize,
    /// The report's text for the thing that differs, for the expected value and for the found value.
    pub says: [&'static str; 3],
}

impl Case {
    pub fn program(&self) -> Program {
        program(self.machine, self.steps)
    }
}

const PUT: &str = "cpu0 H_PUT_TCE liobn=0x1 ioba=0x0 tce=0x3\n";
const GET: &str = "cpu0 H_GET_TCE liobn=0x1 ioba=0x0\n";
const INDIRECT: &str = "cpu0 H_PUT_TCE_INDIRECT liobn=0x1 ioba=0x0 list=0x7000 count=2\n";
/// The TCE holds the only reference on page 0x10 when it is removed.
const LAST: &str = "cpu0 H_PUT_TCE liobn=0x1 ioba=0x0 tce=0x1\nunmap 0x7f0000000000\n\
                    cpu0 H_PUT_TCE liobn=0x1 ioba=0x0 tce=0x0\n";
/// An H_PUT_TCE_INDIRECT that real mode must defer, because the page of its list is not young.
const OLD_LIST: &str = "age 0x7f0000007000\ncpu0 H_PUT_TCE_INDIRECT liobn=0x1 ioba=0x0 list=0x7000 count=2\n";

const SUCCESS: HcallAnswer = HcallAnswer::status(Status::SUCCESS);
const TOO_HARD: HcallAnswer = HcallAnswer::status(Status::TOO_HARD);

/// Real mode answers H_SUCCESS where the candidate defers.
const NEVER_DEFERS: Hooks = Hooks {
    real: |subject, cpu, call| match subject.real_mode(cpu, call) {
        TOO_HARD => SUCCESS,
        answer => answer,
    },
    ..HONEST
};

/// Makes `times` loads that real mode may make.
fn load_often(cpu: &machine::Cpu<'_>, times: u64) {
    for _ in 0..times {
        let _ = cpu.load(guest(1), SeqCst);
    }
}

fn forever(cpu: &machine::Cpu<'_>) -> ! {
    loop {
        let _ = cpu.load(guest(0), SeqCst);
    }
}

/// All cases.
#[allow(clippy::too_many_lines)] // A table.
pub fn all() -> Vec<Case> {
    let flat = |name, rule, field, step, steps, hooks, says| Case {
        name,
        hooks,
        machine: FLAT,
        steps,
        rule,
        field,
        step,
        says,
    };
    let sparse = |name, rule, field, step, steps, hooks, says| Case {
        machine: SPARSE,
        ..flat(name, rule, field, step, steps, hooks, says)
    };
    let held = "at least 2: own + mappings + hardware TCEs";
    vec![
        // ---- events, as they happen
        flat(
            "real mode drops the last reference",
            Rule::RmFinalRelease,
            "count",
            3,
            LAST,
            Hooks {
                real: |subject, cpu, call| {
                    let answer = subject.real_mode(cpu, call);
                    if answer == TOO_HARD {
                        store_tce(cpu, hardware(0), 0);
                        add(cpu, 0x10, -1);
                    }
                    answer
                },
                ..HONEST
            },
            ["count of page 0x10", "no last reference dropped in real mode", "dropped from 1 to 0, or freed"],
        ),
        flat(
            "real mode frees a page",
            Rule::RmFinalRelease,
            "count",
            1,
            PUT,
            Hooks {
                real: |subject, cpu, call| {
                    cpu.free_page(Pfn(0x21));
                    subject.real_mode(cpu, call)
                },
                ..HONEST
            },
            ["count of page 0x21", "no last reference dropped in real mode", "dropped from 1 to 0, or freed"],
        ),
        flat(
            "put_page_unless_one without the unless",
            Rule::RmFinalRelease,
            "count",
            3,
            "drop 0x20\ntake 0x10\nput_page_unless_one 0x20\n",
            Hooks {
                put: |_, cpu, pfn| {
                    add(cpu, pfn.0, -1);
                    ProbeAnswer::Done(true)
                },
                ..HONEST
            },
            ["count of page 0x20", "no last reference dropped in real mode", "dropped from 1 to 0, or freed"],
        ),
        sparse(
            "real mode reads a struct page at its virtual address",
            Rule::RmBadAccess,
            "address",
            2,
            "pfn_to_page 0x0\ncpu0 H_PUT_TCE liobn=0x1 ioba=0x0 tce=0x10003\n",
            Hooks {
                real: |subject, cpu, call| {
                    let _ = cpu.load(Ea(0xf000_0000_0000_0000 + 0x4a * 56), SeqCst);
                    subject.real_mode(cpu, call)
                },
                ..HONEST
            },
            ["address 0xf000000000001030 (access 1 in real mode)", "what real mode may reach", "touched"],
        ),
        flat(
            "real mode reads outside all regions",
            Rule::RmBadAccess,
            "address",
            1,
            PUT,
            Hooks {
                real: |subject, cpu, call| {
                    // One past the array of struct pages.
                    let _ = cpu.load(flags(0x100), SeqCst);
                    subject.real_mode(cpu, call)
                },
                ..HONEST
            },
            ["address 0xc000000008004000", "what real mode may reach", "touched"],
        ),
        flat(
            "real mode reads an unaligned word",
            Rule::RmBadAccess,
            "address",
            1,
            PUT,
            Hooks {
                real: |subject, cpu, call| {
                    let _ = cpu.load(Ea(guest(0).0 + 4), SeqCst);
                    subject.real_mode(cpu, call)
                },
                ..HONEST
            },
            ["address 0xc000000009000004", "what real mode may reach", "touched"],
        ),
        flat(
            "real mode stores outside all regions",
            Rule::RmBadAccess,
            "address",
            1,
            PUT,
            Hooks {
                real: |subject, cpu, call| {
                    cpu.store(RealAddr(0x3fff_ffff_f000).ea(), 0, SeqCst);
                    subject.real_mode(cpu, call)
                },
                ..HONEST
            },
            ["address 0xc0003ffffffff000", "what real mode may reach", "touched"],
        ),
        flat(
            "a probe reads a struct page that does not exist",
            Rule::RmBadAccess,
            "address",
            1,
            "get_page_unless_zero 0x100\n",
            Hooks {
                get: |_, cpu, pfn| {
                    let _ = cpu.load_i32(count(pfn.0), SeqCst);
                    ProbeAnswer::NoPage
                },
                ..HONEST
            },
            ["address 0xc000000008004008", "what real mode may reach", "touched"],
        ),
        flat(
            "real mode allocates",
            Rule::RmAlloc,
            "allocation",
            1,
            PUT,
            Hooks {
                real: |subject, cpu, call| {
                    cpu.allocate(4096);
                    subject.real_mode(cpu, call)
                },
                ..HONEST
            },
            ["allocation (access 1 in real mode)", "none in real mode", "4096 bytes asked for"],
        ),
        flat(
            "real mode goes over the published bound",
            Rule::RmBounded,
            "accesses",
            2,
            "cpu0 H_GET_TCE liobn=0x9 ioba=0x0\ncpu0 H_GET_TCE liobn=0x1 ioba=0x0\n",
            Hooks { bound: |_| Bound { base: 0, per_entry: 0 }, ..HONEST },
            ["accesses of a real-mode call of 1 entries", "at most 0 + 0 x 1 = 0", "1"],
        ),
        flat(
            "a count that no list can have does not raise the bound",
            Rule::RmBounded,
            "accesses",
            1,
            "cpu0 H_PUT_TCE_INDIRECT liobn=0x1 ioba=0x0 list=0x0 count=65536\n",
            Hooks {
                bound: |_| Bound { base: 10, per_entry: 1 },
                real: |subject, cpu, call| {
                    load_often(cpu, 600);
                    subject.real_mode(cpu, call)
                },
                ..HONEST
            },
            ["accesses of a real-mode call of 512 entries", "at most 10 + 1 x 512 = 522", "600"],
        ),
        flat(
            "real mode makes too many accesses, each of them allowed",
            Rule::RmBounded,
            "accesses",
            1,
            GET,
            Hooks {
                real: |subject, cpu, call| {
                    load_often(cpu, 1_000);
                    subject.real_mode(cpu, call)
                },
                ..HONEST
            },
            ["accesses of a real-mode call of 1 entries", "at most 1 + 36 x 1 = 37", "1001"],
        ),
        flat(
            "an entry names a page before its reference is taken",
            Rule::RefHeld,
            "count",
            1,
            PUT,
            Hooks {
                real: |_, cpu, _| {
                    store_tce(cpu, hardware(0), 0x1_0003);
                    add(cpu, 0x10, 1);
                    store_tce(cpu, guest(0), 3);
                    SUCCESS
                },
                ..HONEST
            },
            ["count of page 0x10 (access 1 in real mode)", held, "1 after a store"],
        ),
        flat(
            "a reference is given back before the entry goes",
            Rule::RefHeld,
            "count",
            2,
            "cpu0 H_PUT_TCE liobn=0x1 ioba=0x0 tce=0x1\ncpu0 H_PUT_TCE liobn=0x1 ioba=0x0 tce=0x0\n",
            Hooks {
                real: |subject, cpu, call| {
                    if call.args[2] != 0 {
                        return subject.real_mode(cpu, call);
                    }
                    add(cpu, 0x10, -1);
                    store_tce(cpu, hardware(0), 0);
                    store_tce(cpu, guest(0), 0);
                    SUCCESS
                },
                ..HONEST
            },
            ["count of page 0x10", held, "1 after a store"],
        ),
        flat(
            "virtual mode maps a page before its reference is taken",
            Rule::RefHeld,
            "count",
            3,
            "unmap 0x7f0000000000\nmap 0x7f0000000000 absent pfn=0x10\ncpu0 H_PUT_TCE liobn=0x1 ioba=0x0 tce=0x1\n",
            Hooks {
                virt: |_, cpu, _| {
                    let hva = Hva(0x7f00_0000_0000);
                    let present = Pte::Present { pfn: Pfn(0x10), writable: true, dirty: false, young: true };
                    let _ = cpu.compare_exchange_pte(hva, cpu.load_pte(hva), present);
                    add(cpu, 0x10, 2);
                    store_tce(cpu, hardware(0), 0x1_0001);
                    store_tce(cpu, guest(0), 1);
                    SUCCESS
                },
                ..HONEST
            },
            ["count of page 0x10 (access 2 in virtual mode)", "at least 1:", "0 after a store"],
        ),
        flat(
            "a close gives references back before the entries go",
            Rule::RefHeld,
            "count",
            2,
            "cpu0 H_PUT_TCE liobn=0x1 ioba=0x0 tce=0x1\nclose-window 0x1\n",
            Hooks {
                close_window: |subject, cpu, liobn| {
                    add(cpu, 0x10, -1);
                    subject.close_window(cpu, liobn);
                },
                ..HONEST
            },
            ["count of page 0x10", held, "1 after a store"],
        ),
        flat(
            "a call drops a reference that nobody holds",
            Rule::RefUnderflow,
            "count",
            1,
            PUT,
            Hooks {
                real: |subject, cpu, call| {
                    add(cpu, 0x21, -1);
                    add(cpu, 0x21, 1);
                    subject.real_mode(cpu, call)
                },
                ..HONEST
            },
            ["count of page 0x21 (access 2 in real mode)", "no reference dropped at 0", "-1"],
        ),
        flat(
            "virtual mode drops a reference that nobody holds",
            Rule::RefUnderflow,
            "count",
            3,
            LAST,
            Hooks {
                virt: |subject, cpu, call| {
                    let answer = subject.virtual_mode(cpu, call);
                    add(cpu, 0x10, -1);
                    answer
                },
                ..HONEST
            },
            ["count of page 0x10", "no reference dropped at 0", "-1"],
        ),
        flat(
            "a page that nobody names has fewer references than the host's own for a moment",
            Rule::RefHeld,
            "count",
            1,
            GET,
            Hooks {
                real: |subject, cpu, call| {
                    add(cpu, 0x20, -1);
                    add(cpu, 0x20, 1);
                    subject.real_mode(cpu, call)
                },
                ..HONEST
            },
            ["count of page 0x20 (access 2 in real mode)", "at least 2:", "1 after a store"],
        ),
        flat(
            "a list word is read in halves",
            Rule::ListSnapshot,
            "list",
            1,
            INDIRECT,
            Hooks {
                real: |subject, cpu, call| {
                    let _ = cpu.load_i32(Ea(LIST.ea().0 + 12), SeqCst);
                    subject.real_mode(cpu, call)
                },
                ..HONEST
            },
            ["list word at real address 0x17008", "read once, before the first store", "read a second time"],
        ),
        flat(
            "other memory is read first, then a list word twice",
            Rule::ListSnapshot,
            "list",
            1,
            INDIRECT,
            Hooks {
                real: |subject, cpu, call| {
                    let _ = cpu.load(Ea(LIST.ea().0 + 0x1000), SeqCst);
                    let _ = cpu.load(LIST.ea(), SeqCst);
                    subject.real_mode(cpu, call)
                },
                ..HONEST
            },
            ["list word at real address 0x17000", "read once, before the first store", "read a second time"],
        ),
        flat(
            "a call is deferred without need, and virtual mode makes a bad access",
            Rule::MemStray,
            "address",
            1,
            GET,
            Hooks {
                real: |_, _, _| TOO_HARD,
                virt: |subject, cpu, call| {
                    let _ = cpu.load(Ea(1 << 50), SeqCst);
                    subject.virtual_mode(cpu, call)
                },
                ..HONEST
            },
            ["address 0x4000000000000", "what virtual mode may reach", "touched"],
        ),
        flat(
            "a list word is read twice",
            Rule::ListSnapshot,
            "list",
            1,
            INDIRECT,
            Hooks {
                real: |subject, cpu, call| {
                    let _ = cpu.load(Ea(LIST.ea().0 + 8), SeqCst);
                    subject.real_mode(cpu, call)
                },
                ..HONEST
            },
            ["list word at real address 0x17008", "read once, before the first store", "read a second time"],
        ),
        flat(
            "a list word is read after a store to a table",
            Rule::ListSnapshot,
            "list",
            1,
            INDIRECT,
            Hooks {
                real: |subject, cpu, call| {
                    let answer = subject.real_mode(cpu, call);
                    // The word was not read before.
                    let _ = cpu.load(Ea(LIST.ea().0 + 16), SeqCst);
                    answer
                },
                ..HONEST
            },
            ["list word at real address 0x17010", "read once, before the first store", "read after a store to a table"],
        ),
        flat(
            "virtual mode reads a list word twice",
            Rule::ListSnapshot,
            "list",
            2,
            OLD_LIST,
            Hooks {
                virt: |subject, cpu, call| {
                    let _ = cpu.load(LIST.ea(), SeqCst);
                    subject.virtual_mode(cpu, call)
                },
                ..HONEST
            },
            ["list word at real address 0x17000", "read once, before the first store", "read a second time"],
        ),
        flat(
            "real mode stores to guest memory",
            Rule::MemStray,
            "address",
            1,
            INDIRECT,
            Hooks {
                real: |subject, cpu, call| {
                    let answer = subject.real_mode(cpu, call);
                    cpu.store(LIST.ea(), 0, SeqCst);
                    answer
                },
                ..HONEST
            },
            ["address 0xc000000000017000", "what real mode may reach and a handler may store to", "touched"],
        ),
        flat(
            "virtual mode stores to guest memory",
            Rule::MemStray,
            "address",
            2,
            OLD_LIST,
            Hooks {
                virt: |subject, cpu, call| {
                    let _ = cpu.compare_exchange(LIST.ea(), 0, 0, SeqCst, SeqCst);
                    subject.virtual_mode(cpu, call)
                },
                ..HONEST
            },
            [
                "address 0xc000000000017000, 94208 bytes into memory (access 1 in virtual mode)",
                "a handler may store to",
                "touched",
            ],
        ),
        flat(
            "virtual mode stores outside all regions",
            Rule::MemStray,
            "address",
            2,
            OLD_LIST,
            Hooks {
                virt: |subject, cpu, call| {
                    cpu.store(RealAddr(0x900_3000).ea(), 0, SeqCst);
                    subject.virtual_mode(cpu, call)
                },
                ..HONEST
            },
            ["address 0xc000000009003000", "what virtual mode may reach", "touched"],
        ),
        flat(
            "virtual mode reads outside all regions",
            Rule::MemStray,
            "address",
            2,
            OLD_LIST,
            Hooks {
                virt: |subject, cpu, call| {
                    let _ = cpu.load(Ea(0xf << 60), SeqCst);
                    subject.virtual_mode(cpu, call)
                },
                ..HONEST
            },
            ["address 0xf000000000000000", "what virtual mode may reach", "touched"],
        ),
        sparse(
            "a handler stores to the vmemmap list",
            Rule::MemStray,
            "address",
            1,
            GET,
            Hooks {
                real: |subject, cpu, call| {
                    cpu.swap(RealAddr(0x2000_0000).ea(), 0, SeqCst);
                    subject.real_mode(cpu, call)
                },
                ..HONEST
            },
            ["address 0xc000000020000000", "a handler may store to", "touched"],
        ),
        flat(
            "a handler puts another page into the page table",
            Rule::MemStray,
            "address",
            2,
            OLD_LIST,
            Hooks {
                virt: |subject, cpu, call| {
                    let hva = Hva(0x7f00_0000_1000);
                    let other = Pte::Present { pfn: Pfn(0x12), writable: true, dirty: true, young: true };
                    let _ = cpu.compare_exchange_pte(hva, cpu.load_pte(hva), other);
                    subject.virtual_mode(cpu, call)
                },
                ..HONEST
            },
            ["address 0x7f0000001000 (access 2 in virtual mode)", "a handler may store to", "touched"],
        ),
        flat(
            "a close at the end of the program stores to a table that is gone",
            Rule::MemStray,
            "address",
            2,
            PUT,
            Hooks {
                close_window: |subject, cpu, liobn| {
                    subject.close_window(cpu, liobn);
                    if liobn.0 == 2 {
                        store_tce(cpu, guest(3), 0x1000);
                    }
                },
                ..HONEST
            },
            ["address 0xc000000009000018", "a handler may store to", "touched"],
        ),
        flat(
            "a handler makes a present page absent",
            Rule::DivergeFlag,
            "page table",
            2,
            OLD_LIST,
            Hooks {
                virt: |subject, cpu, call| {
                    let absent = Pte::Absent { pfn: Pfn(0x15) };
                    let hva = Hva(0x7f00_0000_5000);
                    cpu.compare_exchange_pte(hva, cpu.load_pte(hva), absent).expect("it names the same page");
                    subject.virtual_mode(cpu, call)
                },
                ..HONEST
            },
            ["page-table entry at hva 0x7f0000005000", "present pfn=0x15 writable dirty young", "absent pfn=0x15"],
        ),
        flat(
            "a close stores to a window that stays",
            Rule::DivergeTce,
            "guest value",
            1,
            "close-window 0x2\n",
            Hooks {
                close_window: |subject, cpu, liobn| {
                    store_tce(cpu, guest(3), 0x1000);
                    subject.close_window(cpu, liobn);
                },
                ..HONEST
            },
            ["guest value 3 of window 0x1", "0x0", "0x1000"],
        ),
        // ---- crash and hang
        flat(
            "real mode panics",
            Rule::SubjectCrash,
            "panic",
            2,
            "take 0x20\ncpu0 H_PUT_TCE liobn=0x1 ioba=0x0 tce=0x3\n",
            Hooks { real: |_, _, call| panic!("index {} of 3", call.args[1]), ..HONEST },
            ["real-mode half", "an answer", "panic: index 0 of 3 (line "],
        ),
        flat(
            "virtual mode panics",
            Rule::SubjectCrash,
            "panic",
            2,
            OLD_LIST,
            Hooks { virt: |_, _, _| std::panic::panic_any(7), ..HONEST },
            ["virtual-mode half", "an answer", "panic: (no message)"],
        ),
        flat(
            "start panics",
            Rule::SubjectCrash,
            "panic",
            0,
            "",
            Hooks { start: |_, _, _| panic!("no"), ..HONEST },
            ["start", "an answer", "panic: no"],
        ),
        flat(
            "a lookup panics",
            Rule::SubjectCrash,
            "panic",
            1,
            "pfn_to_page 0xffffffffffffffff\n",
            Hooks { lookup: |_, _, pfn| Some(RealAddr(pfn.0.checked_mul(64).expect("no overflow"))), ..HONEST },
            ["real-mode half", "an answer", "panic: no overflow"],
        ),
        flat(
            "a probe panics",
            Rule::SubjectCrash,
            "panic",
            1,
            "put_page_unless_one 0x20\n",
            Hooks { put: |_, _, _| panic!("put"), ..HONEST },
            ["real-mode half", "an answer", "panic: put"],
        ),
        sparse(
            "hot_add panics",
            Rule::SubjectCrash,
            "panic",
            1,
            "hot-add 0x1 0x11000000*4\n",
            Hooks { hot_add: |_, section, _| panic!("section {section}"), ..HONEST },
            ["hot_add", "an answer", "panic: section 1"],
        ),
        sparse(
            "hot_remove panics",
            Rule::SubjectCrash,
            "panic",
            2,
            "hot-add 0x1 0x11000000*4\nhot-remove 0x1\n",
            Hooks { hot_remove: |_, section| panic!("section {section}"), ..HONEST },
            ["hot_remove", "an answer", "panic: section 1"],
        ),
        flat(
            "set_slot panics",
            Rule::SubjectCrash,
            "panic",
            1,
            "slot 1 gfn=0x100 pages=1 hva=0x7f0000000000\n",
            Hooks { set_slot: |_, _| panic!("slot"), ..HONEST },
            ["set_slot", "an answer", "panic: slot"],
        ),
        flat(
            "create_window panics",
            Rule::SubjectCrash,
            "panic",
            1,
            "create-window 0x3 page_shift=12 base=0x0 entries=1 emulated table=0x9003000\n",
            Hooks { create_window: |_, _| panic!("window"), ..HONEST },
            ["create_window", "an answer", "panic: window"],
        ),
        flat(
            "close_window panics",
            Rule::SubjectCrash,
            "panic",
            1,
            "close-window 0x2\n",
            Hooks { close_window: |_, _, _| panic!("close"), ..HONEST },
            ["close_window", "an answer", "panic: close"],
        ),
        flat(
            "close_window panics at the end of the program",
            Rule::SubjectCrash,
            "panic",
            2,
            PUT,
            Hooks { close_window: |_, _, _| panic!("close"), ..HONEST },
            ["close_window", "an answer", "panic: close"],
        ),
        flat(
            "virtual mode hangs",
            Rule::SubjectHang,
            "hang",
            2,
            OLD_LIST,
            Hooks { virt: |_, cpu, _| forever(cpu), ..HONEST },
            ["virtual-mode half", "an answer", "no end after 10400 accesses"],
        ),
        flat(
            "a probe hangs",
            Rule::SubjectHang,
            "hang",
            1,
            "get_page_unless_zero 0x20\n",
            Hooks { get: |_, cpu, _| forever(cpu), ..HONEST },
            ["real-mode half", "an answer", "no end after 349520 accesses"],
        ),
        flat(
            "a close hangs",
            Rule::SubjectHang,
            "hang",
            1,
            "close-window 0x2\n",
            Hooks { close_window: |_, cpu, _| forever(cpu), ..HONEST },
            ["close_window", "an answer", "no end after 13200 accesses"],
        ),
        // ---- deferring
        flat(
            "a deferred call leaves a guest value behind",
            Rule::DeferClean,
            "guest value",
            2,
            OLD_LIST,
            Hooks {
                real: |subject, cpu, call| {
                    store_tce(cpu, guest(1), 0x5000);
                    subject.real_mode(cpu, call)
                },
                ..HONEST
            },
            ["guest value 1 of window 0x1 after a call that real mode deferred", "0x0 as before the call", "0x5000"],
        ),
        flat(
            "a deferred call leaves a reference behind",
            Rule::DeferClean,
            "count",
            2,
            OLD_LIST,
            Hooks {
                real: |subject, cpu, call| {
                    add(cpu, 0x10, 1);
                    subject.real_mode(cpu, call)
                },
                ..HONEST
            },
            ["count of page 0x10 after", "1 as before the call", "2"],
        ),
        flat(
            "a deferred call leaves a page young",
            Rule::DeferClean,
            "page table",
            2,
            OLD_LIST,
            Hooks {
                real: |subject, cpu, call| {
                    let answer = subject.real_mode(cpu, call);
                    let hva = Hva(0x7f00_0000_7000);
                    let young = Pte::Present { pfn: Pfn(0x17), writable: true, dirty: true, young: true };
                    let _ = cpu.compare_exchange_pte(hva, cpu.load_pte(hva), young);
                    answer
                },
                ..HONEST
            },
            ["page-table entry at hva 0x7f0000007000 after", "present pfn=0x17 writable dirty as before", "young"],
        ),
        flat(
            "everything is deferred",
            Rule::RmLazy,
            "real mode",
            1,
            GET,
            Hooks { real: |_, _, _| TOO_HARD, ..HONEST },
            ["the call", "finished in real mode", "deferred"],
        ),
        flat(
            "an unknown opcode is deferred",
            Rule::RmLazy,
            "real mode",
            2,
            "cpu0 H_GET_TCE liobn=0x9 ioba=0x0\ncpu0 hcall=0x0\n",
            Hooks { real: |_, _, _| TOO_HARD, ..HONEST },
            ["the call", "finished in real mode", "deferred"],
        ),
        flat(
            "real mode finishes though the list is not young",
            Rule::DeferPte,
            "real mode",
            2,
            OLD_LIST,
            NEVER_DEFERS,
            ["the call", "deferred: a page table entry is absent", "finished in real mode with H_SUCCESS (0)"],
        ),
        flat(
            "real mode finishes though the target is not dirty",
            Rule::DeferPte,
            "real mode",
            2,
            "clean 0x7f0000000000\ncpu0 H_PUT_TCE liobn=0x1 ioba=0x0 tce=0x2\n",
            // Everything is done right, but in real mode.
            Hooks { real: |subject, cpu, call| subject.virtual_mode(cpu, call), ..HONEST },
            ["the call", "deferred: a page table entry is absent", "finished in real mode with H_SUCCESS (0)"],
        ),
        sparse(
            "real mode finishes though the struct page is split",
            Rule::DeferLookup,
            "real mode",
            2,
            "cpu0 H_PUT_TCE liobn=0x1 ioba=0x0 tce=0x10003\ncpu0 H_PUT_TCE liobn=0x1 ioba=0x0 tce=0x3\n",
            NEVER_DEFERS,
            ["the call", "deferred: a struct page is split", "finished in real mode with H_SUCCESS (0)"],
        ),
        flat(
            "real mode finishes though the page is compound",
            Rule::DeferCompound,
            "real mode",
            3,
            "make-compound 0x40 order=1\nmap 0x7f0000008000 present pfn=0x41 writable dirty young\n\
             cpu0 H_PUT_TCE liobn=0x1 ioba=0x0 tce=0x8003\n",
            Hooks { real: |subject, cpu, call| subject.virtual_mode(cpu, call), ..HONEST },
            ["the call", "deferred: a page is compound", "finished in real mode with H_SUCCESS (0)"],
        ),
        flat(
            "real mode finishes though the reference is the last",
            Rule::DeferLastRef,
            "real mode",
            3,
            LAST,
            NEVER_DEFERS,
            ["the call", "deferred: the call drops the last reference", "finished in real mode with H_SUCCESS (0)"],
        ),
        flat(
            "real mode answers a deferral with an error",
            Rule::DeferPte,
            "real mode",
            2,
            OLD_LIST,
            Hooks { real: |_, _, _| HcallAnswer::status(Status::PARAMETER), ..HONEST },
            ["the call", "deferred: a page table entry is absent", "finished in real mode with H_PARAMETER (-4)"],
        ),
        // ---- another answer
        flat(
            "real mode answers another error",
            Rule::DivergeStatus,
            "status",
            1,
            "cpu0 H_STUFF_TCE liobn=0x1 ioba=0x0 tce=0x0 count=513\n",
            Hooks { real: |_, _, _| HcallAnswer::status(Status::PARAMETER), ..HONEST },
            ["status (r3)", "H_P4 (-57)", "H_PARAMETER (-4)"],
        ),
        flat(
            "virtual mode says that it is too hard",
            Rule::DivergeStatus,
            "status",
            2,
            OLD_LIST,
            Hooks { virt: |_, _, _| TOO_HARD, ..HONEST },
            ["status (r3)", "H_SUCCESS (0)", "H_TOO_HARD (9999)"],
        ),
        flat(
            "a value is lost",
            Rule::DivergeR4,
            "r4",
            2,
            "cpu0 H_PUT_TCE liobn=0x1 ioba=0x0 tce=0x3\ncpu0 H_GET_TCE liobn=0x1 ioba=0x0\n",
            Hooks {
                real: |subject, cpu, call| {
                    let answer = subject.real_mode(cpu, call);
                    HcallAnswer { r4: answer.r4.map(|_| 0x1_0003), ..answer }
                },
                ..HONEST
            },
            ["r4", "0x3", "0x10003"],
        ),
        flat(
            "r4 is not written",
            Rule::DivergeR4,
            "r4",
            1,
            GET,
            Hooks { real: |_, _, _| SUCCESS, ..HONEST },
            ["r4", "0x0", "untouched"],
        ),
        flat(
            "r4 is written on an error",
            Rule::DivergeR4,
            "r4",
            1,
            "cpu0 H_GET_TCE liobn=0x1 ioba=0x10000\n",
            Hooks { real: |_, _, _| HcallAnswer { status: Status::PARAMETER, r4: Some(0) }, ..HONEST },
            ["r4", "untouched", "0x0"],
        ),
        // ---- another state
        flat(
            "a guest value is not stored",
            Rule::DivergeTce,
            "guest value",
            1,
            "cpu0 H_PUT_TCE liobn=0x2 ioba=0xf000 tce=0x3\n",
            Hooks { real: |_, _, _| SUCCESS, ..HONEST },
            ["guest value 15 of window 0x2", "0x3", "0x0"],
        ),
        flat(
            "a guest value is stored in the wrong byte order",
            Rule::DivergeTce,
            "guest value",
            1,
            PUT,
            Hooks {
                real: |subject, cpu, call| {
                    let answer = subject.real_mode(cpu, call);
                    store_tce(cpu, guest(0), call.args[2].swap_bytes());
                    answer
                },
                ..HONEST
            },
            ["guest value 0 of window 0x1", "0x3", "0x300000000000000"],
        ),
        flat(
            "another entry is changed too",
            Rule::DivergeTce,
            "guest value",
            1,
            PUT,
            Hooks {
                real: |subject, cpu, call| {
                    let answer = subject.real_mode(cpu, call);
                    store_tce(cpu, guest(9), 0x8000_0000_0000_0000);
                    answer
                },
                ..HONEST
            },
            ["guest value 9 of window 0x1", "0x0", "0x8000000000000000"],
        ),
        flat(
            "a hardware entry has other permissions",
            Rule::DivergeTce,
            "hardware entry",
            1,
            "cpu0 H_PUT_TCE liobn=0x1 ioba=0x0 tce=0x1\n",
            Hooks {
                real: |subject, cpu, call| {
                    let answer = subject.real_mode(cpu, call);
                    store_tce(cpu, hardware(0), 0x1_0003);
                    answer
                },
                ..HONEST
            },
            ["hardware entry 0 of window 0x1", "0x10001", "0x10003"],
        ),
        flat(
            "a close leaves an entry behind",
            Rule::DivergeTce,
            "guest value",
            2,
            "cpu0 H_PUT_TCE liobn=0x2 ioba=0x1000 tce=0x3\nclose-window 0x2\n",
            Hooks { close_window: |_, _, _| {}, ..HONEST },
            ["guest value 1 of window 0x2", "0x0", "0x3"],
        ),
        flat(
            "a close at the end of the program leaves an entry behind",
            Rule::DivergeTce,
            "guest value",
            2,
            "cpu0 H_PUT_TCE liobn=0x2 ioba=0x1000 tce=0x3\n",
            Hooks { close_window: |_, _, _| {}, ..HONEST },
            ["guest value 1 of window 0x2", "0x0", "0x3"],
        ),
        flat(
            "a reference is taken twice",
            Rule::DivergeCount,
            "count",
            1,
            PUT,
            Hooks {
                real: |subject, cpu, call| {
                    let answer = subject.real_mode(cpu, call);
                    add(cpu, 0x10, 1);
                    answer
                },
                ..HONEST
            },
            ["count of page 0x10", "2", "3"],
        ),
        flat(
            "a close leaks a reference",
            Rule::DivergeCount,
            "count",
            2,
            PUT,
            Hooks {
                close_window: |_, cpu, liobn| {
                    if liobn.0 == 1 {
                        store_tce(cpu, hardware(0), 0);
                        store_tce(cpu, guest(0), 0);
                    }
                },
                ..HONEST
            },
            ["count of page 0x10", "1", "2"],
        ),
        flat(
            "a successful probe takes nothing",
            Rule::DivergeCount,
            "count",
            1,
            "get_page_unless_zero 0x20\n",
            Hooks { get: |_, _, _| ProbeAnswer::Done(true), ..HONEST },
            ["count of page 0x20", "3", "2"],
        ),
        flat(
            "a page is marked dirty by the new entry",
            Rule::DivergeFlag,
            "page flags",
            1,
            PUT,
            Hooks {
                real: |subject, cpu, call| {
                    let answer = subject.real_mode(cpu, call);
                    cpu.store(flags(0x10), 4, SeqCst);
                    answer
                },
                ..HONEST
            },
            ["flags of page 0x10", "none", "DIRTY"],
        ),
        flat(
            "a page is not marked dirty when its entry goes",
            Rule::DivergeFlag,
            "page flags",
            2,
            "cpu0 H_PUT_TCE liobn=0x1 ioba=0x0 tce=0x2\ncpu0 H_PUT_TCE liobn=0x1 ioba=0x0 tce=0x0\n",
            Hooks {
                real: |subject, cpu, call| {
                    let answer = subject.real_mode(cpu, call);
                    cpu.store(flags(0x10), 0, SeqCst);
                    answer
                },
                ..HONEST
            },
            ["flags of page 0x10", "DIRTY", "none"],
        ),
        flat(
            "a store to a word of a struct page that no handler may change",
            Rule::DivergeFlag,
            "struct page",
            1,
            GET,
            Hooks {
                real: |subject, cpu, call| {
                    cpu.store(Ea(flags(0x21).0 + 56), 0xdead, SeqCst);
                    subject.real_mode(cpu, call)
                },
                ..HONEST
            },
            ["word at offset 56 of the struct page of page 0x21", "0x0", "0xdead"],
        ),
        flat(
            "the four bytes after a count",
            Rule::DivergeFlag,
            "struct page",
            1,
            GET,
            Hooks {
                real: |subject, cpu, call| {
                    cpu.store(count(0x20), 2 | 1 << 32, SeqCst);
                    subject.real_mode(cpu, call)
                },
                ..HONEST
            },
            ["bytes 12 to 15 of the struct page of page 0x20", "0x0", "0x1"],
        ),
        flat(
            "a page-table entry loses its dirty bit",
            Rule::DivergeFlag,
            "page table",
            1,
            PUT,
            Hooks {
                real: |subject, cpu, call| {
                    let answer = subject.real_mode(cpu, call);
                    let hva = Hva(0x7f00_0000_0000);
                    let clean = Pte::Present { pfn: Pfn(0x10), writable: true, dirty: false, young: true };
                    let _ = cpu.compare_exchange_pte(hva, cpu.load_pte(hva), clean);
                    answer
                },
                ..HONEST
            },
            ["page-table entry at hva 0x7f0000000000", "writable dirty young", "present pfn=0x10 writable young"],
        ),
        // ---- lookups and probes
        sparse(
            "a lookup finds a split struct page",
            Rule::DivergeLookup,
            "lookup",
            2,
            "pfn_to_page 0x48\npfn_to_page 0x49\n",
            Hooks { lookup: |_, _, pfn| Some(RealAddr(0x1000_0000 + pfn.0 * 56)), ..HONEST },
            ["pfn_to_page of 0x49", "none", "0x10000ff8"],
        ),
        flat(
            "a lookup finds nothing",
            Rule::DivergeLookup,
            "lookup",
            1,
            "pfn_to_page 0xff\n",
            Hooks { lookup: |_, _, _| None, ..HONEST },
            ["pfn_to_page of 0xff", "0x8003fc0", "none"],
        ),
        flat(
            "a probe gives back what it should not",
            Rule::DivergeLookup,
            "probe",
            1,
            "get_page_unless_zero 0x21\n",
            Hooks { get: |_, _, _| ProbeAnswer::NoPage, ..HONEST },
            ["get_page_unless_zero of 0x21", "false", "no page"],
        ),
        flat(
            "a probe takes a tail for a page",
            Rule::DivergeLookup,
            "probe",
            2,
            "make-compound 0x40 order=1\nput_page_unless_one 0x41\n",
            Hooks { put: |_, _, _| ProbeAnswer::Done(false), ..HONEST },
            ["put_page_unless_one of 0x41", "compound", "false"],
        ),
    ]
}

/// The checker must report the case's rule at the case's step, and must agree on the candidate without the mistake.
#[test]
fn every_mistake_is_found_for_what_it_is() {
    let mut wrong = Vec::new();
    let mut honest = checker(HONEST);
    for case in all() {
        let program = case.program();
        if let verdict @ (Verdict::Finding(..) | Verdict::Invalid(_)) = honest.check(&program) {
            wrong.push(format!("{}: the candidate does not agree: {verdict:?}", case.name));
        }
        let mut mistaken = checker(case.hooks);
        let Verdict::Finding(finding) = mistaken.check(&program) else {
            wrong.push(format!("{}: no finding", case.name));
            continue;
        };
        let place = match case.step {
            0 => Place::Start,
            step if step > program.steps.len() => Place::End,
            step => Place::Step(step - 1),
        };
        let found = (finding.rule, finding.identity().field.name(), finding.place, finding.kind);
        if found != (case.rule, case.field, place, place.kind(&program)) {
            wrong.push(format!("{}: expected {:?} at {place}, found {finding}", case.name, case.rule));
        }
        let agreed = finding.place.steps_before(&program).checked_sub(1);
        if finding.agreed != agreed {
            wrong.push(format!("{}: agreed at {:?}, expected {agreed:?}", case.name, finding.agreed));
        }
        for (text, part) in [&finding.what(), &finding.expected, &finding.found].into_iter().zip(case.says) {
            if !text.contains(part) {
                wrong.push(format!("{}: {part:?} does not appear in {text:?}", case.name));
            }
        }
        let tally = mistaken.tally();
        assert_eq!(tally.programs, 1);
        let begun = finding.place.steps_before(&program) + usize::from(finding.place.step().is_some());
        assert_eq!(tally.steps as usize, begun);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The table has a case for each finding rule and each reason to defer, except the rules that no subject can break.
/// tests/harness/libraries.rs has the cases of what the C interface does not allow.
#[test]
fn every_finding_rule_has_a_case() {
    let cases = all();
    for &rule in Rule::ALL {
        let expected = rule.kind() != contract::rule::RuleKind::Outcome
            && !matches!(rule, Rule::RefConserve | Rule::RefLeak | Rule::SubjectProtocol | Rule::HarnessFault);
        assert_eq!(cases.iter().any(|case| case.rule == rule), expected, "{rule}");
    }
}

/// Behaviour that is allowed, up to the limit of each rule.
#[test]
fn what_is_allowed_is_no_finding() {
    let allowed: [(&str, Hooks, &str, &str); 7] = [
        ("exactly the bound", Hooks { bound: |_| Bound { base: 0, per_entry: 1 }, ..HONEST }, FLAT, GET),
        (
            "a lookup's answer with the linear map's nibble, or without",
            Hooks {
                lookup: |subject, cpu, pfn| subject.pfn_to_page(cpu, pfn).map(|real| RealAddr(real.ea().0)),
                ..HONEST
            },
            FLAT,
            "pfn_to_page 0x10\npfn_to_page 0x100\n",
        ),
        (
            "the list is read once in each mode",
            Hooks {
                real: |subject, cpu, call| {
                    let _ = cpu.load(LIST.ea(), SeqCst);
                    let _ = cpu.load(Ea(LIST.ea().0 + 8), SeqCst);
                    subject.real_mode(cpu, call)
                },
                ..HONEST
            },
            FLAT,
            OLD_LIST,
        ),
        (
            "a change that real mode undoes before it defers",
            Hooks {
                real: |subject, cpu, call| {
                    store_tce(cpu, guest(1), 0x5000);
                    add(cpu, 0x10, 1);
                    add(cpu, 0x10, -1);
                    store_tce(cpu, guest(1), 0);
                    subject.real_mode(cpu, call)
                },
                ..HONEST
            },
            FLAT,
            "age 0x7f0000000000\ncpu0 H_PUT_TCE liobn=0x1 ioba=0x0 tce=0x3\n",
        ),
        (
            "unknown LIOBNs may be deferred",
            Hooks { real: |_, _, _| TOO_HARD, ..HONEST },
            FLAT,
            "cpu0 H_GET_TCE liobn=0x9 ioba=0x0\n",
        ),
        (
            "virtual mode may allocate and drop a last reference",
            Hooks {
                virt: |subject, cpu, call| {
                    cpu.allocate(1 << 20);
                    subject.virtual_mode(cpu, call)
                },
                ..HONEST
            },
            FLAT,
            LAST,
        ),
        (
            "virtual mode reaches struct pages at their virtual addresses, real mode at real ones without the nibble",
            Hooks {
                real: |subject, cpu, call| {
                    let _ = cpu.load(Ea(0x1000_0000), SeqCst);
                    subject.real_mode(cpu, call)
                },
                virt: |subject, cpu, call| {
                    let _ = cpu.load(Ea(0xf << 60), SeqCst);
                    subject.virtual_mode(cpu, call)
                },
                ..HONEST
            },
            SPARSE,
            "cpu0 H_PUT_TCE liobn=0x1 ioba=0x0 tce=0x3\n",
        ),
    ];
    for (name, hooks, machine, steps) in allowed {
        let verdict = checker(hooks).check(&program(machine, steps));
        assert!(matches!(verdict, Verdict::Agreed), "{name}: {verdict:?}");
    }
}

/// A probe of the last pfn makes the harness create its own record of that page. A later hot-add clears such records
/// and must not fail on this one.
#[test]
fn a_probe_of_the_last_pfn_leaves_the_harness_sound() {
    let steps = format!("put_page_unless_one {LAST_PFN}\nhot-add 0x1 0x11000000*4\nhot-remove 0x1\n");
    let verdict = checker(HONEST).check(&program(SPARSE, &steps));
    assert!(matches!(verdict, Verdict::Agreed), "{verdict:?}");
}
