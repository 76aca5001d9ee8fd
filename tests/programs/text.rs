//! Tests of the text form: parse and print are inverse, the parser refuses every malformed program with its place and
//! reason, and hostile text does no harm.

use contract::description::{AddrRun, BlockRun, Machine, Mapping, MemoryModel, RamSpec, WordRun};
use contract::text::{MAX_TEXT_BYTES, Span, TextError};
use contract::{Hva, Hypercall, PageShift, Pfn, Pte, RealAddr, Rule, Step, StepKind};
use programs::generate::{GeneratorConfig, generate};
use programs::snippet::NoProgram;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use realmode_diff::{Dialect, Program, SubjectKind, Verdict, parse};

// ---- round trips ---------------------------------------------------------------------------------------------------

fn round_trip(program: &Program) {
    let text = program.to_string();
    let parsed = match parse(&text) {
        Ok(parsed) => parsed,
        Err(error) => panic!("{error}\n{text}"),
    };
    assert_eq!(&parsed, program, "{text}");
    similar_asserts::assert_eq!(parsed.to_string(), text);
}

#[test]
fn generated_programs_of_every_dialect_survive_print_and_parse() {
    for dialect in Dialect::ALL {
        let config = GeneratorConfig { dialect: Some(dialect), ..GeneratorConfig::default() };
        for index in 0..1_000 {
            let program = generate(&config, 0x7e47, index);
            assert_eq!(program.dialect, dialect);
            round_trip(&program);
        }
    }
}

/// Every kind of step and item in all its forms, exactly as the printer writes them. The machine is flatmem; a constant
/// below has the other memory model.
pub(super) const EVERYTHING: &str = "\
realmode-program 1
dialect lopapr
machine flatmem page_shift=12 struct_page=56 array=0x8000000 pages=1024
page 0x0 own=-2147483648
page 0x1 own=2147483647 dirty
page 0x2 own=0 dirty
page 0x40 own=3
compound 0x40 order=2
compound 0x200 order=9
slot 0 gfn=0x0 pages=16 hva=0x7f0000000000
slot 511 gfn=0xfffffffffffff pages=1 hva=0xfffffffffffff000
map 0x7f0000000000 present pfn=0x10
map 0x7f0000001000 present pfn=0x11 writable dirty young pages=3
map 0x7f0000004000 huge pfn=0x40 order=2 young
map 0x7f0000008000 absent pfn=0x20 pages=2
map 0x7f000000a000 present pfn=0x22 writable young
map 0xfffffffffffff000 absent pfn=0x23
ram 0x10000 0x1
ram 0x11000 0x1003*4 0x5+0x1000*3 0xffffffffffffffff 0x0*2 0x7+0xfffffffffffffff9*2
window 0x80000001 page_shift=12 base=0x0 entries=16 pinned table=0x9000000 hardware=0x9001000
window 0xffffffffffffffff page_shift=34 base=0xfffffffc00000000 entries=1 emulated table=0x9002000
steps
cpu0 H_GET_TCE liobn=0x80000001 ioba=0x0
cpu1 H_PUT_TCE liobn=0x80000001 ioba=0x1000 tce=0x2003
cpu2 H_STUFF_TCE liobn=0x80000001 ioba=0x1000 tce=0x0 count=512
cpu7 H_PUT_TCE_INDIRECT liobn=0x80000001 ioba=0x0 list=0x1000 count=18446744073709551615
cpu3 H_GET_TCE liobn=0x1 ioba=0x0 r6=0x9 r7=0xffffffffffffffff
cpu3 H_PUT_TCE liobn=0x1 ioba=0x0 tce=0x0 r7=0x1
cpu0 hcall=0x0
cpu0 hcall=0xffffffffffffffff r4=0x1 r5=0x2 r6=0x3 r7=0x4
cpu0 hcall=0x24 r5=0x7
pfn_to_page 0xffffffffffffffff
get_page_unless_zero 0x10
put_page_unless_one 0x10
take 0x10
drop 0x10
map 0x7f000000b000 present pfn=0x30
map 0x7f000000c000 present pfn=0x31 writable dirty young
map 0x7f0000200000 huge pfn=0x200 order=9 writable dirty
map 0x7f000000d000 absent pfn=0x32
unmap 0x7f000000b000
age 0x7f000000c000
clean 0x7f000000c000
write-protect 0x7f000000c000
migrate 0x7f000000c000 pfn=0x33
make-compound 0x50 order=1
split-compound 0x50
hot-add 0x5
hot-add 0x5 0x10000000 0x20000000*3
hot-remove 0x5
slot 1 gfn=0x100 pages=4 hva=0x7f0000100000
slot 1 gfn=0x0 pages=0 hva=0x0
write 0x1000 0x3003 0x0*4 0x4001+0x1000*2
create-window 0x7 page_shift=16 base=0x10000 entries=2 emulated table=0xa000000
create-window 0x8 page_shift=12 base=0x0 entries=1 pinned table=0xa001000 hardware=0xa002000
close-window 0x7
";

pub(super) const SPARSE: &str = "\
realmode-program 1
dialect qemu
machine sparsemem-vmemmap page_shift=16 struct_page=80 base=0xc00c000000000000 block_shift=12 list=0x20000000
section 0x0 0x1 0x2 0x3 0x5 0x6 0x7 0x8 0x9 0xa 0xb 0xc 0xd 0xe 0xf 0x10
section 0x3fffff
block 0x0 at=0x30000000
block 0x1 at=0x40000000*19
block 0x19 at=0x50000000*60
block 0x13ffffb at=0x60000000*5
window 0xffffffff page_shift=12 base=0x801 entries=3 emulated table=0x70000000
steps
";

#[test]
fn every_item_and_step_is_printed_as_it_is_parsed() {
    for text in [EVERYTHING, SPARSE] {
        let program = parse(text).unwrap_or_else(|error| panic!("{error}"));
        similar_asserts::assert_eq!(program.to_string(), text);
        round_trip(&program);
    }
    let kinds: std::collections::BTreeSet<_> =
        parse(EVERYTHING).expect("a program").steps.iter().map(Step::kind).collect();
    assert_eq!(kinds.len(), 24, "4 hypercalls, one unknown, 3 probes, 16 host steps: {kinds:?}");
    assert!(kinds.iter().eq(StepKind::ALL), "every kind is here: {kinds:?}");
}

#[test]
fn kinds_of_steps_are_found_by_their_names() {
    for &kind in StepKind::ALL {
        assert_eq!(StepKind::from_name(kind.name()), Some(kind));
    }
    for none in ["", "H_CEDE", "hcall=0x4", "Take", "start", "end"] {
        assert_eq!(StepKind::from_name(none), None, "{none}");
    }
    // The text of a step starts with the name of its kind, for a hypercall after the vCPU. An unknown call has `=` and
    // its opcode after the name.
    for step in parse(EVERYTHING).expect("a program").steps {
        let (kind, text) = (step.kind(), step.to_string());
        let at = if let Step::Hypercall { .. } = step { 1 } else { 0 };
        let word = text.split(' ').nth(at).and_then(|word| word.split('=').next());
        assert_eq!(word, Some(kind.name()), "{text}");
        assert_eq!(format!("<{kind:<24}>"), format!("<{:<24}>", kind.name()), "columns are as wide as for text");
    }
    // Hypercalls and kinds of steps name the calls alike.
    let calls =
        [Hypercall::get(0, 0), Hypercall::put(0, 0, 0), Hypercall::stuff(0, 0, 0, 0), Hypercall::indirect(0, 0, 0, 0)];
    for call in calls {
        assert_eq!(call.name(), Some(Step::Hypercall { vcpu: 0, call }.kind().name()));
    }
}

#[test]
fn layout_comments_and_ways_to_write_a_number_mean_nothing() {
    let loose = "# A comment first.\n\n  realmode-program   1 # the version\n\tdialect lopapr\r\n\
                 machine flatmem page_shift=0xc struct_page=0x38 array=134_217_728 pages=0x4_00#nothing\n\
                 \n#window 1 is a comment\nsteps\n  pfn_to_page 0x0001_0\n\n take 16 # the same page\n";
    let program = parse(loose).unwrap_or_else(|error| panic!("{error}"));
    let expected = "realmode-program 1\ndialect lopapr\n\
                    machine flatmem page_shift=12 struct_page=56 array=0x8000000 pages=1024\n\
                    steps\npfn_to_page 0x10\ntake 0x10\n";
    similar_asserts::assert_eq!(program.to_string(), expected);
    round_trip(&program);
}

/// A known opcode that is written as a number is printed by its name, so that a call has one printed form.
#[test]
fn a_known_opcode_by_number_is_the_call() {
    let text = with_steps("cpu0 hcall=0x20 liobn=0x1 ioba=0x0 tce=0x0 r7=5\n");
    let program = parse(&text).unwrap_or_else(|error| panic!("{error}"));
    similar_asserts::assert_eq!(program.to_string(), with_steps("cpu0 H_PUT_TCE liobn=0x1 ioba=0x0 tce=0x0 r7=0x5\n"));
}

// ---- malformed programs --------------------------------------------------------------------------------------------

const FLAT: &str = "machine flatmem page_shift=12 struct_page=64 array=0x8000000 pages=256\n";
const VMEMMAP: &str =
    "machine sparsemem-vmemmap page_shift=16 struct_page=64 base=0xf000000000000000 block_shift=16 list=0x20000000\n";

fn dialect(name: &str, rest: &str) -> String {
    format!("realmode-program 1\ndialect {name}\n{rest}")
}

/// A program with a flatmem machine on line 3 and its items from line 4 on.
fn flat(items: &str) -> String {
    dialect("lopapr", &format!("{FLAT}{items}steps\n"))
}

/// A program with a vmemmap machine on line 3 and its items from line 4 on. Each block holds the struct pages of four
/// sections.
fn vmemmap(items: &str) -> String {
    dialect("lopapr", &format!("{VMEMMAP}{items}steps\n"))
}

/// A program with a flatmem machine and steps from line 5 on.
fn with_steps(steps: &str) -> String {
    dialect("lopapr", &format!("{FLAT}steps\n{steps}"))
}

fn error_of(text: &str) -> TextError {
    match parse(text) {
        Ok(program) => panic!("taken for a program:\n{text}\nas\n{program}"),
        Err(error) => error,
    }
}

/// Checks that each text is refused, with this line, column and message.
fn refuse(cases: impl IntoIterator<Item = (String, usize, usize, &'static str)>) {
    let mut wrong = Vec::new();
    for (text, line, column, message) in cases {
        let error = error_of(&text);
        if (error.line, error.column, error.message.as_str()) != (line, column, message) {
            let start: String = text.chars().take(400).collect();
            wrong.push(format!(
                "{start}\n  expected {line}:{column}: {message}\n  found    {}:{}: {}\n",
                error.line, error.column, error.message
            ));
        }
        sound_error(&text, &error);
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

const ITEMS: &str = "`section`, `block`, `page`, `compound`, `slot`, `map`, `ram`, `window` or `steps`";

#[test]
fn what_is_no_header_dialect_or_machine_is_refused() {
    let header = "realmode-program 1\n";
    let text = str::to_string;
    refuse([
        (text(""), 1, 1, "found the end of the file, expected the header `realmode-program 1`"),
        (text("program 1\n"), 1, 1, "found `program`, expected the header `realmode-program 1`"),
        (text("realmode-program\n"), 1, 17, "found the end of the line, expected the version, 1"),
        (text("realmode-program 2\n"), 1, 18, "found `2`, expected version 1 of the text form"),
        (text("realmode-program 01\n"), 1, 18, "found `01`, expected version 1 of the text form"),
        (text("realmode-program 1 2\n"), 1, 20, "found `2`, expected the end of the line"),
        (text(header), 2, 1, "found the end of the file, expected `dialect <lopapr|kvm|qemu>`"),
        (format!("{header}{FLAT}"), 2, 1, "found `machine`, expected `dialect <lopapr|kvm|qemu>`"),
        (dialect("", ""), 2, 8, "found the end of the line, expected a dialect: lopapr, kvm or qemu"),
        (dialect("LoPAPR", ""), 2, 9, "found `LoPAPR`, expected a dialect: lopapr, kvm or qemu"),
        (dialect("xen", ""), 2, 9, "found `xen`, expected a dialect: lopapr, kvm or qemu"),
        (dialect("kvm kvm", ""), 2, 13, "found `kvm`, expected the end of the line"),
        (
            dialect("kvm", ""),
            3,
            1,
            "found the end of the file, expected `machine flatmem ...` or `machine sparsemem-vmemmap ...`",
        ),
        (
            dialect("kvm", "steps\n"),
            3,
            1,
            "found `steps`, expected `machine flatmem ...` or `machine sparsemem-vmemmap ...`",
        ),
        (
            dialect("kvm", "machine discontigmem\n"),
            3,
            9,
            "found `discontigmem`, expected `flatmem` or `sparsemem-vmemmap`",
        ),
        (dialect("kvm", "machine\n"), 3, 8, "found the end of the line, expected `flatmem` or `sparsemem-vmemmap`"),
        (dialect("kvm", "machine flatmem\n"), 3, 16, "found the end of the line, expected `page_shift=...`"),
        (
            dialect("kvm", "machine flatmem struct_page=64\n"),
            3,
            17,
            "found `struct_page=64`, expected `page_shift=...`",
        ),
        (dialect("kvm", "machine flatmem page_shift=14\n"), 3, 28, "found `14`, expected 12 or 16"),
        (dialect("kvm", "machine flatmem page_shift=\n"), 3, 28, "found ``, expected 12 or 16"),
        (
            dialect("kvm", "machine flatmem page_shift=12\n"),
            3,
            30,
            "found the end of the line, expected `struct_page=...`",
        ),
        (
            dialect("kvm", "machine flatmem page_shift=12 struct_page=x\n"),
            3,
            43,
            "found `x`, expected a number for `struct_page`",
        ),
        (
            dialect("kvm", "machine flatmem page_shift=12 struct_page=64 array=0x8000000\n"),
            3,
            61,
            "found the end of the line, expected `pages=...`",
        ),
        (
            dialect(
                "kvm",
                "machine sparsemem-vmemmap page_shift=12 struct_page=64 base=0x0 block_shift=0x100000000 list=0\n",
            ),
            3,
            77,
            "found `0x100000000`, expected a number for `block_shift` that fits 32 bits",
        ),
        (
            dialect("kvm", "machine flatmem page_shift=12 struct_page=64 array=0 pages=1 more\n"),
            3,
            62,
            "found `more`, expected the end of the line",
        ),
    ]);
    let missing_steps = format!("found the end of the file, expected {ITEMS}");
    let error = error_of(&dialect("kvm", FLAT));
    assert_eq!((error.line, error.column, error.message), (4, 1, missing_steps));
}

#[test]
fn what_is_no_item_is_refused() {
    refuse([
        (
            flat("pages 1\n"),
            4,
            1,
            "found `pages`, expected `section`, `block`, `page`, `compound`, `slot`, `map`, `ram`, `window` or `steps`",
        ),
        (flat("section 0\n"), 4, 1, "found `section`, expected another item: flatmem has neither sections nor blocks"),
        (flat("block 0 at=0\n"), 4, 1, "found `block`, expected another item: flatmem has neither sections nor blocks"),
        (vmemmap("section\n"), 4, 8, "found the end of the line, expected the number of a section"),
        (vmemmap("section 0 one\n"), 4, 11, "found `one`, expected the number of a section"),
        (vmemmap("block 0\n"), 4, 8, "found the end of the line, expected `at=...`"),
        (vmemmap("block 0 at=0x*2\n"), 4, 12, "found `0x`, expected an address, or address*count"),
        (vmemmap("block 0 at=0x0*0\n"), 4, 16, "found `0`, expected a count of at least 1"),
        (vmemmap("block 0 at=0x0*2*2\n"), 4, 16, "found `2*2`, expected an address, or address*count"),
        (
            flat("page 1 own=2147483648\n"),
            4,
            12,
            "found `2147483648`, expected a number for `own` that fits 32 bits with its sign",
        ),
        (
            flat("page 1 own=-2147483649\n"),
            4,
            12,
            "found `-2147483649`, expected a number for `own` that fits 32 bits with its sign",
        ),
        (flat("page 1 own=--1\n"), 4, 13, "found `-1`, expected a number for `own` that fits 32 bits with its sign"),
        (flat("page 1 own=1 clean\n"), 4, 14, "found `clean`, expected `dirty` or the end of the line"),
        (flat("page 1 own=1 dirty dirty\n"), 4, 20, "found `dirty`, expected the end of the line"),
        (flat("page own=1\n"), 4, 6, "found `own=1`, expected a pfn"),
        (
            flat("page 0x1_0000_0000_0000_0000 own=1\n"),
            4,
            6,
            "found `0x1_0000_0000_0000_0000`, expected a pfn that fits 64 bits",
        ),
        (
            flat("page 18446744073709551616 own=1\n"),
            4,
            6,
            "found `18446744073709551616`, expected a pfn that fits 64 bits",
        ),
        (flat("page 0X10 own=1\n"), 4, 6, "found `0X10`, expected a pfn"),
        (flat("page 0x_10 own=1\n"), 4, 6, "found `0x_10`, expected a pfn"),
        (flat("page _10 own=1\n"), 4, 6, "found `_10`, expected a pfn"),
        (flat("page 1f own=1\n"), 4, 6, "found `1f`, expected a pfn"),
        (flat("page +1 own=1\n"), 4, 6, "found `+1`, expected a pfn"),
        (flat("page ٣ own=1\n"), 4, 6, "found `٣`, expected a pfn"),
        (flat("compound 4\n"), 4, 11, "found the end of the line, expected `order=...`"),
        (flat("compound 4 order=1 order=1\n"), 4, 20, "found `order=1`, expected the end of the line"),
        (flat("slot\n"), 4, 5, "found the end of the line, expected the number of a slot"),
        (
            flat("slot 4294967296 gfn=0 pages=1 hva=0\n"),
            4,
            6,
            "found `4294967296`, expected the number of a slot that fits 32 bits",
        ),
        (flat("slot 0 pages=1 gfn=0 hva=0\n"), 4, 8, "found `pages=1`, expected `gfn=...`"),
        (flat("slot 0 gfn=0 pages=1\n"), 4, 21, "found the end of the line, expected `hva=...`"),
        (flat("map 0x1000\n"), 4, 11, "found the end of the line, expected `present`, `huge` or `absent`"),
        (flat("map 0x1000 hole\n"), 4, 12, "found `hole`, expected `present`, `huge` or `absent`"),
        (flat("map 0x1000 present pfn=1 dirty young dirty\n"), 4, 38, "found `dirty`, expected each flag once"),
        (
            flat("map 0x1000 present pfn=1 shared\n"),
            4,
            26,
            "found `shared`, expected `writable`, `dirty`, `young` or the end of the line",
        ),
        (
            flat("map 0x1000 present pfn=1 pages=1 pages=2\n"),
            4,
            34,
            "found `pages=2`, expected `writable`, `dirty`, `young` or the end of the line",
        ),
        (flat("map 0x1000 present pfn=1 pages=all\n"), 4, 32, "found `all`, expected a number for `pages`"),
        (flat("map 0x1000 absent pfn=1 young\n"), 4, 25, "found `young`, expected the end of the line"),
        (flat("map 0x1000 huge pfn=1 young\n"), 4, 23, "found `young`, expected `order=...`"),
        (flat("map 0x1000 huge pfn=1 order=32\n"), 4, 12, "found `huge`, expected an order of at most 31"),
        (
            flat("ram 0x1000\n"),
            4,
            11,
            "found the end of the line, expected a word: value, value*count or value+stride*count",
        ),
        (flat("ram 0x1000 1*0\n"), 4, 14, "found `0`, expected a count of at least 1"),
        (
            flat("ram 0x1000 7 1+2+3*4\n"),
            4,
            16,
            "found `2+3`, expected a word: value, value*count or value+stride*count",
        ),
        (
            flat("ram 0x1000 0x10000000000000000\n"),
            4,
            12,
            "found `0x10000000000000000`, expected a word: value, value*count or value+stride*count that fits 64 bits",
        ),
        (
            flat("window 1 page_shift=12 base=0 entries=1\n"),
            4,
            40,
            "found the end of the line, expected `emulated` or `pinned`",
        ),
        (
            flat("window 1 page_shift=12 base=0 entries=1 cached table=0\n"),
            4,
            41,
            "found `cached`, expected `emulated` or `pinned`",
        ),
        (
            flat("window 1 page_shift=12 base=0 entries=1 pinned table=0\n"),
            4,
            55,
            "found the end of the line, expected `hardware=...`",
        ),
        (
            flat("window 1 page_shift=12 base=0 entries=1 emulated table=0 hardware=0\n"),
            4,
            58,
            "found `hardware=0`, expected the end of the line",
        ),
        (
            flat("window 1 page_shift=4294967308 base=0\n"),
            4,
            21,
            "found `4294967308`, expected a number for `page_shift` that fits 32 bits",
        ),
        // The column counts characters, not bytes. The comment is not part of the line.
        (flat("page 1 own=1 süß # own=2\n"), 4, 14, "found `süß`, expected `dirty` or the end of the line"),
        (flat("compound 4 # order=1\n"), 4, 11, "found the end of the line, expected `order=...`"),
        (flat("steps more\n"), 4, 7, "found `more`, expected the end of the line"),
    ]);
}

#[test]
fn what_is_no_step_is_refused() {
    const CALLS: &str = "`H_GET_TCE`, `H_PUT_TCE`, `H_STUFF_TCE`, `H_PUT_TCE_INDIRECT` or `hcall=<opcode>`";
    refuse([
        (with_steps("cpu H_GET_TCE liobn=1 ioba=0\n"), 5, 4, "found ``, expected the number of a vCPU"),
        (with_steps("cpu256 H_GET_TCE liobn=1 ioba=0\n"), 5, 4, "found `256`, expected the number of a vCPU, below 8"),
        (with_steps("cpu-1 H_GET_TCE liobn=1 ioba=0\n"), 5, 4, "found `-1`, expected the number of a vCPU"),
        (with_steps("cpu0 H_GET_TCE liobn=1\n"), 5, 23, "found the end of the line, expected `ioba=...`"),
        (with_steps("cpu0 H_GET_TCE ioba=1\n"), 5, 16, "found `ioba=1`, expected `liobn=...`"),
        (with_steps("cpu0 H_PUT_TCE liobn=1 ioba=0 tce=-1\n"), 5, 35, "found `-1`, expected a number for `tce`"),
        (
            with_steps("cpu0 H_STUFF_TCE liobn=1 ioba=0 tce=0 count=2^64\n"),
            5,
            45,
            "found `2^64`, expected a number for `count`",
        ),
        (
            with_steps("cpu0 H_GET_TCE liobn=1 ioba=0 r5=1\n"),
            5,
            31,
            "found `r5=1`, expected a register from r6 to r7 as `rN=...`, or the end of the line",
        ),
        (
            with_steps("cpu0 hcall=0 r6=1 r5=1\n"),
            5,
            19,
            "found `r5=1`, expected a register from r7 to r7 as `rN=...`, or the end of the line",
        ),
        (
            with_steps("cpu0 hcall=0 r8=1\n"),
            5,
            14,
            "found `r8=1`, expected a register from r4 to r7 as `rN=...`, or the end of the line",
        ),
        (with_steps("cpu0 hcall=0 r4=\n"), 5, 17, "found ``, expected a number"),
        (with_steps("cpu0 hcall=x\n"), 5, 12, "found `x`, expected an opcode"),
        (with_steps("pfn_to_page\n"), 5, 12, "found the end of the line, expected a pfn"),
        (with_steps("take 1 2\n"), 5, 8, "found `2`, expected the end of the line"),
        (
            with_steps("map 0x1000 present pfn=1 pages=2\n"),
            5,
            26,
            "found `pages=2`, expected `writable`, `dirty`, `young` or the end of the line",
        ),
        (with_steps("map 0x1000 absent pfn=1 pages=2\n"), 5, 25, "found `pages=2`, expected the end of the line"),
        (with_steps("unmap\n"), 5, 6, "found the end of the line, expected an hva"),
        (with_steps("migrate 0x1000\n"), 5, 15, "found the end of the line, expected `pfn=...`"),
        (with_steps("hot-add\n"), 5, 8, "found the end of the line, expected the number of a section"),
        (with_steps("hot-add 1 at=5\n"), 5, 11, "found `at=5`, expected an address, or address*count"),
        (with_steps("hot-add 1 5*0\n"), 5, 13, "found `0`, expected a count of at least 1"),
        (
            with_steps("write 0x1000\n"),
            5,
            13,
            "found the end of the line, expected a word: value, value*count or value+stride*count",
        ),
        (with_steps("close-window\n"), 5, 13, "found the end of the line, expected a LIOBN"),
    ]);
    let error = error_of(&with_steps("cpu0 H_CEDE\n"));
    assert_eq!((error.line, error.column, error.message), (5, 6, format!("found `H_CEDE`, expected {CALLS}")));
    // The error for an unknown step lists every kind of step.
    let error = error_of(&with_steps("take 1\nreboot\n"));
    assert_eq!((error.line, error.column, error.width), (6, 1, 6));
    assert!(error.message.starts_with("found `reboot`, expected a step: `cpuN H_...`, "), "{}", error.message);
    for step in parse(EVERYTHING).expect("a program").steps {
        let kind = if matches!(step, Step::Hypercall { .. }) { "cpuN H_..." } else { step.kind().name() };
        assert!(error.message.contains(&format!("`{kind}`")), "{kind} is not offered in: {}", error.message);
    }
}

fn lines(count: usize, line: impl Fn(usize) -> String) -> String {
    (0..count).map(line).collect()
}

/// One case for each check of contract/src/validate.rs and of `WindowSpec::validate` that a text can fail, in their
/// order. [`what_no_text_can_say_is_refused_as_data`] has the other checks.
#[test]
fn what_contradicts_itself_is_refused() {
    let machine = |text: &str, items: &str| dialect("lopapr", &format!("machine {text}\n{items}steps\n"));
    let sparse = |base: &str, block_shift: u32, items: &str| {
        let text = format!(
            "sparsemem-vmemmap page_shift=16 struct_page=64 base={base} block_shift={block_shift} list=0x20000000"
        );
        machine(&text, items)
    };
    let window = |fields: &str| flat(&format!("window {fields}\n"));
    refuse([
        // The memory model.
        (
            machine("flatmem page_shift=12 struct_page=48 array=0x8000000 pages=1", ""),
            3,
            1,
            "struct_page 48 is none of 56, 64, 72, 80",
        ),
        (
            machine("flatmem page_shift=12 struct_page=64 array=0x8000000 pages=0", ""),
            3,
            1,
            "pages 0 is not in 1..=17179869184",
        ),
        (
            machine("flatmem page_shift=16 struct_page=64 array=0x8000000 pages=0x40000001", ""),
            3,
            1,
            "pages 1073741825 is not in 1..=1073741824",
        ),
        (sparse("0xf000000000000000", 13, ""), 3, 1, "block_shift 13 is none of 12, 16, 21, 24"),
        (
            sparse("0xf000000000008000", 16, ""),
            3,
            1,
            "base 0xf000000000008000 is no multiple of the block size 0x10000",
        ),
        (
            sparse("0xc0003ffff0000000", 16, ""),
            3,
            1,
            "base 0xc0003ffff0000000 is below the linear map's end 0xc000400000000000",
        ),
        (sparse("0x0", 16, ""), 3, 1, "base 0x0 is below the linear map's end 0xc000400000000000"),
        (vmemmap(&lines(1025, |i| format!("section {i}\n"))), 3, 1, "1025 sections are more than 1024"),
        (vmemmap("section 5 6\nsection 7 4\n"), 5, 1, "section 0x4 does not follow 0x7: ascending order is expected"),
        (vmemmap("section 5 5\n"), 4, 1, "section 0x5 does not follow 0x5: ascending order is expected"),
        (vmemmap("section 0x400000\n"), 4, 1, "section 0x400000 lies past 2^46"),
        (
            sparse("0xffffffffffff0000", 16, "section 0 3\nsection 4\n"),
            5,
            1,
            "the struct pages of section 0x4 end past 2^64",
        ),
        // Blocks.
        (
            dialect(
                "lopapr",
                &format!(
                    "machine sparsemem-vmemmap page_shift=12 struct_page=80 base=0xf000000000000000 block_shift=12 list=0x20000000\n{}steps\n",
                    lines(1024, |i| format!("section {i}\n"))
                ),
            ),
            3,
            1,
            "81920 blocks are more than 43690",
        ),
        (
            vmemmap("section 0 4\nblock 1 at=0x10000000\n"),
            5,
            1,
            "block 0x0, which a present section needs, has no place before this line",
        ),
        (vmemmap("section 0\nblock 0 at=0x10000000*2\n"), 5, 1, "no present section needs block 0x1"),
        (
            vmemmap("section 0 8\n  block 0 at=0x10000000\n  block 1 at=0x11000000\n"),
            6,
            3,
            "no present section needs block 0x1",
        ),
        (
            vmemmap("section 0\nblock 0 at=0x10000000\nblock 0 at=0x11000000\n"),
            6,
            1,
            "no present section needs block 0x0",
        ),
        (vmemmap("block 0 at=0x10000000\n"), 4, 1, "no present section needs block 0x0"),
        (
            vmemmap("section 0 4\nblock 0 at=0x10000000\n"),
            3,
            1,
            "block 0x1, which a present section needs, has no place",
        ),
        // Regions.
        (
            machine("flatmem page_shift=12 struct_page=64 array=0x8000800 pages=1", ""),
            3,
            1,
            "the array of struct pages at 0x8000800: not at a multiple of 0x1000",
        ),
        (
            vmemmap("section 0\nblock 0 at=0x10001000\n"),
            5,
            1,
            "a run of blocks at 0x10001000: not at a multiple of 0x10000",
        ),
        (
            machine("flatmem page_shift=12 struct_page=64 array=0x3fffffffff000 pages=65", ""),
            3,
            1,
            "the array of struct pages at 0x3fffffffff000 ends past 2^46",
        ),
        (
            machine("flatmem page_shift=12 struct_page=64 array=0xfffffffffffff000 pages=65", ""),
            3,
            1,
            "the array of struct pages at 0xfffffffffffff000 ends past 2^46",
        ),
        (
            window("1 page_shift=12 base=0 entries=513 emulated table=0x3ffffffff000"),
            4,
            1,
            "a window's table at 0x3ffffffff000 ends past 2^46",
        ),
        (
            window("1 page_shift=12 base=0 entries=1 emulated table=0x9000008"),
            4,
            1,
            "a window's table at 0x9000008: not at a multiple of 0x1000",
        ),
        (
            window("1 page_shift=12 base=0 entries=1 pinned table=0x9000000 hardware=0x9000ff8"),
            4,
            1,
            "a window's table at 0x9000ff8: not at a multiple of 0x1000",
        ),
        (
            window("1 page_shift=12 base=0 entries=1 pinned table=0x9000000 hardware=0x9000000"),
            4,
            1,
            "a window's table at 0x9000000 overlaps a window's table at 0x9000000",
        ),
        (
            window("1 page_shift=12 base=0 entries=1 emulated table=0xff000"),
            4,
            1,
            "a window's table at 0xff000 overlaps memory at 0x0",
        ),
        (
            window("1 page_shift=12 base=0 entries=1 emulated table=0x8003000"),
            4,
            1,
            "a window's table at 0x8003000 overlaps the array of struct pages at 0x8000000",
        ),
        (
            window("1 page_shift=12 base=0 entries=18446744073709551615 emulated table=0x9000000"),
            4,
            1,
            "a window's table at 0x9000000 ends past 2^46",
        ),
        (
            machine("flatmem page_shift=12 struct_page=64 array=0xff000 pages=256", ""),
            3,
            1,
            "the array of struct pages at 0xff000 overlaps memory at 0x0",
        ),
        (vmemmap("section 0\nblock 0 at=0xff0000\n"), 5, 1, "a run of blocks at 0xff0000 overlaps a section at 0x0"),
        (
            vmemmap("section 0 0x20\nblock 0 at=0x10000000\nblock 8 at=0x11000000\n"),
            4,
            1,
            "a section at 0x20000000 overlaps the vmemmap list at 0x20000000",
        ),
        // Compound pages, and pages that the page table names.
        (flat("compound 4 order=0\n"), 4, 1, "order 0 is not in 1..=9"),
        (flat("compound 0 order=10\n"), 4, 1, "order 10 is not in 1..=9"),
        (flat("compound 6 order=2\n"), 4, 1, "pfn 0x6 is no multiple of 0x4"),
        (flat("compound 0x100 order=1\n"), 4, 1, "the pages of the compound page at 0x100 do not all exist"),
        (
            flat("compound 0xffffffffffffff00 order=3\n"),
            4,
            1,
            "the pages of the compound page at 0xffffffffffffff00 do not all exist",
        ),
        (flat("compound 8 order=3\ncompound 12 order=1\n"), 5, 1, "the compound page at 0xc overlaps another"),
        (flat("compound 12 order=1\ncompound 8 order=3\n"), 5, 1, "the compound page at 0x8 overlaps another"),
        (flat("compound 8 order=3\ncompound 8 order=3\n"), 5, 1, "the compound page at 0x8 overlaps another"),
        (flat("map 0x1000 present pfn=1 pages=65537\n"), 4, 1, "more than 65536 pages are mapped"),
        (
            flat("map 0x1000 present pfn=1\nmap 0x2000 absent pfn=1 pages=18446744073709551615\n"),
            5,
            1,
            "more than 65536 pages are mapped",
        ),
        (flat("map 0x1000 present pfn=0xff pages=2\n"), 4, 1, "page 0x100 does not exist"),
        (flat("map 0x1000 absent pfn=0xffffffffffffffff\n"), 4, 1, "page 0xffffffffffffffff does not exist"),
        // Mappings.
        (flat("map 0x1000 present pfn=1 pages=0\n"), 4, 1, "a mapping needs at least one page"),
        (flat("map 0x1800 present pfn=1\n"), 4, 1, "hva 0x1800 is no multiple of 0x1000"),
        (flat("compound 4 order=2\nmap 0x2000 huge pfn=4 order=2\n"), 5, 1, "hva 0x2000 is no multiple of 0x4000"),
        (flat("compound 4 order=2\nmap 0x4000 huge pfn=4 order=2 pages=2\n"), 5, 1, "a huge entry is one entry"),
        (
            flat("compound 4 order=2\nmap 0x4000 huge pfn=4 order=1\n"),
            5,
            1,
            "0x4 is not the head of a compound page of order 1",
        ),
        (
            flat("compound 4 order=2\nmap 0x4000 huge pfn=5 order=2\n"),
            5,
            1,
            "0x5 is not the head of a compound page of order 2",
        ),
        (flat("map 0x0 huge pfn=4 order=31\n"), 4, 1, "0x4 is not the head of a compound page of order 31"),
        (
            flat("map 0xfffffffffffff000 present pfn=1 pages=2\n"),
            4,
            1,
            "the range at hva 0xfffffffffffff000 ends past 2^64",
        ),
        (flat("map 0x1000 present pfn=1 pages=3\nmap 0x3000 absent pfn=9\n"), 5, 1, "hva 0x3000 is mapped twice"),
        (flat("map 0x3000 absent pfn=9\nmap 0x1000 present pfn=1 pages=3\n"), 4, 1, "hva 0x3000 is mapped twice"),
        (
            flat("compound 4 order=2\nmap 0x4000 huge pfn=4 order=2\nmap 0x7000 present pfn=5\n"),
            6,
            1,
            "hva 0x7000 is mapped twice",
        ),
        // References.
        (flat(&lines(65_537, |_| "page 1 own=0\n".into())), 3, 1, "more than 65536 page lines"),
        (flat("page 0x100 own=1\n"), 4, 1, "page 0x100 does not exist"),
        (flat("page 1 own=1\npage 1 own=1\n"), 5, 1, "page 0x1 is described twice"),
        (
            flat("compound 4 order=2\npage 4 own=1\npage 7 own=1\n"),
            6,
            1,
            "page 0x7 is a tail of 0x4: its references are the head's",
        ),
        (
            flat("map 0x1000 present pfn=1\npage 1 own=-1\n"),
            5,
            1,
            "own -1 of page 0x1, which is mapped, is not in 0..=1073741824",
        ),
        (
            flat("map 0x1000 absent pfn=1\npage 1 own=1073741825\n"),
            5,
            1,
            "own 1073741825 of page 0x1, which is mapped, is not in 0..=1073741824",
        ),
        (
            flat("compound 4 order=2\nmap 0x1000 present pfn=6\npage 4 own=-1\n"),
            6,
            1,
            "own -1 of page 0x4, which is mapped, is not in 0..=1073741824",
        ),
        // Slots.
        (flat("slot 512 gfn=0 pages=1 hva=0\n"), 4, 1, "slot number 512 is not below 512"),
        (flat("slot 3 gfn=0 pages=1 hva=0\nslot 3 gfn=8 pages=1 hva=0\n"), 5, 1, "slot 3 is described twice"),
        (flat("slot 0 gfn=0 pages=0 hva=0\n"), 4, 1, "a slot needs at least one page"),
        (
            flat("slot 0 gfn=0xfffffffffffff pages=2 hva=0\n"),
            4,
            1,
            "the slot's guest memory ends past 2^64 (gfn 0xfffffffffffff, 2 pages)",
        ),
        (
            flat("slot 0 gfn=0xffffffffffffffff pages=18446744073709551615 hva=0\n"),
            4,
            1,
            "the slot's guest memory ends past 2^64 (gfn 0xffffffffffffffff, 18446744073709551615 pages)",
        ),
        (flat("slot 0 gfn=0 pages=1 hva=0x800\n"), 4, 1, "hva 0x800 is no multiple of 0x1000"),
        (
            flat("slot 0 gfn=0 pages=2 hva=0xfffffffffffff000\n"),
            4,
            1,
            "the slot's hva range ends past 2^64 (hva 0xfffffffffffff000, 2 pages)",
        ),
        (
            flat("slot 0 gfn=0 pages=4 hva=0\nslot 1 gfn=3 pages=4 hva=0\n"),
            5,
            1,
            "overlaps slot 0: gfn 0x3 lies in both",
        ),
        (
            flat("slot 1 gfn=3 pages=4 hva=0\nslot 0 gfn=0 pages=4 hva=0\n"),
            4,
            1,
            "overlaps slot 0: gfn 0x3 lies in both",
        ),
        // Contents of memory.
        (flat("ram 0x1004 1\n"), 4, 1, "0x1004 is no multiple of 8"),
        (flat("ram 0x1000 1*65537\n"), 4, 1, "more than 65536 words of memory"),
        (flat("ram 0x1000 1*8\nram 0x2000 1*18446744073709551615 1\n"), 5, 1, "more than 65536 words of memory"),
        (flat("ram 0xffff8 1*2\n"), 4, 1, "2 words at 0xffff8 do not all lie in present memory"),
        (flat("ram 0xfffffffffffffff8 1*2\n"), 4, 1, "2 words at 0xfffffffffffffff8 do not all lie in present memory"),
        (flat("ram 0x8000000 1\n"), 4, 1, "1 words at 0x8000000 do not all lie in present memory"),
        // Windows.
        (
            flat(&lines(513, |i| {
                format!("window {i} page_shift=12 base=0 entries=1 emulated table={:#x}\n", 0x900_0000 + (i << 12))
            })),
            3,
            1,
            "more than 512 windows",
        ),
        (window("1 page_shift=11 base=0 entries=1 emulated table=0x9000000"), 4, 1, "page_shift 11 is not in 12..=34"),
        (window("1 page_shift=35 base=0 entries=1 emulated table=0x9000000"), 4, 1, "page_shift 35 is not in 12..=34"),
        (
            window("1 page_shift=4294967295 base=0 entries=1 emulated table=0x9000000"),
            4,
            1,
            "page_shift 4294967295 is not in 12..=34",
        ),
        (
            window("1 page_shift=12 base=0 entries=0 emulated table=0x9000000"),
            4,
            1,
            "a window needs at least one entry",
        ),
        (
            window("1 page_shift=12 base=0 entries=65537 emulated table=0x9000000"),
            4,
            1,
            "65537 entries are more than 65536",
        ),
        (
            window("1 page_shift=16 base=0x1000 entries=1 emulated table=0x9000000"),
            4,
            1,
            "base 0x1000 is no multiple of the window's page 0x10000",
        ),
        (
            window("1 page_shift=12 base=0xfffffffffffff000 entries=2 emulated table=0x9000000"),
            4,
            1,
            "2 entries from base 0xfffffffffffff000 on end past 2^64",
        ),
        (
            dialect(
                "qemu",
                &format!("{FLAT}window 0x100000000 page_shift=12 base=0 entries=1 emulated table=0x9000000\nsteps\n"),
            ),
            4,
            1,
            "liobn 0x100000000 does not fit 32 bits (dialect qemu)",
        ),
        (
            dialect(
                "qemu",
                &format!(
                    "{FLAT}window 1 page_shift=12 base=0xfffffffffffff001 entries=1 emulated table=0x9000000\nsteps\n"
                ),
            ),
            4,
            1,
            "1 entries from base 0xfffffffffffff001 on end past 2^64",
        ),
        (
            dialect(
                "qemu",
                &format!(
                    "{FLAT}window 1 page_shift=12 base=0 entries=1 pinned table=0x9000000 hardware=0x9001000\nsteps\n"
                ),
            ),
            4,
            1,
            "dialect qemu has no pinned windows",
        ),
        (
            window("1 page_shift=16 base=0 entries=1 pinned table=0x9000000 hardware=0x9001000"),
            4,
            1,
            "a pinned window's page_shift 16 is above the host's 12",
        ),
        (
            flat(
                "window 1 page_shift=12 base=0 entries=1 emulated table=0x9000000\nwindow 1 page_shift=12 base=0 entries=1 emulated table=0x9001000 # again\n",
            ),
            5,
            1,
            "LIOBN 0x1 is described twice",
        ),
        // Steps.
        (with_steps(&lines(4097, |_| "take 1\n".into())), 4101, 1, "4097 steps are more than 4096"),
        (
            flat(&lines(5, |i| {
                format!("window {i} page_shift=12 base=0 entries=65536 emulated table={:#x}\n", 0x900_0000 + (i << 19))
            })),
            3,
            1,
            "the windows have 327680 entries in all, more than 262144",
        ),
        (with_steps("cpu7 hcall=0\ncpu8 hcall=0\n"), 6, 1, "vCPU 8 is not below 8"),
        (with_steps("write 0 1*8193\n"), 5, 1, "8193 words are not in 1..=8192"),
        (with_steps("write 0 1*18446744073709551615 1*2\n"), 5, 1, "18446744073709551615 words are not in 1..=8192"),
        (
            with_steps(&lines(5, |_| {
                "create-window 1 page_shift=12 base=0 entries=65536 emulated table=0x9000000\n".into()
            })),
            9,
            1,
            "all windows of the program together have more than 262144 entries",
        ),
        (with_steps("hot-add 1 0*43690\nhot-add 1 0*43690 0\n"), 6, 1, "43691 places are more than 43690 blocks"),
        (with_steps("\n  map 0 huge pfn=0 order=10 # too large\n"), 6, 3, "order 10 is not in 1..=9"),
        (with_steps("map 0 huge pfn=0 order=0\n"), 5, 1, "order 0 is not in 1..=9"),
        (with_steps("make-compound 0 order=0\n"), 5, 1, "order 0 is not in 1..=9"),
        (with_steps("make-compound 0 order=4294967295\n"), 5, 1, "order 4294967295 is not in 1..=9"),
        // The frames that the whole program needs.
        (
            with_steps(&lines(4096, |_| "map 0 huge pfn=0 order=9\n".into())),
            3,
            1,
            "the program may touch 41024 frames of 4 KiB, more than 16384",
        ),
    ]);
}

/// Checks that no text can fail, only a program made in another way, for example by the shrinker.
#[test]
fn what_no_text_can_say_is_refused_as_data() {
    let good = parse(&flat("slot 0 gfn=0 pages=1 hva=0\n")).expect("a program");
    assert_eq!(good.validate(), Ok(()));
    let hole = Mapping { hva: Hva(0x1000), pages: 1, pte: Pte::Hole };
    let empty_run = BlockRun { first: 0, places: AddrRun { at: RealAddr(0x1000_0000), count: 0 } };
    let memory = MemoryModel::SparsememVmemmap {
        base: 0xf << 60,
        block_shift: 16,
        list: RealAddr(0x2000_0000),
        sections: vec![0],
        blocks: vec![empty_run],
    };
    let sparse = Machine { memory, page_shift: PageShift::Shift16, ..good.machine.clone() };
    let step = |step| Program { steps: vec![step], ..good.clone() };
    let machine = |machine| Program { machine, ..good.clone() };
    let no_places = vec![AddrRun { at: RealAddr(0), count: 0 }];
    let cases = [
        (machine(sparse), "block line 1: a run of blocks needs at least one"),
        (machine(Machine { mappings: vec![hole], ..good.machine.clone() }), "map line 1: a hole is not mapped"),
        (
            machine(Machine { ram: vec![RamSpec { at: RealAddr(0), words: Vec::new() }], ..good.machine.clone() }),
            "ram line 1: no words",
        ),
        (
            machine(Machine {
                ram: vec![RamSpec { at: RealAddr(0), words: vec![WordRun { value: 1, stride: 0, count: 0 }] }],
                ..good.machine.clone()
            }),
            "ram line 1: no words",
        ),
        (
            step(contract::Step::Write { gpa: contract::Gpa(0), words: Vec::new() }),
            "step line 1: 0 words are not in 1..=8192",
        ),
        (
            step(contract::Step::HotAdd { section: 1, blocks: no_places }),
            "step line 1: a run of blocks needs at least one",
        ),
        (step(contract::Step::Map { hva: Hva(0), pte: Pte::Hole }), "step line 1: a hole is not mapped"),
        (
            step(contract::Step::SplitCompound { pfn: Pfn(0) }),
            "", // Valid. Whether the step can run is its precondition's question.
        ),
    ];
    for (program, expected) in cases {
        let found = program.validate().err().map_or(String::new(), |invalid| invalid.to_string());
        assert_eq!(found, expected);
        let verdict = SubjectKind::Candidate.checker().check(&program);
        assert_eq!(matches!(verdict, Verdict::Invalid(_)), !expected.is_empty(), "{expected}: {verdict:?}");
    }
}

// ---- how errors are shown -------------------------------------------------------------------------------------------

/// The error as a user sees it, without colours.
fn shown(text: &str, error: &TextError) -> String {
    NoProgram { file: "a/b.realmode".into(), text: text.into(), error: error.clone() }.to_string()
}

/// Checks what a user sees of the error of this text.
fn shows(text: &str, expected: &str) {
    similar_asserts::assert_eq!(shown(text, &error_of(text)), expected);
}

#[test]
fn an_error_shows_its_line_and_underlines_what_is_wrong() {
    shows(
        &flat("  page 0x10 own=1 sauber # comment\n"),
        "a/b.realmode:4:19: found `sauber`, expected `dirty` or the end of the line\n  \
           |\n\
         4 |   page 0x10 own=1 sauber # comment\n  \
           |                   ^^^^^^",
    );
    let error = error_of("realmode-program 2\n");
    similar_asserts::assert_eq!(error.to_string(), "1:18: found `2`, expected version 1 of the text form");
    similar_asserts::assert_eq!(error.in_file("a/b.realmode").to_string(), format!("a/b.realmode:{error}"));
    // An invalid line is underlined whole, without its comment.
    shows(
        &with_steps(&("take 1\n".repeat(95) + "\tcpu9 hcall=0  # nobody\n")),
        "a/b.realmode:100:2: vCPU 9 is not below 8\n    \
             |\n\
         100 |  cpu9 hcall=0  # nobody\n    \
             |  ^^^^^^^^^^^^",
    );
    // If the file ends too early, the error is at its end.
    shows(
        "realmode-program 1\n",
        "a/b.realmode:2:1: found the end of the file, expected `dialect <lopapr|kvm|qemu>`\n  \
           |\n\
         2 |\n  \
           | ^",
    );
}

/// An error about a contradiction shows and underlines both places, whichever comes first.
#[test]
fn a_contradiction_shows_both_places() {
    // Two windows whose tables overlap.
    shows(
        &flat(
            "window 1 page_shift=12 base=0x0 entries=513 emulated table=0x9000000\nslot 0 gfn=0 pages=1 hva=0\n\
             window 2 page_shift=12 base=0x0 entries=1 emulated table=0x9001000 # here\n",
        ),
        "a/b.realmode:6:1: a window's table at 0x9001000 overlaps a window's table at 0x9000000\n  \
           |\n\
         4 | window 1 page_shift=12 base=0x0 entries=513 emulated table=0x9000000\n  \
           | -------------------------------------------------------------------- the other place\n\
         5 | slot 0 gfn=0 pages=1 hva=0\n\
         6 | window 2 page_shift=12 base=0x0 entries=1 emulated table=0x9001000 # here\n  \
           | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^",
    );
    // The error may stand at the first of the two places. Lines between them are left out.
    let between = "page 1 own=0\npage 2 own=0\npage 3 own=0\npage 4 own=0\n";
    shows(
        &flat(&format!("slot 1 gfn=3 pages=4 hva=0\n{between}slot 0 gfn=0 pages=4 hva=0\n")),
        "a/b.realmode:4:1: overlaps slot 0: gfn 0x3 lies in both\n  \
           |\n\
         4 | slot 1 gfn=3 pages=4 hva=0\n  \
           | ^^^^^^^^^^^^^^^^^^^^^^^^^^\n\
         ...\n\
         9 | slot 0 gfn=0 pages=4 hva=0\n  \
           | -------------------------- the other place",
    );
    // Two words of one line.
    shows(
        &flat("map 0x1000 present pfn=1 young dirty young\n"),
        "a/b.realmode:4:38: found `young`, expected each flag once\n  \
           |\n\
         4 | map 0x1000 present pfn=1 young dirty young\n  \
           |                          -----       ^^^^^\n  \
           |                          |\n  \
           |                          the other place",
    );
}

/// An error about two items that contradict each other names both lines.
#[test]
fn a_contradiction_names_the_other_line() {
    let window =
        |liobn: u64, table: u64| format!("window {liobn} page_shift=12 base=0 entries=1 emulated table={table:#x}\n");
    let cases = [
        // The item contradicts the machine line: the page does not exist, or the memory model has no such item.
        (flat("page 0x1000 own=0\n"), 4, Some(3)),
        (flat("compound 0x1000 order=1\n"), 4, Some(3)),
        (flat("map 0x1000 present pfn=0x1000\n"), 4, Some(3)),
        (flat("ram 0xffff8 1*2\n"), 4, Some(3)),
        (flat("section 1\n"), 4, Some(3)),
        (flat(&window(1, 0x800_0000)), 4, Some(3)),
        // The same thing is described twice.
        (flat("page 1 own=0\npage 2 own=0\npage 1 own=0\n"), 6, Some(4)),
        (flat("slot 3 gfn=0 pages=1 hva=0\nslot 3 gfn=8 pages=1 hva=0\n"), 5, Some(4)),
        (flat(&(window(1, 0x900_0000) + &window(2, 0x900_1000) + &window(1, 0x900_2000))), 6, Some(4)),
        (flat("map 0x2000 present pfn=1\nmap 0x1000 present pfn=1 pages=2\n"), 4, Some(5)),
        (vmemmap("section 5 6\nsection 7 4\n"), 5, None),
        (vmemmap("section 5\nsection 4\n"), 5, Some(4)),
        // Overlaps.
        (flat("compound 4 order=2\ncompound 6 order=1\n"), 5, Some(4)),
        (flat("slot 0 gfn=0 pages=4 hva=0\nslot 1 gfn=3 pages=4 hva=0\n"), 5, Some(4)),
        (flat(&(window(1, 0x900_0000) + &window(2, 0x900_0000))), 5, Some(4)),
        // Pages that are part of a compound page, or mapped.
        (flat("compound 4 order=2\npage 5 own=0\n"), 5, Some(4)),
        (flat("compound 4 order=2\nmap 0x4000 huge pfn=4 order=1\n"), 5, Some(4)),
        (flat("map 0x4000 huge pfn=4 order=1\n"), 4, None),
        (flat("compound 4 order=2\nmap 0x2000 present pfn=1\nmap 0x1000 present pfn=6\npage 4 own=-1\n"), 7, Some(6)),
        // An error that contradicts no other item.
        (flat("slot 512 gfn=0 pages=1 hva=0\n"), 4, None),
    ];
    for (text, line, other) in cases {
        let error = error_of(&text);
        assert_eq!((error.line, error.other.map(|other| other.line)), (line, other), "{}", shown(&text, &error));
    }
    // A present section needs a block, and no line gives its place.
    let text = vmemmap("section 1\n");
    let error = error_of(&text);
    assert_eq!((error.line, error.other.map(|other| other.line)), (3, Some(4)), "{}", shown(&text, &error));
}

/// Of a line of any length only a limited part is shown, and the caret still stands under the error.
#[test]
fn a_long_line_is_shown_in_part() {
    for at in [0, 10, 79, 80, 81, 200, 5_000, 100_000] {
        let padding = " ".repeat(at);
        let text = flat(&format!("page 1 own=1 {padding}{}\n", "x".repeat(50_000)));
        let error = error_of(&text);
        assert_eq!((error.line, error.column), (4, 14 + at));
        let shown = shown(&text, &error);
        assert!(shown.len() < 1_000, "{} bytes are shown", shown.len());
        let lines: Vec<&str> = shown.lines().collect();
        let caret = lines[3].find('^').expect("a caret");
        assert_eq!(lines[2].as_bytes().get(caret), Some(&b'x'), "{shown}");
        assert_ne!(lines[2].as_bytes().get(caret - 1), Some(&b'x'), "{shown}");
    }
}

/// If a file ends too early, the error names the line after the last one, comments counted, and shows that same line.
#[test]
fn a_file_of_comments_ends_at_its_end() {
    for (text, line) in [("# only\n\n# comments\n".into(), 4), (dialect("kvm", &format!("{FLAT}# no steps\n\n")), 6)] {
        let error = error_of(&text);
        assert_eq!((error.line, error.column), (line, 1));
        let shown = shown(&text, &error);
        assert!(shown.ends_with(&format!("\n{line} |\n  | ^")), "{shown}");
    }
}

/// Control characters of a file must not reach the terminal, neither in the shown line nor in the message.
#[test]
fn control_characters_of_a_file_are_not_shown() {
    for odd in ['\0', '\u{1b}', '\u{7}', '\u{7f}', '\u{9b}'] {
        let text = flat(&format!("page{odd}[2J 1 own=1\n"));
        let shown = shown(&text, &error_of(&text));
        assert!(!shown.chars().any(|c| c.is_control() && c != '\n'), "{shown:?}");
    }
}

// ---- hostile text --------------------------------------------------------------------------------------------------

/// Checks that the error can be shown and that its places lie in the text.
fn sound_error(text: &str, error: &TextError) {
    assert!(error.line <= text.lines().count() + 1, "line {} of {text:?}", error.line);
    for Span { line, column, width } in [Some(error.span()), error.other].into_iter().flatten() {
        let length = text.lines().nth(line - 1).unwrap_or_default().chars().count();
        assert!((1..=length + 1).contains(&column), "{error:?}");
        assert!(width == 1 || column + width <= length + 1, "{error:?}");
    }
    assert!(!error.message.is_empty());
    assert!(error.other.is_none_or(|other| other != error.span()), "{error:?}");
    let shown = shown(text, error);
    assert!(shown.len() < 4_000, "{} bytes are shown", shown.len());
    // The line that is shown is the one that the error names.
    assert!(shown.lines().any(|line| line.trim_start().starts_with(&format!("{} |", error.line))), "{shown}");
    assert!(!shown.chars().any(|c| c.is_control() && c != '\n'), "{shown:?}");
}

fn parse_soundly(text: &str) -> Option<Program> {
    match parse(text) {
        Ok(program) => {
            round_trip(&program);
            Some(program)
        }
        Err(error) => {
            sound_error(text, &error);
            None
        }
    }
}

#[test]
fn random_bytes_are_refused_and_no_more() {
    let mut rng = StdRng::seed_from_u64(1);
    let words = [
        "realmode-program",
        "1",
        "dialect",
        "kvm",
        "machine",
        "flatmem",
        "steps",
        "page_shift=12",
        "0x",
        "#",
        "*",
        "+",
    ];
    for _ in 0..3_000 {
        let length = rng.random_range(0..400);
        let bytes: Vec<u8> = (0..length).map(|_| rng.random()).collect();
        parse_soundly(&String::from_utf8_lossy(&bytes));
        let mut text = String::new();
        for _ in 0..length / 8 {
            text.push_str(words[rng.random_range(0..words.len())]);
            text.push(['\n', ' ', ' ', '\t', '\0', '\u{a0}', '=', 'é'][rng.random_range(0..8)]);
        }
        parse_soundly(&text);
    }
}

#[test]
fn odd_characters_are_refused_or_mean_nothing() {
    for odd in
        ["\0", "\u{feff}", "\u{202e}", "\u{1b}[2J", "𝟙", "e\u{301}", "\r", "\u{85}", "\u{2028}", "\u{b}", "\u{7f}"]
    {
        for text in [
            format!("{odd}{}", flat("")),
            flat(&format!("page 1 {odd} own=1\n")),
            flat(&format!("page 1{odd} own=1\n")),
            flat(&format!("page 1 own=1 # {odd}\n")),
            flat(&format!("{odd}\n")),
            format!("{}{odd}", flat("")),
        ] {
            parse_soundly(&text);
        }
    }
    // A comment may contain any character.
    assert!(parse(&flat("page 1 own=1 # \0\u{202e}é\n")).is_ok());
    // Only ASCII digits are digits.
    assert!(parse(&flat("page ١ own=1\n")).is_err());
}

/// Programs with a changed byte, number or line. Most are refused. Those that are still programs are run, because a
/// program at the edge of the text form is often at the edge of the machine too. There must be no finding and no panic.
#[test]
fn mutated_programs_are_refused_or_run() {
    let mut rng = StdRng::seed_from_u64(2);
    let mut checker = SubjectKind::Candidate.checker();
    let seeds: Vec<String> =
        (0..60).map(|index| generate(&GeneratorConfig::default(), 0xbad, index).to_string()).collect();
    let numbers = [
        "0",
        "1",
        "7",
        "0xfff",
        "0x1000",
        "4095",
        "512",
        "513",
        "0xffffffff",
        "0x100000000",
        "0x3fffffffffff",
        "0x400000000000",
        "0x7fffffffffffffff",
        "0x8000000000000000",
        "0xfffffffffffff000",
        "0xffffffffffffffff",
        "18446744073709551616",
        "-1",
        "",
    ];
    let (mut ran, mut refused) = (0, 0);
    for round in 0..4_000 {
        let mut text = seeds[round % seeds.len()].clone();
        for _ in 0..rng.random_range(1..3) {
            text = mutate(&text, &numbers, &mut rng);
        }
        match parse_soundly(&text) {
            None => refused += 1,
            Some(program) => {
                ran += 1;
                let verdict = checker.check(&program);
                assert!(matches!(verdict, Verdict::Agreed), "{verdict:?}\n{text}");
            }
        }
    }
    assert!(ran > 500 && refused > 500, "{ran} ran, {refused} refused: mutations are too tame or too wild");
}

fn mutate(text: &str, numbers: &[&str], rng: &mut StdRng) -> String {
    let mut lines: Vec<String> = text.lines().map(str::to_string).collect();
    let at = rng.random_range(0..lines.len());
    let other = rng.random_range(0..lines.len());
    match rng.random_range(0..7) {
        0 => _ = lines.remove(at),
        1 => lines.insert(at, lines[other].clone()),
        2 => lines.swap(at, other),
        3 => {
            let mut bytes = std::mem::take(&mut lines[at]).into_bytes();
            if !bytes.is_empty() {
                let place = rng.random_range(0..bytes.len());
                bytes[place] = rng.random_range(0x20..0x7f);
            }
            lines[at] = String::from_utf8(bytes).expect("printable ASCII");
        }
        // Replaces one number by another, so that the line stays well-formed.
        _ => {
            let line = lines[at].clone();
            let digits: Vec<(usize, usize)> = number_places(&line);
            if let Some(&(start, end)) = digits.get(rng.random_range(0..digits.len().max(1))) {
                let number = numbers[rng.random_range(0..numbers.len())];
                lines[at] = format!("{}{number}{}", &line[..start], &line[end..]);
            }
        }
    }
    lines.join("\n") + "\n"
}

/// The places of the numbers in a line: a number comes after a space, `=`, `*` or `+`.
fn number_places(line: &str) -> Vec<(usize, usize)> {
    let mut places = Vec::new();
    let mut start = 0;
    for (index, byte) in line.bytes().chain([b' ']).enumerate() {
        if matches!(byte, b' ' | b'=' | b'*' | b'+') {
            if line.as_bytes().get(start).is_some_and(u8::is_ascii_digit) {
                places.push((start, index));
            }
            start = index + 1;
        }
    }
    places
}

#[test]
fn oversized_text_is_refused_before_it_is_read() {
    let filler = "#".repeat(MAX_TEXT_BYTES - flat("").len());
    let largest = flat("") + &filler;
    assert_eq!(largest.len(), MAX_TEXT_BYTES);
    assert!(parse(&largest).is_ok());
    let error = error_of(&(largest + "#"));
    assert_eq!((error.line, error.column), (1, 1));
    assert_eq!(error.message, "found 1048577 bytes, expected a program of at most 1048576");
    // As many lines or words as fit.
    for text in ["\n".repeat(MAX_TEXT_BYTES), " ".repeat(MAX_TEXT_BYTES), "0 ".repeat(MAX_TEXT_BYTES / 2)] {
        sound_error(&text, &error_of(&text));
    }
    let many = vmemmap(&format!("section{}\n", " 1".repeat(400_000)));
    assert_eq!(error_of(&many).message, "400000 sections are more than 1024");
    let many = with_steps(&"take 1\n".repeat(140_000));
    assert_eq!(error_of(&many).message, "140000 steps are more than 4096");
    let many = with_steps(&format!("write 0{}\n", " 1".repeat(500_000)));
    assert_eq!(error_of(&many).message, "500000 words are not in 1..=8192");
}

/// Reports contain the ids of rules. Each id leads back to its rule.
#[test]
fn rule_ids_name_their_rules() {
    for &rule in Rule::ALL {
        assert_eq!(Rule::from_id(rule.id()), Some(rule));
    }
    assert_eq!(Rule::from_id("MAP"), None);
}
